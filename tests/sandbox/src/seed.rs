//! The world before anything happens, as plain data: tests change a field of it and see what the daemon makes of that.

/// Everything that exists at the start.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The cloud account.
    pub account: Account,
    /// VPCs with their networks.
    pub vpcs: Vec<Vpc>,
    /// Instance types on offer.
    pub instance_types: Vec<InstanceType>,
    /// Registered clusters, each with its data center.
    pub clusters: Vec<Cluster>,
    /// OSS buckets: (name, block public access).
    pub buckets: Vec<(String, bool)>,
    /// Key pairs.
    pub key_pairs: Vec<String>,
}

/// The account and the key that the daemon signs with.
#[derive(Debug, Clone)]
pub struct Account {
    /// Sixteen digits.
    pub id: String,
    /// The RAM user of the daemon.
    pub daemon_user: String,
    /// The document of the only policy that the daemon's user has; none: it may do everything.
    pub daemon_policy: Option<String>,
    /// The daemon's AccessKey id.
    pub access_key_id: String,
    /// The daemon's AccessKey secret.
    pub access_key_secret: String,
    /// `cn-hangzhou`.
    pub region: String,
}

/// One VPC.
#[derive(Debug, Clone)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Its block.
    pub cidr: String,
    /// Its vSwitches.
    pub vswitches: Vec<Vswitch>,
    /// Its security groups.
    pub security_groups: Vec<SecurityGroup>,
    /// Custom and learned routes of its system route table: (destination, next hop type, next hop id).
    pub routes: Vec<(String, String, String)>,
}

/// One vSwitch.
#[derive(Debug, Clone)]
pub struct Vswitch {
    /// `vsw-…`.
    pub id: String,
    /// Zone id.
    pub zone: String,
    /// Its block.
    pub cidr: String,
    /// Free addresses.
    pub available: u32,
}

/// One security group.
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// `normal` or `enterprise`.
    pub kind: String,
    /// Rules: (direction, protocol, port range, CIDR, policy).
    pub rules: Vec<(String, String, String, String, String)>,
}

/// One instance type.
#[derive(Debug, Clone)]
pub struct InstanceType {
    /// `ecs.g7.xlarge`.
    pub id: String,
    /// vCPUs.
    pub cpus: u32,
    /// GiB.
    pub memory_gib: u32,
    /// Network interfaces.
    pub enis: u32,
    /// Private addresses per interface.
    pub ips_per_eni: u32,
    /// Zones that have stock.
    pub zones: Vec<String>,
}

/// A registered cluster and the data center behind it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `c` and 32 hex digits.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// `running`, `waiting`, `disconnected`.
    pub state: String,
    /// `ExternalKubernetes`.
    pub cluster_type: String,
    /// The VPC it was registered in.
    pub vpc_id: String,
    /// The node vSwitches it was registered with.
    pub vswitch_ids: Vec<String>,
    /// Its security group.
    pub security_group_id: String,
    /// Pod vSwitches given at registration, by zone; empty: eni-config is rendered with placeholders.
    pub pod_vswitches: Vec<(String, String)>,
    /// Service CIDR given at registration; empty: rendered with a placeholder.
    pub service_cidr: String,
    /// Kubernetes of the data center.
    pub data_center: DataCenter,
}

/// The data center's Kubernetes.
#[derive(Debug, Clone)]
pub struct DataCenter {
    /// Without the `v`.
    pub kubernetes_version: String,
    /// Control-plane and worker node names with their addresses.
    pub nodes: Vec<(String, String)>,
    /// Node block.
    pub node_cidr: String,
    /// Pod block.
    pub pod_cidr: String,
    /// Service block.
    pub service_cidr: String,
    /// As cloud nodes reach it: `192.168.0.10:6443`.
    pub api_server: String,
    /// Whether the agent uses the private endpoint.
    pub private_agent: bool,
    /// Whether the agent may install add-ons.
    pub admin_agent: bool,
    /// How Calico is installed.
    pub calico: Calico,
    /// Whether `kube-system/alibaba-addon-secret` is there already, with this user's name.
    pub addon_user: Option<String>,
    /// Kubernetes permissions that the daemon lacks: (verb, resource).
    pub denied: Vec<(String, String)>,
    /// RBAC objects that are there from the start. Where there are any, the daemon may do what they say; else everything.
    pub daemon_rbac: Vec<serde_json::Value>,
}

/// How Calico is installed in the data center.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calico {
    /// From the manifest: DaemonSet `kube-system/calico-node`.
    Manifest,
    /// By the Tigera operator, in `calico-system`.
    Operator,
    /// From the manifest, with IPIP on.
    Overlay,
    /// Not at all.
    Missing,
}

impl Seed {
    /// The guide's example: data center 192.168.0.0/24 with pods in 10.100.0.0/16, VPC 10.0.0.0/8 with node vSwitch
    /// 10.10.24.0/24 and pod vSwitch 10.10.25.0/24.
    #[must_use]
    pub fn guide() -> Self {
        let region = "cn-hangzhou".to_owned();
        Self {
            account: Account {
                id: "1234567890123456".into(),
                daemon_user: "causewayd".into(),
                daemon_policy: None,
                access_key_id: "LTAI5tSandboxDaemonKey01".into(),
                access_key_secret: "SandboxDaemonSecret000000000001".into(),
                region,
            },
            vpcs: vec![Self::guide_vpc()],
            instance_types: vec![
                instance_type("ecs.g7.xlarge", 4, 16, 4, 15),
                instance_type("ecs.g7.large", 2, 8, 3, 6),
                instance_type("ecs.t6-c1m1.large", 2, 2, 1, 2),
            ],
            clusters: vec![Self::guide_cluster("c106f377e16f34eb1808d6b9362c9abcd", "dc1")],
            buckets: vec![("kubelet-scripts".into(), false)],
            key_pairs: vec!["kp".into()],
        }
    }

    /// The guide's example with a second registered cluster (its own data center) in the same account and VPC.
    #[must_use]
    pub fn two_clusters() -> Self {
        let mut seed = Self::guide();
        seed.clusters.push(Self::guide_cluster("c206f377e16f34eb1808d6b9362c9abcd", "dc2"));
        seed
    }

    fn guide_vpc() -> Vpc {
        let vswitch = |id: &str, cidr: &str| Vswitch {
            id: id.into(),
            zone: "cn-hangzhou-h".into(),
            cidr: cidr.into(),
            available: 252,
        };
        let rule = |direction: &str, cidr: &str| {
            (direction.into(), "ALL".into(), "-1/-1".into(), cidr.into(), "Accept".into())
        };
        Vpc {
            id: "vpc-bp1guide".into(),
            cidr: "10.0.0.0/8".into(),
            vswitches: vec![
                vswitch("vsw-bp1nodes", "10.10.24.0/24"),
                vswitch("vsw-bp1pods", "10.10.25.0/24"),
            ],
            security_groups: vec![SecurityGroup {
                id: "sg-bp1guide".into(),
                kind: "normal".into(),
                rules: vec![
                    rule("ingress", "192.168.0.0/24"),
                    rule("ingress", "10.100.0.0/16"),
                    rule("ingress", "10.10.24.0/23"),
                    rule("egress", "0.0.0.0/0"),
                ],
            }],
            routes: vec![
                ("192.168.0.0/24".into(), "RouterInterface".into(), "ri-bp1dc".into()),
                ("10.100.0.0/16".into(), "RouterInterface".into(), "ri-bp1dc".into()),
            ],
        }
    }

    fn guide_cluster(id: &str, name: &str) -> Cluster {
        Cluster {
            id: id.into(),
            name: name.into(),
            state: "running".into(),
            cluster_type: "ExternalKubernetes".into(),
            vpc_id: "vpc-bp1guide".into(),
            vswitch_ids: vec!["vsw-bp1nodes".into()],
            security_group_id: "sg-bp1guide".into(),
            pod_vswitches: vec![],
            service_cidr: String::new(),
            data_center: DataCenter {
                kubernetes_version: "1.30.4".into(),
                nodes: vec![
                    ("dc-master-1".into(), "192.168.0.10".into()),
                    ("dc-worker-1".into(), "192.168.0.21".into()),
                    ("dc-worker-2".into(), "192.168.0.22".into()),
                ],
                node_cidr: "192.168.0.0/24".into(),
                pod_cidr: "10.100.0.0/16".into(),
                service_cidr: "172.16.0.0/16".into(),
                api_server: "192.168.0.10:6443".into(),
                private_agent: true,
                admin_agent: true,
                calico: Calico::Manifest,
                addon_user: None,
                denied: vec![],
                daemon_rbac: vec![],
            },
        }
    }
}

fn instance_type(
    id: &str,
    cpus: u32,
    memory_gib: u32,
    enis: u32,
    ips_per_eni: u32,
) -> InstanceType {
    InstanceType {
        id: id.into(),
        cpus,
        memory_gib,
        enis,
        ips_per_eni,
        zones: vec!["cn-hangzhou-h".into()],
    }
}
