//! Events in words: one line for people, without the step's name, which stands beside it.

use causeway_engine::{
    Event,
    event::{Cause, End, Origin, Resolution, Undone, Verdict},
};

/// What happened.
pub(super) fn text(event: &Event) -> String {
    match event {
        Event::Started(started) => format!("started by {}", by(&started.by.principal)),
        Event::Queued { key, behind } => format!("queued behind {behind}, which has {key}"),
        Event::Admitted => "runs".to_owned(),
        Event::Turned { cause, by: who } => match cause {
            Cause::Failure => "a step failed: everything is undone".to_owned(),
            Cause::Cancel => format!(
                "cancelled by {}{}: everything is undone",
                by(&who.principal),
                why(&who.reason)
            ),
            Cause::Timeout => "its time is up: everything is undone".to_owned(),
            Cause::Denied => "a gate was not opened: everything is undone".to_owned(),
            Cause::Teardown => "takes down what was built".to_owned(),
        },
        Event::UndoDecided { group, keep, .. } => match keep {
            Some(reason) => format!("{group} is kept: {reason}"),
            None => format!("{group} is removed"),
        },
        Event::Paused { by: who } => {
            format!("paused by {}{}", by(&who.principal), why(&who.reason))
        }
        Event::Resumed { by: who } => {
            format!("resumed by {}{}", by(&who.principal), why(&who.reason))
        }
        Event::Parked { reason, message } => format!("parked: {message} ({reason})"),
        Event::Unparked => "goes on: what parked it has passed".to_owned(),
        Event::Abandoning { by: who } => {
            format!("given up by {}{}", by(&who.principal), why(&who.reason))
        }
        Event::Ended { end } => ended(*end).to_owned(),
        Event::GateOpened { .. } => "waits for approval".to_owned(),
        Event::GateApproved { by: who, .. } if who.principal.is_empty() => {
            "not asked for".to_owned()
        }
        Event::GateApproved { by: who, .. } => {
            format!("approved by {}{}", by(&who.principal), why(&who.reason))
        }
        Event::GateDenied { by: who, .. } => {
            format!("denied by {}{}", by(&who.principal), why(&who.reason))
        }
        Event::GateLapsed { .. } => "nobody decided in time".to_owned(),
        forward_or_undo => undo(forward_or_undo).unwrap_or_else(|| forward(forward_or_undo)),
    }
}

fn forward(event: &Event) -> String {
    match event {
        Event::StepStarted { attempt: 1, .. } => "begins".to_owned(),
        Event::StepStarted { attempt, .. } => format!("begins, attempt {attempt}"),
        Event::StepBlocked { key, behind, .. } => format!("waits for {key}, held by {behind}"),
        Event::CheckWaiting { message, .. } | Event::Confirming { message, .. } => {
            format!("waits: {message}")
        }
        Event::CheckPassed { warnings, .. } if warnings.is_empty() => "passed".to_owned(),
        Event::CheckPassed { warnings, .. } => {
            format!("passed, with {} to be looked at", warnings.len())
        }
        Event::Observed { verdict, .. } => match verdict {
            Verdict::Change => "observed: has to be changed",
            Verdict::Ours => "observed: already done by this workflow",
            Verdict::Shared => "observed: Causeway's already, shared",
            Verdict::Adopted => "observed: as wanted already, adopted",
        }
        .to_owned(),
        Event::Applying { attempt: 1, .. } => "applies".to_owned(),
        Event::Applying { attempt, .. } => format!("applies, attempt {attempt}"),
        Event::EffectSeen { object, .. } if object.present => {
            format!("{} {}", object.kind, object.id)
        }
        // What was there before the workflow is never taken away: "gone" would say that it was.
        Event::EffectSeen { object, .. } => match object.origin {
            Origin::Modified | Origin::Adopted => {
                format!("{} {} is as it was", object.kind, object.id)
            }
            Origin::Created | Origin::Shared => format!("{} {} is gone", object.kind, object.id),
        },
        Event::Applied { .. } => "applied".to_owned(),
        Event::Confirmed { .. } => "done".to_owned(),
        Event::Unresolved { .. } => "an answer was lost; the world will be read".to_owned(),
        Event::Resolved { resolution, .. } => match resolution {
            Resolution::Done => "the lost call had its effect",
            Resolution::NoEffect => "the lost call had no effect",
            Resolution::Partial => "the lost call had part of its effect",
        }
        .to_owned(),
        Event::RetryWait { failure, .. } => format!("will be tried again: {failure}"),
        Event::Held { failure, .. } => format!("held: {failure}"),
        Event::Failed { failure, .. } => format!("failed: {failure}"),
        Event::StepSkipped { by: who, .. } => {
            format!("skipped by {}{}", by(&who.principal), why(&who.reason))
        }
        Event::RetryAsked { by: who, .. } => {
            format!("retry asked by {}{}", by(&who.principal), why(&who.reason))
        }
        _ => String::new(),
    }
}

fn undo(event: &Event) -> Option<String> {
    Some(match event {
        Event::Undoing { attempt: 1, .. } => "undo begins".to_owned(),
        Event::Undoing { attempt, .. } => format!("undo begins, attempt {attempt}"),
        Event::UndoBlocked { key, behind, .. } => format!("undo waits for {key}, held by {behind}"),
        Event::UndoWaiting { message, .. } => format!("undo waits: {message}"),
        Event::UndoEnded { undone, .. } => match undone {
            Undone::Reverted => "undone".to_owned(),
            Undone::NothingThere => "nothing to undo".to_owned(),
            Undone::Kept { reason, .. } => format!("kept: {reason}"),
            Undone::Skipped { reason, gone: true } => {
                format!("undo skipped, and seen to be gone{}", why(reason))
            }
            Undone::Skipped { reason, gone: false } => {
                format!("undo skipped, still listed{}", why(reason))
            }
        },
        Event::UndoRetryWait { failure, .. } => format!("undo will be tried again: {failure}"),
        Event::UndoFailed { failure, .. } => format!("undo is stuck: {failure}"),
        _ => return None,
    })
}

fn ended(end: End) -> &'static str {
    match end {
        End::Succeeded => "succeeded",
        End::Rejected => "rejected: nothing was touched",
        End::Compensated => "failed, and everything was undone",
        End::Cancelled => "cancelled, and everything was undone",
        End::Abandoned => "abandoned, with something left",
    }
}

fn by(principal: &str) -> &str {
    if principal.is_empty() { "causewayd" } else { principal }
}

fn why(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}
