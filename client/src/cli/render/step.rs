//! Steps, and what a workflow does as a whole, in a line.

use causeway_proto::v1::step::State;
use causeway_proto::v1::{Failure, Step, UndoOutcome, Waiting, Workflow, undo_outcome};

use super::time;

/// How a step stands, at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Not begun, or never will.
    Still,
    /// Something happens.
    Moves,
    /// Waits for time or for somebody.
    Waits,
    /// Done as it should be.
    Good,
    /// Failed.
    Bad,
}

impl Mark {
    /// As one character.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Still => "·",
            Self::Moves => "»",
            Self::Waits => "…",
            Self::Good => "✓",
            Self::Bad => "✗",
        }
    }
}

/// How a step in this state stands.
pub(crate) fn mark(state: State) -> Mark {
    match state {
        State::Unspecified | State::Pending | State::Skipped => Mark::Still,
        State::Checking
        | State::Observing
        | State::Applying
        | State::Unresolved
        | State::Confirming
        | State::Undoing => Mark::Moves,
        State::Waiting | State::RetryWait | State::Held | State::UndoRetryWait => Mark::Waits,
        State::Passed | State::Confirmed | State::Approved | State::Undone => Mark::Good,
        State::Failed | State::Denied | State::Lapsed | State::UndoFailed => Mark::Bad,
    }
}

/// What is worth saying about a step besides its state.
pub(crate) fn note(step: &Step) -> String {
    if let Some(undo) = step.undo.as_ref().filter(|_| step.state() == State::Undone) {
        return undone(undo);
    }
    if let Some(waiting) = &step.waiting {
        return waits_for(waiting);
    }
    if let Some(failure) =
        step.failure.as_ref().filter(|_| !matches!(mark(step.state()), Mark::Good))
    {
        return failed(failure);
    }
    step.summary.clone()
}

pub(crate) fn undone(undo: &UndoOutcome) -> String {
    let kind = words(undo.kind().as_str_name());
    let reason = match undo.reason() {
        undo_outcome::Reason::Unspecified => String::new(),
        reason => format!(" ({})", words(reason.as_str_name())),
    };
    let detail = if undo.detail.is_empty() { String::new() } else { format!(": {}", undo.detail) };
    format!("{kind}{reason}{detail}")
}

/// Code and first line of the message.
pub(crate) fn failed(failure: &Failure) -> String {
    let message = failure.message.lines().next().unwrap_or_default();
    if failure.code.is_empty() {
        message.to_owned()
    } else {
        format!("{}: {message}", failure.code)
    }
}

/// Why something does not move.
pub(crate) fn waits_for(waiting: &Waiting) -> String {
    let reason = words(waiting.reason().as_str_name());
    let on = if waiting.on.is_empty() { String::new() } else { format!(": {}", waiting.on) };
    let until = waiting.until.as_ref().map(|until| format!(", until {}", time::clock(Some(until))));
    format!("{reason}{on}{}", until.unwrap_or_default())
}

/// A word of the contract as people write it.
pub(crate) fn words(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', " ")
}

/// What a workflow does, in a line.
pub(crate) fn headline(workflow: &Workflow) -> String {
    let done = workflow.steps.iter().filter(|step| mark(step.state()) == Mark::Good).count();
    let steps = match workflow.steps.len() {
        0 => String::new(),
        all => format!("  {done} of {all} steps"),
    };
    let waiting = workflow.waiting.as_ref().map(|waiting| {
        let step =
            if waiting.step.is_empty() { String::new() } else { format!("{} ", waiting.step) };
        format!("  {step}{}", waits_for(waiting))
    });
    format!("{}{steps}{}", workflow.state().as_str_name(), waiting.unwrap_or_default())
}
