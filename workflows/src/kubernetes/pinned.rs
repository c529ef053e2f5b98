//! The handle that a step works with: bounded by its attempt's deadline, and proven to be the cluster that the checks saw.

use causeway_engine::{Failure, StepName};

use super::cluster::Cluster;
use super::resource::Resource;
use crate::sdk::Context;

/// The cluster of the workflow's input. Once `check-kubernetes` has passed, the UID of its namespace `kube-system` must
/// still be the one that was seen there.
///
/// # Errors
/// `CONNECTION_MOVED` where the connection now leads to another cluster; else as the calls failed.
pub async fn cluster_of(context: &Context) -> Result<Cluster, Failure> {
    let id = context
        .input
        .pointer("/spec/cluster_id")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let cluster = context.connection.clusters.get(id).await?.until(context.deadline, &context.now);
    let checks = context.outputs.get(&StepName::from("check-kubernetes"));
    if let Some(pinned) = checks.and_then(|output| output["kube_system_uid"].as_str()) {
        let found = kube_system_uid(&cluster).await?;
        if found != pinned {
            return Err(Failure::permanent(format!(
                "the connection's kubeconfig of cluster {id} now leads to another cluster: namespace kube-system has uid {found}, \
                 the checks saw {pinned}; point it back, then retry"
            ))
            .with_code("CONNECTION_MOVED"));
        }
    }
    Ok(cluster)
}

/// The identity of a cluster: the UID of its namespace `kube-system`.
///
/// # Errors
/// As the call failed.
pub(crate) async fn kube_system_uid(cluster: &Cluster) -> Result<String, Failure> {
    let namespace = cluster.get(&Resource::NAMESPACES.named("kube-system")).await?;
    let uid = namespace.as_ref().and_then(|namespace| namespace["metadata"]["uid"].as_str());
    uid.map(str::to_owned).ok_or_else(|| {
        Failure::permanent(format!("cluster {} has no namespace kube-system: is the kubeconfig that of a Kubernetes cluster?", cluster.id()))
            .with_code("NO_KUBE_SYSTEM")
    })
}
