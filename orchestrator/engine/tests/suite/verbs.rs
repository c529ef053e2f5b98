//! The table of states and verbs, cell by cell.

use causeway_engine::event::{OnFailure, RunOptions, Verdict};
use causeway_engine::input::{OperationKind, StepOutcome, Verb};
use causeway_engine::{FailureClass, Input, PublicState, StepKind};
use serde_json::json;

use crate::sim::{Sim, action, check, step, with};

fn queued() -> Sim {
    let mut sim = Sim::unstarted(vec![check("a", &[])], RunOptions::default());
    let refusal =
        causeway_engine::Refusal { step: None, key: "cluster/c1".into(), behind: "w0".into() };
    sim.feed_refused(Input::Begin, &[refusal]).unwrap();
    sim
}

fn running() -> Sim {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    sim.carry_out("a");
    sim
}

fn awaiting() -> Sim {
    let options = RunOptions { gates: [("g".to_owned(), 60_000)].into(), ..RunOptions::default() };
    Sim::start_with(vec![step("g", StepKind::Gate, &[]), check("b", &["g"])], options)
}

fn paused() -> Sim {
    let mut sim = running();
    sim.ask(Verb::Pause).unwrap();
    sim
}

fn compensating() -> Sim {
    let mut sim = running();
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    sim
}

fn stuck() -> Sim {
    let mut sim = compensating();
    sim.fail("a", OperationKind::Revert, FailureClass::Permanent);
    sim
}

fn ended() -> Sim {
    let mut sim = running();
    sim.pass("b");
    sim
}

/// The state after the verb, or the reason of its refusal.
fn cell(mut sim: Sim, verb: Verb) -> Result<PublicState, &'static str> {
    // No cell of the table may depend on who holds the lock now.
    match sim.ask(verb) {
        Ok(_) => Ok(sim.public()),
        Err(rejection) => Err(rejection.reason),
    }
}

#[test]
fn each_state_is_what_its_maker_says() {
    let states = [queued(), running(), awaiting(), paused(), compensating(), stuck(), ended()]
        .map(|sim| sim.public());
    use PublicState::{AwaitingApproval, Compensating, Paused, Queued, Running, Stuck, Succeeded};
    assert_eq!(states, [Queued, Running, AwaitingApproval, Paused, Compensating, Stuck, Succeeded]);
}

#[test]
fn cancel() {
    use PublicState::{Cancelled, Compensating, Stuck};
    assert_eq!(cell(queued(), Verb::Cancel), Ok(Cancelled));
    assert_eq!(cell(running(), Verb::Cancel), Ok(Compensating));
    assert_eq!(cell(awaiting(), Verb::Cancel), Ok(Cancelled));
    assert_eq!(cell(paused(), Verb::Cancel), Ok(Compensating));
    assert_eq!(cell(compensating(), Verb::Cancel), Ok(Compensating));
    assert_eq!(cell(stuck(), Verb::Cancel), Ok(Stuck));
    assert_eq!(cell(ended(), Verb::Cancel), Err("WORKFLOW_ENDED"));
}

#[test]
fn cancel_past_a_pivot_is_refused() {
    let mut sim =
        Sim::start(vec![with(action("a", &[]), |spec| spec.pivot = true), check("b", &["a"])]);
    sim.carry_out("a");
    assert_eq!(cell(sim, Verb::Cancel), Err("PAST_PIVOT"));
}

#[test]
fn a_failure_past_a_pivot_is_held_and_never_compensated() {
    let mut sim =
        Sim::start(vec![with(action("a", &[]), |spec| spec.pivot = true), check("b", &["a"])]);
    sim.carry_out("a");
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    assert_eq!(sim.public(), PublicState::Paused);
    assert_eq!(sim.state.waiting().unwrap().reason, "HELD");
}

#[test]
fn abandon() {
    use PublicState::{Abandoned, Cancelled};
    assert_eq!(cell(queued(), Verb::Abandon), Ok(Cancelled));
    assert_eq!(cell(running(), Verb::Abandon), Ok(Abandoned));
    assert_eq!(cell(awaiting(), Verb::Abandon), Ok(Abandoned));
    assert_eq!(cell(paused(), Verb::Abandon), Ok(Abandoned));
    assert_eq!(cell(stuck(), Verb::Abandon), Ok(Abandoned));
    assert_eq!(cell(ended(), Verb::Abandon), Err("WORKFLOW_ENDED"));
}

#[test]
fn abandon_waits_for_calls_in_flight() {
    let mut sim = compensating();
    sim.ask(Verb::Abandon).unwrap();
    assert_eq!(sim.public(), PublicState::Compensating);
    sim.fail("a", OperationKind::Revert, FailureClass::Retryable);
    assert_eq!(sim.public(), PublicState::Abandoned);
    assert_eq!(sim.state.left().len(), 1);
}

#[test]
fn pause() {
    use PublicState::Paused;
    assert_eq!(cell(queued(), Verb::Pause), Ok(Paused));
    assert_eq!(cell(running(), Verb::Pause), Ok(Paused));
    assert_eq!(cell(awaiting(), Verb::Pause), Ok(Paused));
    assert_eq!(cell(paused(), Verb::Pause), Ok(Paused));
    assert_eq!(cell(compensating(), Verb::Pause), Ok(Paused));
    assert_eq!(cell(stuck(), Verb::Pause), Err("USE_RETRY"));
    assert_eq!(cell(ended(), Verb::Pause), Err("WORKFLOW_ENDED"));
}

#[test]
fn resume() {
    use PublicState::{AwaitingApproval, Compensating, Running};
    assert_eq!(cell(running(), Verb::Resume), Ok(Running));
    assert_eq!(cell(awaiting(), Verb::Resume), Ok(AwaitingApproval));
    assert_eq!(cell(paused(), Verb::Resume), Ok(Running));
    assert_eq!(cell(compensating(), Verb::Resume), Ok(Compensating));
    assert_eq!(cell(stuck(), Verb::Resume), Err("USE_RETRY"));
    assert_eq!(cell(ended(), Verb::Resume), Err("WORKFLOW_ENDED"));
}

#[test]
fn a_pause_keeps_the_direction() {
    let mut sim = compensating();
    sim.ask(Verb::Pause).unwrap();
    sim.ask(Verb::Resume).unwrap();
    assert_eq!(sim.public(), PublicState::Compensating);
}

#[test]
fn retry() {
    use PublicState::{Compensating, Running};
    assert_eq!(cell(queued(), Verb::Retry), Err("NOT_STARTED"));
    assert_eq!(cell(running(), Verb::Retry), Ok(Running));
    assert_eq!(cell(stuck(), Verb::Retry), Ok(Compensating));
    assert_eq!(cell(ended(), Verb::Retry), Err("WORKFLOW_ENDED"));
}

#[test]
fn skip() {
    let skip = || Verb::Skip { step: "a".into() };
    assert_eq!(cell(queued(), skip()), Err("NOT_IN_THIS_STATE"));
    assert_eq!(cell(running(), skip()), Err("STEP_NOT_SKIPPABLE"));
    assert_eq!(cell(compensating(), skip()), Err("NOT_IN_THIS_STATE"));
    assert_eq!(cell(stuck(), skip()), Ok(PublicState::Stuck));
    assert_eq!(cell(ended(), skip()), Err("WORKFLOW_ENDED"));
    assert_eq!(cell(stuck(), Verb::Skip { step: "nosuch".into() }), Err("UNKNOWN_STEP"));
}

#[test]
fn a_skip_forward_adopts_only_what_a_fresh_look_finds_as_wanted() {
    let held = || {
        let options = RunOptions { on_failure: OnFailure::Hold, ..RunOptions::default() };
        let mut sim = Sim::start_with(vec![action("a", &[])], options);
        sim.observe("a", Verdict::Change);
        sim.fail("a", OperationKind::Apply, FailureClass::Permanent);
        sim.ask(Verb::Skip { step: "a".into() }).unwrap();
        sim
    };
    let mut sim = held();
    sim.observe("a", Verdict::Adopted);
    assert_eq!(sim.public(), PublicState::Succeeded);
    let mut sim = held();
    sim.observe("a", Verdict::Change);
    assert_eq!(sim.public(), PublicState::Paused);
}

#[test]
fn approve_and_deny() {
    let approve = || Verb::Approve { step: "g".into(), digest: "d".to_owned() };
    let deny = || Verb::Deny { step: "g".into() };
    assert_eq!(cell(awaiting(), approve()), Ok(PublicState::Running));
    assert_eq!(cell(awaiting(), deny()), Ok(PublicState::Rejected));
    for sim in [queued(), running(), compensating(), stuck()] {
        assert!(cell(sim, approve()).is_err());
    }
    assert_eq!(cell(ended(), deny()), Err("WORKFLOW_ENDED"));
    let mut sim = awaiting();
    sim.ask(approve()).unwrap();
    sim.ask(approve()).unwrap();
    sim.answer(
        "b",
        OperationKind::Check,
        StepOutcome::Passed { output: json!({}), warnings: Vec::new() },
    );
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn a_parked_workflow_goes_on_when_it_is_resumed() {
    let mut sim = running();
    let message = "the key belongs to another account".to_owned();
    sim.feed(Input::Park { reason: "CONNECTION_MOVED".to_owned(), message }).unwrap();
    assert_eq!(sim.public(), PublicState::Paused);
    assert_eq!(sim.state.waiting().unwrap().reason, "CONNECTION_MOVED");
    sim.ask(Verb::Resume).unwrap();
    assert_eq!(sim.public(), PublicState::Running);
}
