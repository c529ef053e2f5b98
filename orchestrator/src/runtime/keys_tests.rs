//! Many workflows whose steps take random sets of keys, through the real runtime: none may wait for ever, whatever is cancelled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use causeway_engine::event::{Resolution, Undone};
use causeway_engine::{Failure, PublicState, ResourceKey, Verb};
use causeway_workflows::preview::Preview;
use causeway_workflows::sdk::{Action, Context, Facts, Observed, Revert};
use causeway_workflows::{Definition, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{ended, runtime_with};
use super::{Ask, Handle, StartRequest};
use crate::store::MemoryStore;
use crate::store::memory::Disk;

const KEYS: u32 = 4;

/// Changes things, and must be alone with its keys: counts who is inside beside it.
#[derive(Clone, Default)]
struct Exclusive {
    inside: Arc<[AtomicU32; KEYS as usize]>,
    breaches: Arc<AtomicU32>,
}

impl Exclusive {
    async fn stay(&self, context: &Context) {
        let keys = keys_of(&context.input, context.key.as_deref());
        for key in &keys {
            if self.inside[*key as usize].fetch_add(1, Ordering::SeqCst) > 0 {
                self.breaches.fetch_add(1, Ordering::SeqCst);
            }
        }
        tokio::task::yield_now().await;
        for key in &keys {
            self.inside[*key as usize].fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Action for Exclusive {
    /// Reads only: a turn drops a read that is under way, and its keys with it, as nothing follows from its answer.
    async fn observe(&self, _context: &Context) -> Result<Observed, Failure> {
        tokio::task::yield_now().await;
        Ok(Observed::change(json!({})))
    }

    async fn preview(&self, _context: &Context) -> Result<Preview, Failure> {
        Ok(Preview::default())
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        self.stay(context).await;
        Ok(Value::Null)
    }

    async fn resolve(&self, _context: &Context) -> Result<(Resolution, Value), Failure> {
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        self.stay(context).await;
        Ok(Revert::Done(Undone::Reverted))
    }
}

/// The keys of a step: the bits of its number.
fn keys_of(input: &Value, step: Option<&str>) -> Vec<u32> {
    let steps = input["steps"].as_array().into_iter().flatten();
    let bits = steps
        .filter(|entry| entry["name"].as_str() == step)
        .find_map(|entry| entry["keys"].as_u64())
        .unwrap_or_default();
    (0..KEYS).filter(|key| bits & (1 << key) != 0).collect()
}

fn keys(facts: &Facts<'_>) -> Vec<ResourceKey> {
    keys_of(facts.input, facts.key)
        .iter()
        .map(|key| ResourceKey::new(format!("key/{key}")))
        .collect()
}

fn definition(action: &Exclusive) -> Definition {
    let template = |name| Template::action(name, action.clone()).over("/steps").keys(keys);
    Definition {
        name: "keys",
        revision: 1,
        templates: vec![template("first"), template("second").after(&["first"])],
        cluster_id: None,
        undoes: None,
    }
}

async fn start(handle: &Handle, drawn: &[u8]) -> causeway_engine::WorkflowId {
    let steps: Vec<Value> = drawn
        .iter()
        .enumerate()
        .map(|(index, keys)| json!({ "name": format!("s{index}"), "keys": keys }))
        .collect();
    let request = StartRequest {
        definition: "keys".to_owned(),
        input: json!({ "steps": steps }),
        ..StartRequest::default()
    };
    handle.start(request).await.unwrap()
}

async fn all_end(drawn: Vec<(Vec<u8>, bool)>) {
    let action = Exclusive::default();
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let handle = runtime_with(store, vec![definition(&action)]).await.handle();
    let mut started = BTreeMap::new();
    for (steps, cancel) in &drawn {
        started.insert(start(&handle, steps).await, *cancel);
    }
    for (id, _) in started.iter().filter(|(_, cancel)| **cancel) {
        handle.ask(id, Verb::Cancel, Ask::default()).await.ok();
    }
    for (id, cancel) in started {
        let state = ended(&handle, &id).await;
        let expected: &[PublicState] = if cancel {
            &[PublicState::Cancelled, PublicState::Succeeded]
        } else {
            &[PublicState::Succeeded]
        };
        assert!(expected.contains(&state.public_state()), "{:?}", state.public_state());
    }
    assert_eq!(
        action.breaches.load(Ordering::SeqCst),
        0,
        "two steps held one key at the same time"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_that_take_random_keys_never_wait_for_each_other_for_ever(
        drawn in prop::collection::vec((prop::collection::vec(0_u8..16, 1..5), any::<bool>()), 1..14)
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), all_end(drawn)).await.expect("some workflow waits for ever");
        });
    }
}
