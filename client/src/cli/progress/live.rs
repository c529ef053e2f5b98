//! A picture on a terminal that is drawn over and over in its place, and left there in the end.

use std::io::Write as _;

use causeway_proto::v1::{Workflow, WorkflowEvent};
use console::Term;
use prost_types::Timestamp;

use super::Progress;
use super::frame::{Canvas, frame};
use super::line::Line;
use crate::cli::render::time;

/// Lines and columns where the terminal does not say.
const USUAL: (u16, u16) = (24, 80);

/// The picture.
pub(super) struct Live {
    terminal: Term,
    color: bool,
    workflow: Option<Workflow>,
    /// Columns of each line that stands on the terminal.
    drawn: Vec<usize>,
    tick: usize,
    lost: Option<Timestamp>,
}

impl Live {
    pub(super) fn new(color: bool) -> Self {
        let terminal = Term::stderr();
        Self { terminal, color, workflow: None, drawn: Vec::new(), tick: 0, lost: None }
    }

    fn draw(&mut self) {
        let Some(workflow) = &self.workflow else { return };
        let (rows, columns) = self.terminal.size_checked().unwrap_or(USUAL);
        // The last line is the cursor's, and the last column makes some terminals wrap.
        let height = usize::from(rows).saturating_sub(1).max(3);
        let width = usize::from(columns).saturating_sub(1).max(20);
        let (tick, lost) = (self.tick, self.lost);
        let canvas = Canvas { width, height: Some(height), now: time::now(), tick, lost };
        let lines = frame(workflow, &canvas);
        self.put(&lines, usize::from(columns));
    }

    /// Writes lines over those that stand there.
    fn put(&mut self, lines: &[Line], columns: usize) {
        let mut text = over(&self.drawn, columns);
        for line in lines {
            text.push_str(&line.text(self.color));
            // What stood behind it, and the end of the line.
            text.push_str("\u{1b}[K\r\n");
        }
        text.push_str("\u{1b}[J");
        self.drawn = lines.iter().map(Line::width).collect();
        // Where the terminal is gone, nobody looks.
        let mut terminal = &self.terminal;
        terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()).ok();
    }
}

/// What moves the cursor to the first of the lines that stand there: a terminal that has become narrower has broken them.
fn over(drawn: &[usize], columns: usize) -> String {
    let columns = columns.max(1);
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    if rows == 0 { String::new() } else { format!("\r\u{1b}[{rows}A") }
}

impl Progress for Live {
    fn snapshot(&mut self, workflow: &Workflow) {
        self.workflow = Some(workflow.clone());
        self.draw();
    }

    fn event(&mut self, event: &WorkflowEvent) {
        let Some(workflow) = &mut self.workflow else { return };
        workflow.state = event.state;
        if let Some(step) = workflow.steps.iter_mut().find(|step| step.name == event.step) {
            step.state = event.step_state;
        }
        self.draw();
    }

    fn tick(&mut self) {
        self.tick += 1;
        self.draw();
    }

    fn lost(&mut self) {
        self.lost.get_or_insert_with(time::now);
        self.draw();
    }

    fn found(&mut self) {
        self.lost = None;
        self.draw();
    }

    fn is_live(&self) -> bool {
        true
    }

    fn finish(&mut self) {
        let Some(workflow) = &self.workflow else { return };
        let (_, columns) = self.terminal.size_checked().unwrap_or(USUAL);
        let width = usize::from(columns).saturating_sub(1).max(20);
        // It stays, so it is whole, however long it is: the terminal scrolls.
        let canvas = Canvas { width, height: None, now: time::now(), tick: self.tick, lost: None };
        let lines = frame(workflow, &canvas);
        self.put(&lines, usize::from(columns));
        self.drawn.clear();
        self.workflow = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_goes_back_over_what_a_narrower_terminal_has_broken() {
        assert_eq!(over(&[], 80), "");
        assert_eq!(over(&[79, 0, 12], 80), "\r\u{1b}[3A");
        assert_eq!(over(&[79, 0, 12], 40), "\r\u{1b}[4A");
    }
}
