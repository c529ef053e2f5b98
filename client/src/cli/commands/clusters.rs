//! `causeway clusters`: the records of what was built.

use causeway_proto::input;
use clap::Subcommand;

use super::CommandError;
use crate::cli::output::Format;
use crate::cli::{Exit, Session, render};

/// What can be done with records.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// All records
    List,
    /// One record; with --input as the file that would build it again
    Get {
        /// metadata.name, hybridClusters/NAME, or the id of the registered cluster
        #[arg(value_name = "CLUSTER")]
        name: String,
        /// Only what an input file needs
        #[arg(long)]
        input: bool,
    },
    /// Whether one is still as it was built; exits with 11 where it is not
    Verify {
        /// metadata.name, hybridClusters/NAME, or the id of the registered cluster
        #[arg(value_name = "CLUSTER")]
        name: String,
    },
    /// Take one down: undo what its build did
    Teardown(super::teardown::Arguments),
}

pub(crate) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, CommandError> {
    let client = session.client()?;
    match verb {
        Verb::List => {
            let clusters = client.list_clusters().await?;
            let name = |cluster: &causeway_proto::v1::HybridCluster| cluster.name.clone();
            session.print_many(&clusters, name, |style| render::cluster::list(&clusters, style))?;
        }
        Verb::Get { name, input: true } => {
            let file = input::from_record(&client.cluster(&name).await?);
            // An input file is a document: a table of it would be no input.
            if session.format.is_table() {
                session.format = Format::Yaml;
            }
            session.print_one(&file, &name, |_| String::new())?;
        }
        Verb::Verify { name } => {
            let found = client.verify_cluster(&name).await?;
            session.print_one(&found, &found.name, |style| {
                render::teardown::verified(&found, style)
            })?;
            return Ok(match (found.drifts, found.unread) {
                (0, 0) => Exit::Done,
                (0, _) => Exit::Other,
                _ => Exit::Differences,
            });
        }
        Verb::Teardown(arguments) => return super::teardown::run(session, &arguments).await,
        Verb::Get { name, input: false } => {
            let cluster = client.cluster(&name).await?;
            session.print_one(&cluster, &cluster.name, |style| {
                render::cluster::describe(&cluster, style)
            })?;
        }
    }
    Ok(Exit::Done)
}
