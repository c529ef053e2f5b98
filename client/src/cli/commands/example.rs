//! `causeway example`: an input file to begin with.

use clap::Args;

use super::CommandError;
use crate::cli::{Exit, Session};

/// The guide's cluster, with what has no default.
pub(crate) const SHORT: &str = include_str!("../../../../deploy/examples/hybrid-cluster.yaml");
/// Every field.
pub(crate) const FULL: &str = include_str!("../../../../deploy/examples/hybrid-cluster-full.yaml");

/// What to print.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Every field, with its default
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(session: &mut Session<'_>, arguments: &Arguments) -> Result<Exit, CommandError> {
    session.console.print(if arguments.full { FULL } else { SHORT })?;
    Ok(Exit::Done)
}
