//! Backups, and the first start after a restore: every live workflow rests until a person resumes it, as the world may be ahead
//! of its journal.

use std::sync::Arc;

use causeway_engine::event::By;
use causeway_engine::{Input, Workflow};
use tokio::sync::oneshot;

use super::Runtime;
use super::error::Error;
use super::owner::{Mail, Slot};
use crate::store::{BackupError, Pieces};

/// Why a workflow rests after a restore.
const RESTORED: &str = "RESTORED";
const WORDS: &str = "the daemon's store was restored from a backup, and the world may be ahead of it: what this workflow did since is \
                     in the world, and not in its records; look at what there is, then resume it (it looks before it acts), or \
                     abandon it";

/// Tells when a workflow is parked.
pub(super) type Parked = oneshot::Receiver<Result<Arc<Workflow>, Error>>;

/// A backup that is being taken.
pub struct Backup(Box<dyn Pieces>);

impl Backup {
    /// The next piece of the file; none once it is whole.
    ///
    /// # Errors
    /// [`Error::TooMany`] where more was written meanwhile than the reader took; [`Error::StoreFailed`]. Then what came is
    /// good for nothing.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.next().await?)
    }
}

impl From<BackupError> for Error {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Busy => Self::TooMany { what: "concurrent backups", limit: 1 },
            BackupError::Overrun => {
                Self::TooMany { what: "changes that wait for the reader of a backup", limit: 1 }
            }
            BackupError::Store(error) => error.into(),
        }
    }
}

/// Whether a workflow rests until a person has looked at what became of it.
pub(super) fn waits_after_restore(state: &Workflow) -> bool {
    state.parked.as_ref().is_some_and(|parked| parked.reason == RESTORED)
}

impl Runtime {
    /// Begins a backup, and audits it.
    pub(super) async fn backup(&self, by: By) -> Result<Backup, Error> {
        self.note("Backup", &by, None).await?;
        Ok(Backup(self.store.clone().backup()?))
    }

    /// Parks a live workflow of a store that was restored.
    pub(super) fn park_restored(self: &Arc<Self>, slot: &Arc<Slot>) -> Parked {
        let (reply, parked) = oneshot::channel();
        let input = Input::Park { reason: RESTORED.to_owned(), message: WORDS.to_owned() };
        self.deliver(slot, Mail { reply: Some(reply), ..Mail::from(input) });
        parked
    }

    /// Once all are parked, durably, the restore is done with: from here on it is theirs to say.
    pub(super) async fn settle_restore(&self, parked: Vec<Parked>) -> Result<(), Error> {
        let workflows = parked.len();
        for parked in parked {
            parked.await.unwrap_or(Err(Error::ShuttingDown))?;
        }
        self.store.note_restore().await?;
        tracing::warn!(
            workflows,
            "The store was restored from a backup: its live workflows rest until somebody resumes them"
        );
        Ok(())
    }
}
