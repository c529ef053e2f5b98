//! The hands between the cloud and the data centers: the add-ons that the cloud installs in a cluster, the instances
//! that boot and join, and the interfaces that Terway's pods ask for. It decides nothing; each side judges for itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use anyhow::Context as _;
use async_trait::async_trait;
use futures::future::try_join_all;

use crate::{
    cloud::{Cloud, seeded_addon_key},
    controllers::{self, DataCenter, NodeRequest, TerwayEni},
    faults::Faults,
    hands::{AddonJob, Boot, BootReport, Hands},
    instances::{Discovery, Instances, Reach, Registrar, Registration},
    kube::{Server, Who},
    seed::{self, Seed},
    time::Pace,
};

/// A registered cluster with its API server.
struct Center {
    data_center: Arc<DataCenter>,
    server: Server,
    api_server: String,
}

/// All data centers of a world, and the way to its cloud.
pub(super) struct WorldHands {
    /// In the order of the seed.
    centers: Vec<(String, Center)>,
    vpc: Arc<VpcSide>,
    instances: Instances,
}

/// The cloud as its instances meet it from inside. Weak: the cloud holds its hands.
struct VpcSide {
    cloud: Weak<Cloud>,
    /// Instance -> zone, of all that ever booted.
    zones: Mutex<BTreeMap<String, String>>,
}

impl WorldHands {
    /// Brings all data centers of the seed up.
    pub(super) async fn start(
        seed: &Seed,
        cloud: &Arc<Cloud>,
        faults: &Arc<Faults>,
        pace: Pace,
        instances: Instances,
    ) -> anyhow::Result<Self> {
        let vpc = Arc::new(VpcSide { cloud: Arc::downgrade(cloud), zones: Mutex::default() });
        let starting =
            seed.clusters.iter().map(|cluster| Center::start(cluster, faults, pace, &vpc));
        let centers = try_join_all(starting).await?;
        let ids = seed.clusters.iter().map(|cluster| cluster.id.clone());
        Ok(Self { centers: ids.zip(centers).collect(), vpc, instances })
    }

    /// The API servers with the ids of their clusters, in the order of the seed.
    pub(super) fn servers(&self) -> impl Iterator<Item = (&str, &Server)> {
        self.centers.iter().map(|(id, center)| (id.as_str(), &center.server))
    }

    /// The data centers by cluster id.
    pub(super) fn data_centers(&self) -> BTreeMap<String, Arc<DataCenter>> {
        self.centers
            .iter()
            .map(|(id, center)| (id.clone(), Arc::clone(&center.data_center)))
            .collect()
    }

    fn center(&self, cluster_id: &str) -> Result<&Center, String> {
        let found = self.centers.iter().find(|(id, _)| id == cluster_id).map(|(_, center)| center);
        found.ok_or_else(|| format!("the data center of cluster {cluster_id} does not answer"))
    }
}

impl Center {
    async fn start(
        cluster: &seed::Cluster,
        faults: &Arc<Faults>,
        pace: Pace,
        vpc: &Arc<VpcSide>,
    ) -> anyhow::Result<Self> {
        let server = Server::start(cluster, Arc::clone(faults), pace).await?;
        let options = controllers::Options {
            cluster: cluster.clone(),
            kubeconfig: server.kubeconfig(Who::Admin),
            stalls: server.stalls(),
            pace,
            eni: vpc.clone(),
            addon_key: cluster.data_center.addon_user.as_deref().map(seeded_addon_key),
        };
        let data_center = DataCenter::start(options)
            .await
            .with_context(|| format!("the data center of cluster {}", cluster.id))?;
        Ok(Self {
            data_center: Arc::new(data_center),
            server,
            api_server: cluster.data_center.api_server.clone(),
        })
    }
}

#[async_trait]
impl TerwayEni for VpcSide {
    async fn zone(&self, provider_id: &str) -> Option<String> {
        self.zones
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(instance_of(provider_id))
            .cloned()
    }

    async fn attach(
        &self,
        cluster_id: &str,
        provider_id: &str,
        key_id: &str,
        key_secret: &str,
        vswitch: &str,
    ) -> Result<(), String> {
        let cloud = self.cloud.upgrade().ok_or("the cloud is gone")?;
        cloud
            .terway_eni(cluster_id, instance_of(provider_id), key_id, key_secret, vswitch)
            .map(drop)
    }
}

/// The instance in `REGION.INSTANCE`.
fn instance_of(provider_id: &str) -> &str {
    provider_id.rsplit_once('.').map_or(provider_id, |(_region, instance)| instance)
}

/// One data center as its joining machines meet it.
struct ControlPlane(Arc<DataCenter>);

#[async_trait]
impl Registrar for ControlPlane {
    async fn discover(&self, discovery: &Discovery) -> Result<(), String> {
        self.0
            .discover(&discovery.token, &discovery.ca_cert_hashes, discovery.skip_ca_verification)
            .await
    }

    async fn register(&self, boot: &Boot, registration: &Registration) -> Result<(), String> {
        let taints = registration
            .taints
            .iter()
            .map(|taint| (taint.key.clone(), taint.value.clone(), taint.effect.clone()));
        let node = NodeRequest {
            name: registration.name.clone(),
            provider_id: registration.provider_id.clone().unwrap_or_default(),
            labels: registration.labels.clone().into_iter().collect(),
            taints: taints.collect(),
            ip: registration.node_ip.clone().unwrap_or_else(|| boot.private_ip.clone()),
            kubelet_version: registration.kubelet_version.clone().unwrap_or_default(),
        };
        // The relay has compared the certificate's name with the Node's already.
        self.0.register(&registration.name, &node).await
    }
}

#[async_trait]
impl Hands for WorldHands {
    async fn install_addon(&self, job: AddonJob) -> Result<(), String> {
        self.center(&job.cluster_id)?.data_center.install_addon(&job).await
    }

    async fn uninstall_addon(&self, job: AddonJob) -> Result<(), String> {
        self.center(&job.cluster_id)?.data_center.uninstall_addon(&job).await
    }

    async fn read_script_path(&self, cluster_id: &str) -> Option<String> {
        self.center(cluster_id).ok()?.data_center.read_script_path().await
    }

    async fn boot(&self, boot: Boot) -> BootReport {
        let (Ok(center), Some(cloud)) = (self.center(&boot.cluster_id), self.vpc.cloud.upgrade())
        else {
            return BootReport {
                ok: false,
                log: format!("causeway-sandbox: no data center of cluster {}\n", boot.cluster_id),
            };
        };
        self.vpc
            .zones
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(boot.instance_id.clone(), boot.zone.clone());
        let reach = Reach {
            cloud: cloud.router_from_vpc(&boot.vpc_id),
            api_server: center.api_server.clone(),
            registrar: Arc::new(ControlPlane(Arc::clone(&center.data_center))),
        };
        let report = self.instances.boot(&boot, reach).await;
        if !report.ok {
            tracing::warn!(instance = %boot.instance_id, log = %report.log, "A node script failed");
        }
        report
    }

    async fn node_ready(&self, cluster_id: &str, instance_id: &str) -> Option<bool> {
        self.center(cluster_id).ok()?.data_center.node_ready(instance_id).await
    }

    async fn drain(&self, cluster_id: &str, instance_id: &str) -> Result<(), String> {
        self.center(cluster_id)?.data_center.drain(instance_id).await
    }

    async fn terminate(&self, cluster_id: &str, instance_id: &str) {
        if let Ok(center) = self.center(cluster_id) {
            center.data_center.terminate(instance_id).await;
        }
    }
}
