//! Calico as the data center has it: route reflectors over BGP, or an overlay; from the manifest or by the operator.

use serde_json::{Value, json};

use super::{super::operator, Objects, object, with, workload};
use crate::seed::{Calico, DataCenter};

const SYSTEM: &str = "kube-system";
const GROUP: &str = "crd.projectcalico.org";

/// (kind, plural, namespaced, fields of the spec by type).
type Definition = (&'static str, &'static str, bool, &'static [(&'static str, &'static str)]);

/// Calico's kinds. The first eight are those that Terway's chart brings too.
pub(super) const KINDS: &[Definition] = &[
    (
        "FelixConfiguration",
        "felixconfigurations",
        false,
        &[
            ("bpfLogLevel", "string"),
            ("logSeverityScreen", "string"),
            ("reportingInterval", "string"),
            ("floatingIPs", "string"),
            ("ipv6Support", "boolean"),
        ],
    ),
    (
        "BGPConfiguration",
        "bgpconfigurations",
        false,
        &[
            ("asNumber", "integer"),
            ("logSeverityScreen", "string"),
            ("nodeToNodeMeshEnabled", "boolean"),
            ("serviceClusterIPs", "objects"),
        ],
    ),
    (
        "IPPool",
        "ippools",
        false,
        &[
            ("cidr", "string"),
            ("blockSize", "integer"),
            ("ipipMode", "string"),
            ("vxlanMode", "string"),
            ("natOutgoing", "boolean"),
            ("nodeSelector", "string"),
            ("allowedUses", "strings"),
            ("disabled", "boolean"),
        ],
    ),
    (
        "HostEndpoint",
        "hostendpoints",
        false,
        &[("node", "string"), ("interfaceName", "string"), ("expectedIPs", "strings")],
    ),
    (
        "ClusterInformation",
        "clusterinformations",
        false,
        &[
            ("calicoVersion", "string"),
            ("clusterGUID", "string"),
            ("clusterType", "string"),
            ("datastoreReady", "boolean"),
            ("variant", "string"),
        ],
    ),
    (
        "GlobalNetworkPolicy",
        "globalnetworkpolicies",
        false,
        &[
            ("order", "number"),
            ("selector", "string"),
            ("types", "strings"),
            ("ingress", "objects"),
            ("egress", "objects"),
        ],
    ),
    ("GlobalNetworkSet", "globalnetworksets", false, &[("nets", "strings")]),
    (
        "NetworkPolicy",
        "networkpolicies",
        true,
        &[
            ("order", "number"),
            ("selector", "string"),
            ("types", "strings"),
            ("ingress", "objects"),
            ("egress", "objects"),
        ],
    ),
    (
        "BGPPeer",
        "bgppeers",
        false,
        &[
            ("nodeSelector", "string"),
            ("peerSelector", "string"),
            ("peerIP", "string"),
            ("asNumber", "integer"),
        ],
    ),
    ("NetworkSet", "networksets", true, &[("nets", "strings")]),
    (
        "KubeControllersConfiguration",
        "kubecontrollersconfigurations",
        false,
        &[
            ("controllers", "object"),
            ("etcdV3CompactionPeriod", "string"),
            ("healthChecks", "string"),
            ("logSeverityScreen", "string"),
        ],
    ),
    (
        "IPAMConfig",
        "ipamconfigs",
        false,
        &[
            ("autoAllocateBlocks", "boolean"),
            ("strictAffinity", "boolean"),
            ("maxBlocksPerHost", "integer"),
        ],
    ),
    (
        "BlockAffinity",
        "blockaffinities",
        false,
        &[("cidr", "string"), ("node", "string"), ("state", "string"), ("deleted", "string")],
    ),
    (
        "IPAMBlock",
        "ipamblocks",
        false,
        &[
            ("cidr", "string"),
            ("affinity", "string"),
            ("allocations", "objects"),
            ("unallocated", "objects"),
            ("attributes", "objects"),
            ("deleted", "boolean"),
            ("strictAffinity", "boolean"),
        ],
    ),
];

/// How many of [`KINDS`] Terway's chart overwrites.
pub(crate) const STUBBED: usize = 8;

/// The CRD of the index-th kind: with Calico's schema, or as the stub that knows `apiVersion` only.
pub(crate) fn crd(index: usize, stub: bool) -> Value {
    let (kind, plural, namespaced, fields) = KINDS[index];
    let spec: serde_json::Map<String, Value> =
        fields.iter().map(|(name, kind)| ((*name).to_owned(), field(kind))).collect();
    let schema = if stub {
        json!({"type": "object", "properties": {"apiVersion": {"type": "string"}}})
    } else {
        json!({"type": "object", "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": {"type": "object", "properties": spec}}})
    };
    with(
        object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "",
            &format!("{plural}.{GROUP}"),
        ),
        json!({"spec": {"group": GROUP, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}}),
    )
}

fn field(kind: &str) -> Value {
    match kind {
        "strings" => json!({"type": "array", "items": {"type": "string"}}),
        "objects" => {
            json!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}})
        }
        "object" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        plain => json!({ "type": plain }),
    }
}

pub(super) fn objects(data_center: &DataCenter) -> Vec<Value> {
    let style = data_center.calico;
    if style == Calico::Missing {
        return Vec::new();
    }
    let mut all: Vec<Value> = (0..KINDS.len()).map(|index| crd(index, false)).collect();
    all.extend(custom_objects(data_center));
    let namespace = if style == Calico::Operator { operator::NAMESPACE } else { SYSTEM };
    if style == Calico::Operator {
        let (crd, installation) = operator::objects(&data_center.pod_cidr);
        all.extend([
            object("v1", "Namespace", "", operator::NAMESPACE),
            object("v1", "Namespace", "", "tigera-operator"),
            crd,
            installation,
        ]);
        let spec = json!({"serviceAccountName": "tigera-operator", "hostNetwork": true, "containers": [{"name": "tigera-operator", "image": "quay.io/tigera/operator:v1.34.0"}]});
        all.push(workload(
            "Deployment",
            "tigera-operator",
            "tigera-operator",
            "tigera-operator",
            spec,
            json!({}),
        ));
        all.push(daemonset(
            namespace,
            "csi-node-driver",
            "csi-node-driver",
            "docker.io/calico/csi:v3.28.0",
            style,
        ));
    } else {
        all.push(with(
            object("v1", "ConfigMap", SYSTEM, "calico-config"),
            json!({"data": {"calico_backend": "bird", "typha_service_name": "none", "veth_mtu": "0", "cni_network_config": "{\"name\": \"k8s-pod-network\", \"cniVersion\": \"0.3.1\", \"plugins\": [{\"type\": \"calico\"}]}"}}),
        ));
    }
    all.extend(
        ["calico-node", "calico-kube-controllers"]
            .iter()
            .map(|name| object("v1", "ServiceAccount", namespace, name)),
    );
    all.push(daemonset(
        namespace,
        "calico-node",
        "calico-node",
        "docker.io/calico/node:v3.28.0",
        style,
    ));
    let spec = json!({
        "serviceAccountName": "calico-kube-controllers", "priorityClassName": "system-cluster-critical", "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}, {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
        "containers": [{"name": "calico-kube-controllers", "image": "docker.io/calico/kube-controllers:v3.28.0", "env": [{"name": "ENABLED_CONTROLLERS", "value": "node"}, {"name": "DATASTORE_TYPE", "value": "kubernetes"}]}],
    });
    all.push(workload(
        "Deployment",
        namespace,
        "calico-kube-controllers",
        "calico-kube-controllers",
        spec,
        json!({"replicas": 1, "strategy": {"type": "Recreate"}}),
    ));
    all
}

fn daemonset(namespace: &str, name: &str, app: &str, image: &str, style: Calico) -> Value {
    let ipip = if style == Calico::Overlay { "Always" } else { "Never" };
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let spec = json!({
        "hostNetwork": true, "serviceAccountName": "calico-node", "priorityClassName": "system-node-critical", "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"effect": "NoSchedule", "operator": "Exists"}, {"key": "CriticalAddonsOnly", "operator": "Exists"}, {"effect": "NoExecute", "operator": "Exists"}],
        "containers": [{"name": name, "image": image, "env": [
            variable("DATASTORE_TYPE", "kubernetes"), variable("CLUSTER_TYPE", "k8s,bgp"), variable("CALICO_IPV4POOL_IPIP", ipip), variable("CALICO_IPV4POOL_VXLAN", "Never"),
            variable("CALICO_NETWORKING_BACKEND", "bird")]}],
    });
    workload(
        "DaemonSet",
        namespace,
        name,
        app,
        spec,
        json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}),
    )
}

fn custom_objects(data_center: &DataCenter) -> Vec<Value> {
    let ipip = if data_center.calico == Calico::Overlay { "Always" } else { "Never" };
    let custom = |kind: &str, namespace: &str, name: &str, spec: Value| {
        with(object(&format!("{GROUP}/v1"), kind, namespace, name), json!({ "spec": spec }))
    };
    let mut all = vec![
        custom(
            "IPPool",
            "",
            "default-ipv4-ippool",
            json!({"cidr": data_center.pod_cidr, "blockSize": 26, "ipipMode": ipip, "vxlanMode": "Never", "natOutgoing": true, "nodeSelector": "all()", "allowedUses": ["Workload", "Tunnel"]}),
        ),
        custom(
            "BGPConfiguration",
            "",
            "default",
            json!({"asNumber": 64512, "logSeverityScreen": "Info", "nodeToNodeMeshEnabled": false}),
        ),
        custom(
            "BGPPeer",
            "",
            "peer-with-route-reflectors",
            json!({"nodeSelector": "all()", "peerSelector": "route-reflector == 'true'"}),
        ),
        custom(
            "FelixConfiguration",
            "",
            "default",
            json!({"bpfLogLevel": "", "floatingIPs": "Disabled", "logSeverityScreen": "Info", "reportingInterval": "0s"}),
        ),
        custom(
            "ClusterInformation",
            "",
            "default",
            json!({"calicoVersion": "v3.28.0", "clusterGUID": "3f6f2c1a9f1d4f0c9d9f0b3c2d1e0f9a", "clusterType": "k8s,bgp,kubeadm,kdd", "datastoreReady": true}),
        ),
        custom(
            "GlobalNetworkPolicy",
            "",
            "allow-dns",
            json!({"order": 100, "selector": "all()", "types": ["Egress"], "egress": [{"action": "Allow", "protocol": "UDP", "destination": {"ports": [53]}}]}),
        ),
        custom(
            "KubeControllersConfiguration",
            "",
            "default",
            json!({"controllers": {"node": {"syncLabels": "Enabled"}}, "etcdV3CompactionPeriod": "10m0s", "healthChecks": "Enabled", "logSeverityScreen": "Info"}),
        ),
        custom(
            "IPAMConfig",
            "",
            "default",
            json!({"autoAllocateBlocks": true, "strictAffinity": false}),
        ),
    ];
    for (index, (node, _)) in data_center.nodes.iter().enumerate() {
        let block = super::pod_block(&data_center.pod_cidr, index).replace("/24", "/26");
        let suffix = block.replace(['.', '/'], "-");
        all.push(custom(
            "BlockAffinity",
            "",
            &format!("{node}-{suffix}"),
            json!({"cidr": block, "node": node, "state": "confirmed", "deleted": "false"}),
        ));
        all.push(custom("IPAMBlock", "", &suffix, json!({"cidr": block, "affinity": format!("host:{node}"), "allocations": [null], "unallocated": [0], "attributes": [], "deleted": false, "strictAffinity": false})));
    }
    all
}

/// The operator's DaemonSets belong to its Installation, whose uid the API server has given by now.
pub(super) async fn adopt_by_operator(objects: &Objects) -> anyhow::Result<()> {
    let Some(installation) = objects.get(&format!("{}/default", operator::INSTALLATIONS)).await?
    else {
        return Ok(());
    };
    let owner = json!({"apiVersion": "operator.tigera.io/v1", "kind": "Installation", "name": "default", "uid": installation["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true});
    for name in ["calico-node", "csi-node-driver"] {
        let at = format!("/apis/apps/v1/namespaces/{}/daemonsets/{name}", operator::NAMESPACE);
        objects.merge(&at, &json!({"metadata": {"ownerReferences": [owner]}})).await?;
    }
    Ok(())
}
