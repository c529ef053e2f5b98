//! The clients of a connection's clusters, made when first needed. A kubeconfig comes from the configured file, else
//! from a [`KubeconfigSource`]; it is read anew after the API server refused it or could not be reached.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use causeway_engine::Failure;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};

use super::cluster::Cluster;

/// Longest time to wait for a connection.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// Where the kubeconfig of a cluster comes from that has no file.
#[async_trait]
pub trait KubeconfigSource: Send + Sync {
    /// The kubeconfig as YAML.
    ///
    /// # Errors
    /// As the call failed.
    async fn kubeconfig(&self, cluster_id: &str) -> Result<SecretString, Failure>;
}

/// How clusters are reached.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Longest duration of one call, to the last byte of the answer.
    pub call_timeout: Duration,
}

type Slot = Arc<tokio::sync::Mutex<Option<Cluster>>>;

/// The clusters of a connection.
pub struct Clusters {
    files: BTreeMap<String, PathBuf>,
    source: Arc<dyn KubeconfigSource>,
    options: Options,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    read_only: bool,
}

impl Clusters {
    /// The clusters whose kubeconfigs are `files` (by cluster id), or else come from `source`.
    #[must_use]
    pub fn new(
        files: BTreeMap<String, PathBuf>,
        source: Arc<dyn KubeconfigSource>,
        options: Options,
    ) -> Self {
        // Whoever was first to install the provider chose this very one.
        rustls::crypto::ring::default_provider().install_default().ok();
        Self { files, source, options, slots: Arc::default(), read_only: false }
    }

    /// The same clusters for looking only: a mutating call is refused before it is sent.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self {
            files: self.files.clone(),
            source: Arc::clone(&self.source),
            options: self.options,
            slots: Arc::clone(&self.slots),
            read_only: true,
        }
    }

    /// A cluster's API; nothing but its kubeconfig has been asked for yet.
    ///
    /// # Errors
    /// Permanent where the kubeconfig can't be used; else as fetching it failed.
    pub async fn get(&self, cluster_id: &str) -> Result<Cluster, Failure> {
        let cluster = self.connected(cluster_id).await?;
        Ok(Cluster { read_only: self.read_only, ..cluster })
    }

    async fn connected(&self, cluster_id: &str) -> Result<Cluster, Failure> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(cluster_id.to_owned()).or_default())
        };
        // Others who want the same cluster wait for this one fetch.
        let mut held = slot.lock().await;
        if let Some(cluster) =
            held.as_ref().filter(|cluster| !cluster.outdated.load(Ordering::Relaxed))
        {
            return Ok(cluster.clone());
        }
        let cluster = self.connect(cluster_id).await?;
        *held = Some(cluster.clone());
        Ok(cluster)
    }

    async fn connect(&self, cluster_id: &str) -> Result<Cluster, Failure> {
        let (origin, text) = match self.files.get(cluster_id) {
            Some(path) => {
                let origin = path.display().to_string();
                let text = tokio::fs::read_to_string(path)
                    .await
                    .map_err(|error| unfit(cluster_id, &origin, &error.to_string()))?;
                (origin, SecretString::from(text))
            }
            None => ("Container Service".to_owned(), self.source.kubeconfig(cluster_id).await?),
        };
        // The parser's words may quote the text, which holds keys: only the kind of fault is told.
        let kubeconfig = Kubeconfig::from_yaml(text.expose_secret())
            .map_err(|_| unfit(cluster_id, &origin, "it is no kubeconfig in YAML"))?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|_| {
                unfit(cluster_id, &origin, "its current context names no usable cluster and user")
            })?;
        // A repeated write is the engine's to decide; and every call has a deadline of its own.
        config.default_retry = false;
        config.connect_timeout = Some(self.options.call_timeout.min(CONNECT_TIMEOUT_MAX));
        config.read_timeout = None;
        config.write_timeout = None;
        if config.cluster_url.host().is_some_and(is_loopback) {
            config.proxy_url = None;
        }
        let client = kube::Client::try_from(config)
            .map_err(|_| unfit(cluster_id, &origin, "its certificates or keys can't be used"))?;
        Ok(Cluster {
            client,
            id: cluster_id.into(),
            call_timeout: self.options.call_timeout,
            bound: None,
            outdated: Arc::new(AtomicBool::new(false)),
            read_only: false,
        })
    }

    /// Clusters of which one is `cluster` already.
    #[cfg(test)]
    pub(crate) fn with(cluster: Cluster, source: Arc<dyn KubeconfigSource>) -> Self {
        let clusters =
            Self::new(BTreeMap::new(), source, Options { call_timeout: cluster.call_timeout });
        let slot: Slot = Arc::new(tokio::sync::Mutex::new(Some(cluster.clone())));
        clusters
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(cluster.id.to_string(), slot);
        clusters
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn unfit(cluster_id: &str, origin: &str, why: &str) -> Failure {
    Failure::permanent(format!(
        "the kubeconfig of cluster {cluster_id} (from {origin}) can't be used: {why}; put a working one into the connection's `kubeconfigs`"
    ))
    .with_code("KUBECONFIG_UNFIT")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counting(AtomicUsize, &'static str);

    #[async_trait]
    impl KubeconfigSource for Counting {
        async fn kubeconfig(&self, _cluster_id: &str) -> Result<SecretString, Failure> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(SecretString::from(self.1))
        }
    }

    const PLAIN: &str = "apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: u, user: {token: hunter2-hunter2}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
";

    fn clusters(source: Arc<Counting>) -> Clusters {
        Clusters::new(BTreeMap::new(), source, Options { call_timeout: Duration::from_secs(5) })
    }

    #[tokio::test]
    async fn a_kubeconfig_is_fetched_once_and_again_after_the_server_could_not_be_reached() {
        let source = Arc::new(Counting(AtomicUsize::new(0), PLAIN));
        let clusters = clusters(Arc::clone(&source));
        let cluster = clusters.get("c1").await.unwrap();
        clusters.get("c1").await.unwrap();
        assert_eq!(source.0.load(Ordering::Relaxed), 1);
        let failure = cluster.get(&super::super::Resource::NODES.named("n")).await.unwrap_err();
        assert_eq!(
            (failure.class, failure.code.as_deref()),
            (causeway_engine::FailureClass::Retryable, Some("NOT_SENT")),
            "{failure}"
        );
        clusters.get("c1").await.unwrap();
        assert_eq!(source.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_unfit_kubeconfig_is_refused_without_quoting_it() {
        for text in [
            "token: hunter2-hunter2: [",
            "apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: hunter2-hunter2}}]\n",
        ] {
            let failure = clusters(Arc::new(Counting(AtomicUsize::new(0), text)))
                .get("c1")
                .await
                .unwrap_err();
            assert_eq!(failure.code.as_deref(), Some("KUBECONFIG_UNFIT"));
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        }
    }

    #[tokio::test]
    async fn clusters_for_looking_only_send_no_change() {
        let kube = super::super::fake::FakeKube::new();
        let source = Arc::new(Counting(AtomicUsize::new(0), PLAIN));
        let clusters = Clusters::with(kube.cluster("c1"), source);
        let at = super::super::Resource::CONFIG_MAPS.at("kube-system", "x");
        let map =
            serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
        let looking = clusters.read_only().get("c1").await.unwrap();
        assert!(looking.get(&at).await.unwrap().is_none());
        let failure = looking.create(&at, &map).await.unwrap_err();
        assert_eq!(failure.code.as_deref(), Some("READ_ONLY"), "{failure}");
        assert!(kube.writes().is_empty());
        clusters.get("c1").await.unwrap().create(&at, &map).await.unwrap();
        assert_eq!(kube.writes().len(), 1, "others of the same connection still may");
    }
}
