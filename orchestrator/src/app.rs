//! Wiring: the only place that puts store, runtime and API together, and the order in which they start and stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use causeway_workflows::{Connection, Definition};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, SealingKey};
use crate::runtime::{Handle, Observer, Parts, Revisions, Runtime};
use crate::store::seal::Sealer;
use crate::store::{SledStore, Store, StoreOptions};
use crate::{api, clock};

/// How long a stopping daemon waits for answers to calls in flight.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// The shard of a store for one machine.
const SHARD: u32 = 0;

/// A daemon that is ready to run.
pub struct App {
    config: Config,
    runtime: Arc<Runtime>,
    store: Arc<dyn Store>,
}

impl App {
    /// Opens the store, makes the connections, and reads all live workflows again.
    ///
    /// # Errors
    /// What stands in the way, for the operator; among it a revision of a definition that is in use and that this version does not
    /// know.
    pub async fn build(config: Config, observer: Arc<dyn Observer>) -> anyhow::Result<Self> {
        let store_dir = config.store_dir();
        std::fs::create_dir_all(&store_dir)
            .with_context(|| format!("cannot create {}", store_dir.display()))?;
        let store: Arc<dyn Store> = Arc::new(SledStore::open(&StoreOptions::new(&store_dir))?);
        let definitions = causeway_workflows::registry();
        // Before the store is owned: a daemon that may not run on it leaves it as it was.
        let known: Vec<_> = definitions.iter().map(Definition::reference).collect();
        Revisions::read(store.as_ref(), &known).await?.require_known()?;
        let runtime = Runtime::new(Parts {
            fence: store.own(SHARD).await?,
            sealer: Arc::new(sealer(&config)?),
            definitions,
            connections: connections(&config)?,
            timing: config.timing,
            clock: clock::system(),
            observer,
            store: store.clone(),
        });
        runtime.recover().await?;
        Ok(Self { config, runtime, store })
    }

    /// What the API holds.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.runtime.handle()
    }

    /// Serves until `shutdown`, then stops admitting, waits for calls in flight, and returns.
    ///
    /// # Errors
    /// Where the address can't be had, the API ends by itself, or the store has failed.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.config.listen))?;
        let api_stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let options = api::Options::of(&self.config);
        tasks.spawn(api::serve(listener, self.handle(), options, api_stop.clone()));
        let timers = self.runtime.clone();
        tasks.spawn(async move {
            timers.run_timers().await;
            Ok(())
        });
        let (old, retention) = (self.runtime.clone(), self.config.retention);
        tasks.spawn(async move {
            old.run_retention(retention).await;
            Ok(())
        });
        let mut failure = self.runtime.failure();
        let mut health = self.store.health();
        // In this order: a failure ends the other tasks in good order, and must not pass for a good end.
        let outcome = tokio::select! {
            biased;
            _ = failure.wait_for(Option::is_some) => Err(anyhow::anyhow!("the store has failed; restart the daemon once the disk is sound")),
            _ = health.wait_for(|health| matches!(health, crate::store::Health::Failed(_))) => Err(anyhow::anyhow!("the store has failed; restart the daemon once the disk is sound")),
            () = shutdown.cancelled() => Ok(()),
            ended = tasks.join_next() => ended.map_or(Ok(()), |ended| ended.map_err(anyhow::Error::from).and_then(|result| result)),
        };
        tracing::info!("Stopping: nothing new is admitted, calls in flight are waited for");
        self.runtime.drain(DRAIN_PATIENCE).await;
        api_stop.cancel();
        while tokio::time::timeout(DRAIN_PATIENCE, tasks.join_next())
            .await
            .is_ok_and(|ended| ended.is_some())
        {}
        outcome
    }
}

fn connections(config: &Config) -> anyhow::Result<BTreeMap<String, Arc<Connection>>> {
    let mut connections =
        BTreeMap::from([(String::new(), Arc::new(Connection::none(&config.timing)?))]);
    for (name, connection) in &config.connections {
        connections
            .insert(name.clone(), Arc::new(Connection::new(connection.clone(), &config.timing)?));
    }
    Ok(connections)
}

fn sealer(config: &Config) -> anyhow::Result<Sealer> {
    let sealer = match &config.sealing {
        SealingKey::Given(key) => Sealer::from_hex(
            secrecy::ExposeSecret::expose_secret(key),
            crate::config::SEALING_KEY_VARIABLE,
        )?,
        SealingKey::File(path) => Sealer::from_file(path)?,
        SealingKey::Made(path) if path.exists() => Sealer::from_file(path)?,
        SealingKey::Made(path) => {
            tracing::warn!(path = %path.display(), "A sealing key was made; without it the secrets in the store can't be opened again");
            Sealer::create_file(path)?
        }
    };
    Ok(sealer)
}
