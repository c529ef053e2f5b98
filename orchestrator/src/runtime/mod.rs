//! The runtime: drives the engine. It owns every live workflow, its timers, keys and operations, writes before it acts, and brings
//! all of it back after a crash. It knows the store by its port and steps by their contract; no gRPC type, no sled.

mod backup;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod codec;
mod delete;
mod draining;
mod error;
mod executor;
mod feed;
#[cfg(test)]
pub(crate) mod fixture;
mod handle;
#[cfg(test)]
mod keys_tests;
mod locks;
mod owner;
mod plan;
mod recovery;
mod requests;
mod retention;
pub mod retry;
mod revisions;
mod salvage;
#[cfg(test)]
mod salvage_tests;
mod start;
mod summary;
mod teardown;
#[cfg(test)]
mod tests;
mod timers;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use causeway_engine::{DefinitionRef, Event, Input, Operation, Time, Workflow, WorkflowId};
use causeway_workflows::{Connection, Definition, Timing};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use backup::Backup;
pub use cluster::{ClusterRecord, LedgerEntry, StepRecord};
pub use draining::Drained;
pub use error::Error;
pub use feed::{Change, Commits};
pub use handle::{Ask, Handle, Info, ListToken, Listed};
pub use plan::{
    Allowed, DIGEST_DIGITS, DIGEST_PREFIX, Outlook, PLAN_TIME_MAX, Permission, Plan, PlannedStep,
};
pub use requests::Repeatable;
pub use revisions::{InUse, Revisions, UnknownRevisions};
pub use start::StartRequest;
pub use summary::Summary;
pub use verify::{Found, Verification, VerifiedStep};

use crate::clock::Clock;
use crate::store::seal::Sealer;
use crate::store::{Fence, Store};
use locks::LockTable;
use owner::Slot;
use timers::Timers;

/// Most operations at the same time: bounds sockets and memory; a waiting workflow has none.
pub const OPERATIONS_MAX: usize = 512;
/// Most live workflows: bounds memory.
pub const LIVE_MAX: usize = 100_000;
/// How long a request id is remembered, at least.
pub const REQUEST_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Hears of everything that has become durable: for traces and logs.
pub trait Observer: Send + Sync {
    /// These events have just become durable, and led to `state`.
    fn appended(&self, state: &Workflow, events: &[Event]);

    /// The span in which an operation runs.
    fn operation(&self, _workflow: &WorkflowId, _operation: &Operation) -> tracing::Span {
        tracing::Span::none()
    }
}

/// What a runtime is made of.
pub struct Parts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Proof that this daemon owns its shard.
    pub fence: Fence,
    /// Seals and opens secrets.
    pub sealer: Arc<Sealer>,
    /// Every definition.
    pub definitions: Vec<Definition>,
    /// Every connection, by name; the empty name is for definitions that need none.
    pub connections: BTreeMap<String, Arc<Connection>>,
    /// Durations.
    pub timing: Timing,
    /// The clock.
    pub clock: Clock,
    /// Hears of what has become durable.
    pub observer: Arc<dyn Observer>,
}

/// The runtime.
pub struct Runtime {
    store: Arc<dyn Store>,
    fence: Fence,
    sealer: Arc<Sealer>,
    definitions: Vec<Definition>,
    references: Vec<DefinitionRef>,
    connections: RwLock<BTreeMap<String, Arc<Connection>>>,
    timing: Timing,
    retry: retry::Policy,
    clock: Clock,
    observer: Arc<dyn Observer>,
    started_at: Time,
    slots: Mutex<HashMap<WorkflowId, Arc<Slot>>>,
    locks: Mutex<LockTable>,
    timers: Timers,
    permits: Semaphore,
    tasks: TaskTracker,
    /// Nothing is taken on or begun any more.
    draining: CancellationToken,
    /// The process is ending.
    stopping: CancellationToken,
    failed: watch::Sender<Option<String>>,
    next_order: Mutex<u64>,
    /// Held while a workflow takes the name of its cluster.
    naming: tokio::sync::Mutex<()>,
    plans: plan::Plans,
}

impl Runtime {
    /// A runtime that has not read its store yet: [`Runtime::recover`] comes next.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let started_at = (parts.clock)();
        Arc::new(Self {
            store: parts.store,
            fence: parts.fence,
            sealer: parts.sealer,
            references: parts.definitions.iter().map(Definition::reference).collect(),
            definitions: parts.definitions,
            connections: RwLock::new(parts.connections),
            retry: retry::Policy {
                initial: parts.timing.retry_initial,
                max: parts.timing.retry_max,
            },
            timing: parts.timing,
            clock: parts.clock,
            observer: parts.observer,
            started_at,
            slots: Mutex::default(),
            locks: Mutex::default(),
            timers: Timers::default(),
            permits: Semaphore::new(OPERATIONS_MAX),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            failed: watch::channel(None).0,
            next_order: Mutex::new(1),
            naming: tokio::sync::Mutex::default(),
            plans: plan::Plans::default(),
        })
    }

    /// What callers hold.
    #[must_use]
    pub fn handle(self: &Arc<Self>) -> Handle {
        Handle::new(self.clone())
    }

    /// Fires timers until the daemon drains; returns once it stops.
    pub async fn run_timers(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return self.stopping.cancelled().await,
                () = self.timers.wait((self.clock)()) => {}
            }
            for workflow in self.timers.take_due((self.clock)()) {
                if let Some(slot) = self.slot(&workflow) {
                    self.deliver(&slot, Input::Tick.into());
                }
            }
        }
    }

    /// Stops admitting and starting, for good; waits, for at most `patience`, until what is in flight has been answered and
    /// written. What is still in flight then is resolved at the next start.
    pub async fn drain(&self, patience: Duration) {
        self.stopping.cancel();
        self.draining.cancel();
        let tasks = self.settle(patience).await;
        if tasks > 0 {
            tracing::warn!(tasks, "Calls are still in flight; they are resolved at the next start");
        }
    }

    /// Turns to `Some` when the store has failed: the daemon must end, recovery is a restart.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }

    fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    fn fail(&self, error: &Error) {
        tracing::error!(error = %error, "The store refused to write; the daemon ends, and recovers at its next start");
        // First of all, so that whoever sees the end of the rest knows why.
        self.failed.send_replace(Some(error.to_string()));
        self.stopping.cancel();
        self.draining.cancel();
    }

    fn locks(&self) -> MutexGuard<'_, LockTable> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<WorkflowId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, workflow: &WorkflowId) -> Option<Arc<Slot>> {
        self.slots().get(workflow).cloned()
    }

    fn retire(&self, workflow: &WorkflowId) {
        self.slots().remove(workflow);
    }

    fn wake(self: &Arc<Self>, workflows: Vec<WorkflowId>) {
        for workflow in workflows {
            if let Some(slot) = self.slot(&workflow) {
                self.deliver(&slot, Input::Tick.into());
            }
        }
    }

    fn definition(&self, name: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.name == name)
    }

    fn connection(&self, name: &str) -> Option<Arc<Connection>> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn result_of(&self, state: &Workflow) -> serde_json::Value {
        if state.definition.name == "hybrid-cluster" {
            return causeway_workflows::hybrid_cluster::result(&state.outputs());
        }
        serde_json::Value::Null
    }

    fn next_order(&self) -> u64 {
        let mut next = self.next_order.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        *next - 1
    }
}
