//! The runtime over the memory store: no network, no disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use causeway_engine::event::{Resolution, RunOptions, Undone};
use causeway_engine::{Failure, PublicState, Verb, Workflow, WorkflowId};
use causeway_workflows::preview::Preview;
use causeway_workflows::sdk::{Action, Check, Checked, Confirm, Context, Observed, Revert};
use causeway_workflows::{Definition, Template, Work};
use futures::FutureExt as _;

use super::fixture::Moving;
pub(super) use super::fixture::{runtime_over, runtime_with};
use super::{Ask, Error, Handle, Repeatable, StartRequest};
use crate::config::Retention;
use crate::store::memory::Disk;
use crate::store::{Append, MemoryStore, RequestRow, Store, VALUE_BYTES_MAX};

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
async fn a_start_whose_caller_goes_away_goes_on() {
    let handle = runtime_over(Arc::new(MemoryStore::open(&Disk::new()).unwrap())).await.handle();
    let id = WorkflowId::from("w1");
    let request = StartRequest { id: Some(id.clone()), ..request("saga-10") };
    assert!(handle.start(request).now_or_never().is_none(), "it is let go of in the middle");
    while handle.get(&id).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ended(&handle, &id).await.public_state(), PublicState::Succeeded);
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
        request: Repeatable {
            id: "r1".to_owned(),
            rpc: "StartWorkflow",
            fields: BTreeMap::from([("labels".to_owned(), labels.to_owned())]),
        },
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

#[tokio::test]
async fn a_moved_connection_parks_the_workflow_until_it_is_resumed() {
    let back = Arc::new(AtomicBool::new(false));
    let template = Template::check("check", Moving(back.clone()));
    let definition = Definition {
        name: "moving",
        revision: 1,
        templates: vec![template],
        cluster_id: None,
        undoes: None,
    };
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let handle = runtime_with(store, vec![definition]).await.handle();
    let id = handle.start(request("moving")).await.unwrap();
    let mut changes = handle.subscribe(&id).unwrap();
    while handle.get(&id).await.unwrap().public_state() != PublicState::Paused {
        changes.changed().await.unwrap();
    }
    assert_eq!(handle.get(&id).await.unwrap().waiting().unwrap().reason, "CONNECTION_MOVED");
    back.store(true, Ordering::SeqCst);
    handle.ask(&id, Verb::Resume, Ask::default()).await.unwrap();
    assert_eq!(ended(&handle, &id).await.public_state(), PublicState::Succeeded);
}

/// Confirms slowly.
#[derive(Clone, Default)]
struct Slow {
    confirming: Arc<tokio::sync::Notify>,
    go_on: Arc<tokio::sync::Notify>,
}

#[async_trait]
impl Action for Slow {
    async fn observe(&self, _context: &Context) -> Result<Observed, Failure> {
        Ok(Observed::change(serde_json::Value::Null))
    }

    async fn preview(&self, _context: &Context) -> Result<Preview, Failure> {
        Ok(Preview::default())
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, _context: &Context) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::Value::Null)
    }

    async fn confirm(&self, _context: &Context) -> Result<Confirm, Failure> {
        self.confirming.notify_one();
        self.go_on.notified().await;
        Ok(Confirm::Holds(serde_json::Value::Null))
    }

    async fn resolve(
        &self,
        _context: &Context,
    ) -> Result<(Resolution, serde_json::Value), Failure> {
        Ok((Resolution::NoEffect, serde_json::Value::Null))
    }

    async fn revert(&self, _context: &Context) -> Result<Revert, Failure> {
        Ok(Revert::Done(Undone::Reverted))
    }
}

#[tokio::test]
async fn an_undo_does_not_wait_for_a_confirmation_as_that_only_reads() {
    let slow = Slow::default();
    let template = Template::action("slow", slow.clone());
    let definition = Definition {
        name: "slow",
        revision: 1,
        templates: vec![template],
        cluster_id: None,
        undoes: None,
    };
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let handle = runtime_with(store, vec![definition]).await.handle();
    let id = handle.start(request("slow")).await.unwrap();
    slow.confirming.notified().await;
    handle.ask(&id, Verb::Cancel, Ask::default()).await.unwrap();
    assert_eq!(ended(&handle, &id).await.public_state(), PublicState::Cancelled);
    slow.go_on.notify_one();
}

#[tokio::test]
async fn a_workflow_whose_definition_has_changed_is_parked() {
    let definition = |names: &[&'static str]| Definition {
        name: "moving",
        revision: 1,
        templates: names.iter().map(|name| Template::check(name, Moving(Arc::default()))).collect(),
        cluster_id: None,
        undoes: None,
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let first = runtime_with(store.clone(), vec![definition(&["check"])]).await;
    let id = first.handle().start(request("moving")).await.unwrap();
    first.drain(Duration::from_secs(5)).await;
    let handle = runtime_with(store, vec![definition(&["check", "another"])]).await.handle();
    let mut changes = handle.subscribe(&id).unwrap();
    let reason = |state: &Workflow| state.waiting().map(|waiting| waiting.reason);
    while reason(&handle.get(&id).await.unwrap()).as_deref() != Some("DEFINITION_UNKNOWN") {
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
    }
}

/// Passes, and seals more than a row of the store takes.
struct Sealing;

#[async_trait]
impl Check for Sealing {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let output = context.seal("big", "x".repeat(2 * VALUE_BYTES_MAX).into());
        Ok(Checked::Passed { output, warnings: Vec::new() })
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }
}

#[tokio::test]
async fn a_secret_that_is_too_long_to_be_kept_fails_its_step_and_ends_nothing() {
    let templates = vec![Template::check("seal", Sealing)];
    let sealing =
        Definition { name: "sealing", revision: 1, templates, cluster_id: None, undoes: None };
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let runtime = runtime_with(store, vec![sealing]).await;
    let id = runtime.handle().start(request("sealing")).await.unwrap();
    let state = ended(&runtime.handle(), &id).await;
    assert_eq!(state.public_state(), PublicState::Rejected);
    let failure = format!("{state:?}");
    assert!(failure.contains("TOO_LARGE") && !failure.contains("xx"), "{failure}");
    assert_eq!(*runtime.failure().borrow(), None);
}

#[tokio::test]
async fn an_ended_workflow_is_deleted_once_its_time_is_over_and_a_live_one_never() {
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let templates = vec![Template::new("gate", Work::Gate)];
    let gated =
        Definition { name: "gated", revision: 1, templates, cluster_id: None, undoes: None };
    let runtime = runtime_with(store, vec![gated]).await;
    let handle = runtime.handle();
    let done = handle.start(request("gated")).await.unwrap();
    ended(&handle, &done).await;
    let gates = [("gate".to_owned(), 60_000)].into();
    let options = RunOptions { gates, ..RunOptions::default() };
    let live = handle.start(StartRequest { options, ..request("gated") }).await.unwrap();
    let kept = Retention { max_age: Duration::from_secs(60), max_count: 10 };
    assert_eq!(runtime.retain(kept).await.unwrap(), 0);
    assert_eq!(runtime.retain(Retention { max_count: 0, ..kept }).await.unwrap(), 1);
    assert!(matches!(handle.get(&done).await, Err(Error::NotFound { .. })));
    assert!(handle.get(&live).await.is_ok());
}

#[tokio::test]
async fn a_request_is_forgotten_once_its_time_is_over() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let runtime = runtime_over(store.clone()).await;
    let mut append = Append::new(runtime.fence, "w1", 0);
    append.events = vec![b"{}".to_vec()];
    for (key, expires_ms) in [("old", 1), ("young", u64::MAX)] {
        append.requests.push(RequestRow { key: key.to_owned(), body: Vec::new(), expires_ms });
    }
    store.append(append).await.unwrap();
    runtime.forget_requests().await.unwrap();
    assert_eq!(store.request("old").await.unwrap(), None);
    assert!(store.request("young").await.unwrap().is_some());
}
