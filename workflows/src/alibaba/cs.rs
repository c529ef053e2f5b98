//! Container Service: the registered cluster, its add-ons, tasks and quotas. Node pools and nodes are in `cs_nodes`.
//! The mutating calls have no tokens: look before repeating.

use http::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::client::{Client, Roa};
use super::error::{Access, Error};
use super::nullable;
use super::params::Params;

/// What DescribeClusterDetail tells that matters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Cluster {
    /// Id.
    pub cluster_id: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// `ExternalKubernetes` for a registered cluster.
    #[serde(default)]
    pub cluster_type: String,
    /// `running`, `waiting` (never connected), `disconnected`, ….
    #[serde(default)]
    pub state: String,
    /// Region.
    #[serde(default)]
    pub region_id: String,
    /// VPC.
    #[serde(default)]
    pub vpc_id: String,
    /// Security group.
    #[serde(default, deserialize_with = "nullable")]
    pub security_group_id: String,
    /// Kubernetes version of the control plane, such as `1.30.4`.
    #[serde(default, deserialize_with = "nullable")]
    pub current_version: String,
    /// Service CIDR, where given at registration.
    #[serde(default, deserialize_with = "nullable")]
    pub service_cidr: String,
    /// `Default`, ….
    #[serde(default, deserialize_with = "nullable")]
    pub profile: String,
    /// JSON text with the endpoints of the API server.
    #[serde(default, deserialize_with = "nullable")]
    pub master_url: String,
}

/// An add-on that can be installed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Addon {
    /// Name.
    pub name: String,
    /// Version.
    #[serde(default)]
    pub version: String,
    /// `Install`, `Upgrade`, ….
    #[serde(default, deserialize_with = "nullable")]
    pub supported_actions: Vec<String>,
    /// Other versions, where told.
    #[serde(default, deserialize_with = "nullable")]
    pub newer_versions: Vec<AddonVersion>,
}

/// Another version of an add-on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AddonVersion {
    /// Version.
    pub version: String,
    /// The oldest cluster version that it takes.
    #[serde(default, deserialize_with = "nullable")]
    pub minimum_cluster_version: String,
}

/// An installed add-on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonInstance {
    /// Name.
    pub name: String,
    /// Version.
    #[serde(default)]
    pub version: String,
    /// `active`, `updating`, `upgrading`, `deleting`.
    #[serde(default)]
    pub state: String,
    /// Its configuration, JSON text.
    #[serde(default, deserialize_with = "nullable")]
    pub config: String,
}

/// The answer of calls that start a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TaskRef {
    /// The task; empty where the answer has none.
    #[serde(default, deserialize_with = "nullable")]
    pub task_id: String,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Id.
    pub task_id: String,
    /// `cluster_addon_install`, `cluster_scaleout`, ….
    #[serde(default, deserialize_with = "nullable")]
    pub task_type: String,
    /// `running`, `success`, `fail`, ….
    #[serde(default)]
    pub state: String,
    /// Why it failed.
    #[serde(default, deserialize_with = "nullable")]
    pub error: TaskError,
    /// What became of each object.
    #[serde(default, deserialize_with = "nullable")]
    pub task_result: Vec<TaskResult>,
    /// When it began, RFC 3339.
    #[serde(default, deserialize_with = "nullable")]
    pub created: String,
}

impl Task {
    /// `Some(true)` done well, `Some(false)` ended otherwise, `None` not ended.
    #[must_use]
    pub fn outcome(&self) -> Option<bool> {
        match self.state.as_str() {
            "success" => Some(true),
            "fail" | "failed" | "canceled" | "paused" => Some(false),
            _ => None,
        }
    }
}

/// Why a task failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// Code.
    #[serde(default, deserialize_with = "nullable")]
    pub code: String,
    /// Message.
    #[serde(default, deserialize_with = "nullable")]
    pub message: String,
}

/// What became of one object of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The object, such as an instance id.
    #[serde(default, deserialize_with = "nullable")]
    pub data: String,
    /// `success`, `failed`, `initial`.
    #[serde(default, deserialize_with = "nullable")]
    pub status: String,
}

/// The account's quotas that matter here; 0 where the answer does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Nodes per cluster.
    pub node_quota: u32,
    /// Node pools per cluster.
    pub cluster_nodepool_quota: u32,
}

/// A kubeconfig.
#[derive(Clone, Debug, Deserialize)]
pub struct Kubeconfig {
    /// The YAML text: a credential.
    pub config: SecretString,
    /// When it ends, RFC 3339; empty for a lasting one.
    #[serde(default, deserialize_with = "nullable")]
    pub expiration: String,
}

/// `null` and an empty answer for a missing thing.
pub(super) fn absent<T>(result: Result<T, Error>, code: &str) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is(code) || (error.is_gone() && !error.is("ErrorClusterNotFound")) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn get<'a>(action: &'static str, path: &'a [&'a str]) -> Roa<'a> {
    Roa {
        action,
        access: Access::Read,
        method: Method::GET,
        path,
        query: Params::new(),
        body: None,
    }
}

pub(super) fn change<'a>(action: &'static str, method: Method, path: &'a [&'a str]) -> Roa<'a> {
    Roa { action, access: Access::Mutate, method, path, query: Params::new(), body: None }
}

/// A cluster; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn describe_cluster(client: &Client, id: &str) -> Result<Option<Cluster>, Error> {
    match client.roa(get("DescribeClusterDetail", &["clusters", id])).await {
        Ok(cluster) => Ok(Some(cluster)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A kubeconfig that reaches the cluster's API server through the registered cluster.
///
/// # Errors
/// Any call's failures.
pub async fn describe_user_kubeconfig(
    client: &Client,
    id: &str,
    private: bool,
    minutes: u32,
) -> Result<Kubeconfig, Error> {
    let path = ["k8s", id, "user_config"];
    let query =
        Params::new().with("PrivateIpAddress", private).with("TemporaryDurationMinutes", minutes);
    client.roa(Roa { query, ..get("DescribeClusterUserKubeconfig", &path) }).await
}

/// The add-ons that the cluster could have.
///
/// # Errors
/// Any call's failures.
pub async fn list_addons(client: &Client, cluster: &Cluster) -> Result<Vec<Addon>, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        addons: Vec<Addon>,
    }
    let query = addon_query(client, cluster);
    Ok(client.roa::<Body>(Roa { query, ..get("ListAddons", &["addons"]) }).await?.addons)
}

fn addon_query(client: &Client, cluster: &Cluster) -> Params {
    Params::new()
        .with("cluster_id", &cluster.cluster_id)
        .with_some("cluster_type", Some(&cluster.cluster_type))
        .with_some("cluster_version", Some(&cluster.current_version))
        .with_some("profile", Some(&cluster.profile))
        .with("region_id", client.region())
}

/// One add-on with its versions; `None` where the cluster can't have it.
///
/// # Errors
/// Any call's failures.
pub async fn describe_addon(
    client: &Client,
    cluster: &Cluster,
    name: &str,
) -> Result<Option<Addon>, Error> {
    let query = addon_query(client, cluster);
    absent(
        client.roa(Roa { query, ..get("DescribeAddon", &["addons", name]) }).await,
        "AddonNotFound",
    )
}

/// An installed add-on; `None` where it is not installed.
///
/// # Errors
/// Any call's failures.
pub async fn get_addon_instance(
    client: &Client,
    cluster_id: &str,
    name: &str,
) -> Result<Option<AddonInstance>, Error> {
    let path = ["clusters", cluster_id, "addon_instances", name];
    absent(client.roa(get("GetClusterAddonInstance", &path)).await, "AddonNotFound")
}

/// Installs an add-on; the task tells how it goes. `config` is JSON text, empty for the default.
///
/// # Errors
/// Any call's failures.
pub async fn install_addon(
    client: &Client,
    cluster_id: &str,
    name: &str,
    version: &str,
    config: &str,
) -> Result<TaskRef, Error> {
    let mut addon = serde_json::json!({"name": name, "version": version});
    if !config.is_empty() {
        addon["config"] = config.into();
    }
    let path = ["clusters", cluster_id, "components", "install"];
    let body = Some(serde_json::json!([addon]));
    client.roa(Roa { body, ..change("InstallClusterAddons", Method::POST, &path) }).await
}

/// Uninstalls an add-on, keeping the cloud resources that it made.
///
/// # Errors
/// Any call's failures.
pub async fn uninstall_addon(
    client: &Client,
    cluster_id: &str,
    name: &str,
) -> Result<TaskRef, Error> {
    let path = ["clusters", cluster_id, "components", "uninstall"];
    let body = Some(serde_json::json!([{"name": name, "cleanup_cloud_resources": false}]));
    client.roa(Roa { body, ..change("UnInstallClusterAddons", Method::POST, &path) }).await
}

/// A task; `None` where there is none (any more).
///
/// # Errors
/// Any call's failures.
pub async fn describe_task(client: &Client, id: &str) -> Result<Option<Task>, Error> {
    match client.roa(get("DescribeTaskInfo", &["tasks", id])).await {
        Ok(task) => Ok(Some(task)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The latest tasks of a cluster (at most 50), as the service orders them.
///
/// # Errors
/// Any call's failures.
pub async fn describe_cluster_tasks(client: &Client, cluster_id: &str) -> Result<Vec<Task>, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        tasks: Vec<Task>,
    }
    let path = ["clusters", cluster_id, "tasks"];
    let query = Params::new().with("page_size", 50).with("page_number", 1);
    Ok(client.roa::<Body>(Roa { query, ..get("DescribeClusterTasks", &path) }).await?.tasks)
}

/// The account's quotas.
///
/// # Errors
/// Any call's failures.
pub async fn describe_user_quota(client: &Client) -> Result<Quota, Error> {
    client.roa(get("DescribeUserQuota", &["quota"])).await
}
