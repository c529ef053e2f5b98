//! `causeway connections`: the cloud accounts that the daemon may work in.

use clap::{Args, Subcommand};

use super::CommandError;
use crate::cli::{Exit, Session, render};

/// What to do with connections.
#[derive(Debug, Args)]
pub struct Arguments {
    /// `None` lists them: there is nothing else to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What can be done with connections.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// All connections, which is also what no subcommand does
    List,
}

pub(crate) async fn run(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let connections = session.client()?.connections().await?;
    let table = |style| render::cluster::connections(&connections, style);
    session.print_many(&connections, |connection| connection.name.clone(), table)?;
    Ok(Exit::Done)
}
