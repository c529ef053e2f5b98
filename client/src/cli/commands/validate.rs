//! `causeway validate`: an input file, as far as it can be checked without a daemon: names, types, lengths.

use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::{input, names};
use clap::Args;
use serde_json::json;

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
    let request = arguments.file.read()?;
    let (kind, name) = match (&request.spec, &request.metadata) {
        (Some(Spec::HybridCluster(_)), Some(metadata)) => {
            (input::HYBRID_CLUSTER, names::hybrid_cluster(&metadata.name))
        }
        (Some(Spec::HybridCluster(_)), None) => (input::HYBRID_CLUSTER, String::new()),
        _ => (input::NOOP, String::new()),
    };
    let file = arguments.file.shown();
    let document = json!({"file": file, "kind": kind, "name": name, "valid": true});
    let words =
        "every field is known and of the right type; causeway plan checks the rest, on the daemon";
    session.print_document(&document, &name, |_| format!("{file}: {words}"))?;
    Ok(Exit::Done)
}
