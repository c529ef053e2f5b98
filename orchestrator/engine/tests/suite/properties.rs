//! Random sagas, random outcomes, random crashes and verbs: what must hold whatever happens.

use causeway_engine::event::{Claim, End, Event, Origin, Resolution, RunOptions, Undone, Verdict};
use causeway_engine::input::{Operation, OperationKind, StepOutcome, Verb};
use causeway_engine::state::{Direction, UndoPhase};
use causeway_engine::{Failure, FailureClass, Input, LostCall, StepKind, StepSpec, Workflow};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sim::{Sim, action, by, check, step, with};

fn specs() -> impl Strategy<Value = Vec<StepSpec>> {
    let one = (0_u8..10, any::<u16>(), 0_u8..3, any::<bool>());
    prop::collection::vec(one, 1..9).prop_map(|drawn| {
        let mut specs: Vec<StepSpec> = Vec::new();
        for (index, (kind, edges, lost, grouped)) in drawn.into_iter().enumerate() {
            let name = format!("s{index}");
            let after: Vec<String> = (0..index)
                .filter(|earlier| edges & (1 << earlier) != 0)
                .map(|earlier| format!("s{earlier}"))
                .collect();
            let after: Vec<&str> = after.iter().map(String::as_str).collect();
            let lost_call = [LostCall::MayLand, LostCall::IdempotentByName, LostCall::MustFail]
                [usize::from(lost)];
            specs.push(match kind {
                0..=2 => check(&name, &after),
                3 => step(&name, StepKind::Gate, &after),
                _ => with(action(&name, &after), |spec| {
                    spec.lost_call = lost_call;
                    spec.undo_group = grouped.then(|| "group".to_owned());
                }),
            });
        }
        if causeway_engine::definition::validate(&specs).is_err() {
            specs.iter_mut().for_each(|spec| spec.undo_group = None);
        }
        specs
    })
}

/// What an operation comes to, by a drawn number; low numbers are good.
fn outcome(operation: &Operation, drawn: u32, sim: &Sim) -> StepOutcome {
    let fail = |class| StepOutcome::Failed(Failure::new(class, "drawn"));
    let not_yet = || StepOutcome::NotYet {
        until: sim.now.plus_ms(50),
        message: format!("look {}", drawn % 2),
    };
    let bad = drawn % 16;
    match (operation.kind, bad) {
        (_, 15) => fail(FailureClass::Permanent),
        (_, 14) => fail(FailureClass::Retryable),
        (OperationKind::Apply | OperationKind::Revert, 13) => fail(FailureClass::Unknown),
        (OperationKind::Apply | OperationKind::Confirm, 12) => fail(FailureClass::Stale),
        (OperationKind::Check | OperationKind::Confirm | OperationKind::Revert, 11) => not_yet(),
        (OperationKind::Revert, 10) => {
            StepOutcome::Reverted(Undone::Kept { reason: "in_use".into(), in_use: true })
        }
        (OperationKind::Decide, 10) => {
            StepOutcome::Decided { keep: Some("shared".into()), evidence: Value::Null }
        }
        (OperationKind::Resolve, 10) => {
            StepOutcome::Resolved { resolution: Resolution::Partial, output: Value::Null }
        }
        (OperationKind::Resolve, 8 | 9) => {
            StepOutcome::Resolved { resolution: Resolution::NoEffect, output: Value::Null }
        }
        (OperationKind::Observe, 8..=10) => {
            observed([Verdict::Adopted, Verdict::Ours, Verdict::Shared][(bad - 8) as usize])
        }
        (kind, _) => good(kind),
    }
}

fn observed(verdict: Verdict) -> StepOutcome {
    let claim = (verdict == Verdict::Shared).then(|| Claim {
        key: "row".into(),
        origin: Origin::Created,
        before: Value::Null,
    });
    StepOutcome::Observed {
        before: json!({}),
        verdict,
        claim,
        output: json!({}),
        warnings: Vec::new(),
    }
}

fn good(kind: OperationKind) -> StepOutcome {
    match kind {
        OperationKind::Check => StepOutcome::Passed { output: json!({}), warnings: Vec::new() },
        OperationKind::Observe => observed(Verdict::Change),
        OperationKind::Apply => StepOutcome::Applied { output: json!({}), confirmed: None },
        OperationKind::Confirm => StepOutcome::Confirmed { output: json!({}) },
        OperationKind::Resolve => {
            StepOutcome::Resolved { resolution: Resolution::Done, output: json!({}) }
        }
        OperationKind::Decide => StepOutcome::Decided { keep: None, evidence: Value::Null },
        OperationKind::Revert => StepOutcome::Reverted(Undone::Reverted),
        OperationKind::VerifyGone => StepOutcome::Gone(Some(true)),
    }
}

fn one_move(sim: &mut Sim, drawn: u32) {
    let verbs = [Verb::Cancel, Verb::Pause, Verb::Resume, Verb::Retry];
    match drawn % 64 {
        0 => drop(sim.crash()),
        1..=4 => drop(sim.ask(verbs[(drawn % 64 - 1) as usize].clone())),
        5..=12 => drop(sim.pass_time(u64::from(drawn >> 8) % 700)),
        _ if !sim.operations.is_empty() => {
            let index = (drawn >> 6) as usize % sim.operations.len();
            let operation = sim.operations.remove(index);
            let outcome = outcome(&operation, drawn >> 16, sim);
            let retry_at = sim.now.plus_ms(50);
            sim.feed(Input::Finished { operation, outcome, retry_at }).unwrap();
        }
        _ => drop(sim.pass_time(200)),
    }
}

/// A friendly world, and a person who resumes and retries: everything must come to an end.
fn heal(sim: &mut Sim) {
    for _ in 0..2_000 {
        if sim.state.is_ended() {
            return;
        }
        if let Some(operation) = sim.operations.pop() {
            let outcome = good(operation.kind);
            let retry_at = sim.now.plus_ms(50);
            sim.feed(Input::Finished { operation, outcome, retry_at }).unwrap();
            continue;
        }
        drop(sim.ask(Verb::Resume));
        drop(sim.ask(Verb::Retry));
        if sim.operations.is_empty() {
            let due = sim.state.next_due(sim.now).map_or(100, |due| due.ms_since(sim.now));
            sim.pass_time(due);
        }
    }
    panic!("it does not come to an end: {:?}\n{:#?}", sim.under_way(), sim.state);
}

/// Looks at every record in turn: order of undo, no way back to FORWARD, no undo of what is in doubt.
fn journal_is_sound(sim: &Sim) {
    let mut state: Option<Workflow> = None;
    for record in &sim.records {
        let Some(before) = state.as_mut() else {
            state = Some(causeway_engine::apply::replay([record]).unwrap());
            continue;
        };
        let undo = before.direction == Direction::Undo;
        match &record.event {
            Event::StepStarted { step, .. }
            | Event::Applying { step, .. }
            | Event::GateOpened { step, .. } => {
                assert!(!undo, "{step} went forward after the turn");
            }
            Event::Undoing { step, .. } => {
                assert!(undo, "{step} was undone without a turn");
                let own = before.step(step).unwrap();
                assert!(!own.in_doubt(), "{step} was undone while a call was in doubt");
                assert!(
                    own.spec.lost_call == LostCall::MustFail || record.at >= own.settles_at,
                    "{step} was undone while a call could land"
                );
                for later in before.all_dependents(step) {
                    assert!(
                        !before.needs_undo(later),
                        "{step} was undone before {}",
                        later.spec.name
                    );
                }
            }
            Event::Turned { .. } => assert!(!undo, "it turned twice"),
            _ => {}
        }
        before.apply(&record.event, record.at);
    }
}

fn end_is_sound(state: &Workflow) {
    let open = |step: &&causeway_engine::state::Step| {
        step.in_undo_set() && !matches!(step.undo, UndoPhase::Ended(_))
    };
    match state.end.unwrap() {
        End::Succeeded => {
            assert!(
                state.steps.iter().all(|step| matches!(step.undo, UndoPhase::Idle)),
                "a step is both done and undone"
            );
        }
        End::Rejected => assert!(!state.ever_applied(), "REJECTED after something was touched"),
        End::Compensated | End::Cancelled => {
            let left: Vec<_> =
                state.steps.iter().filter(open).map(|step| &step.spec.name).collect();
            assert!(left.is_empty(), "ended with {left:?} neither undone nor kept");
        }
        End::Abandoned => {}
    }
    assert!(state.holds().is_empty(), "an ended workflow holds keys");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_saga_comes_to_a_sound_end(specs in specs(), gates in any::<bool>(), moves in prop::collection::vec(any::<u32>(), 0..120)) {
        let gates = if gates { (0..9).map(|index| (format!("s{index}"), 400)).collect() } else { Default::default() };
        let mut sim = Sim::start_with(specs, RunOptions { gates, timeout_ms: Some(60_000), ..RunOptions::default() });
        for drawn in moves {
            one_move(&mut sim, drawn);
        }
        heal(&mut sim);
        journal_is_sound(&sim);
        end_is_sound(&sim.state);
    }

    #[test]
    fn cancel_always_ends_cancelled_unless_something_failed_before(specs in specs(), moves in prop::collection::vec(64_u32..4_000_000, 0..40)) {
        let mut sim = Sim::start(specs);
        for drawn in moves {
            one_move(&mut sim, drawn);
        }
        let forward = sim.state.direction == Direction::Forward && !sim.state.is_ended();
        drop(sim.feed(Input::Asked { verb: Verb::Cancel, by: by() }));
        heal(&mut sim);
        if forward {
            prop_assert!(matches!(sim.state.end, Some(End::Cancelled)), "{:?}", sim.state.end);
        }
    }
}
