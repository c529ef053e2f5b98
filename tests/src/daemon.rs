//! The real `causewayd` as a child process.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use causeway_client::{Address, Client, Options, Patience};
use causeway_sandbox::instances::companion;
use tokio::process::{Child, Command};

/// How long a daemon may take to serve.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running daemon; dropped, it is killed.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon on a configuration, with more environment, and waits until it answers at `address`, or has ended.
    pub async fn start(config: &Path, address: &str, environment: &[(&str, &str)]) -> Self {
        let program = companion::daemon_binary().await.unwrap();
        let log = config.with_file_name("daemon.log");
        let file: File = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(config).arg("--log").arg("trace");
        command.envs(environment.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true);
        let mut daemon = Self { child: command.spawn().unwrap(), log };
        let probe = client_of(address, Duration::ZERO);
        let serving = async {
            while probe.server_info().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = serving => {}
            _ = daemon.child.wait() => {}
            () = tokio::time::sleep(START_LIMIT) => panic!("the daemon does not serve:\n{}", daemon.log()),
        }
        daemon
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop with SIGTERM, and waits for its end; its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id()?;
        let status = Command::new("kill").arg(pid.to_string()).status().await.unwrap();
        assert!(status.success());
        self.child.wait().await.unwrap().code()
    }

    /// Waits for its own end.
    pub async fn ended(&mut self) {
        self.child.wait().await.unwrap();
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// A client of the daemon at `address` that keeps trying for `patience`.
#[must_use]
pub fn client_of(address: &str, patience: Duration) -> Client {
    let address: Address = address.parse().unwrap();
    Client::new(&Options { patience: Patience { limit: patience }, ..Options::new(address) })
        .unwrap()
}
