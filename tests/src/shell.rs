//! A line of a shell, in which `causeway` is the command line that was built beside the tests.

use std::path::Path;
use std::process::Output;

use causeway_sandbox::instances::companion;
use tokio::process::Command;

/// Runs the line as a person would who sits in `home` and talks to the daemon at `address`.
pub async fn run(line: &str, address: &str, home: &Path) -> Output {
    let program = companion::client_binary().await.unwrap();
    let path = std::env::var("PATH").unwrap();
    let folder = program.parent().unwrap().display();
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).current_dir(home);
    command.env("PATH", format!("{folder}:{path}")).env("CAUSEWAY_ADDRESS", address);
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("CAUSEWAY_CONTEXT");
    command.output().await.unwrap()
}
