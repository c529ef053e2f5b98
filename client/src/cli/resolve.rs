//! What a person may type for a workflow: the resource name, the id, the beginning of an id, or `@last`.

use causeway_proto::names;
use causeway_proto::reasons::WORKFLOW_NOT_FOUND;
use causeway_proto::v1::{ListWorkflowsRequest, Workflow};

use super::commands::CommandError;
use super::context::Context;
use crate::client::Client;
use crate::error::Error;

/// How many of the newest workflows a prefix is looked for in.
const PREFIX_SEARCH: usize = 5000;

/// Finds the workflow that is meant.
pub(super) async fn workflow(
    client: &Client,
    context: &Context,
    typed: &str,
) -> Result<Workflow, CommandError> {
    if typed == "@last" {
        let last = context.last();
        let last = last.ok_or_else(|| {
            CommandError::NotFound("nothing was started here yet, so there is no @last".to_owned())
        })?;
        return Ok(client.get(&last).await?);
    }
    let Some(id) =
        names::workflow_id(typed).or_else(|| typed.strip_suffix('-').filter(|id| names::is_id(id)))
    else {
        return Err(CommandError::Usage(format!(
            "{typed:?} is no workflow: expected an id, the beginning of one, workflows/ID, or @last"
        )));
    };
    match client.get(id).await {
        Err(Error::Api(error)) if error.reason == WORKFLOW_NOT_FOUND => by_prefix(client, id).await,
        answer => Ok(answer?),
    }
}

async fn by_prefix(client: &Client, prefix: &str) -> Result<Workflow, CommandError> {
    let mut request = ListWorkflowsRequest { page_size: 1000, ..ListWorkflowsRequest::default() };
    let (mut matching, mut seen): (Vec<String>, usize) = (Vec::new(), 0);
    loop {
        let page = client.list(request.clone()).await?;
        seen += page.workflows.len();
        matching.extend(
            page.workflows
                .into_iter()
                .map(|workflow| workflow.id)
                .filter(|id| id.starts_with(prefix)),
        );
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || seen >= PREFIX_SEARCH || matching.len() > 1 {
            break;
        }
    }
    match matching.as_slice() {
        [] => Err(CommandError::NotFound(format!(
            "there is no workflow {prefix}; causeway list shows those that there are"
        ))),
        [id] => Ok(client.get(id).await?),
        [first, second, ..] => Err(CommandError::Usage(format!(
            "{prefix} is the beginning of several workflows: {first}, {second}, …; type more of it"
        ))),
    }
}
