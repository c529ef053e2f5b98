//! A connection: an Alibaba Cloud account with limits, and the clients to reach it and its clusters. No caller ever sends a credential.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use causeway_engine::Failure;
use secrecy::SecretString;

use crate::timing::Timing;
use crate::{alibaba, kubernetes};

/// How long a fetched kubeconfig is good for; it is fetched anew once it is refused.
const KUBECONFIG_MINUTES: u32 = 12 * 60;

/// A connection as configured (`[connections.NAME]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// `prod`.
    pub name: String,
    /// Where its credentials come from.
    pub credentials: CredentialSource,
    /// The account that the credentials must belong to.
    pub account_id: String,
    /// Regions that may be used.
    pub regions: Vec<String>,
    /// Registered clusters that may be used; `*` for all.
    pub clusters: Vec<String>,
    /// Most nodes that one workflow may add.
    pub max_nodes: u32,
    /// Most calls to the cloud at the same time.
    pub max_concurrent_calls: usize,
    /// Endpoints by product (`all`, `cs`, `ram`, `sts`, `ecs`, `vpc`, `cbn`, `ess`, `oss`, `oss_node`); others by the product's rule.
    pub endpoints: BTreeMap<String, String>,
    /// Kubeconfig files by cluster id; others are fetched from CS.
    pub kubeconfigs: BTreeMap<String, PathBuf>,
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// The chain: environment, then shared file.
    Default {
        /// The shared file, where it is not `~/.alibabacloud/credentials.ini`.
        file: Option<PathBuf>,
        /// Its section.
        profile: String,
    },
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID`, `…_SECRET`, `…_SECURITY_TOKEN`.
    Environment,
    /// An INI file.
    SharedFile {
        /// The file, where it is not `~/.alibabacloud/credentials.ini`.
        file: Option<PathBuf>,
        /// Its section.
        profile: String,
    },
}

impl CredentialSource {
    /// Which provider of the chain it comes down to in this process, in words that hold no secret.
    #[must_use]
    pub fn place(&self) -> String {
        provider(self).place()
    }
}

/// Why a connection can't be set up; nothing has been called yet.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An endpoint is no URL.
    #[error("connection {name}: {source}")]
    Endpoint {
        /// The connection.
        name: String,
        /// Which, and why.
        source: alibaba::EndpointError,
    },
    /// There are no credentials.
    #[error("connection {name}: {source}")]
    Credentials {
        /// The connection.
        name: String,
        /// Where they were looked for.
        source: alibaba::credentials::Error,
    },
    /// The HTTP client can't be made.
    #[error("connection {name}: {source}")]
    Http {
        /// The connection.
        name: String,
        /// Why.
        source: alibaba::SetupError,
    },
}

/// A connection with its clients.
pub struct Connection {
    /// As configured.
    pub config: ConnectionConfig,
    /// The cloud's client.
    pub cloud: alibaba::Client,
    /// Clients of the clusters, made when first needed.
    pub clusters: kubernetes::Clusters,
}

impl Connection {
    /// Reads the credentials and makes the clients; nothing is called yet.
    ///
    /// # Errors
    /// As in [`SetupError`].
    pub fn new(config: ConnectionConfig, timing: &Timing) -> Result<Self, SetupError> {
        let name = config.name.clone();
        let credentials = provider(&config.credentials)
            .load()
            .map_err(|source| SetupError::Credentials { name: name.clone(), source })?;
        Self::with_credentials(config, timing, credentials)
    }

    /// The connection of definitions that need none: it has no account, and its credentials open nothing.
    ///
    /// # Errors
    /// Where the HTTP client can't be made.
    pub fn none(timing: &Timing) -> Result<Self, SetupError> {
        let config = ConnectionConfig {
            name: String::new(),
            credentials: CredentialSource::Environment,
            account_id: String::new(),
            regions: Vec::new(),
            clusters: Vec::new(),
            max_nodes: 0,
            max_concurrent_calls: 1,
            endpoints: BTreeMap::new(),
            kubeconfigs: BTreeMap::new(),
        };
        let credentials = alibaba::Credentials::new("none", "none", None);
        Self::with_credentials(config, timing, credentials)
    }

    /// The same connection for looking only: a mutating call is refused before it is sent, and `trail` hears which actions
    /// of the cloud its key was seen to be allowed.
    #[must_use]
    pub fn read_only(&self, trail: &alibaba::Trail) -> Self {
        Self {
            config: self.config.clone(),
            cloud: self.cloud.read_only(trail),
            clusters: self.clusters.read_only(),
        }
    }

    fn with_credentials(
        config: ConnectionConfig,
        timing: &Timing,
        credentials: alibaba::Credentials,
    ) -> Result<Self, SetupError> {
        let name = config.name.clone();
        let endpoints = alibaba::Endpoints::from_table(&config.endpoints)
            .map_err(|source| SetupError::Endpoint { name: name.clone(), source })?;
        let options = alibaba::Options {
            region: config.regions.first().cloned().unwrap_or_default(),
            endpoints,
            call_timeout: timing.call_timeout,
            max_concurrent_calls: config.max_concurrent_calls.max(1),
            sources: alibaba::Sources::system(),
        };
        let cloud = alibaba::Client::new(options, credentials)
            .map_err(|source| SetupError::Http { name, source })?;
        let source = Arc::new(FetchedKubeconfig { cloud: cloud.clone() });
        let options = kubernetes::Options { call_timeout: timing.call_timeout };
        let clusters = kubernetes::Clusters::new(config.kubeconfigs.clone(), source, options);
        Ok(Self { config, cloud, clusters })
    }
}

fn provider(source: &CredentialSource) -> alibaba::credentials::Provider {
    use alibaba::credentials::{Provider, Source};
    match source {
        CredentialSource::Default { file, profile } => {
            Provider { source: Source::Default, file: file.clone(), profile: profile.clone() }
        }
        CredentialSource::Environment => {
            Provider { source: Source::Environment, ..Provider::default() }
        }
        CredentialSource::SharedFile { file, profile } => {
            Provider { source: Source::SharedFile, file: file.clone(), profile: profile.clone() }
        }
    }
}

/// Kubeconfigs as CS gives them out: through the registered cluster.
struct FetchedKubeconfig {
    cloud: alibaba::Client,
}

#[async_trait]
impl kubernetes::KubeconfigSource for FetchedKubeconfig {
    async fn kubeconfig(&self, cluster_id: &str) -> Result<SecretString, Failure> {
        let fetched = alibaba::cs::describe_user_kubeconfig(
            &self.cloud,
            cluster_id,
            true,
            KUBECONFIG_MINUTES,
        )
        .await?;
        Ok(fetched.config)
    }
}
