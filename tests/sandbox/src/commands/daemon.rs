//! The real daemon as a child process: started on the world's configuration, watched until it is healthy, and ended by
//! its own pid.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use causeway_client::{Address, Client, Options, Patience};
use causeway_sandbox::world::World;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

/// How long the daemon may take to answer its first call.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How much of its log is shown when it fails.
const LOG_LINES: usize = 20;

/// A running daemon. Dropped, it is killed.
pub(super) struct Daemon {
    child: Child,
    client: Client,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program` on the configuration of `world`, and waits until it serves.
    pub(super) async fn start(program: &Path, world: &World) -> anyhow::Result<Self> {
        let log = world.folder().file("daemon.log");
        let out = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = out.try_clone().context("cannot share the daemon's log")?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(world.folder().file("causewayd.toml"))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .kill_on_drop(true);
        // A terminal's Ctrl-C reaches the whole group; the daemon is to end after the sandbox has asked it to.
        command.process_group(0);
        let child =
            command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let address: Address = world.endpoints().daemon.parse()?;
        let options = Options::new(address);
        let mut daemon = Self { child, client: Client::new(&options)?, log };
        let impatient = Options { patience: Patience { limit: Duration::ZERO }, ..options };
        daemon.wait_until_healthy(&Client::new(&impatient)?).await?;
        Ok(daemon)
    }

    async fn wait_until_healthy(&mut self, probe: &Client) -> anyhow::Result<()> {
        let answers = async {
            while probe.server_info().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = answers => Ok(()),
            status = self.child.wait() => bail!("the daemon ended at once ({}):\n{}", status.context("cannot wait for the daemon")?, tail(&self.log)),
            () = tokio::time::sleep(START_LIMIT) => bail!("the daemon did not answer within {START_LIMIT:?}:\n{}", tail(&self.log)),
        }
    }

    /// A client of it.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.wait().await.context("cannot wait for the daemon")
    }

    /// The end of its log.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Asks it to end, and waits until it has; kills it where it takes too long.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(pid) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
        else {
            return Ok(());
        };
        match rustix::process::kill_process(pid, Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).context("cannot end the daemon"),
        }
        if tokio::time::timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            eprintln!(
                "causeway-sandbox: the daemon did not end within {STOP_LIMIT:?} and is killed"
            );
            self.child.kill().await.context("cannot kill the daemon")?;
        }
        Ok(())
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "{}\n(all of it: {})",
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"),
        log.display()
    )
}
