//! Spans of workflows and steps, with their journaled times. They are made when the record that ends them is durable, from
//! the state alone: so it does not matter how often the daemon was restarted in between.

use std::time::{Duration, SystemTime};

use causeway_engine::{Event, Failure, StepName, Time, Workflow, event::End, state::Step};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator as _,
    trace::{Link, Span as _, SpanBuilder, SpanId, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};

use super::ids::{self, Way};

/// Makes spans of journaled records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Traces {
    tracer: Option<SdkTracer>,
}

impl Traces {
    /// One that makes none.
    #[must_use]
    pub fn off() -> Self {
        Self { tracer: None }
    }

    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self { tracer: Some(tracer) }
    }

    /// Takes an event that has become durable at `at`; `workflow` is the state with the event applied.
    pub fn journaled(&self, workflow: &Workflow, event: &Event, at: Time) {
        let Some(tracer) = &self.tracer else { return };
        match event {
            Event::CheckPassed { step, .. }
            | Event::Confirmed { step, .. }
            | Event::StepSkipped { step, .. }
            | Event::GateApproved { step, .. }
            | Event::GateDenied { step, .. }
            | Event::GateLapsed { step } => forward(tracer, workflow, step, None, at),
            Event::Failed { step, failure } => forward(tracer, workflow, step, Some(failure), at),
            Event::UndoEnded { step, .. } => undo(tracer, workflow, step, None, at),
            Event::UndoFailed { step, failure } => undo(tracer, workflow, step, Some(failure), at),
            Event::Ended { end } => root(tracer, workflow, *end, at),
            _ => {}
        }
    }
}

fn forward(
    tracer: &SdkTracer,
    workflow: &Workflow,
    name: &StepName,
    failure: Option<&Failure>,
    end: Time,
) {
    let Some(step) = workflow.step(name) else { return };
    let start = step.started_at.unwrap_or(end);
    let mut attributes = attributes(workflow, step);
    attributes.push(KeyValue::new("causeway.attempts", i64::from(step.attempts)));
    if let Some(verdict) = step.verdict {
        attributes.push(KeyValue::new("causeway.verdict", format!("{verdict:?}").to_lowercase()));
    }
    let id = ids::step_span_id(&workflow.id, name, Way::Forward);
    emit(tracer, workflow, Emitted { id, name: name.to_string(), start, end, attributes, failure });
}

fn undo(
    tracer: &SdkTracer,
    workflow: &Workflow,
    name: &StepName,
    failure: Option<&Failure>,
    end: Time,
) {
    let Some(step) = workflow.step(name) else { return };
    let start = step.undo_started_at.unwrap_or(end);
    let mut attributes = attributes(workflow, step);
    attributes.push(KeyValue::new("causeway.attempts", i64::from(step.undo_attempts)));
    let id = ids::step_span_id(&workflow.id, name, Way::Undo);
    emit(
        tracer,
        workflow,
        Emitted { id, name: format!("undo {name}"), start, end, attributes, failure },
    );
}

/// A span of a step.
struct Emitted<'a> {
    id: SpanId,
    name: String,
    start: Time,
    end: Time,
    attributes: Vec<KeyValue>,
    failure: Option<&'a Failure>,
}

fn emit(tracer: &SdkTracer, workflow: &Workflow, span: Emitted<'_>) {
    let parent = super::remote(&workflow.id, ids::root_span_id(&workflow.id));
    let mut attributes = span.attributes;
    if let Some(failure) = span.failure {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        attributes.push(KeyValue::new("causeway.failure.code", text(&failure.code)));
        attributes.push(KeyValue::new("causeway.failure.request_id", text(&failure.request_id)));
    }
    let builder = SpanBuilder::from_name(span.name)
        .with_start_time(time(span.start))
        .with_attributes(attributes);
    let mut started = ids::with_ids(ids::trace_id(&workflow.id), span.id, || {
        tracer.build_with_context(builder, &parent)
    });
    started.set_status(
        span.failure.map_or(Status::Ok, |failure| Status::error(failure.message.clone())),
    );
    started.end_with_timestamp(time(span.end));
}

/// The span of the whole workflow. It is linked to the trace of the call that started it.
fn root(tracer: &SdkTracer, workflow: &Workflow, end: End, at: Time) {
    let id = &workflow.id;
    let attributes = vec![
        KeyValue::new("causeway.workflow", id.to_string()),
        KeyValue::new(
            "causeway.definition",
            format!("{}/{}", workflow.definition.name, workflow.definition.revision),
        ),
        KeyValue::new("causeway.cluster", workflow.cluster.clone()),
        KeyValue::new("causeway.end", format!("{end:?}").to_uppercase()),
    ];
    let carrier =
        std::collections::HashMap::from([("traceparent".to_owned(), workflow.traceparent.clone())]);
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let builder = SpanBuilder::from_name(workflow.definition.name.clone())
        .with_start_time(time(workflow.started_at))
        .with_attributes(attributes)
        .with_links(vec![Link::with_context(caller.span().span_context().clone())]);
    let mut span = ids::with_ids(ids::trace_id(id), ids::root_span_id(id), || {
        tracer.build_with_context(builder, &Context::new())
    });
    span.set_status(match end {
        End::Succeeded => Status::Ok,
        other => Status::error(format!("{other:?}").to_uppercase()),
    });
    span.end_with_timestamp(time(at));
}

fn attributes(workflow: &Workflow, step: &Step) -> Vec<KeyValue> {
    vec![
        KeyValue::new("causeway.workflow", workflow.id.to_string()),
        KeyValue::new("causeway.step", step.spec.name.to_string()),
        KeyValue::new("causeway.template", step.spec.template.clone()),
    ]
}

fn time(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(time.0)
}
