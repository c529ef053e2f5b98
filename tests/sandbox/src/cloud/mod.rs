//! A simulated Alibaba Cloud account behind one endpoint: STS, RAM, CS, ECS, VPC, CBN, ESS and OSS, told apart as the
//! real ones are. It judges whoever calls it, so it must not know the daemon's signer, types or renderers; what it has
//! to do outside itself, in the data center and on instances, it asks of [`Hands`].

mod acs3;
mod answer;
mod cbn;
mod clock;
mod cs;
mod ecs;
mod ess;
mod fleet;
mod gateway;
mod iam;
mod incoming;
mod ledger;
mod oss;
mod ram;
mod seeding;
mod state;
mod sts;
mod terway;
#[cfg(test)]
mod tests;
mod vpc;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State as Shared},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    faults::{Boundaries, Faults},
    hands::Hands,
    seed::{Account, Seed},
    time::Pace,
};
use incoming::Incoming;
use state::State;

pub use seeding::seeded_addon_key;

/// The largest body that any product takes here.
const BODY_MAX: usize = 16 << 20;

/// How often an agent reports its configuration, in reality: it looks every 3 s and reads its ConfigMap in every 20th
/// round; a little less than that, so that a slow machine's timers keep the promise of "about every 60 s".
const AGENT_ROUND: Duration = Duration::from_secs(55);

/// The account, shared by its endpoint, its instances and the test that looks into it.
pub struct Cloud {
    account: Account,
    pace: Pace,
    faults: Arc<Faults>,
    state: Mutex<State>,
    hands: OnceLock<Arc<dyn Hands>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One way into the cloud: from anywhere, or from inside a VPC.
#[derive(Clone)]
struct Door {
    cloud: Arc<Cloud>,
    vpc: Option<String>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("account", &self.account.id).finish_non_exhaustive()
    }
}

impl Cloud {
    /// The account as the seed describes it.
    #[must_use]
    pub fn new(seed: &Seed, faults: Arc<Faults>, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            account: seed.account.clone(),
            pace,
            faults,
            state: Mutex::new(seeding::state_of(seed)),
            hands: OnceLock::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Gives the cloud its hands, once, and starts the agents' reports. To be called inside a tokio runtime; without
    /// hands nothing outside the cloud happens.
    pub fn set_hands(self: &Arc<Self>, hands: Arc<dyn Hands>) {
        if self.hands.set(hands).is_ok() {
            let clusters: Vec<String> = self.state().cs.clusters.keys().cloned().collect();
            for cluster_id in clusters {
                self.spawn(Arc::clone(self).report_as_agent(cluster_id));
            }
        }
    }

    /// The endpoint, for callers outside any VPC. A connection must be served by a task of its own, as `axum::serve`
    /// does it: cutting it means unwinding that task.
    pub fn router(self: &Arc<Self>) -> Router {
        self.door(None)
    }

    /// The endpoint as a VPC's instances see it: their requests carry the VPC, which bucket policies look at.
    pub fn router_from_vpc(self: &Arc<Self>, vpc_id: &str) -> Router {
        self.door(Some(vpc_id.to_owned()))
    }

    /// Every stored object, minus what depends on chance and time, sorted: equal before a build and after its undo,
    /// and after two builds of the same input.
    #[must_use]
    pub fn ledger(&self) -> Value {
        ledger::dump(&self.state(), &self.account)
    }

    /// A cluster's part of the ledger with the account's words for what is random: ids of pools, keys and workflows,
    /// digests and join tokens.
    #[must_use]
    pub fn retell(&self, value: Value) -> Value {
        ledger::retell(&self.state(), &self.account, value)
    }

    /// Every AccessKey secret ever issued, the daemon's included.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.state().history.secrets.iter().cloned().collect()
    }

    /// The boundaries of the daemon's mutating calls, shared with the world's API servers.
    #[must_use]
    pub fn boundaries(&self) -> Arc<Boundaries> {
        self.faults.boundaries()
    }

    /// Ends all timers, and waits until nothing of the cloud runs any more.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn door(self: &Arc<Self>, vpc: Option<String>) -> Router {
        let door = Door { cloud: Arc::clone(self), vpc };
        Router::new().fallback(receive).with_state(door)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no handler panics while it holds the state")
    }

    fn hands(&self) -> Option<Arc<dyn Hands>> {
        self.hands.get().cloned()
    }

    /// Runs something that ends with the cloud.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// A delay as it is in reality, at this world's pace.
    async fn after(&self, seconds: u64) {
        self.pace.sleep(Duration::from_secs(seconds)).await;
    }

    async fn report_as_agent(self: Arc<Self>, cluster_id: String) {
        loop {
            let path = match self.hands() {
                Some(hands) => hands.read_script_path(&cluster_id).await,
                None => None,
            };
            // What the agent doesn't accept it doesn't report, so the cloud goes on with the last value.
            if let Some(path) = path.filter(|path| is_reported(path)) {
                self.state().history.script_paths.insert(cluster_id.clone(), path);
            }
            self.pace.sleep(AGENT_ROUND).await;
        }
    }
}

/// Whether an agent reports this script path.
fn is_reported(path: &str) -> bool {
    let http = path.starts_with("http://") || path.starts_with("https://");
    path.is_empty() || (http && path.len() <= 1024)
}

async fn receive(Shared(door): Shared<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let request = Incoming::new(&parts, body, door.vpc);
    if gateway::is_signed_api(&request) {
        gateway::serve(&door.cloud, request).await
    } else {
        oss::serve(&door.cloud, request).await
    }
}
