//! Node pools in the input document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{ObjectReference, Present, Vpc};

/// What happens in the pool's zones; the cloud's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MultiAzPolicy {
    /// The first vSwitch first.
    #[default]
    #[serde(alias = "MULTI_AZ_POLICY_UNSPECIFIED")]
    Priority,
    /// The cheapest zone first.
    CostOptimized,
    /// Evenly.
    Balance,
}

/// One node pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePool {
    /// Name, unique in the cluster.
    pub name: String,
    /// How many nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Instance types, in order of preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instance_types: Vec<String>,
    /// How instances are paid for.
    pub charge: Charge,
    /// Where instances go; all node vSwitches, once defaults are filled in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vswitch_ids: Vec<String>,
    /// Security groups of the instances; the VPC's, once defaults are filled in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
    /// How zones are chosen.
    pub multi_az_policy: MultiAzPolicy,
    /// Operating system image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// System disk.
    pub system_disk: Disk,
    /// Data disks: kept only to be refused.
    #[serde(skip_serializing)]
    pub data_disks: Vec<Present>,
    /// How people log in to the instances.
    pub login: Login,
    /// Labels of the nodes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Tags of the instances.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Resource group of the pool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_group_id: String,
    /// A pool that exists already: kept only to be refused.
    #[serde(skip_serializing)]
    pub existing: Option<Present>,
}

/// How instances are paid for: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    /// By use; the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pay_as_you_go: Option<Empty>,
    /// Spot instances: kept only to be refused.
    #[serde(skip_serializing)]
    pub spot: Option<Present>,
}

/// A message without fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// Operating system image: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// A type that the cloud knows.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// An image of one's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// `cloud_essd`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// `PL0` to `PL3`, of an ESSD.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub performance_level: String,
    /// Size in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gib: Option<u32>,
}

/// How people log in: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// An ECS key pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<KeyPair>,
    /// A password that lies in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// An ECS key pair.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyPair {
    /// Its name.
    pub name: String,
}

/// A password, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Password {
    /// The Secret that holds it under the key `password`.
    pub secret: ObjectReference,
}

/// A taint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl NodePool {
    /// Fills in what other fields say where nothing was given.
    pub(super) fn fill_in(&mut self, vpc: &Vpc) {
        if self.vswitch_ids.is_empty() {
            self.vswitch_ids =
                vpc.node_vswitches.iter().map(|vswitch| vswitch.id.clone()).collect();
        }
        if self.security_group_ids.is_empty() && !vpc.security_group_id.is_empty() {
            self.security_group_ids = vec![vpc.security_group_id.clone()];
        }
        if self.charge.spot.is_none() {
            self.charge.pay_as_you_go.get_or_insert_default();
        }
        let image = self.image.get_or_insert_default();
        if image.kind.is_empty() && image.id.is_empty() {
            image.kind = "AliyunLinux3".to_owned();
        }
        if self.system_disk.category.is_empty() {
            self.system_disk.category = "cloud_essd".to_owned();
        }
        if self.system_disk.category == "cloud_essd"
            && self.system_disk.performance_level.is_empty()
        {
            self.system_disk.performance_level = "PL1".to_owned();
        }
        self.system_disk.size_gib.get_or_insert(120);
    }
}
