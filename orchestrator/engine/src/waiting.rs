//! Why a workflow does not move, and the commands that would move it on. Derived, never stored. It knows the verbs' rules, and
//! nothing of who prints the commands.

use crate::StepKind;
use crate::ids::{StepName, Time};
use crate::state::{Direction, Phase, PublicState, Stage, Step, UndoPhase, WaitingFor, Workflow};

/// Stands in a command where a person has to say why.
const REASON: &str = "--reason WHY";

impl Workflow {
    /// Why it does not move; none where it does, or has ended.
    #[must_use]
    pub fn waiting(&self) -> Option<WaitingFor> {
        match self.public_state() {
            PublicState::Paused => self.waiting_paused(),
            PublicState::Queued => {
                let (key, behind) = self.queued_behind.as_ref()?;
                let next = vec![format!("describe {behind}"), self.command("cancel")];
                let on = format!("{key}, held by {behind}");
                Some(wait_for("QUEUED_BEHIND", (self.started_at, None), on, next))
            }
            PublicState::Stuck => {
                let step = self.steps.iter().find(|step| step.is_stuck())?;
                let mut next = vec![self.command("retry")];
                let stuck = self.steps.iter().filter(|step| step.is_stuck());
                next.extend(
                    stuck
                        .filter(|step| step.skip_reads().is_some())
                        .map(|step| format!("{} {REASON}", self.of_step("skip", step))),
                );
                next.push(self.give_up());
                let since = step.undo_failing_since.unwrap_or(self.updated_at);
                Some(wait_for("UNDO_FAILED", (since, Some(step)), step.why(), next))
            }
            PublicState::AwaitingApproval => {
                let step =
                    self.steps.iter().find(|step| matches!(step.phase, Phase::GateOpen { .. }))?;
                let deny = format!("{} {REASON}", self.of_step("deny", step));
                let next = vec![self.of_step("approve", step), deny];
                let since = step.started_at.unwrap_or(self.updated_at);
                Some(wait_for("APPROVAL", (since, Some(step)), step.spec.name.to_string(), next))
            }
            PublicState::Running | PublicState::Compensating => self.waiting_step(),
            PublicState::Quarantined => {
                let quarantine = self.quarantine.as_ref()?;
                let since = (quarantine.since, None);
                let next = vec![self.give_up()];
                Some(wait_for("QUARANTINED", since, quarantine.message(), next))
            }
            PublicState::Succeeded
            | PublicState::Rejected
            | PublicState::Compensated
            | PublicState::Cancelled
            | PublicState::Abandoned => None,
        }
    }

    fn waiting_paused(&self) -> Option<WaitingFor> {
        if let Some((by, since)) = &self.paused {
            let on = match by.reason.as_str() {
                "" => format!("paused by {}", by.principal),
                reason => format!("paused by {}: {reason}", by.principal),
            };
            let next = vec![self.command("resume"), self.way_out()];
            return Some(wait_for("OPERATOR", (*since, None), on, next));
        }
        if let Some(parked) = &self.parked {
            let next = vec![self.command("resume"), self.give_up()];
            let since = (parked.since, None);
            return Some(wait_for(&parked.reason, since, parked.message.clone(), next));
        }
        let step = self.steps.iter().find(|step| matches!(step.phase, Phase::Held { .. }))?;
        let mut next = vec![self.command("retry")];
        let held = self.steps.iter().filter(|step| matches!(step.phase, Phase::Held { .. }));
        next.extend(
            held.filter(|step| step.skip_reads().is_some())
                .map(|step| format!("{} {REASON}", self.of_step("skip", step))),
        );
        next.push(self.way_out());
        let since = step.failing_since.unwrap_or(self.updated_at);
        Some(wait_for("HELD", (since, Some(step)), step.why(), next))
    }

    /// What the steps wait for, where none of them is at work.
    fn waiting_step(&self) -> Option<WaitingFor> {
        let busy = |step: &Step| {
            matches!(step.phase, Phase::Reading | Phase::Applying { .. } | Phase::Unresolved { .. })
                || step.is_undoing()
        };
        if self.steps.iter().any(|step| busy(step) && step.spec.kind != StepKind::Gate) {
            return None;
        }
        self.steps.iter().find_map(|step| {
            let (reason, on) = step.waits()?;
            let since = step.undo_failing_since.or(step.failing_since).or(step.started_at);
            let next = match (reason, step.behind()) {
                (_, Some(behind)) => format!("describe {behind}"),
                ("RETRYING", None) => self.command("retry"),
                _ => self.command("describe"),
            };
            Some(wait_for(reason, (since.unwrap_or(self.updated_at), Some(step)), on, vec![next]))
        })
    }

    /// Back, where that is still possible; else out.
    fn way_out(&self) -> String {
        let back = self.direction == Direction::Forward || self.teardown.is_some();
        if back && !self.past_pivot() { self.command("cancel") } else { self.give_up() }
    }

    fn give_up(&self) -> String {
        format!("{} {REASON}", self.command("abandon"))
    }

    fn command(&self, verb: &str) -> String {
        format!("{verb} {}", self.id)
    }

    fn of_step(&self, verb: &str, step: &Step) -> String {
        format!("{} {}", self.command(verb), quoted(&step.spec.name))
    }
}

/// As a shell takes it for one word: brackets are patterns there.
fn quoted(name: &StepName) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.as_str().bytes().all(plain) { name.to_string() } else { format!("'{name}'") }
}

fn wait_for(
    reason: &str,
    (since, step): (Time, Option<&Step>),
    on: String,
    next_commands: Vec<String>,
) -> WaitingFor {
    WaitingFor {
        reason: reason.to_owned(),
        since,
        step: step.map(|step| step.spec.name.clone()),
        on,
        next_commands,
    }
}

impl Step {
    fn why(&self) -> String {
        self.failure().map(|failure| failure.message.clone()).unwrap_or_default()
    }

    /// The workflow that holds a key of this step.
    fn behind(&self) -> Option<&crate::WorkflowId> {
        match (&self.undo, &self.phase) {
            (UndoPhase::Blocked { behind, .. }, _)
            | (UndoPhase::Idle, Phase::Blocked { behind, .. }) => Some(behind),
            _ => None,
        }
    }

    fn waits(&self) -> Option<(&'static str, String)> {
        match (&self.undo, &self.phase) {
            (UndoPhase::Blocked { key, behind }, _) => {
                Some(("LOCK", format!("{key}, held by {behind}")))
            }
            (UndoPhase::Waiting { message, .. }, _) => Some(("TIMER", message.clone())),
            (UndoPhase::RetryWait { failure, .. }, _) => {
                Some(("RETRYING", failure.message.clone()))
            }
            (UndoPhase::Idle, Phase::Blocked { key, behind, .. }) => {
                Some(("LOCK", format!("{key}, held by {behind}")))
            }
            (UndoPhase::Idle, Phase::RetryWait { stage: Stage::Resolve, failure, .. }) => {
                Some(("UNRESOLVED", failure.message.clone()))
            }
            (UndoPhase::Idle, Phase::RetryWait { failure, .. }) => {
                Some(("RETRYING", failure.message.clone()))
            }
            (UndoPhase::Idle, Phase::Waiting { message, .. }) => Some(("TIMER", message.clone())),
            (UndoPhase::Idle, Phase::Confirming { message, .. }) => {
                Some(("CONFIRMING", message.clone()))
            }
            _ => None,
        }
    }
}
