//! One trace per workflow, whatever happened to the daemon in between.

use std::sync::{Arc, Mutex};

use causeway_engine::{Operation, OperationKind, StepName, WorkflowId};
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::*;
use crate::api::fixture::{ACTION, CHECK, records, state, success};

#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

fn collecting() -> (Telemetry, Collected) {
    let collected = Collected::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(collected.clone())
        .with_id_generator(ids::ChosenIds::default())
        .build();
    (Telemetry { provider: Some(provider) }, collected)
}

/// Journals the whole build, with a restart of the daemon before the record at `restart`.
fn spans(restart: usize) -> Vec<SpanData> {
    let all = success();
    let journal = records(all.clone());
    let mut spans = Vec::new();
    for range in [0..restart, restart..journal.len()] {
        let (telemetry, collected) = collecting();
        for at in range {
            let after = state(all.iter().take(at + 1).cloned().collect());
            telemetry.traces().journaled(&after, &journal[at].event, journal[at].at);
        }
        telemetry.shutdown();
        spans.extend(collected.0.lock().unwrap().drain(..));
    }
    spans
}

#[test]
fn a_workflow_has_one_trace_across_restarts() {
    let undisturbed = spans(0);
    for restart in 1..success().len() {
        let disturbed = spans(restart);
        assert_eq!(undisturbed.len(), disturbed.len());
        for (a, b) in undisturbed.iter().zip(&disturbed) {
            assert_eq!(
                (&a.span_context, &a.name, a.start_time, a.end_time),
                (&b.span_context, &b.name, b.start_time, b.end_time)
            );
        }
    }
    let trace = ids::trace_id(&WorkflowId::from("w1"));
    assert!(undisturbed.iter().all(|span| span.span_context.trace_id() == trace));
}

#[test]
fn steps_are_children_of_the_workflow_with_their_journaled_times() {
    let spans = spans(0);
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (root, pool) = (named("hybrid-cluster"), named(ACTION));
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!(root.status, Status::Ok);
    assert_eq!(root.links.links.len(), 1, "linked to the call that started it");
    for step in [named(CHECK), pool] {
        assert_eq!(step.parent_span_id, root.span_context.span_id());
    }
    assert_eq!(pool.end_time.duration_since(pool.start_time).unwrap().as_secs(), 5);
    assert!(root.start_time < pool.start_time && pool.end_time < root.end_time);
}

#[test]
fn calls_of_an_operation_are_below_its_step() {
    let (telemetry, collected) = collecting();
    let provider = telemetry.provider.as_ref().unwrap();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let operation = Operation {
        step: StepName::from(ACTION),
        kind: OperationKind::Apply,
        attempt: 1,
        generation: 1,
        deadline: None,
    };
    let workflow = WorkflowId::from("w1");
    tracing::subscriber::with_default(Registry::default().with(layer), || {
        let _inside = operation_span(&workflow, &operation).entered();
        tracing::info_span!("call").in_scope(|| {});
    });
    let spans = collected.0.lock().unwrap();
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (call, own) = (named("call"), named("operation"));
    assert_eq!(call.span_context.trace_id(), ids::trace_id(&workflow));
    assert_eq!(call.parent_span_id, own.span_context.span_id());
    assert_eq!(
        own.parent_span_id,
        ids::step_span_id(&workflow, &operation.step, ids::Way::Forward)
    );
}

#[test]
fn libraries_are_heard_from_info_up_only() {
    let filter = EnvFilter::builder().parse("trace").unwrap();
    let lines = Lines::default();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(lines.clone())
        .with_filter(filter.and(harmless()));
    tracing::subscriber::with_default(Registry::default().with(layer), || {
        tracing::trace!(target: "h2::codec", "authorization: s3cret");
        tracing::info!(target: "h2::codec", "connected");
        tracing::trace!(target: "causeway_engine", "ours");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        !text.contains("s3cret") && text.contains("connected") && text.contains("ours"),
        "{text}"
    );
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn a_step_and_its_undo_have_spans_of_their_own() {
    let (workflow, other) = (WorkflowId::from("w1"), WorkflowId::from("w2"));
    let step = StepName::from(ACTION);
    let all = [
        ids::root_span_id(&workflow),
        ids::step_span_id(&workflow, &step, ids::Way::Forward),
        ids::step_span_id(&workflow, &step, ids::Way::Undo),
        ids::step_span_id(&workflow, &StepName::from(CHECK), ids::Way::Forward),
        ids::step_span_id(&other, &step, ids::Way::Forward),
    ];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert_ne!(ids::trace_id(&workflow), ids::trace_id(&other));
}
