//! Draining: nothing is taken on or begun any more, what is in flight is answered and written, and reads go on. It is no state
//! of any workflow: whoever reads the store next goes on with all of them.

use std::sync::Arc;
use std::time::Duration;

use causeway_engine::WorkflowId;
use causeway_engine::event::By;

use super::Runtime;
use super::error::Error;
use super::requests::{Memo, Repeatable};
use crate::store::{self, Note, Refusal};

/// What draining has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Live workflows: they go on at the next start.
    pub parked: usize,
    /// Calls that were not answered in time. What they do is still written, or resolved at the next start.
    pub in_flight: usize,
}

impl Runtime {
    /// Drains on somebody's word, and waits for at most `patience` for what is in flight. The same request again waits again,
    /// and does not drain the daemon that was started since.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`], those of a repeated request.
    pub(super) async fn drain_by(
        self: &Arc<Self>,
        by: By,
        request: Repeatable,
        patience: Duration,
    ) -> Result<Drained, Error> {
        // A task of its own: a caller who goes away must not leave a request that is remembered and not done.
        let runtime = self.clone();
        let begun = self.tasks.spawn(async move { runtime.begin_draining(by, request).await });
        begun.await.unwrap_or(Err(Error::ShuttingDown))?;
        if !self.is_draining() {
            return Ok(Drained { parked: 0, in_flight: 0 });
        }
        let in_flight = self.settle(patience).await;
        Ok(Drained { parked: self.slots().len(), in_flight })
    }

    async fn begin_draining(&self, by: By, request: Repeatable) -> Result<(), Error> {
        let memo = self.memo(&by, &request);
        if let Some(memo) = &memo
            && self.recall(memo).await?.is_some()
        {
            return Ok(());
        }
        if self.stopping.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        self.note("Drain", &by, memo.as_ref()).await?;
        tracing::info!(principal = %by.principal, reason = %by.reason, "Draining: nothing is taken on until the next start");
        self.draining.cancel();
        Ok(())
    }

    /// Audits what is about no workflow, and remembers its request.
    pub(super) async fn note(&self, verb: &str, by: &By, memo: Option<&Memo>) -> Result<(), Error> {
        let now = (self.clock)();
        let audit = serde_json::json!({ "at": now, "verb": verb, "by": by });
        let note = Note {
            fence: self.fence,
            requests: memo.iter().map(|memo| memo.row(&WorkflowId::from(""), now)).collect(),
            audit: vec![audit.to_string().into_bytes()],
        };
        match (self.store.note(note).await, memo) {
            (Ok(_), _) => Ok(()),
            // The same request came twice at once.
            (Err(store::Error::Refused(Refusal::RequestKnown { .. })), Some(memo)) => {
                self.recall(memo).await.map(|_| ())
            }
            (Err(error), _) => {
                let error = Error::from(error);
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Waits until what is in flight has been answered and written, for at most `patience`; how much is still in flight then.
    pub(super) async fn settle(&self, patience: Duration) -> usize {
        self.tasks.close();
        let settled = tokio::time::timeout(patience, self.tasks.wait()).await.is_ok();
        if settled { 0 } else { self.tasks.len() }
    }

    /// Why nothing is taken on, where that is so.
    pub(super) fn admits(&self) -> Result<(), Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        if self.is_draining() { Err(Error::Draining) } else { Ok(()) }
    }
}
