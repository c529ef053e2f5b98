//! Teardowns: the build's way back, taken by another workflow.

use causeway_engine::event::{Claim, Event, Origin, Started, Undone, Verdict};
use causeway_engine::input::{OperationKind, Reason, Refusal, StepOutcome, Verb};
use causeway_engine::state::UndoPhase;
use causeway_engine::teardown::{Inherited, Teardown};
use causeway_engine::{Failure, FailureClass, Input, PublicState, Record, StepSpec};
use serde_json::{Value, json};

use crate::sim::{Sim, action, check};

fn inherited(step: &str, touched: bool) -> Inherited {
    Inherited {
        step: step.into(),
        touched,
        before: json!({ "was": step }),
        verdict: touched.then_some(Verdict::Change),
        output: json!({ "made": step }),
        effects: Vec::new(),
        claim: None,
        settles_at: Default::default(),
    }
}

/// Not begun yet, with what the build left.
fn unstarted(steps: Vec<StepSpec>, left: Vec<Inherited>) -> Sim {
    let mut sim = Sim::unstarted(steps, Default::default());
    let Event::Started(started) = &sim.records[0].event else { panic!("no start") };
    let teardown = Teardown { builder: "w0".into(), record: 1, forget: false, steps: left };
    let started = Started { teardown: Some(Box::new(teardown)), ..(**started).clone() };
    let first = Record { event: Event::Started(Box::new(started)), ..sim.records[0].clone() };
    sim.state = causeway_engine::apply::replay([&first]).unwrap();
    sim.records = vec![first];
    sim
}

/// check <- a <- b, all of them done by the build.
fn built() -> Sim {
    let steps = vec![check("check", &[]), action("a", &["check"]), action("b", &["a"])];
    let left = vec![inherited("check", false), inherited("a", true), inherited("b", true)];
    unstarted(steps, left)
}

fn begun() -> Sim {
    let mut sim = built();
    sim.feed(Input::Begin).unwrap();
    sim
}

#[test]
fn it_goes_the_builds_way_back_and_succeeds() {
    let mut sim = begun();
    assert_eq!(sim.public(), PublicState::Running);
    assert_eq!(sim.state.acts_as().as_str(), "w0", "markers and claims carry the builder's id");
    for step in ["b", "a"] {
        assert_eq!(sim.under_way(), [(step.to_owned(), OperationKind::Revert)]);
        sim.revert(step);
    }
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn its_steps_see_what_the_build_left() {
    let sim = begun();
    let step = sim.state.step(&"a".into()).unwrap();
    assert_eq!((&step.before, &step.output), (&json!({"was": "a"}), &json!({"made": "a"})));
    assert_eq!(sim.state.outputs().len(), 3, "the checks' outputs pin account and cluster");
}

#[test]
fn what_the_build_never_touched_stays_untouched() {
    let left = vec![
        inherited("a", true),
        Inherited { verdict: Some(Verdict::Adopted), ..inherited("b", false) },
    ];
    let steps = vec![action("a", &[]), action("b", &["a"]), action("never-begun", &["b"])];
    let mut sim = unstarted(steps, left);
    sim.feed(Input::Begin).unwrap();
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Revert)]);
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn one_with_nothing_to_undo_succeeds_at_once() {
    let mut sim = unstarted(vec![action("a", &[])], vec![inherited("a", false)]);
    sim.feed(Input::Begin).unwrap();
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn it_can_be_cancelled_while_queued_and_undoes_nothing() {
    let mut sim = built();
    let refusal = Refusal { step: None, key: "cluster/c1".into(), behind: "w9".into() };
    sim.feed_refused(Input::Begin, &[refusal]).unwrap();
    assert_eq!(sim.public(), PublicState::Queued);
    sim.ask(Verb::Cancel).unwrap();
    assert_eq!((sim.public(), sim.under_way().len()), (PublicState::Cancelled, 0));
}

#[test]
fn it_can_be_cancelled_until_its_first_undo_and_not_after() {
    let mut sim = built();
    sim.ask(Verb::Pause).unwrap();
    sim.feed(Input::Begin).unwrap();
    sim.ask(Verb::Cancel).unwrap();
    assert_eq!(sim.public(), PublicState::Cancelled);

    let mut sim = begun();
    let refused = sim.ask(Verb::Cancel).unwrap_err();
    assert_eq!(refused.reason, Reason::PastPivot);
    sim.revert("b");
    assert_eq!(sim.ask(Verb::Cancel).unwrap_err().reason, Reason::PastPivot);
}

#[test]
fn one_that_is_refused_at_admission_ends_rejected_and_undoes_nothing() {
    let mut sim = built();
    sim.feed(Input::Reject(Failure::permanent("the record is another").with_code("X"))).unwrap();
    assert_eq!((sim.public(), sim.under_way().len()), (PublicState::Rejected, 0));
    assert_eq!(sim.state.failure().unwrap().1.code.as_deref(), Some("X"));
}

#[test]
fn it_waits_for_help_where_an_undo_fails_and_goes_on_by_retry() {
    let mut sim = begun();
    sim.fail("b", OperationKind::Revert, FailureClass::Permanent);
    assert_eq!(sim.public(), PublicState::Stuck);
    sim.ask(Verb::Retry).unwrap();
    sim.revert("b");
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn what_is_skipped_and_still_there_remains_for_the_next_one() {
    let mut sim = begun();
    sim.fail("b", OperationKind::Revert, FailureClass::Permanent);
    sim.ask(Verb::Skip { step: "b".into() }).unwrap();
    sim.answer("b", OperationKind::VerifyGone, StepOutcome::Gone(Some(false)));
    assert_eq!(sim.public(), PublicState::Abandoned);
    let remains = |name: &str| sim.state.step(&name.into()).unwrap().remains();
    assert!(remains("b") && remains("a"), "a is kept as b needs it");
}

#[test]
fn what_others_changed_is_kept_and_does_not_remain_ours() {
    let mut sim = begun();
    let kept = Undone::Kept { reason: "changed_by_other".to_owned(), in_use: false };
    sim.answer("b", OperationKind::Revert, StepOutcome::Reverted(kept));
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Succeeded);
    assert!(!sim.state.step(&"b".into()).unwrap().remains());
}

#[test]
fn claims_are_given_up_one_by_one_and_kept_where_it_ends_early() {
    let claim = Claim { key: "policy".into(), origin: Origin::Created, before: Value::Null };
    let claiming = || {
        let left = vec![
            Inherited { claim: Some(claim.clone()), ..inherited("a", true) },
            inherited("b", true),
        ];
        unstarted(vec![action("a", &[]), action("b", &["a"])], left)
    };
    let mut sim = claiming();
    sim.ask(Verb::Cancel).unwrap();
    assert_eq!(sim.state.claims(), [&claim], "the cluster's record still relies on it");

    let mut sim = claiming();
    sim.feed(Input::Begin).unwrap();
    sim.revert("b");
    assert_eq!(sim.state.claims().len(), 1);
    let in_use = Undone::Kept { reason: "in_use".to_owned(), in_use: true };
    let mut kept = claiming();
    kept.feed(Input::Begin).unwrap();
    kept.answer("b", OperationKind::Revert, StepOutcome::Reverted(in_use));
    assert_eq!(kept.state.claims().len(), 1, "what stays in use stays claimed");
    sim.revert("a");
    assert!(sim.state.claims().is_empty());
}

#[test]
fn it_survives_a_crash_in_the_middle_of_an_undo() {
    let mut sim = begun();
    sim.revert("b");
    sim.crash();
    sim.pass_time(1_000_000);
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn one_that_was_paused_in_the_queue_and_given_up_has_touched_nothing() {
    let mut sim = built();
    let refusal = Refusal { step: None, key: "cluster/c1".into(), behind: "w9".into() };
    sim.feed_refused(Input::Begin, &[refusal]).unwrap();
    sim.ask(Verb::Pause).unwrap();
    assert_eq!(sim.public(), PublicState::Paused);
    sim.ask(Verb::Abandon).unwrap();
    assert_eq!(sim.public(), PublicState::Cancelled, "the record is that of whoever has the lock");
}

#[test]
fn a_lost_undo_is_waited_for_by_whoever_comes_after_one_that_was_given_up() {
    let mut sim = begun();
    sim.fail("b", OperationKind::Revert, FailureClass::Unknown);
    let UndoPhase::Waiting { until, .. } = sim.state.step(&"b".into()).unwrap().undo else {
        panic!("it does not wait")
    };
    sim.ask(Verb::Abandon).unwrap();
    assert_eq!(sim.public(), PublicState::Abandoned);
    assert_eq!(sim.state.step(&"b".into()).unwrap().last_call_settles_at(), until);
}
