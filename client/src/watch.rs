//! Following one workflow, across broken connections and restarts of the daemon: the stream is taken up again at the cursor of
//! the last message, so that nothing is missed and nothing comes twice.

use causeway_proto::reasons;
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{WatchWorkflowRequest, WatchWorkflowResponse};
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::client::Client;
use crate::error::{ApiError, Error};
use crate::retry::Attempts;

/// A workflow that is followed.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    name: String,
    cursor: String,
    stream: Option<Streaming<WatchWorkflowResponse>>,
    /// The stream has brought a message.
    told: bool,
    attempts: Attempts,
    /// Not to be tried again sooner: also where the one that waited was dropped.
    rests_until: Option<Instant>,
    /// Whether the daemon answers.
    answers: Sender<bool>,
    /// The last message told of the end.
    ended: bool,
}

impl Watch {
    pub(crate) fn new(client: Client, name: String, cursor: String) -> Self {
        let attempts = Attempts::new(client.patience());
        let answers = Sender::new(true);
        let (stream, told, rests_until, ended) = (None, false, None, false);
        Self { client, name, cursor, stream, told, attempts, rests_until, answers, ended }
    }

    /// Whether the daemon answers, for whoever shows it: `false` from a broken connection to the next message.
    #[must_use]
    pub fn answers(&self) -> Receiver<bool> {
        self.answers.subscribe()
    }

    /// Where another watch would go on after the last message.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next message; `None` after the one that told of the workflow's end or deletion. A snapshot may come again where the
    /// daemon no longer knows the cursor: it replaces what was known.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Unreachable`] once patience is at its end; [`Error::Api`] where the daemon refuses.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        while !self.ended {
            match self.receive().await {
                Ok(Some(response)) => {
                    self.attempts.succeeded();
                    self.answers.send_if_modified(|answers| !std::mem::replace(answers, true));
                    self.told = true;
                    self.cursor = response.cursor;
                    // A message of a kind that this version does not know still moves the cursor.
                    let Some(message) = response.message else { continue };
                    self.ended = tells_of_the_end(&message);
                    return Ok(Some(message));
                }
                // The cursor is that of the end already: there is nothing to tell.
                Ok(None) if !self.told && self.is_over().await? => self.ended = true,
                // The daemon ended the stream without an end of the workflow: it is shutting down.
                Ok(None) => self.pause(&Status::unavailable("the daemon ended the stream"))?,
                Err(status) if is_expired(&status) && !self.cursor.is_empty() => {
                    self.stream = None;
                    self.cursor.clear();
                }
                Err(status) => self.pause(&status)?,
            }
        }
        Ok(None)
    }

    async fn receive(&mut self) -> Result<Option<WatchWorkflowResponse>, Status> {
        if let Some(until) = self.rests_until {
            tokio::time::sleep_until(until).await;
            self.rests_until = None;
        }
        if self.stream.is_none() {
            let request =
                WatchWorkflowRequest { name: self.name.clone(), cursor: self.cursor.clone() };
            self.stream = Some(self.client.workflows().watch_workflow(request).await?.into_inner());
            self.told = false;
        }
        match &mut self.stream {
            Some(stream) => stream.message().await,
            None => Ok(None),
        }
    }

    async fn is_over(&self) -> Result<bool, Error> {
        Ok(is_terminal(self.client.get(&self.name).await?.state()))
    }

    fn pause(&mut self, status: &Status) -> Result<(), Error> {
        self.stream = None;
        let wait = self.attempts.after(status);
        let wait = wait.ok_or_else(|| Error::from_status(self.client.address(), status))?;
        self.answers.send_if_modified(|answers| std::mem::replace(answers, false));
        self.rests_until = Some(Instant::now() + wait);
        Ok(())
    }
}

fn is_expired(status: &Status) -> bool {
    status.code() == tonic::Code::OutOfRange
        && ApiError::new(status).reason == reasons::CURSOR_EXPIRED
}

fn tells_of_the_end(message: &Message) -> bool {
    match message {
        Message::Snapshot(workflow) => is_terminal(workflow.state()),
        Message::Event(event) => is_terminal(event.state()),
        Message::Deleted(_) => true,
        Message::Heartbeat(_) => false,
    }
}

/// Whether a workflow in this state changes no more.
pub(crate) fn is_terminal(state: State) -> bool {
    matches!(
        state,
        State::Succeeded
            | State::Rejected
            | State::Compensated
            | State::Cancelled
            | State::Abandoned
    )
}
