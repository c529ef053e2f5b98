//! `causeway cancel`, `abandon`, `pause`, `resume`, `retry` and `delete`: what is asked of a workflow as a whole. Those that can't be
//! taken back show what they do, and ask; on a terminal only.

use causeway_proto::v1::Workflow;
use clap::Args;

use super::watch::conclude;
use super::{CommandError, Named};
use crate::cli::follow::Follow;
use crate::cli::{Exit, Session, render, resolve, values};
use crate::client::Client;
use crate::error::Error;
use crate::retry::Patience;
use crate::verbs::Ask;

/// What is said with every verb.
#[derive(Debug, Args)]
pub struct Saying {
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = values::reason)]
    reason: String,
    /// Only if the workflow still has this etag
    #[arg(long, value_name = "ETAG", value_parser = values::opaque)]
    etag: Option<String>,
    /// Repeat a call whose answer was lost: the request id that it printed
    #[arg(long, value_name = "ID", value_parser = values::request_id)]
    request_id: Option<String>,
}

/// Whether to wait for what follows.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Wait until it ends or needs a person; the exit code says how it ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Waiting {
    /// Whether to wait at all.
    pub(super) fn wait(&self) -> bool {
        self.wait
    }

    /// How to wait.
    pub(super) fn follow(&self) -> &Follow {
        &self.follow
    }

    /// # Errors
    /// Where it says how to wait, and not to.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        self.follow.goes_with(self.wait)
    }
}

/// Which workflow, and why.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    saying: Saying,
    #[command(flatten)]
    waiting: Waiting,
}

/// Which workflow, and why; on a terminal it is asked for once more.
#[derive(Debug, Args)]
pub struct Grave {
    #[command(flatten)]
    arguments: Arguments,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

/// Which workflow to delete, and why; on a terminal it is asked for once more.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    saying: Saying,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

impl Saying {
    /// What is sent: with a request id of its own, so that it can be told where no answer comes.
    pub(super) fn ask(&self) -> Ask {
        let request_id = self.request_id.clone();
        Ask {
            reason: self.reason.clone(),
            etag: self.etag.clone().unwrap_or_default(),
            request_id: request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        }
    }

    /// For verbs that a person has to give a reason for; on a terminal it is asked for.
    pub(super) fn reasoned(
        &self,
        session: &mut Session<'_>,
        verb: &str,
    ) -> Result<Ask, CommandError> {
        let mut ask = self.ask();
        if ask.reason.trim().is_empty() && session.console.interactive {
            ask.reason = session.console.answer("Why?");
        }
        if ask.reason.trim().is_empty() {
            let why = format!("{verb} needs --reason TEXT: it is kept in the history");
            return Err(CommandError::Usage(why));
        }
        Ok(ask)
    }
}

pub(crate) async fn cancel(session: &mut Session<'_>, grave: &Grave) -> Result<Exit, CommandError> {
    grave.arguments.waiting.check()?;
    let (client, seen) = seen(session, &grave.arguments.named).await?;
    let question = "Everything that it did will be undone. Cancel it?";
    agree(session, &seen, question, grave.yes)?;
    let ask = grave.arguments.saying.ask();
    let answer = client.cancel(&seen.id, ask.clone()).await;
    done(session, &client, (answer, &ask), &grave.arguments.waiting).await
}

pub(crate) async fn abandon(
    session: &mut Session<'_>,
    grave: &Grave,
) -> Result<Exit, CommandError> {
    grave.arguments.waiting.check()?;
    let (client, seen) = seen(session, &grave.arguments.named).await?;
    let question =
        "It ends here. What it made stays in the world, and nobody undoes it any more. Abandon it?";
    agree(session, &seen, question, grave.yes)?;
    let ask = grave.arguments.saying.reasoned(session, "abandon")?;
    let answer = client.abandon(&seen.id, ask.clone()).await;
    done(session, &client, (answer, &ask), &grave.arguments.waiting).await
}

pub(crate) async fn pause(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    arguments.waiting.check()?;
    let (client, seen) = seen(session, &arguments.named).await?;
    let ask = arguments.saying.ask();
    let answer = client.pause(&seen.id, ask.clone()).await;
    done(session, &client, (answer, &ask), &arguments.waiting).await
}

pub(crate) async fn resume(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    arguments.waiting.check()?;
    let (client, seen) = seen(session, &arguments.named).await?;
    let ask = arguments.saying.ask();
    let answer = client.resume(&seen.id, ask.clone()).await;
    done(session, &client, (answer, &ask), &arguments.waiting).await
}

pub(crate) async fn retry(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    arguments.waiting.check()?;
    let (client, seen) = seen(session, &arguments.named).await?;
    let ask = arguments.saying.ask();
    let answer = client.retry(&seen.id, ask.clone()).await;
    done(session, &client, (answer, &ask), &arguments.waiting).await
}

pub(crate) async fn delete(
    session: &mut Session<'_>,
    delete: &Delete,
) -> Result<Exit, CommandError> {
    let (client, seen) = match seen(session, &delete.named).await {
        // Who repeats a deletion finds nothing any more; the daemon knows whether it was this one.
        Err(error) if delete.repeats(&error) => {
            let client = session.client()?.with_patience(Patience::default());
            let id = delete.named.id.trim_start_matches("workflows/").to_owned();
            let name = causeway_proto::names::workflow(&id);
            (client, Workflow { name, id, ..Workflow::default() })
        }
        found => found?,
    };
    if !seen.definition.is_empty() {
        let question = "Its history goes for good; the record of its cluster stays. Delete it?";
        agree(session, &seen, question, delete.yes)?;
    }
    let ask = delete.saying.ask();
    let answer = client.delete(&seen.id, ask.clone()).await;
    answered(session, answer, &ask)?;
    session.print_one(&seen, &seen.name, |_| format!("{} is deleted", seen.name))?;
    Ok(Exit::Done)
}

impl Delete {
    fn repeats(&self, error: &CommandError) -> bool {
        let gone = match error {
            CommandError::NotFound(_) => true,
            CommandError::Client(Error::Api(error)) => error.code == tonic::Code::NotFound,
            _ => false,
        };
        gone && self.saying.request_id.is_some()
    }
}

/// The workflow that is meant, and a client with the patience of one who changes something.
pub(super) async fn seen(
    session: &Session<'_>,
    named: &Named,
) -> Result<(Client, Workflow), CommandError> {
    let client = session.client()?;
    let seen = resolve::workflow(&client, &session.context, &named.id).await?;
    Ok((client.with_patience(Patience::default()), seen))
}

/// On a terminal: shows the workflow and what it has made, and asks.
fn agree(
    session: &mut Session<'_>,
    seen: &Workflow,
    question: &str,
    yes: bool,
) -> Result<(), CommandError> {
    if !session.console.interactive || yes {
        return Ok(());
    }
    session.console.say(&format!("{}  {}", seen.id, render::step::headline(seen)));
    for line in render::stuck::made(seen) {
        session.console.say(&format!("  {line}"));
    }
    if session.console.agrees(question) { Ok(()) } else { Err(CommandError::Declined) }
}

/// The answer; where none came, it says how the call can be repeated.
fn answered<T>(
    session: &mut Session<'_>,
    answer: Result<T, Error>,
    ask: &Ask,
) -> Result<T, CommandError> {
    if let Err(Error::Unreachable { .. }) = &answer {
        let id = &ask.request_id;
        let hint = "whether it was done is unknown; the same command does it at most once with";
        session.console.say(&format!("{hint} --request-id {id}"));
    }
    Ok(answer?)
}

/// Prints the workflow as it now is, or waits for what follows.
pub(super) async fn done(
    session: &mut Session<'_>,
    client: &Client,
    (answer, ask): (Result<Workflow, Error>, &Ask),
    waiting: &Waiting,
) -> Result<Exit, CommandError> {
    let workflow = answered(session, answer, ask)?;
    if waiting.wait {
        return conclude(session, client, &workflow.id, &waiting.follow).await;
    }
    session.print_one(&workflow, &workflow.name, |style| {
        let mut text = render::workflow::list(std::slice::from_ref(&workflow), style);
        if causeway_proto::v1::workflow::State::Abandoned == workflow.state() {
            text = format!("{text}\n\n{}", render::stuck::left(&workflow, style));
        }
        text
    })?;
    Ok(Exit::Done)
}
