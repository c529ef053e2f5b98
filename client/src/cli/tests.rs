//! The command line as a whole, against a daemon that follows a script.

mod fake;
mod flows;
mod formats;
mod parsing;
mod server;
mod steering;

use std::io::Write;
use std::sync::{Arc, Mutex};

use clap::Parser as _;

use super::context::Context;
use super::{Cli, Console, Exit, Session, commands, dispatch};

/// Bytes that a test reads afterwards.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a command did.
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

/// Runs a command line (without the program's name) against an address, with its state in a folder.
async fn run_at(address: &str, state: &std::path::Path, arguments: &[&str]) -> Ran {
    let cli = Cli::try_parse_from(std::iter::once(&"causeway").chain(arguments)).unwrap();
    let (out, err) = (Captured::default(), Captured::default());
    let mut console = Console::plain(Box::new(out.clone()), Box::new(err.clone()));
    let mut session = Session {
        console: &mut console,
        format: cli.global.output,
        context: Context::at(address, state),
    };
    let outcome = Box::pin(dispatch(cli.command, &mut session)).await;
    let exit = outcome.unwrap_or_else(|error: commands::CommandError| {
        console.say(&format!("error: {error}"));
        super::exit::of_error(&error)
    });
    Ran { exit, out: out.text(), err: err.text() }
}
