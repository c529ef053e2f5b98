//! Progress on standard error: a live view of all steps on a terminal, one line per event elsewhere.

use std::collections::HashMap;

use causeway_proto::v1::{Workflow, WorkflowEvent};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Console;
use super::render::step::{self, Mark};
use super::render::time;

/// Shows how a workflow goes on.
pub trait Progress {
    /// The workflow as it is now.
    fn snapshot(&mut self, workflow: &Workflow);

    /// Something that happened after the last snapshot.
    fn event(&mut self, event: &WorkflowEvent);

    /// Time passed.
    fn tick(&mut self);

    /// The daemon does not answer; it is being tried again.
    fn lost(&mut self);

    /// Whether it wants to be told of time, and fresh snapshots.
    fn is_live(&self) -> bool;

    /// Nothing more comes.
    fn finish(&mut self);
}

/// What fits the console.
#[must_use]
pub fn for_console(console: &mut Console) -> Box<dyn Progress + '_> {
    if console.live { Box::new(Live::new()) } else { Box::new(Lines::new(console)) }
}

/// One line per event.
struct Lines<'c> {
    console: &'c mut Console,
    begun: bool,
    /// Type and text of the last event of each step that was shown.
    shown: HashMap<String, (String, String)>,
}

impl<'c> Lines<'c> {
    fn new(console: &'c mut Console) -> Self {
        Self { console, begun: false, shown: HashMap::new() }
    }

    /// Whether an event only says that an undo looked again, and waits for the same thing as before. The history has it all.
    fn repeats(&self, event: &WorkflowEvent) -> bool {
        self.shown.get(&event.step).is_some_and(|(kind, text)| {
            kind == "UNDO_WAITING" && (event.r#type == "UNDOING" || event.text == *text)
        })
    }
}

impl Progress for Lines<'_> {
    fn snapshot(&mut self, workflow: &Workflow) {
        // The first one says where the story begins; later ones repeat what the events said.
        if !std::mem::replace(&mut self.begun, true) {
            let at = time::clock(workflow.update_time.as_ref());
            self.console.say(&format!("{at}  {}  {}", workflow.id, step::headline(workflow)));
        }
    }

    fn event(&mut self, event: &WorkflowEvent) {
        if self.repeats(event) {
            return;
        }
        self.console.say(&event_line(event));
        self.shown.insert(event.step.clone(), (event.r#type.clone(), event.text.clone()));
    }

    fn tick(&mut self) {}

    fn lost(&mut self) {}

    fn is_live(&self) -> bool {
        false
    }

    fn finish(&mut self) {}
}

/// An event in one line: when, what about, what.
pub(super) fn event_line(event: &WorkflowEvent) -> String {
    let about = if event.step.is_empty() { "workflow" } else { &event.step };
    let text = if event.text.is_empty() {
        event.r#type.to_lowercase().replace('_', " ")
    } else {
        event.text.clone()
    };
    format!("{}  {about:<28}  {text}", time::clock(event.time.as_ref()))
}

/// A view that is drawn over and over: the workflow, then its steps in the order of their dependencies.
struct Live {
    area: MultiProgress,
    head: ProgressBar,
    steps: HashMap<String, ProgressBar>,
    workflow: Workflow,
    lost: bool,
}

impl Live {
    fn new() -> Self {
        let area = MultiProgress::new();
        let head = area.add(ProgressBar::new_spinner());
        head.set_style(style("{msg}"));
        Self { area, head, steps: HashMap::new(), workflow: Workflow::default(), lost: false }
    }

    fn draw(&mut self) {
        let now = time::now();
        let lost = if self.lost { "  (no answer from the daemon, trying again)" } else { "" };
        let headline = step::headline(&self.workflow);
        self.head.set_message(format!("{}  {headline}{lost}", self.workflow.id));
        for step in &self.workflow.steps {
            let bar = self
                .steps
                .entry(step.name.clone())
                .or_insert_with(|| self.area.add(ProgressBar::new_spinner()));
            let (mark, line) = step::line(step, now);
            match mark {
                Mark::Moves => bar.set_style(style("  {spinner:.cyan} {msg}")),
                Mark::Good => bar.set_style(style("  {prefix:.green} {msg}")),
                Mark::Bad => bar.set_style(style("  {prefix:.red} {msg}")),
                Mark::Waits => bar.set_style(style("  {prefix:.yellow} {msg}")),
                Mark::Still => bar.set_style(style("  {prefix:.dim} {msg:.dim}")),
            }
            bar.set_prefix(mark.sign());
            bar.set_message(line);
            bar.tick();
        }
        self.head.tick();
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well-formed")
}

impl Progress for Live {
    fn snapshot(&mut self, workflow: &Workflow) {
        self.workflow.clone_from(workflow);
        self.lost = false;
        self.draw();
    }

    fn event(&mut self, event: &WorkflowEvent) {
        self.workflow.state = event.state;
        if let Some(step) = self.workflow.steps.iter_mut().find(|step| step.name == event.step) {
            step.state = event.step_state;
        }
        self.draw();
    }

    fn tick(&mut self) {
        self.draw();
    }

    fn lost(&mut self) {
        self.lost = true;
        self.draw();
    }

    fn is_live(&self) -> bool {
        true
    }

    fn finish(&mut self) {
        // What stands there stays; the bars are only let go.
        self.head.abandon();
        self.steps.values().for_each(ProgressBar::abandon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undo_that_looks_again_and_waits_for_the_same_is_shown_once() {
        let mut console = Console::plain(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let mut lines = Lines::new(&mut console);
        let event = |kind: &str, text: &str| WorkflowEvent {
            step: "install-terway".to_owned(),
            r#type: kind.to_owned(),
            text: text.to_owned(),
            ..WorkflowEvent::default()
        };
        let shown: Vec<bool> = [
            ("UNDOING", "undo begins"),
            ("UNDO_WAITING", "undo waits: 1 of 3"),
            ("UNDOING", "undo begins, attempt 2"),
            ("UNDO_WAITING", "undo waits: 1 of 3"),
            ("UNDO_WAITING", "undo waits: 2 of 3"),
            ("UNDO_RETRY_WAIT", "undo will be tried again: 503"),
            ("UNDOING", "undo begins, attempt 3"),
        ]
        .map(|(kind, text)| {
            let shown = !lines.repeats(&event(kind, text));
            lines.event(&event(kind, text));
            shown
        })
        .into();
        assert_eq!(shown, [true, true, false, false, true, true, true]);
    }
}
