//! Following all workflows that match a filter, across broken connections and restarts of the daemon.

use causeway_proto::v1::watch_workflows_response::Message;
use causeway_proto::v1::{WatchWorkflowsRequest, WatchWorkflowsResponse, Workflow, WorkflowEvent};
use tokio::sync::watch::Receiver;
use tonic::{Status, Streaming};

use crate::client::Client;
use crate::error::Error;
use crate::link::{Broken, Link};

/// What a [`WatchAll`] tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The daemon can't say any more what has changed since the last message: forget what was told so far. Snapshots of all that
    /// match follow.
    Forget,
    /// A workflow as it is: one of the first, or one that has come to match. It replaces what was known of it.
    Snapshot(Box<Workflow>),
    /// An event of a workflow that was told of. Where its state no longer matches, it is the last one of it.
    Event(Box<WorkflowEvent>),
    /// The workflow of that name was deleted, whether or not it matched.
    Deleted(String),
    /// Nothing happened for a while. The cursor has moved on all the same.
    Alive,
}

/// Workflows that are followed.
///
/// Whoever keeps a copy of what there is saves [`WatchAll::cursor`] with it, after each change, and goes on there.
#[derive(Debug)]
pub struct WatchAll {
    link: Link,
    filter: String,
    cursor: String,
    stream: Option<Streaming<WatchWorkflowsResponse>>,
    /// It is to be told that all has to be forgotten.
    forget: bool,
}

impl Client {
    /// Follows all workflows that match a filter, as `causeway list --filter` takes it; the empty one matches all. An empty
    /// cursor begins with snapshots. Connects at the first [`WatchAll::next`].
    ///
    /// ```no_run
    /// use std::collections::BTreeMap;
    ///
    /// use causeway_client::{Address, Change, Client, Error, Options};
    ///
    /// # async fn example() -> Result<(), Error> {
    /// let address: Address = "http://127.0.0.1:7443".parse()?;
    /// let client = Client::new(&Options::new(address))?;
    /// let mut states = BTreeMap::new();
    /// let mut watch = client.watch_all("type=hybrid-cluster AND labels.team=edge", "");
    /// loop {
    ///     match watch.next().await? {
    ///         Change::Forget => states.clear(),
    ///         Change::Snapshot(workflow) => {
    ///             let state = workflow.state();
    ///             states.insert(workflow.name, state);
    ///         }
    ///         Change::Event(event) => {
    ///             let state = event.state();
    ///             states.insert(event.workflow, state);
    ///         }
    ///         Change::Deleted(name) => drop(states.remove(&name)),
    ///         Change::Alive => println!("{states:?} as of {}", watch.cursor()),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn watch_all(&self, filter: &str, cursor: &str) -> WatchAll {
        WatchAll {
            link: Link::new(self.clone()),
            filter: filter.to_owned(),
            cursor: cursor.to_owned(),
            stream: None,
            forget: false,
        }
    }
}

impl WatchAll {
    /// Where another watch with the same filter would go on after the last change.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Whether the daemon answers, for whoever shows it: `false` from a broken connection to the next message.
    #[must_use]
    pub fn answers(&self) -> Receiver<bool> {
        self.link.answers()
    }

    /// The next change. It never ends by itself: a daemon that comes back within the client's patience is followed on, from
    /// the last cursor; so is one that has cut us off as we were slow.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Unreachable`] once patience is at its end; [`Error::Api`] where the daemon refuses: `INVALID_FIELD` for the
    /// filter, and all others.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if std::mem::take(&mut self.forget) {
                return Ok(Change::Forget);
            }
            let broken = match self.receive().await {
                Ok(Some(response)) => {
                    self.link.told();
                    self.cursor = response.cursor;
                    // A message of a kind that this version does not know still moves the cursor.
                    let Some(message) = response.message else { continue };
                    return Ok(change(message));
                }
                Ok(None) => self.link.ended()?,
                Err(status) => self.link.broke(&status)?,
            };
            self.stream = None;
            if broken == Broken::Expired {
                self.forget = true;
                self.cursor.clear();
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<WatchWorkflowsResponse>, Status> {
        self.link.rested().await;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let (filter, cursor) = (self.filter.clone(), self.cursor.clone());
                let request = WatchWorkflowsRequest { filter, cursor };
                let opened = self.link.client.workflows().watch_workflows(request).await?;
                none.insert(opened.into_inner())
            }
        };
        stream.message().await
    }
}

fn change(message: Message) -> Change {
    match message {
        Message::Snapshot(workflow) => Change::Snapshot(Box::new(workflow)),
        Message::Event(event) => Change::Event(Box::new(event)),
        Message::Deleted(tombstone) => Change::Deleted(tombstone.name),
        Message::Heartbeat(_) => Change::Alive,
    }
}
