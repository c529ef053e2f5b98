//! Container Service: node pools and their nodes. Sizes are set absolutely, never by a relative count, as nothing here
//! has an idempotency token.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Client, Roa};
use super::cs::{TaskRef, absent, change, get};
use super::error::{Access, Error};
use super::params::Params;
use super::{PAGES_MAX, nullable};

/// A node pool: what is read of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePool {
    /// Id, name, kind.
    #[serde(deserialize_with = "nullable")]
    pub nodepool_info: NodePoolInfo,
    /// Its scaling group.
    #[serde(deserialize_with = "nullable")]
    pub scaling_group: ScalingGroup,
    /// Labels and taints of its nodes.
    #[serde(deserialize_with = "nullable")]
    pub kubernetes_config: KubernetesConfig,
    /// How it is.
    #[serde(deserialize_with = "nullable")]
    pub status: NodePoolStatus,
}

impl NodePool {
    /// Id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.nodepool_info.nodepool_id
    }

    /// The value of one of its tags.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.scaling_group.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

/// Id, name, kind of a node pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePoolInfo {
    /// Id.
    pub nodepool_id: String,
    /// Name, unique in the cluster.
    pub name: String,
    /// `ess` for an ordinary one.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The scaling group of a node pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScalingGroup {
    /// Id.
    #[serde(deserialize_with = "nullable")]
    pub scaling_group_id: String,
    /// vSwitches of its instances.
    #[serde(deserialize_with = "nullable")]
    pub vswitch_ids: Vec<String>,
    /// Instance types, by preference.
    #[serde(deserialize_with = "nullable")]
    pub instance_types: Vec<String>,
    /// The number of instances asked for.
    #[serde(deserialize_with = "nullable")]
    pub desired_size: u32,
    /// Tags of its instances.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<super::ecs::Tag>,
}

/// Labels and taints of a node pool's nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesConfig {
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: Vec<super::ecs::Tag>,
    /// Taints.
    #[serde(deserialize_with = "nullable")]
    pub taints: Vec<Taint>,
}

/// A taint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
    /// `NoSchedule`, `NoExecute`, `PreferNoSchedule`.
    pub effect: String,
}

/// How a node pool is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePoolStatus {
    /// `active`, `scaling`, `removing`, `deleting`, `updating`, `initial`.
    #[serde(deserialize_with = "nullable")]
    pub state: String,
    /// Nodes, in whatever state.
    pub total_nodes: u32,
    /// Nodes that are Ready.
    pub healthy_nodes: u32,
    /// Nodes that failed to join.
    pub failed_nodes: u32,
    /// Nodes that are joining.
    pub initial_nodes: u32,
    /// Nodes on their way out.
    pub removing_nodes: u32,
}

/// A node as Container Service sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterNode {
    /// The instance.
    #[serde(deserialize_with = "nullable")]
    pub instance_id: String,
    /// The Kubernetes node; empty until it joined.
    #[serde(deserialize_with = "nullable")]
    pub node_name: String,
    /// Its pool.
    #[serde(deserialize_with = "nullable")]
    pub nodepool_id: String,
    /// `Ready`, `NotReady`, `Unknown`, `Offline`.
    #[serde(deserialize_with = "nullable")]
    pub node_status: String,
    /// `running`, `removing`, `initial`, `failed`.
    #[serde(deserialize_with = "nullable")]
    pub state: String,
    /// Why it failed to join.
    #[serde(deserialize_with = "nullable")]
    pub error_message: String,
    /// Addresses.
    #[serde(deserialize_with = "nullable")]
    pub ip_address: Vec<String>,
}

/// The answer to the creation of a node pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NewNodePool {
    /// Its id.
    pub nodepool_id: String,
    /// The task that makes it.
    #[serde(default, deserialize_with = "nullable")]
    pub task_id: String,
}

/// Makes a node pool of `body`, the wire's own form.
///
/// # Errors
/// `InvalidParameter.Name` (class `Stale`) where the name is taken, or any call's failures.
pub async fn create_node_pool(
    client: &Client,
    cluster_id: &str,
    body: Value,
) -> Result<NewNodePool, Error> {
    let path = ["clusters", cluster_id, "nodepools"];
    client
        .roa(Roa { body: Some(body), ..change("CreateClusterNodePool", Method::POST, &path) })
        .await
}

/// The node pools of a cluster, or those of one name.
///
/// # Errors
/// Any call's failures.
pub async fn list_node_pools(
    client: &Client,
    cluster_id: &str,
    name: Option<&str>,
) -> Result<Vec<NodePool>, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        nodepools: Vec<NodePool>,
    }
    let path = ["clusters", cluster_id, "nodepools"];
    let query = Params::new().with_some("NodepoolName", name);
    let mut pools = client
        .roa::<Body>(Roa { query, ..get("DescribeClusterNodePools", &path) })
        .await?
        .nodepools;
    // The filter may match more than the whole name.
    pools.retain(|pool| name.is_none_or(|name| pool.nodepool_info.name == name));
    Ok(pools)
}

/// A node pool; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn describe_node_pool(
    client: &Client,
    cluster_id: &str,
    id: &str,
) -> Result<Option<NodePool>, Error> {
    let path = ["clusters", cluster_id, "nodepools", id];
    absent(client.roa(get("DescribeClusterNodePoolDetail", &path)).await, "ErrorNodePoolNotFound")
}

/// Sets how many instances a node pool shall have.
///
/// # Errors
/// Any call's failures.
pub async fn set_desired_size(
    client: &Client,
    cluster_id: &str,
    id: &str,
    size: u32,
) -> Result<TaskRef, Error> {
    let path = ["clusters", cluster_id, "nodepools", id];
    let body = Some(json!({"scaling_group": {"desired_size": size}}));
    client.roa(Roa { body, ..change("ModifyClusterNodePool", Method::PUT, &path) }).await
}

/// Deletes a node pool that has no node; it is refused while there are nodes.
///
/// # Errors
/// Any call's failures.
pub async fn delete_node_pool(
    client: &Client,
    cluster_id: &str,
    id: &str,
) -> Result<TaskRef, Error> {
    let path = ["clusters", cluster_id, "nodepools", id];
    let query = Params::new().with("force", false);
    client.roa(Roa { query, ..change("DeleteClusterNodepool", Method::DELETE, &path) }).await
}

/// Drains nodes, removes them from the pool and releases their instances.
///
/// # Errors
/// Any call's failures.
pub async fn remove_nodes(
    client: &Client,
    cluster_id: &str,
    id: &str,
    instance_ids: &[&str],
) -> Result<TaskRef, Error> {
    let path = ["clusters", cluster_id, "nodepools", id, "nodes"];
    let ids = serde_json::to_string(instance_ids).expect("a list of strings has a JSON form");
    let query =
        Params::new().with("instance_ids", ids).with("release_node", true).with("drain_node", true);
    client.roa(Roa { query, ..change("RemoveNodePoolNodes", Method::DELETE, &path) }).await
}

/// The nodes of a cluster, or of one pool; all pages.
///
/// # Errors
/// Any call's failures.
pub async fn list_nodes(
    client: &Client,
    cluster_id: &str,
    pool_id: Option<&str>,
) -> Result<Vec<ClusterNode>, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        nodes: Vec<ClusterNode>,
        #[serde(default)]
        page: Page,
    }
    #[derive(Default, Deserialize)]
    struct Page {
        #[serde(default)]
        total_count: usize,
    }
    let path = ["clusters", cluster_id, "nodes"];
    let mut found = vec![];
    for number in 1..=PAGES_MAX {
        let query = Params::new()
            .with_some("nodepool_id", pool_id)
            .with("pageNumber", number)
            .with("pageSize", 100);
        let call = Roa { query, access: Access::Read, ..get("DescribeClusterNodes", &path) };
        let body: Body = client.roa(call).await?;
        let empty = body.nodes.is_empty();
        found.extend(body.nodes);
        if empty || found.len() >= body.page.total_count {
            break;
        }
    }
    Ok(found)
}
