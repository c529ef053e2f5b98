//! What one append carries: plain data, made by the runtime, understood by every store.

use std::fmt;

/// Proof that the caller owns a shard; a later [`super::Store::own`] makes it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The shard. A store for one machine has one: 0.
    pub shard: u32,
    /// Its epoch at the time.
    pub epoch: u64,
}

/// The place of a batch in a shard's commit order: 1, 2, 3, … without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The shard.
    pub shard: u32,
    /// The number.
    pub number: u64,
}

/// A blob's name: an HMAC of its bytes, in hex, so that the name gives nothing away. See [`super::Sealer::blob_id`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(String);

impl BlobId {
    /// A name, as it was stored in a record; it is not checked here, a wrong one is just not found.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Everything that one transition of one workflow changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Who may write.
    pub fence: Fence,
    /// Whose transition.
    pub workflow: String,
    /// How many records the workflow has so far; 0 creates it.
    pub expected: u64,
    /// Whether a head that can't be read, or is missing, is made anew from this append: `expected` is then
    /// [`super::Readable::next`]. The row that can't be read is kept beside it, as it is. Only for ending a workflow that is
    /// given up; a sound head stays what it is.
    pub replace_head: bool,
    /// What else must hold. The conditions that follow from the changes themselves (a key that is acquired is free or this
    /// workflow's, a request is unknown, a blob is there) need not be repeated here.
    pub conditions: Vec<Condition>,
    /// The records to add, in order; may be empty where only rows change.
    pub events: Vec<Vec<u8>>,
    /// The row for lists; `None` keeps the present one.
    pub summary: Option<Vec<u8>>,
    /// Whether recovery must load this workflow.
    pub live: bool,
    /// The workflow's earliest durable timer, in milliseconds since the epoch; `None`: it has none.
    pub timer: Option<u64>,
    /// Holds to take: refused where *another workflow* holds the key. Exclusion among steps of one workflow is not the
    /// store's; the same hold twice is harmless.
    pub acquire: Vec<Hold>,
    /// Holds to give up; one that is not there is harmless. Given up before `acquire` is looked at.
    pub release: Vec<Hold>,
    /// Claims to make on shareable objects.
    pub join: Vec<Join>,
    /// Claims to give up; the row goes with its last claimant. Looked at after `join`.
    pub leave: Vec<Leave>,
    /// Secrets, already sealed: id and ciphertext. An id that is there is replaced.
    pub sealed: Vec<(String, Vec<u8>)>,
    /// Ids of sealed values to remove.
    pub unsealed: Vec<String>,
    /// Cluster records to write. Each write raises the record's version by one, from 1.
    pub clusters: Vec<ClusterWrite>,
    /// Cluster records to remove; one that is not there is harmless.
    pub clusters_gone: Vec<ClusterRemoval>,
    /// Requests to remember. Refused where a row of that key is there.
    pub requests: Vec<RequestRow>,
    /// Audit rows.
    pub audit: Vec<Vec<u8>>,
    /// Blobs that the records or rows of this append name. Refused where one is missing.
    pub blobs: Vec<BlobId>,
}

impl Append {
    /// An append that changes nothing yet, of a live workflow without a timer.
    pub fn new(fence: Fence, workflow: impl Into<String>, expected: u64) -> Self {
        Self {
            fence,
            workflow: workflow.into(),
            expected,
            replace_head: false,
            conditions: Vec::new(),
            events: Vec::new(),
            summary: None,
            live: true,
            timer: None,
            acquire: Vec::new(),
            release: Vec::new(),
            join: Vec::new(),
            leave: Vec::new(),
            sealed: Vec::new(),
            unsealed: Vec::new(),
            clusters: Vec::new(),
            clusters_gone: Vec::new(),
            requests: Vec::new(),
            audit: Vec::new(),
            blobs: Vec::new(),
        }
    }
}

/// What must hold for an append to be written; looked at before any of its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nobody holds the key, or only this workflow does.
    KeyFree {
        /// The key.
        key: String,
    },
    /// The object's claimants are exactly these (sorted or not); none: it has no row.
    Claimants {
        /// The object's key.
        key: String,
        /// All of them.
        exactly: Vec<String>,
    },
    /// The object has a row, and this is its only claimant.
    LastClaimant {
        /// The object's key.
        key: String,
        /// Who.
        claimant: String,
    },
    /// No such request is remembered.
    RequestAbsent {
        /// The request's key.
        key: String,
    },
    /// The cluster record is at this version; `None`: there is none.
    ClusterAt {
        /// The record's name.
        name: String,
        /// Its version.
        version: Option<u64>,
    },
}

/// A key, and the step of this workflow that has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// The key.
    pub key: String,
    /// The step; `None`: the whole workflow.
    pub step: Option<String>,
}

/// A claim to be made on a shareable object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The object's key.
    pub key: String,
    /// For whom; making the same claim twice is harmless.
    pub claimant: String,
    /// The row's body (origin, before-image); taken from the first claimant only.
    pub body: Vec<u8>,
}

/// A claim to be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    /// The object's key.
    pub key: String,
    /// By whom; one that is not there is harmless.
    pub claimant: String,
}

/// A cluster record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterWrite {
    /// Its name.
    pub name: String,
    /// The cluster's id, by which [`super::Store::cluster_of`] finds the record from now on; empty: by its name only.
    pub cluster_id: String,
    /// Its body; of a longer one than a row may have: empty, and the blob is it.
    pub body: Vec<u8>,
    /// The blob that is its body, put beforehand: kept as long as the record names it, whatever becomes of the workflow.
    pub blob: Option<BlobId>,
}

/// A cluster record to be removed, with the way to it by cluster id and its hold on its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRemoval {
    /// Its name.
    pub name: String,
    /// The cluster's id, as it was written; empty: none was.
    pub cluster_id: String,
}

/// A cluster record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// Its name.
    pub name: String,
    /// How often it was written.
    pub version: u64,
    /// Its body, as given; where a blob was named: the blob's bytes.
    pub body: Vec<u8>,
}

/// A remembered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Principal and request id.
    pub key: String,
    /// What was asked and answered, as given.
    pub body: Vec<u8>,
    /// When it may be forgotten, in milliseconds since the epoch.
    pub expires_ms: u64,
}

/// What is remembered and audited without being about any workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who may write.
    pub fence: Fence,
    /// Requests to remember. Refused where a row of that key is there.
    pub requests: Vec<RequestRow>,
    /// Audit rows.
    pub audit: Vec<Vec<u8>>,
}

/// The removal of an ended workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Who may write.
    pub fence: Fence,
    /// Which workflow.
    pub workflow: String,
    /// How many records it has.
    pub expected: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Whether its sealed values go as well: nobody else refers to one. Theirs are the ids that begin with its own and `/`.
    pub sealed: bool,
    /// Requests to remember. Refused where a row of that key is there.
    pub requests: Vec<RequestRow>,
    /// Audit rows.
    pub audit: Vec<Vec<u8>>,
}
