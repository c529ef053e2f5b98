//! The verbs and the inbox, over the wire.

use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Failure, LedgerEntry, Step, Waiting, Workflow, step, waiting};

use super::fake::workflow;
use super::flows::{Place, script};
use crate::cli::Exit;

#[tokio::test]
async fn cancel_carries_its_reason_and_a_refusal_says_the_state() {
    let place = Place::new(script(State::Cancelled)).await;
    let ran = place.run(&["cancel", "w1", "--reason", "wrong size", "--wait"]).await;
    assert_eq!(ran.exit, Exit::Cancelled, "{}", ran.err);
    let cancel = place.fake.script().cancels[0].clone();
    assert_eq!((cancel.reason.as_str(), cancel.request_id.is_empty()), ("wrong size", false));
    place.fake.script().workflow.state = State::Succeeded.into();
    assert_eq!(place.run(&["cancel", "w1"]).await.exit, Exit::Refused);
}

#[tokio::test]
async fn a_gate_is_decided_by_the_etag_of_what_was_shown() {
    let mut script = script(State::AwaitingApproval);
    script.workflow.etag = "7-abc".into();
    let place = Place::new(script).await;
    let ran = place.run(&["approve", "w1", "approve-spend", "--reason", "within budget"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(ran.err.contains("AWAITING_APPROVAL"), "{}", ran.err);
    let approval = place.fake.script().approvals[0].clone();
    let told = [approval.step, approval.etag, approval.reason];
    assert_eq!(told, ["approve-spend", "7-abc", "within budget"]);
    assert_eq!(place.run(&["deny", "w1", "approve-spend"]).await.exit, Exit::Done);
    let denial = place.fake.script().denials[0].clone();
    assert_eq!([denial.step, denial.etag], ["approve-spend", "7-abc"]);
}

#[tokio::test]
async fn every_verb_carries_what_is_said_with_it() {
    let mut script = script(State::Paused);
    script.workflow.etag = "7-abc".into();
    script.events.clear();
    let place = Place::new(script).await;
    for verb in ["abandon", "pause", "resume", "retry", "delete"] {
        let said = [verb, "w1", "--reason", "why", "--etag", "5-x", "--request-id", "r1"];
        let ran = place.run(&said).await;
        assert_eq!(ran.exit, Exit::Done, "{verb}: {}", ran.err);
        let (rpc, said) = place.fake.script().asked.pop().unwrap();
        assert_eq!(
            (rpc, said),
            (&*format!("{verb}_workflow"), ["why", "5-x", "r1"].map(Into::into))
        );
    }
    let ran = place.run(&["workflows", "skip", "w1", "make[a]", "--reason", "gone"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let (rpc, [reason, etag, request_id]) = place.fake.script().asked.pop().unwrap();
    assert_eq!((rpc, reason.as_str(), etag.as_str()), ("skip_step", "gone", "7-abc"));
    assert!(!request_id.is_empty(), "so that it may be repeated on its way");
}

#[tokio::test]
async fn what_leaves_something_needs_a_reason() {
    let place = Place::new(script(State::Stuck)).await;
    for line in [&["abandon", "w1"][..], &["skip", "w1", "make"]] {
        let ran = place.run(line).await;
        assert_eq!(ran.exit, Exit::Input, "{line:?}");
        assert!(ran.err.contains("--reason"), "{}", ran.err);
    }
    assert!(place.fake.script().asked.is_empty());
}

#[tokio::test]
async fn a_lost_answer_says_how_to_repeat_the_command() {
    let place = Place::new(script(State::Succeeded)).await;
    place.run(&["delete", "wgone", "--request-id", "r1"]).await;
    let (rpc, [.., request_id]) = place.fake.script().asked.pop().unwrap();
    assert_eq!((rpc, request_id.as_str()), ("delete_workflow", "r1"), "it is gone already");
    assert_eq!(place.run(&["delete", "wgone"]).await.exit, Exit::NotFound);
}

#[tokio::test]
async fn the_inbox_says_what_waits_and_what_to_type() {
    let mut script = script(State::Stuck);
    script.events.clear();
    script.workflow = stuck();
    script.others = vec![workflow("wok", State::Running), workflow("wpaused", State::Paused)];
    let place = Place::new(script).await;
    let ran = place.run(&["stuck"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    for told in [
        "w1  STUCK",
        "undo failed",
        "make[a] undo failed  code NoPermission  request id REQ-7",
        "the key may not do that",
        "thing-1",
        "rm thing-1",
        "causeway retry w1",
        "wpaused  PAUSED",
    ] {
        assert!(ran.out.contains(told), "{told}:\n{}", ran.out);
    }
    assert!(!ran.out.contains("wok"), "{}", ran.out);
    let names = place.run(&["workflows", "stuck", "-o", "name"]).await.out;
    assert_eq!(names, "workflows/w1\nworkflows/wpaused\n", "the worst first");
    place.fake.script().workflow.state = State::Running.into();
    place.fake.script().others.clear();
    let none = place.run(&["stuck"]).await;
    assert_eq!((none.exit, none.out.as_str()), (Exit::Done, ""));
    assert!(none.err.contains("nothing waits"), "{}", none.err);
}

/// A workflow whose undo has failed for good.
fn stuck() -> Workflow {
    let failure = Failure {
        code: "NoPermission".into(),
        request_id: "REQ-7".into(),
        message: "the key may not do that".into(),
        ..Failure::default()
    };
    let make = Step {
        name: "make[a]".into(),
        state: step::State::UndoFailed.into(),
        failure: Some(failure),
        ..Step::default()
    };
    let waiting = Waiting {
        reason: waiting::Reason::UndoFailed.into(),
        step: "make[a]".into(),
        next_commands: vec!["causeway retry w1".into()],
        ..Waiting::default()
    };
    let left = LedgerEntry {
        kind: "thing".into(),
        identity: "thing-1".into(),
        removal: "rm thing-1".into(),
        ..LedgerEntry::default()
    };
    Workflow {
        steps: vec![make],
        waiting: Some(waiting),
        left: vec![left],
        ..workflow("w1", State::Stuck)
    }
}
