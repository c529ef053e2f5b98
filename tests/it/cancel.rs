//! Cancelling a build at each of its steps in turn, in the middle of the step: everything is undone and the world is as before, also
//! where the daemon is killed before the cancel reaches it, or right after it has answered.

use std::time::Duration;

use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Workflow, step};
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::scene::assert_same;
use futures::StreamExt;
use serde_json::json;

/// Exit code of a command that waits for a workflow that is cancelled.
const CANCELLED: i32 = 4;
/// Worlds at a time: each has a daemon beside it.
const AT_A_TIME: usize = 4;
/// How long a step may be waited for.
const STEP_LIMIT: Duration = Duration::from_secs(90);

/// How a step is caught while it runs.
#[derive(Debug, Clone, Copy)]
enum Hold {
    /// At one of its mutating calls.
    Call(&'static str),
    /// By this read, which takes its time.
    Read(&'static str),
    /// By itself: it waits for a person.
    Gate,
}

/// Every step of the definition.
const STEPS: [(&str, Hold); 21] = [
    ("check-identity", Hold::Read("sts:GetCallerIdentity")),
    ("check-registered-cluster", Hold::Read("cs:DescribeClusterDetail")),
    ("check-network", Hold::Read("vpc:DescribeVSwitches")),
    ("check-capacity", Hold::Read("ecs:DescribeInstanceTypes")),
    ("check-kubernetes", Hold::Read("k8s:create-selfsubjectaccessreviews")),
    ("approve-spend", Hold::Gate),
    ("fence-calico", Hold::Call("k8s:patch-daemonsets@kube-system/calico-node")),
    ("create-ram-policy", Hold::Call("ram:CreatePolicy")),
    ("create-ram-user", Hold::Call("ram:CreateUser")),
    ("attach-ram-policy", Hold::Call("ram:AttachPolicyToUser")),
    ("create-access-key", Hold::Call("ram:CreateAccessKey")),
    ("store-addon-secret", Hold::Call("k8s:create-secrets@kube-system/alibaba-addon-secret")),
    ("install-terway", Hold::Call("cs:InstallClusterAddons")),
    ("configure-eni", Hold::Call("k8s:patch-configmaps@kube-system/eni-config")),
    ("mint-join-token", Hold::Call("k8s:create-secrets@kube-system/bootstrap-token-*")),
    ("publish-init-script", Hold::Call("oss:PutBucketPolicy")),
    ("register-init-script", Hold::Call("k8s:patch-configmaps@kube-system/ack-agent-config")),
    ("create-node-pool[burst]", Hold::Call("cs:CreateClusterNodePool")),
    ("scale-out[burst]", Hold::Call("cs:ModifyClusterNodePool")),
    ("verify-nodes[burst]", Hold::Read("k8s:list-nodes")),
    ("verify-cni", Hold::Read("k8s:list-pods")),
];

/// Where the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Never,
    /// While the step runs; the cancel reaches the next daemon.
    BeforeTheCancel,
    /// As soon as the cancel was answered.
    AfterTheCancel,
}

/// A build that is in the middle of the step.
async fn caught(name: &str, hold: Hold, side: Side) -> (Scene, String) {
    let slow = match hold {
        // Of the world's time: a second.
        Hold::Read(call) => vec![format!("{call}:delay=200s:*")],
        Hold::Call(_) | Hold::Gate => Vec::new(),
    };
    let scene = Scene::start(Options { faults: slow, ..Options::default() }).await;
    if let Hold::Call(call) = hold {
        scene.world.boundaries().arm(At::call(call, side));
    }
    let mut document = scene.document(1);
    if matches!(hold, Hold::Gate) {
        document["run"]["gates"]["spend"] = json!({"required": true});
    }
    let id = scene.client().start(Scene::request(&document)).await.unwrap().id;
    let begun = async {
        match hold {
            Hold::Call(_) => drop(scene.world.boundaries().reached().await),
            Hold::Read(_) | Hold::Gate => begins(&scene, &id, name).await,
        }
    };
    assert!(tokio::time::timeout(STEP_LIMIT, begun).await.is_ok(), "{name} does not begin");
    let step = step_of(&scene.client().get(&id).await.unwrap(), name);
    let runs = [step::State::Checking, step::State::Waiting, step::State::Applying];
    assert!(runs.contains(&step), "{name} is {step:?}");
    (scene, id)
}

/// Follows the workflow until the step begins.
async fn begins(scene: &Scene, id: &str, name: &str) {
    let mut watch = scene.client().watch(id, "");
    loop {
        watch.next().await.unwrap().expect("the workflow has not ended");
        let step = step_of(&scene.client().get(id).await.unwrap(), name);
        if step != step::State::Pending {
            return;
        }
    }
}

fn step_of(workflow: &Workflow, name: &str) -> step::State {
    workflow.steps.iter().find(|step| step.name == name).expect("such a step").state()
}

/// Cancels a build in the middle of the step, and requires that everything is undone.
async fn cancelled(name: &'static str, hold: Hold, kill: Kill, side: Side) {
    let (mut scene, id) = caught(name, hold, side).await;
    if kill == Kill::BeforeTheCancel {
        scene.daemon().kill().await;
        scene.world.boundaries().drop_call();
        scene.start_daemon(&[]).await;
    }
    let cancel = scene.cli(&["cancel", &id, "--yes", "--reason", "a test"]).await;
    assert_eq!(
        cancel.status.code(),
        Some(0),
        "{name}: {}",
        String::from_utf8_lossy(&cancel.stderr)
    );
    if kill == Kill::AfterTheCancel {
        scene.daemon().kill().await;
        scene.world.boundaries().drop_call();
        scene.start_daemon(&[]).await;
    }
    scene.world.boundaries().release();
    scene.world.faults().clear();
    let workflow = scene.rested(&id).await;
    let story: Vec<String> = workflow
        .steps
        .iter()
        .map(|step| format!("{} {:?} {:?} {:?}", step.name, step.state(), step.undo, step.failure))
        .collect();
    assert_eq!(workflow.state(), State::Cancelled, "{name}, killed {kill:?}, {side:?}: {story:#?}");
    assert_same(&scene.before, &scene.ledger().await);
    let watch = scene.cli(&["watch", &id]).await;
    assert_eq!(
        watch.status.code(),
        Some(CANCELLED),
        "{name}: {}",
        String::from_utf8_lossy(&watch.stderr)
    );
}

/// At each step; a call is caught before its effect at one step, after it at the next.
async fn at_each_step(kill: Kill, sides: [Side; 2]) {
    let runs = STEPS.iter().zip(sides.into_iter().cycle());
    let runs = runs.map(|((name, hold), side)| cancelled(name, *hold, kill, side));
    futures::stream::iter(runs).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_at_any_step_restores_the_world() {
    at_each_step(Kill::Never, [Side::Before, Side::After]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_at_any_step_reaches_a_daemon_that_was_killed_before() {
    at_each_step(Kill::BeforeTheCancel, [Side::After, Side::Before]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_at_any_step_survives_a_kill_right_after() {
    at_each_step(Kill::AfterTheCancel, [Side::Before, Side::After]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_build_is_told_that_it_was_cancelled() {
    let (scene, id) = caught("create-ram-user", Hold::Call("ram:CreateUser"), Side::Before).await;
    let waiting = async { scene.cli(&["watch", &id]).await };
    let cancel = async {
        let cancel = scene.cli(&["cancel", &id, "--yes"]).await;
        scene.world.boundaries().release();
        cancel
    };
    let (watch, cancel) = tokio::join!(waiting, cancel);
    assert_eq!(cancel.status.code(), Some(0), "{}", String::from_utf8_lossy(&cancel.stderr));
    assert_eq!(watch.status.code(), Some(CANCELLED), "{}", String::from_utf8_lossy(&watch.stderr));
    // Once it has ended there is nothing to cancel.
    let again = scene.cli(&["cancel", &id, "--yes"]).await;
    assert!(!again.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_starts_and_waits_is_told_that_the_build_was_cancelled() {
    let scene = Scene::start(Options::default()).await;
    scene.world.boundaries().arm(At::call("oss:PutObject", Side::After));
    let start = ["start", "-f", "hybrid-cluster.yaml", "--workflow-id", "told", "--wait"];
    let starting = scene.cli(&start);
    let cancel = async {
        scene.world.boundaries().reached().await;
        // Both commands wait; the call ends a moment after the cancel has come.
        let cancel = async { scene.cli(&["cancel", "told", "--yes", "--wait"]).await };
        let release = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            scene.world.boundaries().release();
        };
        tokio::join!(cancel, release).0
    };
    let both = async { tokio::join!(starting, cancel) };
    let (start, cancel) = tokio::time::timeout(STEP_LIMIT, both).await.expect("both are told");
    for command in [start, cancel] {
        let said = String::from_utf8_lossy(&command.stderr);
        assert_eq!(command.status.code(), Some(CANCELLED), "{said}");
    }
    scene.assert_as_before().await;
}
