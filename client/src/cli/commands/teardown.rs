//! `causeway teardown`: shows what taking a cluster down would undo, asks on a terminal, and starts it.

use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::{StartWorkflowRequest, TeardownSpec};
use causeway_proto::{names, reasons};
use clap::Args;

use super::CommandError;
use super::start::begin;
use super::steer::Waiting;
use crate::cli::output::Style;
use crate::cli::{Exit, Session, render, values};
use crate::client::Client;
use crate::error::Error;
use crate::plan::plan_of;

/// What to take down, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// metadata.name, hybridClusters/NAME, or the id of the registered cluster
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// Only show what would be undone
    #[arg(long, conflicts_with_all = ["yes", "wait", "request_id", "plan"])]
    dry_run: bool,
    /// Let the record go even where something is kept because it is in use
    #[arg(long)]
    forget: bool,
    /// Digest of a --dry-run: begin only if the world is still as it saw it
    #[arg(long, value_name = "DIGEST", value_parser = values::opaque)]
    plan: Option<String>,
    /// Repeat a call whose answer was lost: the request id that it printed
    #[arg(long, value_name = "ID", value_parser = values::request_id)]
    request_id: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

impl Arguments {
    fn request(&self) -> Result<StartWorkflowRequest, CommandError> {
        let Some(name) = names::hybrid_cluster_name(&self.cluster) else {
            let shown = causeway_proto::json::shown(&self.cluster);
            let why =
                format!("{shown} is no name of a cluster; `causeway clusters list` shows them");
            return Err(CommandError::Usage(why));
        };
        let hybrid_cluster = names::hybrid_cluster(name);
        Ok(StartWorkflowRequest {
            spec: Some(Spec::Teardown(TeardownSpec { hybrid_cluster, forget: self.forget })),
            plan_digest: self.plan.clone().unwrap_or_default(),
            request_id: self.request_id.clone().unwrap_or_default(),
            ..StartWorkflowRequest::default()
        })
    }
}

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    arguments.waiting.check()?;
    let mut request = arguments.request()?;
    let client = session.client()?;
    if arguments.dry_run {
        let plan = client.plan(plan_of(request)).await?;
        session.print_one(&plan, &plan.digest, |style| {
            render::teardown::planned(&plan, &arguments.cluster, arguments.forget, style)
        })?;
        return Ok(if plan.digest.is_empty() { Exit::Other } else { Exit::Done });
    }
    let repeats = !request.request_id.is_empty();
    match agree(session, &client, arguments, &request).await {
        // Who repeats a call finds no record any more where it was done; the daemon knows whether it was this one.
        Err(CommandError::Client(Error::Api(error)))
            if repeats && error.reason == reasons::HYBRID_CLUSTER_NOT_FOUND => {}
        agreed => agreed?,
    }
    if !repeats {
        request.request_id = uuid::Uuid::new_v4().to_string();
    }
    let waiting = &arguments.waiting;
    begin(session, request, waiting.wait().then(|| waiting.follow())).await
}

/// Shows what would be undone; on a terminal it asks.
async fn agree(
    session: &mut Session<'_>,
    client: &Client,
    arguments: &Arguments,
    request: &StartWorkflowRequest,
) -> Result<(), CommandError> {
    let plan = client.plan(plan_of(request.clone())).await?;
    let style = Style { color: session.console.err_color, wide: false };
    session.console.say(render::teardown::undoing(&plan, style).trim_end());
    let question = "From its first undo on it can't be cancelled any more. Take the cluster down?";
    if session.console.interactive && !arguments.yes && !session.console.agrees(question) {
        return Err(CommandError::Declined);
    }
    Ok(())
}
