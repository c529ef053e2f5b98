//! The way forward.

use causeway_engine::event::{Event, OnFailure, Resolution, RunOptions, Verdict};
use causeway_engine::input::{OperationKind, Refusal, StepOutcome, Verb};
use causeway_engine::state::Phase;
use causeway_engine::{Failure, FailureClass, Input, LostCall, PublicState, StepKind};
use serde_json::{Value, json};

use crate::sim::{LIMITS, Sim, action, check, step, with};

fn kinds(events: &[Event]) -> Vec<String> {
    let name =
        |event: &Event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned();
    events.iter().map(name).collect()
}

#[test]
fn a_check_that_passes_shares_its_record_with_the_next_start() {
    let mut sim = Sim::start(vec![check("a", &[]), check("b", &["a"])]);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Check)]);
    assert_eq!(kinds(&sim.pass("a")), ["check_passed", "step_started"]);
    assert_eq!(kinds(&sim.pass("b")), ["check_passed", "ended"]);
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn the_before_image_is_written_together_with_applying_and_before_the_call() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    assert_eq!(kinds(&sim.observe("a", Verdict::Change)), ["observed", "applying"]);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Apply)]);
    assert_eq!(sim.state.steps[0].before, json!({ "was": "a" }));
}

#[test]
fn what_is_adopted_is_never_applied_and_never_undone() {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    assert_eq!(
        kinds(&sim.observe("a", Verdict::Adopted)),
        ["observed", "confirmed", "step_started"]
    );
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    assert_eq!(sim.public(), PublicState::Rejected);
    assert!(sim.under_way().is_empty());
}

#[test]
fn what_is_ours_is_confirmed_and_undone() {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    sim.observe("a", Verdict::Ours);
    sim.answer("a", OperationKind::Confirm, StepOutcome::Confirmed { output: json!({}) });
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn all_checks_that_can_run_end_before_a_failed_one_turns_the_workflow() {
    let mut sim = Sim::start(vec![check("a", &[]), check("b", &[]), action("c", &["b"])]);
    sim.fail("a", OperationKind::Check, FailureClass::Permanent);
    assert_eq!(sim.public(), PublicState::Running);
    sim.pass("b");
    assert!(sim.under_way().is_empty(), "no action starts while a check has failed");
    assert_eq!(sim.public(), PublicState::Rejected);
}

#[test]
fn a_passing_failure_is_tried_again_and_given_up_in_the_end() {
    let mut sim = Sim::start(vec![check("a", &[])]);
    sim.fail("a", OperationKind::Check, FailureClass::Retryable);
    assert!(matches!(sim.state.steps[0].phase, Phase::RetryWait { .. }));
    sim.pass_time(100);
    sim.now = sim.now.plus_ms(LIMITS.give_up_ms);
    sim.fail("a", OperationKind::Check, FailureClass::Retryable);
    assert_eq!(sim.public(), PublicState::Rejected);
}

#[test]
fn a_throttled_call_waits_as_long_as_the_answer_says() {
    let mut sim = Sim::start(vec![check("a", &[])]);
    let failure = Failure {
        retry_after_ms: Some(2_500),
        ..Failure::new(FailureClass::Throttled, "slow down")
    };
    sim.answer("a", OperationKind::Check, StepOutcome::Failed(failure));
    assert_eq!(sim.state.next_due(sim.now), Some(sim.now.plus_ms(2_500)));
}

#[test]
fn a_lost_answer_is_resolved_by_reading_before_anything_else() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    assert_eq!(kinds(&sim.fail("a", OperationKind::Apply, FailureClass::Unknown)), ["unresolved"]);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Resolve)]);
    let done =
        StepOutcome::Resolved { resolution: Resolution::Done, output: json!({ "found": 1 }) };
    sim.answer("a", OperationKind::Resolve, done);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Confirm)]);
}

#[test]
fn absence_proves_nothing_until_the_lost_call_can_no_longer_land() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Unknown);
    let nothing =
        || StepOutcome::Resolved { resolution: Resolution::NoEffect, output: Value::Null };
    sim.answer("a", OperationKind::Resolve, nothing());
    assert!(sim.state.steps[0].touched, "it may still land");
    assert!(sim.under_way().is_empty());
    sim.pass_time(LIMITS.attempt_ms + LIMITS.settle_ms);
    sim.answer("a", OperationKind::Resolve, nothing());
    assert_eq!(
        sim.state.steps[0].generation, 1,
        "the token changes once the call is known to have had no effect"
    );
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Observe)]);
}

#[test]
fn a_call_that_is_idempotent_by_name_is_repeated_at_once_with_the_same_token() {
    let mut sim = Sim::start(vec![with(action("a", &[]), |spec| {
        spec.lost_call = LostCall::IdempotentByName
    })]);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Unknown);
    sim.answer(
        "a",
        OperationKind::Resolve,
        StepOutcome::Resolved { resolution: Resolution::NoEffect, output: Value::Null },
    );
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Apply)]);
    assert_eq!(sim.state.steps[0].generation, 0);
}

#[test]
fn what_its_confirmation_finds_amiss_is_applied_again_and_not_for_ever() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    let applied = || StepOutcome::Applied { output: json!({ "made": 1 }), confirmed: None };
    sim.answer("a", OperationKind::Apply, applied());
    let events = sim.fail("a", OperationKind::Confirm, FailureClass::Stale);
    assert_eq!(kinds(&events), ["resolved", "retry_wait"]);
    assert!(!sim.state.steps[0].in_doubt(), "nothing was called");
    assert_eq!(kinds(&sim.pass_time(100)), ["applying"]);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Apply)]);
    assert_eq!(sim.state.steps[0].generation, 0, "the token stays");
    assert_eq!(sim.state.steps[0].before, json!({ "was": "a" }), "the before-image stays");
    // Whatever is applied how often: the time that it has to come to hold began with the first.
    sim.now = sim.now.plus_ms(LIMITS.confirm_ms - 200);
    sim.answer("a", OperationKind::Apply, applied());
    sim.now = sim.now.plus_ms(100);
    sim.fail("a", OperationKind::Confirm, FailureClass::Stale);
    assert!(
        matches!(&sim.state.steps[0].phase, Phase::Failed { failure } if failure.code.as_deref() == Some("CONFIRM_DEADLINE"))
    );
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn a_turn_between_a_confirmation_and_the_next_attempt_undoes_the_step() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    let applied = StepOutcome::Applied { output: json!({}), confirmed: None };
    sim.answer("a", OperationKind::Apply, applied);
    sim.fail("a", OperationKind::Confirm, FailureClass::Stale);
    sim.ask(Verb::Cancel).unwrap();
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Revert)]);
}

#[test]
fn a_change_that_is_held_for_not_holding_has_all_its_time_again_when_a_person_asks() {
    let options = RunOptions { on_failure: OnFailure::Hold, ..RunOptions::default() };
    let mut sim = Sim::start_with(vec![action("a", &[])], options);
    sim.observe("a", Verdict::Change);
    let applied = StepOutcome::Applied { output: json!({}), confirmed: None };
    sim.answer("a", OperationKind::Apply, applied);
    let not_yet = |sim: &Sim| StepOutcome::NotYet {
        until: sim.now.plus_ms(50),
        message: format!("look at {:?}", sim.now),
    };
    sim.now = sim.now.plus_ms(LIMITS.confirm_ms);
    sim.answer("a", OperationKind::Confirm, not_yet(&sim));
    assert!(matches!(sim.state.steps[0].phase, Phase::Held { .. }));
    sim.ask(Verb::Retry).unwrap();
    sim.answer("a", OperationKind::Confirm, not_yet(&sim));
    assert!(matches!(sim.state.steps[0].phase, Phase::Confirming { .. }), "one look is not all");
}

#[test]
fn a_stale_first_attempt_observes_anew() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Stale);
    assert!(!sim.state.steps[0].touched);
    sim.pass_time(100);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Observe)]);
}

#[test]
fn a_crash_while_applying_leaves_the_outcome_unknown() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    assert_eq!(kinds(&sim.crash()), ["unresolved"]);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Resolve)]);
}

#[test]
fn polling_with_the_same_words_writes_nothing() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.answer(
        "a",
        OperationKind::Apply,
        StepOutcome::Applied { output: json!({}), confirmed: None },
    );
    let later = |sim: &Sim| StepOutcome::NotYet {
        until: sim.now.plus_ms(500),
        message: "1 of 3".to_owned(),
    };
    let first = later(&sim);
    assert_eq!(kinds(&sim.answer("a", OperationKind::Confirm, first)), ["confirming"]);
    sim.pass_time(500);
    let second = later(&sim);
    assert!(sim.answer("a", OperationKind::Confirm, second).is_empty());
}

#[test]
fn a_confirm_that_takes_too_long_fails_with_what_it_waited_for() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.answer(
        "a",
        OperationKind::Apply,
        StepOutcome::Applied { output: json!({}), confirmed: None },
    );
    sim.now = sim.now.plus_ms(LIMITS.confirm_ms);
    let until = sim.now.plus_ms(500);
    sim.answer(
        "a",
        OperationKind::Confirm,
        StepOutcome::NotYet { until, message: "rollout 1 of 3".to_owned() },
    );
    assert!(sim.state.failure().unwrap().1.message.contains("rollout 1 of 3"));
    assert_eq!(sim.public(), PublicState::Compensating);
}

#[test]
fn a_refused_key_blocks_only_that_step_and_says_for_whom_it_waits() {
    let mut sim = Sim::unstarted(vec![action("a", &[]), check("b", &[])], RunOptions::default());
    let refusal = Refusal { step: Some("a".into()), key: "k".into(), behind: "w0".into() };
    sim.feed_refused(Input::Begin, &[refusal]).unwrap();
    assert_eq!(sim.under_way(), [("b".to_owned(), OperationKind::Check)]);
    assert!(sim.state.wants().contains(&"k".into()));
    sim.feed(Input::Tick).unwrap();
    assert!(sim.under_way().contains(&("a".to_owned(), OperationKind::Observe)));
}

#[test]
fn a_refused_lock_queues_the_workflow_and_its_patience_can_end() {
    let options = RunOptions { queue_timeout_ms: Some(1_000), ..RunOptions::default() };
    let mut sim = Sim::unstarted(vec![check("a", &[])], options);
    let refusal = || Refusal { step: None, key: "cluster/c1".into(), behind: "w0".into() };
    sim.feed_refused(Input::Begin, &[refusal()]).unwrap();
    assert_eq!(sim.public(), PublicState::Queued);
    assert_eq!(sim.state.waiting().unwrap().reason, "QUEUED_BEHIND");
    sim.now = sim.now.plus_ms(1_000);
    sim.feed_refused(Input::Tick, &[refusal()]).unwrap();
    assert_eq!(sim.public(), PublicState::Cancelled);
}

#[test]
fn the_forward_clock_stands_still_while_paused() {
    let options = RunOptions { timeout_ms: Some(1_000), ..RunOptions::default() };
    let mut sim = Sim::start_with(vec![check("a", &[])], options);
    sim.pass_time(600);
    sim.ask(Verb::Pause).unwrap();
    sim.pass_time(10_000);
    sim.ask(Verb::Resume).unwrap();
    sim.pass_time(300);
    assert_eq!(sim.public(), PublicState::Running);
    sim.pass_time(200);
    assert_eq!(sim.public(), PublicState::Rejected, "its time was up, and nothing was touched");
}

#[test]
fn hold_keeps_a_failed_step_until_a_retry() {
    let options = RunOptions { on_failure: OnFailure::Hold, ..RunOptions::default() };
    let mut sim = Sim::start_with(vec![action("a", &[])], options);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Permanent);
    assert_eq!(sim.public(), PublicState::Paused);
    assert_eq!(sim.ask(Verb::Resume).unwrap_err().reason.as_str(), "USE_RETRY");
    sim.ask(Verb::Retry).unwrap();
    sim.answer(
        "a",
        OperationKind::Apply,
        StepOutcome::Applied { output: json!({}), confirmed: Some(json!({})) },
    );
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn a_gate_that_was_not_asked_for_opens_the_way_at_once() {
    let mut sim = Sim::start(vec![step("g", StepKind::Gate, &[]), check("a", &["g"])]);
    sim.pass("a");
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn a_gate_that_lapses_turns_the_workflow() {
    let options = RunOptions { gates: [("g".to_owned(), 500)].into(), ..RunOptions::default() };
    let mut sim =
        Sim::start_with(vec![step("g", StepKind::Gate, &[]), check("a", &["g"])], options);
    assert_eq!(sim.public(), PublicState::AwaitingApproval);
    sim.pass_time(500);
    assert_eq!(sim.public(), PublicState::Rejected);
}

#[test]
fn a_late_or_repeated_result_changes_nothing() {
    let mut sim = Sim::start(vec![check("a", &[]), check("b", &["a"])]);
    let operation = sim.operations[0].clone();
    sim.pass("a");
    let outcome = StepOutcome::Failed(Failure::permanent("late"));
    let retry_at = sim.now;
    assert!(sim.feed(Input::Finished { operation, outcome, retry_at }).unwrap().is_empty());
}
