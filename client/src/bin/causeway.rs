//! The program `causeway`: everything is in the library, so that it can be tested there.

use std::process::ExitCode;

use causeway_client::cli;

fn main() -> ExitCode {
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(cli::run(arguments, &mut cli::Console::standard())).into(),
        Err(error) => {
            eprintln!("error: the system gives no event loop: {error}");
            cli::Exit::Other.into()
        }
    }
}
