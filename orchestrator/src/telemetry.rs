//! Logs to stderr, and traces over OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Nothing else knows OpenTelemetry.
//!
//! Libraries are heard from INFO up only, whatever was asked for: below that they print what they send and store, and that
//! may hold secrets.

mod ids;
mod journal;
mod observer;
#[cfg(test)]
mod tests;

use std::env;

use causeway_engine::{Operation, WorkflowId};
use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState, TracerProvider as _},
};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Level, Metadata, Span, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::FilterExt as _,
    filter::{FilterFn, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::{self, LogFormat};

pub use journal::Traces;
pub use observer::Journal;

/// Either of these switches the export on; the exporter itself reads them, and the other `OTEL_*` variables.
const ENDPOINT_VARIABLES: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// Name of the tracer, and of the service unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "causewayd";

/// Why logs or traces can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is no filter.
    #[error("telemetry.log is no filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter can't be built from its variables.
    #[error("the OTLP exporter can't be set up; check the OTEL_EXPORTER_OTLP_* variables")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Somebody else logs already.
    #[error("logging is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps the export going; ends it with [`Telemetry::shutdown`].
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// The tracer for journaled steps; without an export it does nothing.
    #[must_use]
    pub fn traces(&self) -> Traces {
        self.provider
            .as_ref()
            .map_or_else(Traces::off, |provider| Traces::new(provider.tracer(SERVICE)))
    }

    /// Sends what is left. Blocks for up to the exporter's timeout: call it outside of the runtime's workers.
    pub fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        if let Err(error) = provider.shutdown() {
            tracing::warn!(%error, "Some spans could not be exported at the end");
        }
    }
}

/// Sets logs and traces up for the whole process. Must be called within the runtime: the exporter's connection lives there.
///
/// # Errors
/// A filter or an `OTEL_*` variable that is wrong.
pub fn init(config: &config::Telemetry) -> Result<Telemetry, Error> {
    let provider = exporting().then(provider).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        let ours = filter_fn(|metadata| is_ours(metadata) && *metadata.level() <= Level::INFO)
            .with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)).with_filter(ours)
    });
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(&config.log)?;
    let filter = filter.and(harmless());
    let lines: Box<dyn Layer<_> + Send + Sync> = match config.format {
        LogFormat::Text => {
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed()
        }
        LogFormat::Json => {
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).json().boxed()
        }
    };
    // The layer of spans stands first: its type is fixed to the bare registry.
    Registry::default().with(spans).with(lines.with_filter(filter)).try_init()?;
    Ok(Telemetry { provider })
}

/// Lets everything of ours through, and of libraries what can't hold a secret.
fn harmless() -> FilterFn {
    let known: fn(&Metadata<'_>) -> bool =
        |metadata| is_ours(metadata) || *metadata.level() <= Level::INFO;
    FilterFn::new(known)
        // Without a hint every record that a library logs is looked at, also below the level that was asked for.
        .with_max_level_hint(LevelFilter::TRACE)
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("causeway")
}

fn exporting() -> bool {
    ENDPOINT_VARIABLES.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn provider() -> Result<SdkTracerProvider, Error> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build()?;
    let resource = match env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => Resource::builder().build(),
        None => Resource::builder().with_service_name(SERVICE).build(),
    };
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(ids::ChosenIds::default())
        .with_resource(resource)
        .build())
}

/// Trace id of a workflow's one trace, as 32 hex digits.
#[must_use]
pub fn trace_id(workflow: &WorkflowId) -> String {
    ids::trace_id(workflow).to_string()
}

/// The span in which an operation runs: a child of the step's journaled span, so that all calls of the step, before and
/// after a restart, are found below it.
#[must_use]
pub fn operation_span(workflow: &WorkflowId, operation: &Operation) -> Span {
    let way = ids::Way::of(operation.kind);
    let span = tracing::info_span!(
        "operation",
        workflow = %workflow,
        step = %operation.step,
        kind = ?operation.kind,
        attempt = operation.attempt,
        trace_id = %ids::trace_id(workflow),
    );
    if !span.is_disabled() {
        let parent = ids::step_span_id(workflow, &operation.step, way);
        // Without an export there is nobody to take the parent, which is fine.
        span.set_parent(remote(workflow, parent)).ok();
    }
    span
}

/// A context in which the given span of the workflow's trace is the parent.
fn remote(workflow: &WorkflowId, parent: opentelemetry::trace::SpanId) -> Context {
    let context = SpanContext::new(
        ids::trace_id(workflow),
        parent,
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(context)
}
