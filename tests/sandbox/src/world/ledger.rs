//! Looking at the world from outside: the ledger, the secrets in its clusters, and what runs on which node.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::{Api, Client, api::ListParams};
use serde_json::{Map, Value, json};

use crate::{cloud::Cloud, control::Dump, controllers::DataCenter};

/// A node and the network plugins on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its condition `Ready`.
    pub ready: bool,
    /// Whether it has the label `alibabacloud.com/external=true`.
    pub in_cloud: bool,
    /// Calico's and Terway's pods on it, each with its phase where that is not `Running`.
    pub network_pods: Vec<String>,
}

/// Reads the cloud and the clusters, as cluster-admin.
pub(super) struct Dumper {
    cloud: Arc<Cloud>,
    data_centers: BTreeMap<String, Arc<DataCenter>>,
}

impl Dumper {
    pub(super) fn new(cloud: Arc<Cloud>, data_centers: BTreeMap<String, Arc<DataCenter>>) -> Self {
        Self { cloud, data_centers }
    }

    /// A client of cluster-admin.
    pub(super) fn client(&self, cluster_id: &str) -> Option<Client> {
        self.data_centers.get(cluster_id).map(|data_center| data_center.client())
    }

    /// Values of Secrets: bootstrap tokens whole, as nodes join with them, and all else by key.
    pub(super) async fn secrets_in_clusters(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for data_center in self.data_centers.values() {
            let secrets: Api<Secret> = Api::all(data_center.client());
            for secret in secrets.list(&ListParams::default()).await.context("listing Secrets")? {
                let data: BTreeMap<String, String> = secret
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?)))
                    .collect();
                if let (Some(id), Some(secret)) = (data.get("token-id"), data.get("token-secret")) {
                    found.extend([format!("{id}.{secret}"), secret.clone()]);
                }
                found.extend(
                    data.into_iter()
                        .filter(|(key, _)| key == "access-key-secret")
                        .map(|(_, value)| value),
                );
            }
        }
        Ok(found)
    }

    pub(super) async fn nodes(&self, cluster_id: &str) -> anyhow::Result<Vec<NodeView>> {
        let client = self
            .client(cluster_id)
            .with_context(|| format!("this world has no cluster {cluster_id}"))?;
        let (nodes, pods): (Api<Node>, Api<Pod>) = (Api::all(client.clone()), Api::all(client));
        let all = ListParams::default();
        let (nodes, pods) =
            tokio::try_join!(nodes.list(&all), pods.list(&all)).context("reading the cluster")?;
        let mut views: Vec<NodeView> =
            nodes.items.iter().map(|node| view(node, &pods.items)).collect();
        views.sort_by(|a, b| (a.in_cloud, &a.name).cmp(&(b.in_cloud, &b.name)));
        Ok(views)
    }
}

fn view(node: &Node, pods: &[Pod]) -> NodeView {
    let name = node.metadata.name.clone().unwrap_or_default();
    let label =
        node.metadata.labels.as_ref().and_then(|labels| labels.get("alibabacloud.com/external"));
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let here = pods
        .iter()
        .filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&name));
    NodeView {
        ready,
        in_cloud: label.is_some_and(|value| value == "true"),
        network_pods: here.filter_map(network_pod).collect(),
        name,
    }
}

fn network_pod(pod: &Pod) -> Option<String> {
    let name = pod
        .metadata
        .name
        .as_ref()
        .filter(|name| name.starts_with("calico-node") || name.starts_with("terway"))?;
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Running") => Some(name.clone()),
        phase => Some(format!("{name} ({})", phase.unwrap_or("Unknown"))),
    }
}

#[async_trait]
impl Dump for Dumper {
    async fn ledger(&self) -> anyhow::Result<String> {
        let mut clusters = Map::new();
        for (id, data_center) in &self.data_centers {
            let objects = data_center.ledger().await.with_context(|| format!("cluster {id}"))?;
            clusters.insert(id.clone(), self.cloud.retell(objects));
        }
        let ledger = sorted(json!({"cloud": self.cloud.ledger(), "kubernetes": clusters}));
        Ok(format!("{ledger:#}\n"))
    }
}

/// With keys in their order, however the JSON library keeps them.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
