//! What tests of several parts begin with: a runtime over a store, definitions that never end by themselves, cluster records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use causeway_engine::{DefinitionRef, Event, Failure, Time, Workflow};
use causeway_workflows::sdk::{Check, Checked, Context};
use causeway_workflows::{Connection, Definition, Template, Timing};
use serde_json::Value;

use super::{ClusterRecord, Observer, Parts, Runtime};
use crate::clock;
use crate::store::{Append, ClusterWrite, Fence, Sealer, Store};

/// Hears, and says nothing.
pub(crate) struct Silent;

impl Observer for Silent {
    fn appended(&self, _state: &Workflow, _events: &[Event]) {}
}

/// A runtime that knows what is registered.
pub(crate) async fn runtime_over(store: Arc<dyn Store>) -> Arc<Runtime> {
    runtime_with(store, causeway_workflows::registry()).await
}

/// A runtime that knows these definitions.
pub(crate) async fn runtime_with(
    store: Arc<dyn Store>,
    definitions: Vec<Definition>,
) -> Arc<Runtime> {
    runtime_in_time(store, definitions, Timing::default()).await
}

/// The same with durations of its own.
pub(crate) async fn runtime_in_time(
    store: Arc<dyn Store>,
    definitions: Vec<Definition>,
    timing: Timing,
) -> Arc<Runtime> {
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

/// Finds its connection moved until the switch is thrown.
pub(crate) struct Moving(pub(crate) Arc<AtomicBool>);

#[async_trait]
impl Check for Moving {
    async fn check(&self, _context: &Context) -> Result<Checked, Failure> {
        if self.0.load(Ordering::SeqCst) {
            return Ok(Checked::Passed { output: Value::Null, warnings: Vec::new() });
        }
        Err(Failure::permanent("the key belongs to another account").with_code("CONNECTION_MOVED"))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A definition whose workflows are parked for ever.
pub(crate) fn parking(name: &'static str, revision: u32) -> Definition {
    let templates = vec![Template::check("check", Moving(Arc::default()))];
    Definition { name, revision, templates, cluster_id: None, undoes: None }
}

/// A HybridCluster record of a finished build.
pub(crate) fn record(name: &str, cluster_id: &str, workflow: &str) -> ClusterRecord {
    ClusterRecord {
        name: name.to_owned(),
        cluster_id: cluster_id.to_owned(),
        connection: "prod".to_owned(),
        workflow: workflow.to_owned(),
        definition: DefinitionRef {
            name: "hybrid-cluster".to_owned(),
            revision: 1,
            digest: String::new(),
        },
        complete: true,
        spec: Value::Null,
        result: Value::Null,
        ledger: Vec::new(),
        steps: Vec::new(),
        created_at: Time(1),
        updated_at: None,
    }
}

/// Writes a record as the end of its workflow; `indexed`: under its cluster id too.
pub(crate) async fn write(store: &dyn Store, fence: Fence, record: &ClusterRecord, indexed: bool) {
    let mut append = Append::new(fence, &record.workflow, 0);
    append.events = vec![b"{}".to_vec()];
    append.live = false;
    append.clusters.push(ClusterWrite {
        name: record.name.clone(),
        cluster_id: if indexed { record.cluster_id.clone() } else { String::new() },
        body: serde_json::to_vec(record).unwrap(),
        blob: None,
    });
    store.append(append).await.unwrap();
}
