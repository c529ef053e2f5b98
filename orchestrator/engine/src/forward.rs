//! The way forward: what starts, what is tried again, what is read after a lost answer, and when it ends or turns.

use crate::decide::Draft;
use crate::definition::{LostCall, StepKind};
use crate::event::{By, Cause, End, Event, OnFailure, Resolution};
use crate::failure::{Failure, FailureClass};
use crate::ids::Time;
use crate::input::{OperationKind, StepOutcome};
use crate::state::{Direction, Phase, Stage, Step};

impl Draft<'_> {
    /// Lets the workflow go as far as it can.
    pub(crate) fn advance(&mut self) {
        if self.state.is_ended() {
            return;
        }
        self.drive_unresolved();
        if self.state.abandoning.is_some() {
            return self.finish_abandoning();
        }
        if self.at_rest() {
            return;
        }
        if self.state.direction == Direction::Forward {
            self.advance_forward();
        }
        if self.state.direction == Direction::Undo && !self.at_rest() {
            self.advance_undo();
        }
    }

    /// A call in doubt is read up whatever else happens, paused or turned: only then is anything concluded from it.
    fn drive_unresolved(&mut self) {
        for index in 0..self.state.steps.len() {
            match self.step(index).phase {
                Phase::Unresolved { .. } => self.operate(index, OperationKind::Resolve),
                Phase::RetryWait { stage: Stage::Resolve, until, .. } if until <= self.now => {
                    let event = Event::Unresolved {
                        step: self.name(index),
                        settles_at: self.step(index).settles_at,
                    };
                    self.emit(event);
                    self.operate(index, OperationKind::Resolve);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn resolved(
        &mut self,
        index: usize,
        outcome: &StepOutcome,
        settles_at: Time,
        retry_at: Time,
    ) {
        let step = self.name(index);
        let spec = self.step(index).spec.clone();
        let forward = self.state.direction == Direction::Forward;
        match outcome {
            StepOutcome::Resolved { resolution: Resolution::NoEffect, .. } => {
                let settled = self.now >= settles_at || spec.lost_call == LostCall::MustFail;
                if settled {
                    let output = serde_json::Value::Null;
                    self.emit(Event::Resolved { step, resolution: Resolution::NoEffect, output });
                } else if forward && spec.lost_call == LostCall::IdempotentByName {
                    self.emit(Event::Resolved {
                        step,
                        resolution: Resolution::Partial,
                        output: serde_json::Value::Null,
                    });
                } else {
                    let message = "the answer to a call was lost, and it may still land: it is looked for again when it no longer can";
                    let failure =
                        Failure::new(FailureClass::Unknown, message).with_code("MAY_STILL_LAND");
                    self.emit(Event::RetryWait { step, until: settles_at, failure });
                }
            }
            StepOutcome::Resolved { resolution, output } => {
                self.emit(Event::Resolved {
                    step,
                    resolution: *resolution,
                    output: output.clone(),
                });
            }
            StepOutcome::Failed(failure) => self.resolve_failed(index, failure, retry_at),
            _ => {}
        }
    }

    /// Reading after a lost answer never gives up going forward without turning; going back it ends as STUCK.
    fn resolve_failed(&mut self, index: usize, failure: &Failure, retry_at: Time) {
        let step = self.step(index);
        let (name, limits) = (step.spec.name.clone(), step.spec.limits);
        let failing_ms = self.now.ms_since(step.failing_since.unwrap_or(self.now));
        self.emit(Event::RetryWait {
            step: name.clone(),
            until: retry_at,
            failure: failure.clone(),
        });
        let forward = self.state.direction == Direction::Forward;
        if forward
            && failing_ms >= limits.give_up_ms
            && self.state.options.on_failure == OnFailure::Compensate
            && !self.state.past_pivot()
        {
            self.turn(Cause::Failure, By::default());
        } else if !forward && failing_ms >= limits.undo_give_up_ms && !self.step(index).is_stuck() {
            self.emit(Event::UndoFailed { step: name, failure: failure.clone() });
        }
    }

    fn advance_forward(&mut self) {
        if !self.state.admitted && !self.admit() {
            return;
        }
        if self.state.teardown.is_some() {
            return self.turn(Cause::Teardown, self.state.started_by.clone());
        }
        if self.state.timeout_at().is_some_and(|at| at <= self.now) {
            return self.turn(Cause::Timeout, By::default());
        }
        for index in 0..self.state.steps.len() {
            if self.state.direction == Direction::Undo {
                return;
            }
            self.advance_step(index);
        }
        if self.failed() && !self.checks_under_way() {
            let denied = self
                .state
                .steps
                .iter()
                .any(|step| step.spec.kind == StepKind::Gate && step.is_failed());
            self.turn(if denied { Cause::Denied } else { Cause::Failure }, By::default());
        } else if self.state.steps.iter().all(|step| step.phase == Phase::Done) {
            self.close();
        }
    }

    /// Takes the workflow's lock, or queues for it.
    fn admit(&mut self) -> bool {
        if self.state.queue_timeout_at().is_some_and(|at| at <= self.now) {
            self.end(End::Cancelled);
            return false;
        }
        if let Some(refusal) = self.refused(None) {
            let known = self
                .state
                .queued_behind
                .as_ref()
                .is_some_and(|(key, behind)| *key == refusal.key && *behind == refusal.behind);
            if !known {
                self.emit(Event::Queued { key: refusal.key, behind: refusal.behind });
            }
            return false;
        }
        self.emit(Event::Admitted);
        true
    }

    fn failed(&self) -> bool {
        self.state.steps.iter().any(Step::is_failed)
    }

    fn checks_under_way(&self) -> bool {
        self.state.steps.iter().any(|step| {
            let check = step.spec.kind == StepKind::Check;
            check
                && !matches!(
                    step.phase,
                    Phase::Pending | Phase::Done | Phase::Failed { .. } | Phase::Held { .. }
                )
        })
    }

    fn advance_step(&mut self, index: usize) {
        match self.step(index).phase.clone() {
            Phase::Pending | Phase::Blocked { stage: None, .. } => self.start_if_ready(index),
            Phase::Blocked { stage: Some(stage), .. } => self.resume_stage(index, stage),
            Phase::Waiting { until, .. } if until <= self.now => {
                self.operate(index, OperationKind::Check)
            }
            Phase::GateOpen { until } if until <= self.now => {
                let step = self.name(index);
                self.emit(Event::GateLapsed { step });
            }
            Phase::RetryWait { stage, until, .. }
                if until <= self.now && stage != Stage::Resolve =>
            {
                self.resume_stage(index, stage)
            }
            Phase::Confirming { until, .. } if until <= self.now => {
                self.operate(index, OperationKind::Confirm)
            }
            Phase::Observed => {
                let attempt = self.step(index).attempts + 1;
                self.resume_apply(index, attempt);
            }
            _ => {}
        }
    }

    /// While a check has failed no action or gate starts: the other checks end, then the workflow turns.
    fn start_if_ready(&mut self, index: usize) {
        let step = self.step(index);
        let ready =
            step.spec.after.iter().all(|name| {
                self.state.step(name).is_some_and(|before| before.phase == Phase::Done)
            });
        let kind = step.spec.kind;
        if !ready || (self.failed() && kind != StepKind::Check) {
            return;
        }
        if kind == StepKind::Gate {
            return self.open_gate(index);
        }
        let attempt = step.attempts + 1;
        self.start_reading(index, attempt);
    }

    fn open_gate(&mut self, index: usize) {
        let spec = self.step(index).spec.clone();
        let step = spec.name.clone();
        match self.state.options.gates.get(&spec.template).copied() {
            Some(limit_ms) => {
                self.emit(Event::GateOpened { step, until: self.now.plus_ms(limit_ms) })
            }
            None => {
                self.emit(Event::GateApproved { step, by: By::default(), digest: String::new() })
            }
        }
        // An approval that was not asked for opens the way at once.
        if self.step(index).phase == Phase::Done {
            for next in 0..self.state.steps.len() {
                if matches!(self.step(next).phase, Phase::Pending) {
                    self.start_if_ready(next);
                }
            }
        }
    }

    fn start_reading(&mut self, index: usize, attempt: u32) {
        if self.blocked(index) {
            return;
        }
        let step = self.name(index);
        let kind = if self.step(index).spec.kind == StepKind::Check {
            OperationKind::Check
        } else {
            OperationKind::Observe
        };
        self.emit(Event::StepStarted { step, attempt });
        self.operate(index, kind);
    }

    /// Whether a key of the step could not be had; says so once.
    fn blocked(&mut self, index: usize) -> bool {
        let step = self.name(index);
        let Some(refusal) = self.refused(Some(&step)) else { return false };
        let known = matches!(&self.step(index).phase, Phase::Blocked { key, behind, .. } if *key == refusal.key && *behind == refusal.behind);
        if !known {
            self.emit(Event::StepBlocked { step, key: refusal.key, behind: refusal.behind });
        }
        true
    }

    fn resume_stage(&mut self, index: usize, stage: Stage) {
        let attempt = self.step(index).attempts + 1;
        match stage {
            Stage::Check | Stage::Observe => self.start_reading(index, attempt),
            Stage::Apply => self.resume_apply(index, attempt),
            Stage::Confirm => {
                let step = self.name(index);
                self.emit(Event::Confirming { step, until: self.now, message: String::new() });
                self.operate(index, OperationKind::Confirm);
            }
            Stage::Resolve => {}
        }
    }

    fn resume_apply(&mut self, index: usize, attempt: u32) {
        if !self.blocked(index) {
            self.start_applying(index, attempt);
        }
    }

    /// All steps are done: actions marked *finally* are undone, then it has succeeded.
    fn close(&mut self) {
        let open: Vec<usize> = (0..self.state.steps.len())
            .filter(|index| {
                self.step(*index).spec.finally && self.state.needs_undo(self.step(*index))
            })
            .collect();
        if open.is_empty() {
            return self.end(End::Succeeded);
        }
        for index in open.into_iter().rev() {
            self.advance_one_undo(index);
        }
    }

    /// ABANDONED, once calls in flight are known or lost.
    fn finish_abandoning(&mut self) {
        let in_flight = self
            .state
            .steps
            .iter()
            .any(|step| matches!(step.phase, Phase::Applying { .. }) || step.is_undoing());
        if !in_flight {
            self.end(End::Abandoned);
        }
    }
}
