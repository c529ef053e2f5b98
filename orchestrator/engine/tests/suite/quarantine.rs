//! Workflows whose records can't all be read: what is still known of them, and what they take.

use std::collections::BTreeSet;

use causeway_engine::event::{End, Object, Origin, Verdict};
use causeway_engine::input::{OperationKind, Verb};
use causeway_engine::state::Quarantine;
use causeway_engine::{
    Event, FailureClass, Input, PublicState, Reason, Record, ResourceKey, StepName, Time, Workflow,
    WorkflowId, decide,
};
use serde_json::Value;

use crate::sim::{Sim, action, by, check};

fn object(id: &str, origin: Origin, present: bool) -> Object {
    Object {
        kind: "thing".to_owned(),
        id: id.to_owned(),
        origin,
        present,
        remedy: format!("remove {id}"),
        facts: Value::Null,
    }
}

/// Two actions behind a check: the first has made three things, of which one is gone again and one was there before.
fn running() -> Sim {
    let mut sim = Sim::start(vec![
        check("look", &[]),
        action("a", &["look"]),
        action("b", &["a"]),
        action("c", &["b"]),
    ]);
    sim.pass("look");
    sim.observe("a", Verdict::Change);
    for (id, origin, present) in [
        ("made", Origin::Created, true),
        ("gone", Origin::Created, true),
        ("found", Origin::Adopted, true),
        ("gone", Origin::Created, false),
    ] {
        let (step, object) = (StepName::from("a"), object(id, origin, present));
        sim.feed(Input::Seen { step, object }).unwrap();
    }
    sim
}

/// The workflow without some of its records.
fn without(sim: &Sim, lost: &[u64]) -> Workflow {
    let readable: Vec<Record> =
        sim.records.iter().filter(|record| !lost.contains(&record.seq)).cloned().collect();
    let hold = (ResourceKey::from("cluster/c1"), None);
    let quarantine = Quarantine {
        why: lost.iter().map(|seq| format!("record {seq} can't be read: it is torn")).collect(),
        since: Time(2_000_000),
        incomplete: false,
        holds: BTreeSet::from([hold]),
    };
    Workflow::salvage(&WorkflowId::from("w1"), &readable, sim.state.seq, quarantine)
}

fn left(state: &Workflow) -> Vec<(&str, String)> {
    let left = state.left();
    assert!(left.iter().all(|left| left.possibly), "nothing is certain: {left:?}");
    let names = state.steps.iter().map(|step| step.spec.name.as_str());
    let of = |name: &str| {
        left.iter()
            .filter(|left| left.step.as_str() == name)
            .map(|left| left.object.id.clone())
            .collect()
    };
    let by_step = names.map(|name| (name, of(name)));
    by_step
        .flat_map(|(name, ids): (&str, Vec<String>)| ids.into_iter().map(move |id| (name, id)))
        .collect()
}

#[test]
fn it_is_shown_as_far_as_its_records_go_and_says_why() {
    let sim = running();
    let state = without(&sim, &[sim.state.seq]);
    assert_eq!(state.public_state(), PublicState::Quarantined);
    assert_eq!((state.cluster.as_str(), state.seq), ("dc1", sim.state.seq));
    let waiting = state.waiting().unwrap();
    assert_eq!((waiting.reason.as_str(), waiting.since), ("QUARANTINED", Time(2_000_000)));
    assert!(waiting.on.contains(&format!("record {} can't be read", sim.state.seq)));
    assert_eq!(waiting.next_commands, ["abandon w1 --reason WHY"]);
    assert_eq!(state.next_due(Time(0)), None);
    assert!(state.wants().is_empty());
    assert_eq!(state.holds(), state.quarantine.as_ref().unwrap().holds);
}

#[test]
fn with_all_records_its_ledger_is_what_it_was() {
    let state = without(&running(), &[]);
    assert!(!state.quarantine.as_ref().unwrap().incomplete);
    assert_eq!(left(&state), [("a", "made".to_owned())]);
}

#[test]
fn with_records_missing_whatever_may_have_been_done_is_listed() {
    let sim = running();
    // The last one says that a thing is gone; the one after it could say that it was made again.
    let state = without(&sim, &[sim.state.seq]);
    assert_eq!(left(&state), [("a", "made".into()), ("a", "gone".into()), ("b", "b".into())]);
    let applying = |record: &&Record| matches!(record.event, Event::Applying { .. });
    let lost = sim.records.iter().find(applying).unwrap().seq;
    let state = without(&sim, &[lost]);
    assert_eq!(left(&state), [("a", "made".into()), ("b", "b".into())]);
}

#[test]
fn without_its_start_the_steps_are_known_by_their_records() {
    let state = without(&running(), &[1]);
    assert_eq!(state.public_state(), PublicState::Quarantined);
    assert_eq!(state.id.as_str(), "w1");
    assert!(left(&state).contains(&("a", "made".to_owned())), "{:?}", left(&state));
    let state = Workflow::salvage(&WorkflowId::from("w1"), &[], 3, Quarantine::default());
    assert_eq!((state.public_state(), state.seq), (PublicState::Quarantined, 3));
}

#[test]
fn it_takes_nothing_but_to_be_abandoned() {
    let state = without(&running(), &[3]);
    let ask = |verb| decide(&state, &Input::Asked { verb, by: by() }, Time(3_000_000), &[]);
    let step = || StepName::from("a");
    for verb in [
        Verb::Cancel,
        Verb::Pause,
        Verb::Resume,
        Verb::Retry,
        Verb::Skip { step: step() },
        Verb::Approve { step: step(), digest: String::new() },
        Verb::Deny { step: step() },
    ] {
        let rejection = ask(verb).unwrap_err();
        assert_eq!(rejection.reason, Reason::Quarantined);
        assert!(rejection.message.contains("record 3 can't be read"), "{rejection}");
    }
    for input in [Input::Recover, Input::Tick, Input::Unpark, Input::Begin] {
        let (decision, next) = decide(&state, &input, Time(3_000_000), &[]).unwrap();
        assert_eq!((decision, next), (Default::default(), state.clone()));
    }
    assert_eq!(state.may_be_deleted().unwrap_err().reason, Reason::Quarantined);
    let (decision, next) = ask(Verb::Abandon).unwrap();
    let ended = Event::Ended { end: End::Abandoned };
    assert_eq!(decision.events, [Event::Abandoning { by: by() }, ended]);
    assert!(decision.operations.is_empty());
    assert_eq!(next.public_state(), PublicState::Abandoned);
    assert!(next.holds().is_empty() && next.claims().is_empty());
    assert_eq!(next.left(), state.left(), "what is left is listed for good");
    let again =
        decide(&next, &Input::Asked { verb: Verb::Abandon, by: by() }, Time(4_000_000), &[]);
    assert_eq!(again.unwrap_err().reason, Reason::WorkflowEnded);
}

#[test]
fn what_was_undone_is_not_listed_where_all_is_known() {
    let mut sim = running();
    sim.fail("a", OperationKind::Apply, FailureClass::Permanent);
    sim.revert("a");
    let before_the_end = sim.records.pop().unwrap().seq - 1;
    let quarantine = Quarantine::default();
    let id = WorkflowId::from("w1");
    let state = Workflow::salvage(&id, &sim.records, before_the_end, quarantine);
    assert_eq!((state.public_state(), left(&state)), (PublicState::Quarantined, Vec::new()));
}
