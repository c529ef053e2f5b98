//! Which daemon, and as whom: flags and environment before the context, the context before the defaults. Also the memory of the
//! workflow that was started last, `@last`, per context.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use causeway_proto::json::shown;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use super::Global;
use super::commands::CommandError;
use crate::address::DEFAULT_ADDRESS;
use crate::connect::{Options, Tls, Token};

/// What the contexts file says of one context. The file is `causeway/contexts.toml` in the user's configuration directory, with
/// a table per context. Paths in it that are not absolute begin at the file's own folder.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: Option<String>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    /// A shell command that prints the token.
    token_command: Option<String>,
}

/// A settled context.
#[derive(Debug, Clone)]
pub(super) struct Context {
    name: String,
    address: String,
    entry: Entry,
    /// Where `@last` is kept; `None`: nowhere.
    state: Option<PathBuf>,
}

impl Context {
    /// From flags, environment and the contexts file.
    ///
    /// # Errors
    /// Where the file can't be read, or has no such context.
    pub(super) fn load(global: &Global) -> Result<Self, CommandError> {
        let entry = match global.context.as_deref().filter(|name| !name.is_empty()) {
            None => Entry::default(),
            Some(name) => {
                let folder = directory("XDG_CONFIG_HOME", ".config").ok_or_else(|| {
                    let why = "there is no folder to find contexts in: set HOME or XDG_CONFIG_HOME";
                    CommandError::Usage(why.to_owned())
                })?;
                read_entry(&folder.join("contexts.toml"), name)?
            }
        };
        let address = global.address.clone().or_else(|| entry.address.clone());
        Ok(Self {
            name: global.context.clone().unwrap_or_else(|| "default".to_owned()),
            address: address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()),
            entry,
            state: directory("XDG_STATE_HOME", ".local/state"),
        })
    }

    /// For tests: an address, and a directory of one's own.
    #[cfg(test)]
    pub(super) fn at(address: &str, state: &Path) -> Self {
        Self {
            name: "test".to_owned(),
            address: address.to_owned(),
            entry: Entry::default(),
            state: Some(state.to_path_buf()),
        }
    }

    /// How to connect.
    ///
    /// # Errors
    /// Where the address, a file or the token command is wrong.
    pub(super) fn options(&self) -> Result<Options, CommandError> {
        let mut options = Options::new(self.address.parse().map_err(crate::error::Error::from)?);
        let entry = &self.entry;
        options.tls = Tls {
            authority: entry.ca_file.as_ref().map(|path| self.certificates(path)).transpose()?,
            identity: match (&entry.cert_file, &entry.key_file) {
                (Some(certificate), Some(key)) => {
                    Some((self.certificates(certificate)?, self.key(key)?))
                }
                // Both or none: the file was read so.
                _ => None,
            },
        };
        options.token = match self.token()? {
            Some(text) if text.trim().is_empty() => {
                return Err(self.wrong("its token_file or token_command gives an empty token"));
            }
            text => text.map(|text| Token::new(&text)).transpose()?,
        };
        Ok(options)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, CommandError> {
        fs::read(path).map_err(|error| self.wrong(&format!("{}: {error}", path.display())))
    }

    /// A file with one certificate at least: what is none would only show when nobody is trusted.
    fn certificates(&self, path: &Path) -> Result<Vec<u8>, CommandError> {
        let text = self.read(path)?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match read {
            Ok(some) if !some.is_empty() => Ok(text),
            _ => Err(self.wrong(&format!("{} holds no PEM certificate", path.display()))),
        }
    }

    fn key(&self, path: &Path) -> Result<Vec<u8>, CommandError> {
        let text = self.read(path)?;
        match PrivateKeyDer::from_pem_slice(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(self.wrong(&format!("{} holds no PEM private key", path.display()))),
        }
    }

    fn wrong(&self, what: &str) -> CommandError {
        CommandError::Usage(format!("the context {}: {what}", self.name))
    }

    fn token(&self) -> Result<Option<String>, CommandError> {
        if let Some(token) = std::env::var("CAUSEWAY_TOKEN").ok().filter(|token| !token.is_empty())
        {
            return Ok(Some(token));
        }
        if let Some(path) = &self.entry.token_file {
            return fs::read_to_string(path).map(Some).map_err(|error| {
                self.wrong(&format!("its token_file {}: {error}", path.display()))
            });
        }
        let Some(command) = &self.entry.token_command else { return Ok(None) };
        let output = Command::new("sh")
            .args(["-c", command])
            .stderr(std::process::Stdio::inherit())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
            }
            Ok(output) => {
                Err(self.wrong(&format!("its token_command ended with {}", output.status)))
            }
            Err(error) => Err(self.wrong(&format!("its token_command can't be run: {error}"))),
        }
    }

    fn last_path(&self) -> Option<PathBuf> {
        let name: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        self.state.as_ref().map(|state| state.join(format!("last-{name}")))
    }

    /// Keeps the workflow that was started, for `@last`.
    pub(super) fn remember(&self, id: &str) -> std::io::Result<()> {
        let Some(path) = self.last_path() else { return Ok(()) };
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, id)
    }

    /// The workflow that was started last.
    pub(super) fn last(&self) -> Option<String> {
        let id = fs::read_to_string(self.last_path()?).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }
}

fn read_entry(path: &Path, name: &str) -> Result<Entry, CommandError> {
    let text = fs::read_to_string(path).map_err(|error| CommandError::file(path, &error))?;
    let wrong = |why: String| CommandError::File { path: path.to_path_buf(), why };
    // The line is named and not shown: somebody may have put a token into it.
    let unfit = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("line {line}: {}", error.message()))
    };
    let mut contexts: std::collections::BTreeMap<String, Entry> =
        toml::from_str(&text).map_err(unfit)?;
    let Some(mut entry) = contexts.remove(name) else {
        let known: Vec<_> = contexts.into_keys().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(wrong(format!("there is no context {}; it has: {known}", shown(name))));
    };
    if entry.token_file.is_some() && entry.token_command.is_some() {
        let why = "has a token_file and a token_command: give one of them";
        return Err(wrong(format!("the context {name} {why}")));
    }
    if entry.cert_file.is_some() != entry.key_file.is_some() {
        let why = "needs cert_file and key_file together";
        return Err(wrong(format!("the context {name} {why}")));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    for file in
        [&mut entry.ca_file, &mut entry.cert_file, &mut entry.key_file, &mut entry.token_file]
    {
        *file = file.take().map(|file| folder.join(file));
    }
    Ok(entry)
}

/// `causeway` in one of the user's directories.
fn directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let base = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(|home| PathBuf::from(home).join(below_home))
    };
    Some(base.or_else(home)?.join("causeway"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_by_name_and_nothing_unknown_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.toml");
        fs::write(
            &path,
            "[prod]\naddress = \"https://causeway:7443\"\nca_file = \"ca.pem\"\n[dev]\n",
        )
        .unwrap();
        assert_eq!(
            read_entry(&path, "prod").unwrap().address.as_deref(),
            Some("https://causeway:7443")
        );
        let error = read_entry(&path, "test").unwrap_err().to_string();
        assert!(error.ends_with("it has: dev, prod"), "{error}");
        assert_eq!(read_entry(&path, "prod").unwrap().ca_file, Some(folder.path().join("ca.pem")));
        for (wrong, said) in [
            ("[prod]\ntoken = \"x\"\n", "unknown field `token`"),
            ("[prod\n", "line 1"),
            ("[prod]\naddress = 7\n", "string"),
            ("", "it has: none"),
            ("[prod]\ncert_file = \"c\"\n", "together"),
            ("[prod]\ntoken_file = \"t\"\ntoken_command = \"t\"\n", "one of them"),
        ] {
            fs::write(&path, wrong).unwrap();
            let error = read_entry(&path, "prod").unwrap_err();
            assert!(matches!(error, CommandError::File { .. }), "{error:?}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn the_last_workflow_is_remembered_per_context() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::at("http://127.0.0.1:1", folder.path());
        assert_eq!(context.last(), None);
        context.remember("w1").unwrap();
        context.remember("w2").unwrap();
        assert_eq!(context.last().as_deref(), Some("w2"));
        assert_eq!(Context { name: "../x".to_owned(), ..context }.last(), None);
    }
}
