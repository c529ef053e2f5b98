//! Following one workflow, across broken connections and restarts of the daemon: the stream is taken up again at the cursor of
//! the last message, so that nothing is missed and nothing comes twice.

use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{WatchWorkflowRequest, WatchWorkflowResponse};
use tokio::sync::watch::Receiver;
use tonic::{Status, Streaming};

use crate::client::Client;
use crate::error::Error;
use crate::link::{Broken, Link};

/// A workflow that is followed.
#[derive(Debug)]
pub struct Watch {
    link: Link,
    name: String,
    cursor: String,
    stream: Option<Streaming<WatchWorkflowResponse>>,
    /// The stream has brought a message.
    told: bool,
    /// The last message told of the end.
    ended: bool,
}

impl Watch {
    pub(crate) fn new(client: Client, name: String, cursor: String) -> Self {
        Self { link: Link::new(client), name, cursor, stream: None, told: false, ended: false }
    }

    /// Whether the daemon answers, for whoever shows it: `false` from a broken connection to the next message.
    #[must_use]
    pub fn answers(&self) -> Receiver<bool> {
        self.link.answers()
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
            let broken = match self.receive().await {
                Ok(Some(response)) => {
                    self.link.told();
                    self.told = true;
                    self.cursor = response.cursor;
                    // A message of a kind that this version does not know still moves the cursor.
                    let Some(message) = response.message else { continue };
                    self.ended = tells_of_the_end(&message);
                    return Ok(Some(message));
                }
                // The cursor is that of the end already: there is nothing to tell.
                Ok(None) if !self.told && self.is_over().await? => {
                    self.ended = true;
                    continue;
                }
                Ok(None) => self.link.ended()?,
                Err(status) => self.link.broke(&status)?,
            };
            self.stream = None;
            if broken == Broken::Expired {
                self.cursor.clear();
            }
        }
        Ok(None)
    }

    async fn receive(&mut self) -> Result<Option<WatchWorkflowResponse>, Status> {
        self.link.rested().await;
        if self.stream.is_none() {
            let request =
                WatchWorkflowRequest { name: self.name.clone(), cursor: self.cursor.clone() };
            self.stream =
                Some(self.link.client.workflows().watch_workflow(request).await?.into_inner());
            self.told = false;
        }
        match &mut self.stream {
            Some(stream) => stream.message().await,
            None => Ok(None),
        }
    }

    async fn is_over(&self) -> Result<bool, Error> {
        Ok(is_terminal(self.link.client.get(&self.name).await?.state()))
    }
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
