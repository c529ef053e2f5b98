//! The client as a library: the program that others are to copy, and all workflows followed at once, over kills and restarts.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use causeway_client::{Change, Client, WatchAll};
use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{ListWorkflowsRequest, NoopSpec, StartWorkflowRequest, Workflow};
use causeway_tests::Scene;

#[path = "../../client/examples/build_and_watch.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program, called by people")]
mod build_and_watch;

/// How long a busy machine may take.
const LIMIT: Duration = Duration::from_secs(150);

fn order(scene: &Scene, request_id: &str) -> StartWorkflowRequest {
    let request = Scene::request(&scene.document(1));
    StartWorkflowRequest { request_id: request_id.to_owned(), ..request }
}

fn noop() -> StartWorkflowRequest {
    StartWorkflowRequest { spec: Some(Spec::Noop(NoopSpec::default())), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_builds_a_cluster_and_finds_it_again_by_its_request() {
    let scene = Scene::guide().await;
    let client = scene.client();
    let build = || build_and_watch::build(&client, order(&scene, "order-1"), pending());
    let built = tokio::time::timeout(LIMIT, Box::pin(build())).await.unwrap().unwrap();
    assert_eq!(built.state(), State::Succeeded, "{built:#?}");
    let again = Box::pin(build()).await.unwrap();
    assert_eq!((again.state(), again.id), (State::Succeeded, built.id));
    let other = order(&scene, "order-2");
    let refused = Box::pin(build_and_watch::build(&scene.client(), other, pending())).await;
    assert_eq!(refused.unwrap_err().reason(), "CLUSTER_EXISTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_cancels_and_follows_the_undo_to_its_end() {
    let scene = Scene::guide().await;
    let client = scene.client();
    // Once something was made.
    let stop = async {
        let mut watch = client.watch_all("type=hybrid-cluster", "");
        loop {
            match watch.next().await.unwrap() {
                Change::Event(event) if event.r#type == "EFFECT_SEEN" => return,
                _ => {}
            }
        }
    };
    let build = Box::pin(build_and_watch::build(&client, order(&scene, "order-1"), stop));
    let ended = tokio::time::timeout(LIMIT, build).await.unwrap().unwrap();
    assert_eq!(ended.state(), State::Cancelled, "{ended:#?}");
    scene.assert_as_before().await;
}

/// What somebody who only listens knows: the state and the number of the last record of each.
#[derive(Default)]
struct Known {
    workflows: BTreeMap<String, (State, u64)>,
    forgotten: usize,
}

impl Known {
    async fn listen(&mut self, watch: &mut WatchAll) -> Change {
        let change =
            tokio::time::timeout(LIMIT, watch.next()).await.expect("something comes").unwrap();
        match &change {
            Change::Forget => {
                self.workflows.clear();
                self.forgotten += 1;
            }
            Change::Snapshot(workflow) => {
                let known = (workflow.state(), records(workflow));
                let before = self.workflows.insert(workflow.name.clone(), known);
                assert!(before.is_none(), "a snapshot of what was known: {workflow:?}");
            }
            Change::Event(event) => {
                let known =
                    self.workflows.get_mut(&event.workflow).expect("a snapshot comes first");
                assert_eq!(event.sequence, known.1 + 1, "a gap or a repetition: {event:?}");
                *known = (event.state(), event.sequence);
            }
            Change::Deleted(name) => drop(self.workflows.remove(name)),
            Change::Alive => {}
        }
        change
    }

    async fn listen_until(&mut self, watch: &mut WatchAll, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            self.listen(watch).await;
        }
    }
}

fn records(workflow: &Workflow) -> u64 {
    workflow.etag.split('-').next().unwrap().parse().unwrap()
}

/// What there is.
async fn listed(client: &Client) -> BTreeMap<String, (State, u64)> {
    let page = client.list(ListWorkflowsRequest::default()).await.unwrap();
    let mut found = BTreeMap::new();
    for workflow in page.workflows {
        let whole = client.get(&workflow.id).await.unwrap();
        found.insert(workflow.name.clone(), (whole.state(), records(&whole)));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn all_workflows_are_followed_over_kills_and_restarts_without_gap_or_repetition() {
    let mut scene = Scene::guide().await;
    let client = scene.client();
    let first = client.start(noop()).await.unwrap();
    let mut watch = client.watch_all("", "");
    let mut known = Known::default();
    known.listen_until(&mut watch, |known| !known.workflows.is_empty()).await;
    let build = scene.build().await;
    for round in 0..4 {
        let name = format!("workflows/{build}");
        let so_far = known.workflows.get(&name).map_or(0, |(_, records)| *records);
        known
            .listen_until(&mut watch, |known| {
                known.workflows.get(&name).is_some_and(|(state, records)| {
                    *records > so_far + 5 || *state == State::Succeeded
                })
            })
            .await;
        client.start(noop()).await.unwrap();
        if round % 2 == 0 {
            scene.daemon().kill().await;
        } else {
            assert_eq!(scene.daemon().stop().await, Some(0));
        }
        scene.start_daemon(&[]).await;
    }
    let built = scene.rested(&build).await;
    assert_eq!(built.state(), State::Succeeded);
    known
        .listen_until(&mut watch, |known| {
            known.workflows.len() == 6
                && known.workflows.values().all(|(state, _)| *state == State::Succeeded)
        })
        .await;
    client.delete(&first.id, "a test").await.unwrap();
    known.listen_until(&mut watch, |known| !known.workflows.contains_key(&first.name)).await;
    assert_eq!(known.workflows, listed(&client).await);
    assert_eq!(known.forgotten, 0, "a cursor survives a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_the_daemon_does_not_know_makes_the_client_begin_anew() {
    let scene = Scene::guide().await;
    let client = scene.client();
    client.start(noop()).await.unwrap();
    let mut known = Known::default();
    let mut watch = client.watch_all("type=saga-10", "");
    known.listen(&mut watch).await;
    let mut other = client.watch_all("", watch.cursor());
    let mut anew = Known::default();
    assert_eq!(anew.listen(&mut other).await, Change::Forget);
    assert!(matches!(anew.listen(&mut other).await, Change::Snapshot(_)));
    let error = client.watch_all("stat=x", "").next().await.unwrap_err();
    assert_eq!((error.reason(), error.violations()[0].path.as_str()), ("INVALID_FIELD", "filter"));
}
