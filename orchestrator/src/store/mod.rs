//! The store: what must survive. One operation matters, [`Store::append`]: everything that one transition changes is written
//! together, and is on disk when it returns. Nothing is acted on, answered or streamed before that.
//!
//! It knows no engine type, no clock and no key: records, summaries and rows are opaque bytes, times are numbers that the
//! caller chose, secrets arrive sealed (see [`seal`]). No type of a particular database stands in any signature.
//! Two implementations, [`sled`] and [`memory`], pass the one contract suite.

mod append;
mod archive;
mod backup;
pub mod baseline;
mod clusters;
mod codec;
#[cfg(test)]
mod contract;
mod error;
mod failpoint;
mod keys;
pub mod memory;
mod note;
mod open;
mod plan;
mod port;
mod removal;
mod restore;
mod rows;
mod salvage;
pub mod seal;
pub mod sled;
mod table;
mod tap;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::sled::{Options as StoreOptions, SledStore};
pub use append::{
    Append, BlobId, ClusterRemoval, ClusterRow, ClusterWrite, Condition, Fence, Hold, Join, Leave,
    Note, Position, Removal, RequestRow,
};
pub use archive::Damage;
pub use backup::{BackupError, Pieces};
pub use error::{Error, Refusal};
pub use memory::MemoryStore;
pub use restore::{RestoreError, restore};
pub use seal::Sealer;

/// The longest single value (record, summary, cluster record, sealed value, audit row) in bytes; what is longer is a blob.
/// The embedded database keeps rows of this size inside its log, the only place that is synced.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// All values of one append together, in bytes. Bounds the memory of a group commit.
pub const APPEND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest workflow id, key, name or step in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// The largest blob in bytes.
pub const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most entries that a paged read returns, whatever was asked for.
pub const PAGE_MAX: usize = 1000;
/// What this program writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The port. Every implementation passes the contract suite.
///
/// Reads show only what is durable. A future that is dropped after [`Store::append`] was first polled leaves the outcome
/// unknown: read it back.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Takes a shard over: its epoch rises, and every append with an earlier fence of it is refused from now on.
    ///
    /// # Errors
    /// [`Error::Failed`] where the store has stopped.
    async fn own(&self, shard: u32) -> Result<Fence, Error>;

    /// Writes everything in `append` or nothing, and returns once it is durable.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first condition that does not hold (nothing is written); [`Error::Fenced`] where another
    /// has taken the shard over; [`Error::TooLarge`]; [`Error::Failed`] where the disk refused, after which the outcome of
    /// this append is unknown and no other is accepted by this process.
    async fn append(&self, append: Append) -> Result<Position, Error>;

    /// Removes an ended workflow whole, in one commit: records, head, sealed values if told so. Cluster records, claims and
    /// requests stay. Its id is never used again, and the feed has a row that says so (see [`FeedRow::is_removal`]). Blobs that
    /// only it referred to go with the next [`Store::collect_blobs`].
    ///
    /// # Errors
    /// [`Error::Refused`] where it has not ended, or a request is known; [`Error::Fenced`], [`Error::Failed`].
    async fn remove(&self, removal: Removal) -> Result<Position, Error>;

    /// Remembers requests, and audits, what is about no workflow: in one commit, durable when it returns.
    ///
    /// # Errors
    /// [`Error::Refused`] where a request is known; [`Error::Fenced`], [`Error::Failed`].
    async fn note(&self, note: Note) -> Result<Position, Error>;

    /// When a workflow was removed, in milliseconds since the epoch; `None` where it was not.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn removed(&self, workflow: &str) -> Result<Option<u64>, Error>;

    /// A workflow's head; `None` where there is no such workflow.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn head(&self, workflow: &str) -> Result<Option<Head>, Error>;

    /// Up to `limit` records of a workflow, from the `from`th (0 is the first); empty past the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the row, where one of them can't be trusted or is missing.
    async fn records(&self, workflow: &str, from: u64, limit: usize)
    -> Result<Vec<Vec<u8>>, Error>;

    /// What can still be read of a workflow with corrupt rows: numbered records, and an error for each row that can't be.
    ///
    /// # Errors
    /// [`Error::Failed`].
    async fn readable_records(&self, workflow: &str) -> Result<Readable, Error>;

    /// Up to `limit` workflows, newest start first, that were started before `before` (`None`: from the newest).
    /// The last entry's `start` is the next page's `before`.
    ///
    /// # Errors
    /// [`Error::Failed`]. A single corrupt head stands in its entry and harms no other.
    async fn summaries(&self, before: Option<u64>, limit: usize) -> Result<Vec<Entry>, Error>;

    /// The ids of all workflows whose last append said `live`, in the order of their start where that is readable.
    ///
    /// # Errors
    /// [`Error::Failed`].
    async fn live(&self) -> Result<Vec<String>, Error>;

    /// The timers that are due at `due_by` (`None`: all), earliest first: milliseconds and workflow.
    ///
    /// # Errors
    /// [`Error::Failed`].
    async fn timers(&self, due_by: Option<u64>) -> Result<Vec<(u64, String)>, Error>;

    /// All holds of all workflows, by key.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn locks(&self) -> Result<Vec<LockRow>, Error>;

    /// The row of a shareable object.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn claim(&self, key: &str) -> Result<Option<ClaimRow>, Error>;

    /// A sealed value's ciphertext.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn sealed(&self, id: &str) -> Result<Option<Vec<u8>>, Error>;

    /// One cluster record, with the version that a condition may name.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn cluster(&self, name: &str) -> Result<Option<ClusterRow>, Error>;

    /// The cluster record that was last written for a cluster's id. Whoever writes another id under the record's name has to
    /// look into its body: the id that was written first still leads here.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn cluster_of(&self, cluster_id: &str) -> Result<Option<ClusterRow>, Error>;

    /// Up to `limit` cluster records by name, after the name `after`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn clusters(&self, after: Option<&str>, limit: usize) -> Result<Vec<ClusterRow>, Error>;

    /// What was remembered of a request.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn request(&self, key: &str) -> Result<Option<RequestRow>, Error>;

    /// Forgets up to [`PAGE_MAX`] requests that expired at or before `now_ms`; says how many. Call again while that is
    /// [`PAGE_MAX`].
    ///
    /// # Errors
    /// [`Error::Failed`].
    async fn forget_requests(&self, now_ms: u64) -> Result<usize, Error>;

    /// Up to `limit` batches of a shard in commit order, after `after` (0: from the first).
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn feed(&self, shard: u32, after: u64, limit: usize) -> Result<Vec<FeedRow>, Error>;

    /// Up to `limit` audit rows of a shard in commit order, after the batch `after`; a batch's rows come together.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn audit(
        &self,
        shard: u32,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error>;

    /// Puts a large value under its name (see [`Sealer::blob_id`]), durable when it returns; the same one twice is harmless.
    /// It is not kept for long unless an append refers to it.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Failed`].
    async fn put_blob(&self, id: &BlobId, bytes: Vec<u8>) -> Result<(), Error>;

    /// A blob's bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn blob(&self, id: &BlobId) -> Result<Option<Vec<u8>>, Error>;

    /// Removes the blobs to which no append refers; says how many. Call it only while nobody is between a
    /// [`Store::put_blob`] and the append that refers to it: at start, before anything is admitted.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`].
    async fn collect_blobs(&self) -> Result<usize, Error>;

    /// The last durable position of a shard; 0 before the first append.
    fn position(&self, shard: u32) -> Position;

    /// A copy of the store as of one commit, as the pieces of one file. Others go on writing meanwhile. [`restore`] makes a store
    /// of it again.
    ///
    /// # Errors
    /// [`BackupError::Busy`] where one is being taken already.
    fn backup(self: Arc<Self>) -> Result<Box<dyn Pieces>, BackupError>;

    /// Whether it was restored from a backup, and nobody has taken note of that yet.
    ///
    /// # Errors
    /// [`Error::Failed`].
    async fn is_restored(&self) -> Result<bool, Error>;

    /// Takes note of the restore, for good.
    ///
    /// # Errors
    /// [`Error::Failed`].
    async fn note_restore(&self) -> Result<(), Error>;

    /// Turns at every commit: then [`Store::feed`] has more. It is turned once that is durable and can be read.
    fn commits(&self) -> watch::Receiver<HashMap<u32, u64>>;

    /// Which store this is.
    fn identity(&self) -> &Identity;

    /// Whether it still acknowledges; it never turns back from [`Health::Failed`]: end the process, recovery is a restart.
    fn health(&self) -> watch::Receiver<Health>;
}

/// A workflow's head: what a list shows, without its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub workflow: String,
    /// Its place in the order of starts, rising; a page token.
    pub start: u64,
    /// How many records it has: the next append's `expected`.
    pub records: u64,
    /// The commit position (within its shard) of its last append.
    pub position: u64,
    /// Its shard.
    pub shard: u32,
    /// What its last append said: whether recovery must load it.
    pub live: bool,
    /// The summary row, as given.
    pub summary: Vec<u8>,
}

/// What is left of a damaged workflow.
#[derive(Debug, Clone, Default)]
pub struct Readable {
    /// The sound records, with their numbers.
    pub records: Vec<(u64, Vec<u8>)>,
    /// One for each row that can't be trusted.
    pub errors: Vec<Error>,
    /// The number that no record has, readable or not: where an append that replaces a lost head goes on.
    pub next: u64,
}

/// One line of a list of workflows.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The workflow's id.
    pub workflow: String,
    /// Its place in the order of starts.
    pub start: u64,
    /// Its head, or why that can't be read.
    pub head: Result<Head, Error>,
}

/// One hold on a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockRow {
    /// The key.
    pub key: String,
    /// Who holds it.
    pub workflow: String,
    /// For which of its steps; `None`: for the whole workflow.
    pub step: Option<String>,
}

/// A shareable object's row, outside any workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRow {
    /// Its key.
    pub key: String,
    /// What the first claimant put down.
    pub body: Vec<u8>,
    /// All claimants now, sorted; never empty.
    pub claimants: Vec<String>,
}

/// One committed append, as others may follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Its place in commit order, without gaps.
    pub position: u64,
    /// Whose records; empty for a [`Note`], which has none.
    pub workflow: String,
    /// The number of its first record. They are gone once the workflow is removed.
    pub first: u64,
    /// How many records; 0 where it changed only rows, or removed the workflow.
    pub count: u32,
}

/// Which store, and which life of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Given at creation, kept for ever, carried into backups: a UUID.
    pub store_id: String,
    /// Raised by each restore from a backup; 0 at first.
    pub restore_epoch: u64,
    /// What it is written in.
    pub schema: u32,
}

/// Whether the store acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Serving,
    /// It never will again in this process: what happened.
    Failed(String),
}
