//! Entry point of the sandbox: the hidden stages of instances first, while there is one thread, then the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(code) = causeway_sandbox::instances::run_hidden(&args) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    ExitCode::SUCCESS
}
