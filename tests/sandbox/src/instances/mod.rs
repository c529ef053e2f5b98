//! ECS instances that boot: user data fetches the registered node script and runs it with bash in a scratch root with
//! stand-ins for kubeadm, kubelet, systemctl and the package managers. Knows nothing of the cluster's API: whoever
//! starts an instance brings the [`Registrar`] that lets its Node in. The host is never touched, see `jail`.

pub mod companion;
mod guest;
mod jail;
mod relay;
mod rootfs;
mod standins;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{
    hands::{Boot, BootReport},
    time::Pace,
};

/// What `causeway-sandbox` does before anything else: becomes a stand-in (by the name it was called with) or a stage
/// of an instance (by a hidden subcommand). `None`: it is what it says it is. Must be called while the process has
/// one thread.
#[must_use]
pub fn run_hidden(args: &[String]) -> Option<i32> {
    let name = args.first().map_or("", |program| program.rsplit('/').next().unwrap_or_default());
    if let Some(standin) = standins::find(name) {
        return Some(standin(&args[1..]));
    }
    jail::run_hidden(args)
}

/// How instances come to life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They run the registered script in namespaces of their own.
    #[default]
    Scripted,
    /// Nodes join without any script being run: nothing is proved about the script.
    Unscripted,
}

/// A taint as kubelet registers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTaint {
    /// `workload`.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// What `kubeadm join` was given to find and trust the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// `192.168.0.10:6443`.
    pub endpoint: String,
    /// `ID.SECRET`.
    pub token: String,
    /// `sha256:HEX` of the CA's public key.
    pub ca_cert_hashes: Vec<String>,
    /// `--discovery-token-unsafe-skip-ca-verification`.
    pub skip_ca_verification: bool,
}

/// What kubelet registers its Node with: exactly what it was given, nothing that the sandbox knows better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The Node's name.
    pub name: String,
    /// `--provider-id`.
    pub provider_id: Option<String>,
    /// `--node-labels`.
    pub labels: BTreeMap<String, String>,
    /// `--register-with-taints`.
    pub taints: Vec<NodeTaint>,
    /// `--node-ip`.
    pub node_ip: Option<String>,
    /// The installed version, without the `v`; `None` where the script installed whatever was there.
    pub kubelet_version: Option<String>,
}

/// The data center's control plane, as a joining machine meets it.
#[async_trait]
pub trait Registrar: Send + Sync {
    /// Reads cluster-info with the token and pins the CA. The error is kubeadm's text.
    async fn discover(&self, discovery: &Discovery) -> Result<(), String>;
    /// Creates the Node. The error is kubelet's text.
    async fn register(&self, boot: &Boot, registration: &Registration) -> Result<(), String>;
}

/// What an instance can reach, and nothing else.
#[derive(Clone)]
pub struct Reach {
    /// The cloud's endpoints as seen from the instance's VPC.
    pub cloud: axum::Router,
    /// The data center's API server: `192.168.0.10:6443`.
    pub api_server: String,
    /// Who answers there.
    pub registrar: Arc<dyn Registrar>,
}

/// The distribution that an image type brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum System {
    /// yum and dnf; kubelet reads `/etc/sysconfig/kubelet`.
    Yum,
    /// apt-get; kubelet reads `/etc/default/kubelet`.
    Apt,
}

impl System {
    fn of(image_type: &str) -> anyhow::Result<Self> {
        let name = image_type.to_ascii_lowercase();
        if name.starts_with("containeros") {
            bail!(
                "image type {image_type} has no package manager and runs no script: choose another image type"
            );
        }
        Ok(if name.starts_with("ubuntu") || name.starts_with("debian") {
            Self::Apt
        } else {
            Self::Yum
        })
    }

    /// The file of kubelet's extra flags.
    fn kubelet_flags(self) -> &'static str {
        match self {
            Self::Yum => "/etc/sysconfig/kubelet",
            Self::Apt => "/etc/default/kubelet",
        }
    }
}

/// Boots instances.
pub struct Instances {
    mode: Mode,
    helper: PathBuf,
    pace: Pace,
    limit: Duration,
    at_once: Semaphore,
}

/// How long a node script may run in reality.
const SCRIPT_LIMIT: Duration = Duration::from_secs(600);
/// The least that it gets, however fast the world is: the script's own work does not become faster.
const SCRIPT_LIMIT_LEAST: Duration = Duration::from_secs(20);

/// Machines that run their scripts at the same time; more would only slow each other down.
const MACHINES_AT_ONCE: usize = 4;

impl Instances {
    /// Instances whose scripts run and wait at the world's pace. Fails where the platform has no namespaces, naming the
    /// way out.
    pub async fn new(mode: Mode, pace: Pace) -> anyhow::Result<Self> {
        let helper = match mode {
            Mode::Unscripted => PathBuf::new(),
            Mode::Scripted => {
                let helper = companion::sandbox_binary()
                    .await
                    .context("the program that plays the instances")?;
                jail::probe(&helper).await?;
                helper
            }
        };
        let limit = pace.scale(SCRIPT_LIMIT).max(SCRIPT_LIMIT_LEAST);
        Ok(Self { mode, helper, pace, limit, at_once: Semaphore::new(MACHINES_AT_ONCE) })
    }

    /// The same with another limit for a script.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Boots one instance and waits until its user data has ended.
    pub async fn boot(&self, boot: &Boot, reach: Reach) -> BootReport {
        let outcome = match self.mode {
            Mode::Scripted => self.run_script(boot, reach).await,
            Mode::Unscripted => join_unscripted(boot, reach).await,
        };
        outcome.unwrap_or_else(|error| BootReport {
            ok: false,
            log: format!("causeway-sandbox: {error:#}\n"),
        })
    }

    async fn run_script(&self, boot: &Boot, reach: Reach) -> anyhow::Result<BootReport> {
        if boot.script_url.is_empty() {
            bail!(
                "no node script is registered: set addNodeScriptPath in ConfigMap kube-system/ack-agent-config"
            );
        }
        let system = System::of(&boot.image_type)?;
        let _turn = self.at_once.acquire().await.context("the world is shutting down")?;
        guest::run(
            &self.helper,
            boot,
            reach,
            system,
            (self.limit, self.pace.scale(Duration::from_secs(1))),
        )
        .await
    }
}

async fn join_unscripted(boot: &Boot, reach: Reach) -> anyhow::Result<BootReport> {
    let variable = |name: &str| boot.variables.get(name).cloned().unwrap_or_default();
    let registration = Registration {
        name: variable("ALIBABA_CLOUD_NODE_NAME"),
        provider_id: Some(variable("ALIBABA_CLOUD_PROVIDER_ID")),
        labels: standins::kubelet::parse_labels(&variable("ALIBABA_CLOUD_LABELS"))
            .map_err(anyhow::Error::msg)?,
        taints: standins::kubelet::parse_taints(&variable("ALIBABA_CLOUD_TAINTS"))
            .map_err(anyhow::Error::msg)?,
        node_ip: None,
        kubelet_version: None,
    };
    tracing::warn!(instance = %boot.instance_id, "Node joins UNSCRIPTED: the registered script was not run and is not proved");
    reach.registrar.register(boot, &registration).await.map_err(anyhow::Error::msg)?;
    Ok(BootReport { ok: true, log: "UNSCRIPTED: the node script was not run, the Node was created from the variables alone\n".into() })
}
