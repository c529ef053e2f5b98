//! `apply`: the one fold of records into state, live and in recovery alike. It can't fail on records that `decide` produced; on
//! others it leaves the state as it is where they make no sense.

use std::sync::Arc;

use serde_json::Value;

use crate::definition::StepKind;
use crate::event::{Event, Record, Resolution, Started, Undone, Verdict};
use crate::failure::Failure;
use crate::ids::{StepName, Time};
use crate::state::{Direction, Parked, Phase, PublicState, Stage, Step, UndoPhase, Workflow};

/// A journal that can't be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The first record is not `started`.
    #[error("the journal does not begin with a started record")]
    NoStart,
    /// A record is missing, or there twice.
    #[error("record {found} follows record {after}")]
    Gap {
        /// The last record before it.
        after: u64,
        /// The record found.
        found: u64,
    },
}

/// Folds a whole journal.
///
/// # Errors
/// Where it does not begin with `started`, or has a gap.
pub fn replay<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Workflow, ReplayError> {
    let mut records = records.into_iter();
    let mut state = match records.next() {
        Some(Record { seq: 1, at, event: Event::Started(started) }) => {
            Workflow::begin(started, *at)
        }
        _ => return Err(ReplayError::NoStart),
    };
    for record in records {
        if record.seq != state.seq + 1 {
            return Err(ReplayError::Gap { after: state.seq, found: record.seq });
        }
        state.apply(&record.event, record.at);
    }
    Ok(state)
}

impl Workflow {
    /// The state after its first record.
    #[must_use]
    pub fn begin(started: &Started, at: Time) -> Self {
        let mut begun = Self {
            id: started.id.clone(),
            definition: started.definition.clone(),
            input: Arc::new(started.input.clone()),
            options: started.options.clone(),
            labels: started.labels.clone(),
            connection: started.connection.clone(),
            cluster: started.cluster.clone(),
            lock: started.lock.clone(),
            started_by: started.by.clone(),
            traceparent: started.traceparent.clone(),
            plan: started.plan.clone().map(Arc::new),
            seq: 1,
            started_at: at,
            updated_at: at,
            ended_at: None,
            admitted: false,
            queued_behind: None,
            direction: Direction::Forward,
            cause: None,
            turned_by: Default::default(),
            paused: None,
            abandoning: None,
            parked: None,
            end: None,
            group_decisions: Default::default(),
            steps: started.steps.iter().cloned().map(|spec| Step::new(Arc::new(spec))).collect(),
            ran_ms: 0,
            running_since: None,
            teardown: started.teardown.as_deref().cloned().map(Arc::new),
            quarantine: None,
        };
        for inherited in started.teardown.iter().flat_map(|teardown| &teardown.steps) {
            let mut steps = begun.steps.iter_mut();
            if let Some(step) = steps.find(|step| step.spec.name == inherited.step) {
                step.inherit(inherited);
            }
        }
        begun
    }

    /// Takes one more event.
    pub fn apply(&mut self, event: &Event, at: Time) {
        self.seq += 1;
        self.updated_at = at;
        match event.step() {
            Some(name) => {
                if let Some(step) = self.steps.iter_mut().find(|step| step.spec.name == *name) {
                    step.apply(event, at);
                }
            }
            None => self.apply_own(event, at),
        }
        self.count_running_time(at);
    }

    fn apply_own(&mut self, event: &Event, at: Time) {
        match event {
            Event::Queued { key, behind } => {
                self.queued_behind = Some((key.clone(), behind.clone()))
            }
            Event::Admitted => {
                self.admitted = true;
                self.queued_behind = None;
            }
            Event::Turned { cause, by } => {
                self.direction = Direction::Undo;
                self.cause = Some(*cause);
                self.turned_by = by.clone();
                self.paused = None;
                self.steps.iter_mut().for_each(|step| step.cut(true));
            }
            Event::UndoDecided { group, keep, .. } => {
                self.group_decisions.insert(group.clone(), keep.clone());
            }
            Event::Paused { by } => {
                self.paused = Some((by.clone(), at));
                self.steps.iter_mut().for_each(|step| step.cut(false));
            }
            Event::Resumed { .. } => self.paused = None,
            Event::Parked { reason, message } => {
                self.parked =
                    Some(Parked { reason: reason.clone(), message: message.clone(), since: at });
                self.steps.iter_mut().for_each(|step| step.cut(false));
            }
            Event::Unparked => {
                self.parked = None;
                // What failed while it was parked is tried again at once, with all its patience.
                self.steps.iter_mut().for_each(|step| step.retry_now(at));
            }
            Event::Abandoning { by } => self.abandoning = Some(by.clone()),
            Event::Ended { end } => {
                self.end = Some(*end);
                self.ended_at = Some(at);
            }
            _ => {}
        }
    }

    /// The forward clock runs while the public state is RUNNING, before any pivot.
    fn count_running_time(&mut self, at: Time) {
        if self.options.timeout_ms.is_none() {
            return;
        }
        let runs = self.direction == Direction::Forward
            && self.public_state() == PublicState::Running
            && !self.past_pivot();
        match (self.running_since, runs) {
            (None, true) => self.running_since = Some(at),
            (Some(since), false) => {
                self.ran_ms += at.ms_since(since);
                self.running_since = None;
            }
            _ => {}
        }
    }
}

impl Step {
    pub(crate) fn new(spec: Arc<crate::definition::StepSpec>) -> Self {
        Self {
            spec,
            phase: Phase::Pending,
            undo: UndoPhase::Idle,
            before: Value::Null,
            verdict: None,
            output: Value::Null,
            effects: Vec::new(),
            claim: None,
            warnings: Vec::new(),
            attempts: 0,
            undo_attempts: 0,
            generation: 0,
            touched: false,
            ever_applied: false,
            settles_at: Time::default(),
            confirming_since: None,
            skip_asked: None,
            failing_since: None,
            undo_failing_since: None,
            started_at: None,
            ended_at: None,
            undo_started_at: None,
        }
    }

    /// Drops reads that are under way: their results are ignored, and they are made again later. A turn closes gates too.
    fn cut(&mut self, turned: bool) {
        let cut = match &self.phase {
            Phase::Reading | Phase::Waiting { .. } | Phase::Blocked { stage: None, .. } => true,
            Phase::GateOpen { .. } => turned,
            _ => false,
        };
        if cut {
            self.phase = Phase::Pending;
        }
    }

    fn apply(&mut self, event: &Event, at: Time) {
        match event {
            Event::UndoBlocked { .. }
            | Event::Undoing { .. }
            | Event::UndoWaiting { .. }
            | Event::UndoEnded { .. }
            | Event::UndoRetryWait { .. }
            | Event::UndoFailed { .. } => self.apply_undo(event, at),
            Event::Applying { .. }
            | Event::EffectSeen { .. }
            | Event::Applied { .. }
            | Event::Confirming { .. }
            | Event::Confirmed { .. }
            | Event::Unresolved { .. }
            | Event::Resolved { .. } => self.apply_change(event, at),
            _ => self.apply_forward(event, at),
        }
    }

    fn done(&mut self, at: Time) {
        self.phase = Phase::Done;
        self.ended_at = Some(at);
        self.failing_since = None;
        self.skip_asked = None;
    }

    fn apply_forward(&mut self, event: &Event, at: Time) {
        match event {
            Event::StepStarted { attempt, .. } => {
                self.skip_asked = None;
                self.phase = Phase::Reading;
                self.attempts = *attempt;
                self.started_at.get_or_insert(at);
            }
            Event::StepBlocked { key, behind, .. } => {
                let stage = match &self.phase {
                    Phase::RetryWait { stage, .. } | Phase::Held { stage, .. } => Some(*stage),
                    Phase::Blocked { stage, .. } => *stage,
                    _ => None,
                };
                self.phase = Phase::Blocked { key: key.clone(), behind: behind.clone(), stage };
            }
            Event::CheckWaiting { until, message, .. } => {
                self.phase = Phase::Waiting { until: *until, message: message.clone() }
            }
            Event::CheckPassed { output, warnings, .. } => {
                self.output = output.clone();
                self.warnings.clone_from(warnings);
                self.done(at);
            }
            Event::Observed { before, verdict, claim, warnings, .. } => {
                self.before = before.clone();
                self.verdict = Some(*verdict);
                self.claim.clone_from(claim);
                self.warnings.clone_from(warnings);
                self.phase = Phase::Observed;
                self.failing_since = None;
            }
            Event::RetryWait { until, failure, .. } => self.retry(*until, failure, at),
            Event::Held { failure, .. } => {
                self.phase = Phase::Held { stage: self.stage(), failure: failure.clone() };
                self.skip_asked = None;
            }
            Event::Failed { failure, .. } => {
                self.phase = Phase::Failed { failure: failure.clone() };
                self.ended_at = Some(at);
            }
            Event::SkipAsked { by, .. } => self.skip_asked = Some(by.clone()),
            Event::StepSkipped { .. } => {
                self.verdict = Some(Verdict::Adopted);
                self.done(at);
            }
            Event::RetryAsked { .. } => self.retry_asked(at),
            Event::GateOpened { until, .. } => {
                self.phase = Phase::GateOpen { until: *until };
                self.started_at.get_or_insert(at);
            }
            Event::GateApproved { .. } => self.done(at),
            Event::GateDenied { by, .. } => self.close_gate(
                format!("denied by {}: {}", by.principal, by.reason),
                "GATE_DENIED",
                at,
            ),
            Event::GateLapsed { .. } => {
                self.close_gate("nobody decided in time".to_owned(), "GATE_LAPSED", at)
            }
            _ => {}
        }
    }

    fn close_gate(&mut self, message: String, code: &str, at: Time) {
        self.phase = Phase::Failed { failure: Failure::permanent(message).with_code(code) };
        self.ended_at = Some(at);
    }

    fn apply_change(&mut self, event: &Event, at: Time) {
        match event {
            Event::Applying { attempt, generation, deadline, .. } => {
                self.skip_asked = None;
                self.phase = Phase::Applying { deadline: *deadline };
                self.attempts = *attempt;
                self.generation = *generation;
                self.touched = true;
                self.ever_applied = true;
            }
            Event::EffectSeen { object, .. } => match self
                .effects
                .iter_mut()
                .find(|known| known.kind == object.kind && known.id == object.id)
            {
                Some(known) => *known = object.clone(),
                None => self.effects.push(object.clone()),
            },
            Event::Applied { output, .. } => {
                self.output = output.clone();
                self.confirm_from(at);
            }
            Event::Confirming { until, message, .. } => {
                self.confirming_since.get_or_insert(at);
                self.phase = Phase::Confirming { until: *until, message: message.clone() };
            }
            Event::Confirmed { output, .. } => {
                self.output = output.clone();
                self.done(at);
            }
            Event::Unresolved { settles_at, .. } => {
                self.settles_at = self.settles_at.max(*settles_at);
                self.phase = Phase::Unresolved { settles_at: *settles_at };
            }
            Event::Resolved { resolution, output, .. } => self.resolved(*resolution, output, at),
            _ => {}
        }
    }

    fn confirm_from(&mut self, at: Time) {
        // A change that is applied again for what its confirmation found has no more time for that.
        self.confirming_since.get_or_insert(at);
        self.failing_since = None;
        self.phase = Phase::Confirming { until: at, message: String::new() };
    }

    fn resolved(&mut self, resolution: Resolution, output: &Value, at: Time) {
        match resolution {
            Resolution::Done => {
                self.output = output.clone();
                self.confirm_from(at);
            }
            Resolution::Partial => self.phase = Phase::Observed,
            Resolution::NoEffect => {
                self.touched = false;
                self.confirming_since = None;
                self.generation += 1;
                self.phase = Phase::Pending;
            }
        }
    }

    /// The stage that the present phase belongs to.
    fn stage(&self) -> Stage {
        match &self.phase {
            Phase::RetryWait { stage, .. }
            | Phase::Held { stage, .. }
            | Phase::Blocked { stage: Some(stage), .. } => *stage,
            Phase::Applying { .. } | Phase::Observed => Stage::Apply,
            Phase::Confirming { .. } | Phase::Done => Stage::Confirm,
            Phase::Unresolved { .. } => Stage::Resolve,
            Phase::Pending
            | Phase::Blocked { .. }
            | Phase::Reading
            | Phase::Waiting { .. }
            | Phase::GateOpen { .. }
            | Phase::Failed { .. } => {
                if self.spec.kind == StepKind::Action {
                    Stage::Observe
                } else {
                    Stage::Check
                }
            }
        }
    }

    fn retry(&mut self, until: Time, failure: &Failure, at: Time) {
        self.phase = Phase::RetryWait { stage: self.stage(), until, failure: failure.clone() };
        self.failing_since.get_or_insert(at);
    }

    /// What waits to be tried again is due now.
    fn retry_now(&mut self, at: Time) {
        self.failing_since = None;
        self.undo_failing_since = None;
        if let Phase::RetryWait { until, .. } = &mut self.phase {
            *until = at;
        }
        if let UndoPhase::RetryWait { until, .. } = &mut self.undo {
            *until = at;
        }
    }

    fn retry_asked(&mut self, at: Time) {
        self.retry_now(at);
        if let Phase::Held { stage, failure } = &self.phase {
            self.phase = Phase::RetryWait { stage: *stage, until: at, failure: failure.clone() };
            // The person has mended something: it may take its time to hold from now on.
            self.confirming_since = None;
        }
        if let UndoPhase::Stuck { failure } = &self.undo {
            self.undo = UndoPhase::RetryWait { until: at, failure: failure.clone() };
            self.skip_asked = None;
        }
    }

    fn apply_undo(&mut self, event: &Event, at: Time) {
        match event {
            Event::UndoBlocked { key, behind, .. } => {
                self.undo = UndoPhase::Blocked { key: key.clone(), behind: behind.clone() }
            }
            Event::Undoing { attempt, deadline, .. } => {
                self.undo = UndoPhase::Undoing { deadline: *deadline };
                self.undo_attempts = *attempt;
                self.undo_started_at.get_or_insert(at);
            }
            Event::UndoWaiting { until, message, .. } => {
                self.undo = UndoPhase::Waiting { until: *until, message: message.clone() };
                self.undo_failing_since = None;
            }
            Event::UndoEnded { undone, .. } => {
                if matches!(
                    undone,
                    Undone::Reverted | Undone::NothingThere | Undone::Skipped { gone: true, .. }
                ) {
                    self.effects.iter_mut().for_each(|object| object.present = false);
                }
                self.undo = UndoPhase::Ended(undone.clone());
                if !undone.keeps() {
                    self.claim = None;
                }
                self.ended_at = Some(at);
                self.skip_asked = None;
            }
            Event::UndoRetryWait { until, failure, .. } => {
                self.undo = UndoPhase::RetryWait { until: *until, failure: failure.clone() };
                self.undo_failing_since.get_or_insert(at);
            }
            Event::UndoFailed { failure, .. } => {
                self.undo = UndoPhase::Stuck { failure: failure.clone() }
            }
            _ => {}
        }
    }
}

/// Numbers events from `after` on, as they are written.
#[must_use]
pub fn number(after: u64, at: Time, events: Vec<Event>) -> Vec<Record> {
    (after + 1..).zip(events).map(|(seq, event)| Record { seq, at, event }).collect()
}

/// Where a name leads in the list of steps.
pub(crate) fn position(state: &Workflow, name: &StepName) -> Option<usize> {
    state.steps.iter().position(|step| step.spec.name == *name)
}
