//! The records of the journal. They are the storage format: additive, never renamed; golden files hold old ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::{DefinitionRef, StepSpec};
use crate::failure::{Failure, Finding};
use crate::ids::{ResourceKey, StepName, Time, WorkflowId};
pub use crate::outcome::{Cause, Claim, End, Object, Origin, Resolution, Undone, Verdict};
use crate::teardown::Teardown;

/// One record: an event, its number in the workflow's journal (from 1), and when it was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Time,
    /// What happened.
    pub event: Event,
}

/// What a failure of a step leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Undo everything.
    #[default]
    Compensate,
    /// Hold the step, so that the operator can mend the world.
    Hold,
}

/// Options of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunOptions {
    /// What a failure leads to.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Forward running time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Time in the queue, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// Gates that are asked for, with their time limit in milliseconds; others pass by themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, u64>,
}

/// Who did something, as the API knew it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct By {
    /// The principal: `loopback` where no authentication is configured.
    pub principal: String,
    /// The reason given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The first record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The workflow.
    pub id: WorkflowId,
    /// What it runs.
    pub definition: DefinitionRef,
    /// The immutable input as canonical JSON (proto field names); secrets are references.
    pub input: Value,
    /// Options of the run.
    pub options: RunOptions,
    /// Labels for filters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The connection's name; empty for definitions that need none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub connection: String,
    /// The HybridCluster's name (`metadata.name`); empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Held from admission to the end, where the workflow mutates a cluster: `cluster/ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<ResourceKey>,
    /// The steps.
    pub steps: Vec<StepSpec>,
    /// Who started it.
    pub by: By,
    /// The W3C trace context of the call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    /// The plan that it is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanBinding>,
    /// The build that it undoes; none: it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<Box<Teardown>>,
}

/// What a workflow is held to that was started by a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanBinding {
    /// Of the whole plan.
    pub digest: String,
    /// What each step saw in the plan, by a digest; steps that could not look then have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<StepName, String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The workflow exists.
    Started(Box<Started>),
    /// Its lock is another's; it waits in order.
    Queued {
        /// The lock.
        key: ResourceKey,
        /// Who holds it, or waits before us.
        behind: WorkflowId,
    },
    /// It holds its lock, and runs.
    Admitted,
    /// A check's attempt, an action's observe, or a gate begins; its keys are held.
    StepStarted {
        /// The step.
        step: StepName,
        /// From 1.
        attempt: u32,
    },
    /// A key of the step is another's.
    StepBlocked {
        /// The step.
        step: StepName,
        /// The key.
        key: ResourceKey,
        /// Who holds it, or waits before us.
        behind: WorkflowId,
    },
    /// A check looks again later.
    CheckWaiting {
        /// The step.
        step: StepName,
        /// When.
        until: Time,
        /// What it waits for.
        message: String,
    },
    /// A check holds.
    CheckPassed {
        /// The step.
        step: StepName,
        /// For later steps.
        output: Value,
        /// Said, and not stopping.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<Finding>,
    },
    /// The world was read; durable before the first mutation.
    Observed {
        /// The step.
        step: StepName,
        /// What undo restores.
        before: Value,
        /// What follows.
        verdict: Verdict,
        /// A claim on a shareable object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        /// Said, and not stopping.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<Finding>,
    },
    /// Mutating calls may now happen, until the deadline.
    Applying {
        /// The step.
        step: StepName,
        /// From 1.
        attempt: u32,
        /// Of the token; rises only after no effect, or undone.
        generation: u32,
        /// Bounds all calls of the attempt.
        deadline: Time,
    },
    /// An external object is known.
    EffectSeen {
        /// The step.
        step: StepName,
        /// The object as it is now known.
        object: Object,
    },
    /// The calls were answered.
    Applied {
        /// The step.
        step: StepName,
        /// For confirm, undo and later steps.
        output: Value,
    },
    /// The effect does not hold yet.
    Confirming {
        /// The step.
        step: StepName,
        /// The next look.
        until: Time,
        /// What it waits for.
        message: String,
    },
    /// The effect holds.
    Confirmed {
        /// The step.
        step: StepName,
        /// For later steps.
        output: Value,
    },
    /// The answer was lost.
    Unresolved {
        /// The step.
        step: StepName,
        /// No call can land after this.
        settles_at: Time,
    },
    /// The world was read after a lost answer, or while the change was to hold: where it is partial, it is applied again.
    Resolved {
        /// The step.
        step: StepName,
        /// What was found.
        resolution: Resolution,
        /// The output, where it was done.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        output: Value,
    },
    /// A failure that may pass.
    RetryWait {
        /// The step.
        step: StepName,
        /// When it is tried again.
        until: Time,
        /// Why.
        failure: Failure,
    },
    /// The step is held for the operator.
    Held {
        /// The step.
        step: StepName,
        /// Why.
        failure: Failure,
    },
    /// The step failed.
    Failed {
        /// The step.
        step: StepName,
        /// Why.
        failure: Failure,
    },
    /// A person asked to leave the step out; reading decides.
    SkipAsked {
        /// The step.
        step: StepName,
        /// Who, and why.
        by: By,
    },
    /// A person's skip found the effect as wanted: adopted.
    StepSkipped {
        /// The step.
        step: StepName,
        /// Who, and why.
        by: By,
    },
    /// A person asked to try the step again now.
    RetryAsked {
        /// The step.
        step: StepName,
        /// Who, and why.
        by: By,
    },
    /// A gate waits for approval.
    GateOpened {
        /// The step.
        step: StepName,
        /// When it lapses.
        until: Time,
    },
    /// A gate was approved.
    GateApproved {
        /// The step.
        step: StepName,
        /// Who; empty where it was not asked for.
        by: By,
        /// The plan digest that was shown.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
    },
    /// A gate was denied.
    GateDenied {
        /// The step.
        step: StepName,
        /// Who, and why.
        by: By,
    },
    /// Nobody decided in time.
    GateLapsed {
        /// The step.
        step: StepName,
    },
    /// FORWARD has become UNDO; never back.
    Turned {
        /// Why.
        cause: Cause,
        /// Who, where a person did it.
        #[serde(default)]
        by: By,
    },
    /// An undo group's one decision.
    UndoDecided {
        /// The group.
        group: String,
        /// The reason to keep all of it; none: it is removed.
        keep: Option<String>,
        /// What was read.
        evidence: Value,
    },
    /// An undo's attempt begins.
    Undoing {
        /// The step.
        step: StepName,
        /// From 1.
        attempt: u32,
        /// Bounds all calls of the attempt.
        deadline: Time,
    },
    /// A key of the undo is another's.
    UndoBlocked {
        /// The step.
        step: StepName,
        /// The key.
        key: ResourceKey,
        /// Who holds it, or waits before us.
        behind: WorkflowId,
    },
    /// An undo's answer was lost, or it waits for something to go.
    UndoWaiting {
        /// The step.
        step: StepName,
        /// When it is looked at again.
        until: Time,
        /// Why.
        message: String,
    },
    /// An undo ended.
    UndoEnded {
        /// The step.
        step: StepName,
        /// How.
        undone: Undone,
    },
    /// An undo's failure that may pass.
    UndoRetryWait {
        /// The step.
        step: StepName,
        /// When it is tried again.
        until: Time,
        /// Why.
        failure: Failure,
    },
    /// An undo gave up: STUCK, until a person helps.
    UndoFailed {
        /// The step.
        step: StepName,
        /// Why.
        failure: Failure,
    },
    /// Paused by a person.
    Paused {
        /// Who, and why.
        by: By,
    },
    /// Resumed by a person.
    Resumed {
        /// Who, and why.
        by: By,
    },
    /// The daemon parked it: `CONNECTION_MOVED`, `DEFINITION_UNKNOWN`, …
    Parked {
        /// UPPER_SNAKE.
        reason: String,
        /// In words.
        message: String,
    },
    /// What parked it has passed.
    Unparked,
    /// A person gives it up.
    Abandoning {
        /// Who, and why.
        by: By,
    },
    /// The end.
    Ended {
        /// How.
        end: End,
    },
}

impl Event {
    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<&StepName> {
        match self {
            Self::StepStarted { step, .. }
            | Self::StepBlocked { step, .. }
            | Self::CheckWaiting { step, .. }
            | Self::CheckPassed { step, .. }
            | Self::Observed { step, .. }
            | Self::Applying { step, .. }
            | Self::EffectSeen { step, .. }
            | Self::Applied { step, .. }
            | Self::Confirming { step, .. }
            | Self::Confirmed { step, .. }
            | Self::Unresolved { step, .. }
            | Self::Resolved { step, .. }
            | Self::RetryWait { step, .. }
            | Self::Held { step, .. }
            | Self::Failed { step, .. }
            | Self::SkipAsked { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::RetryAsked { step, .. }
            | Self::GateOpened { step, .. }
            | Self::GateApproved { step, .. }
            | Self::GateDenied { step, .. }
            | Self::GateLapsed { step }
            | Self::Undoing { step, .. }
            | Self::UndoBlocked { step, .. }
            | Self::UndoWaiting { step, .. }
            | Self::UndoEnded { step, .. }
            | Self::UndoRetryWait { step, .. }
            | Self::UndoFailed { step, .. } => Some(step),
            Self::Started(_)
            | Self::Queued { .. }
            | Self::Admitted
            | Self::Turned { .. }
            | Self::UndoDecided { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::Parked { .. }
            | Self::Unparked
            | Self::Abandoning { .. }
            | Self::Ended { .. } => None,
        }
    }
}
