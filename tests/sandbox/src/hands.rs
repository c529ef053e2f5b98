//! What the cloud's control plane does outside itself: in the data center's cluster and on the instances. The cloud
//! decides when, these hands do it.

use std::collections::BTreeMap;

use async_trait::async_trait;

/// An add-on to be installed in, or removed from, a registered cluster.
#[derive(Debug, Clone)]
pub struct AddonJob {
    /// The registered cluster.
    pub cluster_id: String,
    /// `terway-eniip`, …
    pub name: String,
    /// With the leading `v`.
    pub version: String,
    /// Values that the control plane renders into the add-on's templates: `ClusterID`, `ServiceCIDR`,
    /// `SecurityGroupId`, `PodVswitchId` (a JSON map of zone to vSwitch ids). A value that is absent leaves its placeholder in place.
    pub values: BTreeMap<String, String>,
}

/// An instance that has been created and now boots: cloud-init exports the variables and runs the node script.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The registered cluster whose pool asked for it.
    pub cluster_id: String,
    /// `i-…`.
    pub instance_id: String,
    /// Its VPC, which the bucket policy's condition sees when the instance fetches the script.
    pub vpc_id: String,
    /// `cn-hangzhou`.
    pub region: String,
    /// `cn-hangzhou-h`.
    pub zone: String,
    /// The node vSwitch.
    pub vswitch_id: String,
    /// Its private address.
    pub private_ip: String,
    /// `ecs.g7.xlarge`.
    pub instance_type: String,
    /// The pool's image type: decides between the yum-like and the apt-like system.
    pub image_type: String,
    /// The script's URL, as the agent had last reported it. Empty: there is none.
    pub script_url: String,
    /// The ALIBABA_CLOUD_* variables (section 6.3 of the reference).
    pub variables: BTreeMap<String, String>,
}

/// How a boot went.
#[derive(Debug, Clone, Default)]
pub struct BootReport {
    /// Whether the script ended with 0.
    pub ok: bool,
    /// Everything that the script printed, as `/var/log/acs/init.log` has it.
    pub log: String,
}

/// What the cloud's control plane asks of the rest of the world.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Creates the add-on's objects in the cluster. An error is the task's error message.
    async fn install_addon(&self, job: AddonJob) -> Result<(), String>;
    /// Removes the add-on's objects, its CRDs with the objects in them included.
    async fn uninstall_addon(&self, job: AddonJob) -> Result<(), String>;
    /// The `addNodeScriptPath` now in the cluster's `ack-agent-config`; the cloud polls it at the agent's pace. `None`: the agent can't be asked.
    async fn read_script_path(&self, cluster_id: &str) -> Option<String>;
    /// Runs the node script of an instance.
    async fn boot(&self, boot: Boot) -> BootReport;
    /// Whether the instance's Node is there, and Ready.
    async fn node_ready(&self, cluster_id: &str, instance_id: &str) -> Option<bool>;
    /// Drains a node by name before its removal; a node that is not there is no error.
    async fn drain(&self, cluster_id: &str, instance_id: &str) -> Result<(), String>;
    /// The instance is gone: its kubelet stops (the Node object stays, NotReady).
    async fn terminate(&self, cluster_id: &str, instance_id: &str);
}
