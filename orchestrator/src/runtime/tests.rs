//! The runtime over the memory store: no network, no disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_engine::{Event, PublicState, Workflow, WorkflowId};
use causeway_workflows::{Connection, Timing};

use super::{Error, Handle, Observer, Parts, Runtime, StartRequest};
use crate::clock;
use crate::store::memory::Disk;
use crate::store::{MemoryStore, Sealer, Store};

struct Silent;

impl Observer for Silent {
    fn appended(&self, _state: &Workflow, _events: &[Event]) {}
}

async fn runtime_over(store: Arc<dyn Store>) -> Arc<Runtime> {
    runtime_with(store, causeway_workflows::registry()).await
}

pub(super) async fn runtime_with(store: Arc<dyn Store>, definitions: Vec<causeway_workflows::Definition>) -> Arc<Runtime> {
    let timing = Timing::default();
    let runtime = Runtime::new(Parts {
        fence: store.own(0).await.unwrap(),
        sealer: Arc::new(Sealer::from_hex(&"07".repeat(32), "test").unwrap()),
        definitions,
        connections: BTreeMap::from([(
            String::new(),
            Arc::new(Connection::none(&timing).unwrap()),
        )]),
        timing,
        clock: clock::system(),
        observer: Arc::new(Silent),
        store,
    });
    runtime.recover().await.unwrap();
    runtime
}

fn request(definition: &str) -> StartRequest {
    StartRequest { definition: definition.to_owned(), ..StartRequest::default() }
}

pub(super) async fn ended(handle: &Handle, id: &WorkflowId) -> Arc<Workflow> {
    for _ in 0..500 {
        let state = handle.get(id).await.unwrap();
        if state.is_ended() {
            return state;
        }
        match handle.subscribe(id) {
            Some(mut changes) => {
                tokio::time::timeout(Duration::from_secs(2), changes.changed()).await.ok();
            }
            None => tokio::task::yield_now().await,
        }
    }
    panic!("the workflow does not end: {:?}", handle.get(id).await.unwrap())
}

#[tokio::test]
async fn ten_checks_cost_eleven_appends_and_succeed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let handle = runtime_over(store.clone()).await.handle();
    let id = handle.start(request("saga-10")).await.unwrap();
    let state = ended(&handle, &id).await;
    assert_eq!(state.public_state(), PublicState::Succeeded);
    assert_eq!(store.position(0).number, 11);
}

#[tokio::test]
async fn ten_actions_cost_twenty_one_appends_and_succeed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let handle = runtime_over(store.clone()).await.handle();
    let id = handle.start(request("saga-10-undo")).await.unwrap();
    let state = ended(&handle, &id).await;
    assert_eq!(state.public_state(), PublicState::Succeeded);
    assert_eq!(store.position(0).number, 21);
}

#[tokio::test]
async fn the_same_request_answers_the_same_workflow_and_another_names_the_field() {
    let handle = runtime_over(Arc::new(MemoryStore::open(&Disk::new()).unwrap())).await.handle();
    let with = |labels: &str| StartRequest {
        request_id: "r1".to_owned(),
        fingerprint: BTreeMap::from([("labels".to_owned(), labels.to_owned())]),
        ..request("saga-10")
    };
    let id = handle.start(with("a")).await.unwrap();
    assert_eq!(handle.start(with("a")).await.unwrap(), id);
    let error = handle.start(with("b")).await.unwrap_err();
    assert!(matches!(error, Error::RequestReused { field } if field == "labels"));
}

#[tokio::test]
async fn an_ended_workflow_is_read_again_from_its_records() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let first = runtime_over(store.clone()).await;
    let id = first.handle().start(request("saga-10-undo")).await.unwrap();
    let live = ended(&first.handle(), &id).await;
    first.drain(Duration::from_secs(5)).await;
    let again = runtime_over(store).await.handle();
    assert_eq!(*again.get(&id).await.unwrap(), *live);
    assert!(again.subscribe(&id).is_none());
}
