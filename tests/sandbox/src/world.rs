//! A whole world: the cloud, a data center per registered cluster, and the hands between them; with the files that let
//! a daemon, kubectl and the client in. Many worlds run in one process, each on ports of its own. It knows no daemon.

mod files;
mod hands;
mod ledger;
mod pace;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    cloud::Cloud,
    control,
    faults::{Boundaries, Faults},
    instances::{Instances, Mode},
    kube::Who,
    seed::Seed,
    time::Pace,
};

pub use self::{
    files::{ClusterEndpoint, Endpoints, Folder},
    ledger::NodeView,
};
use self::{hands::WorldHands, ledger::Dumper};

/// The guide's cluster in half a minute: fast enough to wait for, slow enough to watch.
pub const SPEED_TO_WATCH: f64 = 8.0;
/// As fast as is stable: a build's delays sum up to less than 3 s.
pub const SPEED_OF_TESTS: f64 = 200.0;

/// How long the world may take to come to rest before its ledger is taken as it is.
const REST_LIMIT: Duration = Duration::from_secs(10);
/// How long the ledger must stay the same to be taken for at rest.
const REST_FOR: Duration = Duration::from_millis(150);

/// What a world begins with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything that exists at the start.
    pub seed: Seed,
    /// How many times faster than reality.
    pub speed: f64,
    /// Folder of its files; default: a temporary one that goes with the world.
    pub dir: Option<PathBuf>,
    /// Fault rules in force from the start.
    pub faults: Vec<String>,
    /// How instances come to life.
    pub instances: Mode,
}

impl Default for Options {
    /// The guide's world at the speed of tests.
    fn default() -> Self {
        Self {
            seed: Seed::guide(),
            speed: SPEED_OF_TESTS,
            dir: None,
            faults: Vec::new(),
            instances: Mode::Scripted,
        }
    }
}

/// A running world; it ends when dropped, better still by [`World::shutdown`].
pub struct World {
    endpoints: Endpoints,
    folder: Folder,
    /// Keeps a temporary folder as long as the world.
    _temporary: Option<tempfile::TempDir>,
    cloud: Arc<Cloud>,
    faults: Arc<Faults>,
    hands: Arc<WorldHands>,
    dumper: Arc<Dumper>,
    seed: Seed,
    tasks: JoinSet<()>,
}

impl World {
    /// Starts a world; when this returns, all its endpoints answer and its files are written.
    ///
    /// # Errors
    /// When a fault rule is malformed, the folder can't be used, a port can't be bound, or the machine can't run
    /// instances in the mode asked for.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        // A second installation is refused and harmless: the first one counts.
        drop(rustls::crypto::ring::default_provider().install_default());
        let Options { seed, speed, dir, faults: rules, instances } = options;
        let faults = Faults::new();
        for rule in &rules {
            faults.add(rule).with_context(|| format!("fault rule {rule:?}"))?;
        }
        let pace = Pace::new(speed);
        let temporary = if dir.is_none() {
            Some(tempfile::Builder::new().prefix("causeway-world-").tempdir()?)
        } else {
            None
        };
        let path = dir
            .or_else(|| temporary.as_ref().map(|temporary| temporary.path().to_owned()))
            .context("a folder")?;
        let folder = Folder::take(&path)?;
        let instances = Instances::new(instances, pace).await?;
        let cloud = Cloud::new(&seed, Arc::clone(&faults), pace);
        let hands = Arc::new(WorldHands::start(&seed, &cloud, &faults, pace, instances).await?);
        cloud.set_hands(hands.clone());
        let dumper = Arc::new(Dumper::new(Arc::clone(&cloud), hands.data_centers()));
        let mut tasks = JoinSet::new();
        let cloud_url = serve(&mut tasks, cloud.router(), "the cloud").await?;
        let control_url = serve(
            &mut tasks,
            control::router(dumper.clone(), Arc::clone(&faults)),
            "the sandbox's control",
        )
        .await?;
        let kubernetes = hands
            .servers()
            .map(|(id, server)| ClusterEndpoint { cluster_id: id.to_owned(), url: server.url() })
            .collect();
        let endpoints = Endpoints {
            cloud: cloud_url,
            kubernetes,
            control: control_url,
            daemon: free_address().await?,
        };
        let kubeconfigs: Vec<String> =
            hands.servers().map(|(_, server)| server.kubeconfig(Who::Daemon)).collect();
        folder.write(&seed, pace, &endpoints, &kubeconfigs)?;
        Ok(Self {
            endpoints,
            folder,
            _temporary: temporary,
            cloud,
            faults,
            hands,
            dumper,
            seed,
            tasks,
        })
    }

    /// Where everything listens; the daemon's address is chosen once, so that it may be killed and restarted.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The world's files.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What the world began with.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The cloud account, for tests that change it behind the daemon's back.
    #[must_use]
    pub fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    /// Every stored object, sorted, as JSON: `{"cloud": …, "kubernetes": {CLUSTER: …}}` and a newline.
    ///
    /// # Errors
    /// When an API server does not answer.
    pub async fn ledger(&self) -> anyhow::Result<String> {
        control::Dump::ledger(&*self.dumper).await
    }

    /// The ledger once it has stayed the same for a moment: controllers lag behind what the daemon did last.
    ///
    /// # Errors
    /// When an API server does not answer.
    pub async fn settled_ledger(&self) -> anyhow::Result<String> {
        let mut last = self.ledger().await?;
        let resting = async {
            loop {
                tokio::time::sleep(REST_FOR).await;
                let now = self.ledger().await?;
                if now == last {
                    return anyhow::Ok(());
                }
                last = now;
            }
        };
        if let Ok(outcome) = tokio::time::timeout(REST_LIMIT, resting).await {
            outcome?;
        }
        Ok(last)
    }

    /// Every secret of this world: AccessKey secrets, tokens of kubeconfigs, join tokens, the sealing key.
    ///
    /// # Errors
    /// When an API server does not answer.
    pub async fn secrets(&self) -> anyhow::Result<Vec<String>> {
        let mut secrets = self.cloud.secrets();
        secrets.extend(self.hands.servers().flat_map(|(_, server)| server.secrets()));
        secrets.extend(self.dumper.secrets_in_clusters().await?);
        let sealing =
            std::fs::read_to_string(self.folder.file("sealing.key")).context("the sealing key")?;
        secrets.push(sealing.trim().to_owned());
        secrets.sort();
        secrets.dedup();
        Ok(secrets)
    }

    /// The nodes of a cluster with their network pods, as the cluster says.
    ///
    /// # Errors
    /// When there is no such cluster, or its API server does not answer.
    pub async fn nodes(&self, cluster_id: &str) -> anyhow::Result<Vec<NodeView>> {
        self.dumper.nodes(cluster_id).await
    }

    /// A client of cluster-admin, for tests that change the cluster behind the daemon's back.
    #[must_use]
    pub fn client(&self, cluster_id: &str) -> Option<::kube::Client> {
        self.dumper.client(cluster_id)
    }

    /// The fault rules in force.
    #[must_use]
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults)
    }

    /// The boundaries of the daemon's mutating calls.
    #[must_use]
    pub fn boundaries(&self) -> Arc<Boundaries> {
        self.faults.boundaries()
    }

    /// Ends everything, and waits until it has ended.
    pub async fn shutdown(mut self) {
        self.folder.leave();
        self.tasks.shutdown().await;
        self.cloud.shutdown().await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.folder.leave();
        self.tasks.abort_all();
        // The cloud's timers hold on to it, and it to its hands, until they are told to stop.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let cloud = Arc::clone(&self.cloud);
            runtime.spawn(async move { cloud.shutdown().await });
        }
    }
}

/// Serves a router on a free port of 127.0.0.1, as one of `tasks`.
async fn serve(
    tasks: &mut JoinSet<()>,
    router: Router,
    what: &'static str,
) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .with_context(|| format!("cannot bind a port for {what}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, what, "An endpoint of the sandbox stopped");
        }
    });
    Ok(url)
}

/// Ports for daemons: below those that the system gives to whoever asks for any, so that no other world's listener takes the port
/// of a daemon that is down for a moment.
const DAEMON_PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A free port for the daemon, another one each time. Another process may take it before the daemon does; then the daemon says so.
async fn free_address() -> anyhow::Result<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that start worlds at the same time begin at different places.
    let first = std::process::id().wrapping_mul(131);
    for _ in 0..DAEMON_PORTS.len() {
        let turn = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = turn % u32::from(DAEMON_PORTS.end - DAEMON_PORTS.start);
        let port = DAEMON_PORTS.start + u16::try_from(offset).context("a port")?;
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return Ok(format!("http://127.0.0.1:{port}"));
        }
    }
    anyhow::bail!("no port of {DAEMON_PORTS:?} is free for the daemon")
}
