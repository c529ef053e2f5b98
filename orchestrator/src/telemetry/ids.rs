//! Trace and span ids, derived from names that are journaled: so a workflow has one trace, also across restarts.

use std::cell::Cell;

use causeway_engine::{OperationKind, StepName, WorkflowId};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use sha2::{Digest as _, Sha256};

/// Which of a step's two spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Building.
    Forward,
    /// Undoing.
    Undo,
}

impl Way {
    /// The way that an operation goes.
    pub(super) fn of(kind: OperationKind) -> Self {
        match kind {
            OperationKind::Check
            | OperationKind::Observe
            | OperationKind::Apply
            | OperationKind::Confirm
            | OperationKind::Resolve => Self::Forward,
            OperationKind::Decide | OperationKind::Revert | OperationKind::VerifyGone => Self::Undo,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
        }
    }
}

/// Id of the workflow's trace.
pub(super) fn trace_id(workflow: &WorkflowId) -> TraceId {
    TraceId::from_bytes(derive(&["trace", workflow.as_str()]))
}

/// Id of the span that stands for the whole workflow.
pub(super) fn root_span_id(workflow: &WorkflowId) -> SpanId {
    SpanId::from_bytes(derive(&["workflow", workflow.as_str()]))
}

/// Id of the span that stands for a step on its way forward, or for its undo.
pub(super) fn step_span_id(workflow: &WorkflowId, step: &StepName, way: Way) -> SpanId {
    SpanId::from_bytes(derive(&["step", workflow.as_str(), step.as_str(), way.name()]))
}

/// The first `N` bytes of a digest over the parts, which hold no zero byte.
fn derive<const N: usize>(parts: &[&str]) -> [u8; N] {
    let digest = Sha256::digest(parts.join("\0"));
    let mut id = [0; N];
    id.copy_from_slice(&digest[..N]);
    id
}

thread_local! {
    static CHOSEN: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Runs `start`, which starts one span, and gives that span these ids (the trace's only where it has no parent).
pub(super) fn with_ids<T>(trace: TraceId, span: SpanId, start: impl FnOnce() -> T) -> T {
    CHOSEN.set(Some((trace, span)));
    let result = start();
    CHOSEN.set(None);
    result
}

/// Random ids, unless [`with_ids`] has chosen some.
#[derive(Debug, Default)]
pub(super) struct ChosenIds(RandomIdGenerator);

impl IdGenerator for ChosenIds {
    fn new_trace_id(&self) -> TraceId {
        CHOSEN.get().map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        CHOSEN.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
    }
}
