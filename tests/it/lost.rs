//! Calls whose answer is lost while the daemon lives on: the effect was there at once, or comes late. It is looked for before
//! anything is repeated or undone, and nothing is undone while it can still land.

use std::time::Duration;

use causeway_proto::v1::Workflow;
use causeway_proto::v1::workflow::State;
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::scene::assert_same;
use futures::StreamExt;

/// Worlds at a time: each has a daemon beside it.
const AT_A_TIME: usize = 4;
/// Longer than a call that a fault makes late takes to land, at the speed of tests.
const LANDED: Duration = Duration::from_secs(1);
/// How long a call may be waited for.
const CALL_LIMIT: Duration = Duration::from_secs(90);

/// The first mutating call of every action.
const FORWARD: [&str; 13] = [
    "k8s:patch-daemonsets@kube-system/calico-node",
    "ram:CreatePolicy",
    "ram:CreateUser",
    "ram:AttachPolicyToUser",
    "ram:CreateAccessKey",
    "k8s:create-secrets@kube-system/alibaba-addon-secret",
    "cs:InstallClusterAddons",
    "k8s:patch-configmaps@kube-system/eni-config",
    "k8s:create-secrets@kube-system/bootstrap-token-*",
    "oss:PutBucketPolicy",
    "k8s:patch-configmaps@kube-system/ack-agent-config",
    "cs:CreateClusterNodePool",
    "cs:ModifyClusterNodePool",
];

/// Mutating calls that only undos make.
const BACK: [&str; 11] = [
    "cs:RemoveNodePoolNodes",
    "ecs:DeleteNetworkInterface",
    "cs:DeleteClusterNodepool",
    "oss:DeleteBucketPolicy",
    "oss:DeleteObject",
    "cs:UnInstallClusterAddons",
    "ram:DetachPolicyFromUser",
    "ram:DeletePolicy",
    "k8s:delete-secrets@kube-system/alibaba-addon-secret",
    "ram:DeleteAccessKey",
    "ram:DeleteUser",
];

fn story(workflow: &Workflow) -> String {
    let steps = workflow.steps.iter().map(|step| {
        format!("  {} {:?} {:?} {:?}\n", step.name, step.state(), step.undo, step.failure)
    });
    format!("{:?} {:?}\n{}", workflow.state(), workflow.failure, steps.collect::<String>())
}

/// The world of a build under these faults, all of which have struck.
async fn built(rules: Vec<String>) -> String {
    let scene = Scene::start(Options { faults: rules, ..Options::default() }).await;
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{}", story(&workflow));
    assert_eq!(scene.world.faults().list(), Vec::<String>::new(), "not all faults have struck");
    tokio::time::sleep(LANDED).await;
    scene.ledger().await
}

fn rules(calls: &[&str], kind: &str) -> Vec<String> {
    calls.iter().map(|call| format!("{call}:{kind}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_whose_every_first_answer_is_lost_is_as_one_whose_are_not() {
    let (expected, done, late) = tokio::join!(
        built(Vec::new()),
        built(rules(&FORWARD, "cut-after")),
        built(rules(&FORWARD, "late"))
    );
    assert_same(&expected, &done);
    assert_same(&expected, &late);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_whose_every_first_answer_is_lost_restores_the_world() {
    let undone = async |kind: &str| {
        let faults = rules(&BACK, kind);
        let scene = Scene::start(Options { faults, ..Options::default() }).await;
        scene.world.boundaries().arm(At::call("cs:ModifyClusterNodePool", Side::Before));
        let id = scene.build().await;
        scene.world.boundaries().reached().await;
        // From here on nothing but `verify-cni` lists pods: it fails once everything is there.
        scene.world.faults().add("k8s:list-pods:error=403").unwrap();
        scene.world.boundaries().release();
        let workflow = scene.rested(&id).await;
        assert_eq!(workflow.state(), State::Compensated, "{kind}: {}", story(&workflow));
        scene.assert_as_before().await;
    };
    tokio::join!(undone("cut-after"), undone("late"));
}

/// Cancels while the call is lost and has not landed yet.
async fn cancelled_before_it_lands(call: &str) {
    let scene =
        Scene::start(Options { faults: rules(&[call], "late"), ..Options::default() }).await;
    let id = scene.build().await;
    let struck = async {
        while !scene.world.faults().list().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(CALL_LIMIT, struck).await.is_ok(), "{call} is not made");
    scene.client().cancel(&id, "a test").await.unwrap();
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Cancelled, "{call}: {}", story(&workflow));
    tokio::time::sleep(LANDED).await;
    println!("{call}: comparing");
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_undone_while_a_lost_call_can_still_land() {
    let runs = FORWARD.iter().map(|call| cancelled_before_it_lands(call));
    futures::stream::iter(runs).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
}
