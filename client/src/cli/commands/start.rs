//! `causeway start`: starts what an input file describes, and waits for it if asked to.

use causeway_proto::v1::{StartWorkflowRequest, Workflow};
use clap::Args;

use super::CommandError;
use super::watch::conclude;
use crate::cli::follow::Follow;
use crate::cli::input::File;
use crate::cli::output::Style;
use crate::cli::{Exit, Session, values};
use crate::retry::Patience;

/// What to start, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    file: File,
    /// Wait until it ends or needs a person; the exit code says how it ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    follow: Follow,
    /// Id of the workflow [default: chosen by the daemon]
    #[arg(long, value_name = "ID", value_parser = values::workflow_id)]
    workflow_id: Option<String>,
    /// Label of the workflow; may be repeated
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = values::label)]
    labels: Vec<(String, String)>,
    /// Repeat a start whose answer was lost: the request id that it printed
    #[arg(long, value_name = "ID", value_parser = values::request_id)]
    request_id: Option<String>,
    /// Digest of a plan: start only if the world is still as the plan saw it
    #[arg(long, value_name = "DIGEST", value_parser = values::opaque)]
    plan: Option<String>,
}

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: Arguments,
) -> Result<Exit, CommandError> {
    arguments.follow.goes_with(arguments.wait)?;
    let mut request = arguments.file.read()?;
    request.workflow_id = arguments.workflow_id.unwrap_or_default();
    request.labels = arguments.labels.into_iter().collect();
    request.plan_digest = arguments.plan.unwrap_or_default();
    request.request_id = arguments.request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    begin(session, request, arguments.wait.then_some(&arguments.follow)).await
}

/// Starts what the request says, remembers it as the last, and waits for it if that is said. The request has an id.
pub(super) async fn begin(
    session: &mut Session<'_>,
    request: StartWorkflowRequest,
    wait: Option<&Follow>,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    // Before it is sent: it is needed exactly where no answer comes.
    session.console.say(&format!("request id: {}", request.request_id));
    let workflow = client.clone().with_patience(Patience::default()).start(request).await?;
    if let Err(error) = session.context.remember(&workflow.id) {
        session.console.say(&format!("warning: @last was not kept: {error}"));
    }
    if let Some(how) = wait {
        return conclude(session, &client, &workflow.id, how).await;
    }
    let name = workflow.name.clone();
    session.print_one(&workflow, &name, |style| started(&workflow, style))?;
    if session.format.is_table() {
        session.console.say(&format!("follow it: causeway watch {}", workflow.id));
    }
    Ok(Exit::Done)
}

fn started(workflow: &Workflow, style: Style) -> String {
    crate::cli::render::workflow::list(std::slice::from_ref(workflow), style)
}
