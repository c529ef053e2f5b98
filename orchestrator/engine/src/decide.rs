//! `decide`: what follows from an input. It drafts events on a copy of the state, each applied at once by the same `apply` that
//! replays them, and then lets the workflow advance as far as it can.

use crate::event::{By, Cause, End, Event, Resolution, Undone, Verdict};
use crate::failure::{Failure, FailureClass};
use crate::ids::{StepName, Time};
use crate::input::{Decision, Input, Operation, OperationKind, Refusal, Rejection, StepOutcome};
use crate::state::{Direction, Phase, Step, UndoPhase, Workflow};

/// What follows from `input` in `state` at `now`, and the state after it. `refusals` are keys that could not be had when this very decision was to be
/// written before.
///
/// # Errors
/// Where a person asks for what the state does not allow. A late or repeated result is no error: nothing follows from it.
pub fn decide(
    state: &Workflow,
    input: &Input,
    now: Time,
    refusals: &[Refusal],
) -> Result<(Decision, Workflow), Rejection> {
    let mut draft = Draft { state: state.clone(), now, refusals, decision: Decision::default() };
    if let (Some(quarantine), false) = (&state.quarantine, state.is_ended()) {
        draft.quarantined(quarantine, input)?;
        return Ok((draft.decision, draft.state));
    }
    match input {
        Input::Begin | Input::Tick => {}
        Input::Recover => draft.recover(),
        Input::Finished { operation, outcome, retry_at } => {
            draft.finished(operation, outcome, *retry_at)
        }
        Input::Seen { step, object } => {
            if !draft.state.is_ended() && draft.state.step(step).is_some() {
                draft.emit(Event::EffectSeen { step: step.clone(), object: object.clone() });
            }
        }
        Input::Asked { verb, by } => draft.asked(verb, by)?,
        Input::Park { reason, message } => {
            let known = draft.state.parked.as_ref().is_some_and(|parked| parked.reason == *reason);
            if !draft.state.is_ended() && !known {
                draft.emit(Event::Parked { reason: reason.clone(), message: message.clone() });
            }
        }
        Input::Reject(failure) => draft.reject(failure),
        Input::Unpark => {
            if draft.state.parked.is_some() && !draft.state.is_ended() {
                draft.emit(Event::Unparked);
            }
        }
    }
    draft.advance();
    Ok((draft.decision, draft.state))
}

pub(crate) struct Draft<'a> {
    pub(crate) state: Workflow,
    pub(crate) now: Time,
    pub(crate) refusals: &'a [Refusal],
    pub(crate) decision: Decision,
}

impl Draft<'_> {
    pub(crate) fn emit(&mut self, event: Event) {
        self.state.apply(&event, self.now);
        self.decision.events.push(event);
    }

    pub(crate) fn step(&self, index: usize) -> &Step {
        &self.state.steps[index]
    }

    pub(crate) fn name(&self, index: usize) -> StepName {
        self.state.steps[index].spec.name.clone()
    }

    pub(crate) fn operate(&mut self, index: usize, kind: OperationKind) {
        let step = &self.state.steps[index];
        let undo = matches!(
            kind,
            OperationKind::Revert | OperationKind::Decide | OperationKind::VerifyGone
        );
        let deadline = match (kind, &step.phase, &step.undo) {
            (OperationKind::Apply, Phase::Applying { deadline }, _) => Some(*deadline),
            (OperationKind::Revert | OperationKind::Decide, _, UndoPhase::Undoing { deadline }) => {
                Some(*deadline)
            }
            _ => None,
        };
        let operation = Operation {
            step: step.spec.name.clone(),
            kind,
            attempt: if undo { step.undo_attempts } else { step.attempts },
            generation: step.generation,
            deadline,
        };
        if !self.decision.operations.contains(&operation) {
            self.decision.operations.push(operation);
        }
    }

    pub(crate) fn refused(&self, step: Option<&StepName>) -> Option<Refusal> {
        self.refusals.iter().find(|refusal| refusal.step.as_ref() == step).cloned()
    }

    pub(crate) fn turn(&mut self, cause: Cause, by: By) {
        if self.state.direction == Direction::Forward {
            self.emit(Event::Turned { cause, by });
        }
    }

    pub(crate) fn end(&mut self, end: End) {
        if !self.state.is_ended() {
            self.emit(Event::Ended { end });
        }
    }

    /// Whether nothing new may start: a person, or the daemon, holds the workflow.
    pub(crate) fn at_rest(&self) -> bool {
        self.state.paused.is_some()
            || self.state.parked.is_some()
            || self.state.abandoning.is_some()
            || self.state.is_ended()
    }

    /// After a restart: calls that were under way are lost, reads are made again.
    fn recover(&mut self) {
        for index in 0..self.state.steps.len() {
            let step = self.step(index);
            let (name, limits) = (step.spec.name.clone(), step.spec.limits);
            if let Phase::Applying { deadline } = step.phase {
                self.emit(Event::Unresolved {
                    step: name.clone(),
                    settles_at: deadline.plus_ms(limits.settle_ms),
                });
            } else if matches!(step.phase, Phase::Reading) && !self.at_rest() {
                let kind = if step.spec.kind == crate::StepKind::Check {
                    OperationKind::Check
                } else {
                    OperationKind::Observe
                };
                self.operate(index, kind);
            } else if let (Some(_), Some(kind)) =
                (&self.step(index).skip_asked, self.step(index).skip_reads())
            {
                self.operate(index, kind);
            }
            if let UndoPhase::Undoing { deadline } = self.step(index).undo {
                self.undo_lost(
                    index,
                    deadline,
                    "the daemon restarted while the undo was under way",
                );
            }
        }
    }

    /// Refused by the daemon before it was admitted: it ends as REJECTED, with the failure at its first step.
    fn reject(&mut self, failure: &Failure) {
        let Some(first) = self.state.steps.first().map(|step| step.spec.name.clone()) else {
            return;
        };
        if !self.state.admitted && !self.state.is_ended() {
            self.emit(Event::Failed { step: first, failure: failure.clone() });
            if self.state.teardown.is_some() {
                return self.end(End::Rejected);
            }
            self.turn(Cause::Failure, By::default());
        }
    }

    fn finished(&mut self, operation: &Operation, outcome: &StepOutcome, retry_at: Time) {
        let Some(index) = crate::apply::position(&self.state, &operation.step) else { return };
        if self.state.is_ended() {
            return;
        }
        let step = self.step(index);
        let current = match operation.kind {
            OperationKind::Revert | OperationKind::Decide | OperationKind::VerifyGone => {
                operation.attempt == step.undo_attempts
            }
            _ => operation.attempt == step.attempts,
        };
        if !current {
            return;
        }
        let forward = self.state.direction == Direction::Forward;
        match (operation.kind, &step.phase, &step.undo) {
            (OperationKind::Check, Phase::Reading | Phase::Waiting { .. }, _) if forward => {
                self.checked(index, outcome, retry_at)
            }
            (OperationKind::Observe, Phase::Reading, _) if forward => {
                self.observed(index, outcome, retry_at)
            }
            (OperationKind::Observe, _, _) if forward && step.skip_asked.is_some() => {
                self.skip_observed(index, outcome)
            }
            (OperationKind::Apply, Phase::Applying { deadline }, _) => {
                self.applied(index, outcome, *deadline, retry_at)
            }
            (OperationKind::Confirm, Phase::Confirming { .. }, _) if forward => {
                self.confirmed(index, outcome, retry_at)
            }
            (OperationKind::Resolve, Phase::Unresolved { settles_at }, _) => {
                self.resolved(index, outcome, *settles_at, retry_at)
            }
            (OperationKind::Decide, _, UndoPhase::Undoing { .. }) => {
                self.group_decided(index, outcome, retry_at)
            }
            (OperationKind::Revert, _, UndoPhase::Undoing { deadline }) => {
                self.reverted(index, outcome, *deadline, retry_at)
            }
            (OperationKind::VerifyGone, _, UndoPhase::Stuck { .. }) => {
                self.skip_verified(index, outcome)
            }
            _ => {}
        }
    }

    fn checked(&mut self, index: usize, outcome: &StepOutcome, retry_at: Time) {
        let step = self.name(index);
        match outcome {
            StepOutcome::Passed { output, warnings } => {
                self.emit(Event::CheckPassed {
                    step,
                    output: output.clone(),
                    warnings: warnings.clone(),
                });
            }
            StepOutcome::NotYet { until, message } => {
                let spec = &self.step(index).spec;
                let since = self.step(index).started_at.unwrap_or(self.now);
                if self.now.ms_since(since) >= spec.limits.confirm_ms {
                    let failure = Failure::permanent(format!("it did not hold in time: {message}"))
                        .with_code("CHECK_DEADLINE");
                    self.fail(index, failure);
                } else if matches!(&self.step(index).phase, Phase::Waiting { message: known, .. } if known == message)
                {
                    self.decision.rests.push((step, OperationKind::Check, *until));
                } else {
                    self.emit(Event::CheckWaiting {
                        step,
                        until: *until,
                        message: message.clone(),
                    });
                }
            }
            StepOutcome::Failed(failure) => self.retry_or_fail(index, failure, retry_at),
            _ => {}
        }
    }

    fn observed(&mut self, index: usize, outcome: &StepOutcome, retry_at: Time) {
        let step = self.name(index);
        match outcome {
            StepOutcome::Observed { before, verdict, claim, output, warnings } => {
                self.emit(Event::Observed {
                    step: step.clone(),
                    before: before.clone(),
                    verdict: *verdict,
                    claim: claim.clone(),
                    warnings: warnings.clone(),
                });
                match verdict {
                    Verdict::Change => self.start_applying(index, 1),
                    Verdict::Adopted => {
                        self.emit(Event::Confirmed { step, output: output.clone() })
                    }
                    Verdict::Ours | Verdict::Shared => {
                        self.emit(Event::Applied { step, output: output.clone() });
                        self.operate(index, OperationKind::Confirm);
                    }
                }
            }
            StepOutcome::Failed(failure) => self.retry_or_fail(index, failure, retry_at),
            _ => {}
        }
    }

    pub(crate) fn start_applying(&mut self, index: usize, attempt: u32) {
        let step = self.step(index);
        let deadline = self.now.plus_ms(step.spec.limits.attempt_ms);
        let event = Event::Applying {
            step: step.spec.name.clone(),
            attempt,
            generation: step.generation,
            deadline,
        };
        self.emit(event);
        self.operate(index, OperationKind::Apply);
    }

    fn applied(&mut self, index: usize, outcome: &StepOutcome, deadline: Time, retry_at: Time) {
        let step = self.name(index);
        match outcome {
            StepOutcome::Applied { output, confirmed } => {
                self.emit(Event::Applied { step: step.clone(), output: output.clone() });
                if let (Some(output), Direction::Forward) = (confirmed, self.state.direction) {
                    self.emit(Event::Confirmed { step, output: output.clone() });
                }
            }
            StepOutcome::Failed(failure) => match failure.class {
                FailureClass::Unknown => {
                    let settles_at = deadline.plus_ms(self.step(index).spec.limits.settle_ms);
                    self.emit(Event::Unresolved { step, settles_at });
                }
                FailureClass::Stale if self.untouched_so_far(index) => {
                    self.emit(Event::Resolved {
                        step,
                        resolution: Resolution::NoEffect,
                        output: serde_json::Value::Null,
                    });
                    self.retry_or_fail(index, failure, retry_at);
                }
                _ => self.retry_or_fail(index, failure, retry_at),
            },
            _ => {}
        }
    }

    /// Whether the step can't have changed anything yet: its first attempt, and no object known.
    fn untouched_so_far(&self, index: usize) -> bool {
        let step = self.step(index);
        step.attempts <= 1 && step.effects.is_empty()
    }

    fn confirmed(&mut self, index: usize, outcome: &StepOutcome, retry_at: Time) {
        let step = self.name(index);
        match outcome {
            StepOutcome::Confirmed { output } => {
                self.emit(Event::Confirmed { step, output: output.clone() })
            }
            StepOutcome::NotYet { until, message } => {
                let since = self.step(index).confirming_since.unwrap_or(self.now);
                if self.now.ms_since(since) >= self.step(index).spec.limits.confirm_ms {
                    let failure =
                        Failure::permanent(format!("the change did not hold in time: {message}"))
                            .with_code("CONFIRM_DEADLINE");
                    self.fail(index, failure);
                } else if matches!(&self.step(index).phase, Phase::Confirming { message: known, .. } if known == message)
                {
                    self.decision.rests.push((step, OperationKind::Confirm, *until));
                } else {
                    self.emit(Event::Confirming { step, until: *until, message: message.clone() });
                }
            }
            StepOutcome::Failed(failure) if failure.class == FailureClass::Stale => {
                self.apply_again(index, failure, retry_at);
            }
            StepOutcome::Failed(failure) => self.retry_or_fail(index, failure, retry_at),
            _ => {}
        }
    }

    /// What was applied is not, or no longer, all there: it is applied again, with the same token and before-image, within the time
    /// that it has to come to hold.
    fn apply_again(&mut self, index: usize, failure: &Failure, retry_at: Time) {
        let since = self.step(index).confirming_since.unwrap_or(self.now);
        if self.now.ms_since(since) >= self.step(index).spec.limits.confirm_ms {
            let message = format!("the change did not hold in time: {}", failure.message);
            return self.fail(index, Failure::permanent(message).with_code("CONFIRM_DEADLINE"));
        }
        let step = self.name(index);
        let (resolution, output) = (Resolution::Partial, self.step(index).output.clone());
        self.emit(Event::Resolved { step, resolution, output });
        self.retry_or_fail(index, failure, retry_at);
    }

    pub(crate) fn retry_or_fail(&mut self, index: usize, failure: &Failure, retry_at: Time) {
        let step = self.step(index);
        let passes = match failure.class {
            FailureClass::Permanent | FailureClass::Gone => false,
            FailureClass::Retryable
            | FailureClass::Throttled
            | FailureClass::Stale
            | FailureClass::Unknown => true,
        };
        let since = step.failing_since.unwrap_or(self.now);
        if !passes || self.now.ms_since(since) >= step.spec.limits.give_up_ms {
            return self.fail(index, failure.clone());
        }
        let until = retry_at.max(self.now.plus_ms(failure.retry_after_ms.unwrap_or(0)));
        let step = step.spec.name.clone();
        self.emit(Event::RetryWait { step, until, failure: failure.clone() });
    }

    /// The step fails; what follows depends on the options, the pivot and the direction.
    pub(crate) fn fail(&mut self, index: usize, failure: Failure) {
        let step = self.name(index);
        let hold = self.state.options.on_failure == crate::event::OnFailure::Hold
            || self.state.past_pivot();
        if self.state.direction == Direction::Forward && hold {
            self.emit(Event::Held { step, failure });
            return;
        }
        let is_check = self.step(index).spec.kind == crate::StepKind::Check;
        self.emit(Event::Failed { step, failure });
        if !is_check {
            self.turn(Cause::Failure, By::default());
        }
    }

    fn skip_observed(&mut self, index: usize, outcome: &StepOutcome) {
        let Some(by) = self.step(index).skip_asked.clone() else { return };
        let step = self.name(index);
        match outcome {
            StepOutcome::Observed { before, verdict, output, .. }
                if *verdict != Verdict::Change =>
            {
                self.emit(Event::Observed {
                    step: self.name(index),
                    before: before.clone(),
                    verdict: Verdict::Adopted,
                    claim: None,
                    warnings: Vec::new(),
                });
                self.emit(Event::Confirmed { step: step.clone(), output: output.clone() });
                self.emit(Event::StepSkipped { step, by });
            }
            StepOutcome::Observed { .. } => {
                let failure = Failure::permanent(
                    "skip refused: a fresh look finds the world not as this step wants it",
                )
                .with_code("SKIP_REFUSED");
                self.emit(Event::Held { step, failure });
            }
            StepOutcome::Failed(failure) => {
                self.emit(Event::Held { step, failure: failure.clone() })
            }
            _ => {}
        }
    }

    fn skip_verified(&mut self, index: usize, outcome: &StepOutcome) {
        let Some(by) = self.step(index).skip_asked.clone() else { return };
        let gone = match outcome {
            StepOutcome::Gone(gone) => *gone == Some(true),
            _ => false,
        };
        let step = self.name(index);
        self.emit(Event::UndoEnded { step, undone: Undone::Skipped { reason: by.reason, gone } });
    }
}
