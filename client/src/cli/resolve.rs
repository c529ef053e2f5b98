//! What a person may type for a workflow: the resource name, the id, the beginning of an id, or `@last`.

use causeway_proto::json::shown;
use causeway_proto::names;
use causeway_proto::reasons::WORKFLOW_NOT_FOUND;
use causeway_proto::v1::{ListWorkflowsRequest, Workflow};

use super::commands::CommandError;
use super::context::Context;
use crate::client::Client;
use crate::error::Error;

/// How many of the newest workflows a prefix is looked for in.
const PREFIX_SEARCH: usize = 5000;
/// How many are shown where a prefix fits several.
const SHOWN: usize = 10;

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
            "{} is no workflow: expected an id, the beginning of one, workflows/ID, or @last",
            shown(typed)
        )));
    };
    match client.get(id).await {
        Err(Error::Api(error)) if error.reason == WORKFLOW_NOT_FOUND => by_prefix(client, id).await,
        answer => Ok(answer?),
    }
}

async fn by_prefix(client: &Client, prefix: &str) -> Result<Workflow, CommandError> {
    let mut request = ListWorkflowsRequest { page_size: 1000, ..ListWorkflowsRequest::default() };
    let (mut matching, mut seen): (Vec<Workflow>, usize) = (Vec::new(), 0);
    loop {
        let page = client.list(request.clone()).await?;
        seen += page.workflows.len();
        let begins = |workflow: &Workflow| workflow.id.starts_with(prefix);
        matching.extend(page.workflows.into_iter().filter(begins));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || seen >= PREFIX_SEARCH || matching.len() > SHOWN {
            break;
        }
    }
    match matching.as_slice() {
        [] => Err(CommandError::NotFound(format!(
            "there is no workflow {prefix}; causeway list shows those that there are"
        ))),
        [only] => Ok(client.get(&only.id).await?),
        several => {
            let line = |workflow: &Workflow| {
                format!("\n  {}  {}", workflow.id, workflow.state().as_str_name())
            };
            let lines: String = several.iter().take(SHOWN).map(line).collect();
            let more = if several.len() > SHOWN { "\n  …" } else { "" };
            Err(CommandError::Usage(format!(
                "{prefix} is the beginning of several workflows; type more of it:{lines}{more}"
            )))
        }
    }
}
