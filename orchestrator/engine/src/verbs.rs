//! What people may ask for: the table of section 3.3, state by verb. The same call twice is harmless; what the state does not
//! allow is refused with a reason and what to do instead.

use crate::decide::Draft;
use crate::event::{By, Cause, End, Event};
use crate::ids::StepName;
use crate::input::{OperationKind, Reason, Rejection, Verb};
use crate::state::{Direction, Phase, PublicState, Stage, Step, Workflow};

type Answer = Result<(), Rejection>;

fn refuse(reason: Reason, message: String) -> Answer {
    Err(Rejection { reason, message })
}

impl Workflow {
    /// Whether its records may go: once it has ended. What it built, or left, stands in its cluster's record.
    ///
    /// # Errors
    /// [`Reason::NotEnded`].
    pub fn may_be_deleted(&self) -> Result<(), Rejection> {
        if self.is_ended() {
            return Ok(());
        }
        if let Some(quarantine) = &self.quarantine {
            return Err(quarantine.refusal(&self.id));
        }
        let state = self.public_state().as_str();
        let message = format!(
            "workflow {} is {state}; only one that has ended can be deleted: cancel or abandon it first",
            self.id
        );
        refuse(Reason::NotEnded, message)
    }
}

impl Draft<'_> {
    pub(crate) fn asked(&mut self, verb: &Verb, by: &By) -> Answer {
        let state = self.state.public_state();
        if state.is_terminal() {
            let message = format!(
                "workflow {} has ended as {}; nothing can be asked of it any more",
                self.state.id,
                state.as_str()
            );
            return refuse(Reason::WorkflowEnded, message);
        }
        match verb {
            Verb::Cancel => self.cancel(state, by),
            Verb::Abandon => self.abandon(state, by),
            Verb::Pause => self.pause(state, by),
            Verb::Resume => self.resume(state, by),
            Verb::Retry => self.retry(state, by),
            Verb::Skip { step } => self.skip(state, step, by),
            Verb::Approve { step, digest } => self.approve(state, step, digest, by),
            Verb::Deny { step } => self.deny(state, step, by),
        }
    }

    fn cancel(&mut self, state: PublicState, by: &By) -> Answer {
        let is_teardown = self.state.teardown.is_some();
        if state == PublicState::Queued
            || (!self.state.admitted && self.state.direction == Direction::Forward)
        {
            self.end(End::Cancelled);
        } else if self.state.past_pivot()
            && (is_teardown || self.state.direction == Direction::Forward)
        {
            let message = format!(
                "workflow {} is past its pivot: from here the only way is forward",
                self.state.id
            );
            return refuse(Reason::PastPivot, message);
        } else if is_teardown {
            self.end(End::Cancelled);
        } else if self.state.direction == Direction::Forward {
            self.turn(Cause::Cancel, by.clone());
        }
        Ok(())
    }

    fn abandon(&mut self, state: PublicState, by: &By) -> Answer {
        // Also one that was paused while it waited: it has touched nothing, and the cluster's record is another's.
        if state == PublicState::Queued || !self.state.admitted {
            self.end(End::Cancelled);
        } else if self.state.abandoning.is_none() {
            self.emit(Event::Abandoning { by: by.clone() });
        }
        Ok(())
    }

    fn pause(&mut self, state: PublicState, by: &By) -> Answer {
        if state == PublicState::Stuck {
            return refuse(
                Reason::UseRetry,
                format!(
                    "workflow {} is STUCK and does not move; use retry, skip or abandon",
                    self.state.id
                ),
            );
        }
        if self.state.paused.is_none() {
            self.emit(Event::Paused { by: by.clone() });
        }
        Ok(())
    }

    fn resume(&mut self, state: PublicState, by: &By) -> Answer {
        if self.state.paused.is_some() {
            self.emit(Event::Resumed { by: by.clone() });
            return Ok(());
        }
        if self.state.parked.is_some() {
            // It is parked again at once where what parked it still holds.
            self.emit(Event::Unparked);
            return Ok(());
        }
        match state {
            PublicState::Paused => refuse(
                Reason::UseRetry,
                format!(
                    "a step of workflow {} is held; mend the world, then use retry",
                    self.state.id
                ),
            ),
            PublicState::Stuck => refuse(
                Reason::UseRetry,
                format!(
                    "workflow {} is STUCK; mend what stands in the way, then use retry",
                    self.state.id
                ),
            ),
            _ => Ok(()),
        }
    }

    fn retry(&mut self, state: PublicState, by: &By) -> Answer {
        if state == PublicState::Queued {
            return refuse(
                Reason::NotStarted,
                format!("workflow {} is queued: there is nothing to try again yet", self.state.id),
            );
        }
        let names: Vec<StepName> = self
            .state
            .steps
            .iter()
            .filter(|step| step.is_retryable())
            .map(|step| step.spec.name.clone())
            .collect();
        for step in names {
            self.emit(Event::RetryAsked { step, by: by.clone() });
        }
        Ok(())
    }

    fn skip(&mut self, state: PublicState, name: &StepName, by: &By) -> Answer {
        let index = self.find(name)?;
        let reads = self.step(index).skip_reads();
        let kind = match (state, reads) {
            (PublicState::Stuck, Some(OperationKind::VerifyGone)) => OperationKind::VerifyGone,
            (
                PublicState::Running | PublicState::AwaitingApproval | PublicState::Paused,
                Some(OperationKind::Observe),
            ) => OperationKind::Observe,
            (
                PublicState::Stuck
                | PublicState::Running
                | PublicState::AwaitingApproval
                | PublicState::Paused,
                _,
            ) => {
                let message = match self.step(index).spec.kind {
                    crate::StepKind::Action => format!(
                        "step {name} neither waits to be retried, nor is held or stuck: there is nothing to skip"
                    ),
                    _ => format!("step {name} is no action: what it asks for must hold"),
                };
                return refuse(Reason::StepNotSkippable, message);
            }
            _ => {
                return refuse(
                    Reason::WrongState,
                    format!(
                        "no step of workflow {} can be skipped while it is {}",
                        self.state.id,
                        state.as_str()
                    ),
                );
            }
        };
        self.emit(Event::SkipAsked { step: name.clone(), by: by.clone() });
        self.operate(index, kind);
        Ok(())
    }

    fn approve(&mut self, state: PublicState, name: &StepName, digest: &str, by: &By) -> Answer {
        if self.gate_decided(name, true) {
            return Ok(());
        }
        self.open_gate_at(state, name)?;
        let shown = self.state.plan.as_ref().map_or("", |plan| plan.digest.as_str());
        if digest != shown {
            let held = if shown.is_empty() { "no plan" } else { shown };
            let message = format!(
                "workflow {} is held to {held}, and the approval is of another plan; look at it again, and approve what it shows",
                self.state.id
            );
            return refuse(Reason::PlanStale, message);
        }
        self.emit(Event::GateApproved {
            step: name.clone(),
            by: by.clone(),
            digest: digest.to_owned(),
        });
        Ok(())
    }

    fn deny(&mut self, state: PublicState, name: &StepName, by: &By) -> Answer {
        if self.gate_decided(name, false) {
            return Ok(());
        }
        self.open_gate_at(state, name)?;
        self.emit(Event::GateDenied { step: name.clone(), by: by.clone() });
        Ok(())
    }

    fn gate_decided(&self, name: &StepName, approved: bool) -> bool {
        let Some(step) = self.state.step(name) else { return false };
        // A gate that nobody asked for passed by itself: nobody has decided on it.
        let asked_for = self.state.options.gates.contains_key(&step.spec.template);
        step.spec.kind == crate::StepKind::Gate
            && asked_for
            && if approved { step.phase == Phase::Done } else { step.is_failed() }
    }

    fn open_gate_at(&self, state: PublicState, name: &StepName) -> Answer {
        let index = self.find(name)?;
        let open = matches!(self.step(index).phase, Phase::GateOpen { .. });
        let allowed = matches!(
            state,
            PublicState::Running | PublicState::AwaitingApproval | PublicState::Paused
        );
        if open && allowed {
            return Ok(());
        }
        refuse(
            Reason::GateNotOpen,
            format!(
                "step {name} of workflow {} is no open gate while it is {}",
                self.state.id,
                state.as_str()
            ),
        )
    }

    fn find(&self, name: &StepName) -> Result<usize, Rejection> {
        crate::apply::position(&self.state, name).ok_or_else(|| {
            let known: Vec<&str> =
                self.state.steps.iter().map(|step| step.spec.name.as_str()).collect();
            Rejection {
                reason: Reason::UnknownStep,
                message: format!(
                    "workflow {} has no step {name}; it has {}",
                    self.state.id,
                    known.join(", ")
                ),
            }
        })
    }
}

impl Step {
    /// The reading that decides on a skip of this step; none where there is nothing to skip.
    pub(crate) fn skip_reads(&self) -> Option<OperationKind> {
        let waits = matches!(
            self.phase,
            Phase::RetryWait { stage, .. } | Phase::Held { stage, .. } if stage != Stage::Resolve
        );
        if self.is_stuck() {
            (!self.in_doubt()).then_some(OperationKind::VerifyGone)
        } else {
            (waits && self.spec.kind == crate::StepKind::Action).then_some(OperationKind::Observe)
        }
    }

    pub(crate) fn is_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed { .. })
    }

    fn is_retryable(&self) -> bool {
        matches!(self.phase, Phase::RetryWait { .. } | Phase::Held { .. })
            || matches!(
                self.undo,
                crate::state::UndoPhase::RetryWait { .. } | crate::state::UndoPhase::Stuck { .. }
            )
    }
}
