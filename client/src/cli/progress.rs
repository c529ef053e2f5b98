//! Progress on standard error: a live picture of all steps on a terminal, one line per event elsewhere.

mod frame;
#[cfg(test)]
mod golden;
mod graph;
mod line;
mod live;
mod row;

use std::collections::HashMap;

use causeway_proto::v1::{Workflow, WorkflowEvent};

use super::Console;
use super::render::{step, time};

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

    /// The daemon answers again.
    fn found(&mut self);

    /// Whether it wants to be told of time, and fresh snapshots.
    fn is_live(&self) -> bool;

    /// Nothing more comes.
    fn finish(&mut self);
}

/// What fits the console.
#[must_use]
pub fn for_console(console: &mut Console) -> Box<dyn Progress + '_> {
    if console.live {
        Box::new(live::Live::new(console.err_color))
    } else {
        Box::new(Lines::new(console))
    }
}

/// One line per event.
struct Lines<'c> {
    console: &'c mut Console,
    begun: bool,
    /// Type and text of the last event of each step that was shown.
    shown: HashMap<String, (String, String)>,
    lost: bool,
}

impl<'c> Lines<'c> {
    fn new(console: &'c mut Console) -> Self {
        Self { console, begun: false, shown: HashMap::new(), lost: false }
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

    fn lost(&mut self) {
        if !std::mem::replace(&mut self.lost, true) {
            let at = time::clock(Some(&time::now()));
            self.console.say(&format!("{at}  no answer from the daemon; trying again"));
        }
    }

    fn found(&mut self) {
        if std::mem::replace(&mut self.lost, false) {
            let at = time::clock(Some(&time::now()));
            self.console.say(&format!("{at}  the daemon answers again"));
        }
    }

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
