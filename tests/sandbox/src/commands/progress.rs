//! Live progress of a workflow: one line per event, and on a terminal a line that moves for each step at work.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use causeway_proto::v1::{WorkflowEvent, step};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Shows events as they come.
pub(super) struct Progress {
    began: Instant,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    style: ProgressStyle,
    steps: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Begins now. Whether stderr is a terminal decides the manner.
    pub(super) fn begin() -> Self {
        let style = ProgressStyle::with_template("          {spinner} {prefix:<26} {wide_msg}")
            .unwrap_or_else(|_fixed| ProgressStyle::default_spinner());
        let bars = std::io::stderr().is_terminal().then(|| Bars {
            all: MultiProgress::new(),
            style,
            steps: BTreeMap::new(),
        });
        Self { began: Instant::now(), bars }
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &WorkflowEvent) {
        let line = line(self.began.elapsed(), event);
        match &mut self.bars {
            None => eprintln!("{line}"),
            Some(bars) => bars.show(event, &line),
        }
    }

    /// Takes the moving lines away.
    pub(super) fn end(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.steps.values().for_each(ProgressBar::finish_and_clear);
            bars.steps.clear();
        }
    }
}

impl Bars {
    fn show(&mut self, event: &WorkflowEvent, line: &str) {
        if event.step.is_empty() || !is_at_work(event.step_state()) {
            if let Some(bar) = self.steps.remove(&event.step) {
                bar.finish_and_clear();
            }
            self.all.suspend(|| eprintln!("{line}"));
            return;
        }
        let (all, style) = (&self.all, &self.style);
        let bar = self.steps.entry(event.step.clone()).or_insert_with(|| {
            let bar = all
                .add(ProgressBar::new_spinner())
                .with_style(style.clone())
                .with_prefix(event.step.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(event.text.clone());
    }
}

/// Seconds since the start, the step, and what happened.
fn line(since: Duration, event: &WorkflowEvent) -> String {
    let step = if event.step.is_empty() { "workflow" } else { &event.step };
    format!(
        "{:>7.1}s {mark} {step:<26} {}",
        since.as_secs_f64(),
        event.text,
        mark = mark(event.step_state())
    )
}

fn mark(state: step::State) -> char {
    match state {
        step::State::Passed | step::State::Confirmed | step::State::Approved => '✓',
        step::State::Failed
        | step::State::Denied
        | step::State::Lapsed
        | step::State::UndoFailed => '✗',
        step::State::Undone => '↩',
        _ => '·',
    }
}

fn is_at_work(state: step::State) -> bool {
    use step::State as S;
    matches!(
        state,
        S::Checking
            | S::Waiting
            | S::Observing
            | S::Applying
            | S::Unresolved
            | S::Confirming
            | S::RetryWait
            | S::Undoing
            | S::UndoRetryWait
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_where_and_what() {
        let mut event = WorkflowEvent {
            step: "fence-calico".into(),
            text: "rolled out".into(),
            ..WorkflowEvent::default()
        };
        event.set_step_state(step::State::Confirmed);
        assert_eq!(
            line(Duration::from_millis(1_250), &event),
            "    1.2s ✓ fence-calico               rolled out"
        );
    }
}
