//! Registered clusters themselves, read only.

use serde_json::{Value, json};

use super::{cluster_of, no_cluster};
use crate::cloud::{
    Cloud,
    answer::ApiError,
    clock,
    gateway::Call,
    state::{Cluster, State},
};

/// Nodes that a cluster may have.
pub(super) const NODES_MAX: usize = 100;
/// Node pools that a cluster may have.
pub(super) const POOLS_MAX: usize = 20;

pub(super) fn list(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let fits = |name: &str, value: &str| call.param(name).is_none_or(|wanted| wanted == value);
    let clusters: Vec<Value> = state
        .cs
        .clusters
        .values()
        .filter(|it| {
            fits("cluster_id", &it.cluster_id)
                && fits("name", &it.name)
                && fits("cluster_type", &it.cluster_type)
                && fits("region_id", &cloud.account.region)
        })
        .map(|it| describe(it, cloud))
        .collect();
    let page = json!({"page_number": 1, "page_size": 100, "total_count": clusters.len()});
    Ok(json!({"clusters": clusters, "page_info": page}))
}

pub(super) fn describe(it: &Cluster, cloud: &Cloud) -> Value {
    let master = json!({"intranet_api_server_endpoint": "https://10.10.24.9:6443"});
    json!({
        "cluster_id": it.cluster_id, "name": it.name, "cluster_type": it.cluster_type,
        "profile": "Default", "cluster_spec": "", "state": it.state,
        "region_id": cloud.account.region, "vpc_id": it.vpc_id,
        "vswitch_id": it.vswitch_ids.join(","), "vswitch_ids": it.vswitch_ids,
        "security_group_id": it.security_group_id, "current_version": it.kubernetes_version,
        "init_version": "", "service_cidr": it.service_cidr, "subnet_cidr": "",
        "container_cidr": "", "size": it.data_center_nodes.len(), "deletion_protection": true,
        "resource_group_id": "rg-default", "tags": [], "private_zone": false, "proxy_mode": "",
        "ip_stack": "ipv4", "master_url": master.to_string(), "meta_data": "{}",
        "parameters": {}, "created": it.created, "updated": it.created,
    })
}

/// The agent's manifest: it parses, and says which endpoint it uses.
pub(super) fn agent(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let cluster = cluster_of(state, call)?;
    let internal = call.flag("PrivateIpAddress");
    let env = |name: &str, value: &str| json!({"name": name, "value": value});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "ack-cluster-agent", "namespace": "kube-system",
            "labels": {"ack/creator": "ack"},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "ack-cluster-agent"}},
            "template": {
                "metadata": {"labels": {"app": "ack-cluster-agent"}},
                "spec": {
                    "serviceAccountName": "ack",
                    "containers": [{
                        "name": "ack-cluster-agent", "image": "agent:v1.13.1.105",
                        "env": [
                            env("KUBERNETES_CLUSTER_ID", &cluster.cluster_id),
                            env("ALI_STUB_REGISTER_ADDR", "10.10.24.9:5533"),
                            env("INTERNAL_ENDPOINT", if internal { "true" } else { "false" }),
                            env("REGION", &cloud.account.region),
                            env("ACK_CLUSTER", "true"),
                        ],
                    }],
                },
            },
        },
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "ack", "namespace": "kube-system"},
    });
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ack-agent-config", "namespace": "kube-system"},
        "data": {"addNodeScriptPath": "", "enableNodepool": "true", "isInit": "true"},
    });
    // JSON is YAML.
    let documents = [account, config, deployment].map(|it| it.to_string());
    Ok(json!({"config": documents.join("\n---\n")}))
}

/// A kubeconfig whose server is the registered cluster's own endpoint. The sandbox gives the data center's kubeconfig
/// by file, as nothing listens at that endpoint.
pub(super) fn kubeconfig(state: &State, call: &Call) -> Result<Value, ApiError> {
    let cluster = cluster_of(state, call)?;
    let server = format!("https://{}", cluster.api_server);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "ack",
        "clusters": [{"name": "ack", "cluster": {"server": server}}],
        "contexts": [{"name": "ack", "context": {"cluster": "ack", "user": "ack"}}],
        "users": [{"name": "ack", "user": {}}],
    });
    Ok(json!({"config": config.to_string(), "expiration": clock::utc()}))
}

pub(super) fn quota() -> Value {
    json!({
        "cluster_quota": 50, "amk_cluster_quota": 20, "ask_cluster_quota": 20,
        "cluster_nodepool_quota": POOLS_MAX, "node_quota": NODES_MAX,
    })
}

/// The cluster of an id that is not in the path.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Cluster, ApiError> {
    state.cs.clusters.get(id).ok_or_else(|| no_cluster(id))
}
