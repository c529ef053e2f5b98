//! One machine from outside: starts the helper that goes into namespaces, serves its relay, and collects what its
//! script printed. Must leave nothing behind, however the machine ends.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::{Reach, System, relay};
use crate::hands::{Boot, BootReport};

/// What the helper is told on its first line of input. Input then stays open: its end means that nobody waits any
/// more, and everything inside dies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    /// An empty folder, mount point of the scratch root.
    pub(crate) scratch: PathBuf,
    /// The bound Unix socket of the relay.
    pub(crate) relay: PathBuf,
    /// The program that plays the stand-ins.
    pub(crate) helper: PathBuf,
    /// Which package manager there is.
    pub(crate) system: System,
    /// The OS host name, as the cloud gives it.
    pub(crate) hostname: String,
    /// What cloud-init fetches and runs.
    pub(crate) script_url: String,
    /// What cloud-init exports.
    pub(crate) variables: BTreeMap<String, String>,
    /// How long user data may run.
    pub(crate) limit: Duration,
    /// What a second of the script's own waiting is, at the world's pace.
    pub(crate) second: Duration,
}

/// What the helper prints at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The script's exit code; `None`: it was killed.
    pub(crate) exit: Option<i32>,
    /// `/var/log/acs/init.log`, shortened in the middle where it is long.
    pub(crate) log: String,
    /// Why it was killed, or why it never began.
    pub(crate) fault: Option<String>,
}

/// Beyond the script's own limit: what setting up and collecting may take.
const GRACE: Duration = Duration::from_secs(10);

/// Most of what the helper may print: the log is shortened inside, so more is a fault of the helper.
const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// Boots a machine and waits for the end of its user data, which may run for a limit; and what a second of waiting is.
pub(super) async fn run(
    helper: &Path,
    boot: &Boot,
    reach: Reach,
    system: System,
    (limit, second): (Duration, Duration),
) -> anyhow::Result<BootReport> {
    let folder = tempfile::Builder::new()
        .prefix("causeway-ecs-")
        .tempdir()
        .context("cannot create a folder for the instance")?;
    let scratch = folder.path().join("root");
    std::fs::create_dir(&scratch).context("cannot create the instance's root")?;
    let socket = folder.path().join("relay");
    let relay = relay::serve(&socket, boot.clone(), reach)?;
    let config = Config {
        scratch,
        relay: socket,
        helper: helper.to_owned(),
        system,
        hostname: hostname(&boot.instance_id),
        script_url: boot.script_url.clone(),
        variables: boot.variables.clone(),
        limit,
        second,
    };
    let ended = tokio::time::timeout(limit + GRACE, converse(helper, &config))
        .await
        .unwrap_or_else(|_elapsed| {
            Ok(Ended {
                exit: None,
                log: String::new(),
                fault: Some("the instance did not answer in time".into()),
            })
        });
    drop(relay);
    let ended = ended?;
    let mut log = ended.log;
    if let Some(fault) = &ended.fault {
        log.push_str(&format!("causeway-sandbox: {fault}\n"));
    }
    Ok(BootReport { ok: ended.fault.is_none() && ended.exit == Some(0), log })
}

async fn converse(helper: &Path, config: &Config) -> anyhow::Result<Ended> {
    let mut child = Command::new(helper)
        .arg(super::jail::ENTER)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", helper.display()))?;
    let mut input = child.stdin.take().context("the helper has no input")?;
    let output = child.stdout.take().context("the helper has no output")?;
    let errors = child.stderr.take().context("the helper has no error output")?;
    let mut line = serde_json::to_vec(config)?;
    line.push(b'\n');
    input.write_all(&line).await.context("the helper does not listen")?;
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let (mut output, mut errors) = (output.take(ANSWER_MAX_BYTES), errors.take(ANSWER_MAX_BYTES));
    let (read, read_errors) =
        tokio::join!(output.read_to_end(&mut answer), errors.read_to_end(&mut complaint));
    read.and(read_errors).context("cannot read what the helper says")?;
    let status = child.wait().await.context("cannot wait for the helper")?;
    drop(input);
    serde_json::from_slice(&answer).with_context(|| {
        format!(
            "the instance ended with {status} before its script could begin: {}",
            String::from_utf8_lossy(&complaint).trim()
        )
    })
}

/// As ECS names machines that nobody named: `iZ` + the id without its prefix + `Z`.
fn hostname(instance_id: &str) -> String {
    let id = instance_id.strip_prefix("i-").unwrap_or(instance_id);
    format!("iZ{}Z", id.chars().filter(char::is_ascii_alphanumeric).take(50).collect::<String>())
}
