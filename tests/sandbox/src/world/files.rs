//! The files of a sandbox's folder: where the world is, and all that the daemon, kubectl and the client need to use it.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::pace;
use crate::{
    seed::{Cluster, Seed},
    time::Pace,
};

/// `sandbox.json`: where the world listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Of the cloud.
    pub cloud: String,
    /// Of the data centers' API servers.
    pub kubernetes: Vec<ClusterEndpoint>,
    /// Of the sandbox itself: the ledger, and the faults.
    pub control: String,
    /// Where the daemon of this world listens, once it is started.
    pub daemon: String,
}

/// One registered cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEndpoint {
    /// Of the registered cluster.
    pub cluster_id: String,
    /// `https://127.0.0.1:PORT`.
    pub url: String,
}

/// A sandbox's folder.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// The connection that the daemon's configuration and the input files name.
const CONNECTION: &str = "sandbox";

impl Folder {
    /// Takes a folder for a new world, creating it where needed. The daemon's data in it belong to a world that is
    /// gone, and are removed.
    ///
    /// # Errors
    /// When the folder can't be used, or holds something that no sandbox has put there.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let folder = Self {
            path: path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?,
        };
        if let Ok(endpoints) = Self::endpoints(path)
            && answers(&endpoints.control)
        {
            bail!("a sandbox runs in {} already: end it, or choose another --dir", path.display());
        }
        let daemon = folder.daemon_data();
        if daemon.exists() {
            if !folder.file("causewayd.toml").exists() {
                bail!(
                    "{} is no sandbox's folder, but has a {}: choose another --dir",
                    path.display(),
                    daemon.display()
                );
            }
            fs::remove_dir_all(&daemon)
                .with_context(|| format!("cannot remove {}", daemon.display()))?;
        }
        Ok(folder)
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The daemon's data.
    #[must_use]
    pub fn daemon_data(&self) -> PathBuf {
        self.file("daemon")
    }

    /// The input file of the n-th cluster, from 0.
    #[must_use]
    pub fn input_file(&self, index: usize) -> PathBuf {
        self.file(&numbered("hybrid-cluster", index, ".yaml"))
    }

    /// Reads where the world of a folder listens.
    ///
    /// # Errors
    /// When no sandbox runs there.
    pub fn endpoints(path: &Path) -> anyhow::Result<Endpoints> {
        let file = path.join("sandbox.json");
        let text = fs::read(&file).with_context(|| format!("no sandbox runs in {}: start one with `causeway-sandbox up`, or name its folder with --dir", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} can't be read", file.display()))
    }

    /// Writes all files. `kubeconfigs` are in the order of the seed's clusters.
    pub(super) fn write(
        &self,
        seed: &Seed,
        pace: Pace,
        endpoints: &Endpoints,
        kubeconfigs: &[String],
    ) -> anyhow::Result<()> {
        fs::create_dir_all(self.daemon_data()).context("cannot create the daemon's folder")?;
        for (index, (cluster, kubeconfig)) in seed.clusters.iter().zip(kubeconfigs).enumerate() {
            self.private(&numbered("kubeconfig", index, ""), kubeconfig)?;
            self.public(&numbered("hybrid-cluster", index, ".yaml"), &input(seed, cluster)?)?;
        }
        let account = &seed.account;
        self.private(
            "credentials.ini",
            &format!("[default]\nenable = true\ntype = access_key\naccess_key_id = {}\naccess_key_secret = {}\n", account.access_key_id, account.access_key_secret),
        )?;
        self.private("sealing.key", &format!("{}\n", hex::encode(rand::random::<[u8; 32]>())))?;
        self.public("causewayd.toml", &configuration(seed, pace, endpoints))?;
        self.public("client.env", &format!("CAUSEWAY_ADDRESS={}\n", endpoints.daemon))?;
        self.public("sandbox.json", &format!("{:#}\n", serde_json::json!(endpoints)))
    }

    /// Says that no world runs here any more.
    pub(super) fn leave(&self) {
        if let Err(error) = fs::remove_file(self.file("sandbox.json"))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "The sandbox's folder still says that a world runs");
        }
    }

    fn public(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::write(self.file(name), text)
            .with_context(|| format!("cannot write {}", self.file(name).display()))
    }

    fn private(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.file(name);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Whether somebody listens at this URL.
fn answers(url: &str) -> bool {
    let address = url.trim_start_matches("http://").parse::<SocketAddr>();
    address.is_ok_and(|address| {
        TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
    })
}

/// `kubeconfig`, `kubeconfig-2`, …
fn numbered(name: &str, index: usize, extension: &str) -> String {
    if index == 0 {
        format!("{name}{extension}")
    } else {
        format!("{name}-{}{extension}", index + 1)
    }
}

fn configuration(seed: &Seed, pace: Pace, endpoints: &Endpoints) -> String {
    let account = &seed.account;
    let listen = endpoints.daemon.trim_start_matches("http://");
    let kubeconfigs: String = seed
        .clusters
        .iter()
        .enumerate()
        .map(|(index, cluster)| {
            format!("\"{}\" = \"{}\"\n", cluster.id, numbered("kubeconfig", index, ""))
        })
        .collect();
    format!(
        "# Written by causeway-sandbox: a daemon that works on its simulated world. Paths are relative to this file.\n\
         listen = \"{listen}\"\ndata_dir = \"daemon\"\n\n\
         [sealing]\nkey_file = \"sealing.key\"\n\n\
         # The waits for the outside world, scaled as this world is.\n[timing]\n{timing}\n\
         [telemetry]\nlog = \"info\"\n\n\
         [connections.{CONNECTION}]\ncredentials = \"shared-file\"\ncredentials_file = \"credentials.ini\"\naccount_id = \"{account_id}\"\n\
         regions = [\"{region}\"]\nclusters = [\"*\"]\nmax_nodes = 50\n\n\
         [connections.{CONNECTION}.endpoints]\nall = \"{cloud}\"\n\n\
         [connections.{CONNECTION}.kubeconfigs]\n{kubeconfigs}",
        timing = pace::timing(pace),
        account_id = account.id,
        region = account.region,
        cloud = endpoints.cloud,
    )
}

/// The guide's cluster as an input file, with the seed's values.
fn input(seed: &Seed, cluster: &Cluster) -> anyhow::Result<String> {
    let vpc = seed
        .vpcs
        .iter()
        .find(|vpc| vpc.id == cluster.vpc_id)
        .with_context(|| format!("the seed has no VPC {}", cluster.vpc_id))?;
    let list = |for_nodes: bool| {
        let chosen = vpc
            .vswitches
            .iter()
            .filter(|vswitch| cluster.vswitch_ids.contains(&vswitch.id) == for_nodes);
        chosen
            .map(|vswitch| format!("{{id: {}, zone: {}}}", vswitch.id, vswitch.zone))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let instance_type = seed.instance_types.first().context("the seed has no instance type")?;
    let bucket = seed.buckets.first().map(|(name, _)| name).context("the seed has no bucket")?;
    let key_pair = seed.key_pairs.first().context("the seed has no key pair")?;
    let data_center = &cluster.data_center;
    Ok(format!(
        "# The guide's hybrid cluster in the sandbox's world: `causeway start -f FILE --wait` builds it.\n\
         apiVersion: causeway/v1\nkind: HybridCluster\nmetadata: {{name: {name}, labels: {{team: edge}}}}\nspec:\n\
         \x20 connection: {CONNECTION}\n  cluster_id: {id}\n  region: {region}\n  on_premises:\n\
         \x20   node_cidrs: [{nodes}]\n    pod_cidrs: [{pods}]\n    service_cidr: {services}\n    api_server: {api_server}\n\
         \x20 vpc:\n    id: {vpc}\n    security_group_id: {security_group}\n\
         \x20   node_vswitches: [{node_vswitches}]\n    pod_vswitches: [{pod_vswitches}]\n\
         \x20 init_script:\n    render: {{}}\n    token: {{mint: {{ttl: 24h}}}}\n\
         \x20   publish: {{oss: {{bucket: {bucket}, prefix: causeway/, access: VPC}}}}\n\
         \x20 node_pools:\n  - name: burst\n    size: 2\n    instance_types: [{instance_type}]\n    image: {{type: AliyunLinux3}}\n\
         \x20   system_disk: {{category: cloud_essd, performance_level: PL1, size_gib: 120}}\n    login: {{key_pair: {{name: {key_pair}}}}}\n\
         \x20   labels: {{workload: cpu}}\n    taints: [{{key: workload, value: ack, effect: NoSchedule}}]\n",
        name = cluster.name,
        id = cluster.id,
        region = seed.account.region,
        nodes = data_center.node_cidr,
        pods = data_center.pod_cidr,
        services = data_center.service_cidr,
        api_server = data_center.api_server,
        vpc = vpc.id,
        security_group = cluster.security_group_id,
        node_vswitches = list(true),
        pod_vswitches = list(false),
        instance_type = instance_type.id,
    ))
}

#[cfg(test)]
mod tests {
    use causeway_proto::{input::decode, v1::start_workflow_request::Spec};

    use super::*;

    #[test]
    fn the_input_file_is_one_that_the_daemon_takes() {
        let seed = Seed::guide();
        let text = input(&seed, &seed.clusters[0]).expect("the guide's seed is whole");
        let value: serde_json::Value = serde_saphyr::from_str(&text).expect("it is YAML");
        let request = decode(&value).unwrap_or_else(|violations| panic!("{violations:?}\n{text}"));
        let Some(Spec::HybridCluster(spec)) = request.spec else { panic!("no hybrid cluster") };
        assert_eq!(spec.cluster_id, seed.clusters[0].id);
        let vpc = spec.vpc.expect("a VPC");
        assert_eq!(
            (vpc.node_vswitches[0].id.as_str(), vpc.pod_vswitches[0].id.as_str()),
            ("vsw-bp1nodes", "vsw-bp1pods")
        );
    }

    #[test]
    fn a_folder_that_is_nobodys_sandbox_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("daemon")).expect("created");
        assert!(Folder::take(folder.path()).is_err());
        assert!(folder.path().join("daemon").exists());
    }

    #[test]
    fn a_new_world_begins_without_the_data_of_the_last() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("daemon")).expect("created");
        fs::write(folder.path().join("causewayd.toml"), "").expect("written");
        Folder::take(folder.path()).expect("it is a sandbox's");
        assert!(!folder.path().join("daemon").exists());
    }
}
