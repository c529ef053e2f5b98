//! Pictures of recorded states, line by line, for a small and a large terminal. `UPDATE_GOLDEN=1` writes them anew.

use causeway_proto::v1::step::State as S;
use causeway_proto::v1::workflow::{Cause, Direction, State};
use causeway_proto::v1::{
    Failure, Finding, Step, UndoOutcome, Waiting, Workflow, step, undo_outcome, waiting,
};
use prost_types::Timestamp;

use super::frame::{Canvas, frame};

/// The guide's cluster with two node pools.
const STEPS: &[(&str, &[&str])] = &[
    ("check-identity", &[]),
    ("check-registered-cluster", &[]),
    ("check-network", &[]),
    ("check-capacity", &[]),
    ("check-kubernetes", &[]),
    ("approve-spend", CHECKS),
    ("fence-calico", GATE),
    ("create-ram-policy", GATE),
    ("create-ram-user", GATE),
    ("attach-ram-policy", &["create-ram-policy", "create-ram-user"]),
    ("create-access-key", &["create-ram-user"]),
    ("store-addon-secret", &["create-access-key"]),
    ("install-terway", &["attach-ram-policy", "store-addon-secret"]),
    ("configure-eni", &["install-terway"]),
    ("mint-join-token", GATE),
    ("publish-init-script", &["mint-join-token"]),
    ("register-init-script", &["publish-init-script"]),
    ("create-node-pool[burst]", READY),
    ("create-node-pool[gpu]", READY),
    ("scale-out[burst]", &["create-node-pool[burst]"]),
    ("scale-out[gpu]", &["create-node-pool[gpu]"]),
    ("verify-nodes[burst]", &["scale-out[burst]"]),
    ("verify-nodes[gpu]", &["scale-out[gpu]"]),
    ("verify-cni", &["verify-nodes[burst]", "verify-nodes[gpu]"]),
];
const CHECKS: &[&str] = &[
    "check-identity",
    "check-registered-cluster",
    "check-network",
    "check-capacity",
    "check-kubernetes",
];
const GATE: &[&str] = &["approve-spend"];
const READY: &[&str] = &["fence-calico", "configure-eni", "register-init-script"];

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_800_000_000 + seconds, nanos: 400_000_000 })
}

/// A workflow whose steps have not begun.
fn begun(state: State) -> Workflow {
    let step = |(name, after): &(&str, &[&str])| Step {
        name: (*name).to_owned(),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        state: S::Pending.into(),
        kind: match name.split_once('-').map(|(verb, _)| verb) {
            Some("check" | "verify") => step::Kind::Check.into(),
            Some("approve") => step::Kind::Gate.into(),
            _ => step::Kind::Action.into(),
        },
        ..Step::default()
    };
    Workflow {
        id: "wq3v7k2m9x4c8b1z".to_owned(),
        definition: "hybrid-cluster".to_owned(),
        hybrid_cluster: "hybridClusters/dc1".to_owned(),
        state: state.into(),
        create_time: at(0),
        steps: STEPS.iter().map(step).collect(),
        ..Workflow::default()
    }
}

fn of<'w>(workflow: &'w mut Workflow, name: &str) -> &'w mut Step {
    workflow.steps.iter_mut().find(|step| step.name == name).unwrap()
}

fn set(workflow: &mut Workflow, name: &str, state: S, from: i64, to: Option<i64>) {
    let step = of(workflow, name);
    step.state = state.into();
    (step.start_time, step.end_time) = (at(from), to.and_then(at));
}

/// Everything up to the gate is done.
fn admitted(state: State) -> Workflow {
    let mut workflow = begun(state);
    for (index, check) in CHECKS.iter().enumerate() {
        let to = 1 + i64::try_from(index).unwrap();
        set(&mut workflow, check, S::Passed, 0, Some(to));
    }
    let code = "VPC_BLOCK_OVERLAP".to_owned();
    of(&mut workflow, "check-network").warnings = vec![Finding { code, ..Finding::default() }];
    set(&mut workflow, "approve-spend", S::Approved, 5, Some(5));
    workflow
}

fn waits(reason: waiting::Reason, on: &str, until: Option<i64>) -> Option<Waiting> {
    let until = until.and_then(at);
    Some(Waiting { reason: reason.into(), on: on.to_owned(), until, ..Waiting::default() })
}

fn failure(code: &str, message: &str) -> Option<Failure> {
    Some(Failure { code: code.to_owned(), message: message.to_owned(), ..Failure::default() })
}

/// In the middle of a build, with a branch that waits and one that is tried again.
fn running() -> Workflow {
    let mut workflow = admitted(State::Running);
    for (name, from, to) in [
        ("create-ram-policy", 5, 6),
        ("create-ram-user", 5, 6),
        ("create-access-key", 6, 15),
        ("store-addon-secret", 15, 16),
        ("mint-join-token", 5, 5),
    ] {
        set(&mut workflow, name, S::Confirmed, from, Some(to));
    }
    of(&mut workflow, "create-ram-policy").verdict = step::Verdict::Shared.into();
    of(&mut workflow, "create-ram-user").verdict = step::Verdict::Adopted.into();
    set(&mut workflow, "fence-calico", S::Confirming, 5, None);
    of(&mut workflow, "fence-calico").waiting =
        waits(waiting::Reason::Confirming, "2 of 3 calico-node pods are rolled out", None);
    set(&mut workflow, "attach-ram-policy", S::RetryWait, 6, None);
    let attach = of(&mut workflow, "attach-ram-policy");
    attach.attempt = 3;
    attach.waiting = waits(waiting::Reason::Retrying, "", Some(88));
    attach.failure = failure("Throttling.User", "Request was denied due to user flow control");
    set(&mut workflow, "publish-init-script", S::Waiting, 6, None);
    let on = "bucket/kubelet-scripts/policy, held by w8n5d2";
    of(&mut workflow, "publish-init-script").waiting = waits(waiting::Reason::Lock, on, None);
    workflow
}

/// The undo of a build that failed at its node pool.
fn compensating() -> Workflow {
    let mut workflow = running();
    workflow.state = State::Compensating.into();
    workflow.cause = Cause::Failure.into();
    workflow.direction = Direction::Undo.into();
    for step in &mut workflow.steps {
        (step.waiting, step.failure) = (None, None);
        if step.state() == S::Pending {
            step.state = S::Skipped.into();
        }
    }
    for name in ["fence-calico", "attach-ram-policy", "create-access-key", "store-addon-secret"] {
        set(&mut workflow, name, S::Confirmed, 6, Some(30));
    }
    set(&mut workflow, "install-terway", S::Undoing, 31, None);
    let terway = of(&mut workflow, "install-terway");
    terway.update_time = at(71);
    terway.waiting = waits(waiting::Reason::Timer, "the uninstallation (task T-7) runs", None);
    set(&mut workflow, "create-node-pool[burst]", S::Undone, 50, Some(70));
    set(&mut workflow, "create-node-pool[gpu]", S::Undone, 50, Some(66));
    let kinds = [undo_outcome::Kind::Reverted, undo_outcome::Kind::NothingThere];
    for (pool, kind) in ["create-node-pool[burst]", "create-node-pool[gpu]"].iter().zip(kinds) {
        of(&mut workflow, pool).undo =
            Some(UndoOutcome { kind: kind.into(), ..UndoOutcome::default() });
        of(&mut workflow, pool).update_time = at(65);
    }
    set(&mut workflow, "mint-join-token", S::UndoRetryWait, 5, None);
    let mint = of(&mut workflow, "mint-join-token");
    (mint.attempt, mint.update_time) = (2, at(68));
    mint.waiting = waits(waiting::Reason::Retrying, "", Some(80));
    mint.failure = failure("ServiceUnavailable", "the API server is restarting");
    set(&mut workflow, "publish-init-script", S::Undone, 6, Some(68));
    let kept = UndoOutcome {
        kind: undo_outcome::Kind::Kept.into(),
        reason: undo_outcome::Reason::Shared.into(),
        detail: "dc2 relies on it".to_owned(),
    };
    of(&mut workflow, "publish-init-script").undo = Some(kept);
    workflow
}

/// Waits for somebody's decision.
fn gated() -> Workflow {
    let mut workflow = admitted(State::AwaitingApproval);
    set(&mut workflow, "approve-spend", S::Waiting, 5, None);
    let gate = of(&mut workflow, "approve-spend");
    gate.summary = "3 nodes: 2 x ecs.g7.xlarge (burst), 1 x ecs.gn7i-c8g1.2xlarge (gpu)".to_owned();
    gate.waiting = waits(waiting::Reason::Approval, "approve-spend", Some(3600));
    workflow.waiting = Some(Waiting {
        reason: waiting::Reason::Approval.into(),
        since: at(5),
        step: "approve-spend".to_owned(),
        on: "approve-spend".to_owned(),
        next_commands: vec![
            "causeway approve wq3v7k2m9x4c8b1z approve-spend".to_owned(),
            "causeway deny wq3v7k2m9x4c8b1z approve-spend --reason WHY".to_owned(),
        ],
        ..Waiting::default()
    });
    workflow
}

/// Built.
fn succeeded() -> Workflow {
    let mut workflow = running();
    workflow.state = State::Succeeded.into();
    workflow.end_time = at(128);
    for step in &mut workflow.steps {
        (step.waiting, step.failure, step.attempt) = (None, None, 1);
        if step.end_time.is_none() {
            let check = step.name.starts_with("verify");
            step.state = if check { S::Passed } else { S::Confirmed }.into();
            step.start_time = step.start_time.or(at(60));
            step.end_time = at(128);
        }
    }
    workflow
}

fn picture(workflow: &Workflow, width: usize, height: Option<usize>, lost: bool) -> String {
    let lost = if lost { at(70) } else { None };
    let now = at(76).unwrap();
    let canvas =
        Canvas { width: width - 1, height: height.map(|rows| rows - 1), now, tick: 2, lost };
    let lines = frame(workflow, &canvas);
    assert!(height.is_none_or(|height| lines.len() < height), "{} lines", lines.len());
    assert!(lines.iter().all(|line| line.width() < width), "{lines:#?}");
    lines.iter().map(|line| line.text(false) + "\n").collect()
}

#[test]
fn pictures_are_as_they_were_drawn() {
    let mut all = String::new();
    for (name, workflow) in [
        ("running", running()),
        ("compensating", compensating()),
        ("awaiting approval", gated()),
        ("succeeded", succeeded()),
    ] {
        for (rows, columns) in [(24, 80), (50, 140)] {
            let text = picture(&workflow, columns, Some(rows), name == "compensating");
            all.push_str(&format!("=== {name}, {rows} x {columns}\n{text}\n"));
        }
        let text = picture(&workflow, 80, None, false);
        all.push_str(&format!("=== {name}, left standing on 80 columns\n{text}\n"));
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/progress.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &all).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap();
    assert!(all == expected, "UPDATE_GOLDEN=1 writes it anew; it is now:\n{all}");
}

#[test]
fn every_size_of_terminal_gets_a_picture_that_fits() {
    for workflow in [begun(State::Queued), running(), compensating(), gated(), succeeded()] {
        for width in [20, 37, 80, 300] {
            for height in [4, 9, 24, 100] {
                picture(&workflow, width, Some(height), true);
            }
        }
    }
    assert_eq!(picture(&Workflow::default(), 80, Some(24), false).lines().count(), 2);
}
