//! Everything that the simulated account stores, as plain data. What is serialised here is in the ledger; what is
//! skipped is history, or depends on chance or time. It must not know how it is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::time::Instant;

/// The account.
#[derive(Default, Serialize)]
pub(crate) struct State {
    pub(crate) ram: Ram,
    pub(crate) cs: Cs,
    pub(crate) ecs: Ecs,
    /// By id.
    pub(crate) vpcs: BTreeMap<String, Vpc>,
    /// By name.
    pub(crate) oss: BTreeMap<String, Bucket>,
    #[serde(skip)]
    pub(crate) history: History,
}

/// What has happened; none of it is an object that anyone could leave behind.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) tasks: BTreeMap<String, Task>,
    pub(crate) activities: Vec<Activity>,
    /// Signature nonces and when they were used.
    pub(crate) nonces: HashMap<String, Timestamp>,
    /// By cluster: the script path as its agent last reported it.
    pub(crate) script_paths: BTreeMap<String, String>,
    /// Every AccessKey secret ever issued.
    pub(crate) secrets: BTreeSet<String>,
}

#[derive(Default, Serialize)]
pub(crate) struct Ram {
    /// By name.
    pub(crate) users: BTreeMap<String, User>,
    /// By `TYPE/NAME`.
    pub(crate) policies: BTreeMap<String, Policy>,
    pub(crate) groups: BTreeMap<String, Value>,
    pub(crate) roles: BTreeMap<String, Value>,
}

#[derive(Default, Serialize)]
pub(crate) struct User {
    pub(crate) user_id: String,
    pub(crate) user_name: String,
    pub(crate) display_name: String,
    pub(crate) comments: String,
    pub(crate) email: String,
    pub(crate) mobile_phone: String,
    pub(crate) create_date: String,
    pub(crate) update_date: String,
    /// By id.
    pub(crate) keys: BTreeMap<String, AccessKey>,
    /// By `TYPE/NAME` of the policy.
    pub(crate) attachments: BTreeMap<String, Attachment>,
    pub(crate) groups: BTreeSet<String>,
}

#[derive(Serialize)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) secret: String,
    /// `Active` or `Inactive`.
    pub(crate) status: String,
    pub(crate) create_date: String,
    /// Before that other services don't know it.
    #[serde(skip)]
    pub(crate) works_from: Instant,
}

#[derive(Serialize)]
pub(crate) struct Attachment {
    pub(crate) attach_date: String,
    /// Before that it grants nothing.
    #[serde(skip)]
    pub(crate) works_from: Instant,
}

#[derive(Default, Serialize)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// `Custom` or `System`.
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) create_date: String,
    pub(crate) update_date: String,
    pub(crate) default_version: u32,
    pub(crate) last_version: u32,
    pub(crate) versions: BTreeMap<u32, Version>,
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(crate) struct Version {
    pub(crate) document: String,
    pub(crate) create_date: String,
}

#[derive(Default, Serialize)]
pub(crate) struct Cs {
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// By id.
    pub(crate) pools: BTreeMap<String, Pool>,
}

#[derive(Serialize)]
pub(crate) struct Cluster {
    pub(crate) cluster_id: String,
    pub(crate) name: String,
    pub(crate) cluster_type: String,
    pub(crate) state: String,
    pub(crate) vpc_id: String,
    pub(crate) vswitch_ids: Vec<String>,
    pub(crate) security_group_id: String,
    pub(crate) pod_vswitches: Vec<(String, String)>,
    pub(crate) service_cidr: String,
    pub(crate) kubernetes_version: String,
    /// Whether its agent may install add-ons.
    pub(crate) admin_agent: bool,
    /// Names and addresses of the data center's nodes.
    pub(crate) data_center_nodes: Vec<(String, String)>,
    /// As cloud nodes reach it.
    pub(crate) api_server: String,
    pub(crate) created: String,
    /// Installed, or being installed or removed; by name.
    pub(crate) addons: BTreeMap<String, Addon>,
}

#[derive(Serialize)]
pub(crate) struct Addon {
    pub(crate) name: String,
    pub(crate) version: String,
    /// `active`, `updating`, `deleting`.
    pub(crate) state: String,
    pub(crate) config: String,
}

#[derive(Serialize)]
pub(crate) struct Pool {
    pub(crate) id: String,
    pub(crate) cluster_id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) resource_group_id: String,
    pub(crate) scaling_group_id: String,
    pub(crate) created: String,
    pub(crate) updated: String,
    pub(crate) desired_size: usize,
    pub(crate) scaling_group: Value,
    pub(crate) kubernetes_config: Value,
    pub(crate) auto_scaling: Value,
    pub(crate) management: Value,
    /// `initial`, `active`, `deleting`; whether it is `scaling` follows from its instances.
    pub(crate) state: String,
    /// A fault: no more instances than this can be had.
    #[serde(skip)]
    pub(crate) stock: Option<usize>,
    /// A fault: scripts of its instances never end.
    #[serde(skip)]
    pub(crate) never_ready: bool,
}

#[derive(Default, Serialize)]
pub(crate) struct Ecs {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) interfaces: BTreeMap<String, Interface>,
    pub(crate) instance_types: BTreeMap<String, InstanceType>,
    pub(crate) key_pairs: BTreeSet<String>,
}

#[derive(Clone, Serialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) cluster_id: String,
    /// Empty when it belongs to no pool (any more).
    pub(crate) pool_id: String,
    pub(crate) instance_type: String,
    pub(crate) image_type: String,
    pub(crate) charge_type: String,
    pub(crate) vpc_id: String,
    pub(crate) vswitch_id: String,
    pub(crate) zone: String,
    pub(crate) private_ip: String,
    pub(crate) security_group_ids: Vec<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// `Pending`, `Running`, `Stopping`.
    pub(crate) status: String,
    pub(crate) creation_time: String,
    /// As the registered cluster sees it: `initial`, `running`, `failed`, `removing`.
    pub(crate) node_state: String,
    pub(crate) node_ready: bool,
    pub(crate) error_message: String,
}

#[derive(Clone, Serialize)]
pub(crate) struct Interface {
    pub(crate) id: String,
    /// `Primary` or `Secondary`.
    pub(crate) kind: String,
    /// `InUse` or `Available`.
    pub(crate) status: String,
    /// Empty when attached to none.
    pub(crate) instance_id: String,
    pub(crate) vpc_id: String,
    pub(crate) vswitch_id: String,
    pub(crate) zone: String,
    pub(crate) private_ip: String,
    pub(crate) security_group_ids: Vec<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) creation_time: String,
}

#[derive(Serialize)]
pub(crate) struct InstanceType {
    pub(crate) id: String,
    pub(crate) cpus: u32,
    pub(crate) memory_gib: u32,
    pub(crate) enis: u32,
    pub(crate) ips_per_eni: u32,
    pub(crate) zones: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) cidr: String,
    pub(crate) route_table_id: String,
    pub(crate) vswitches: BTreeMap<String, Vswitch>,
    pub(crate) security_groups: BTreeMap<String, SecurityGroup>,
    /// Destination, next hop type, next hop id.
    pub(crate) routes: Vec<(String, String, String)>,
}

#[derive(Serialize)]
pub(crate) struct Vswitch {
    pub(crate) id: String,
    pub(crate) zone: String,
    pub(crate) cidr: String,
    /// Free addresses when nothing of this world uses it.
    pub(crate) capacity: u32,
}

#[derive(Serialize)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// Direction, protocol, port range, CIDR, policy.
    pub(crate) rules: Vec<(String, String, String, String, String)>,
}

#[derive(Default, Serialize)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) acl: String,
    pub(crate) block_public_access: bool,
    #[serde(serialize_with = "json_text")]
    pub(crate) policy: Option<String>,
    /// By key.
    pub(crate) objects: BTreeMap<String, Object>,
}

#[derive(Default, Clone, Serialize)]
pub(crate) struct Object {
    #[serde(serialize_with = "text_or_hex")]
    pub(crate) body: Bytes,
    /// Content-Type, Cache-Control, x-oss-meta-*, … as given.
    pub(crate) headers: BTreeMap<String, String>,
    /// `default`, `private`, `public-read`, `public-read-write`.
    pub(crate) acl: String,
    #[serde(skip)]
    pub(crate) last_modified: Timestamp,
}

/// A task of CS.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) cluster_id: String,
    pub(crate) kind: String,
    /// `running`, `success`, `fail`.
    pub(crate) state: String,
    /// Kind and id of what it is about.
    pub(crate) target: (String, String),
    pub(crate) created: String,
    pub(crate) updated: String,
    pub(crate) error: Option<(String, String)>,
    /// Instance, and `initial`, `success` or `failed`.
    pub(crate) results: BTreeMap<String, String>,
    /// A fault: it never ends.
    pub(crate) stuck: bool,
}

/// A scaling activity of ESS.
#[derive(Clone)]
pub(crate) struct Activity {
    pub(crate) id: String,
    pub(crate) scaling_group_id: String,
    /// `Successful`, `Warning`, `Failed`, `InProgress`.
    pub(crate) status: String,
    pub(crate) description: String,
    pub(crate) cause: String,
    pub(crate) error: Option<(String, String)>,
    pub(crate) created_instances: Vec<String>,
    pub(crate) start_time: String,
    pub(crate) end_time: String,
}

/// Policies are the same when they say the same, whatever their blanks.
fn json_text<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let parsed = text.as_ref().map(|text| {
        serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::String(text.clone()))
    });
    parsed.serialize(serializer)
}

fn text_or_hex<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.serialize(serializer),
        Err(_) => hex::encode(bytes).serialize(serializer),
    }
}

/// `PREFIX` and random lower-case hex digits.
pub(crate) fn random_id(prefix: &str, digits: usize) -> String {
    let random = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    format!("{prefix}{}", &random[..digits.min(64)])
}
