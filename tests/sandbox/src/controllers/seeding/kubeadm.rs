//! What kubeadm leaves in a cluster: cluster-info, its configuration, kube-proxy, CoreDNS, a join token.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use super::{object, with, workload};
use crate::seed;

/// The data center's own long-living join token.
const TOKEN: (&str, &str) = ("dcjoin", "0123456789abcdef");
const SYSTEM: &str = "kube-system";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

pub(super) fn objects(cluster: &seed::Cluster, authority: &[u8]) -> Vec<Value> {
    let data_center = &cluster.data_center;
    let mut all: Vec<Value> = ["kube-proxy", "coredns"]
        .iter()
        .map(|name| object("v1", "ServiceAccount", SYSTEM, name))
        .collect();
    all.extend(discovery(data_center, authority));
    all.push(configuration(data_center));
    all.push(with(
        object("v1", "ConfigMap", SYSTEM, "kubelet-config"),
        json!({"data": {"kubelet": format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: systemd\nclusterDNS:\n- {}\nclusterDomain: cluster.local\n", dns_address(data_center))}}),
    ));
    all.push(join_token());
    all.extend(kube_proxy(data_center));
    all.extend(core_dns(data_center));
    all
}

/// kubeadm gives CoreDNS the tenth address.
fn dns_address(data_center: &seed::DataCenter) -> String {
    crate::kube::nth_address(&data_center.service_cidr, 10)
}

fn discovery(data_center: &seed::DataCenter, authority: &[u8]) -> [Value; 3] {
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        wrapped(&BASE64.encode(authority))
    );
    let kubeconfig = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://{}\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers: null\n",
        BASE64.encode(pem),
        data_center.api_server
    );
    let name = "kubeadm:bootstrap-signer-clusterinfo";
    [
        with(
            object("v1", "ConfigMap", "kube-public", "cluster-info"),
            json!({"data": {"kubeconfig": kubeconfig}}),
        ),
        with(
            object(RBAC, "Role", "kube-public", name),
            json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}]}),
        ),
        with(
            object(RBAC, "RoleBinding", "kube-public", name),
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous"}]}),
        ),
    ]
}

fn wrapped(text: &str) -> String {
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.join("\n")
}

fn configuration(data_center: &seed::DataCenter) -> Value {
    let text = format!(
        "apiServer: {{}}\napiVersion: kubeadm.k8s.io/v1beta3\ncertificatesDir: /etc/kubernetes/pki\nclusterName: kubernetes\ncontrolPlaneEndpoint: {}\ncontrollerManager: {{}}\ndns: {{}}\nimageRepository: registry.k8s.io\nkind: ClusterConfiguration\nkubernetesVersion: v{}\nnetworking:\n  dnsDomain: cluster.local\n  podSubnet: {}\n  serviceSubnet: {}\nscheduler: {{}}\n",
        data_center.api_server,
        data_center.kubernetes_version,
        data_center.pod_cidr,
        data_center.service_cidr
    );
    with(
        object("v1", "ConfigMap", SYSTEM, "kubeadm-config"),
        json!({"data": {"ClusterConfiguration": text}}),
    )
}

fn join_token() -> Value {
    let (id, secret) = TOKEN;
    with(
        object("v1", "Secret", SYSTEM, &format!("bootstrap-token-{id}")),
        json!({"type": "bootstrap.kubernetes.io/token", "stringData": {
            "token-id": id, "token-secret": secret, "description": "nodes of the data center",
            "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"}}),
    )
}

fn kube_proxy(data_center: &seed::DataCenter) -> [Value; 2] {
    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: {}\nmode: ipvs\n",
        data_center.pod_cidr
    );
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://{}\n  name: default\n",
        data_center.api_server
    );
    let spec = json!({
        "hostNetwork": true, "serviceAccountName": "kube-proxy", "priorityClassName": "system-node-critical", "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "kube-proxy", "image": format!("registry.k8s.io/kube-proxy:v{}", data_center.kubernetes_version), "command": ["/usr/local/bin/kube-proxy"]}],
    });
    [
        with(
            object("v1", "ConfigMap", SYSTEM, "kube-proxy"),
            json!({"data": {"config.conf": config, "kubeconfig.conf": kubeconfig}}),
        ),
        workload("DaemonSet", SYSTEM, "kube-proxy", "kube-proxy", spec, json!({})),
    ]
}

fn core_dns(data_center: &seed::DataCenter) -> [Value; 3] {
    let spec = json!({
        "serviceAccountName": "coredns", "priorityClassName": "system-cluster-critical", "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
        "containers": [{"name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.11.1", "args": ["-conf", "/etc/coredns/Corefile"]}],
    });
    let mut service = with(
        object("v1", "Service", SYSTEM, "kube-dns"),
        json!({"spec": {"type": "ClusterIP", "clusterIP": dns_address(data_center), "selector": {"k8s-app": "kube-dns"},
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}, {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153}]}}),
    );
    service["metadata"]["labels"] = json!({"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"});
    [
        with(
            object("v1", "ConfigMap", SYSTEM, "coredns"),
            json!({"data": {"Corefile": ".:53 {\n    errors\n    health\n    kubernetes cluster.local in-addr.arpa ip6.arpa\n    forward . /etc/resolv.conf\n    cache 30\n}\n"}}),
        ),
        workload("Deployment", SYSTEM, "coredns", "kube-dns", spec, json!({"replicas": 2})),
        service,
    ]
}
