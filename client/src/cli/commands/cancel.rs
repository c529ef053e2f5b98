//! `causeway cancel`: turns a workflow to its undo.

use clap::Args;

use super::watch::conclude;
use super::{CommandError, Named};
use crate::cli::follow::Follow;
use crate::cli::{Exit, Session, render, resolve};
use crate::retry::Patience;

/// What to cancel, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
    /// Wait until everything is undone; the exit code says how it ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    follow: Follow,
}

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let workflow = resolve::workflow(&client, &session.context, &arguments.named.id).await?;
    if session.console.interactive && !arguments.yes {
        session.console.say(&format!("{}  {}", workflow.id, render::step::headline(&workflow)));
        if !session.console.agrees("Everything that it did will be undone. Cancel it?") {
            return Err(CommandError::Declined);
        }
    }
    let patient = client.clone().with_patience(Patience::default());
    let workflow = patient.cancel(&workflow.id, &arguments.reason).await?;
    if arguments.wait {
        return conclude(session, &client, &workflow.id, &arguments.follow).await;
    }
    session.print_one(&workflow, &workflow.name, |style| {
        render::workflow::list(std::slice::from_ref(&workflow), style)
    })?;
    Ok(Exit::Done)
}
