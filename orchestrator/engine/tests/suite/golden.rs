//! The storage format: records that older versions wrote must be read for ever, and mean the same. The files under `golden/` are
//! only ever added to.

use causeway_engine::{Event, Record};
use serde_json::Value;

/// One record of every kind, as version 1 wrote them.
const V1: &str = include_str!("../golden/records-v1.jsonl");

#[test]
fn every_golden_record_is_read_and_written_as_it_was() {
    for line in V1.lines() {
        let record: Record =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let written = serde_json::to_value(&record).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(line).unwrap());
    }
}

#[test]
fn there_is_a_golden_record_of_every_kind_of_event() {
    let golden: Vec<Record> = V1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: std::collections::BTreeSet<String> = golden
        .iter()
        .map(|record| {
            serde_json::to_value(&record.event).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    let missing: Vec<&str> = KINDS.iter().copied().filter(|kind| !kinds.contains(*kind)).collect();
    assert!(missing.is_empty(), "no golden record of {missing:?}");
    assert_eq!(kinds.len(), KINDS.len(), "a kind of event is missing from this test's list");
}

#[test]
fn a_field_that_is_not_known_yet_is_no_error() {
    let line = r#"{"seq":2,"at":1,"event":{"type":"admitted","by_a_later_version":true},"more":1}"#;
    assert_eq!(serde_json::from_str::<Record>(line).unwrap().event, Event::Admitted);
}

const KINDS: [&str; 39] = [
    "started",
    "queued",
    "admitted",
    "step_started",
    "step_blocked",
    "check_waiting",
    "check_passed",
    "observed",
    "applying",
    "effect_seen",
    "applied",
    "confirming",
    "confirmed",
    "unresolved",
    "resolved",
    "retry_wait",
    "held",
    "failed",
    "skip_asked",
    "step_skipped",
    "retry_asked",
    "gate_opened",
    "gate_approved",
    "gate_denied",
    "gate_lapsed",
    "turned",
    "undo_decided",
    "undoing",
    "undo_blocked",
    "undo_waiting",
    "undo_ended",
    "undo_retry_wait",
    "undo_failed",
    "paused",
    "resumed",
    "parked",
    "unparked",
    "abandoning",
    "ended",
];
