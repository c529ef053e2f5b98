//! A bench to try one step on: a fake API server, a clock that stands still, and the operations in the order in which
//! the daemon would call them, with what it would have written down in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use causeway_engine::event::{Object, Resolution, Undone, Verdict};
use causeway_engine::{Failure, StepName, Time, WorkflowId};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::kubernetes::fake::FakeKube;
use crate::kubernetes::{Cluster, Clusters, KubeconfigSource};
use crate::sdk::{Action, ClaimRow, Confirm, Context, Effects, Observed, Revert, Vault};
use crate::{Connection, Timing};

/// The registered cluster of every bench.
pub(crate) const CLUSTER: &str = "c1";
/// When every bench begins: 2026-09-21T14:13:20Z.
const BEGIN: u64 = 1_790_000_000_000;

struct Nowhere;

#[async_trait]
impl Vault for Nowhere {
    async fn open(&self, id: &str) -> Result<SecretString, Failure> {
        Err(Failure::permanent(format!("nothing is sealed as {id}")))
    }
}

#[async_trait]
impl KubeconfigSource for Nowhere {
    async fn kubeconfig(&self, _cluster_id: &str) -> Result<SecretString, Failure> {
        Err(Failure::permanent("there is but the fake"))
    }
}

#[derive(Default)]
struct Ledger(Mutex<Vec<Object>>);

#[async_trait]
impl Effects for Ledger {
    async fn seen(&self, object: Object) -> Result<(), Failure> {
        let mut objects = self.0.lock().unwrap();
        objects.retain(|known| (&known.kind, &known.id) != (&object.kind, &object.id));
        objects.push(object);
        Ok(())
    }
}

/// One step with its world.
pub(crate) struct Bench {
    pub(crate) kube: FakeKube,
    context: Context,
    ledger: Arc<Ledger>,
    clock: Arc<AtomicU64>,
    observed: Option<Observed>,
}

impl Bench {
    /// A bench for the step of that name, in a cluster with nothing but namespace kube-system.
    pub(crate) fn new(step: &str) -> Self {
        let kube = FakeKube::new();
        let timing = Timing::default();
        let mut connection = Connection::none(&timing).unwrap();
        connection.clusters = Clusters::with(kube.cluster(CLUSTER), Arc::new(Nowhere));
        let clock = Arc::new(AtomicU64::new(BEGIN));
        let ledger = Arc::new(Ledger::default());
        let ticking = Arc::clone(&clock);
        let context = Context {
            workflow: WorkflowId::from("w0123456789abcde"),
            step: StepName::from(step),
            key: None,
            input: Arc::new(json!({"spec": {"cluster_id": CLUSTER}})),
            outputs: Arc::new(BTreeMap::new()),
            before: Value::Null,
            verdict: None,
            output: Value::Null,
            effects: Vec::new(),
            claim: None,
            attempt: 1,
            token: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            deadline: None,
            since: Time(BEGIN),
            connection: Arc::new(connection),
            timing,
            now: Arc::new(move || Time(ticking.load(Ordering::Relaxed))),
            vault: Arc::new(Nowhere),
            recorder: Arc::clone(&ledger) as Arc<dyn Effects>,
            sealed: Mutex::default(),
        };
        Self { kube, context, ledger, clock, observed: None }
    }

    /// Puts something into the input document, by JSON pointer to an object's field.
    pub(crate) fn input(&mut self, path: &[&str], value: Value) {
        let mut input = Value::clone(&self.context.input);
        let mut at = &mut input;
        for field in path {
            at = &mut at[*field];
        }
        *at = value;
        self.context.input = Arc::new(input);
    }

    /// The output of a step that is done.
    pub(crate) fn output(&mut self, step: &str, value: Value) {
        Arc::make_mut(&mut self.context.outputs).insert(StepName::from(step), value);
    }

    /// Seals something as an earlier step would have.
    pub(crate) fn seal(&self, name: &str, text: &str) -> Value {
        self.context.seal(name, SecretString::from(text))
    }

    /// To change what the other methods have no words for.
    pub(crate) fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// One look of `confirm`; its output is kept where it holds.
    pub(crate) async fn confirm(&mut self, action: &dyn Action) -> Result<Confirm, Failure> {
        let answered = action.confirm(&self.context).await;
        self.take_effects();
        if let Ok(Confirm::Holds(output)) = &answered {
            self.context.output = output.clone();
        }
        answered
    }

    /// Reads what became of a lost call.
    pub(crate) async fn resolve(&mut self, action: &dyn Action) -> Result<Resolution, Failure> {
        let (resolution, output) = action.resolve(&self.context).await?;
        self.take_effects();
        self.context.output = output;
        Ok(resolution)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn cluster(&self) -> Cluster {
        self.kube.cluster(CLUSTER)
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.clock.load(Ordering::Relaxed))
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    /// What `observe` said last.
    pub(crate) fn observed(&self) -> &Observed {
        self.observed.as_ref().unwrap()
    }

    pub(crate) async fn observe(&mut self, action: &dyn Action) -> Result<Verdict, Failure> {
        let observed = action.observe(&self.context).await?;
        let verdict = observed.verdict;
        self.context.before = observed.before.clone();
        self.context.verdict = Some(verdict);
        self.context.output = observed.output.clone();
        self.context.claim = observed.claim.clone().map(|claim| {
            let others = self.context.claim.take().map(|row| row.others).unwrap_or_default();
            ClaimRow { claim, others }
        });
        self.observed = Some(observed);
        Ok(verdict)
    }

    pub(crate) async fn apply(&mut self, action: &dyn Action) -> Result<(), Failure> {
        self.begin();
        let answered = action.apply(&self.context).await;
        self.take_effects();
        self.context.output = answered?;
        self.context.since = self.now();
        Ok(())
    }

    /// What this step claims is claimed by others, too.
    pub(crate) fn share_with(&mut self, others: &[&str]) {
        let row = self.context.claim.as_mut().unwrap();
        row.others = others.iter().map(|other| (*other).to_owned()).collect();
    }

    /// One call of the undo.
    pub(crate) async fn revert_once(&mut self, action: &dyn Action) -> Result<Revert, Failure> {
        self.begin();
        let answered = crate::dispatch::revert(action, &self.context).await;
        self.take_effects();
        answered
    }

    /// Calls the undo until it is done, letting time pass in between.
    pub(crate) async fn revert(&mut self, action: &dyn Action) -> Result<Undone, Failure> {
        self.context.since = self.now();
        let mut last = String::new();
        for _ in 0..100 {
            match self.revert_once(action).await? {
                Revert::Done(undone) => return Ok(undone),
                Revert::NotYet(waiting) => last = waiting,
            }
            self.advance(5_000);
        }
        panic!("the undo of {} does not end: {last}", self.context.step);
    }

    fn begin(&mut self) {
        self.context.deadline = Some(self.now().plus_ms(120_000));
    }

    fn take_effects(&mut self) {
        self.context.effects = self.ledger.0.lock().unwrap().clone();
    }
}

/// What `check-kubernetes` says of the bench's cluster.
pub(crate) fn kubernetes_facts() -> Value {
    json!({
        "kube_system_uid": "uid-1", "version": "1.30.4", "api_server": "192.168.0.10:6443", "ca_hash": "sha256:00",
        "service_cidr": "172.16.0.0/16", "runtime": "containerd://1.7.22",
        "calico": {"namespace": "kube-system", "daemonset": "calico-node", "install": "manifest"},
    })
}
