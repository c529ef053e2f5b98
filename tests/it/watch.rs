//! Following workflows: no event is missed and none comes twice, over kills and restarts of the daemon; pages and waits.

use std::time::Duration;

use causeway_client::Client;
use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{
    ListWorkflowsRequest, NoopSpec, StartWorkflowRequest, Workflow, WorkflowEvent,
};
use causeway_tests::Scene;
use tokio::task::JoinHandle;
use tonic::Code;

/// How long a busy machine may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What a watch has told: the first snapshot, and all events after it.
struct Told {
    snapshot: Workflow,
    events: Vec<WorkflowEvent>,
    snapshots: usize,
}

/// Follows to the end.
async fn follow(client: Client, id: String) -> Told {
    let mut watch = client.watch(&id, "");
    let Some(Message::Snapshot(snapshot)) = watch.next().await.unwrap() else {
        panic!("a watch begins with a snapshot")
    };
    let (mut events, mut snapshots) = (Vec::new(), 1);
    while let Some(message) = watch.next().await.unwrap() {
        match message {
            Message::Event(event) => events.push(event),
            Message::Snapshot(_) => snapshots += 1,
            Message::Heartbeat(_) => {}
            Message::Deleted(_) => panic!("nobody deletes it"),
        }
    }
    Told { snapshot, events, snapshots }
}

/// The whole history, in pages of an odd size.
async fn history(client: &Client, id: &str) -> Vec<WorkflowEvent> {
    let (mut events, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.events(id, 7, &token).await.unwrap();
        assert!(page.events.len() <= 7);
        events.extend(page.events);
        token = page.next_page_token;
        if token.is_empty() {
            return events;
        }
    }
}

/// The etag's first part is the number of the last record that the snapshot knows.
fn known(snapshot: &Workflow) -> u64 {
    snapshot.etag.split('-').next().unwrap().parse().unwrap()
}

fn assert_continues(told: &Told, history: &[WorkflowEvent]) {
    let numbers =
        |events: &[WorkflowEvent]| events.iter().map(|it| it.sequence).collect::<Vec<_>>();
    let all: Vec<u64> = (1..=history.len() as u64).collect();
    assert_eq!(numbers(history), all, "the history has a gap or a repetition");
    let after = usize::try_from(known(&told.snapshot)).unwrap();
    assert_eq!(numbers(&told.events), &all[after..], "the watch has a gap or a repetition");
    assert_eq!(told.events, history[after..], "the watch tells something else than the history");
    assert_eq!(told.snapshots, 1, "a cursor survives a restart");
}

/// Waits until the workflow has come a little further.
async fn further(scene: &Scene, id: &str, than: u64) -> u64 {
    let moving = async {
        loop {
            let workflow = scene.client().get(id).await.unwrap();
            if known(&workflow) > than + 5 || causeway_tests::scene::rests(workflow.state()) {
                return known(&workflow);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, moving).await.expect("it goes on")
}

#[allow(clippy::disallowed_methods, reason = "the test waits for each of them")]
fn watcher(scene: &Scene, id: &str) -> JoinHandle<Told> {
    tokio::spawn(follow(scene.client(), id.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_miss_nothing_and_repeat_nothing_over_kills_and_restarts() {
    let mut scene = Scene::guide().await;
    let id = scene.build().await;
    let mut watches = vec![watcher(&scene, &id)];
    let mut seen = 0;
    for round in 0..4 {
        seen = further(&scene, &id, seen).await;
        watches.push(watcher(&scene, &id));
        if round % 2 == 0 {
            scene.daemon().kill().await;
        } else {
            assert_eq!(scene.daemon().stop().await, Some(0));
        }
        scene.start_daemon(&[]).await;
    }
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let history = history(&scene.client(), &id).await;
    assert_eq!(known(&workflow), history.len() as u64);
    let mut longest = 0;
    for watch in watches {
        let told = tokio::time::timeout(LIMIT, watch).await.expect("it ends").unwrap();
        assert_continues(&told, &history);
        assert_eq!(
            told.events.last().map_or(State::Succeeded, WorkflowEvent::state),
            State::Succeeded
        );
        longest = longest.max(told.events.len());
    }
    assert!(longest > 30, "the first watch sees nearly all of it, not {longest} events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_from_any_cursor_and_refuses_a_foreign_one() {
    let mut scene = Scene::guide().await;
    let id = scene.build().await;
    let client = scene.client();
    let mut watch = client.watch(&id, "");
    let mut cursors = Vec::new();
    let mut events = Vec::new();
    while let Some(message) = watch.next().await.unwrap() {
        if let Message::Event(event) = message {
            events.push(event);
            cursors.push(watch.cursor().to_owned());
        }
    }
    scene.daemon().kill().await;
    scene.start_daemon(&[]).await;
    for at in [0, cursors.len() / 2, cursors.len() - 2, cursors.len() - 1] {
        let mut rest = Vec::new();
        let mut watch = client.watch(&id, &cursors[at]);
        while let Some(message) = watch.next().await.unwrap() {
            let Message::Event(event) = message else { panic!("{message:?} after a cursor") };
            rest.push(event);
        }
        assert_eq!(rest, events[at + 1..], "from cursor {at}");
    }
    // A cursor of another store is refused, and the client begins anew with a snapshot.
    let other = Scene::guide().await;
    let foreign = other.build().await;
    let mut watch = other.client().watch(&foreign, "");
    watch.next().await.unwrap();
    let mut confused = client.watch(&id, watch.cursor());
    assert!(matches!(confused.next().await.unwrap(), Some(Message::Snapshot(_))));
    // Nobody can follow what is not there.
    let error = client.watch("w-none", "").next().await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Some(Code::NotFound), "WORKFLOW_NOT_FOUND"));
}

fn noop() -> StartWorkflowRequest {
    StartWorkflowRequest { spec: Some(Spec::Noop(NoopSpec::default())), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_workflows_hold_each_once_newest_first_also_while_more_are_started_and_after_a_restart()
 {
    let mut scene = Scene::guide().await;
    let mut started = Vec::new();
    for _ in 0..11 {
        started.push(scene.client().start(noop()).await.unwrap().id);
    }
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let request =
            ListWorkflowsRequest { page_size: 3, page_token: token.clone(), ..Default::default() };
        let page = scene.client().list(request).await.unwrap();
        assert!(page.workflows.len() <= 3);
        listed.extend(page.workflows.into_iter().map(|workflow| workflow.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        // What comes later is newer than all pages to come.
        scene.client().start(noop()).await.unwrap();
        if listed.len() == 6 {
            scene.daemon().kill().await;
            scene.start_daemon(&[]).await;
        }
    }
    started.reverse();
    assert_eq!(listed, started);
    for (request, reason) in [
        (
            ListWorkflowsRequest { page_token: "forged".into(), ..Default::default() },
            "PAGE_TOKEN_INVALID",
        ),
        (ListWorkflowsRequest { page_size: -1, ..Default::default() }, "INVALID_FIELD"),
        (ListWorkflowsRequest { filter: "stat = x".into(), ..Default::default() }, "INVALID_FIELD"),
    ] {
        let error = scene.client().list(request).await.unwrap_err();
        assert_eq!(
            (error.code(), error.reason()),
            (Some(Code::InvalidArgument), reason),
            "{error}"
        );
    }
}

/// Waits from change to change, what it waits for included, until the state is that one; no answer comes without a change.
async fn changed_to(scene: &Scene, known: &Workflow, wanted: State) -> Workflow {
    let digest = |workflow: &Workflow| workflow.etag.split_once('-').unwrap().1.to_owned();
    let client = scene.client();
    let waiting = async {
        let mut known = known.clone();
        loop {
            let now = client.wait(&known.id, &known.etag, LIMIT).await.unwrap();
            assert_ne!(digest(&now), digest(&known), "{now:#?}");
            if now.state() == wanted {
                return now;
            }
            known = now;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("it comes to that state")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_answers_at_a_change_of_the_state_or_at_its_timeout_and_over_a_restart() {
    let mut scene = Scene::guide().await;
    scene.world.faults().add("cs:CreateClusterNodePool:error=403/Forbidden").unwrap();
    let id = scene.build().await;
    let running = scene.client().get(&id).await.unwrap();
    assert_eq!(running.state(), State::Running);
    let waited = scene.client().wait(&id, &running.etag, Duration::ZERO).await.unwrap();
    assert_eq!(waited.state(), State::Running);
    let turned = changed_to(&scene, &running, State::Compensating).await;
    scene.daemon().kill().await;
    scene.start_daemon(&[]).await;
    let ended = changed_to(&scene, &turned, State::Compensated).await;
    let client = scene.client();
    let at_once = client.wait(&id, &ended.etag, Duration::from_secs(30));
    let at_once = tokio::time::timeout(Duration::from_secs(20), at_once).await;
    assert_eq!(
        at_once.expect("an ended one is not waited for").unwrap().state(),
        State::Compensated
    );
    scene.assert_as_before().await;
}
