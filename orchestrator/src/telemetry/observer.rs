//! Hears of every durable event: turns it into spans, and logs what changes the state of a workflow.

use causeway_engine::{Event, Failure, Operation, StepName, Workflow, WorkflowId};
use tracing::{Span, debug, error, info, warn};

use super::Traces;
use crate::runtime::Observer;

/// Traces and logs what has become durable.
#[derive(Debug, Clone)]
pub struct Journal {
    traces: Traces,
}

impl Journal {
    /// With a tracer.
    #[must_use]
    pub fn new(traces: Traces) -> Self {
        Self { traces }
    }
}

impl Observer for Journal {
    fn appended(&self, state: &Workflow, events: &[Event]) {
        for event in events {
            log(state, event);
            // The events of one append were decided at one moment.
            self.traces.journaled(state, event, state.updated_at);
        }
    }

    fn operation(&self, workflow: &WorkflowId, operation: &Operation) -> Span {
        super::operation_span(workflow, operation)
    }
}

fn log(state: &Workflow, event: &Event) {
    let id = &state.id;
    match event {
        Event::Started(started) => {
            info!(workflow.id = %id, definition = %started.definition.name, by = %started.by.principal, "Workflow started");
        }
        Event::Queued { key, behind } => info!(workflow.id = %id, %key, %behind, "Workflow queued"),
        Event::Turned { cause, .. } => {
            info!(workflow.id = %id, ?cause, "Workflow turned to its undo")
        }
        Event::Paused { by } => info!(workflow.id = %id, by = %by.principal, "Workflow paused"),
        Event::Resumed { by } => info!(workflow.id = %id, by = %by.principal, "Workflow resumed"),
        Event::Parked { reason, message } => {
            error!(workflow.id = %id, reason, message, "Workflow parked")
        }
        Event::Unparked => info!(workflow.id = %id, "Workflow goes on: what parked it has passed"),
        Event::Ended { end } => info!(workflow.id = %id, ?end, "Workflow ended"),
        Event::CheckPassed { step, .. } | Event::Confirmed { step, .. } => {
            debug!(workflow.id = %id, %step, "Step done")
        }
        Event::UndoEnded { step, undone } => {
            debug!(workflow.id = %id, %step, ?undone, "Step undone")
        }
        Event::RetryWait { step, failure, .. } | Event::UndoRetryWait { step, failure, .. } => {
            failed(state, step, failure, "Step will be tried again");
        }
        Event::Failed { step, failure } => failed(state, step, failure, "Step failed"),
        Event::Held { step, failure } => failed(state, step, failure, "Step held for the operator"),
        Event::UndoFailed { step, failure } => {
            error!(workflow.id = %id, %step, code = failure.code.as_deref(), request_id = failure.request_id.as_deref(),
                error = %failure, "Undo is stuck, a person must help");
        }
        _ => {}
    }
}

fn failed(state: &Workflow, step: &StepName, failure: &Failure, what: &str) {
    warn!(workflow.id = %state.id, %step, code = failure.code.as_deref(), request_id = failure.request_id.as_deref(),
        error = %failure, "{what}");
}
