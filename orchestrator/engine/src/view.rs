//! What is shown of a state: the public state, what failed, what is left, and when it is due next. Derived, never stored.

use crate::event::{End, Origin, Undone};
use crate::failure::Failure;
use crate::ids::{StepName, Time};
use crate::state::{Direction, Left, Phase, PublicState, Stage, Step, UndoPhase, Workflow};

impl PublicState {
    /// `RUNNING`, …
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::AwaitingApproval => "AWAITING_APPROVAL",
            Self::Paused => "PAUSED",
            Self::Compensating => "COMPENSATING",
            Self::Stuck => "STUCK",
            Self::Quarantined => "QUARANTINED",
            Self::Succeeded => "SUCCEEDED",
            Self::Rejected => "REJECTED",
            Self::Compensated => "COMPENSATED",
            Self::Cancelled => "CANCELLED",
            Self::Abandoned => "ABANDONED",
        }
    }
}

/// The public state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Waits for a key.
    Blocked,
    /// A check reads, or an action observes.
    Reading,
    /// A check looks again later.
    Waiting,
    /// A gate is open.
    AwaitingApproval,
    /// Changing the world.
    Applying,
    /// An answer was lost.
    Unresolved,
    /// The change is to hold.
    Confirming,
    /// A failure that may pass.
    Retrying,
    /// Held for the operator.
    Held,
    /// Failed.
    Failed,
    /// Passed, confirmed or approved.
    Done,
    /// Being undone.
    Undoing,
    /// An undo's failure that may pass.
    UndoRetrying,
    /// An undo gave up.
    Stuck,
    /// Undone.
    Undone,
    /// Left on purpose.
    Kept,
}

impl StepState {
    /// `CONFIRMING`, …
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Blocked => "BLOCKED",
            Self::Reading => "READING",
            Self::Waiting => "WAITING",
            Self::AwaitingApproval => "AWAITING_APPROVAL",
            Self::Applying => "APPLYING",
            Self::Unresolved => "UNRESOLVED",
            Self::Confirming => "CONFIRMING",
            Self::Retrying => "RETRYING",
            Self::Held => "HELD",
            Self::Failed => "FAILED",
            Self::Done => "DONE",
            Self::Undoing => "UNDOING",
            Self::UndoRetrying => "UNDO_RETRYING",
            Self::Stuck => "STUCK",
            Self::Undone => "UNDONE",
            Self::Kept => "KEPT",
        }
    }
}

impl Step {
    /// What is shown of it.
    #[must_use]
    pub fn public_state(&self) -> StepState {
        match &self.undo {
            UndoPhase::Idle => {}
            UndoPhase::Blocked { .. } => return StepState::Blocked,
            UndoPhase::Undoing { .. } | UndoPhase::Waiting { .. } => return StepState::Undoing,
            UndoPhase::RetryWait { .. } => return StepState::UndoRetrying,
            // A person has asked to skip it, and the world is being read for that.
            UndoPhase::Stuck { .. } if self.skip_asked.is_some() => return StepState::Undoing,
            UndoPhase::Stuck { .. } => return StepState::Stuck,
            UndoPhase::Ended(Undone::Kept { .. } | Undone::Skipped { gone: false, .. }) => {
                return StepState::Kept;
            }
            UndoPhase::Ended(_) => return StepState::Undone,
        }
        match &self.phase {
            Phase::Pending => StepState::Pending,
            Phase::Blocked { .. } => StepState::Blocked,
            Phase::Reading => StepState::Reading,
            Phase::Waiting { .. } => StepState::Waiting,
            Phase::GateOpen { .. } => StepState::AwaitingApproval,
            Phase::Observed | Phase::Applying { .. } => StepState::Applying,
            Phase::Unresolved { .. } | Phase::RetryWait { stage: Stage::Resolve, .. } => {
                StepState::Unresolved
            }
            Phase::Confirming { .. } => StepState::Confirming,
            Phase::RetryWait { .. } => StepState::Retrying,
            Phase::Held { .. } => StepState::Held,
            Phase::Failed { .. } => StepState::Failed,
            Phase::Done => StepState::Done,
        }
    }

    /// Its latest failure: of the undo, else of the way forward.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.undo {
            UndoPhase::RetryWait { failure, .. } | UndoPhase::Stuck { failure } => {
                return Some(failure);
            }
            _ => {}
        }
        match &self.phase {
            Phase::RetryWait { failure, .. }
            | Phase::Held { failure, .. }
            | Phase::Failed { failure } => Some(failure),
            _ => None,
        }
    }

    /// Why its undo left something there; none where it did not.
    #[must_use]
    pub fn kept_because(&self) -> Option<&str> {
        match &self.undo {
            UndoPhase::Ended(
                Undone::Kept { reason, .. } | Undone::Skipped { reason, gone: false },
            ) => Some(reason),
            _ => None,
        }
    }

    /// The next moment at which it can go on by itself.
    fn due(&self, undo: bool) -> Option<Time> {
        let resolving = match &self.phase {
            Phase::RetryWait { stage: Stage::Resolve, until, .. } => Some(*until),
            _ => None,
        };
        if undo {
            let own = match &self.undo {
                UndoPhase::Waiting { until, .. } | UndoPhase::RetryWait { until, .. } => {
                    Some(*until)
                }
                UndoPhase::Idle | UndoPhase::Blocked { .. } if self.in_undo_set() => {
                    Some(self.settles_at)
                }
                _ => None,
            };
            return own.or(resolving);
        }
        match &self.phase {
            Phase::Waiting { until, .. }
            | Phase::GateOpen { until }
            | Phase::Confirming { until, .. }
            | Phase::RetryWait { until, .. } => Some(*until),
            _ => None,
        }
    }
}

impl Workflow {
    /// The public state (section 3.3), first match.
    #[must_use]
    pub fn public_state(&self) -> PublicState {
        match self.end {
            Some(End::Succeeded) => return PublicState::Succeeded,
            Some(End::Rejected) => return PublicState::Rejected,
            Some(End::Compensated) => return PublicState::Compensated,
            Some(End::Cancelled) => return PublicState::Cancelled,
            Some(End::Abandoned) => return PublicState::Abandoned,
            None => {}
        }
        if self.quarantine.is_some() {
            return PublicState::Quarantined;
        }
        let held = self.steps.iter().any(|step| matches!(step.phase, Phase::Held { .. }));
        let forward = self.direction == Direction::Forward;
        if self.paused.is_some()
            || self.parked.is_some()
            || (forward && held && !self.anything_moves())
        {
            return PublicState::Paused;
        }
        if !self.admitted && forward {
            return PublicState::Queued;
        }
        if self.steps.iter().any(Step::is_stuck) {
            return PublicState::Stuck;
        }
        if !forward && self.teardown.is_none() {
            return PublicState::Compensating;
        }
        let gate = self.steps.iter().any(|step| matches!(step.phase, Phase::GateOpen { .. }));
        if gate && !self.anything_moves() {
            PublicState::AwaitingApproval
        } else {
            PublicState::Running
        }
    }

    /// Whether some step goes on, or will by itself; an open gate does not.
    fn anything_moves(&self) -> bool {
        self.steps.iter().any(|step| match &step.phase {
            Phase::Done | Phase::Held { .. } | Phase::Failed { .. } | Phase::GateOpen { .. } => {
                false
            }
            Phase::Pending => step
                .spec
                .after
                .iter()
                .all(|name| self.step(name).is_some_and(|before| before.phase == Phase::Done)),
            _ => true,
        })
    }

    /// When the forward running time is used up.
    #[must_use]
    pub fn timeout_at(&self) -> Option<Time> {
        let left = self.options.timeout_ms?.saturating_sub(self.ran_ms);
        Some(self.running_since?.plus_ms(left))
    }

    /// When its patience in the queue ends.
    #[must_use]
    pub fn queue_timeout_at(&self) -> Option<Time> {
        if self.admitted {
            None
        } else {
            Some(self.started_at.plus_ms(self.options.queue_timeout_ms?))
        }
    }

    /// The next moment after `now` at which it goes on by itself: its one durable timer. What was due before has been acted on.
    #[must_use]
    pub fn next_due(&self, now: Time) -> Option<Time> {
        if self.is_ended() || self.quarantine.is_some() {
            return None;
        }
        let undo = self.direction == Direction::Undo;
        let closing = |step: &Step| step.spec.finally && self.needs_undo(step);
        let resting = self.paused.is_some() || self.parked.is_some();
        let steps = self
            .steps
            .iter()
            .filter(|step| !resting || step.in_doubt())
            .filter_map(|step| step.due(undo || closing(step)));
        let own = self.timeout_at().into_iter().chain(self.queue_timeout_at());
        steps.chain(own).filter(|due| *due > now).min()
    }

    /// The first failure, with its step.
    #[must_use]
    pub fn failure(&self) -> Option<(&StepName, &Failure)> {
        let failed = self
            .steps
            .iter()
            .filter(|step| matches!(step.phase, Phase::Failed { .. } | Phase::Held { .. }));
        let first = failed.min_by_key(|step| step.ended_at.unwrap_or(self.updated_at));
        let stuck = || self.steps.iter().find(|step| step.is_stuck());
        first.or_else(stuck).and_then(|step| Some((&step.spec.name, step.failure()?)))
    }

    /// What is left in the world, or possibly left: going back, what no undo has removed (yet); going forward, while it rests
    /// or after it was abandoned, what it has made so far.
    #[must_use]
    pub fn left(&self) -> Vec<Left> {
        if let Some(quarantine) = &self.quarantine {
            return self.possibly_left(quarantine);
        }
        let rests = matches!(
            self.public_state(),
            PublicState::Paused | PublicState::AwaitingApproval | PublicState::Abandoned
        );
        if self.direction == Direction::Forward && !rests {
            return Vec::new();
        }
        let mut left = Vec::new();
        for step in &self.steps {
            let kept = step.kept_because().is_some();
            if !kept && !self.needs_undo(step) {
                continue;
            }
            let doubtful = step.in_doubt() || (step.effects.is_empty() && !kept);
            let objects = step
                .effects
                .iter()
                .filter(|object| object.present && object.origin != Origin::Adopted);
            left.extend(objects.map(|object| Left {
                step: step.spec.name.clone(),
                object: object.clone(),
                possibly: false,
            }));
            if doubtful && step.touched {
                let object = step.unknown_object();
                left.push(Left { step: step.spec.name.clone(), object, possibly: true });
            }
        }
        left
    }
}
