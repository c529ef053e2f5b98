//! The way back.

use causeway_engine::event::{End, Undone, Verdict};
use causeway_engine::input::{OperationKind, StepOutcome, Verb};
use causeway_engine::{FailureClass, LostCall, PublicState};
use serde_json::json;

use crate::sim::{LIMITS, Sim, action, check, with};

/// a <- b <- c, all carried out, then the check fails.
fn three_done_and_failed() -> Sim {
    let mut sim = Sim::start(vec![
        action("a", &[]),
        action("b", &["a"]),
        action("c", &["b"]),
        check("d", &["c"]),
    ]);
    for step in ["a", "b", "c"] {
        sim.carry_out(step);
    }
    sim.fail("d", OperationKind::Check, FailureClass::Permanent);
    sim
}

#[test]
fn undo_runs_in_reverse_dependency_order() {
    let mut sim = three_done_and_failed();
    for step in ["c", "b", "a"] {
        assert_eq!(sim.under_way(), [(step.to_owned(), OperationKind::Revert)]);
        sim.revert(step);
    }
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn order_holds_across_a_check_between_two_actions() {
    let mut sim = Sim::start(vec![
        action("a", &[]),
        check("b", &["a"]),
        action("c", &["b"]),
        check("d", &["c"]),
    ]);
    sim.carry_out("a");
    sim.pass("b");
    sim.carry_out("c");
    sim.fail("d", OperationKind::Check, FailureClass::Permanent);
    assert_eq!(sim.under_way(), [("c".to_owned(), OperationKind::Revert)]);
}

#[test]
fn independent_branches_are_undone_in_parallel() {
    let mut sim = Sim::start(vec![action("a", &[]), action("b", &[]), check("c", &["a", "b"])]);
    sim.carry_out("a");
    sim.carry_out("b");
    sim.fail("c", OperationKind::Check, FailureClass::Permanent);
    assert_eq!(sim.under_way().len(), 2);
}

#[test]
fn the_failed_step_is_undone_too() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Permanent);
    sim.answer("a", OperationKind::Revert, StepOutcome::Reverted(Undone::NothingThere));
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn a_turn_lets_a_call_in_flight_come_to_a_known_outcome_first() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.ask(Verb::Cancel).unwrap();
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Apply)], "its undo waits");
    sim.answer(
        "a",
        OperationKind::Apply,
        StepOutcome::Applied { output: json!({}), confirmed: None },
    );
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Cancelled);
}

#[test]
fn the_undo_of_a_lost_call_waits_until_it_can_no_longer_land() {
    let mut sim = Sim::start(vec![action("a", &[])]);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Unknown);
    sim.ask(Verb::Cancel).unwrap();
    let done = StepOutcome::Resolved {
        resolution: causeway_engine::event::Resolution::Done,
        output: json!({}),
    };
    sim.answer("a", OperationKind::Resolve, done);
    assert!(sim.under_way().is_empty());
    sim.pass_time(LIMITS.attempt_ms + LIMITS.settle_ms);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Revert)]);
}

#[test]
fn a_conditional_call_needs_no_waiting() {
    let mut sim =
        Sim::start(vec![with(action("a", &[]), |spec| spec.lost_call = LostCall::MustFail)]);
    sim.observe("a", Verdict::Change);
    sim.fail("a", OperationKind::Apply, FailureClass::Unknown);
    sim.ask(Verb::Cancel).unwrap();
    let done = StepOutcome::Resolved {
        resolution: causeway_engine::event::Resolution::Done,
        output: json!({}),
    };
    sim.answer("a", OperationKind::Resolve, done);
    assert_eq!(sim.under_way(), [("a".to_owned(), OperationKind::Revert)]);
}

#[test]
fn what_is_kept_in_use_keeps_all_that_it_stands_on() {
    let mut sim = three_done_and_failed();
    let kept = Undone::Kept { reason: "in_use".to_owned(), in_use: true };
    sim.answer("c", OperationKind::Revert, StepOutcome::Reverted(kept));
    assert_eq!(
        sim.undone("a"),
        Some(Undone::Kept { reason: "needed_by c".to_owned(), in_use: true })
    );
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn a_stuck_undo_makes_its_prerequisites_wait_and_all_others_go_on() {
    let mut sim = Sim::start(vec![
        action("a", &[]),
        action("b", &["a"]),
        action("x", &[]),
        check("c", &["b", "x"]),
    ]);
    for step in ["a", "b", "x"] {
        sim.now = sim.now.plus_ms(1);
        if step == "b" {
            sim.carry_out("b");
        } else {
            sim.carry_out(step);
        }
    }
    sim.fail("c", OperationKind::Check, FailureClass::Permanent);
    sim.fail("b", OperationKind::Revert, FailureClass::Permanent);
    assert_eq!(sim.public(), PublicState::Stuck);
    sim.revert("x");
    assert!(sim.under_way().is_empty());
    sim.ask(Verb::Retry).unwrap();
    sim.revert("b");
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn an_undo_never_gives_up_silently() {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    sim.carry_out("a");
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    sim.fail("a", OperationKind::Revert, FailureClass::Retryable);
    sim.pass_time(LIMITS.undo_give_up_ms);
    sim.fail("a", OperationKind::Revert, FailureClass::Retryable);
    assert_eq!(sim.public(), PublicState::Stuck);
}

#[test]
fn a_crash_while_undoing_repeats_the_undo_once_the_lost_call_can_no_longer_land() {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    sim.carry_out("a");
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    sim.crash();
    assert!(sim.under_way().is_empty());
    sim.pass_time(LIMITS.attempt_ms + LIMITS.settle_ms);
    sim.revert("a");
    assert_eq!(sim.public(), PublicState::Compensated);
}

/// user <- key <- secret in one group; grant stands on user.
fn group() -> Sim {
    let grouped = |spec| with(spec, |spec| spec.undo_group = Some("identity".to_owned()));
    let steps = vec![
        grouped(action("user", &[])),
        action("grant", &["user"]),
        grouped(action("key", &["user"])),
        grouped(action("secret", &["key"])),
        check("last", &["secret", "grant"]),
    ];
    let mut sim = Sim::start(steps);
    for step in ["user", "grant", "key", "secret"] {
        sim.carry_out(step);
    }
    sim.fail("last", OperationKind::Check, FailureClass::Permanent);
    sim
}

#[test]
fn a_group_is_decided_once_all_outside_it_is_undone() {
    let mut sim = group();
    assert_eq!(sim.under_way(), [("grant".to_owned(), OperationKind::Revert)]);
    sim.revert("grant");
    assert_eq!(sim.under_way(), [("secret".to_owned(), OperationKind::Decide)]);
    sim.answer(
        "secret",
        OperationKind::Decide,
        StepOutcome::Decided { keep: None, evidence: json!({}) },
    );
    for step in ["secret", "key", "user"] {
        sim.revert(step);
    }
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn a_group_that_is_kept_is_kept_whole() {
    let mut sim = group();
    sim.revert("grant");
    let keep = Some("shared".to_owned());
    sim.answer("secret", OperationKind::Decide, StepOutcome::Decided { keep, evidence: json!({}) });
    assert!(matches!(sim.undone("user"), Some(Undone::Kept { .. })));
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn a_group_holds_all_its_keys_from_its_decision_to_its_end() {
    let grouped = |name: &str, after: &[&str]| {
        with(action(name, after), |spec| {
            spec.undo_group = Some("identity".to_owned());
            spec.keys = vec![format!("key/{name}").as_str().into()];
        })
    };
    let mut sim = Sim::start(vec![
        grouped("user", &[]),
        grouped("secret", &["user"]),
        check("last", &["secret"]),
    ]);
    sim.carry_out("user");
    sim.carry_out("secret");
    sim.fail("last", OperationKind::Check, FailureClass::Permanent);
    let held = |sim: &Sim| sim.state.holds().iter().filter(|(_, step)| step.is_some()).count();
    assert_eq!(held(&sim), 2, "while it is being decided");
    sim.answer(
        "secret",
        OperationKind::Decide,
        StepOutcome::Decided { keep: None, evidence: json!({}) },
    );
    sim.revert("secret");
    assert_eq!(held(&sim), 2, "until its last member is undone");
    sim.revert("user");
    assert_eq!(held(&sim), 0);
}

#[test]
fn an_action_marked_finally_is_undone_at_a_good_end() {
    let mut sim = Sim::start(vec![
        with(action("lock", &[]), |spec| spec.finally = true),
        check("b", &["lock"]),
    ]);
    sim.carry_out("lock");
    sim.pass("b");
    assert_eq!(sim.public(), PublicState::Running);
    sim.revert("lock");
    assert_eq!(sim.public(), PublicState::Succeeded);
}

#[test]
fn a_skipped_undo_that_left_something_ends_abandoned_and_lists_it() {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    sim.carry_out("a");
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    sim.fail("a", OperationKind::Revert, FailureClass::Permanent);
    sim.ask(Verb::Skip { step: "a".into() }).unwrap();
    sim.answer("a", OperationKind::VerifyGone, StepOutcome::Gone(Some(false)));
    assert_eq!(sim.state.end, Some(End::Abandoned));
}

#[test]
fn a_skipped_undo_that_is_gone_ends_clean() {
    let mut sim = Sim::start(vec![action("a", &[]), check("b", &["a"])]);
    sim.carry_out("a");
    sim.fail("b", OperationKind::Check, FailureClass::Permanent);
    sim.fail("a", OperationKind::Revert, FailureClass::Permanent);
    sim.ask(Verb::Skip { step: "a".into() }).unwrap();
    sim.answer("a", OperationKind::VerifyGone, StepOutcome::Gone(Some(true)));
    assert_eq!(sim.public(), PublicState::Compensated);
}

#[test]
fn a_group_with_an_outside_step_between_its_members_is_no_graph() {
    let grouped = |spec| with(spec, |spec| spec.undo_group = Some("g".to_owned()));
    let steps = [grouped(action("a", &[])), action("b", &["a"]), grouped(action("c", &["b"]))];
    let error = causeway_engine::definition::validate(&steps).unwrap_err();
    assert_eq!(error.to_string(), "step b stands between members of the undo group g");
}

#[test]
fn a_call_that_was_resolved_holds_no_key_while_others_are_undone_before_it() {
    let keyed = |spec| with(spec, |spec| spec.keys = vec!["user".into()]);
    let grouped = |spec| with(spec, |spec| spec.undo_group = Some("g".to_owned()));
    let mut sim = Sim::start(vec![
        grouped(keyed(action("user", &[]))),
        keyed(action("attach", &["user"])),
        grouped(keyed(action("key", &["user"]))),
    ]);
    sim.carry_out("user");
    sim.carry_out("attach");
    sim.observe("key", Verdict::Change);
    sim.fail("key", OperationKind::Apply, FailureClass::Unknown);
    sim.ask(Verb::Cancel).unwrap();
    let holds = |sim: &Sim, step: &str| {
        sim.state.holds().iter().any(|(_, holder)| *holder == Some(step.into()))
    };
    assert!(holds(&sim, "key"), "its call may still land");
    let resolution = causeway_engine::event::Resolution::Partial;
    let resolved = StepOutcome::Resolved { resolution, output: json!(null) };
    sim.answer("key", OperationKind::Resolve, resolved);
    // The group waits for `attach`, whose undo needs the key.
    assert!(holds(&sim, "attach") && !holds(&sim, "key"), "{:?}", sim.state.holds());
}
