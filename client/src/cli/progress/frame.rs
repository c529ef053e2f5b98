//! The picture of a workflow for a terminal of some size: what it does as a whole, its steps with their branches, and what it waits
//! for. It is made anew from the workflow each time, and knows no terminal.

use causeway_proto::v1::workflow::{Cause, Direction, State};
use causeway_proto::v1::{Step, Workflow};
use prost_types::Timestamp;

use super::graph::Tree;
use super::line::{Line, Paint};
use super::row::{self, Settled};
use crate::cli::render::{step, time};
use crate::watch::is_terminal;

/// What a picture is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    /// Columns.
    pub(super) width: usize,
    /// Lines; none for a picture that may be as long as it is.
    pub(super) height: Option<usize>,
    /// The time by which things have taken so long.
    pub(super) now: Timestamp,
    /// How many pictures there were before: what moves, moves by it.
    pub(super) tick: usize,
    /// Since when the daemon does not answer.
    pub(super) lost: Option<Timestamp>,
}

/// Columns of the bar that shows how far it is.
const BAR: usize = 40;
/// Narrowest column of names: what is folded stands there too.
const NAME_MIN: usize = 16;
/// Widest name that the others are aligned to.
const NAME_MAX: usize = 34;

/// Below this many lines there is room for the steps only.
const SMALL: usize = 10;

/// The lines of the picture.
pub(super) fn frame(workflow: &Workflow, canvas: &Canvas) -> Vec<Line> {
    let small = canvas.height.is_some_and(|height| height < SMALL);
    let head = head(workflow, canvas);
    let foot = if small { Vec::new() } else { foot(workflow, canvas) };
    let room = canvas.height.map(|height| height.saturating_sub(head.len() + foot.len()).max(1));
    let rows = rows(workflow, canvas, room);
    let lines = head.into_iter().chain(rows).chain(foot);
    let lines = lines.take(canvas.height.unwrap_or(usize::MAX));
    lines.map(|line| line.fit(canvas.width)).collect()
}

fn head(workflow: &Workflow, canvas: &Canvas) -> Vec<Line> {
    let cluster = workflow.hybrid_cluster.trim_start_matches("hybridClusters/");
    let end = workflow.end_time.or(Some(canvas.now));
    let elapsed = time::span(workflow.create_time.as_ref(), end.as_ref());
    let state = workflow.state();
    let title = Line::default()
        .with(&workflow.id, Paint::Strong)
        .with("  ", Paint::Plain)
        .with(if cluster.is_empty() { &workflow.definition } else { cluster }, Paint::Plain)
        .with("  ", Paint::Plain)
        .with(state.as_str_name(), of_state(state))
        .with(cause(workflow), Paint::Faint);
    let room = canvas.width.min(row::COMFORTABLE).saturating_sub(elapsed.len());
    let title = title.fit(room.saturating_sub(2)).up_to(room).with(elapsed, Paint::Plain);
    if workflow.steps.is_empty() {
        return vec![title];
    }
    vec![title, bar(workflow, canvas.width)]
}

fn cause(workflow: &Workflow) -> String {
    match workflow.cause() {
        Cause::Unspecified => String::new(),
        cause => format!(" after {}", step::words(cause.as_str_name())),
    }
}

fn of_state(state: State) -> Paint {
    match state {
        State::Succeeded => Paint::Good,
        State::Stuck | State::Quarantined | State::Abandoned | State::Rejected => Paint::Bad,
        State::Compensating
        | State::Compensated
        | State::Cancelled
        | State::Paused
        | State::AwaitingApproval => Paint::Waits,
        State::Queued | State::Running | State::Unspecified => Paint::Moves,
    }
}

/// How many of the steps are behind it; of an undo, how many of those that have to be undone.
fn bar(workflow: &Workflow, width: usize) -> Line {
    let count = |of: fn(&Step) -> bool| workflow.steps.iter().filter(|step| of(step)).count();
    let undo = workflow.direction() == Direction::Undo;
    let (part, all, words, paint) = if undo {
        let (done, left) = (count(row::is_undone), count(row::is_to_undo));
        (done, done + left, format!("  {done} undone, {left} to undo"), Paint::Waits)
    } else {
        let (done, all) = (count(row::is_done), workflow.steps.len());
        (done, all, format!("  {done} of {all} steps"), Paint::Good)
    };
    let columns = BAR.min(width.saturating_sub(24)).max(8);
    let full = (columns * part).checked_div(all).unwrap_or(columns);
    Line::default()
        .with("━".repeat(full), paint)
        .with("─".repeat(columns - full), Paint::Faint)
        .with(words, Paint::Plain)
}

/// What the workflow as a whole waits for, and what to know besides.
fn foot(workflow: &Workflow, canvas: &Canvas) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(waiting) = workflow.waiting.as_ref().filter(|_| rests(workflow.state())) {
        let since = time::span(waiting.since.as_ref(), Some(&canvas.now));
        let line = Line::default().with("waits", Paint::Waits).with(
            if since.is_empty() { " for " } else { " " }.to_owned()
                + &if since.is_empty() { String::new() } else { format!("{since} for ") }
                + &step::waits_for(waiting),
            Paint::Plain,
        );
        lines.push(line);
        let shown = waiting.next_commands.iter().take(3);
        lines.extend(shown.map(|command| {
            Line::default().with("  → ", Paint::Faint).with(command, Paint::Strong)
        }));
    }
    if let Some(since) = &canvas.lost {
        let ago = time::span(Some(since), Some(&canvas.now));
        let text = format!("no answer from the daemon for {ago}; trying again");
        lines.push(Line::default().with(text, Paint::Bad));
    } else if canvas.height.is_some() && !is_terminal(workflow.state()) {
        let hint = format!("Ctrl-C detaches, it goes on; back: causeway watch {}", workflow.id);
        lines.push(Line::default().with(hint, Paint::Faint));
    }
    lines
}

/// Whether the whole waits, and not only some of its steps.
fn rests(state: State) -> bool {
    matches!(
        state,
        State::Queued | State::Paused | State::AwaitingApproval | State::Stuck | State::Quarantined
    )
}

/// The steps in at most as many lines as there is room for: what is behind, and what is to come, is told of in one line where
/// it has to be.
fn rows(workflow: &Workflow, canvas: &Canvas, room: Option<usize>) -> Vec<Line> {
    let steps = &workflow.steps;
    let whole = Tree::of(steps);
    let fits = |tree: &Tree| room.is_none_or(|room| count(tree) <= room);
    let settled = |step: usize| row::settled(&steps[step]);
    let behind = |step: usize| settled(step).filter(|kind| *kind != Settled::ToCome);
    let folded: [&dyn Fn(Tree) -> Tree; 3] =
        [&|tree| tree, &|tree| tree.fold(&behind), &|tree| tree.fold(&settled)];
    let chosen = folded.iter().map(|fold| fold(whole.clone())).find(|tree| fits(tree));
    let tree = chosen.unwrap_or_else(|| whole.clone().fold(&settled));
    let mut places = Vec::new();
    place(&tree, String::new(), String::new(), &mut places);
    let names = names(&whole, steps);
    let line = |(gutter, place): (String, &Tree)| {
        let begin = Line::default().with("  ", Paint::Plain).with(gutter, Paint::Faint);
        match place {
            Tree::Leaf(step) => row::step(begin, &steps[*step], names, canvas),
            folded => row::folded(begin, &of(folded, steps), names, canvas),
        }
    };
    let mut lines: Vec<Line> = places.into_iter().map(line).collect();
    if let Some(room) = room.filter(|room| lines.len() > *room) {
        let more = lines.len() + 1 - room;
        lines.truncate(room - 1);
        lines.push(Line::default().with(format!("  … {more} more"), Paint::Faint));
    }
    lines
}

/// How many columns the names need, also where they are folded: so nothing jumps when they are.
fn names(whole: &Tree, steps: &[Step]) -> usize {
    let mut places = Vec::new();
    place(whole, String::new(), String::new(), &mut places);
    let width = |(gutter, place): &(String, &Tree)| match place {
        Tree::Leaf(step) => gutter.chars().count() + steps[*step].name.chars().count(),
        _ => 0,
    };
    places.iter().map(width).max().unwrap_or(0).clamp(NAME_MIN, NAME_MAX)
}

fn of<'w>(tree: &Tree, steps: &'w [Step]) -> Vec<&'w Step> {
    tree.steps().into_iter().map(|step| &steps[step]).collect()
}

fn count(tree: &Tree) -> usize {
    match tree {
        Tree::Leaf(_) | Tree::Fold(_) => 1,
        Tree::Series(parts) | Tree::Branches(parts) => parts.iter().map(count).sum(),
    }
}

/// Where each line stands: `first` is what is drawn before the first of a tree, `rest` before its others.
fn place<'t>(tree: &'t Tree, first: String, rest: String, places: &mut Vec<(String, &'t Tree)>) {
    match tree {
        Tree::Leaf(_) | Tree::Fold(_) => places.push((first, tree)),
        Tree::Series(parts) => {
            let mut first = Some(first);
            for part in parts {
                place(part, first.take().unwrap_or_else(|| rest.clone()), rest.clone(), places);
            }
        }
        Tree::Branches(parts) => {
            let last = parts.len() - 1;
            for (index, part) in parts.iter().enumerate() {
                let (turn, down) = match index {
                    0 => ("╭─ ", "│  "),
                    index if index == last => ("╰─ ", "   "),
                    _ => ("├─ ", "│  "),
                };
                let begin = if index == 0 { &first } else { &rest };
                place(part, format!("{begin}{turn}"), format!("{rest}{down}"), places);
            }
        }
    }
}
