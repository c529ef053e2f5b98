//! `causeway approve`, `deny` and `skip`: a person decides about a step on what they are shown, and on nothing newer.

use causeway_proto::v1::{ApproveStepRequest, Workflow};
use clap::Args;

use super::steer::{Saying, Waiting, done, seen};
use super::{CommandError, Named};
use crate::cli::{Exit, Session, render, values};
use crate::client::Client;
use crate::verbs::Ask;

/// Which step, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    /// The step, as `describe` shows it
    #[arg(value_name = "STEP", value_parser = values::step)]
    step: String,
    #[command(flatten)]
    saying: Saying,
    #[command(flatten)]
    waiting: Waiting,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn approve(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let (client, seen) = shown(session, arguments, "Approve it?").await?;
    let ask = bound(arguments.saying.ask(), &seen);
    let request = ApproveStepRequest {
        name: seen.name.clone(),
        step: arguments.step.clone(),
        reason: ask.reason.clone(),
        etag: ask.etag.clone(),
        plan_digest: seen.plan_digest.clone(),
        request_id: ask.request_id.clone(),
    };
    let answer = client.approve_step(request).await;
    done(session, &client, (answer, &ask), &arguments.waiting).await
}

pub(crate) async fn deny(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let question = "Everything that it did will be undone. Deny it?";
    let (client, seen) = shown(session, arguments, question).await?;
    let ask = bound(arguments.saying.ask(), &seen);
    let answer = client.deny(&seen.id, &arguments.step, ask.clone()).await;
    done(session, &client, (answer, &ask), &arguments.waiting).await
}

pub(crate) async fn skip(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let question = "The daemon looks at the world; what is still there then stays. Skip the step?";
    let (client, seen) = shown(session, arguments, question).await?;
    let ask = bound(arguments.saying.reasoned(session, "skip")?, &seen);
    let answer = client.skip(&seen.id, &arguments.step, ask.clone()).await;
    done(session, &client, (answer, &ask), &arguments.waiting).await
}

/// Shows what is decided on, and asks on a terminal. The workflow carries the etag of just what was shown.
async fn shown(
    session: &mut Session<'_>,
    arguments: &Arguments,
    question: &str,
) -> Result<(Client, Workflow), CommandError> {
    arguments.waiting.check()?;
    let (client, seen) = seen(session, &arguments.named).await?;
    session.console.say(&format!("{}  {}", seen.id, render::step::headline(&seen)));
    if session.console.interactive && !arguments.yes && !session.console.agrees(question) {
        return Err(CommandError::Declined);
    }
    Ok((client, seen))
}

/// Bound to the etag that was given, or else to what was shown just now.
fn bound(ask: Ask, seen: &Workflow) -> Ask {
    let etag = if ask.etag.is_empty() { seen.etag.clone() } else { ask.etag };
    Ask { etag, ..ask }
}
