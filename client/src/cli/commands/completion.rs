//! `causeway completion`: a completion script for a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use super::CommandError;
use crate::cli::{Cli, Exit, Session};

/// Which shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(session: &mut Session<'_>, arguments: &Arguments) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "causeway", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let shell = arguments.shell.to_string();
    let document = json!({"shell": shell, "script": script});
    session.print_document(&document, &shell, |_| script.clone())?;
    Ok(Exit::Done)
}
