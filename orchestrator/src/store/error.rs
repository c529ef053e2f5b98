//! What can go wrong in a store. Never carries a value's bytes: they may be anything.

use std::path::PathBuf;

use super::append::BlobId;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A condition did not hold; nothing was written.
    #[error("the append was refused: {0}")]
    Refused(Refusal),
    /// Another process has taken the shard over; nothing was written.
    #[error(
        "shard {shard} was taken over: this daemon owns epoch {epoch}, the store is at {present}; stop working on its workflows"
    )]
    Fenced {
        /// The shard.
        shard: u32,
        /// The caller's epoch.
        epoch: u64,
        /// The store's.
        present: u64,
    },
    /// A value is over its limit; nothing was written.
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// Its size in bytes.
        size: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// A name that can't stand in a key; nothing was written.
    #[error("{what} is empty or contains a NUL byte")]
    BadName {
        /// What.
        what: String,
    },
    /// A row can't be trusted.
    #[error(
        "the row {row} is corrupt: {why}; restore it from a backup, or abandon what it belongs to"
    )]
    Corrupt {
        /// Which row, in words.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store has stopped acknowledging; what was in flight has an unknown outcome.
    #[error("the store has stopped: {why}; the daemon must be restarted once the disk is sound")]
    Failed {
        /// What happened.
        why: String,
    },
    /// Another process has the directory.
    #[error("the store in {} is in use by another process; only one daemon may use it: stop the other, or give this one its own data_dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The store was written by a newer program.
    #[error("the store in {} has schema version {found}, this program knows versions up to {known}; use the newer program, nothing was changed", path.display())]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// The store could not be opened; nothing in it was removed.
    #[error("the store in {} can't be opened: {why}; nothing was removed: keep the directory, and restore a backup into a new one", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What happened.
        why: String,
    },
}

impl Error {
    pub(super) fn corrupt(row: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Corrupt { row: row.into(), why: why.into() }
    }

    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into() }
    }
}

/// Which condition of an append did not hold, and what holds instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The workflow has another number of records.
    #[error("workflow {workflow} has {found} records, not {expected}")]
    Version {
        /// The workflow.
        workflow: String,
        /// What the caller thought.
        expected: u64,
        /// What it has; 0 where it does not exist.
        found: u64,
    },
    /// Another workflow holds the key.
    #[error("key {key} is held by workflow {workflow}")]
    KeyHeld {
        /// The key.
        key: String,
        /// Its holder.
        workflow: String,
        /// For which of its steps; `None`: for all of it.
        step: Option<String>,
    },
    /// The object's claimants are others than was thought.
    #[error("{key} is claimed by {}", if claimants.is_empty() { "nobody".to_owned() } else { claimants.join(", ") })]
    Claimed {
        /// The object's key.
        key: String,
        /// Its claimants, sorted.
        claimants: Vec<String>,
    },
    /// The workflow was removed: its id is not used again.
    #[error("workflow {workflow} was deleted, and its id is not used again")]
    Removed {
        /// The workflow.
        workflow: String,
    },
    /// The workflow has not ended, has other records than was thought, or is gone.
    #[error("workflow {workflow} has not ended, or is gone")]
    NotEnded {
        /// The workflow.
        workflow: String,
    },
    /// The request is known already.
    #[error("request {key} was made before")]
    RequestKnown {
        /// The request's key; read its row for the answer.
        key: String,
    },
    /// The cluster record is at another version.
    #[error("the record of cluster {name} is at version {}", found.map_or_else(|| "none".to_owned(), |version| version.to_string()))]
    ClusterVersion {
        /// Its name.
        name: String,
        /// Its version; `None`: there is no record.
        found: Option<u64>,
    },
    /// A blob that the append refers to is not there; put it again.
    #[error("blob {blob} is missing")]
    BlobMissing {
        /// Its name.
        blob: BlobId,
    },
}
