//! A step in a line of the picture: how it stands, how long it took, and what it does or waits for.

use causeway_proto::v1::step::{self, State, Verdict};
use causeway_proto::v1::undo_outcome::Kind;
use causeway_proto::v1::waiting::Reason;
use causeway_proto::v1::{Failure, Step};
use prost_types::Timestamp;

use super::frame::Canvas;
use super::line::{Line, Paint};
use crate::cli::render::{step as words, time};

/// What moves.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// On a wide terminal the times at the right edge do not run away from what they belong to.
pub(super) const COMFORTABLE: usize = 100;
/// Columns of a time.
const TIME: usize = 7;

/// Why nothing more has to be said about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is done, and stands.
    Done,
    /// It was done, and is undone.
    Undone,
    /// It has not begun.
    ToCome,
    /// It will never begin.
    NotRun,
}

/// Why nothing more has to be said about this step, if so.
pub(super) fn settled(step: &Step) -> Option<Settled> {
    match step.state() {
        State::Passed | State::Confirmed | State::Approved => Some(Settled::Done),
        State::Undone if !kept(step) => Some(Settled::Undone),
        State::Pending => Some(Settled::ToCome),
        State::Skipped => Some(Settled::NotRun),
        _ => None,
    }
}

/// Whether a step is done, and stands.
pub(super) fn is_done(step: &Step) -> bool {
    settled(step) == Some(Settled::Done)
}

/// Whether a step's undo is over.
pub(super) fn is_undone(step: &Step) -> bool {
    step.state() == State::Undone
}

/// Whether a step changes something, and has still to be undone if the workflow is.
pub(super) fn is_to_undo(step: &Step) -> bool {
    let begun = !matches!(step.state(), State::Unspecified | State::Pending | State::Skipped);
    step.kind() == step::Kind::Action && begun && !is_undone(step)
}

fn kept(step: &Step) -> bool {
    step.undo.as_ref().is_some_and(|undo| matches!(undo.kind(), Kind::Kept | Kind::Skipped))
}

/// A step in a line.
pub(super) fn step(begin: Line, step: &Step, names: usize, canvas: &Canvas) -> Line {
    let (sign, paint) = sign(step, canvas);
    let name_paint = match step.state() {
        State::Pending | State::Skipped => Paint::Faint,
        State::Failed | State::UndoFailed | State::Held => Paint::Strong,
        _ => Paint::Plain,
    };
    let gutter = begin.width();
    let line = begin.with(sign, paint).with(" ", Paint::Plain).with(&step.name, name_paint);
    let line = timed(line, names, &elapsed(step, canvas.now));
    let says = says(step, canvas.now);
    if says.is_empty() || gutter > canvas.width {
        return line;
    }
    line.with("  ", Paint::Plain)
        .with(says, if paint == Paint::Good { Paint::Faint } else { paint_of(paint) })
}

/// Bad news is read in its colour; the rest as any text.
fn paint_of(sign: Paint) -> Paint {
    match sign {
        Paint::Bad => Paint::Bad,
        Paint::Waits => Paint::Waits,
        Paint::Faint => Paint::Faint,
        _ => Paint::Plain,
    }
}

/// Several steps of one kind in a line.
pub(super) fn folded(begin: Line, steps: &[&Step], names: usize, canvas: &Canvas) -> Line {
    let kind = steps.first().and_then(|step| settled(step));
    let many = match steps.len() {
        1 => "1 step".to_owned(),
        many => format!("{many} steps"),
    };
    let (sign, paint, words) = match kind {
        Some(Settled::Done) => ("✓", Paint::Good, format!("{many} done")),
        Some(Settled::Undone) => ("↩", Paint::Good, format!("{many} undone")),
        Some(Settled::NotRun) => ("·", Paint::Faint, format!("{many} not run")),
        Some(Settled::ToCome) | None => ("·", Paint::Faint, format!("{many} to come")),
    };
    let took = if kind == Some(Settled::Done) {
        let from = steps.iter().filter_map(|step| step.start_time).min_by(order);
        let to = steps.iter().filter_map(|step| step.end_time).max_by(order);
        time::span(from.as_ref(), to.as_ref())
    } else {
        String::new()
    };
    let line = begin.with(sign, paint).with(" ", Paint::Plain).with(words, Paint::Faint);
    let line = timed(line, names, &took);
    let ends = match steps {
        [first, .., last] => format!("  {} … {}", first.name, last.name),
        _ => String::new(),
    };
    if canvas.width < 60 { line } else { line.with(ends, Paint::Faint) }
}

fn order(one: &Timestamp, other: &Timestamp) -> std::cmp::Ordering {
    (one.seconds, one.nanos).cmp(&(other.seconds, other.nanos))
}

/// The time, in its column: two of indent, two of the sign, and the names stand before it.
fn timed(line: Line, names: usize, time: &str) -> Line {
    let column = 4 + names + 1 + TIME - time.len().min(TIME);
    if time.is_empty() {
        line.up_to(4 + names + 1 + TIME)
    } else {
        line.up_to(column).with(time, Paint::Faint)
    }
}

fn sign(step: &Step, canvas: &Canvas) -> (&'static str, Paint) {
    match step.state() {
        State::Unspecified | State::Pending | State::Skipped => ("·", Paint::Faint),
        State::Checking | State::Observing | State::Applying | State::Confirming => {
            (spinner(canvas), Paint::Moves)
        }
        State::Undoing | State::Unresolved => (spinner(canvas), Paint::Waits),
        State::Waiting | State::RetryWait | State::UndoRetryWait => ("◦", Paint::Waits),
        State::Held => ("!", Paint::Bad),
        State::Passed if !step.warnings.is_empty() => ("✓", Paint::Waits),
        State::Passed | State::Confirmed | State::Approved => ("✓", Paint::Good),
        State::Undone if kept(step) => ("=", Paint::Waits),
        State::Undone => ("↩", Paint::Good),
        State::Failed | State::Denied | State::Lapsed | State::UndoFailed => ("✗", Paint::Bad),
    }
}

/// In a picture that stays nothing moves.
fn spinner(canvas: &Canvas) -> &'static str {
    if canvas.height.is_some() { SPINNER[canvas.tick % SPINNER.len()] } else { "»" }
}

/// How long it took, or takes so far: of an undo, the undo.
fn elapsed(step: &Step, now: Timestamp) -> String {
    let undo = matches!(
        step.state(),
        State::Undoing | State::UndoRetryWait | State::UndoFailed | State::Undone
    );
    let from = if undo { step.update_time.or(step.start_time) } else { step.start_time };
    if settled(step).is_some_and(|kind| matches!(kind, Settled::ToCome | Settled::NotRun)) {
        return String::new();
    }
    time::span(from.as_ref(), step.end_time.or(Some(now)).as_ref())
}

/// What is said of a step besides its name.
fn says(step: &Step, now: Timestamp) -> String {
    let attempt =
        if step.attempt > 1 { format!(", attempt {}", step.attempt) } else { String::new() };
    match step.state() {
        State::Unspecified | State::Pending => String::new(),
        State::Skipped => "not run".to_owned(),
        State::Checking => format!("checking{attempt}"),
        State::Observing => format!("looking{attempt}"),
        State::Applying => format!("applying{attempt}"),
        State::Confirming => with("confirming", &on(step)),
        State::Waiting => waits(step, now),
        State::RetryWait => with(&format!("{}{attempt}", again(step, now)), &failure(step)),
        State::Unresolved => with("an answer was lost; looking at the world", &on(step)),
        State::Held => with("held", &failure(step)),
        State::Failed => with("failed", &failure(step)),
        State::Denied => with("denied", &failure(step)),
        State::Lapsed => "nobody decided in time".to_owned(),
        State::Passed if !step.warnings.is_empty() => {
            let codes: Vec<_> = step.warnings.iter().map(|warning| warning.code.as_str()).collect();
            format!("warns: {}", codes.join(", "))
        }
        State::Passed | State::Approved => String::new(),
        State::Confirmed => verdict(step).to_owned(),
        State::Undoing => with(&format!("undoing{attempt}"), &on(step)),
        State::UndoRetryWait => {
            with(&format!("undo {}{attempt}", again(step, now)), &failure(step))
        }
        State::Undone => step.undo.as_ref().map(words::undone).unwrap_or_default(),
        State::UndoFailed => with("undo failed", &failure(step)),
    }
}

fn with(word: &str, more: &str) -> String {
    if more.is_empty() { word.to_owned() } else { format!("{word}: {more}") }
}

fn verdict(step: &Step) -> &'static str {
    match step.verdict() {
        Verdict::Adopted => "was there already",
        Verdict::Shared => "shared with another cluster",
        Verdict::Ours | Verdict::Change | Verdict::Conflict | Verdict::Unspecified => "",
    }
}

fn on(step: &Step) -> String {
    step.waiting.as_ref().map(|waiting| waiting.on.clone()).unwrap_or_default()
}

fn failure(step: &Step) -> String {
    step.failure.as_ref().map(|failure: &Failure| words::failed(failure)).unwrap_or_default()
}

/// A wait that is no failure: for a time, a key, or a person.
fn waits(step: &Step, now: Timestamp) -> String {
    let Some(waiting) = &step.waiting else { return "waits".to_owned() };
    let left = waiting.until.as_ref().filter(|until| order(&now, until).is_lt());
    let left = left.map(|until| format!(", {} more", time::span(Some(&now), Some(until))));
    let left = left.unwrap_or_default();
    let on = match step.summary.as_str() {
        summary if waiting.on == step.name && !summary.is_empty() => summary,
        _ => &waiting.on,
    };
    match waiting.reason() {
        Reason::Lock => format!("waits for {on}{left}"),
        Reason::Timer => with(&format!("waits{left}"), on),
        reason => with(&format!("waits for {}{left}", words::words(reason.as_str_name())), on),
    }
}

fn again(step: &Step, now: Timestamp) -> String {
    let until = step.waiting.as_ref().and_then(|waiting| waiting.until);
    match until {
        Some(until) if order(&now, &until).is_lt() => {
            format!("again in {}", time::span(Some(&now), Some(&until)))
        }
        _ => "again soon".to_owned(),
    }
}
