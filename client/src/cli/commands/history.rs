//! `causeway history`: everything that happened in a workflow, oldest first.

use clap::Args;

use super::{CommandError, Named};
use crate::cli::{Exit, Session, progress, resolve};

/// Whose.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    /// At most this many, the oldest first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: usize,
}

/// Events per call.
const PAGE: usize = 500;

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let workflow = resolve::workflow(&client, &session.context, &arguments.named.id).await?;
    let (mut events, mut token) = (Vec::new(), String::new());
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    loop {
        // Bounded by PAGE, so it always fits.
        let size = i32::try_from((limit - events.len()).min(PAGE)).unwrap_or(i32::MAX);
        let page = client.events(&workflow.id, size, &token).await?;
        events.extend(page.events);
        token = page.next_page_token;
        if token.is_empty() || events.len() >= limit {
            break;
        }
    }
    events.truncate(limit);
    let table = |_| events.iter().map(progress::event_line).collect::<Vec<_>>().join("\n");
    session.print_many(
        &events,
        |event| format!("{}/events/{}", event.workflow, event.sequence),
        table,
    )?;
    Ok(Exit::Done)
}
