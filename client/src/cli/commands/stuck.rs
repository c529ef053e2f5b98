//! `causeway stuck`: the on-call inbox: every workflow that waits for a person, why, what it has left in the world, and what to type.

use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{ListWorkflowsRequest, Workflow};
use clap::Args;

use super::CommandError;
use crate::cli::{Exit, Session, render, values};
use crate::client::Client;
use crate::error::Error;

/// Which of them.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only those that also match, such as: labels.team=edge
    #[arg(long, value_name = "FILTER", default_value = "", value_parser = values::filter)]
    filter: String,
}

/// The states that only a person ends, in the order in which they are worth a look.
const WAITING: [State; 4] =
    [State::Stuck, State::Quarantined, State::Paused, State::AwaitingApproval];
/// The most that is asked for at once.
const PAGE: i32 = 500;

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let mut waiting = Vec::new();
    for state in WAITING {
        waiting.extend(in_state(&client, state, &arguments.filter).await?);
    }
    if waiting.is_empty() && session.format.is_table() {
        session.console.say("nothing waits for a person");
        return Ok(Exit::Done);
    }
    session.print_many(
        &waiting,
        |workflow| workflow.name.clone(),
        |style| render::stuck::inbox(&waiting, style),
    )?;
    Ok(Exit::Done)
}

/// All workflows in that state, whole.
async fn in_state(
    client: &Client,
    state: State,
    filter: &str,
) -> Result<Vec<Workflow>, CommandError> {
    let own = format!("state={}", state.as_str_name());
    // In parentheses: it may have an OR.
    let filter = if filter.trim().is_empty() { own } else { format!("{own} AND ({filter})") };
    let mut request =
        ListWorkflowsRequest { filter, page_size: PAGE, ..ListWorkflowsRequest::default() };
    let mut found = Vec::new();
    loop {
        let page = client.list(request.clone()).await?;
        for listed in page.workflows {
            match client.get(&listed.id).await {
                // It may have moved on, or be gone, since it was listed.
                Ok(workflow) if workflow.state() == state => found.push(workflow),
                Ok(_) => {}
                Err(Error::Api(error)) if error.code == tonic::Code::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(found);
        }
    }
}
