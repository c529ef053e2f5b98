//! The gate before money is spent: it rests until a person decides, shows what is decided on, and closes by itself in time.

use causeway_proto::v1::workflow::{Cause, State};
use causeway_proto::v1::{Workflow, step, waiting};
use causeway_tests::Scene;
use serde_json::{Value, json};

const GATE: &str = "approve-spend";
/// Exit codes of commands that wait.
const REJECTED: i32 = 2;
const NEEDS_PERSON: i32 = 13;

/// Starts a build that asks for the gate from the command line, which waits until a person is needed.
async fn at_the_gate(scene: &Scene, id: &str) -> Workflow {
    let mut document = scene.document(1);
    document["run"]["gates"]["spend"] = json!({"required": true});
    std::fs::write(scene.world.folder().file("gated.yaml"), document.to_string()).unwrap();
    let start = ["start", "-f", "gated.yaml", "--workflow-id", id, "--wait"];
    let start = scene.cli(&start).await;
    let said = String::from_utf8_lossy(&start.stderr);
    assert_eq!(start.status.code(), Some(NEEDS_PERSON), "{said}");
    let waiting = scene.client().get(id).await.unwrap();
    assert_eq!(waiting.state(), State::AwaitingApproval, "{waiting:#?}");
    assert_eq!(scene.world.boundaries().passed(), [], "something was touched before the approval");
    waiting
}

async fn cli(scene: &Scene, arguments: &[&str]) -> String {
    let ran = scene.cli(arguments).await;
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_build_goes_on_to_its_end() {
    let scene = Scene::guide().await;
    let workflow = at_the_gate(&scene, "gated").await;
    let why = workflow.waiting.unwrap();
    assert_eq!((why.reason(), why.step.as_str()), (waiting::Reason::Approval, GATE));
    assert_eq!(why.on, "2 nodes: 2 x ecs.g7.xlarge (burst)");
    let next = ["causeway approve gated approve-spend", "causeway deny gated approve-spend"];
    for command in next {
        assert!(why.next_commands.iter().any(|one| one.starts_with(command)), "{why:?}");
    }
    let described = cli(&scene, &["describe", "gated"]).await;
    assert!(next.iter().all(|command| described.contains(command)), "{described}");
    assert!(described.contains(&why.on), "{described}");

    let approve = ["workflows", "approve", "gated", GATE, "--reason", "within budget"];
    let approve = cli(&scene, &[&approve[..], &["-o", "json"]].concat()).await;
    let approve: Value = serde_json::from_str(&approve).unwrap();
    assert_eq!(approve["id"], "gated");
    let done = scene.rested("gated").await;
    assert_eq!(done.state(), State::Succeeded, "{done:#?}");
    let gate = done.steps.iter().find(|step| step.name == GATE).unwrap();
    assert_eq!(gate.state(), step::State::Approved);
    let history = cli(&scene, &["history", "gated"]).await;
    assert!(history.contains("within budget"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_build_is_rejected_with_nothing_touched() {
    let scene = Scene::guide().await;
    at_the_gate(&scene, "gated").await;
    cli(&scene, &["deny", "gated", GATE, "--reason", "too dear"]).await;
    let ended = scene.rested("gated").await;
    assert_eq!((ended.state(), ended.cause()), (State::Rejected, Cause::Denied), "{ended:#?}");
    let failure = ended.failure.unwrap();
    assert_eq!(failure.step, GATE);
    assert!(failure.message.contains("too dear"), "{failure:?}");
    assert_eq!(scene.cli(&["watch", "gated"]).await.status.code(), Some(REJECTED));
    assert_eq!(scene.world.boundaries().passed(), []);
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_nobody_decides_on_closes_in_time_also_across_a_restart() {
    let mut scene = Scene::guide().await;
    let mut document = scene.document(1);
    document["run"]["gates"]["spend"] = json!({"required": true, "timeout": "3s"});
    let id = scene.client().start(Scene::request(&document)).await.unwrap().id;
    assert_eq!(scene.rested(&id).await.state(), State::AwaitingApproval);
    scene.daemon().kill().await;
    scene.start_daemon(&[]).await;
    let closed = async {
        let mut etag = String::new();
        loop {
            let workflow =
                scene.client().wait(&id, &etag, std::time::Duration::from_secs(5)).await.unwrap();
            if workflow.state() != State::AwaitingApproval {
                return workflow;
            }
            etag = workflow.etag;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let ended = tokio::time::timeout(limit, closed).await.expect("the gate closes by itself");
    assert_eq!((ended.state(), ended.cause()), (State::Rejected, Cause::Denied), "{ended:#?}");
    scene.assert_as_before().await;
}
