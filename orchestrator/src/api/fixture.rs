//! A small journal for tests: a check, then an action that depends on it.

use causeway_engine::{
    DefinitionRef, Event, Limits, LostCall, Record, StepKind, StepName, StepSpec, Time, Workflow,
    WorkflowId,
    apply::replay,
    event::{By, End, Object, Origin, RunOptions, Started, Verdict},
};
use serde_json::{Value, json};

pub(crate) const CHECK: &str = "check-network";
pub(crate) const ACTION: &str = "create-node-pool[burst]";

/// The first record's event.
pub(crate) fn started() -> Event {
    let limits =
        Limits { attempt_ms: 1, settle_ms: 1, confirm_ms: 1, give_up_ms: 1, undo_give_up_ms: 1 };
    let step = |name: &str, kind, after: &[&str]| StepSpec {
        name: StepName::from(name),
        template: name.split('[').next().unwrap().to_owned(),
        key: name.contains('[').then(|| "burst".to_owned()),
        kind,
        after: after.iter().map(|name| StepName::from(*name)).collect(),
        pivot: false,
        finally: false,
        undo_group: None,
        keys: Vec::new(),
        lost_call: LostCall::MayLand,
        limits,
    };
    Event::Started(Box::new(Started {
        id: WorkflowId::from("w1"),
        definition: DefinitionRef {
            name: "hybrid-cluster".into(),
            revision: 1,
            digest: "d".into(),
        },
        input: json!({
            "apiVersion": "causeway/v1",
            "kind": "HybridCluster",
            "metadata": {"name": "dc1", "labels": {"team": "edge"}},
            "spec": {"connection": "prod", "cluster_id": "c1", "node_pools": [{"name": "burst", "size": 2}]},
            "run": {"on_failure": "HOLD", "timeout": "7200s"},
        }),
        options: RunOptions::default(),
        labels: [("team".to_owned(), "edge".to_owned())].into(),
        connection: "prod".into(),
        cluster: "dc1".into(),
        lock: None,
        steps: vec![step(CHECK, StepKind::Check, &[]), step(ACTION, StepKind::Action, &[CHECK])],
        by: By { principal: "ci".into(), reason: String::new() },
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        plan: None,
        teardown: None,
    }))
}

/// A whole successful build.
pub(crate) fn success() -> Vec<Event> {
    let check = || StepName::from(CHECK);
    let action = || StepName::from(ACTION);
    vec![
        started(),
        Event::Admitted,
        Event::StepStarted { step: check(), attempt: 1 },
        Event::CheckPassed { step: check(), output: Value::Null, warnings: Vec::new() },
        Event::StepStarted { step: action(), attempt: 1 },
        Event::Observed {
            step: action(),
            before: json!({"large": "x".repeat(100)}),
            verdict: Verdict::Change,
            claim: None,
            warnings: Vec::new(),
        },
        Event::Applying { step: action(), attempt: 1, generation: 1, deadline: Time(9_000) },
        Event::EffectSeen { step: action(), object: pool() },
        Event::Applied { step: action(), output: json!({"id": "np1"}) },
        Event::Confirmed { step: action(), output: json!({"id": "np1"}) },
        Event::Ended { end: End::Succeeded },
    ]
}

/// The node pool that the action makes.
pub(crate) fn pool() -> Object {
    Object {
        kind: "node-pool".into(),
        id: "np1".into(),
        origin: Origin::Created,
        present: true,
        remedy: "delete node pool np1".into(),
        facts: Value::Null,
    }
}

/// Events as records, one second apart from 1000 s after the epoch.
pub(crate) fn records(events: Vec<Event>) -> Vec<Record> {
    let at = |seq: u64| Time((1_000 + seq) * 1_000);
    (1..).zip(events).map(|(seq, event)| Record { seq, at: at(seq), event }).collect()
}

/// The state after these events.
pub(crate) fn state(events: Vec<Event>) -> Workflow {
    replay(&records(events)).unwrap()
}
