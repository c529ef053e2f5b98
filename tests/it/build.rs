//! The guide's cluster, built.

use causeway_proto::v1::workflow::State;
use causeway_sandbox::seed::Seed;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_cluster_is_built_and_recorded() {
    let scene = Scene::guide().await;
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let nodes = scene.world.nodes(&scene.world.seed().clusters[0].id).await.unwrap();
    let cloud: Vec<_> = nodes.iter().filter(|node| node.in_cloud).collect();
    assert_eq!(cloud.len(), 2);
    assert!(nodes.iter().all(|node| node.ready), "{nodes:#?}");
    let record = scene.client().cluster("dc1").await.unwrap();
    assert_eq!(record.workflow, format!("workflows/{id}"));
    assert!(!record.ledger.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_of_the_same_input_leave_the_same_world() {
    let build = async || {
        let scene = Scene::guide().await;
        let id = scene.build().await;
        assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
        scene.ledger().await
    };
    let (one, other) = tokio::join!(build(), build());
    causeway_tests::scene::assert_same(&one, &other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_for_a_cluster_that_has_a_record_is_refused() {
    let scene = Scene::guide().await;
    let id = scene.build().await;
    assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
    let error = scene.client().start(Scene::request(&scene.document(1))).await.unwrap_err();
    assert_eq!(error.reason(), "CLUSTER_EXISTS", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_share_the_policy_and_the_last_one_takes_it_along() {
    let scene = Scene::start(Options { seed: Seed::two_clusters(), ..Options::default() }).await;
    let first = scene.build().await;
    assert_eq!(scene.rested(&first).await.state(), State::Succeeded);
    let after_first = scene.ledger().await;
    // The second fails late, and is undone: the first must stay as it is.
    scene.world.faults().add("cs:ModifyClusterNodePool:error=403/Forbidden").unwrap();
    let second = scene.client().start(Scene::request(&scene.document(2))).await.unwrap();
    let second = scene.rested(second.name.trim_start_matches("workflows/")).await;
    assert_eq!(second.state(), State::Compensated, "{second:#?}");
    causeway_tests::scene::assert_same(&after_first, &scene.ledger().await);
}
