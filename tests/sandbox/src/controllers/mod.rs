//! The data center's cluster as it lives: what is in it at the start, the controllers that keep it going, the nodes
//! that join, and what the cloud's agent does in it. All of it goes through the API with ordinary clients, so that any
//! API server can take the simulated one's place.

mod addon;
mod daemonset;
mod deployment;
mod join;
mod kubelet;
mod nodes;
mod objects;
mod operator;
mod run;
mod scheduling;
mod seeding;
mod terway;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    kubelet::Kubelets,
    objects::{Objects, Refused, is_ready, items, name, namespace, path, text},
};
use crate::{kube::Stalls, seed, time::Pace};

pub use self::join::{JoinRequest, NodeRequest};

/// The cloud as a starting Terway pod meets it.
#[async_trait]
pub trait TerwayEni: Send + Sync {
    /// The zone that the instance's metadata service names; `None` when there is no such instance.
    async fn zone(&self, provider_id: &str) -> Option<String>;
    /// Creates an interface in the pod vSwitch and attaches it to the node's instance, with this AccessKey. The error
    /// is the cloud's code and message.
    async fn attach(
        &self,
        cluster_id: &str,
        provider_id: &str,
        key_id: &str,
        key_secret: &str,
        vswitch: &str,
    ) -> Result<(), String>;
}

/// What a data center needs to come up.
pub struct Options {
    /// How it is to look.
    pub cluster: seed::Cluster,
    /// Of cluster-admin, as YAML.
    pub kubeconfig: String,
    /// What fault rules keep from becoming ready.
    pub stalls: Stalls,
    /// The world's pace.
    pub pace: Pace,
    /// The cloud for Terway.
    pub eni: Arc<dyn TerwayEni>,
    /// The AccessKey (id, secret) that Secret `alibaba-addon-secret` holds from the start.
    pub addon_key: Option<(String, String)>,
}

/// A data center's cluster, with its controllers running; they end when it is dropped.
pub struct DataCenter {
    cluster: seed::Cluster,
    config: Config,
    kubelets: Arc<Kubelets>,
}

/// How long the cluster may take until it stands as the seed has it.
const SETTLE: Duration = Duration::from_secs(30);

impl DataCenter {
    /// Creates the data center's objects through the API, starts the controllers and waits until every DaemonSet
    /// is rolled out.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        // Another part of the program may have installed the same provider before.
        rustls::crypto::ring::default_provider().install_default().ok();
        let kubeconfig = Kubeconfig::from_yaml(&options.kubeconfig)
            .context("reading the kubeconfig of cluster-admin")?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .context("the kubeconfig of cluster-admin")?;
        let client =
            Client::try_from(config.clone()).context("building the controllers' client")?;
        let kubelets = Arc::new(Kubelets {
            objects: Objects::new(client),
            cluster_id: options.cluster.id.clone(),
            pace: options.pace,
            eni: options.eni,
            stalls: options.stalls,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            changed: Notify::new(),
            live: Default::default(),
            ended: Default::default(),
            busy: Default::default(),
            settled: Default::default(),
        });
        let data_center = Self { cluster: options.cluster, config, kubelets };
        seeding::create_objects(&data_center, options.addon_key)
            .await
            .context("creating the data center's objects")?;
        data_center.kubelets.changed.notify_one();
        data_center.kubelets.tasks.spawn(run::run(Arc::clone(&data_center.kubelets)));
        data_center.settled().await?;
        data_center.kubelets.settle();
        Ok(data_center)
    }

    async fn settled(&self) -> anyhow::Result<()> {
        let rolled_out = async {
            loop {
                let daemonsets = self.kubelets.objects.list("/apis/apps/v1/daemonsets").await?;
                if daemonsets.iter().all(is_rolled_out) {
                    return Ok::<(), Refused>(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(SETTLE, rolled_out).await {
            Ok(done) => Ok(done?),
            Err(_) => bail!(
                "the data center of cluster {} was not ready after {SETTLE:?}",
                self.cluster.id
            ),
        }
    }

    /// A client of cluster-admin.
    #[must_use]
    pub fn client(&self) -> Client {
        self.kubelets.objects.client().clone()
    }

    /// Every object of the cluster, see [`crate::kube::ledger`].
    pub async fn ledger(&self) -> anyhow::Result<Value> {
        crate::kube::ledger::ledger(self.kubelets.objects.client()).await
    }

    /// The `addNodeScriptPath` that the agent would report: `None` when it can't be asked, or reports nothing because
    /// the value is no URL or too long.
    pub async fn read_script_path(&self) -> Option<String> {
        let objects = &self.kubelets.objects;
        let agent = objects
            .get(&format!("{}/ack-cluster-agent", path("apps/v1", "kube-system", "deployments")))
            .await
            .ok()??;
        if agent["spec"]["replicas"] == 0 {
            return None;
        }
        let map = objects
            .get(&format!("{}/ack-agent-config", path("v1", "kube-system", "configmaps")))
            .await
            .ok()?
            .unwrap_or_default();
        let value = text(&map["data"]["addNodeScriptPath"]).to_owned();
        let accepted =
            value.is_empty() || value.starts_with("http://") || value.starts_with("https://");
        (accepted && value.len() <= 1024).then_some(value)
    }

    /// Whether the instance's Node is there, and Ready.
    pub async fn node_ready(&self, instance_id: &str) -> Option<bool> {
        self.node_of(instance_id).await.map(|node| is_ready(&node))
    }

    /// Cordons the instance's Node and evicts its pods, those of DaemonSets aside.
    pub async fn drain(&self, instance_id: &str) -> Result<(), String> {
        let Some(node) = self.node_of(instance_id).await else { return Ok(()) };
        let objects = &self.kubelets.objects;
        let words = |refused: Refused| refused.text();
        objects
            .merge(
                &format!("/api/v1/nodes/{}", name(&node)),
                &json!({"spec": {"unschedulable": true}}),
            )
            .await
            .map_err(words)?;
        for pod in objects
            .list(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", name(&node)))
            .await
            .map_err(words)?
        {
            let daemon = items(&pod["metadata"]["ownerReferences"])
                .iter()
                .any(|owner| owner["kind"] == "DaemonSet");
            if !daemon {
                let at = format!("{}/{}/eviction", path("v1", namespace(&pod), "pods"), name(&pod));
                objects.create(&at, &json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name(&pod), "namespace": namespace(&pod)}})).await.map_err(words)?;
            }
        }
        Ok(())
    }

    /// The instance is gone: its kubelet falls silent. The Node object stays until somebody deletes it.
    pub async fn terminate(&self, instance_id: &str) {
        let mut ended = self.kubelets.ended.lock().await;
        ended.insert(instance_id.to_owned());
        let Some(node) = self.node_of(instance_id).await else { return };
        self.kubelets.remove(name(&node));
        self.kubelets.changed.notify_one();
    }

    async fn node_of(&self, instance_id: &str) -> Option<Value> {
        let nodes = self.kubelets.objects.list("/api/v1/nodes").await.ok()?;
        nodes.into_iter().find(|node| {
            text(&node["spec"]["providerID"])
                .rsplit_once('.')
                .is_some_and(|(_, instance)| instance == instance_id)
        })
    }
}

impl Drop for DataCenter {
    fn drop(&mut self) {
        self.kubelets.stop.cancel();
    }
}

fn is_rolled_out(daemonset: &Value) -> bool {
    let (status, number) = (&daemonset["status"], |value: &Value| value.as_u64().unwrap_or(0));
    let desired = number(&status["desiredNumberScheduled"]);
    status["observedGeneration"] == daemonset["metadata"]["generation"]
        && number(&status["numberReady"]) == desired
        && number(&status["updatedNumberScheduled"]) == desired
}
