//! The input document as types: field for field what people write, in the one mapping (proto3 JSON with snake_case names,
//! unprefixed enum values, durations as text). Reading fills in the defaults that need nothing but the field itself; it
//! judges nothing: that is `rules`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::pool::NodePool;

/// The input file of kind `HybridCluster`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Document {
    /// Always `causeway/v1`.
    #[serde(rename = "apiVersion", alias = "api_version")]
    pub api_version: String,
    /// Always `HybridCluster`.
    pub kind: String,
    /// Name and labels of the record.
    pub metadata: Metadata,
    /// The cluster.
    pub spec: Spec,
    /// How this one run goes about it.
    pub run: Run,
}

/// Name and labels of a lasting record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// `hybridClusters/NAME`.
    pub name: String,
    /// Shown and filtered by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A Kubernetes object of the data center's cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectReference {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The cluster to build.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// A connection of the daemon's configuration.
    pub connection: String,
    /// The registered cluster.
    pub cluster_id: String,
    /// Its region.
    pub region: String,
    /// The data center's side.
    pub on_premises: OnPremises,
    /// The cloud's side.
    pub vpc: Vpc,
    /// The cloud nodes' network plugin.
    pub terway: Terway,
    /// The script that makes an instance a node.
    pub init_script: InitScript,
    /// The node pools.
    pub node_pools: Vec<NodePool>,
}

/// The data center's side of the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OnPremises {
    /// CIDRs of the nodes.
    pub node_cidrs: Vec<String>,
    /// CIDRs of the pods.
    pub pod_cidrs: Vec<String>,
    /// CIDR of the services.
    pub service_cidr: String,
    /// `HOST:PORT` as cloud nodes reach it; empty: what the cluster's own `cluster-info` says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_server: String,
    /// Where Calico is; none: found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calico: Option<Calico>,
}

/// Where Calico's DaemonSet is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Calico {
    /// Namespace.
    pub namespace: String,
    /// Name of the DaemonSet.
    pub daemonset: String,
}

/// Where the way from the VPC to the data center is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Attachment {
    /// Route entries and CEN.
    #[default]
    #[serde(alias = "ATTACHMENT_UNSPECIFIED")]
    Auto,
    /// A CEN transit router.
    Cen,
    /// Route entries.
    Routes,
    /// Not to be seen from the account.
    None,
}

/// The cloud's side of the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Security group of the nodes.
    pub security_group_id: String,
    /// Where instances go.
    pub node_vswitches: Vec<VSwitch>,
    /// Where pods' addresses come from.
    pub pod_vswitches: Vec<VSwitch>,
    /// Where the way to the data center is looked for.
    pub attachment: Attachment,
    /// Why the route check may be skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub skip_route_check_reason: String,
}

/// One vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VSwitch {
    /// `vsw-…`.
    pub id: String,
    /// The zone that it is meant to be in; checked if given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// What the RAM and add-on steps go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Via {
    /// The cloud's OpenAPI.
    #[default]
    #[serde(rename = "OPENAPI", alias = "VIA_UNSPECIFIED")]
    OpenApi,
    /// The `onectl` program. Not supported yet.
    Onectl,
}

/// Where Terway takes its AccessKey from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerwayCredentials {
    /// What fits the version.
    #[default]
    #[serde(alias = "CREDENTIALS_UNSPECIFIED")]
    Auto,
    /// Secret `alibaba-addon-secret` (1.8 and later).
    Secret,
    /// In `eni-config` itself.
    EniConfig,
}

/// Which actions the RAM policy grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Policy {
    /// The guide's eleven.
    #[default]
    #[serde(alias = "POLICY_UNSPECIFIED")]
    Guide,
    /// What current Terway versions ask for, too.
    Extended,
}

/// How pods' vSwitches are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VSwitchSelection {
    /// In the order given.
    #[default]
    #[serde(alias = "V_SWITCH_SELECTION_UNSPECIFIED")]
    Ordered,
    /// At random.
    Random,
}

/// The cloud nodes' network plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Terway {
    /// Version of the add-on; empty: the newest that fits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What the steps go through.
    pub via: Via,
    /// Where Terway takes its AccessKey from.
    pub credentials: TerwayCredentials,
    /// Which actions the RAM policy grants.
    pub policy: Policy,
    /// Security group of the pods' interfaces; the VPC's, once defaults are filled in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub security_group_id: String,
    /// Warm addresses per node.
    pub pool: Pool,
    /// How pods' vSwitches are chosen.
    pub vswitch_selection: VSwitchSelection,
    /// Tags for the network interfaces, besides the fixed ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub eni_tags: BTreeMap<String, String>,
}

/// Warm addresses that Terway keeps on each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self { min: 0, max: 5 }
    }
}

/// The script that makes an instance a node. Of `render`, `inline`, `url` one at most is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InitScript {
    /// Written by Causeway; the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub render: Option<Render>,
    /// Given in full: kept only to be refused, and never its text.
    #[serde(skip_serializing)]
    pub inline: Option<Present>,
    /// Published by the user: kept only to be refused.
    #[serde(skip_serializing)]
    pub url: Option<Present>,
    /// The token that nodes join with; the default is a minted one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// How instances get the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
}

/// Something that is there and can't be used yet; its content is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The script that Causeway writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Render {
    /// Version of kubeadm and kubelet; empty: the control plane's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kubernetes_version: String,
    /// The container runtime.
    pub runtime: Runtime,
}

/// A container runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// containerd, the only one.
    pub containerd: Containerd,
}

/// containerd's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Containerd {
    /// Version; empty: what the package source has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// Where the join token comes from: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Token {
    /// Of Causeway's own making.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mint: Option<Mint>,
    /// There already, in this Secret of type `bootstrap.kubernetes.io/token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<ObjectReference>,
}

/// A bootstrap token of Causeway's own making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mint {
    /// How long it lives, as text; see [`Self::ttl`].
    pub ttl: String,
}

impl Default for Mint {
    fn default() -> Self {
        Self { ttl: "86400s".to_owned() }
    }
}

impl Mint {
    /// How long it lives: validated at the start, a day where it can't be read.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        duration::parse(&self.ttl).unwrap_or(Duration::from_secs(86_400))
    }
}

/// How instances get the script: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Publish {
    /// In an OSS bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oss: Option<Oss>,
    /// On the daemon's own file server: kept only to be refused.
    #[serde(skip_serializing)]
    pub server: Option<Present>,
}

/// Who may read the published object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Access {
    /// Private, and one statement of the bucket's policy that lets the VPC read it.
    #[default]
    #[serde(alias = "ACCESS_UNSPECIFIED")]
    Vpc,
    /// Anybody.
    PublicRead,
}

/// Publishing in an OSS bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Oss {
    /// Name of the bucket, in the cluster's region.
    pub bucket: String,
    /// What the object's key starts with.
    pub prefix: String,
    /// Who may read it.
    pub access: Access,
    /// Says that a join token may be readable by anybody.
    pub allow_public_token: bool,
}

impl Default for Oss {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            prefix: "causeway/".to_owned(),
            access: Access::Vpc,
            allow_public_token: false,
        }
    }
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnFailure {
    /// Everything is undone.
    #[default]
    #[serde(alias = "ON_FAILURE_UNSPECIFIED")]
    Compensate,
    /// The failed step is held.
    Hold,
}

/// How this one run goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Forward running time; none: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Time in the queue.
    pub queue_timeout: String,
    /// The gates.
    pub gates: Gates,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::Compensate,
            timeout: None,
            queue_timeout: "86400s".to_owned(),
            gates: Gates::default(),
        }
    }
}

/// The gates of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gates {
    /// Approval before money is spent.
    pub spend: Gate,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// Whether a person has to approve.
    pub required: bool,
    /// How long it stays open.
    pub timeout: String,
}

impl Default for Gate {
    fn default() -> Self {
        Self { required: false, timeout: "86400s".to_owned() }
    }
}

impl Spec {
    /// The node pool of that name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&NodePool> {
        self.node_pools.iter().find(|pool| pool.name == name)
    }

    /// Fills in what other fields say where nothing was given.
    pub(super) fn fill_in(&mut self) {
        let group = &self.vpc.security_group_id;
        if self.terway.security_group_id.is_empty() {
            self.terway.security_group_id.clone_from(group);
        }
        let script = &mut self.init_script;
        if script.inline.is_none() && script.url.is_none() {
            script.render.get_or_insert_default();
        }
        let token = script.token.get_or_insert_default();
        if token.secret.is_none() {
            token.mint.get_or_insert_default();
        }
        for pool in &mut self.node_pools {
            pool.fill_in(&self.vpc);
        }
    }
}
