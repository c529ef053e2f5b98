//! `causeway validate`: an input file, as far as it can be checked without a daemon: names, types, lengths.

use clap::Args;

use super::CommandError;
use crate::cli::input::File;
use crate::cli::{Exit, Session};

/// What to check.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    file: File,
}

pub(crate) fn run(session: &mut Session<'_>, arguments: &Arguments) -> Result<Exit, CommandError> {
    arguments.file.read()?;
    session.console.say(
        "every field is known and of the right type; causeway plan checks the rest, on the daemon",
    );
    Ok(Exit::Done)
}
