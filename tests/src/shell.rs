//! The command line that was built beside the tests: in a line of a shell, or by itself.

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
    command.arg("-c").arg(line).env("PATH", format!("{folder}:{path}"));
    at_home(&mut command, address, home).output().await.unwrap()
}

/// The program itself, for somebody who sits in `home` and talks to the daemon at `address`.
pub async fn causeway(address: &str, home: &Path) -> Command {
    let mut command = Command::new(companion::client_binary().await.unwrap());
    at_home(&mut command, address, home).kill_on_drop(true);
    command
}

fn at_home<'c>(command: &'c mut Command, address: &str, home: &Path) -> &'c mut Command {
    for variable in
        ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "CAUSEWAY_CONTEXT", "CAUSEWAY_TOKEN", "NO_COLOR"]
    {
        command.env_remove(variable);
    }
    command.current_dir(home).env("CAUSEWAY_ADDRESS", address).env("HOME", home)
}
