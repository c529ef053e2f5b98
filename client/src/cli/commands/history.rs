//! `causeway history`: everything that happened in a workflow, oldest first.

use clap::Args;

use super::{CommandError, Named};
use crate::cli::{Exit, Session, progress, resolve};

/// Whose.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
}

/// Events per call.
const PAGE: i32 = 500;

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let workflow = resolve::workflow(&client, &session.context, &arguments.named.id).await?;
    let (mut events, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.events(&workflow.id, PAGE, &token).await?;
        events.extend(page.events);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let table = |_| events.iter().map(progress::event_line).collect::<Vec<_>>().join("\n");
    session.print_many(
        &events,
        |event| format!("{}/events/{}", event.workflow, event.sequence),
        table,
    )?;
    Ok(Exit::Done)
}
