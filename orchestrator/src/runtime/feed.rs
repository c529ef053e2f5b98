//! Following what becomes of all workflows: the store's feed, in commit order, and their states at any place of it. Whoever
//! follows reads when it likes: nothing here is kept for them.

use std::collections::HashMap;
use std::sync::Arc;

use causeway_engine::apply::replay;
use causeway_engine::{Record, Workflow, WorkflowId};
use tokio::sync::watch;

use super::codec;
use super::error::Error;
use super::handle::Handle;
use crate::store::{FeedRow, PAGE_MAX};

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in commit order, without gaps.
    pub position: u64,
    /// Whose.
    pub workflow: WorkflowId,
    /// How many records it had before.
    pub before: u64,
    /// How many it has after.
    pub after: u64,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl From<FeedRow> for Change {
    fn from(row: FeedRow) -> Self {
        let deleted = row.is_removal();
        Self {
            position: row.position,
            workflow: WorkflowId::new(row.workflow),
            before: row.first,
            after: row.first + u64::from(row.count),
            deleted,
        }
    }
}

/// Tells of commits.
#[derive(Debug)]
pub struct Commits(watch::Receiver<HashMap<u32, u64>>);

impl Commits {
    /// From here on a commit counts as new.
    pub fn mark(&mut self) {
        self.0.mark_unchanged();
    }

    /// Once there was a commit since [`Self::mark`]. Never, where the store is gone: whoever waits is told to stop by others.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Handle {
    /// Which part of the store's commits this daemon writes.
    #[must_use]
    pub fn shard(&self) -> u32 {
        self.runtime.fence.shard
    }

    /// The place of the last commit.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.runtime.store.position(self.runtime.fence.shard).number
    }

    /// Hears of commits.
    #[must_use]
    pub fn commits(&self) -> Commits {
        Commits(self.runtime.store.commits())
    }

    /// Up to `limit` commits after a place; none where the store does not have that place: it has not come there, or no longer
    /// knows what followed.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::StoreFailed`].
    pub async fn changes(&self, after: u64, limit: usize) -> Result<Option<Vec<Change>>, Error> {
        if after > self.position() {
            return Ok(None);
        }
        let rows = self.runtime.store.feed(self.runtime.fence.shard, after, limit).await?;
        let whole = (after + 1..).zip(&rows).all(|(place, row)| row.position == place);
        Ok(whole.then(|| rows.into_iter().map(Change::from).collect()))
    }

    /// Waits until what has been written up to that record can be seen by everybody.
    pub async fn seen(&self, id: &WorkflowId, seq: u64) {
        if let Some(mut states) = self.subscribe(id) {
            // An error means that its owner has let go of it: then the store is what everybody sees.
            states.wait_for(|state| state.seq >= seq).await.ok();
        }
    }

    /// The records after `after` up to `until`; none where the workflow was deleted.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::StoreFailed`].
    pub async fn written(
        &self,
        id: &WorkflowId,
        after: u64,
        until: u64,
    ) -> Result<Option<Vec<Record>>, Error> {
        let mut records: Vec<Record> = Vec::new();
        let mut at = after;
        while at < until {
            let wanted = usize::try_from(until - at).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let page = codec::read_page(self.runtime.store.as_ref(), id.as_str(), at, wanted).await;
            let page = match page {
                // Its rows go all at once, but not under the eyes of a reader of several.
                Err(Error::Corrupt { .. }) if self.deleted_at(id).await?.is_some() => {
                    return Ok(None);
                }
                page => page?,
            };
            if page.is_empty() {
                return Ok(None);
            }
            at += page.len() as u64;
            records.extend(page);
        }
        Ok(Some(records))
    }

    /// The state after so many records; none where the workflow was deleted.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::StoreFailed`].
    pub async fn state_at(
        &self,
        id: &WorkflowId,
        seq: u64,
    ) -> Result<Option<Arc<Workflow>>, Error> {
        if let Some(slot) = self.runtime.slot(id).filter(|slot| slot.state().seq == seq) {
            return Ok(Some(slot.state()));
        }
        let Some(records) = self.written(id, 0, seq).await? else { return Ok(None) };
        let state = replay(&records).map_err(|error| Error::Corrupt {
            what: format!("the journal of workflow {id}"),
            why: error.to_string(),
        })?;
        Ok(Some(Arc::new(state)))
    }
}
