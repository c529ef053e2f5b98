//! A connection: an Alibaba Cloud account with limits, and the clients to reach it and its clusters. No caller ever sends a credential.

use std::collections::BTreeMap;
use std::path::PathBuf;

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

/// A connection with its clients.
pub struct Connection {
    /// As configured.
    pub config: ConnectionConfig,
    /// The cloud's client.
    pub cloud: crate::alibaba::Client,
    /// Clients of the clusters, made when first needed.
    pub clusters: crate::kubernetes::Clusters,
}
