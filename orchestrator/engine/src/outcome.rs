//! The words of the records: verdicts, outcomes, causes and ends, and the ledger's entries.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::ResourceKey;

/// What `observe` found, compared with what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not as wanted: apply.
    Change,
    /// Already done by this very workflow; its marker is there.
    Ours,
    /// Causeway's, for another claimant.
    Shared,
    /// As wanted, but nobody's of ours: never undone.
    Adopted,
}

/// What became of a call whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It had its whole effect.
    Done,
    /// It had none, and can have none any more.
    NoEffect,
    /// It had part of it.
    Partial,
}

/// How an undo ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Undone {
    /// Put back as it was.
    Reverted,
    /// There was nothing to put back.
    NothingThere,
    /// Left on purpose.
    Kept {
        /// `changed_by_other`, `in_use`, `shared`, `needed_by STEP`, with its evidence.
        reason: String,
        /// True where prerequisites must stay as well: it is still in use.
        #[serde(default)]
        in_use: bool,
    },
    /// A person skipped it; reading showed whether it is gone.
    Skipped {
        /// Why.
        reason: String,
        /// Whether it was seen to be gone.
        gone: bool,
    },
}

/// How an external object came into the workflow's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made by this workflow.
    Created,
    /// Was there, changed by this workflow.
    Modified,
    /// Was there as wanted.
    Adopted,
    /// Made or adopted for another claimant.
    Shared,
}

/// An external object that the workflow touched or caused: an entry of its ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `ram-policy`, `node-pool`, `instance`, `network-interface`, `configmap`, `daemonset`, …
    pub kind: String,
    /// What identifies it there: an id, or `namespace/name`.
    pub id: String,
    /// How it came into our hands.
    pub origin: Origin,
    /// False once it is gone again, or back as it was.
    pub present: bool,
    /// How a person removes it, should it be left.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// More of its facts, for the step that made it. Never a secret.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub facts: Value,
}

/// A claim on a shareable object; it is given up by the undo, and the last claimant reverts from the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The row.
    pub key: ResourceKey,
    /// How the first claimant got it.
    pub origin: Origin,
    /// What was there before the first claimant.
    pub before: Value,
}

/// Why a workflow turned to UNDO; the first cause decides how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A step failed.
    Failure,
    /// Somebody cancelled it.
    Cancel,
    /// Its time was up.
    Timeout,
    /// A gate was denied, or lapsed.
    Denied,
    /// It is a teardown: undoing is what it was started for.
    Teardown,
}

/// How a workflow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All done.
    Succeeded,
    /// Failed or denied before anything was touched.
    Rejected,
    /// Failed, denied or timed out; all undone.
    Compensated,
    /// Cancelled; all undone.
    Cancelled,
    /// A person ended it with something left.
    Abandoned,
}
