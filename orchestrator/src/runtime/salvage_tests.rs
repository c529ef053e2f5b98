//! Workflows with corrupt rows: kept apart with what they hold, shown as far as they can be read, and given up in one append.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_engine::event::{Claim, Object, Origin, Resolution, Undone};
use causeway_engine::{Failure, PublicState, Reason, ResourceKey, Verb, Workflow, WorkflowId};
use causeway_workflows::preview::Preview;
use causeway_workflows::sdk::{Action, Context, Observed, Revert};
use causeway_workflows::{Definition, Template};
use serde_json::Value;
use tokio::sync::Notify;

use super::fixture::{record, runtime_with, write};
use super::tests::ended;
use super::{Ask, Error, Handle, StartRequest};
use crate::store::memory::Disk;
use crate::store::{MemoryStore, Store};

const CLAIM: &str = "account/1/ram-policy/p";
const KEY: &str = "account/1/ram-user/u";

/// Makes a thing, and is never done.
#[derive(Clone, Default)]
struct Making(Arc<Notify>);

#[async_trait]
impl Action for Making {
    async fn observe(&self, _context: &Context) -> Result<Observed, Failure> {
        let claim = Claim { key: CLAIM.into(), origin: Origin::Created, before: Value::Null };
        Ok(Observed::change(Value::Null).claiming(claim))
    }

    async fn preview(&self, _context: &Context) -> Result<Preview, Failure> {
        Ok(Preview::default())
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let thing = Object {
            kind: "thing".to_owned(),
            id: "thing-1".to_owned(),
            origin: Origin::Created,
            present: true,
            remedy: "remove thing-1".to_owned(),
            facts: Value::Null,
        };
        context.recorder.seen(thing).await?;
        self.0.notify_one();
        std::future::pending().await
    }

    async fn resolve(&self, _context: &Context) -> Result<(Resolution, Value), Failure> {
        Ok((Resolution::Partial, Value::Null))
    }

    async fn revert(&self, _context: &Context) -> Result<Revert, Failure> {
        Ok(Revert::Done(Undone::Reverted))
    }

    async fn claim_key(&self, _context: &Context) -> Result<Option<ResourceKey>, Failure> {
        Ok(Some(CLAIM.into()))
    }
}

fn definitions(making: &Making) -> Vec<Definition> {
    let template = Template::action("make", making.clone()).keys(|_| vec![KEY.into()]);
    let leaving = Definition {
        name: "leaving",
        revision: 1,
        templates: vec![template],
        cluster_id: None,
        undoes: None,
    };
    causeway_workflows::registry().into_iter().chain([leaving]).collect()
}

fn request(definition: &str) -> StartRequest {
    StartRequest { definition: definition.to_owned(), ..StartRequest::default() }
}

async fn ask(handle: &Handle, id: &WorkflowId, verb: Verb) -> Result<Arc<Workflow>, Error> {
    handle.ask(id, verb, Ask::default()).await
}

/// A workflow in the middle of a change, whose daemon is gone.
async fn left_alone(store: &Arc<MemoryStore>) -> WorkflowId {
    let making = Making::default();
    let runtime = runtime_with(store.clone(), definitions(&making)).await;
    let id = runtime.handle().start(request("leaving")).await.unwrap();
    making.0.notified().await;
    runtime.drain(Duration::ZERO).await;
    id
}

/// Rows to damage.
#[derive(Debug, Clone, Copy)]
struct Damage {
    first: bool,
    last: bool,
    head: bool,
}

const DAMAGES: [Damage; 5] = [
    Damage { first: true, last: false, head: false },
    Damage { first: false, last: true, head: false },
    Damage { first: false, last: false, head: true },
    Damage { first: true, last: false, head: true },
    Damage { first: false, last: true, head: true },
];

async fn damage(store: &MemoryStore, id: &WorkflowId, damage: Damage) {
    let last = store.head(id.as_str()).await.unwrap().unwrap().records - 1;
    let damaged = [(damage.first, 0), (damage.last, last)];
    for (_, record) in damaged.into_iter().filter(|(wanted, _)| *wanted) {
        store.damage_record(id.as_str(), record).unwrap();
    }
    if damage.head {
        store.damage_head(id.as_str()).unwrap();
    }
}

async fn listed(handle: &Handle) -> Vec<(String, PublicState, String)> {
    let (summaries, _) = handle.list(None, 10).await.unwrap();
    let line = |summary: super::Summary| (summary.id, summary.state, summary.waiting_reason);
    summaries.into_iter().map(line).collect()
}

fn lists_what_is_left(state: &Workflow, damage: Damage) {
    let left = state.left();
    let named = |id: &str| left.iter().any(|left| left.object.id == id);
    // Where the record of the thing is lost, the step stands for it, with what it was about to touch.
    assert!(if damage.last { named(KEY) } else { named("thing-1") }, "{damage:?}: {left:?}");
}

#[tokio::test]
async fn a_corrupt_workflow_is_shown_keeps_its_locks_and_can_only_be_abandoned() {
    for kind in DAMAGES {
        let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
        let id = left_alone(&store).await;
        damage(&store, &id, kind).await;
        let unreadable = store.readable_records(id.as_str()).await.unwrap().errors.len();
        let runtime = runtime_with(store.clone(), definitions(&Making::default())).await;
        let handle = runtime.handle();

        let state = handle.get(&id).await.unwrap();
        assert_eq!(state.public_state(), PublicState::Quarantined, "{kind:?}");
        let waiting = state.waiting().unwrap();
        assert_eq!(waiting.reason, "QUARANTINED");
        assert!(waiting.on.contains("can't be read"), "{kind:?}: {}", waiting.on);
        assert_eq!(waiting.next_commands, [format!("abandon {id} --reason WHY")]);
        lists_what_is_left(&state, kind);
        let line = (id.to_string(), PublicState::Quarantined, "QUARANTINED".to_owned());
        assert_eq!(listed(&handle).await, [line], "{kind:?}");
        assert_eq!(store.locks().await.unwrap()[0].key, KEY);

        let refused = ask(&handle, &id, Verb::Cancel).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Rejected { rejection, state: Some(PublicState::Quarantined) }
                if rejection.reason == Reason::Quarantined),
            "{kind:?}: {refused}"
        );
        let other = handle.start(request("saga-10")).await.unwrap();
        assert_eq!(ended(&handle, &other).await.public_state(), PublicState::Succeeded);

        let mut changes = handle.subscribe(&id).unwrap();
        let position = store.position(0).number;
        let state = ask(&handle, &id, Verb::Abandon).await.unwrap();
        assert_eq!(store.position(0).number, position + 1, "all of it is one append");
        assert_eq!(state.public_state(), PublicState::Abandoned, "{kind:?}");
        assert!(changes.changed().await.is_ok(), "whoever watches is told");
        lists_what_is_left(&state, kind);
        assert_eq!(store.locks().await.unwrap(), []);
        assert_eq!(store.claim(CLAIM).await.unwrap(), None);
        let audit = store.audit(0, position, 10).await.unwrap();
        assert!(String::from_utf8_lossy(&audit[0].1).contains("Abandon"));

        let records = store.readable_records(id.as_str()).await.unwrap();
        assert_eq!(records.errors.len(), unreadable - usize::from(kind.head), "rows are kept");
        runtime.drain(Duration::ZERO).await;
        let later = runtime_with(store.clone(), definitions(&Making::default())).await.handle();
        let state = later.get(&id).await.unwrap();
        assert_eq!(state.public_state(), PublicState::Abandoned, "{kind:?}");
        assert_eq!(state.waiting(), None);
        lists_what_is_left(&state, kind);
        assert!(later.subscribe(&id).is_none(), "it is not live");
        assert_eq!(listed(&later).await[1].1, PublicState::Abandoned, "{kind:?}");
        let again = ask(&later, &id, Verb::Abandon).await.unwrap_err();
        assert!(
            matches!(again, Error::Rejected { rejection, .. } if rejection.reason == Reason::WorkflowEnded)
        );
    }
}

#[tokio::test]
async fn an_ended_workflow_that_can_not_be_read_says_which_record_is_corrupt() {
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let runtime = runtime_with(store.clone(), causeway_workflows::registry()).await;
    let id = runtime.handle().start(request("saga-10")).await.unwrap();
    let whole = ended(&runtime.handle(), &id).await;
    store.damage_head(id.as_str()).unwrap();
    let handle = runtime.handle();
    assert_eq!(handle.get(&id).await.unwrap(), whole, "its records have all of it");
    assert_eq!(listed(&handle).await[0].1, PublicState::Succeeded);
    store.damage_record(id.as_str(), 0).unwrap();
    let Err(Error::Corrupt { what, .. }) = handle.get(&id).await else {
        panic!("half a workflow that has ended is not shown as a whole one")
    };
    assert!(what.contains(id.as_str()), "{what}");
    assert_eq!(listed(&handle).await.len(), 1);
}

#[tokio::test]
async fn what_is_given_up_leaves_the_record_of_another_build_alone() {
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let id = left_alone(&store).await;
    write(store.as_ref(), store.own(0).await.unwrap(), &record("dc1", "c1", "w1"), true).await;
    store.damage_record(id.as_str(), 0).unwrap();
    let handle = runtime_with(store.clone(), definitions(&Making::default())).await.handle();
    let mut queued = (*handle.get(&id).await.unwrap()).clone();
    (queued.cluster, queued.lock) = ("dc1".to_owned(), Some("cluster/c1".into()));
    queued.end = Some(causeway_engine::event::End::Abandoned);
    assert!(super::ClusterRecord::of(&queued, Value::Null).is_none(), "it was never admitted");
    let mut quarantine = (**queued.quarantine.as_ref().unwrap()).clone();
    quarantine.holds.insert(("cluster/c1".into(), None));
    queued.quarantine = Some(Arc::new(quarantine));
    let admitted = super::ClusterRecord::of(&queued, Value::Null).unwrap();
    assert_eq!((admitted.complete, admitted.ledger.len()), (false, 1));
}
