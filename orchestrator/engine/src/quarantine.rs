//! A workflow whose records can't all be read: what is still known of it, what it may have left, and the one verb that it takes.
//! It knows no store: somebody else says what could be read, and what stood in the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::decide::Draft;
use crate::definition::{DefinitionRef, Limits, LostCall, StepKind, StepSpec};
use crate::event::{End, Event, Object, Origin, Record, Started, Undone, Verdict};
use crate::ids::{ResourceKey, StepName, Time, WorkflowId};
use crate::input::{Input, Reason, Rejection, Verb};
use crate::state::{Hold, Left, Phase, Step, UndoPhase, Workflow};

/// Faults that are named one by one; of more only the number is said.
const NAMED_MAX: usize = 5;

/// Why a workflow is kept apart, and what it holds meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quarantine {
    /// What can't be read and why, a line for each.
    pub why: Vec<String>,
    /// Since when that is known.
    pub since: Time,
    /// Whether records are missing: steps may have done more than is known. False where only what stands beside them is lost.
    pub incomplete: bool,
    /// What it holds, as the store has it.
    pub holds: BTreeSet<Hold>,
}

impl Quarantine {
    /// What can't be read, in a line.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = self.why.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
        if self.why.len() > NAMED_MAX {
            text.push_str(&format!("; and {} more", self.why.len() - NAMED_MAX));
        }
        text
    }
}

impl Quarantine {
    /// Whether a workflow that was started with this lock holds it, and so was admitted.
    #[must_use]
    pub fn holds_lock(&self, lock: Option<&ResourceKey>) -> bool {
        self.holds.iter().any(|(key, step)| step.is_none() && Some(key) == lock)
    }

    /// What every verb but one is answered with.
    pub(crate) fn refusal(&self, id: &WorkflowId) -> Rejection {
        let message = format!(
            "workflow {id} is QUARANTINED: {}; it can only be abandoned, which lists what it has possibly left",
            self.message()
        );
        Rejection { reason: Reason::Quarantined, message }
    }
}

impl Workflow {
    /// The best picture of a workflow that can't be replayed: its readable records in order, whatever is missing between them.
    /// `seq` is how many records it has, readable or not.
    #[must_use]
    pub fn salvage(id: &WorkflowId, records: &[Record], seq: u64, quarantine: Quarantine) -> Self {
        let mut records = records.iter().peekable();
        let mut state = match records.next_if(|record| matches!(record.event, Event::Started(_))) {
            Some(Record { at, event: Event::Started(started), seq }) => {
                let begun = Self::begin(started, *at);
                Self { seq: *seq, ..begun }
            }
            _ => Self { seq: 0, ..Self::begin(&nothing_known(id), quarantine.since) },
        };
        let mut incomplete = state.seq != 1;
        for record in records {
            if record.seq != state.seq + 1 {
                incomplete = true;
                state.forget_what_is_gone();
            }
            if let Some(name) = record.event.step().filter(|name| state.step(name).is_none()) {
                state.steps.push(Step::new(Arc::new(unknown_step(name))));
            }
            state.seq = record.seq - 1;
            state.apply(&record.event, record.at);
        }
        if state.seq != seq {
            incomplete = true;
            state.forget_what_is_gone();
        }
        state.seq = seq;
        state.quarantine = Some(Arc::new(Quarantine { incomplete, ..quarantine }));
        state
    }

    /// What was seen to be gone may have been made again by what can't be read.
    fn forget_what_is_gone(&mut self) {
        let effects = self.steps.iter_mut().flat_map(|step| &mut step.effects);
        effects.for_each(|object| object.present = true);
    }

    /// The whole readable ledger, and each step that may have done something of which nothing is known: none of it is certain.
    pub(crate) fn possibly_left(&self, quarantine: &Quarantine) -> Vec<Left> {
        let mut left = Vec::new();
        for step in &self.steps {
            let known = step.effects.iter().filter(|object| object.present);
            let objects: Vec<Object> =
                known.filter(|object| object.origin != Origin::Adopted).cloned().collect();
            let silent = objects.is_empty() && self.may_have_acted(step, quarantine.incomplete);
            let objects = objects.into_iter().chain(silent.then(|| step.unknown_object()));
            let step = &step.spec.name;
            left.extend(objects.map(|object| Left { step: step.clone(), object, possibly: true }));
        }
        left
    }

    fn may_have_acted(&self, step: &Step, incomplete: bool) -> bool {
        if step.spec.kind != StepKind::Action || step.verdict == Some(Verdict::Adopted) {
            return false;
        }
        let undone = matches!(
            step.undo,
            UndoPhase::Ended(
                Undone::Reverted | Undone::NothingThere | Undone::Skipped { gone: true, .. }
            )
        );
        if undone && !incomplete {
            return false;
        }
        let passed =
            |name: &StepName| self.step(name).is_none_or(|step| step.phase != Phase::Pending);
        let could_begin = step.phase != Phase::Pending || step.spec.after.iter().all(passed);
        step.in_undo_set() || (incomplete && could_begin)
    }
}

impl Step {
    /// Stands for what a call may have made of which nothing is known.
    pub(crate) fn unknown_object(&self) -> Object {
        let key = self.spec.keys.first();
        Object {
            kind: self.spec.template.clone(),
            id: key.map_or_else(|| self.spec.name.to_string(), ToString::to_string),
            origin: Origin::Created,
            present: true,
            remedy: "see the step's row in the guide for how to look for it".to_owned(),
            facts: Value::Null,
        }
    }
}

impl Draft<'_> {
    /// It accepts only to be given up; nothing else moves it.
    pub(crate) fn quarantined(&mut self, why: &Quarantine, input: &Input) -> Result<(), Rejection> {
        match input {
            Input::Asked { verb: Verb::Abandon, by } => {
                self.emit(Event::Abandoning { by: by.clone() });
                self.end(End::Abandoned);
                Ok(())
            }
            Input::Asked { .. } => Err(why.refusal(&self.state.id)),
            Input::Begin
            | Input::Recover
            | Input::Tick
            | Input::Finished { .. }
            | Input::Seen { .. }
            | Input::Park { .. }
            | Input::Unpark
            | Input::Reject(_) => Ok(()),
        }
    }
}

/// The start of a workflow whose first record is lost.
fn nothing_known(id: &WorkflowId) -> Started {
    let definition = DefinitionRef { name: String::new(), revision: 0, digest: String::new() };
    Started {
        id: id.clone(),
        definition,
        input: Value::Null,
        options: Default::default(),
        labels: Default::default(),
        connection: String::new(),
        cluster: String::new(),
        lock: None,
        steps: Vec::new(),
        by: Default::default(),
        traceparent: String::new(),
        plan: None,
        teardown: None,
    }
}

/// A step of which only records are known, not what it was started as.
fn unknown_step(name: &StepName) -> StepSpec {
    let template = name.as_str().split('[').next().unwrap_or_default();
    StepSpec {
        name: name.clone(),
        template: template.to_owned(),
        key: None,
        kind: StepKind::Action,
        after: Vec::new(),
        pivot: false,
        finally: false,
        undo_group: None,
        keys: Vec::new(),
        lost_call: LostCall::MayLand,
        limits: Limits {
            attempt_ms: 0,
            settle_ms: 0,
            confirm_ms: 0,
            give_up_ms: 0,
            undo_give_up_ms: 0,
        },
    }
}
