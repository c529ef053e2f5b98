//! The table of states and verbs, cell by cell.

use causeway_engine::event::{OnFailure, PlanBinding, RunOptions, Verdict};
use causeway_engine::input::{OperationKind, StepOutcome, Verb};
use causeway_engine::{Event, FailureClass, Input, PublicState, StepKind};
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
        Err(rejection) => Err(rejection.reason.as_str()),
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
    assert_eq!(cell(queued(), skip()), Err("WRONG_STATE"));
    assert_eq!(cell(running(), skip()), Err("STEP_NOT_SKIPPABLE"));
    assert_eq!(cell(compensating(), skip()), Err("WRONG_STATE"));
    assert_eq!(cell(stuck(), skip()), Ok(PublicState::Stuck));
    assert_eq!(cell(ended(), skip()), Err("WORKFLOW_ENDED"));
    assert_eq!(cell(stuck(), Verb::Skip { step: "nosuch".into() }), Err("STEP_NOT_FOUND"));
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
    let approve = || Verb::Approve { step: "g".into(), digest: String::new() };
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
fn an_approval_is_bound_to_the_plan_that_the_workflow_is_held_to() {
    let approve = |digest: &str| Verb::Approve { step: "g".into(), digest: digest.to_owned() };
    assert_eq!(cell(awaiting(), approve("plan-1")), Err("PLAN_STALE"));
    let held = || {
        let mut sim = awaiting();
        let plan = PlanBinding { digest: "plan-1".to_owned(), ..PlanBinding::default() };
        let Event::Started(started) = &mut sim.records[0].event else { panic!("no start") };
        started.plan = Some(plan.clone());
        sim.state.plan = Some(std::sync::Arc::new(plan));
        sim
    };
    for other in ["", "plan-2"] {
        assert_eq!(cell(held(), approve(other)), Err("PLAN_STALE"), "{other}");
    }
    assert_eq!(cell(held(), approve("plan-1")), Ok(PublicState::Running));
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

#[test]
fn only_what_has_ended_may_be_deleted() {
    for sim in [queued(), running(), awaiting(), paused(), compensating(), stuck()] {
        let refused = sim.state.may_be_deleted().unwrap_err();
        assert_eq!(refused.reason.as_str(), "WORKFLOW_NOT_ENDED");
    }
    ended().state.may_be_deleted().unwrap();
}

#[test]
fn what_waits_names_the_commands_that_move_it_on() {
    let next = |sim: &Sim| {
        let waiting = sim.state.waiting().unwrap();
        (waiting.reason, waiting.next_commands.join("; "))
    };
    let of = |reason: &str, commands: &str| (reason.to_owned(), commands.to_owned());
    assert_eq!(next(&queued()), of("QUEUED_BEHIND", "describe w0; cancel w1"));
    assert_eq!(next(&awaiting()), of("APPROVAL", "approve w1 g; deny w1 g --reason WHY"));
    assert_eq!(next(&paused()), of("OPERATOR", "resume w1; cancel w1"));
    let retry = "retry w1; skip w1 a --reason WHY; abandon w1 --reason WHY";
    assert_eq!(next(&stuck()), of("UNDO_FAILED", retry));
    let mut sim = compensating();
    sim.ask(Verb::Pause).unwrap();
    assert_eq!(next(&sim), of("OPERATOR", "resume w1; abandon w1 --reason WHY"));
    let options = RunOptions { on_failure: OnFailure::Hold, ..RunOptions::default() };
    let mut sim = Sim::start_with(vec![action("a[b]", &[])], options);
    sim.observe("a[b]", Verdict::Change);
    sim.fail("a[b]", OperationKind::Apply, FailureClass::Permanent);
    assert_eq!(next(&sim), of("HELD", "retry w1; skip w1 'a[b]' --reason WHY; cancel w1"));
    assert_eq!(sim.state.left().len(), 1, "what it may have made so far");
}

#[test]
fn a_held_check_can_not_be_skipped_and_past_a_pivot_nothing_is_cancelled() {
    let mut sim =
        Sim::start(vec![with(action("a", &[]), |spec| spec.pivot = true), check("b", &["a"])]);
    sim.carry_out("a");
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    let next = sim.state.waiting().unwrap().next_commands;
    assert_eq!(next, ["retry w1", "abandon w1 --reason WHY"]);
    assert_eq!(cell(sim, Verb::Skip { step: "b".into() }), Err("STEP_NOT_SKIPPABLE"));
}

#[test]
fn a_skip_whose_reading_was_lost_in_a_crash_is_read_again() {
    let mut sim = stuck();
    sim.ask(Verb::Skip { step: "a".into() }).unwrap();
    sim.crash();
    sim.answer("a", OperationKind::VerifyGone, StepOutcome::Gone(Some(true)));
    assert_eq!(sim.public(), PublicState::Compensated);
    let mut sim = stuck();
    sim.crash();
    assert_eq!(sim.under_way(), [], "nobody asked");
}

#[test]
fn a_skip_of_what_is_still_there_or_unreadable_ends_as_abandoned_with_it_listed() {
    for gone in [Some(false), None] {
        let mut sim = stuck();
        sim.ask(Verb::Skip { step: "a".into() }).unwrap();
        sim.answer("a", OperationKind::VerifyGone, StepOutcome::Gone(gone));
        assert_eq!(sim.public(), PublicState::Abandoned);
    }
}
