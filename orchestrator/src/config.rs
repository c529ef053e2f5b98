//! The daemon's configuration: default < file < environment < flag, with the origin of every value kept for
//! `causewayd config show`. It opens no connection and reads no credential; it knows nothing of runtime, store and API.

mod file;
mod load;
mod pick;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use causeway_workflows::{ConnectionConfig, Timing};
use secrecy::SecretString;

pub use load::load;

/// Environment variable that holds the sealing key, as 64 hex digits.
pub const SEALING_KEY_VARIABLE: &str = "CAUSEWAY_SEALING_KEY";

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens. Loopback only, as long as no authentication is configured.
    pub listen: SocketAddr,
    /// Holds the store and whatever else the daemon keeps.
    pub data_dir: PathBuf,
    /// Where the key that seals secrets comes from.
    pub sealing: SealingKey,
    /// Every duration of the outside world.
    pub timing: Timing,
    /// How long ended workflows are kept.
    pub retention: Retention,
    /// Logs.
    pub telemetry: Telemetry,
    /// Static bearer tokens by the name of who holds them. Empty: no authentication.
    pub tokens: BTreeMap<String, TokenConfig>,
    /// The accounts to work in, by name.
    pub connections: BTreeMap<String, ConnectionConfig>,
    /// Every value with its origin, in the order of the documentation.
    pub settings: Vec<Setting>,
}

impl Config {
    /// Where the store lies.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Whether callers must say who they are.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        !self.tokens.is_empty()
    }
}

/// How long an ended workflow is kept, unless `retention.max_age` says otherwise: a quarter of a year, for those who look back.
const RETENTION_AGE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);
/// How many ended workflows are kept, unless `retention.max_count` says otherwise: bounds the store.
const RETENTION_COUNT_DEFAULT: usize = 10_000;

/// How long ended workflows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Since their end.
    pub max_age: Duration,
    /// How many, the newest first.
    pub max_count: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_age: RETENTION_AGE_DEFAULT, max_count: RETENTION_COUNT_DEFAULT }
    }
}

/// Where the key that seals secrets comes from.
#[derive(Debug, Clone)]
pub enum SealingKey {
    /// 64 hex digits, from the environment.
    Given(SecretString),
    /// A file with 64 hex digits, which must exist.
    File(PathBuf),
    /// A file in the data folder, made at the first start.
    Made(PathBuf),
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// What is logged, in env-filter syntax.
    pub log: String,
    /// How.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A static bearer token, of which only the hash is known.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What its holder may do.
    pub role: Role,
}

impl fmt::Debug for TokenConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenConfig {{ role: {:?}, sha256: [redacted] }}", self.role)
    }
}

/// What a caller may do; each role may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Starts and steers workflows.
    Operator,
    /// Opens and closes gates.
    Approver,
    /// Everything.
    Admin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File,
    /// An environment variable.
    Environment(&'static str),
    /// An option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("file"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One effective value, for people. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `timing.poll`.
    pub key: String,
    /// As it would stand in the file.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// What the command line says; it wins over everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--log`.
    pub log: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or has a field that does not exist.
    #[error("the configuration file {} is wrong: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        message: String,
    },
    /// Values that can't be.
    #[error("{}", list(.0))]
    Values(Vec<Problem>),
}

/// A value that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `connections.prod.max_nodes`.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    format!("the configuration can't be used: {}", lines.join("; "))
}

/// `path`, seen from the folder of the configuration file.
fn resolve(base: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_path_buf() } else { base.join(path) }
}

/// All settings as text, one per line, with their origins. Sections are written as dotted keys.
#[must_use]
pub fn show(config: &Config) -> String {
    let lines = config
        .settings
        .iter()
        .map(|setting| (format!("{} = {}", setting.key, setting.value), &setting.origin));
    let width = lines.clone().map(|(text, _)| text.len()).max().unwrap_or(0).min(72);
    lines.map(|(text, origin)| format!("{text:width$}  # {origin}\n")).collect()
}
