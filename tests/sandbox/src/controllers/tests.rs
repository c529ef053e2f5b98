//! The data center as a whole, over the real protocol.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    DataCenter, JoinRequest, NodeRequest, Options, TerwayEni, join,
    objects::{is_ready, items, name, path, text},
};
use crate::{
    faults::Faults,
    hands::AddonJob,
    kube::{Server, Who},
    seed::{self, Calico, Seed},
    time::Pace,
};

const FENCE: &str = r#"{"spec": {"template": {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
    {"matchExpressions": [{"key": "alibabacloud.com/external", "operator": "NotIn", "values": ["true"]}, {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}]}]}}}}}}}"#;

#[derive(Default)]
struct Cloud {
    attached: Mutex<Vec<String>>,
}

#[async_trait]
impl TerwayEni for Cloud {
    async fn zone(&self, provider_id: &str) -> Option<String> {
        provider_id.starts_with("cn-hangzhou.i-").then(|| "cn-hangzhou-h".to_owned())
    }

    async fn attach(
        &self,
        _: &str,
        provider_id: &str,
        key_id: &str,
        key_secret: &str,
        vswitch: &str,
    ) -> Result<(), String> {
        if key_secret != "right" {
            return Err("InvalidAccessKeyId.NotFound".into());
        }
        self.attached.lock().unwrap().push(format!("{provider_id} {key_id} {vswitch}"));
        Ok(())
    }
}

struct World {
    server: Server,
    center: DataCenter,
    cloud: Arc<Cloud>,
    faults: Arc<Faults>,
}

async fn world(change: impl FnOnce(&mut seed::DataCenter)) -> World {
    let mut cluster = Seed::guide().clusters.remove(0);
    change(&mut cluster.data_center);
    let (faults, pace, cloud) = (Faults::new(), Pace::new(500.0), Arc::new(Cloud::default()));
    let server = Server::start(&cluster, Arc::clone(&faults), pace).await.unwrap();
    let options = Options {
        cluster,
        kubeconfig: server.kubeconfig(Who::Admin),
        stalls: server.stalls(),
        pace,
        eni: cloud.clone(),
        addon_key: None,
    };
    let center = DataCenter::start(options).await.unwrap();
    World { server, center, cloud, faults }
}

impl World {
    async fn get(&self, path: &str) -> Value {
        self.center.kubelets.objects.get(path).await.unwrap().unwrap_or_default()
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        self.center.kubelets.objects.list(path).await.unwrap()
    }

    async fn merge(&self, path: &str, patch: &Value) {
        self.center.kubelets.objects.merge(path, patch).await.unwrap().unwrap();
    }

    /// Names of the nodes where pods with this label run, Ready.
    async fn nodes_of(&self, selector: &str) -> Vec<String> {
        let pods = self.list(&format!("/api/v1/pods?labelSelector={selector}")).await;
        let mut nodes: Vec<String> = pods
            .iter()
            .filter(|pod| is_ready(pod))
            .map(|pod| text(&pod["spec"]["nodeName"]).to_owned())
            .collect();
        nodes.sort();
        nodes
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        for _ in 0..2000 {
            if holds(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!(
            "never: {what}; pods: {:#?}",
            self.list("/api/v1/pods")
                .await
                .iter()
                .map(|pod| (name(pod).to_owned(), pod["status"]["message"].clone()))
                .collect::<Vec<_>>()
        );
    }

    async fn join_request(&self, ip: &str) -> JoinRequest {
        let certificate = self.center.config.root_cert.iter().flatten().next().unwrap().clone();
        let node_name = format!("cn-hangzhou.{ip}");
        let node = NodeRequest {
            name: node_name.clone(),
            provider_id: "cn-hangzhou.i-1".into(),
            labels: vec![("alibabacloud.com/external".into(), "true".into())],
            taints: vec![("workload".into(), "ack".into(), "NoSchedule".into())],
            ip: ip.into(),
            kubelet_version: String::new(),
        };
        JoinRequest {
            token: "dcjoin.0123456789abcdef".into(),
            ca_hashes: vec![join::public_key_hash(&certificate).unwrap()],
            skip_ca_verification: false,
            node_name,
            node,
        }
    }

    async fn calico_is_rolled_out(&self) {
        self.until("calico is rolled out", async |world| {
            super::is_rolled_out(&world.get(CALICO).await)
        })
        .await;
    }

    async fn fence(&self) {
        self.merge(CALICO, &serde_json::from_str(FENCE).unwrap()).await;
    }
}

const CALICO: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node";
const TERWAY: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/terway-eniip";

fn job(values: &[(&str, &str)]) -> AddonJob {
    let values: BTreeMap<String, String> =
        values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    AddonJob {
        cluster_id: "c1".into(),
        name: "terway-eniip".into(),
        version: "v1.8.2".into(),
        values,
    }
}

const FULL: &[(&str, &str)] = &[
    ("ClusterID", "c1"),
    ("ServiceCIDR", "172.16.0.0/16"),
    ("SecurityGroupId", "sg-1"),
    ("PodVswitchId", "{\"cn-hangzhou-h\":[\"vsw-pods\"]}"),
];

async fn give_key(world: &World, secret: &str) {
    let data = json!({"access-key-id": "LTAI1", "access-key-secret": secret});
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alibaba-addon-secret"}, "stringData": data});
    world
        .center
        .kubelets
        .objects
        .create(&path("v1", "kube-system", "secrets"), &object)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_guide_s_data_center_stands_with_calico_on_every_node() {
    let world = world(|_| {}).await;
    assert_eq!(
        world.nodes_of("k8s-app%3Dcalico-node").await,
        ["dc-master-1", "dc-worker-1", "dc-worker-2"]
    );
    assert!(world.list("/api/v1/nodes").await.iter().all(is_ready));
    let pool = world.get("/apis/crd.projectcalico.org/v1/ippools/default-ipv4-ippool").await;
    assert_eq!(
        (text(&pool["spec"]["ipipMode"]), text(&pool["spec"]["cidr"])),
        ("Never", "10.100.0.0/16")
    );
    let agent =
        world.get("/apis/apps/v1/namespaces/kube-system/deployments/ack-cluster-agent").await;
    assert_eq!(agent["spec"]["template"]["spec"]["containers"][0]["env"][2]["value"], "true");
    assert_eq!(world.center.read_script_path().await.as_deref(), Some(""));
    assert_eq!(world.center.ledger().await.unwrap(), world.center.ledger().await.unwrap());
}

#[tokio::test]
async fn a_fenced_cluster_gets_a_cloud_node_with_terway_alone() {
    let world = world(|_| {}).await;
    let before = world.center.ledger().await.unwrap();
    world.fence().await;
    world.center.install_addon(&job(FULL)).await.unwrap();
    world
        .until("terway is observed", async |world| {
            world.get(TERWAY).await["status"]["observedGeneration"] == 1
        })
        .await;
    assert_eq!(world.get(TERWAY).await["status"]["desiredNumberScheduled"], 0);
    give_key(&world, "right").await;
    world.center.join(&world.join_request("10.10.24.7").await).await.unwrap();
    assert_eq!(world.center.node_ready("i-none").await, None);
    world
        .until("the node is Ready", async |world| {
            world.center.node_ready("i-1").await == Some(true)
        })
        .await;
    assert_eq!(world.nodes_of("app%3Dterway-eniip").await, ["cn-hangzhou.10.10.24.7"]);
    assert_eq!(*world.cloud.attached.lock().unwrap(), ["cn-hangzhou.i-1 LTAI1 vsw-pods"]);
    let node = world.get("/api/v1/nodes/cn-hangzhou.10.10.24.7").await;
    assert_eq!(
        node["spec"]["taints"],
        json!([{"key": "workload", "value": "ack", "effect": "NoSchedule"}])
    );
    world.calico_is_rolled_out().await;
    assert_eq!(world.nodes_of("k8s-app%3Dcalico-node").await.len(), 3);

    world.center.drain("i-1").await.unwrap();
    world.center.terminate("i-1").await;
    world
        .until("the node is lost", async |world| {
            world.center.node_ready("i-1").await == Some(false)
        })
        .await;
    world
        .center
        .kubelets
        .objects
        .delete("/api/v1/nodes/cn-hangzhou.10.10.24.7", None)
        .await
        .unwrap();
    world.center.uninstall_addon(&job(FULL)).await.unwrap();
    world
        .center
        .kubelets
        .objects
        .delete("/api/v1/namespaces/kube-system/secrets/alibaba-addon-secret", None)
        .await
        .unwrap();
    world.merge(CALICO, &json!({"spec": {"template": {"spec": {"affinity": null}}}})).await;
    world
        .until("what is left of the node goes", async |world| {
            world.list("/api/v1/pods").await.len() == 6
                && super::is_rolled_out(&world.get(CALICO).await)
        })
        .await;
    let after = world.center.ledger().await.unwrap();
    let differing: Vec<&String> = before
        .as_object()
        .unwrap()
        .iter()
        .filter(|(kind, all)| after[kind.as_str()] != **all)
        .map(|(kind, _)| kind)
        .collect();
    assert!(
        differing.iter().all(|kind| kind.ends_with("projectcalico.org")
            || kind.starts_with("customresourcedefinitions")),
        "{differing:?}"
    );
}

#[tokio::test]
async fn without_the_fence_calico_comes_to_the_cloud_node_too() {
    let world = world(|_| {}).await;
    world.center.join(&world.join_request("10.10.24.8").await).await.unwrap();
    world
        .until("calico runs there", async |world| {
            world
                .nodes_of("k8s-app%3Dcalico-node")
                .await
                .contains(&"cn-hangzhou.10.10.24.8".to_owned())
        })
        .await;
}

#[tokio::test]
async fn the_installation_costs_calico_its_fields_until_they_are_written_again() {
    let world = world(|_| {}).await;
    world.center.install_addon(&job(&[])).await.unwrap();
    let pool = "/apis/crd.projectcalico.org/v1/ippools/default-ipv4-ippool";
    assert!(world.get(pool).await.get("spec").is_none());
    let crd =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ippools.crd.projectcalico.org";
    world.merge(crd, &json!({"spec": super::seeding::calico_crd(2, false)["spec"]})).await;
    assert!(
        world.get(pool).await.get("spec").is_none(),
        "restoring the CRD does not bring back what was lost"
    );
    let peers = "/apis/crd.projectcalico.org/v1/bgppeers/peer-with-route-reflectors";
    assert!(
        world.get(peers).await["spec"]["peerSelector"].is_string(),
        "a kind that Terway does not bring is untouched"
    );
    world.center.uninstall_addon(&job(&[])).await.unwrap();
    assert!(!world.get(crd).await.is_null());
    assert!(world.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podenis.network.alibabacloud.com").await.is_null());
    let map = world.get("/api/v1/namespaces/kube-system/configmaps/eni-config").await;
    assert!(map.is_null());
}

#[tokio::test]
async fn without_calico_the_installation_makes_its_crds_and_takes_them_away() {
    let world = world(|center| center.calico = Calico::Missing).await;
    let before = world.center.ledger().await.unwrap();
    world.center.install_addon(&job(&[])).await.unwrap();
    assert_ne!(before, world.center.ledger().await.unwrap());
    world.center.uninstall_addon(&job(&[])).await.unwrap();
    assert_eq!(before, world.center.ledger().await.unwrap());
}

#[tokio::test]
async fn a_restricted_agent_can_t_install_and_leaves_nothing() {
    let world = world(|center| center.admin_agent = false).await;
    let before = world.center.ledger().await.unwrap();
    let review = json!({"spec": {"user": "system:serviceaccount:kube-system:ack",
        "resourceAttributes": {"verb": "create", "group": "apps", "resource": "daemonsets", "namespace": "kube-system"}}});
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = world.center.kubelets.objects.create(reviews, &review).await.unwrap();
    assert_eq!(answer["status"]["allowed"], false);
    let error = world.center.install_addon(&job(FULL)).await.unwrap_err();
    assert!(error.contains("system:serviceaccount:kube-system:ack"), "{error}");
    assert_eq!(before, world.center.ledger().await.unwrap());
}

#[tokio::test]
async fn terway_starts_only_with_a_working_key_and_a_rendered_configuration() {
    let world = world(|_| {}).await;
    world.fence().await;
    world.center.install_addon(&job(&[])).await.unwrap();
    world.center.join(&world.join_request("10.10.24.9").await).await.unwrap();
    let complaint = async |world: &World, part: &str| {
        let part = part.to_owned();
        world
            .until(&part, async |world| {
                let pods = world.list("/api/v1/pods?labelSelector=app%3Dterway-eniip").await;
                pods.iter().any(|pod| {
                    text(
                        &items(&pod["status"]["containerStatuses"]).first().unwrap_or(&Value::Null)
                            ["state"]["waiting"]["message"],
                    )
                    .contains(&part)
                })
            })
            .await;
    };
    complaint(&world, "invalid service_cidr").await;
    let conf = |vswitches: &str, key: &str| json!({"data": {"eni_conf": format!("{{\"service_cidr\": \"172.16.0.0/16\", \"vswitches\": {vswitches}, \"access_key\": \"k\", \"access_secret\": \"{key}\"}}")}});
    let map = "/api/v1/namespaces/kube-system/configmaps/eni-config";
    world.merge(map, &conf("{\"AZoneID\": [\"VswitchId\"]}", "right")).await;
    complaint(&world, "no pod vSwitch for zone cn-hangzhou-h").await;
    world.merge(map, &conf("{\"cn-hangzhou-h\": [\"vsw-pods\"]}", "wrong")).await;
    complaint(&world, "InvalidAccessKeyId.NotFound").await;
    assert_eq!(world.center.node_ready("i-1").await, Some(false));
    give_key(&world, "right").await;
    world
        .until("the node is Ready", async |world| {
            world.center.node_ready("i-1").await == Some(true)
        })
        .await;
}

#[tokio::test]
async fn a_join_that_kubeadm_or_kubelet_would_refuse_is_refused_with_their_words() {
    let world = world(|_| {}).await;
    let good = world.join_request("10.10.24.10").await;
    let with = |change: &dyn Fn(&mut JoinRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        (with(&|request| request.token = "abcdef.0123456789abcdef".into()), "JWS signature"),
        (with(&|request| request.token = "dcjoin.wrong".into()), "invalid"),
        (
            with(&|request| request.ca_hashes = vec![format!("sha256:{}", "0".repeat(64))]),
            "none of the public keys",
        ),
        (with(&|request| request.ca_hashes.clear()), "caCertHashes"),
        (with(&|request| request.node_name = "localhost".into()), "not allowed to modify node"),
        (with(&|request| request.node.provider_id = String::new()), "provider ID"),
        (with(&|request| request.node.provider_id = "i-1".into()), "provider ID"),
        (
            with(&|request| {
                request.node.labels.push(("node-role.kubernetes.io/worker".into(), String::new()))
            }),
            "unknown 'kubernetes.io'",
        ),
    ];
    for (request, words) in cases {
        let error = world.center.join(&request).await.unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
    let token = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-dcjoin";
    world.merge(token, &json!({"stringData": {"expiration": "2020-01-01T00:00:00Z"}})).await;
    assert!(world.center.join(&good).await.unwrap_err().contains("JWS signature"));
    world.center.terminate("i-9").await;
    let mut late = good.node.clone();
    late.provider_id = "cn-hangzhou.i-9".into();
    let error = world.center.register(&late.name, &late).await.unwrap_err();
    assert!(error.contains("terminated"), "{error}");
    assert_eq!(world.list("/api/v1/nodes").await.len(), 3);
}

#[tokio::test]
async fn the_operator_puts_its_daemonset_back_and_takes_the_installation_s_affinity() {
    let world = world(|center| center.calico = Calico::Operator).await;
    let set = "/apis/apps/v1/namespaces/calico-system/daemonsets/calico-node";
    let patch: Value = serde_json::from_str(FENCE).unwrap();
    world.merge(set, &patch).await;
    world
        .until("the patch is reverted", async |world| {
            world.get(set).await["spec"]["template"]["spec"].get("affinity").is_none()
        })
        .await;
    world
        .merge(
            "/apis/operator.tigera.io/v1/installations/default",
            &json!({"spec": {"calicoNodeDaemonSet": patch}}),
        )
        .await;
    world
        .until("the affinity is taken", async |world| {
            world.get(set).await["spec"]["template"]["spec"]["affinity"]
                == patch["spec"]["template"]["spec"]["affinity"]
        })
        .await;
}

#[tokio::test]
async fn a_rollout_that_a_fault_stalls_does_not_end_until_the_next_write() {
    let world = world(|_| {}).await;
    world.faults.add("k8s:patch-daemonsets@kube-system/calico-node:never-ready").unwrap();
    let kubeconfig =
        kube::config::Kubeconfig::from_yaml(&world.server.kubeconfig(Who::Daemon)).unwrap();
    let config = kube::Config::from_custom_kubeconfig(
        kubeconfig,
        &kube::config::KubeConfigOptions::default(),
    )
    .await
    .unwrap();
    let daemon = super::Objects::new(kube::Client::try_from(config).unwrap());
    daemon.merge(CALICO, &serde_json::from_str(FENCE).unwrap()).await.unwrap();
    world
        .until("a pod is down", async |world| {
            world.get(CALICO).await["status"]["numberUnavailable"] == 1
        })
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.get(CALICO).await["status"]["numberUnavailable"], 1);
    daemon
        .merge(CALICO, &json!({"spec": {"template": {"spec": {"affinity": null}}}}))
        .await
        .unwrap();
    world
        .until("it is whole again", async |world| super::is_rolled_out(&world.get(CALICO).await))
        .await;
}

#[tokio::test]
async fn an_invalid_script_path_hides_what_the_agent_reports() {
    let world = world(|_| {}).await;
    let map = "/api/v1/namespaces/kube-system/configmaps/ack-agent-config";
    for (value, seen) in [("https://b.oss/x.sh", Some("https://b.oss/x.sh")), ("ftp://x", None)] {
        world.merge(map, &json!({"data": {"addNodeScriptPath": value}})).await;
        assert_eq!(world.center.read_script_path().await.as_deref(), seen);
    }
}

#[tokio::test]
async fn one_foreign_field_in_an_object_of_each_kind_shows_in_the_ledger() {
    let world = world(|center| center.calico = Calico::Operator).await;
    world.center.install_addon(&job(FULL)).await.unwrap();
    let before = world.center.ledger().await.unwrap();
    for (path, _) in crate::kube::ledger::listed_resources(&world.center.client()).await.unwrap() {
        let Some(object) = world.list(&path).await.into_iter().next() else { continue };
        let at = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => {
                let (root, plural) = path.rsplit_once('/').unwrap();
                format!("{root}/namespaces/{namespace}/{plural}/{}", name(&object))
            }
            None => format!("{path}/{}", name(&object)),
        };
        world.merge(&at, &json!({"metadata": {"annotations": {"foreign": "x"}}})).await;
        assert_ne!(before, world.center.ledger().await.unwrap(), "{at}");
        world.merge(&at, &json!({"metadata": {"annotations": {"foreign": null}}})).await;
    }
    assert_eq!(before, world.center.ledger().await.unwrap());
}
