//! CS (Container Service): registered clusters, their add-ons, node pools, nodes and tasks. Real paths and methods.

mod addons;
mod clusters;
mod nodes;
mod pools;
pub(crate) mod tasks;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Cloud,
    answer::ApiError,
    gateway::Call,
    incoming::decode,
    state::{Cluster, Pool, State},
};

/// Method, path with holes, action.
const ROUTES: [(&str, &str, &str); 28] = [
    ("GET", "/api/v1/clusters", "DescribeClustersV1"),
    ("GET", "/clusters/{}", "DescribeClusterDetail"),
    ("GET", "/k8s/{}/external/agent/deployment", "DescribeExternalAgent"),
    ("GET", "/k8s/{}/user_config", "DescribeClusterUserKubeconfig"),
    ("GET", "/quota", "DescribeUserQuota"),
    ("GET", "/addons", "ListAddons"),
    ("GET", "/addons/{}", "DescribeAddon"),
    ("GET", "/clusters/{}/addon_instances", "ListClusterAddonInstances"),
    ("GET", "/clusters/{}/addon_instances/{}", "GetClusterAddonInstance"),
    ("POST", "/clusters/{}/components/install", "InstallClusterAddons"),
    ("POST", "/clusters/{}/components/uninstall", "UnInstallClusterAddons"),
    ("GET", "/clusters/{}/components/version", "DescribeClusterAddonsVersion"),
    ("POST", "/clusters/{}/nodepools", "CreateClusterNodePool"),
    ("GET", "/clusters/{}/nodepools", "DescribeClusterNodePools"),
    ("GET", "/clusters/{}/nodepools/{}", "DescribeClusterNodePoolDetail"),
    ("PUT", "/clusters/{}/nodepools/{}", "ModifyClusterNodePool"),
    ("POST", "/clusters/{}/nodepools/{}", "ScaleClusterNodePool"),
    ("DELETE", "/clusters/{}/nodepools/{}", "DeleteClusterNodepool"),
    ("DELETE", "/clusters/{}/nodepools/{}/nodes", "RemoveNodePoolNodes"),
    ("GET", "/clusters/{}/nodes", "DescribeClusterNodes"),
    ("POST", "/clusters/{}/nodes", "DeleteClusterNodes"),
    ("GET", "/tasks/{}", "DescribeTaskInfo"),
    ("GET", "/clusters/{}/tasks", "DescribeClusterTasks"),
    ("GET", "/clusters/{}/events", "DescribeClusterEvents"),
    ("GET", "/events", "DescribeEvents"),
    ("GET", "/clusters/{}/logs", "DescribeClusterLogs"),
    ("GET", "/clusters/{}/resources", "DescribeClusterResources"),
    ("POST", "/tasks/{}/cancel", "CancelTask"),
];

/// What fills the holes of the action's path; `None` when method and path are not the action's.
pub(crate) fn route(method: &str, path: &str, action: &str) -> Option<Vec<String>> {
    ROUTES
        .iter()
        .filter(|(of_method, _, name)| *of_method == method && *name == action)
        .find_map(|(_, template, _)| holes(template, path))
}

fn holes(template: &str, path: &str) -> Option<Vec<String>> {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.trim_end_matches('/').split('/').collect());
    if template.len() != path.len() {
        return None;
    }
    let mut filled = Vec::new();
    for (expected, given) in template.into_iter().zip(path) {
        match expected {
            "{}" if !given.is_empty() => filled.push(decode(given)),
            other if other == given => {}
            _ => return None,
        }
    }
    Some(filled)
}

/// What a call is about, for fault rules: the pool's or add-on's name, else the cluster's or task's id.
pub(crate) fn object_of(cloud: &Cloud, call: &Call) -> String {
    let body = call.json().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match call.action.as_str() {
        "CreateClusterNodePool" => text(&body["nodepool_info"]["name"]),
        "InstallClusterAddons" | "UnInstallClusterAddons" => text(&body[0]["name"]),
        "GetClusterAddonInstance" => call.path_id(1).to_owned(),
        action if action.contains("NodePool") || action.contains("Nodepool") => {
            let state = cloud.state();
            let pool = state.cs.pools.get(call.path_id(1));
            pool.map_or_else(|| call.path_id(0).to_owned(), |pool| pool.name.clone())
        }
        _ => call.path_id(0).to_owned(),
    }
}

pub(crate) fn answer(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    match call.action.as_str() {
        "DescribeClustersV1" => clusters::list(&cloud.state(), cloud, call),
        "DescribeClusterDetail" => {
            let state = cloud.state();
            Ok(clusters::describe(cluster_of(&state, call)?, cloud))
        }
        "DescribeExternalAgent" => clusters::agent(&cloud.state(), cloud, call),
        "DescribeClusterUserKubeconfig" => clusters::kubeconfig(&cloud.state(), call),
        "DescribeClusterLogs" | "DescribeClusterResources" => {
            cluster_of(&cloud.state(), call)?;
            Ok(json!([]))
        }
        "DescribeUserQuota" => Ok(clusters::quota()),
        "ListAddons" => addons::catalogue(&cloud.state(), call),
        "DescribeAddon" => addons::offer(&cloud.state(), call),
        "ListClusterAddonInstances" => addons::list(&cloud.state(), call),
        "GetClusterAddonInstance" => addons::get(&cloud.state(), call),
        "DescribeClusterAddonsVersion" => addons::versions(&cloud.state(), call),
        "InstallClusterAddons" => addons::install(cloud, call),
        "UnInstallClusterAddons" => addons::uninstall(cloud, call),
        "CreateClusterNodePool" => pools::create(cloud, call),
        "DescribeClusterNodePools" => pools::list(&cloud.state(), cloud, call),
        "DescribeClusterNodePoolDetail" => pools::detail(&cloud.state(), cloud, call),
        "ModifyClusterNodePool" => pools::modify(cloud, call),
        "ScaleClusterNodePool" => pools::scale(cloud, call),
        "DeleteClusterNodepool" => pools::delete(cloud, call),
        "RemoveNodePoolNodes" => nodes::remove_from_pool(cloud, call),
        "DeleteClusterNodes" => nodes::remove(cloud, call),
        "DescribeClusterNodes" => nodes::list(&cloud.state(), cloud, call),
        "DescribeTaskInfo" => tasks::info(&cloud.state(), call),
        "DescribeClusterTasks" => tasks::list(&cloud.state(), call),
        "CancelTask" => tasks::cancel(&cloud.state(), call),
        "DescribeClusterEvents" | "DescribeEvents" => Ok(json!({
            "events": [], "page_info": {"page_number": 1, "page_size": 50, "total_count": 0},
        })),
        other => Err(ApiError::unknown_action(other)),
    }
}

fn cluster_of<'a>(state: &'a State, call: &Call) -> Result<&'a Cluster, ApiError> {
    let id = call.path_id(0);
    state.cs.clusters.get(id).ok_or_else(|| no_cluster(id))
}

fn no_cluster(id: &str) -> ApiError {
    ApiError::new(404, "ErrorClusterNotFound", format!("cluster {id} not found"))
}

/// The pool that a call's path names, in the cluster that it names.
fn pool_of<'a>(state: &'a mut State, call: &Call) -> Result<&'a mut Pool, ApiError> {
    cluster_of(state, call)?;
    let (cluster_id, id) = (call.path_id(0), call.path_id(1));
    let pool = state.cs.pools.get_mut(id).filter(|pool| pool.cluster_id == cluster_id);
    pool.ok_or_else(|| {
        let message = format!("nodepool {id} not found in cluster {cluster_id}");
        ApiError::new(404, "ErrorNodePoolNotFound", message)
    })
}

/// Only a connected cluster can be changed.
fn require_running(cluster: &Cluster) -> Result<(), ApiError> {
    if cluster.state == "running" {
        return Ok(());
    }
    let message = format!("cluster state is {}, the operation needs running", cluster.state);
    Err(ApiError::new(400, "ErrorClusterState", message))
}
