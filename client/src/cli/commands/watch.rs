//! `causeway watch`: follows a workflow to where it ends or rests.

use clap::Args;

use super::{CommandError, Named};
use crate::Client;
use crate::cli::follow::{Follow, follow};
use crate::cli::render::workflow::{describe, outcome};
use crate::cli::{Exit, Session, progress, resolve};
use crate::retry::Patience;

/// What to follow, and for how long.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    follow: Follow,
}

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let workflow = resolve::workflow(&client, &session.context, &arguments.named.id).await?;
    conclude(session, &client, &workflow.id, &arguments.follow).await
}

/// Follows a workflow, and prints it once it ends or rests.
pub(super) async fn conclude(
    session: &mut Session<'_>,
    client: &Client,
    id: &str,
    how: &Follow,
) -> Result<Exit, CommandError> {
    let followed = {
        let mut progress = progress::for_console(session.console);
        let patient = client.clone().with_patience(Patience::LONG);
        follow(&patient, id, how, &mut *progress).await?
    };
    match &followed.workflow {
        Some(workflow) => {
            // A person who has just seen all steps in the picture need not see them again.
            let seen = session.console.live && session.console.out_terminal;
            let text = if seen { outcome } else { describe };
            session.print_one(workflow, &workflow.name, |style| text(workflow, style))?
        }
        None => {
            let why = if followed.exit == Exit::TimedOut {
                "the time for waiting is over"
            } else {
                "detached"
            };
            session.console.say(&format!("{why}; the workflow goes on: causeway watch {id}"));
        }
    }
    Ok(followed.exit)
}
