//! The way back: which undo may run, in which order, what is kept and why, and how it ends.

use crate::decide::Draft;
use crate::definition::LostCall;
use crate::event::{Cause, End, Event, Undone};
use crate::failure::{Failure, FailureClass};
use crate::ids::{StepName, Time};
use crate::input::{OperationKind, StepOutcome};
use crate::state::{Step, UndoPhase, Workflow};

/// The reason of an undo that is left out because something that stands on the step was kept.
const NEEDED_BY: &str = "needed_by";

impl Workflow {
    /// All steps that come after `step`, however far.
    #[must_use]
    pub fn all_dependents(&self, step: &StepName) -> Vec<&Step> {
        let mut found: Vec<&Step> =
            self.steps.iter().filter(|later| later.spec.after.contains(step)).collect();
        let mut next = 0;
        while next < found.len() {
            let name = &found[next].spec.name;
            let known = |later: &Step| found.iter().any(|known| known.spec.name == later.spec.name);
            let more: Vec<&Step> = self
                .steps
                .iter()
                .filter(|later| later.spec.after.contains(name) && !known(later))
                .collect();
            found.extend(more);
            next += 1;
        }
        found
    }

    fn settled(&self, step: &Step) -> bool {
        !self.needs_undo(step) && !step.in_doubt()
    }
}

impl Step {
    pub(crate) fn is_stuck(&self) -> bool {
        matches!(self.undo, UndoPhase::Stuck { .. })
    }

    pub(crate) fn is_undoing(&self) -> bool {
        matches!(self.undo, UndoPhase::Undoing { .. })
    }

    /// Whether its undo left something in use, so that what it stands on must stay too.
    fn keeps_prerequisites(&self) -> bool {
        matches!(&self.undo, UndoPhase::Ended(undone) if undone.keeps())
    }
}

impl Step {
    fn kept_for_another(&self) -> bool {
        matches!(&self.undo, UndoPhase::Ended(Undone::Kept { reason, .. }) if reason.starts_with(NEEDED_BY))
    }
}

impl Draft<'_> {
    pub(crate) fn advance_undo(&mut self) {
        // Ending one undo can free the next: until nothing moves.
        loop {
            let before = self.decision.events.len();
            for index in (0..self.state.steps.len()).rev() {
                self.advance_one_undo(index);
            }
            if self.decision.events.len() == before {
                break;
            }
        }
        if self.state.steps.iter().all(|step| self.state.settled(step)) {
            self.end_undo();
        }
    }

    fn end_undo(&mut self) {
        let left = |step: &Step| {
            matches!(step.undo, UndoPhase::Ended(Undone::Skipped { gone: false, .. }))
        };
        let undone = |step: &Step| matches!(step.undo, UndoPhase::Ended(_));
        let touched = self.state.ever_applied() || self.state.steps.iter().any(undone);
        let end = match self.state.cause {
            _ if self.state.steps.iter().any(left) => End::Abandoned,
            Some(Cause::Teardown) => End::Succeeded,
            Some(Cause::Cancel) => End::Cancelled,
            _ if !touched => End::Rejected,
            _ => End::Compensated,
        };
        self.end(end);
    }

    pub(crate) fn advance_one_undo(&mut self, index: usize) {
        let step = self.step(index);
        if !self.state.needs_undo(step) || step.in_doubt() {
            return;
        }
        let due = match &step.undo {
            UndoPhase::Idle | UndoPhase::Blocked { .. } => true,
            UndoPhase::Waiting { until, .. } | UndoPhase::RetryWait { until, .. } => {
                *until <= self.now
            }
            UndoPhase::Undoing { .. } | UndoPhase::Stuck { .. } | UndoPhase::Ended(_) => false,
        };
        if !due {
            return;
        }
        let dependents = self.state.all_dependents(&step.spec.name);
        if !dependents.iter().all(|dependent| self.state.settled(dependent)) {
            return;
        }
        // The one that was kept for its own sake says more than those that were kept for it.
        let keepers = dependents.iter().filter(|dependent| dependent.keeps_prerequisites());
        if let Some(keeper) = keepers.min_by_key(|keeper| keeper.kept_for_another()) {
            let reason = format!("{NEEDED_BY} {}", keeper.spec.name);
            let event = Event::UndoEnded {
                step: step.spec.name.clone(),
                undone: Undone::Kept { reason, in_use: true },
            };
            return self.emit(event);
        }
        let may_land = step.spec.lost_call != LostCall::MustFail && self.now < step.settles_at;
        if !may_land {
            self.start_undo(index);
        }
    }

    fn start_undo(&mut self, index: usize) {
        let step = self.step(index);
        let name = step.spec.name.clone();
        let group = step.spec.undo_group.clone();
        let undecided =
            group.as_ref().is_some_and(|group| !self.state.group_decisions.contains_key(group));
        if let Some(group) = group.as_deref().filter(|_| undecided)
            && !self.group_ready(group)
        {
            return;
        }
        if let Some(refusal) = self.undo_refusal(&name, group.as_deref()) {
            let known = matches!(&self.step(index).undo, UndoPhase::Blocked { key, behind } if *key == refusal.key && *behind == refusal.behind);
            if !known {
                self.emit(Event::UndoBlocked {
                    step: name,
                    key: refusal.key,
                    behind: refusal.behind,
                });
            }
            return;
        }
        let deadline = self.now.plus_ms(self.step(index).spec.limits.attempt_ms);
        let attempt = self.step(index).undo_attempts + 1;
        self.emit(Event::Undoing { step: name, attempt, deadline });
        self.operate(index, if undecided { OperationKind::Decide } else { OperationKind::Revert });
    }

    /// A group is decided when everything outside it that stands on it is settled, and none of its calls is in doubt or may land.
    fn group_ready(&self, group: &str) -> bool {
        self.state.group(group).all(|member| {
            let outside = self.state.all_dependents(&member.spec.name);
            let others =
                outside.iter().filter(|step| step.spec.undo_group.as_deref() != Some(group));
            let quiet = !member.in_doubt()
                && (member.spec.lost_call == LostCall::MustFail || self.now >= member.settles_at);
            quiet && others.into_iter().all(|step| self.state.settled(step))
        })
    }

    fn undo_refusal(&self, step: &StepName, group: Option<&str>) -> Option<crate::input::Refusal> {
        let own = self.refused(Some(step));
        own.or_else(|| {
            self.state.group(group?).find_map(|member| self.refused(Some(&member.spec.name)))
        })
    }

    pub(crate) fn group_decided(&mut self, index: usize, outcome: &StepOutcome, retry_at: Time) {
        let step = self.step(index);
        let (name, group) =
            (step.spec.name.clone(), step.spec.undo_group.clone().unwrap_or_default());
        match outcome {
            StepOutcome::Decided { keep, evidence } => {
                self.emit(Event::UndoDecided {
                    group: group.clone(),
                    keep: keep.clone(),
                    evidence: evidence.clone(),
                });
                match keep {
                    None => self.operate(index, OperationKind::Revert),
                    Some(reason) => self.keep_group(&group, reason),
                }
            }
            StepOutcome::Failed(failure) => self.undo_failed(index, failure, retry_at),
            _ => self.emit(Event::UndoRetryWait {
                step: name,
                until: retry_at,
                failure: Failure::retryable("the undo group was not decided"),
            }),
        }
    }

    fn keep_group(&mut self, group: &str, reason: &str) {
        let members: Vec<StepName> = self
            .state
            .group(group)
            .filter(|member| self.state.needs_undo(member))
            .map(|member| member.spec.name.clone())
            .collect();
        for step in members.into_iter().rev() {
            self.emit(Event::UndoEnded {
                step,
                undone: Undone::Kept { reason: reason.to_owned(), in_use: false },
            });
        }
    }

    pub(crate) fn reverted(
        &mut self,
        index: usize,
        outcome: &StepOutcome,
        deadline: Time,
        retry_at: Time,
    ) {
        let step = self.step(index);
        let (name, limits) = (step.spec.name.clone(), step.spec.limits);
        match outcome {
            StepOutcome::Reverted(undone) => {
                self.emit(Event::UndoEnded { step: name, undone: undone.clone() })
            }
            StepOutcome::NotYet { until, message } => {
                let since = step.undo_started_at.unwrap_or(self.now);
                if self.now.ms_since(since) >= limits.undo_give_up_ms.max(limits.confirm_ms)
                    && step.undo_failing_since.is_none()
                {
                    let failure =
                        Failure::permanent(format!("the undo does not come to its end: {message}"))
                            .with_code("UNDO_DEADLINE");
                    self.emit(Event::UndoFailed { step: name, failure });
                } else {
                    self.emit(Event::UndoWaiting {
                        step: name,
                        until: *until,
                        message: message.clone(),
                    });
                }
            }
            StepOutcome::Failed(failure) if failure.class == FailureClass::Unknown => {
                self.undo_lost(index, deadline, &failure.message);
            }
            StepOutcome::Failed(failure) => self.undo_failed(index, failure, retry_at),
            _ => {}
        }
    }

    /// An undo whose answer was lost is repeated once the lost call can no longer land; reading comes first in every undo.
    pub(crate) fn undo_lost(&mut self, index: usize, deadline: Time, why: &str) {
        let step = self.step(index);
        let settled = if step.spec.lost_call == LostCall::MustFail {
            self.now
        } else {
            deadline.plus_ms(step.spec.limits.settle_ms)
        };
        let message = format!("{why}; repeated once the lost call can no longer land");
        let step = step.spec.name.clone();
        self.emit(Event::UndoWaiting { step, until: settled, message });
    }

    /// Permanent failures are STUCK at once, others after the undo's long patience: never a silent end.
    fn undo_failed(&mut self, index: usize, failure: &Failure, retry_at: Time) {
        let step = self.step(index);
        let name = step.spec.name.clone();
        let since = step.undo_failing_since.unwrap_or(self.now);
        let gave_up = self.now.ms_since(since) >= step.spec.limits.undo_give_up_ms;
        if failure.class == FailureClass::Permanent || gave_up {
            self.emit(Event::UndoFailed { step: name, failure: failure.clone() });
        } else {
            let until = retry_at.max(self.now.plus_ms(failure.retry_after_ms.unwrap_or(0)));
            self.emit(Event::UndoRetryWait { step: name, until, failure: failure.clone() });
        }
    }
}
