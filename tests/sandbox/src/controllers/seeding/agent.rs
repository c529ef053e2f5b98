//! What the registered cluster's import leaves: the agent, its permissions, its ConfigMaps, and the add-ons' Secret
//! where some add-on was set up before. Facts: reference, sections 3.4 and 6.1.

use serde_json::{Value, json};

use super::{object, with, workload};
use crate::seed;

const SYSTEM: &str = "kube-system";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn objects(cluster: &seed::Cluster, addon_key: Option<(String, String)>) -> Vec<Value> {
    let data_center = &cluster.data_center;
    let mut all = vec![
        object("v1", "ServiceAccount", SYSTEM, "ack"),
        with(
            object("v1", "ConfigMap", SYSTEM, "ack-agent-config"),
            json!({"data": {"addNodeScriptPath": ""}}),
        ),
        with(
            object("v1", "ConfigMap", SYSTEM, "provider"),
            json!({"data": {"provider": "", "auto": "true"}}),
        ),
        deployment(cluster),
    ];
    let role = if data_center.admin_agent { "cluster-admin" } else { "ack-agent-restricted" };
    if !data_center.admin_agent {
        let rules = json!([
            {"apiGroups": [""], "resources": ["nodes", "pods", "namespaces", "configmaps"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"], "verbs": ["get", "list", "watch"]},
        ]);
        let mut restricted = with(object(RBAC, "ClusterRole", "", role), json!({ "rules": rules }));
        restricted["metadata"]["labels"] = json!({"ack/creator": "ack"});
        all.push(restricted);
    }
    let mut binding = with(
        object(
            RBAC,
            "ClusterRoleBinding",
            "",
            if data_center.admin_agent { "ack-admin-binding" } else { "ack-restricted-binding" },
        ),
        json!({"roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role}, "subjects": [{"kind": "ServiceAccount", "name": "ack", "namespace": SYSTEM}]}),
    );
    binding["metadata"]["labels"] = json!({"ack/creator": "ack"});
    all.push(binding);
    if let Some((id, secret)) = addon_key {
        all.push(with(
            object("v1", "Secret", SYSTEM, "alibaba-addon-secret"),
            json!({"type": "Opaque", "stringData": {"access-key-id": id, "access-key-secret": secret}}),
        ));
    }
    all
}

fn deployment(cluster: &seed::Cluster) -> Value {
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let internal = if cluster.data_center.private_agent { "true" } else { "false" };
    let env = json!([
        variable("ALI_STUB_REGISTER_ADDR", "10.10.24.250:5533"),
        variable("KUBERNETES_CLUSTER_ID", &cluster.id),
        variable("INTERNAL_ENDPOINT", internal),
        variable("REGION", "cn-hangzhou"),
        variable("ACK_CLUSTER", "false"),
        variable("ACK_K8S_MANAGED", "false"),
        variable("TUNNELS_PER_AGENT", "1"),
    ]);
    let spec = json!({
        "serviceAccountName": "ack", "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
        "containers": [{"name": "agent", "image": "registry-cn-hangzhou-vpc.ack.aliyuncs.com/acs/ack-cluster-agent:v1.13.1.116", "env": env,
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 10254}}}],
    });
    workload(
        "Deployment",
        SYSTEM,
        "ack-cluster-agent",
        "ack-cluster-agent",
        spec,
        json!({"replicas": 2}),
    )
}
