//! What the engine is told, and what it asks for.

use serde_json::Value;

use crate::event::{By, Claim, Event, Object, Resolution, Undone, Verdict};
use crate::failure::{Failure, Finding};
use crate::ids::{ResourceKey, StepName, Time, WorkflowId};

/// What the runtime must do for a step. All are safe to repeat; only `Apply` and `Revert` mutate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// Read the world, and judge it.
    Check,
    /// Read the world before a change.
    Observe,
    /// Change the world.
    Apply,
    /// Read whether the change holds.
    Confirm,
    /// Read what became of a lost call.
    Resolve,
    /// Read what an undo group's decision needs.
    Decide,
    /// Put the world back.
    Revert,
    /// Read whether what a stuck undo should have removed is gone.
    VerifyGone,
}

/// One operation; the pair (step, kind, attempt) is its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The step; for `Decide` the first member of the group to be undone.
    pub step: StepName,
    /// What to do.
    pub kind: OperationKind,
    /// From 1.
    pub attempt: u32,
    /// Of the token.
    pub generation: u32,
    /// Bounds all mutating calls.
    pub deadline: Option<Time>,
}

/// What an operation came to.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOutcome {
    /// A check holds.
    Passed {
        /// For later steps.
        output: Value,
        /// Said, and not stopping.
        warnings: Vec<Finding>,
    },
    /// A check, a confirm or a revert is not there yet: look again then.
    NotYet {
        /// When.
        until: Time,
        /// What it waits for.
        message: String,
    },
    /// `observe` is done.
    Observed {
        /// What undo restores.
        before: Value,
        /// What follows.
        verdict: Verdict,
        /// A claim on a shareable object.
        claim: Option<Claim>,
        /// The output, where the verdict is not [`Verdict::Change`].
        output: Value,
        /// Said, and not stopping.
        warnings: Vec<Finding>,
    },
    /// `apply` is done; `confirmed` holds the output where a first look showed that it holds.
    Applied {
        /// For confirm, undo and later steps.
        output: Value,
        /// The confirmed output.
        confirmed: Option<Value>,
    },
    /// The change holds.
    Confirmed {
        /// For later steps.
        output: Value,
    },
    /// What became of a lost call.
    Resolved {
        /// What was found.
        resolution: Resolution,
        /// The output, where it was done.
        output: Value,
    },
    /// An undo group's decision.
    Decided {
        /// The reason to keep all of it.
        keep: Option<String>,
        /// What was read.
        evidence: Value,
    },
    /// The undo is done.
    Reverted(Undone),
    /// Whether what a stuck undo should have removed is gone; `None`: it can't be read.
    Gone(Option<bool>),
    /// It failed.
    Failed(Failure),
}

/// What people may ask for (section 3.3's table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Undo everything, and end CANCELLED.
    Cancel,
    /// End it with something left.
    Abandon,
    /// Stop at the next safe point.
    Pause,
    /// Go on.
    Resume,
    /// Try waiting, held or stuck steps now.
    Retry,
    /// Leave a step out, after reading the world.
    Skip {
        /// The step.
        step: StepName,
    },
    /// Open a gate.
    Approve {
        /// The gate.
        step: StepName,
        /// The plan digest that was shown.
        digest: String,
    },
    /// Close a gate for good.
    Deny {
        /// The gate.
        step: StepName,
    },
}

/// What the engine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Just started (after the `Started` record was applied): admit, or queue.
    Begin,
    /// The daemon has read the journal again: whatever was in flight is lost.
    Recover,
    /// Some timer may be due, or some key may be free.
    Tick,
    /// An operation ended.
    Finished {
        /// Which.
        operation: Operation,
        /// With what.
        outcome: StepOutcome,
        /// When a failure is tried again, by the retry policy's delay and jitter.
        retry_at: Time,
    },
    /// An external object became known while an operation runs.
    Seen {
        /// The step.
        step: StepName,
        /// The object.
        object: Object,
    },
    /// A person asks.
    Asked {
        /// For what.
        verb: Verb,
        /// Who, and why.
        by: By,
    },
    /// The daemon can't go on with this workflow for now.
    Park {
        /// UPPER_SNAKE.
        reason: String,
        /// In words.
        message: String,
    },
    /// What parked it has passed.
    Unpark,
    /// The daemon refuses a workflow that waits in the queue: it may not be admitted any more.
    Reject(Failure),
}

/// A key that could not be had when the last decision was to be written; the decision is made again knowing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The step that wanted it; `None`: the workflow's own lock.
    pub step: Option<StepName>,
    /// The key.
    pub key: ResourceKey,
    /// Who holds it, or waits before us.
    pub behind: WorkflowId,
}

/// What the engine decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// To be made durable before anything else.
    pub events: Vec<Event>,
    /// To be started after that.
    pub operations: Vec<Operation>,
    /// Operations that are not to be repeated before that time; not durable.
    pub rests: Vec<(StepName, OperationKind, Time)>,
}

/// Why the state does not allow what a person asks for. Clients decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The workflow has ended.
    WorkflowEnded,
    /// The workflow has not ended.
    NotEnded,
    /// The workflow is past its pivot: it can't be undone any more.
    PastPivot,
    /// Something has to be mended and tried again; nothing else moves it.
    UseRetry,
    /// The workflow is queued: nothing of it has begun.
    NotStarted,
    /// The step does not wait for a person's decision, or is of a kind that can't be left out.
    StepNotSkippable,
    /// The step is no gate that is open.
    GateNotOpen,
    /// The approval is of another plan than the one that the workflow is held to.
    PlanStale,
    /// The verb has no meaning in this state.
    WrongState,
    /// The workflow has no such step.
    UnknownStep,
    /// Its records can't all be read: it can only be abandoned.
    Quarantined,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::WorkflowEnded,
        Self::NotEnded,
        Self::PastPivot,
        Self::UseRetry,
        Self::NotStarted,
        Self::StepNotSkippable,
        Self::GateNotOpen,
        Self::PlanStale,
        Self::WrongState,
        Self::UnknownStep,
        Self::Quarantined,
    ];

    /// UPPER_SNAKE.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowEnded => "WORKFLOW_ENDED",
            Self::NotEnded => "WORKFLOW_NOT_ENDED",
            Self::PastPivot => "PAST_PIVOT",
            Self::UseRetry => "USE_RETRY",
            Self::NotStarted => "NOT_STARTED",
            Self::StepNotSkippable => "STEP_NOT_SKIPPABLE",
            Self::GateNotOpen => "GATE_NOT_OPEN",
            Self::PlanStale => "PLAN_STALE",
            Self::WrongState => "WRONG_STATE",
            Self::UnknownStep => "STEP_NOT_FOUND",
            Self::Quarantined => "QUARANTINED",
        }
    }
}

/// An input that the state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// Which rule refuses it.
    pub reason: Reason,
    /// What, in which state, why, and what to do instead.
    pub message: String,
}
