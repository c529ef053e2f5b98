//! Waiting for a workflow: follows its events, shows progress, and says when it ends or needs a person.

use std::time::Duration;

use causeway_proto::v1::Workflow;
use causeway_proto::v1::watch_workflow_response::Message;
use clap::Args;
use tokio::time::{Instant, sleep_until, timeout};

use super::Exit;
use super::commands::CommandError;
use super::progress::Progress;
use crate::client::Client;
use crate::retry::Patience;

/// How often a live view is redrawn.
const REDRAW: Duration = Duration::from_millis(120);
/// How often a live view looks at the workflow while nothing happens: what it waits for may change without an event.
const REFRESH: Duration = Duration::from_secs(5);
/// How soon after the last look it is read again where something has happened.
const REFRESH_MIN: Duration = Duration::from_millis(250);
/// How long such a look may hold up the view.
const REFRESH_LIMIT: Duration = Duration::from_millis(500);

/// How to wait.
#[derive(Debug, Clone, Default, Args)]
pub struct Follow {
    /// Stop waiting after this time, such as 30m (exit code 6)
    #[arg(long, value_name = "DURATION", value_parser = causeway_proto::json::parse_duration)]
    pub timeout: Option<Duration>,
    /// Go on waiting where only a person can move it on
    #[arg(long)]
    pub wait_through: bool,
}

impl Follow {
    /// # Errors
    /// Where it says how to wait, and nobody waits.
    pub(super) fn goes_with(&self, wait: bool) -> Result<(), CommandError> {
        if wait || (self.timeout.is_none() && !self.wait_through) {
            return Ok(());
        }
        Err(CommandError::Usage("--timeout and --wait-through need --wait".to_owned()))
    }
}

/// How waiting ended.
#[derive(Debug)]
pub struct Followed {
    /// The code that says so.
    pub exit: Exit,
    /// The workflow as it then was; `None` where waiting was given up.
    pub workflow: Option<Workflow>,
}

/// Follows a workflow to where it ends or rests.
///
/// # Errors
/// Where the daemon can't be reached for longer than the client's patience, or refuses.
pub async fn follow(
    client: &Client,
    id: &str,
    how: &Follow,
    progress: &mut dyn Progress,
) -> Result<Followed, CommandError> {
    let mut watch = client.watch(id, "");
    let mut answers = watch.answers();
    let deadline = how.timeout.map(|timeout| Instant::now() + timeout);
    let mut view = View { read: Instant::now(), stale: false };
    let gave_up = |exit| Ok(Followed { exit, workflow: None });
    let mut redraw = Instant::now() + REDRAW;
    loop {
        let message = tokio::select! {
            biased;
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(CommandError::Output)?;
                progress.finish();
                return gave_up(Exit::Detached);
            }
            () = sleep_until(deadline.unwrap_or(redraw)), if deadline.is_some() => {
                progress.finish();
                return gave_up(Exit::TimedOut);
            }
            // Dropping `next` loses no message.
            message = watch.next() => message?,
            Ok(()) = answers.changed() => {
                if *answers.borrow_and_update() { progress.found() } else { progress.lost() }
                continue;
            }
            () = sleep_until(redraw), if progress.is_live() => {
                view.redraw(client, id, progress).await;
                redraw = Instant::now() + REDRAW;
                continue;
            }
        };
        let state_may_rest = match &message {
            Some(Message::Snapshot(workflow)) => {
                progress.snapshot(workflow);
                view.read = Instant::now();
                true
            }
            Some(Message::Event(event)) => {
                progress.event(event);
                view.stale = true;
                // The states in which nobody waits, whatever the steps do: read the workflow and see.
                let after = Workflow { state: event.state, ..Workflow::default() };
                Exit::of_workflow(&after, how.wait_through).is_some()
            }
            Some(Message::Heartbeat(_)) => false,
            Some(Message::Deleted(deleted)) => {
                progress.finish();
                return Err(CommandError::NotFound(format!("{} was deleted", deleted.name)));
            }
            None => true,
        };
        if !state_may_rest {
            continue;
        }
        let workflow = match message {
            Some(Message::Snapshot(workflow)) => workflow,
            _ => client.get(id).await?,
        };
        if let Some(exit) = Exit::of_workflow(&workflow, how.wait_through) {
            progress.snapshot(&workflow);
            progress.finish();
            return Ok(Followed { exit, workflow: Some(workflow) });
        }
    }
}

/// What a live view shows, and how old it is.
struct View {
    read: Instant,
    /// An event came since.
    stale: bool,
}

impl View {
    async fn redraw(&mut self, client: &Client, id: &str, progress: &mut dyn Progress) {
        let due = if self.stale { REFRESH_MIN } else { REFRESH };
        if self.read.elapsed() >= due {
            // A view that can't be refreshed now stays as it is: the watch says when the daemon is gone.
            let client = client.clone().with_patience(Patience::NONE);
            if let Ok(Ok(workflow)) = timeout(REFRESH_LIMIT, client.get(id)).await {
                progress.snapshot(&workflow);
                self.stale = false;
            }
            self.read = Instant::now();
        }
        progress.tick();
    }
}
