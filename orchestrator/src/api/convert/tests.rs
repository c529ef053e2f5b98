//! What callers are shown of a workflow.

use causeway_engine::{
    Event, Failure, Finding, Severity, StepName, Time,
    event::{Cause, End, Undone},
};
use causeway_proto::json;

use super::*;
use crate::api::fixture::{ACTION, CHECK, pool, records, started, state, success};

fn shown(events: Vec<Event>) -> pb::Workflow {
    workflow(&state(events))
}

fn failing() -> Vec<Event> {
    let finding = Finding {
        severity: Severity::Error,
        code: "VSWITCH_OVERLAP".into(),
        subject: "vsw-1".into(),
        message: "overlaps".into(),
        remedy: "choose another".into(),
    };
    let step = || StepName::from(CHECK);
    vec![
        started(),
        Event::Admitted,
        Event::StepStarted { step: step(), attempt: 1 },
        Event::Failed {
            step: step(),
            failure: Failure::findings("the network does not fit", vec![finding]),
        },
        Event::Turned { cause: Cause::Failure, by: Default::default() },
        Event::Ended { end: End::Rejected },
    ]
}

#[test]
fn a_workflow_that_has_succeeded_is_shown_whole() {
    let shown = shown(success());
    assert_eq!(shown.name, "workflows/w1");
    assert_eq!(shown.state(), pb::workflow::State::Succeeded);
    assert_eq!(
        (shown.hybrid_cluster.as_str(), shown.cluster_id.as_str()),
        ("hybridClusters/dc1", "c1")
    );
    assert_eq!(shown.metadata.as_ref().unwrap().labels["team"], "edge");
    assert_eq!(shown.run.as_ref().unwrap().timeout.unwrap().seconds, 7200);
    assert!(
        matches!(&shown.spec, Some(pb::workflow::Spec::HybridClusterSpec(spec)) if spec.node_pools[0].size == Some(2))
    );
    assert_eq!(shown.end_time.unwrap().seconds, 1011);
    assert_eq!(shown.trace_id.len(), 32);
    let states: Vec<_> =
        shown.steps.iter().map(|step| (step.name.as_str(), step.state())).collect();
    assert_eq!(states, [(CHECK, pb::step::State::Passed), (ACTION, pb::step::State::Confirmed)]);
    let pool = &shown.steps[1];
    assert_eq!((pool.key.as_str(), pool.verdict()), ("burst", pb::step::Verdict::Change));
    assert_eq!(pool.effects[0].removal, "delete node pool np1");
    assert_eq!(pool.after, [CHECK]);
}

#[test]
fn a_failure_names_step_findings_and_time() {
    let shown = shown(failing());
    assert_eq!(shown.state(), pb::workflow::State::Rejected);
    assert_eq!(shown.cause(), pb::workflow::Cause::Failure);
    let failure = shown.failure.unwrap();
    assert_eq!((failure.step.as_str(), failure.time.unwrap().seconds), (CHECK, 1004));
    assert_eq!(failure.findings[0].code, "VSWITCH_OVERLAP");
    assert_eq!(failure.findings[0].step, CHECK);
    assert_eq!(shown.steps[1].state(), pb::step::State::Skipped);
}

#[test]
fn what_was_kept_is_left() {
    let mut events = success();
    events.pop();
    let step = || StepName::from(ACTION);
    events.extend([
        Event::Turned { cause: Cause::Cancel, by: Default::default() },
        Event::Undoing { step: step(), attempt: 1, deadline: Time(0) },
        Event::UndoEnded {
            step: step(),
            undone: Undone::Kept { reason: "in_use: 2 nodes are not ours".into(), in_use: true },
        },
    ]);
    let shown = shown(events);
    let undo = shown.steps[1].undo.as_ref().unwrap();
    assert_eq!(
        (undo.kind(), undo.reason()),
        (pb::undo_outcome::Kind::Kept, pb::undo_outcome::Reason::InUse)
    );
    assert_eq!(shown.left.len(), 1);
    assert_eq!(
        (shown.left[0].identity.as_str(), shown.left[0].state()),
        (pool().id.as_str(), pb::ledger_entry::State::Kept)
    );
}

#[test]
fn the_etags_digest_changes_with_the_public_state_only() {
    let after = |count: usize| {
        let etag = etag(&state(success().into_iter().take(count).collect()));
        let (records, public) = etag.split_once('-').unwrap();
        assert_eq!(records, count.to_string());
        public.to_owned()
    };
    assert_eq!(after(3), after(4));
    assert_eq!(after(4), after(6));
    assert_ne!(after(10), after(11));
}

#[test]
fn events_carry_kind_text_and_detail_without_before_images() {
    let all = success();
    let journal = records(all.clone());
    let events: Vec<_> = (1..=journal.len())
        .map(|count| event(&journal[count - 1], &state(all.iter().take(count).cloned().collect())))
        .collect();
    let kinds: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(kinds[0], "STARTED");
    assert_eq!(kinds[5], "OBSERVED");
    assert_eq!(events[0].text, "started by ci");
    assert_eq!((events[6].step.as_str(), events[6].attempt), (ACTION, 1));
    assert_eq!(events[9].elapsed.unwrap().seconds, 5);
    assert_eq!(events[10].state(), pb::workflow::State::Succeeded);
    let observed = json::encode(&events[5]);
    assert_eq!(observed["detail"]["verdict"], "change");
    assert!(observed["detail"].get("before").is_none());
    assert!(events.iter().all(|event| !event.text.is_empty() && event.sequence > 0));
}

#[test]
fn a_large_value_of_a_detail_is_named_by_its_size() {
    let mut all = success();
    all.truncate(3);
    let output = serde_json::json!("x".repeat(100_000));
    all.push(Event::CheckPassed { step: StepName::from(CHECK), output, warnings: Vec::new() });
    let journal = records(all.clone());
    let shown = json::encode(&event(&journal[3], &state(all)));
    assert_eq!(shown["detail"]["output"], "[100002 bytes]");
}
