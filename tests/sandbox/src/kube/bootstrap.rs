//! The objects that a kube-apiserver creates by itself at its first start.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{registry, store::Store, write};

/// Creates them.
pub(super) fn create_objects(store: &Store, service_cidr: &str) {
    let rbac = "rbac.authorization.k8s.io";
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}, "rules": rules});
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    let read = json!([{"apiGroups": [""], "resources": ["configmaps", "pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]}]);
    let binding = json!({
        "metadata": {"name": "cluster-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": rbac, "kind": "Group", "name": "system:masters"}],
    });
    let service = json!({"metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": nth_address(service_cidr, 1), "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]}});
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        create(store, "namespaces", "", json!({"metadata": {"name": name}}));
    }
    create(store, "clusterroles", "", role("cluster-admin", everything));
    create(store, "clusterroles", "", role("view", read));
    create(store, "clusterrolebindings", "", binding);
    create(store, "services", "default", service);
}

/// Creates a role or a binding that is given as a document.
pub(super) fn create_rbac(store: &Store, object: &Value) -> anyhow::Result<()> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let plural = registry::built_in().into_iter().find(|known| known.kind == kind);
    let plural = plural.with_context(|| format!("{kind} is no kind that is known here"))?.plural;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    create(store, &plural, namespace, object.clone());
    Ok(())
}

/// The n-th address of a block, as kubeadm picks those of well-known services.
#[must_use]
pub fn nth_address(cidr: &str, n: u32) -> String {
    let base = cidr.split('/').next().and_then(|base| base.parse::<std::net::Ipv4Addr>().ok());
    base.map_or_else(
        || "None".to_owned(),
        |base| std::net::Ipv4Addr::from(u32::from(base).saturating_add(n)).to_string(),
    )
}

fn create(store: &Store, plural: &str, namespace: &str, object: Value) {
    let kind = registry::built_in()
        .into_iter()
        .find(|kind| kind.plural == plural)
        .expect("a built-in kind");
    let target = write::Target {
        kind,
        namespace: namespace.into(),
        name: String::new(),
        status: false,
        dry_run: false,
        manager: "kube-apiserver".into(),
        force: false,
    };
    store
        .write(|state| write::create(state, &target, object))
        .expect("the server's own objects are valid");
}
