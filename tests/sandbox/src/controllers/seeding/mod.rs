//! What is in the data center's cluster before Causeway comes: made by kubeadm, Calico's installation and the
//! registered cluster's agent.

mod agent;
mod calico;
mod kubeadm;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    DataCenter, join,
    objects::{Objects, path},
};

pub(super) use calico::{STUBBED, crd as calico_crd};

/// Creates everything, nodes first: their kubelets run from then on.
pub(super) async fn create_objects(
    data_center: &DataCenter,
    addon_key: Option<(String, String)>,
) -> anyhow::Result<()> {
    let (cluster, objects) = (&data_center.cluster, &data_center.kubelets.objects);
    let seed = &cluster.data_center;
    for (index, (name, ip)) in seed.nodes.iter().enumerate() {
        objects.create("/api/v1/nodes", &node(seed, index, name, ip)).await?;
        data_center.kubelets.add(name, ip);
    }
    let authority =
        data_center.config.root_cert.iter().flatten().next().cloned().unwrap_or_default();
    create_all(objects, kubeadm::objects(cluster, &authority)).await?;
    create_all(objects, calico::objects(seed)).await?;
    create_all(objects, agent::objects(cluster, addon_key)).await?;
    calico::adopt_by_operator(objects).await
}

async fn create_all(objects: &Objects, all: Vec<Value>) -> anyhow::Result<()> {
    for object in all {
        create(objects, &object)
            .await
            .with_context(|| format!("{} {}", object["kind"], object["metadata"]["name"]))?;
    }
    Ok(())
}

/// Creates an object where its kind lies.
pub(super) async fn create(
    objects: &Objects,
    object: &Value,
) -> Result<Value, super::objects::Refused> {
    objects.create(&list_path(object), object).await
}

/// The list that an object belongs to.
pub(super) fn list_path(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let plural = if kind.ends_with('y') {
        format!("{}ies", kind.trim_end_matches('y'))
    } else if kind.ends_with('s') {
        kind
    } else {
        format!("{kind}s")
    };
    path(
        object["apiVersion"].as_str().unwrap_or_default(),
        object["metadata"]["namespace"].as_str().unwrap_or_default(),
        &plural,
    )
}

fn node(seed: &crate::seed::DataCenter, index: usize, name: &str, ip: &str) -> Value {
    let mut labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64"});
    let block = pod_block(&seed.pod_cidr, index);
    let mut spec = json!({"podCIDR": block, "podCIDRs": [block]});
    if name.contains("master") {
        labels["node-role.kubernetes.io/control-plane"] = json!("");
        spec["taints"] =
            json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    }
    let status = join::status(name, ip, &seed.kubernetes_version, true);
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec, "status": status})
}

/// The index-th /24 of the pod block.
fn pod_block(cidr: &str, index: usize) -> String {
    let base = cidr
        .split('/')
        .next()
        .and_then(|base| base.parse::<std::net::Ipv4Addr>().ok())
        .unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
    let offset = u32::try_from(index).unwrap_or(0) * 256;
    format!("{}/24", std::net::Ipv4Addr::from(u32::from(base).saturating_add(offset)))
}

/// A namespaced object's type and metadata, to be filled up.
fn object(api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let metadata = if namespace.is_empty() {
        json!({ "name": name })
    } else {
        json!({"name": name, "namespace": namespace})
    };
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
}

/// The same with fields of its own beside metadata.
fn with(mut object: Value, fields: Value) -> Value {
    if let (Some(map), Value::Object(fields)) = (object.as_object_mut(), fields) {
        map.extend(fields);
    }
    object
}

/// A DaemonSet or Deployment of one label.
fn workload(
    kind: &str,
    namespace: &str,
    name: &str,
    app: &str,
    spec: Value,
    extra: Value,
) -> Value {
    let mut made = object("apps/v1", kind, namespace, name);
    made["metadata"]["labels"] = json!({ "k8s-app": app });
    made["spec"] = with(
        json!({"selector": {"matchLabels": {"k8s-app": app}}, "template": {"metadata": {"labels": {"k8s-app": app}}, "spec": spec}}),
        extra,
    );
    made
}
