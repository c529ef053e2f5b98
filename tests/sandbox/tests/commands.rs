//! The command line as a user types it, and what the sandbox may depend on.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

fn sandbox(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway-sandbox"));
    command.args(args).arg("--dir").arg(dir).stdin(Stdio::null());
    command
}

fn output(args: &[&str], dir: &Path) -> Output {
    sandbox(args, dir).output().expect("the sandbox starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A world that another process keeps up.
struct Up(Child);

impl Up {
    fn start(dir: &Path) -> Self {
        let child = sandbox(&["up", "--no-daemon", "--fault", "ram:*:throttle:3"], dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let up = Self(child);
        let began = Instant::now();
        while !dir.join("sandbox.json").exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "the world does not come up");
            sleep(Duration::from_millis(10));
        }
        up
    }

    /// As `kill PID` does.
    fn end(mut self) -> Option<i32> {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_world_that_is_up_shows_its_ledger_takes_faults_and_ends_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("world");
    let up = Up::start(&dir);
    let ledger = output(&["world"], &dir);
    assert!(
        ledger.status.success() && text(&ledger.stdout).starts_with("{\n  \"cloud\""),
        "{}",
        text(&ledger.stderr)
    );
    let added = output(&["fault", "k8s:patch-daemonsets:error=409"], &dir);
    assert_eq!(text(&added.stdout), "ram:*:throttle:3\nk8s:patch-daemonsets:error=409:1\n");
    let wrong = output(&["fault", "nonsense"], &dir);
    assert!(
        !wrong.status.success() && text(&wrong.stderr).contains("PRODUCT:ACTION"),
        "{}",
        text(&wrong.stderr)
    );
    assert_eq!(text(&output(&["fault", "clear"], &dir).stdout), "");
    assert_eq!(up.end(), Some(0));
    let gone = output(&["world"], &dir);
    assert!(
        !gone.status.success() && text(&gone.stderr).contains("no sandbox runs in"),
        "{}",
        text(&gone.stderr)
    );
}

#[test]
fn a_daemon_that_does_not_come_up_ends_the_run_with_its_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("world");
    let daemon = folder.path().join("daemon");
    std::fs::write(&daemon, "#!/bin/sh\necho the store is locked\nexit 1\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&daemon, mode).expect("executable");
    let run = sandbox(&["run"], &dir)
        .env("CAUSEWAY_DAEMON_BIN", &daemon)
        .output()
        .expect("the sandbox starts");
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text(&run.stderr).contains("ended at once")
            && text(&run.stderr).contains("the store is locked"),
        "{}",
        text(&run.stderr)
    );
    assert!(!dir.join("sandbox.json").exists());
}

#[test]
fn a_wrong_command_line_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        &["run", "--fault", "nonsense"][..],
        &["up", "--speed", "0"],
        &["run", "--clusters", "3"],
        &["run", "--instances", "sometimes"],
    ] {
        let refused = output(args, &folder.path().join("world"));
        assert!(!refused.status.success() && !refused.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn the_sandbox_depends_on_no_product_crate_but_the_contract_and_the_client() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--package",
            "causeway-sandbox",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(tree.status.success(), "{}", text(&tree.stderr));
    let tree = text(&tree.stdout);
    let mut own: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("causeway"))
        .collect();
    own.sort_unstable();
    own.dedup();
    assert_eq!(own, ["causeway-client", "causeway-proto", "causeway-sandbox"]);
}
