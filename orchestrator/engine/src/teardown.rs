//! A teardown: a workflow that undoes a finished build, by what the record of its cluster has kept. It is made of the build's
//! steps as the build left them, and goes the build's way back, with the same order, groups and claims. It knows no record.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Claim, Object, Undone, Verdict};
use crate::ids::{StepName, Time, WorkflowId};
use crate::state::{Phase, Step, UndoPhase, Workflow};

/// What a teardown begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Teardown {
    /// The workflow that built: markers, claims and sealed values carry its id.
    pub builder: WorkflowId,
    /// Version of the record that this was read from: another one is another teardown.
    pub record: u64,
    /// Whether the record goes at the end even where something is kept because it is in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forget: bool,
    /// The build's steps, as it left them; one that it never began is not among them.
    pub steps: Vec<Inherited>,
}

/// A step as the build left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The step.
    pub step: StepName,
    /// Whether it may have changed something that was not put back since.
    pub touched: bool,
    /// What undo restores; secrets in it are references.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// What observing found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What it answered: later steps' undo reads it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Its part of the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Object>,
    /// Its claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// No lost call of it can land after this.
    #[serde(default)]
    pub settles_at: Time,
}

impl Workflow {
    /// The workflow in whose name the world is read and changed: the one that built, where this one tears down.
    #[must_use]
    pub fn acts_as(&self) -> &WorkflowId {
        self.teardown.as_ref().map_or(&self.id, |teardown| &teardown.builder)
    }

    /// Whether a teardown has begun to undo: from there on it goes on, or waits for help.
    pub(crate) fn tears_down(&self) -> bool {
        let begun =
            |step: &Step| step.undo_attempts > 0 || matches!(step.undo, UndoPhase::Ended(_));
        self.teardown.is_some() && self.steps.iter().any(begun)
    }
}

impl Step {
    /// Takes over what the build left of the step.
    pub(crate) fn inherit(&mut self, from: &Inherited) {
        self.phase = Phase::Done;
        self.touched = from.touched;
        self.before = from.before.clone();
        self.verdict = from.verdict;
        self.output = from.output.clone();
        self.effects.clone_from(&from.effects);
        self.claim.clone_from(&from.claim);
        self.settles_at = from.settles_at;
    }

    /// No mutating call of it can land after this, as far as it is known.
    #[must_use]
    pub fn last_call_settles_at(&self) -> Time {
        let deadline = match (&self.phase, &self.undo) {
            (_, UndoPhase::Undoing { deadline }) | (Phase::Applying { deadline }, _) => *deadline,
            // For what goes slowly, or for a lost call that may still land.
            (_, UndoPhase::Waiting { until, .. }) => return self.settles_at.max(*until),
            _ => return self.settles_at,
        };
        self.settles_at.max(deadline.plus_ms(self.spec.limits.settle_ms))
    }

    /// Whether a later teardown has something to undo here: not undone yet, or kept only because it is still used or there.
    #[must_use]
    pub fn remains(&self) -> bool {
        self.in_undo_set()
            && match &self.undo {
                UndoPhase::Ended(undone) => undone.keeps(),
                _ => true,
            }
    }
}

impl Undone {
    /// Whether what was to be undone is still there, and still the workflow's own: what it stands on must stay too.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Kept { in_use: true, .. } | Self::Skipped { gone: false, .. })
    }
}
