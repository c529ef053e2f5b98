//! Gates: approved and denied, by whom, on what they saw.

use causeway_workflows::{Definition, Template, Work};

use super::*;

const GATE: &str = "approve-spend";

/// A daemon whose self-test is a gate and nothing else.
async fn start(disk: &Disk) -> Daemon {
    let gate = Template::new(GATE, Work::Gate);
    let saga = Definition {
        name: "saga-10",
        revision: 1,
        templates: vec![gate],
        cluster_id: None,
        undoes: None,
    };
    Daemon::start_knowing(disk, |_| {}, BTreeMap::new(), vec![saga]).await
}

/// A self-test that rests at its gate.
async fn at_the_gate(daemon: &Daemon) -> pb::Workflow {
    let name = daemon.workflows().start_workflow(gated()).await.unwrap().into_inner().name;
    rested(daemon, name).await
}

async fn rested(daemon: &Daemon, name: String) -> pb::Workflow {
    let request = pb::WaitWorkflowRequest { name, ..Default::default() };
    daemon.workflows().wait_workflow(request).await.unwrap().into_inner()
}

fn approval(of: &pb::Workflow) -> pb::ApproveStepRequest {
    pb::ApproveStepRequest {
        name: of.name.clone(),
        step: GATE.into(),
        reason: "within budget".into(),
        etag: of.etag.clone(),
        ..Default::default()
    }
}

fn denial(of: &pb::Workflow) -> pb::DenyStepRequest {
    pb::DenyStepRequest {
        name: of.name.clone(),
        step: GATE.into(),
        reason: "too dear".into(),
        etag: of.etag.clone(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_approved_gate_opens_also_after_a_restart() {
    let disk = Disk::new();
    let daemon = start(&disk).await;
    let waiting = at_the_gate(&daemon).await;
    assert_eq!(waiting.state(), State::AwaitingApproval);
    let why = waiting.waiting.clone().unwrap();
    assert_eq!((why.reason(), why.step.as_str()), (pb::waiting::Reason::Approval, GATE));
    assert_eq!(why.next_commands[0], format!("causeway approve {} {GATE}", waiting.id));
    daemon.stop().await;
    let daemon = start(&disk).await;
    let mut workflows = daemon.workflows();
    workflows.approve_step(approval(&waiting)).await.unwrap();
    let done = rested(&daemon, waiting.name.clone()).await;
    assert_eq!(done.state(), State::Succeeded);
    assert_eq!(done.steps[0].state(), pb::step::State::Approved);
    // The same call again, as after a lost answer: it stands.
    let again = workflows.approve_step(approval(&waiting)).await.unwrap().into_inner();
    assert_eq!(again.state(), State::Succeeded);
    let late = workflows.deny_step(denial(&waiting)).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "{late}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_denied_gate_ends_the_workflow_with_nothing_touched() {
    let daemon = start(&Disk::new()).await;
    let waiting = at_the_gate(&daemon).await;
    let mut workflows = daemon.workflows();
    workflows.deny_step(denial(&waiting)).await.unwrap();
    let ended = rested(&daemon, waiting.name.clone()).await;
    assert_eq!((ended.state(), ended.cause()), (State::Rejected, pb::workflow::Cause::Denied));
    assert!(ended.failure.unwrap().message.contains("too dear"));
    let again = workflows.deny_step(denial(&waiting)).await.unwrap().into_inner();
    assert_eq!(again.state(), State::Rejected);
    let late = workflows.approve_step(approval(&waiting)).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "{late}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_decision_on_nothing_seen_or_on_something_else_is_refused() {
    let daemon = start(&Disk::new()).await;
    let waiting = at_the_gate(&daemon).await;
    let mut workflows = daemon.workflows();
    let blind =
        pb::ApproveStepRequest { etag: String::new(), step: String::new(), ..approval(&waiting) };
    let blind = workflows.approve_step(blind).await.unwrap_err();
    let details = blind.get_error_details();
    let fields: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!((blind.code(), fields), (Code::InvalidArgument, vec!["step", "etag"]));
    let blind = workflows
        .deny_step(pb::DenyStepRequest { etag: String::new(), ..denial(&waiting) })
        .await
        .unwrap_err();
    assert_eq!(blind.code(), Code::InvalidArgument);
    let stale = workflows
        .approve_step(pb::ApproveStepRequest { etag: "1-0".into(), ..approval(&waiting) })
        .await
        .unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, reasons::ETAG_MISMATCH));
    let other = workflows
        .approve_step(pb::ApproveStepRequest { step: "nosuch".into(), ..approval(&waiting) })
        .await
        .unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::NotFound, reasons::STEP_NOT_FOUND));
    let unlike = "plan-0123456789abcdef0123456789abcdef";
    for (digest, refused) in [("d", reasons::INVALID_FIELD), (unlike, reasons::PLAN_STALE)] {
        let approval = pb::ApproveStepRequest { plan_digest: digest.into(), ..approval(&waiting) };
        let plan = workflows.approve_step(approval).await.unwrap_err();
        assert_eq!(reason(&plan), refused, "{digest}");
    }
    assert_eq!(rested(&daemon, waiting.name.clone()).await.state(), State::AwaitingApproval);
    daemon.stop().await;
}
