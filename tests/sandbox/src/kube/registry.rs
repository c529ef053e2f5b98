//! The kinds that the API server serves: the built-in ones in one table, and those that CRDs add.

use std::sync::Arc;

use serde_json::Value;

/// One served kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    /// API group; empty for core.
    pub group: String,
    /// Version as served.
    pub version: String,
    /// `DaemonSet`.
    pub kind: String,
    /// `daemonsets`.
    pub plural: String,
    /// Short names for kubectl.
    pub short: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource, so that a plain write does not touch the status.
    pub status: bool,
    /// Whether a change of what is wanted raises `metadata.generation`.
    pub generation: bool,
    /// Set for kinds that a CRD defines: its schema (null when it has none).
    pub custom: Option<Arc<Value>>,
}

impl Kind {
    /// `apps/v1`, `v1`.
    #[must_use]
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// (group, version, kind, plural, short names, flags): `n` namespaced, `s` status subresource, `g` generation.
const BUILT_IN: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("", "v1", "Namespace", "namespaces", "ns", "s"),
    ("", "v1", "Node", "nodes", "no", "s"),
    ("", "v1", "Pod", "pods", "po", "ns"),
    ("", "v1", "ConfigMap", "configmaps", "cm", "n"),
    ("", "v1", "Secret", "secrets", "", "n"),
    ("", "v1", "Service", "services", "svc", "ns"),
    ("", "v1", "ServiceAccount", "serviceaccounts", "sa", "n"),
    ("", "v1", "Event", "events", "ev", "n"),
    ("", "v1", "Endpoints", "endpoints", "ep", "n"),
    ("", "v1", "PersistentVolume", "persistentvolumes", "pv", "s"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "ns"),
    ("apps", "v1", "DaemonSet", "daemonsets", "ds", "nsg"),
    ("apps", "v1", "Deployment", "deployments", "deploy", "nsg"),
    ("apps", "v1", "ReplicaSet", "replicasets", "rs", "nsg"),
    ("apps", "v1", "StatefulSet", "statefulsets", "sts", "nsg"),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", "", "n"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "", ""),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "", ""),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", "", "n"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "", "n"),
    ("coordination.k8s.io", "v1", "Lease", "leases", "", "n"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "nsg"),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", "sc", ""),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd crds",
        "sg",
    ),
];

/// The group of CRDs.
pub(super) const CRD_GROUP: &str = "apiextensions.k8s.io";
/// Their plural.
pub(super) const CRD_PLURAL: &str = "customresourcedefinitions";

/// The kinds that are there without any CRD.
#[must_use]
pub(super) fn built_in() -> Vec<Kind> {
    BUILT_IN
        .iter()
        .map(|(group, version, kind, plural, short, flags)| Kind {
            group: (*group).into(),
            version: (*version).into(),
            kind: (*kind).into(),
            plural: (*plural).into(),
            short: short.split_whitespace().map(Into::into).collect(),
            namespaced: flags.contains('n'),
            status: flags.contains('s'),
            generation: flags.contains('g'),
            custom: None,
        })
        .collect()
}

/// The kinds that a CRD serves, one per served version.
#[must_use]
pub(super) fn of_crd(crd: &Value) -> Vec<Kind> {
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    versions
        .iter()
        .filter(|version| version["served"].as_bool().unwrap_or(false))
        .map(|version| Kind {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            kind: text(&spec["names"]["kind"]),
            plural: text(&spec["names"]["plural"]),
            short: spec["names"]["shortNames"].as_array().into_iter().flatten().map(text).collect(),
            namespaced: spec["scope"] == "Namespaced",
            status: version["subresources"]["status"].is_object(),
            generation: true,
            custom: Some(Arc::new(if spec["preserveUnknownFields"] == true {
                Value::Null
            } else {
                version["schema"]["openAPIV3Schema"].clone()
            })),
        })
        .collect()
}
