//! The daemon's runtime in the process of the test, over a disk in memory: it can be dropped at any moment, as a process
//! that is killed, and started again on the same disk. No API and no socket of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_engine::{Event, PublicState, Workflow, WorkflowId};
use causeway_orchestrator::clock;
use causeway_orchestrator::config::{self, Config, Flags};
use causeway_orchestrator::runtime::{
    ClusterRecord, Handle, Observer, Parts, Runtime, StartRequest,
};
use causeway_orchestrator::store::memory::{Disk, Loss};
use causeway_orchestrator::store::{MemoryStore, Sealer, Store};
use causeway_sandbox::world::World;
use causeway_workflows::{Connection, Definition, Timing};

/// How often a workflow is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long a workflow may take, however busy the machine.
const END_LIMIT: Duration = Duration::from_secs(180);

/// What a daemon is made of that outlives it.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) disk: Disk,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) timing: Timing,
    /// At which write of the next life the disk breaks, from 1, and how.
    pub(crate) breaks: Option<(u64, Loss)>,
    sealer: Arc<Sealer>,
    config: Option<Config>,
}

impl Home {
    /// Without a world: its definitions need no connection.
    pub(crate) fn empty(definitions: Vec<Definition>) -> Self {
        let sealer = Arc::new(Sealer::from_hex(&"07".repeat(32), "the test").unwrap());
        Self {
            disk: Disk::new(),
            definitions,
            timing: Timing::default(),
            breaks: None,
            sealer,
            config: None,
        }
    }

    /// In a world, as its files say.
    pub(crate) fn in_world(world: &World, definitions: Vec<Definition>) -> Self {
        let file = world.folder().file("causewayd.toml");
        let flags = Flags { config: Some(file), ..Flags::default() };
        let config = config::load(&flags, &|name| std::env::var_os(name)).unwrap();
        Self { timing: config.timing, config: Some(config), ..Self::empty(definitions) }
    }

    fn connections(&self) -> BTreeMap<String, Arc<Connection>> {
        let none = Arc::new(Connection::none(&self.timing).unwrap());
        let configured = self.config.iter().flat_map(|config| &config.connections);
        let configured = configured.map(|(name, one)| {
            (name.clone(), Arc::new(Connection::new(one.clone(), &self.timing).unwrap()))
        });
        [(String::new(), none)].into_iter().chain(configured).collect()
    }
}

struct Deaf;

impl Observer for Deaf {
    fn appended(&self, _state: &Workflow, _events: &[Event]) {}
}

/// One life of the daemon.
pub(crate) struct Host {
    threads: Option<tokio::runtime::Runtime>,
    runtime: Arc<Runtime>,
}

impl Host {
    /// Starts it, and reads the disk.
    pub(crate) async fn start(home: &Home) -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let home = home.clone();
        let runtime = threads.spawn(async move {
            let store = MemoryStore::open(&home.disk).unwrap();
            let fence = store.own(0).await.unwrap();
            if let Some((nth, loss)) = home.breaks {
                home.disk.break_at(nth, loss);
            }
            let runtime = Runtime::new(Parts {
                fence,
                store: Arc::new(store),
                sealer: Arc::clone(&home.sealer),
                connections: home.connections(),
                definitions: home.definitions,
                timing: home.timing,
                clock: clock::system(),
                observer: Arc::new(Deaf),
            });
            // Where the disk breaks already now, there is nothing to wait for but the next life.
            runtime.recover().await.ok();
            let timers = Arc::clone(&runtime);
            // The thread pool is this life's own: it ends with it.
            #[allow(clippy::disallowed_methods, reason = "the life's thread pool owns the task")]
            tokio::spawn(timers.run_timers());
            runtime
        });
        let runtime = runtime.await.unwrap();
        Self { threads: Some(threads), runtime }
    }

    /// Does something among the threads of this life, so that its tasks end with it.
    async fn inside<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: impl FnOnce(Handle) -> F,
    ) -> T {
        let threads = self.threads.as_ref().unwrap();
        threads.spawn(work(self.runtime.handle())).await.unwrap()
    }

    /// Starts a workflow under an id; none where the disk broke.
    pub(crate) async fn build(&self, id: &str, request: StartRequest) -> Option<WorkflowId> {
        let request = StartRequest { id: Some(id.into()), ..request };
        self.inside(|handle| async move { handle.start(request).await.ok() }).await
    }

    /// The workflow; none where there is none, or the disk broke.
    pub(crate) async fn get(&self, id: &WorkflowId) -> Option<Arc<Workflow>> {
        let id = id.clone();
        self.inside(|handle| async move { handle.get(&id).await.ok() }).await
    }

    /// The records of what was built.
    pub(crate) async fn clusters(&self) -> Vec<ClusterRecord> {
        self.inside(|handle| async move { handle.clusters().await.unwrap() }).await
    }

    /// Waits until the workflow has ended, or rests where a person must help.
    pub(crate) async fn rested(&self, id: &WorkflowId) -> Arc<Workflow> {
        let rests = async {
            loop {
                if let Some(state) = self.get(id).await.filter(|state| rests(state)) {
                    return state;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(END_LIMIT, rests).await {
            Ok(state) => state,
            Err(_) => panic!("{id} does not end: {:#?}", self.get(id).await.map(|one| story(&one))),
        }
    }

    /// Waits until the disk has broken under it.
    pub(crate) async fn broken(&self) {
        let mut failure = self.runtime.failure();
        drop(failure.wait_for(Option::is_some).await);
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) async fn kill(mut self) {
        let threads = self.threads.take().unwrap();
        drop(
            tokio::task::spawn_blocking(|| threads.shutdown_timeout(Duration::from_secs(5))).await,
        );
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// Whether nothing more happens by itself.
pub(crate) fn rests(state: &Workflow) -> bool {
    state.is_ended() || matches!(state.public_state(), PublicState::Stuck | PublicState::Paused)
}

/// What tells why a workflow is where it is.
pub(crate) fn story(state: &Workflow) -> String {
    let steps = state.steps.iter().map(|step| {
        format!("  {} {:?} {:?}: {:?}\n", step.spec.name, step.phase, step.undo, step.failure())
    });
    format!("{:?} {:?}\n{}", state.public_state(), state.failure(), steps.collect::<String>())
}
