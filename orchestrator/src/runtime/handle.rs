//! What the API holds: cheap to clone, and all that callers may ask of the runtime.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use causeway_engine::event::By;
use causeway_engine::{Input, Record, Time, Verb, Workflow, WorkflowId};
use causeway_workflows::Connection;
use tokio::sync::{oneshot, watch};

use super::backup::Backup;
use super::cluster::ClusterRecord;
use super::draining::Drained;
use super::error::Error;
use super::owner::Mail;
use super::requests::Repeatable;
use super::start::StartRequest;
use super::summary::Summary;
use super::{Runtime, codec, salvage};
use crate::store::{self, Entry, PAGE_MAX};

/// Where a page of a list ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListToken(pub u64);

/// A line of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Where a page goes on after it.
    pub token: ListToken,
    /// What it shows; none where not even the workflow's id can be read.
    pub summary: Option<Summary>,
}

/// What the daemon says of itself.
#[derive(Debug, Clone)]
pub struct Info {
    /// The store's id.
    pub store_id: String,
    /// How often it was restored from a backup.
    pub restore_epoch: u64,
    /// When this process started.
    pub started_at: Time,
    /// Live workflows now, the quarantined ones among them.
    pub live: usize,
    /// Whether it was drained: nothing is taken on until it is started anew.
    pub draining: bool,
    /// Name, revision and digest of each definition.
    pub definitions: Vec<causeway_engine::DefinitionRef>,
}

/// What comes with everything that is asked of a workflow.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Who asks, and why.
    pub by: By,
    /// How many records the workflow had when the caller looked; none: whatever it has by now.
    pub etag: Option<u64>,
    /// What makes it repeatable.
    pub request: Repeatable,
}

impl Ask {
    /// Whether the workflow is still what the caller saw.
    pub(super) fn check_etag(&self, state: &Workflow) -> Result<(), Error> {
        match self.etag.filter(|etag| *etag != state.seq) {
            Some(_) => Err(Error::EtagMismatch { have: state.seq.to_string() }),
            None => Ok(()),
        }
    }
}

/// A handle on the runtime.
#[derive(Clone)]
pub struct Handle {
    pub(super) runtime: Arc<Runtime>,
}

impl Handle {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime }
    }

    /// Starts a workflow; the same request id and input again answers the same id.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::ClusterExists`], [`Error::RequestReused`] and others; nothing was done then.
    pub async fn start(&self, request: StartRequest) -> Result<WorkflowId, Error> {
        self.runtime.start(request).await
    }

    /// What a start would do; changes nothing.
    ///
    /// # Errors
    /// Those of a start.
    pub async fn plan(&self, request: &StartRequest) -> Result<super::Plan, Error> {
        self.runtime.plan(request).await
    }

    /// A workflow's state, live or ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`].
    pub async fn get(&self, id: &WorkflowId) -> Result<Arc<Workflow>, Error> {
        self.runtime.state(id).await
    }

    /// Workflows, newest first, and where the next page begins.
    ///
    /// # Errors
    /// [`Error::StoreFailed`].
    pub async fn list(
        &self,
        after: Option<ListToken>,
        limit: usize,
    ) -> Result<(Vec<Summary>, Option<ListToken>), Error> {
        let limit = limit.clamp(1, PAGE_MAX);
        let lines = self.lines(after, limit).await?;
        let next = (lines.len() == limit).then(|| lines.last().map(|line| line.token)).flatten();
        Ok((lines.into_iter().filter_map(|line| line.summary).collect(), next))
    }

    /// Workflows, newest first, each with where a page goes on after it.
    ///
    /// # Errors
    /// [`Error::StoreFailed`].
    pub async fn lines(
        &self,
        after: Option<ListToken>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let entries = self.runtime.store.summaries(after.map(|token| token.0), limit).await?;
        let mut lines = Vec::with_capacity(entries.len());
        for entry in entries {
            let token = ListToken(entry.start);
            lines.push(Listed { token, summary: self.runtime.listed(entry).await? });
        }
        Ok(lines)
    }

    /// Records of a workflow after `after_seq` (0: from the first).
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub async fn records(
        &self,
        id: &WorkflowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        if self.runtime.slot(id).is_some_and(|slot| slot.state().seq <= after_seq) {
            return Ok(Vec::new());
        }
        let limit = limit.clamp(1, PAGE_MAX);
        codec::read_page(self.runtime.store.as_ref(), id.as_str(), after_seq, limit).await
    }

    /// The last durable state of a live workflow, as it changes and up to its end; none where it has ended or is unknown.
    #[must_use]
    pub fn subscribe(&self, id: &WorkflowId) -> Option<watch::Receiver<Arc<Workflow>>> {
        Some(self.runtime.slot(id)?.subscribe())
    }

    /// Asks something of a workflow; answers its state after that is durable, or, for a repeated request, its state now.
    ///
    /// # Errors
    /// [`Error::Rejected`] where its state does not allow it, [`Error::EtagMismatch`], [`Error::NotFound`], those of a repeated
    /// request.
    pub async fn ask(&self, id: &WorkflowId, verb: Verb, ask: Ask) -> Result<Arc<Workflow>, Error> {
        let memo = self.runtime.memo(&ask.by, &ask.request);
        if let Err(refused) = self.runtime.admits() {
            let known = match &memo {
                Some(memo) => self.runtime.known(memo).await?,
                None => None,
            };
            return if known.is_some() { self.get(id).await } else { Err(refused) };
        }
        let input = Input::Asked { verb, by: ask.by.clone() };
        if let Some(slot) = self.runtime.slot(id) {
            let (reply, answer) = oneshot::channel();
            let mail = Mail { etag: ask.etag, reply: Some(reply), memo, ..Mail::from(input) };
            self.runtime.deliver(&slot, mail);
            return answer.await.unwrap_or(Err(Error::ShuttingDown));
        }
        if let Some(memo) = &memo
            && self.runtime.known(memo).await?.is_some()
        {
            return self.get(id).await;
        }
        // That it has ended says more than that it has changed.
        let state = self.get(id).await?;
        match causeway_engine::decide(&state, &input, state.updated_at, &[]) {
            // Written, and not yet among the live ones: nothing was asked of it.
            Ok(_) if !state.is_ended() => Err(Error::ShuttingDown),
            Ok(_) => Ok(state),
            Err(rejection) => Err(Error::Rejected { rejection, state: Some(state.public_state()) }),
        }
    }

    /// Deletes an ended workflow, with its history; the record of what it built stays. The same request again is no error.
    ///
    /// # Errors
    /// [`Error::Rejected`] where it has not ended, [`Error::EtagMismatch`], [`Error::NotFound`], those of a repeated request.
    pub async fn delete(&self, id: &WorkflowId, ask: &Ask) -> Result<(), Error> {
        self.runtime.delete(id, ask).await
    }

    /// Takes nothing on any more, and begins nothing; waits for at most `patience` for what is in flight. Reads go on, and what
    /// is live goes on at the next start.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`], those of a repeated request.
    pub async fn drain(
        &self,
        by: By,
        request: Repeatable,
        patience: Duration,
    ) -> Result<Drained, Error> {
        self.runtime.drain_by(by, request, patience).await
    }

    /// A copy of the store, as the pieces of one file.
    ///
    /// # Errors
    /// [`Error::TooMany`] where one is being taken already; [`Error::StoreFailed`].
    pub async fn backup(&self, by: By) -> Result<Backup, Error> {
        self.runtime.backup(by).await
    }

    /// Once nothing is taken on any more.
    pub async fn drained(&self) {
        self.runtime.draining.cancelled().await;
    }

    /// When a workflow was deleted; none where it was not.
    ///
    /// # Errors
    /// [`Error::StoreFailed`].
    pub async fn deleted_at(&self, id: &WorkflowId) -> Result<Option<Time>, Error> {
        Ok(self.runtime.store.removed(id.as_str()).await?.map(Time))
    }

    /// All HybridCluster records.
    ///
    /// # Errors
    /// [`Error::StoreFailed`].
    pub async fn clusters(&self) -> Result<Vec<ClusterRecord>, Error> {
        self.runtime.cluster_records().await
    }

    /// The record of that name, or of that cluster id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn cluster(&self, name_or_id: &str) -> Result<ClusterRecord, Error> {
        let found = match self.runtime.cluster_named(name_or_id).await? {
            Some(record) => Some(record),
            None => self.runtime.cluster_with_id(name_or_id).await?,
        };
        found.ok_or_else(|| Error::NotFound { what: "hybrid cluster", name: name_or_id.to_owned() })
    }

    /// Whether a cluster is still as its record has it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TeardownUnfit`], [`Error::TooMany`].
    pub async fn verify(&self, name_or_id: &str) -> Result<super::Verification, Error> {
        self.runtime.verify(name_or_id).await
    }

    /// The configured connections.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let connections =
            self.runtime.connections.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        connections
            .values()
            .filter(|connection| !connection.config.name.is_empty())
            .cloned()
            .collect()
    }

    /// What the daemon says of itself.
    #[must_use]
    pub fn info(&self) -> Info {
        let identity = self.runtime.store.identity();
        Info {
            store_id: identity.store_id.clone(),
            restore_epoch: identity.restore_epoch,
            started_at: self.runtime.started_at,
            live: self.runtime.slots().len(),
            draining: self.runtime.is_draining(),
            definitions: self.runtime.references.clone(),
        }
    }
}

impl Runtime {
    /// A workflow's state, live or ended.
    pub(super) async fn state(&self, id: &WorkflowId) -> Result<Arc<Workflow>, Error> {
        if let Some(slot) = self.slot(id) {
            return Ok(slot.state());
        }
        match self.store.head(id.as_str()).await {
            Ok(Some(_)) | Err(store::Error::Corrupt { .. }) => {}
            Ok(None) => return Err(Error::NotFound { what: "workflow", name: id.to_string() }),
            Err(error) => return Err(error.into()),
        }
        self.read_ended(id.as_str()).await.map(Arc::new)
    }

    /// A line of a list; none where not even the workflow's id can be read. What can't be read is shown by its records.
    async fn listed(&self, entry: Entry) -> Result<Option<Summary>, Error> {
        if entry.workflow.is_empty() {
            tracing::error!(
                start = entry.start,
                "A workflow can't be listed: its id can't be read"
            );
            return Ok(None);
        }
        let id = WorkflowId::new(entry.workflow);
        if let Some(slot) = self.slot(&id) {
            let state = slot.state();
            if state.quarantine.is_some() || entry.head.is_err() {
                return Ok(Some(Summary::of(&state)));
            }
        }
        let summary = entry.head.ok().and_then(|head| serde_json::from_slice(&head.summary).ok());
        match summary {
            Some(summary) => Ok(Some(summary)),
            None => {
                let why = "its row for lists can't be read".to_owned();
                let (store, none) = (self.store.as_ref(), BTreeSet::new());
                let state = salvage::read(store, id.as_str(), why, self.started_at, none).await?;
                Ok(Some(Summary::of(&state)))
            }
        }
    }
}
