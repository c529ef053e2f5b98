//! Durable timers: one entry per workflow, one task for all. A waiting workflow costs no task; a stale entry is a no-op, as the
//! engine looks at its state, not at the timer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use causeway_engine::{Time, WorkflowId};
use tokio::sync::Notify;

/// What is due when.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    entries: Mutex<Entries>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    by_time: BTreeSet<(Time, WorkflowId)>,
    by_workflow: HashMap<WorkflowId, Time>,
}

impl Timers {
    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets, moves or removes the workflow's timer.
    pub(crate) fn set(&self, workflow: &WorkflowId, due: Option<Time>) {
        let mut entries = self.entries();
        if entries.by_workflow.get(workflow).copied() == due {
            return;
        }
        if let Some(old) = entries.by_workflow.remove(workflow) {
            entries.by_time.remove(&(old, workflow.clone()));
        }
        if let Some(due) = due {
            entries.by_workflow.insert(workflow.clone(), due);
            entries.by_time.insert((due, workflow.clone()));
            let first = entries.by_time.first().is_some_and(|(time, _)| *time == due);
            drop(entries);
            if first {
                self.changed.notify_one();
            }
        }
    }

    /// Takes out the workflows that are due at `now`.
    pub(crate) fn take_due(&self, now: Time) -> Vec<WorkflowId> {
        let mut entries = self.entries();
        let mut due = Vec::new();
        while entries.by_time.first().is_some_and(|(time, _)| *time <= now) {
            if let Some((_, workflow)) = entries.by_time.pop_first() {
                entries.by_workflow.remove(&workflow);
                due.push(workflow);
            }
        }
        due
    }

    /// Waits until the earliest may be due, or the entries have changed.
    pub(crate) async fn wait(&self, now: Time) {
        let first = self.entries().by_time.first().map(|(time, _)| *time);
        let changed = self.changed.notified();
        match first {
            Some(due) => {
                let delay = Duration::from_millis(due.ms_since(now));
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = changed => {}
                }
            }
            None => changed.await,
        }
    }
}
