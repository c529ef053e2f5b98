//! `causeway approve` and `causeway deny`: a person decides on what they are shown, and on nothing newer.

use causeway_proto::v1::Workflow;
use clap::Args;

use super::{CommandError, Named};
use crate::cli::{Exit, Session, render, resolve};
use crate::client::Client;
use crate::retry::Patience;

/// Which gate, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    /// The gate, as `describe` shows it
    #[arg(value_name = "STEP")]
    step: String,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn approve(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let (client, seen) = shown(session, arguments, "Approve it?").await?;
    let decided = client.approve(&seen.id, &arguments.step, &seen.etag, &arguments.reason).await?;
    print(session, &decided)
}

pub(crate) async fn deny(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let question = "Everything that it did will be undone. Deny it?";
    let (client, seen) = shown(session, arguments, question).await?;
    let decided = client.deny(&seen.id, &arguments.step, &seen.etag, &arguments.reason).await?;
    print(session, &decided)
}

/// Shows what is decided on, and asks on a terminal. The workflow carries the etag of just what was shown.
async fn shown(
    session: &mut Session<'_>,
    arguments: &Arguments,
    question: &str,
) -> Result<(Client, Workflow), CommandError> {
    let client = session.client()?;
    let seen = resolve::workflow(&client, &session.context, &arguments.named.id).await?;
    session.console.say(&format!("{}  {}", seen.id, render::step::headline(&seen)));
    if session.console.interactive && !arguments.yes && !session.console.agrees(question) {
        return Err(CommandError::Declined);
    }
    Ok((client.with_patience(Patience::default()), seen))
}

fn print(session: &mut Session<'_>, decided: &Workflow) -> Result<Exit, CommandError> {
    session.print_one(decided, &decided.name, |style| {
        render::workflow::list(std::slice::from_ref(decided), style)
    })?;
    Ok(Exit::Done)
}
