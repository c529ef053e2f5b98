//! The Tigera operator, as far as it touches Causeway: what its Installation says of calico-node's affinity is what
//! calico-node has; whatever else somebody writes there is put back.

use serde_json::{Value, json};

use super::objects::{Objects, Refused, name, namespace, path};

/// Where Installations are; there is no such kind unless the operator is installed.
pub(super) const INSTALLATIONS: &str = "/apis/operator.tigera.io/v1/installations";
/// The operator's namespace for Calico.
pub(super) const NAMESPACE: &str = "calico-system";

/// Puts the operator's DaemonSets in line with its Installation.
pub(super) async fn reconcile(objects: &Objects, daemonsets: &[Value]) -> Result<(), Refused> {
    for daemonset in daemonsets.iter().filter(|one| {
        namespace(one) == NAMESPACE
            && one["metadata"]["ownerReferences"][0]["kind"] == "Installation"
    }) {
        let Some(installation) = objects.get(&format!("{INSTALLATIONS}/default")).await? else {
            return Ok(());
        };
        let field = if name(daemonset) == "calico-node" {
            "calicoNodeDaemonSet"
        } else {
            "csiNodeDriverDaemonSet"
        };
        let wanted = &installation["spec"][field]["spec"]["template"]["spec"]["affinity"];
        let template = &daemonset["spec"]["template"]["spec"];
        if template["affinity"] != *wanted {
            let mut new = daemonset.clone();
            new["spec"]["template"]["spec"]["affinity"] = wanted.clone();
            if wanted.is_null() {
                new["spec"]["template"]["spec"].as_object_mut().map(|spec| spec.remove("affinity"));
            }
            objects
                .replace(
                    &format!("{}/{}", path("apps/v1", NAMESPACE, "daemonsets"), name(daemonset)),
                    &new,
                )
                .await?;
        }
    }
    Ok(())
}

/// The operator's own CRD and Installation.
pub(super) fn objects(pod_cidr: &str) -> (Value, Value) {
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "installations.operator.tigera.io"},
        "spec": {"group": "operator.tigera.io", "scope": "Cluster", "names": {"kind": "Installation", "plural": "installations", "listKind": "InstallationList", "singular": "installation"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}}}]},
    });
    let installation = json!({
        "apiVersion": "operator.tigera.io/v1", "kind": "Installation", "metadata": {"name": "default"},
        "spec": {"variant": "Calico", "cni": {"type": "Calico", "ipam": {"type": "Calico"}},
            "calicoNetwork": {"bgp": "Enabled", "ipPools": [{"name": "default-ipv4-ippool", "cidr": pod_cidr, "blockSize": 26, "encapsulation": "None", "natOutgoing": "Enabled", "nodeSelector": "all()"}]}},
    });
    (crd, installation)
}
