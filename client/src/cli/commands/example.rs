//! `causeway example`: an input file to begin with.

use causeway_proto::names;
use clap::Args;
use serde_json::Value;

use super::CommandError;
use crate::cli::output::Format;
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
    let text = if arguments.full { FULL } else { SHORT };
    // It is YAML as it stands, and its comments are half of it.
    if matches!(session.format, Format::Yaml) {
        session.console.print(text)?;
        return Ok(Exit::Done);
    }
    let document: Value = serde_saphyr::from_str(text).expect("a test reads both examples");
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    let name = names::hybrid_cluster(name);
    session.print_document(&document, &name, |_| text.to_owned())?;
    Ok(Exit::Done)
}
