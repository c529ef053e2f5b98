//! Requests that come again: the same id and input has the same answer and no second effect, also after a restart and after the
//! workflow was deleted; and what stays when one is deleted.

use causeway_client::{ApiError, Ask, Client, Error};
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{
    ApproveStepRequest, CancelWorkflowRequest, PauseWorkflowRequest, ResumeWorkflowRequest,
    StartWorkflowRequest, WatchWorkflowRequest,
};
use causeway_tests::scripted::{GATE, Mode, Scripted, Setup, Switches};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Request, Status};

fn with(request_id: &str) -> Ask {
    Ask { reason: "a test".into(), request_id: request_id.into(), ..Ask::default() }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> ApiError {
    match answer {
        Err(Error::Api(error)) => *error,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// The reason, and the field that differs.
fn reused<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    let error = refused(answer);
    assert_eq!((error.code, error.reason.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    error.metadata["field"].clone()
}

async fn state(client: &Client, id: &str) -> State {
    client.get(id).await.unwrap().state()
}

/// A daemon whose builds run, and go no further.
async fn running(setup: &Setup) -> (Scripted, String) {
    let world = Switches::default();
    world.check(Mode::Later);
    let daemon = Scripted::start(world, setup).await;
    let id = daemon.build(json!({})).await;
    (daemon, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_verb_has_no_second_effect_also_after_a_restart() {
    let setup = Setup::default();
    let (daemon, id) = running(&setup).await;
    let client = daemon.client();
    client.pause(&id, with("r1")).await.unwrap();
    client.resume(&id, with("r2")).await.unwrap();
    let again = client.pause(&id, with("r1")).await.unwrap();
    assert_eq!(again.state(), State::Running, "it was paused once, and resumed since");
    let world = daemon.world.clone();
    daemon.stop().await;
    let daemon = Scripted::start(world, &setup).await;
    let client = daemon.client();
    assert_eq!(client.pause(&id, with("r1")).await.unwrap().state(), State::Running);
    let other = Ask { reason: "another".into(), ..with("r1") };
    assert_eq!(reused(client.pause(&id, other).await), "reason");
    assert_eq!(reused(client.resume(&id, with("r1")).await), "rpc");
    assert_eq!(reused(client.cancel(&id, with("r2")).await), "rpc");
    let start = |id: &str| {
        let mut request = Scripted::request(|_| {});
        request.request_id = id.to_owned();
        client.start(request)
    };
    assert_eq!(reused(start("r1").await), "rpc");
    let second = start("r3").await.unwrap().id;
    assert_eq!(reused(client.pause(&second, with("r1")).await), "name");
    assert_eq!(reused(client.cancel(&second, with("r3")).await), "rpc");
    assert_eq!(state(&client, &second).await, State::Queued, "nothing of it had an effect");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_nothing_is_remembered_and_what_was_refused_is_not() {
    let (daemon, id) = running(&Setup::default()).await;
    let client = daemon.client();
    client.resume(&id, with("r1")).await.unwrap();
    let seen = client.get(&id).await.unwrap();
    client.pause(&id, with("r2")).await.unwrap();
    client.resume(&id, with("r1")).await.unwrap();
    assert_eq!(state(&client, &id).await, State::Paused, "the resume was answered before");
    let stale = Ask { etag: seen.etag, ..with("r3") };
    let mismatch = refused(client.resume(&id, stale).await);
    assert_eq!((mismatch.code, mismatch.reason.as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let present = mismatch.metadata["etag"].clone();
    assert_eq!(present, client.get(&id).await.unwrap().etag);
    client.resume(&id, Ask { etag: present, ..with("r3") }).await.unwrap();
    assert_eq!(state(&client, &id).await, State::Running, "a refusal is judged anew");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_repeated_without_regard_to_what_was_seen_since() {
    let setup = Setup::default();
    let daemon = Scripted::start(Switches::default(), &setup).await;
    let id = daemon.build(json!({"gates": {"spend": {"required": true}}})).await;
    let seen = daemon.becomes(&id, State::AwaitingApproval).await;
    let approve = |etag: &str| ApproveStepRequest {
        name: seen.name.clone(),
        step: GATE.into(),
        etag: etag.into(),
        request_id: "r1".into(),
        ..Default::default()
    };
    daemon.service().await.approve_step(approve(&seen.etag)).await.unwrap();
    let done = daemon.becomes(&id, State::Succeeded).await;
    let world = daemon.world.clone();
    daemon.stop().await;
    let daemon = Scripted::start(world, &setup).await;
    for etag in [&seen.etag, &done.etag] {
        let again = daemon.service().await.approve_step(approve(etag)).await.unwrap().into_inner();
        assert_eq!(again.state(), State::Succeeded);
    }
    let blind = daemon.service().await.approve_step(approve("")).await.unwrap_err();
    assert_eq!(blind.code(), Code::InvalidArgument, "a decision is bound to what was seen");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_have_one_effect() {
    let (daemon, id) = running(&Setup::default()).await;
    let client = daemon.client();
    let (one, other) = tokio::join!(client.pause(&id, with("r1")), client.pause(&id, with("r1")));
    assert_eq!((one.unwrap().state(), other.unwrap().state()), (State::Paused, State::Paused));
    let events = client.events(&id, 1000, "").await.unwrap().events;
    assert_eq!(events.iter().filter(|event| event.r#type == "PAUSED").count(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_belong_to_the_one_who_asks() {
    let token = |name: &str, hash: &str| {
        format!("[auth.tokens.{name}]\nsha256 = \"{hash}\"\nrole = \"operator\"\n")
    };
    let hash = |text: &str| hex::encode(Sha256::digest(text));
    let config = [token("ann", &hash("ann")), token("bob", &hash("bob"))].concat();
    let world = Switches::default();
    world.check(Mode::Later);
    let daemon = Scripted::start(world, &Setup { config, ..Setup::default() }).await;
    let mut service = daemon.service().await;
    fn by<T>(name: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {name}").parse().unwrap());
        request
    }
    let start = Scripted::request(|_| {});
    let name = service.start_workflow(by("ann", start)).await.unwrap().into_inner().name;
    let pause = |reason: &str| PauseWorkflowRequest {
        name: name.clone(),
        reason: reason.into(),
        request_id: "r1".into(),
        ..Default::default()
    };
    service.pause_workflow(by("ann", pause("one"))).await.unwrap();
    let other: Status = service.pause_workflow(by("ann", pause("two"))).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
    service.pause_workflow(by("bob", pause("two"))).await.unwrap();
    let resume =
        ResumeWorkflowRequest { name: name.clone(), request_id: "r2".into(), ..Default::default() };
    service.resume_workflow(by("bob", resume)).await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_workflow_is_gone_and_what_must_stay_stays() {
    let setup = Setup::default();
    let daemon = Scripted::start(Switches::default(), &setup).await;
    let client = daemon.client();
    let mut start = Scripted::request(|_| {});
    start.request_id = "start".into();
    start.workflow_id = "build-1".into();
    let id = client.start(start.clone()).await.unwrap().id;
    let done = daemon.becomes(&id, State::Succeeded).await;
    let stale = refused(client.delete(&id, Ask { etag: "1-0".into(), ..with("d0") }).await);
    assert_eq!(stale.reason, "ETAG_MISMATCH");
    client.delete(&id, Ask { etag: done.etag, ..with("d1") }).await.unwrap();
    gone(&client, &id, &start).await;
    let world = daemon.world.clone();
    daemon.stop().await;
    let daemon = Scripted::start(world, &setup).await;
    gone(&daemon.client(), &id, &start).await;
    daemon.stop().await;
}

/// Everything that must hold once it was deleted.
async fn gone(client: &Client, id: &str, start: &StartWorkflowRequest) {
    assert_eq!(refused(client.get(id).await).reason, "WORKFLOW_NOT_FOUND");
    assert!(client.list(Default::default()).await.unwrap().workflows.is_empty());
    client.delete(id, with("d1")).await.unwrap();
    assert_eq!(refused(client.delete(id, with("d2")).await).reason, "WORKFLOW_NOT_FOUND");
    let expired = refused(client.start(start.clone()).await);
    assert_eq!(
        (expired.code, expired.reason.as_str()),
        (Code::FailedPrecondition, "REQUEST_EXPIRED")
    );
    let anew = StartWorkflowRequest { request_id: "other".into(), ..start.clone() };
    // Its cluster stays, and so does the rule that it is built once.
    assert_eq!(refused(client.start(anew).await).reason, "CLUSTER_EXISTS");
    let cluster = client.cluster("dc1").await.unwrap();
    assert_eq!(cluster.name, "hybridClusters/dc1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_deleted_workflow_is_not_used_again() {
    let setup = Setup::default();
    let daemon = Scripted::start(Switches::default(), &setup).await;
    daemon.world.check(Mode::Later);
    let client = daemon.client();
    let start = |request_id: &str| {
        let mut request = Scripted::request(|_| {});
        (request.workflow_id, request.request_id) = ("build-1".into(), request_id.into());
        request
    };
    client.start(start("r1")).await.unwrap();
    client.cancel("build-1", with("c1")).await.unwrap();
    daemon.becomes("build-1", State::Cancelled).await;
    client.delete("build-1", with("d1")).await.unwrap();
    let world = daemon.world.clone();
    daemon.stop().await;
    let daemon = Scripted::start(world, &setup).await;
    let client = daemon.client();
    let taken = refused(client.start(start("r2")).await);
    assert_eq!((taken.code, taken.reason.as_str()), (Code::AlreadyExists, "WORKFLOW_EXISTS"));
    for answer in [client.start(start("r1")).await, client.cancel("build-1", with("c1")).await] {
        assert_eq!(refused(answer).reason, "REQUEST_EXPIRED");
    }
    client.delete("build-1", with("d1")).await.unwrap();
    let mut anew = start("r2");
    anew.workflow_id = "build-2".into();
    client.start(anew).await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watched_a_deleted_workflow_gets_a_tombstone() {
    let (daemon, id) = running(&Setup::default()).await;
    let name = format!("workflows/{id}");
    let watch = |cursor: String| WatchWorkflowRequest { name: name.clone(), cursor };
    let mut service = daemon.service().await;
    let mut stream = service.watch_workflow(watch(String::new())).await.unwrap().into_inner();
    let snapshot = stream.message().await.unwrap().unwrap();
    assert!(matches!(snapshot.message, Some(Message::Snapshot(_))));
    drop(stream);
    let cancel = CancelWorkflowRequest { name: name.clone(), ..Default::default() };
    service.cancel_workflow(cancel).await.unwrap();
    daemon.becomes(&id, State::Cancelled).await;
    daemon.client().delete(&id, with("d1")).await.unwrap();
    let mut stream = service.watch_workflow(watch(snapshot.cursor)).await.unwrap().into_inner();
    let last = stream.message().await.unwrap().unwrap();
    let Some(Message::Deleted(tombstone)) = last.message else { panic!("a tombstone: {last:?}") };
    assert_eq!(tombstone.name, name);
    assert!(tombstone.time.is_some());
    assert!(stream.message().await.unwrap().is_none(), "nothing comes after it");
    let fresh = service.watch_workflow(watch(String::new())).await.unwrap_err();
    assert_eq!(fresh.code(), Code::NotFound);
    daemon.stop().await;
}
