//! `causeway list`: workflows, newest first.

use causeway_proto::v1::ListWorkflowsRequest;
use clap::Args;

use super::CommandError;
use crate::cli::{Exit, Session, render, values};

/// Which, and how many.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Such as: state=RUNNING AND labels.team=edge
    #[arg(long, value_name = "FILTER", default_value = "", value_parser = values::filter)]
    filter: String,
    /// At most this many; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Go on where a list with the same filter ended: the token that it printed
    #[arg(long, value_name = "TOKEN", value_parser = values::opaque)]
    page_token: Option<String>,
}

/// The most that is asked for at once.
const PAGE: usize = 500;

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: Arguments,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let mut request = ListWorkflowsRequest {
        filter: arguments.filter,
        page_token: arguments.page_token.unwrap_or_default(),
        ..ListWorkflowsRequest::default()
    };
    let mut workflows = Vec::new();
    loop {
        // Bounded by PAGE, so it always fits.
        request.page_size = i32::try_from((limit - workflows.len()).min(PAGE)).unwrap_or(i32::MAX);
        let page = client.list(request.clone()).await?;
        workflows.extend(page.workflows);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || workflows.len() >= limit {
            break;
        }
    }
    workflows.truncate(limit);
    session.print_many(
        &workflows,
        |workflow| workflow.name.clone(),
        |style| render::workflow::list(&workflows, style),
    )?;
    if !request.page_token.is_empty() {
        let token = &request.page_token;
        let more = format!("there are more: --page-token {token} goes on, --limit 0 shows all");
        session.console.say(&more);
    }
    Ok(Exit::Done)
}
