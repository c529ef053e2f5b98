//! One hand on a thing (P8): workflows on one cluster queue and say for whom they wait, and what two clusters share stays as long
//! as one of them needs it.

use std::time::Duration;

use causeway_proto::v1::waiting::Reason;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Step, Workflow};
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::seed::Seed;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::scene::assert_same;
use serde_json::Value;

/// The policy of the guide, as the ledger has it.
const POLICY: &str = "ack-one-registered-cluster-policy-terway-eniip";
/// What makes a build fail late, with everything before it done.
const LATE_FAULT: &str = "cs:ModifyClusterNodePool:error=403/Forbidden";

/// How long a busy machine may take.
const LIMIT: Duration = Duration::from_secs(120);

async fn started(scene: &Scene, n: usize) -> String {
    scene.client().start(Scene::request(&scene.document(n))).await.unwrap().id
}

async fn two_clusters() -> Scene {
    Scene::start(Options { seed: Seed::two_clusters(), ..Options::default() }).await
}

/// The first workflow, stopped in the middle, and the second on the same cluster, which waits. The stopped call is never let through:
/// it might land when the daemon has long given it up.
async fn one_behind_the_other(scene: &Scene) -> (String, Workflow) {
    scene.world.boundaries().arm(At::call("cs:InstallClusterAddons", Side::Before));
    let first = scene.build().await;
    scene.world.boundaries().reached().await;
    let second = scene.build().await;
    (first, scene.client().get(&second).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_workflow_on_a_cluster_says_for_whom_it_waits_and_is_rejected_after_a_success() {
    let scene = Scene::guide().await;
    let (first, second) = one_behind_the_other(&scene).await;
    assert_eq!(second.state(), State::Queued, "{second:#?}");
    let waiting = second.waiting.clone().expect("a queued workflow says why");
    assert_eq!(waiting.reason(), Reason::QueuedBehind, "{waiting:#?}");
    assert!(waiting.on.contains(&first), "{waiting:#?}");

    scene.world.boundaries().drop_call();
    assert_eq!(scene.rested(&first).await.state(), State::Succeeded);
    let built = scene.ledger().await;
    let second = scene.rested(&second.id).await;
    assert_eq!(second.state(), State::Rejected, "{second:#?}");
    let failure = second.failure.expect("a rejected workflow says why");
    assert_eq!(failure.code, "CLUSTER_EXISTS", "{failure:#?}");
    assert!(failure.message.contains("dc1"), "{failure:#?}");
    assert_same(&built, &scene.ledger().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_workflow_runs_once_the_one_before_it_was_undone() {
    let scene = Scene::guide().await;
    let (first, second) = one_behind_the_other(&scene).await;
    scene.client().cancel(&first, "the next one shall build it").await.unwrap();
    scene.world.boundaries().drop_call();
    assert_eq!(scene.rested(&first).await.state(), State::Cancelled);
    assert_eq!(scene.rested(&second.id).await.state(), State::Succeeded);
    let record = scene.client().cluster("dc1").await.unwrap();
    assert_eq!(record.workflow, second.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_keeps_its_order_over_a_kill_and_a_waiting_one_can_leave_it() {
    let mut scene = Scene::guide().await;
    let (first, second) = one_behind_the_other(&scene).await;
    let third = scene.build().await;
    scene.daemon().kill().await;
    scene.world.boundaries().drop_call();
    scene.start_daemon(&[]).await;
    let cancelled = scene.client().cancel(&second.id, "not needed").await.unwrap();
    assert_eq!(cancelled.state(), State::Cancelled);
    assert_eq!(scene.rested(&first).await.state(), State::Succeeded);
    let third = scene.rested(&third).await;
    assert_eq!(third.state(), State::Rejected, "{third:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_live_builds_may_not_share_a_name() {
    let scene = two_clusters().await;
    scene.world.boundaries().arm(At::call("cs:InstallClusterAddons", Side::Before));
    let first = scene.build().await;
    scene.world.boundaries().reached().await;
    let mut request = Scene::request(&scene.document(2));
    request.metadata.as_mut().unwrap().name = "dc1".into();
    let error = scene.client().start(request).await.unwrap_err();
    assert_eq!(error.reason(), "CLUSTER_EXISTS", "{error}");
    assert!(error.to_string().contains(&first), "{error}");
    scene.world.boundaries().drop_call();
    assert_eq!(scene.rested(&first).await.state(), State::Succeeded);
}

/// Two clusters whose builds have come as far as their node pools, and wait there.
async fn both_at_their_pools(seed: Seed) -> (Scene, [String; 2]) {
    let options = Options { seed, ..Options::default() };
    let mut scene = Scene::without_daemon(options).await;
    let config = scene.world.folder().file("causewayd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // Throttling is waited out, however long the test takes.
    let patient = text.lines().map(|line| match line.split_once(" = ") {
        Some(("retry_give_up", _)) => "retry_give_up = \"10m\"",
        _ => line,
    });
    std::fs::write(&config, patient.collect::<Vec<_>>().join("\n")).unwrap();
    scene.start_daemon(&[]).await;
    scene.world.faults().add("cs:CreateClusterNodePool:throttle:*").unwrap();
    let ids = [started(&scene, 1).await, started(&scene, 2).await];
    for id in &ids {
        waits_for_its_pool(&scene, id).await;
    }
    (scene, ids)
}

async fn waits_for_its_pool(scene: &Scene, id: &str) {
    let waiting = async {
        loop {
            let workflow = scene.client().get(id).await.unwrap();
            assert!(!causeway_tests::scene::rests(workflow.state()), "{workflow:#?}");
            let pool = |step: &&Step| step.template == "create-node-pool";
            let pool = workflow.steps.iter().find(pool).unwrap();
            if pool.state() == causeway_proto::v1::step::State::RetryWait {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("it gets as far as its node pool");
}

async fn one_leaves_and_the_other_goes_on(seed: Seed, first_to_leave: usize) {
    let (scene, ids) = both_at_their_pools(seed).await;
    let (leaver, stayer) = (&ids[first_to_leave - 1], &ids[2 - first_to_leave]);
    scene.client().cancel(leaver, "it leaves").await.unwrap();
    assert_eq!(scene.rested(leaver).await.state(), State::Cancelled);
    scene.world.faults().clear();
    let stayed = scene.rested(stayer).await;
    assert_eq!(stayed.state(), State::Succeeded, "{stayed:#?}");
    assert!(scene.ledger().await.contains(POLICY));
    let nodes = scene.world.nodes(&stayed.cluster_id).await.unwrap();
    assert_eq!(nodes.iter().filter(|node| node.in_cloud && node.ready).count(), 2, "{nodes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_cluster_keeps_what_is_shared_when_the_first_leaves() {
    one_leaves_and_the_other_goes_on(Seed::two_clusters(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_cluster_keeps_what_is_shared_when_the_second_leaves() {
    one_leaves_and_the_other_goes_on(Seed::two_clusters(), 2).await;
}

async fn both_leave(seed: Seed, first_to_leave: usize) {
    let (scene, ids) = both_at_their_pools(seed).await;
    let (first, last) = (&ids[first_to_leave - 1], &ids[2 - first_to_leave]);
    scene.client().cancel(first, "one").await.unwrap();
    assert_eq!(scene.rested(first).await.state(), State::Cancelled);
    assert!(scene.ledger().await.contains(POLICY), "the policy went with the first");
    if let Some(user) = &scene.world.seed().clusters[0].data_center.addon_user {
        assert!(policies_of(&scene, user).await.contains(POLICY), "the grant went with the first");
    }
    scene.client().cancel(last, "the other").await.unwrap();
    assert_eq!(scene.rested(last).await.state(), State::Cancelled);
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_goes_with_the_second_when_it_leaves_last() {
    both_leave(Seed::two_clusters(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_goes_with_the_first_when_it_leaves_last() {
    both_leave(Seed::two_clusters(), 2).await;
}

/// Two clusters whose add-ons' Secrets hold a key of one RAM user, which somebody made for both.
fn one_user_for_both() -> Seed {
    let mut seed = Seed::two_clusters();
    for cluster in &mut seed.clusters {
        cluster.data_center.addon_user = Some("ack-one-addons".into());
    }
    seed
}

/// What is attached to a user, as the ledger has it.
async fn policies_of(scene: &Scene, user: &str) -> String {
    let ledger: Value = serde_json::from_str(&scene.ledger().await).unwrap();
    ledger["cloud"]["ram"]["users"][user].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_of_one_user_stays_for_the_second_cluster_when_the_first_leaves() {
    one_leaves_and_the_other_goes_on(one_user_for_both(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_of_one_user_stays_for_the_first_cluster_when_the_second_leaves() {
    one_leaves_and_the_other_goes_on(one_user_for_both(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_of_one_user_goes_with_the_second_cluster_when_it_leaves_last() {
    both_leave(one_user_for_both(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_of_one_user_goes_with_the_first_cluster_when_it_leaves_last() {
    both_leave(one_user_for_both(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_that_fail_at_the_same_time_leave_the_world_as_it_was() {
    let scene = two_clusters().await;
    scene.world.faults().add(&format!("{LATE_FAULT}:*")).unwrap();
    let ids = [started(&scene, 1).await, started(&scene, 2).await];
    for id in &ids {
        let workflow = scene.rested(id).await;
        assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    }
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_addons_secret_of_somebody_else_is_adopted_and_survives_the_undo() {
    let mut seed = Seed::guide();
    seed.clusters[0].data_center.addon_user = Some("ack-one-addons".into());
    let scene = Scene::start(Options { seed, ..Options::default() }).await;
    scene.world.faults().add(LATE_FAULT).unwrap();
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    let created: Vec<_> = scene
        .world
        .boundaries()
        .passed()
        .into_iter()
        .map(|boundary| boundary.action)
        .filter(|action| action == "CreateUser" || action == "CreateAccessKey")
        .collect();
    assert!(created.is_empty(), "the user and the key are there: {created:?}");
    scene.assert_as_before().await;

    // And with success: the build goes on with what is there.
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
}
