//! Entry point of the sandbox: the hidden stages of instances first, while there is one thread, then the commands.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match causeway_sandbox::instances::run_hidden(&args) {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::from(commands::main()),
    }
}
