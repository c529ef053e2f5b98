//! `causeway server`: the daemon itself.

use clap::Subcommand;

use super::CommandError;
use crate::cli::{Exit, Session, render};

/// What can be asked of the daemon.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Version, store, definitions and load
    Info,
}

pub(crate) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, CommandError> {
    match verb {
        Verb::Info => {
            let client = session.client()?;
            let info = client.server_info().await?;
            session
                .print_one(&info, client.address(), |style| render::server::info(&info, style))?;
        }
    }
    Ok(Exit::Done)
}
