//! Records of the journal as events of the history.

use causeway_engine::{Event, Record, Workflow};
use causeway_proto::{json, names, v1 as pb};
use serde_json::{Map, Value};

use super::{public_state, step, text, time};

/// Fields that are left out of an event's detail: what stands elsewhere in the event, and what is too large, or of no use
/// to anybody but the undo.
const LEFT_OUT: [&str; 6] = ["type", "step", "before", "steps", "input", "traceparent"];
/// Longest value of a detail, in bytes of JSON; a longer one is named by its size.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// One record, with the state after it.
pub(in crate::api) fn event(record: &Record, after: &Workflow) -> pb::WorkflowEvent {
    let name = record.event.step();
    let subject = name.and_then(|name| after.step(name));
    let mut fields = fields(&record.event);
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_uppercase();
    fields.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
    for value in fields.values_mut() {
        let size = value.to_string().len();
        if size > VALUE_BYTES_MAX {
            *value = Value::String(format!("[{size} bytes]"));
        }
    }
    pb::WorkflowEvent {
        workflow: names::workflow(after.id.as_str()),
        sequence: record.seq,
        time: Some(time(record.at)),
        r#type: kind,
        step: name.map(ToString::to_string).unwrap_or_default(),
        attempt: attempt(&record.event),
        text: text::text(&record.event),
        detail: (!fields.is_empty()).then(|| structure(fields)),
        state: public_state(after.public_state()).into(),
        step_state: subject
            .map_or(pb::step::State::Unspecified, |subject| step::state(after, subject))
            .into(),
        elapsed: subject.filter(|_| ends(&record.event)).and_then(|subject| {
            let undo = matches!(record.event, Event::UndoEnded { .. } | Event::UndoFailed { .. });
            let start = if undo { subject.undo_started_at } else { subject.started_at };
            elapsed_ms(record.at.ms_since(start?))
        }),
    }
}

fn fields(event: &Event) -> Map<String, Value> {
    match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn attempt(event: &Event) -> u32 {
    match event {
        Event::StepStarted { attempt, .. }
        | Event::Applying { attempt, .. }
        | Event::Undoing { attempt, .. } => *attempt,
        _ => 0,
    }
}

fn ends(event: &Event) -> bool {
    matches!(
        event,
        Event::CheckPassed { .. }
            | Event::Confirmed { .. }
            | Event::Failed { .. }
            | Event::GateApproved { .. }
            | Event::GateDenied { .. }
            | Event::GateLapsed { .. }
            | Event::UndoEnded { .. }
            | Event::UndoFailed { .. }
    )
}

fn elapsed_ms(millis: u64) -> Option<prost_types::Duration> {
    std::time::Duration::from_millis(millis).try_into().ok()
}

fn structure(fields: Map<String, Value>) -> prost_types::Struct {
    // A carrier message of ours, so that the one mapping does the work.
    let carrier = serde_json::json!({ "detail": fields });
    json::decode::<pb::WorkflowEvent>(&carrier)
        .ok()
        .and_then(|carrier| carrier.detail)
        .unwrap_or_default()
}
