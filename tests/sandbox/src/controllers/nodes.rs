//! The node lifecycle: Ready once a network plugin runs, lost when the kubelet falls silent, and what is left of a
//! Node that is gone: its pods and its lease.

use serde_json::{Value, json};

use super::{
    daemonset::is_owned_by,
    kubelet::Kubelets,
    objects::{Refused, is_ready, items, name, namespace, path, text},
    terway,
};
use crate::kube::stamp;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Brings every Node's Ready and taints in line with its kubelet and its network plugin.
pub(super) async fn reconcile(
    kubelets: &Kubelets,
    nodes: &[Value],
    pods: &[Value],
) -> Result<(), Refused> {
    for node in nodes {
        let live = kubelets.is_live(name(node));
        let stalled = kubelets.stalls.contains("nodes", name(node));
        let lost = condition(node) == "Unknown";
        if !live && !lost {
            lose(kubelets, node, pods).await?;
        } else if live && !is_ready(node) && !stalled && has_network(node, pods) {
            write(kubelets, node, "True", "KubeletReady", "kubelet is posting ready status", &[])
                .await?;
        }
    }
    Ok(())
}

/// Pods of Nodes or DaemonSets that are gone, and leases of Nodes that are gone, go too.
pub(super) async fn collect_garbage(
    kubelets: &Kubelets,
    nodes: &[Value],
    pods: &[Value],
    daemonsets: &[Value],
) -> Result<(), Refused> {
    for pod in pods {
        let node = text(&pod["spec"]["nodeName"]);
        let homeless = !node.is_empty() && !nodes.iter().any(|one| name(one) == node);
        let daemon = items(&pod["metadata"]["ownerReferences"])
            .iter()
            .any(|owner| owner["kind"] == "DaemonSet");
        let orphan = daemon && !daemonsets.iter().any(|one| is_owned_by(pod, one));
        let ending = pod["metadata"]["deletionTimestamp"].is_string();
        if homeless || (orphan && !ending) {
            let grace = homeless.then_some(0);
            kubelets
                .objects
                .delete(&format!("{}/{}", path("v1", namespace(pod), "pods"), name(pod)), grace)
                .await?;
        }
    }
    let leases = path("coordination.k8s.io/v1", "kube-node-lease", "leases");
    for lease in kubelets.objects.list(&leases).await? {
        let known = nodes.iter().any(|node| name(node) == name(&lease));
        // The Node may have come after `nodes` was read, and its lease with it.
        let node = format!("/api/v1/nodes/{}", name(&lease));
        if !known && kubelets.objects.get(&node).await?.is_none() {
            kubelets.objects.delete(&format!("{leases}/{}", name(&lease)), None).await?;
        }
    }
    Ok(())
}

fn condition(node: &Value) -> &str {
    items(&node["status"]["conditions"])
        .iter()
        .find(|condition| condition["type"] == "Ready")
        .map(|condition| text(&condition["status"]))
        .unwrap_or_default()
}

fn has_network(node: &Value, pods: &[Value]) -> bool {
    pods.iter().any(|pod| {
        let labels = &pod["metadata"]["labels"];
        let plugin = labels["k8s-app"] == "calico-node" || labels["app"] == terway::NAME;
        plugin && text(&pod["spec"]["nodeName"]) == name(node) && is_ready(pod)
    })
}

async fn lose(kubelets: &Kubelets, node: &Value, pods: &[Value]) -> Result<(), Refused> {
    let taint = |effect: &str| json!({"key": UNREACHABLE, "effect": effect, "timeAdded": stamp()});
    write(
        kubelets,
        node,
        "Unknown",
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
        &[taint("NoSchedule"), taint("NoExecute")],
    )
    .await?;
    for pod in
        pods.iter().filter(|pod| text(&pod["spec"]["nodeName"]) == name(node) && is_ready(pod))
    {
        let mut conditions = pod["status"]["conditions"].clone();
        for condition in conditions
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter(|condition| condition["type"] == "Ready")
        {
            condition["status"] = json!("False");
            condition["reason"] = json!("NodeNotReady");
        }
        let at = format!("{}/{}/status", path("v1", namespace(pod), "pods"), name(pod));
        kubelets.objects.merge(&at, &json!({"status": {"conditions": conditions}})).await?;
    }
    Ok(())
}

async fn write(
    kubelets: &Kubelets,
    node: &Value,
    ready: &str,
    reason: &str,
    message: &str,
    taints: &[Value],
) -> Result<(), Refused> {
    let at = format!("/api/v1/nodes/{}", name(node));
    let mut conditions = items(&node["status"]["conditions"]).to_vec();
    conditions.retain(|condition| condition["type"] != "Ready");
    conditions.push(json!({"type": "Ready", "status": ready, "reason": reason, "message": message, "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp()}));
    kubelets
        .objects
        .merge(&format!("{at}/status"), &json!({"status": {"conditions": conditions}}))
        .await?;
    let mut wanted: Vec<Value> = items(&node["spec"]["taints"]).to_vec();
    wanted.retain(|taint| taint["key"] != NOT_READY && taint["key"] != UNREACHABLE);
    wanted.extend_from_slice(taints);
    let taints = if wanted.is_empty() { Value::Null } else { json!(wanted) };
    if taints != node["spec"]["taints"] {
        // Somebody may taint the node at this very moment: then this pass is repeated.
        let patch =
            json!({"metadata": {"uid": node["metadata"]["uid"]}, "spec": {"taints": taints}});
        kubelets.objects.merge(&at, &patch).await?;
    }
    Ok(())
}
