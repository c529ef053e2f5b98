//! A daemon inside the test: the real API and runtime over the memory store, and a build whose steps follow switches instead of a
//! cloud. So every state can be reached in an instant, and the command line be run against it.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use causeway_client::Client;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Event, Failure, FailureClass, ResourceKey, Workflow as State};
use causeway_orchestrator::api::{Options, serve};
use causeway_orchestrator::auth::Authenticator;
use causeway_orchestrator::clock;
use causeway_orchestrator::config::{self, Flags};
use causeway_orchestrator::runtime::{Observer, Parts, Runtime};
use causeway_orchestrator::store::memory::Disk;
use causeway_orchestrator::store::{MemoryStore, Sealer, Store};
use causeway_proto::v1::workflow_service_client::WorkflowServiceClient;
use causeway_proto::v1::{StartWorkflowRequest, Workflow, workflow};
use causeway_workflows::preview::Preview;
use causeway_workflows::sdk::{Action, Check, Checked, Confirm, Context, Observed, Revert};
use causeway_workflows::{Connection, Definition, Template, Timing, Work, teardown};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::daemon::client_of;

/// The action; it fans out, so that its name needs quotes in a shell.
pub const ACTION: &str = "make[burst]";
/// The check after it.
pub const CHECK: &str = "verify";
/// The gate before it.
pub const GATE: &str = "approve-spend";

const GUIDE: &str = include_str!("../../deploy/examples/hybrid-cluster.yaml");
const CONFIG: &str = r#"
[connections.prod]
credentials = "shared-file"
credentials_file = "c.ini"
account_id = "1"
regions = ["cn-hangzhou"]
clusters = ["*"]
"#;
const CREDENTIALS: &str =
    "[default]\ntype = access_key\naccess_key_id = k\naccess_key_secret = s\n";
/// How long a state may take to come, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a call does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It works.
    #[default]
    Works,
    /// It fails in a way that passes, and is to be tried again in an hour.
    Later,
    /// It fails for good.
    Never,
    /// A call works, and what it was about does not come to hold.
    NotYet,
    /// The answer is lost, and the world can't be read for it either.
    Lost,
    /// It is found that the connection leads elsewhere.
    Moved,
    /// It does not come back before the mode is another.
    Hangs,
}

impl Mode {
    fn answer(self, what: &str) -> Result<(), Failure> {
        match self {
            Self::Works | Self::NotYet | Self::Hangs => Ok(()),
            Self::Lost => {
                Err(Failure::new(FailureClass::Unknown, format!("{what}: the answer was lost")))
            }
            Self::Moved => {
                let failure = Failure::permanent(format!("{what}: the key is another account's"));
                Err(failure.with_code("CONNECTION_MOVED"))
            }
            Self::Later => {
                let failure = Failure::retryable(format!("{what}: the cloud is busy"));
                Err(Failure { retry_after_ms: Some(3_600_000), ..failure.with_code("Busy") })
            }
            Self::Never => {
                let failure = Failure::permanent(format!("{what}: the key may not do that"));
                Err(Failure {
                    request_id: Some("REQ-7".to_owned()),
                    ..failure.with_code("NoPermission")
                })
            }
        }
    }
}

/// The switches, and the one thing that there is.
#[derive(Debug, Clone, Default)]
pub struct Switches(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    apply: Mutex<Mode>,
    check: Mutex<Mode>,
    revert: Mutex<Mode>,
    there: AtomicBool,
    unreadable: AtomicBool,
    reverts: AtomicU32,
}

impl Switches {
    /// What the action does from now on.
    pub fn apply(&self, mode: Mode) {
        *self.0.apply.lock().unwrap() = mode;
    }

    /// What the check does from now on.
    pub fn check(&self, mode: Mode) {
        *self.0.check.lock().unwrap() = mode;
    }

    /// What the undo does from now on.
    pub fn revert(&self, mode: Mode) {
        *self.0.revert.lock().unwrap() = mode;
    }

    fn applying(&self) -> Mode {
        *self.0.apply.lock().unwrap()
    }

    /// Puts the thing there, or takes it away, by another's hand.
    pub fn put(&self, there: bool) {
        self.0.there.store(there, Ordering::SeqCst);
    }

    /// Whether the thing is there.
    #[must_use]
    pub fn there(&self) -> bool {
        self.0.there.load(Ordering::SeqCst)
    }

    /// From now on nobody can tell whether it is there.
    pub fn blind(&self) {
        self.0.unreadable.store(true, Ordering::SeqCst);
    }

    /// How often the undo was called.
    #[must_use]
    pub fn reverts(&self) -> u32 {
        self.0.reverts.load(Ordering::SeqCst)
    }

    /// The definition of the build.
    fn definition(&self, setup: &Setup) -> Definition {
        let mut action =
            Template::action("make", self.clone()).over("/spec/node_pools").after(&[GATE]);
        action.pivot = setup.pivot;
        if setup.shared {
            action = action.keys(|facts| {
                vec![ResourceKey::new(format!("account/{}/thing", facts.account_id))]
            });
        }
        Definition {
            name: "hybrid-cluster",
            revision: 1,
            templates: vec![
                Template::new(GATE, Work::Gate),
                action,
                Template::check(CHECK, self.clone()).after(&["make"]),
            ],
            cluster_id: Some("/spec/cluster_id"),
            undoes: None,
        }
    }
}

#[async_trait]
impl Check for Switches {
    async fn check(&self, _context: &Context) -> Result<Checked, Failure> {
        let mode = *self.0.check.lock().unwrap();
        mode.answer("verifying the thing")?;
        if mode == Mode::NotYet {
            return Ok(Checked::NotYet("the thing is not ready".to_owned()));
        }
        Ok(Checked::Passed { output: Value::Null, warnings: Vec::new() })
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }
}

#[async_trait]
impl Action for Switches {
    async fn observe(&self, _context: &Context) -> Result<Observed, Failure> {
        if self.there() {
            return Ok(Observed::as_wanted(Verdict::Adopted, json!({"there": true}), Value::Null));
        }
        Ok(Observed::change(json!({"there": false})))
    }

    async fn preview(&self, _context: &Context) -> Result<Preview, Failure> {
        Ok(Preview::default())
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        while self.applying() == Mode::Hangs {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.applying().answer("making the thing")?;
        self.put(true);
        let object = Object {
            kind: "thing".to_owned(),
            id: "thing-1".to_owned(),
            origin: Origin::Created,
            present: true,
            remedy: "rm thing-1".to_owned(),
            facts: Value::Null,
        };
        context.recorder.seen(object).await?;
        Ok(Value::Null)
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        if self.applying() == Mode::NotYet {
            return Ok(Confirm::NotYet("the thing is being made".to_owned()));
        }
        Ok(Confirm::Holds(context.output.clone()))
    }

    async fn resolve(&self, _context: &Context) -> Result<(Resolution, Value), Failure> {
        if self.applying() == Mode::Lost {
            Mode::Later.answer("looking for the thing")?;
        }
        let done = if self.there() { Resolution::Done } else { Resolution::NoEffect };
        Ok((done, Value::Null))
    }

    async fn revert(&self, _context: &Context) -> Result<Revert, Failure> {
        self.0.reverts.fetch_add(1, Ordering::SeqCst);
        if !self.there() {
            return Ok(Revert::Done(Undone::NothingThere));
        }
        let mode = *self.0.revert.lock().unwrap();
        mode.answer("removing the thing")?;
        self.put(false);
        Ok(Revert::Done(Undone::Reverted))
    }

    async fn verify_gone(&self, _context: &Context) -> Result<Option<bool>, Failure> {
        let readable = !self.0.unreadable.load(Ordering::SeqCst);
        Ok(readable.then(|| !self.there()))
    }
}

/// What the daemon knows: the build, and how it is taken down.
fn definitions(world: &Switches, setup: &Setup) -> Vec<Definition> {
    let build = world.definition(setup);
    vec![teardown::of(&build), build]
}

/// Hears nothing.
struct Silent;

impl Observer for Silent {
    fn appended(&self, _state: &State, _events: &[Event]) {}
}

/// What a daemon is made of, besides its switches.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Its disk: with the same one it comes back after a stop.
    pub disk: Disk,
    /// Whether the action is a pivot: another definition under the same name.
    pub pivot: bool,
    /// Whether the action holds a key of the whole account.
    pub shared: bool,
    /// More of its configuration, such as tokens.
    pub config: String,
}

/// A daemon inside the test.
pub struct Scripted {
    /// What its steps do.
    pub world: Switches,
    address: String,
    folder: TempDir,
    runtime: Arc<Runtime>,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl Scripted {
    /// A daemon on an empty disk, on which everything works.
    pub async fn new() -> Self {
        Self::start(Switches::default(), &Setup::default()).await
    }

    /// A daemon.
    pub async fn start(world: Switches, setup: &Setup) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("causewayd.toml");
        std::fs::write(&file, format!("{CONFIG}{}", setup.config)).unwrap();
        std::fs::write(folder.path().join("c.ini"), CREDENTIALS).unwrap();
        let config =
            config::load(&Flags { config: Some(file), ..Flags::default() }, &|_| None).unwrap();
        let prod = config.connections["prod"].clone();
        let connections = BTreeMap::from([
            (String::new(), Arc::new(Connection::none(&config.timing).unwrap())),
            ("prod".to_owned(), Arc::new(Connection::new(prod, &config.timing).unwrap())),
        ]);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&setup.disk).unwrap());
        let runtime = Runtime::new(Parts {
            fence: store.own(0).await.unwrap(),
            store,
            sealer: Arc::new(Sealer::from_hex(&"ab".repeat(32), "test").unwrap()),
            definitions: definitions(&world, setup),
            connections,
            timing: Timing::default(),
            clock: clock::system(),
            observer: Arc::new(Silent),
        });
        runtime.recover().await.unwrap();
        let options = Options {
            authenticator: Authenticator::new(&config),
            clock: clock::system(),
            store_kind: "memory",
            heartbeat: Duration::from_secs(15),
            stall: Duration::from_secs(60),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (handle, stop) = (runtime.handle(), stopping.clone());
        tasks.spawn(async move { serve(listener, handle, options, stop).await.unwrap() });
        tasks.spawn(runtime.clone().run_timers());
        Self { world, address, folder, runtime, stopping, tasks }
    }

    /// Stops it, and waits until it has.
    pub async fn stop(mut self) {
        self.runtime.drain(Duration::from_secs(5)).await;
        self.stopping.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its folder, which is the home of its command line.
    #[must_use]
    pub fn home(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Writes the input file of a build, changed.
    pub fn write_input(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut document: Value = serde_saphyr::from_str(GUIDE).unwrap();
        change(&mut document);
        std::fs::write(self.folder.path().join(name), document.to_string()).unwrap();
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        client_of(&self.address, PATIENCE)
    }

    /// The service itself, for requests that the client would not send.
    pub async fn service(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::connect(self.address.clone()).await.unwrap()
    }

    /// The request for a build, changed.
    #[must_use]
    pub fn request(change: impl FnOnce(&mut Value)) -> StartWorkflowRequest {
        let mut document: Value = serde_saphyr::from_str(GUIDE).unwrap();
        change(&mut document);
        causeway_proto::input::decode(&document).unwrap()
    }

    /// Starts a build, whose run has these options; its id.
    pub async fn build(&self, run: Value) -> String {
        let request = Self::request(|document| document["run"] = run);
        self.client().start(request).await.unwrap().id
    }

    /// Waits until the workflow is as wanted.
    ///
    /// # Panics
    /// Where it does not come.
    pub async fn until(&self, id: &str, wanted: impl Fn(&Workflow) -> bool) -> Workflow {
        let client = self.client();
        let wait = async {
            loop {
                let workflow = client.get(id).await.unwrap();
                if wanted(&workflow) {
                    return workflow;
                }
                // The step's states are no part of the etag, so there is nothing to wait on for them.
                let soon = Duration::from_millis(50);
                client.wait(id, &workflow.etag, soon).await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(workflow) => workflow,
            Err(_) => panic!("workflow {id} does not come there: {:#?}", client.get(id).await),
        }
    }

    /// Waits for a state.
    pub async fn becomes(&self, id: &str, state: workflow::State) -> Workflow {
        self.until(id, |workflow| workflow.state() == state).await
    }

    /// Runs a line of a shell, in which `causeway` is the command line of this daemon.
    pub async fn shell(&self, line: &str) -> Output {
        crate::shell::run(line, &self.address, self.folder.path()).await
    }
}
