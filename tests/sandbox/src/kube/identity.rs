//! Who calls, and what they may do: tokens, impersonation, the node restriction, and RBAC as it is stored.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{faults::KubernetesUse, seed};

use super::{
    clock,
    status::{Failure, Outcome},
    store::{Key, State},
};

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `system:node:NAME`, `system:bootstrap:ID`, …
    pub user: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// Whether these are the credentials that the daemon was given: faults and boundaries are for them alone.
    pub daemon: bool,
}

impl Identity {
    pub(super) fn new(user: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push("system:authenticated".into());
        Self { user: user.into(), groups, daemon: false }
    }

    pub(super) fn anonymous() -> Self {
        Self {
            user: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            daemon: false,
        }
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|one| one == group)
    }

    /// As `UserInfo`.
    #[must_use]
    pub(super) fn user_info(&self) -> Value {
        json!({"username": self.user, "groups": self.groups})
    }
}

/// One thing that somebody wants to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// `get`, `list`, …
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural; empty for a path that is no resource.
    pub resource: String,
    /// `status`, `eviction`, or empty.
    pub subresource: String,
    /// Empty for all namespaces or cluster scope.
    pub namespace: String,
    /// Empty for all names.
    pub name: String,
    /// Of a request that is about no resource.
    pub path: String,
}

impl Attributes {
    /// The permission that this uses.
    pub(super) fn used(&self) -> KubernetesUse {
        let Self { verb, group, resource, subresource, namespace, .. } = self.clone();
        let part = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        KubernetesUse { group, resource: format!("{resource}{part}"), namespace, verb }
    }
}

/// The server's fixed tokens, and what the daemon is not allowed.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Bearer token of cluster-admin, for controllers and people.
    pub admin: String,
    /// Bearer token of the daemon.
    pub daemon: String,
    /// (verb, resource) that the daemon lacks; `*` stands for any.
    pub denied: Vec<(String, String)>,
    /// Whether the daemon may do only what RBAC says.
    pub by_rbac: bool,
}

impl Credentials {
    /// New random tokens.
    #[must_use]
    pub(super) fn random(data_center: &seed::DataCenter) -> Self {
        let token = || hex::encode(rand::random::<[u8; 20]>());
        let denied = data_center.denied.clone();
        let by_rbac = !data_center.daemon_rbac.is_empty();
        Self { admin: token(), daemon: token(), denied, by_rbac }
    }

    /// The caller of a request.
    pub(super) fn authenticate(&self, headers: &HeaderMap, state: &State) -> Outcome<Identity> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let identity = match text("authorization") {
            None => Identity::anonymous(),
            Some(header) => {
                let token = header.strip_prefix("Bearer ").ok_or_else(Failure::unauthorized)?;
                self.token(token.trim(), state).ok_or_else(Failure::unauthorized)?
            }
        };
        let Some(user) = text("impersonate-user") else { return Ok(identity) };
        if !identity.is_in("system:masters") {
            let why = format!(
                "User \"{}\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
                identity.user
            );
            return Err(Failure::forbidden("", "users", user, &why));
        }
        let groups: Vec<&str> = headers
            .get_all("impersonate-group")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        Ok(Identity::new(user, &groups))
    }

    /// Whose token this is.
    #[must_use]
    pub(super) fn token(&self, token: &str, state: &State) -> Option<Identity> {
        if token == self.admin {
            return Some(Identity::new("kubernetes-admin", &["system:masters"]));
        }
        if token == self.daemon {
            return Some(Identity {
                daemon: true,
                ..Identity::new("causewayd", &["causeway:operators"])
            });
        }
        let (id, secret) = token.split_once('.')?;
        bootstrap_token(state, id, secret).then(|| {
            Identity::new(
                &format!("system:bootstrap:{id}"),
                &["system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token"],
            )
        })
    }

    /// Whether a caller may do something; the text says why not.
    pub(super) fn authorize(
        &self,
        identity: &Identity,
        wanted: &Attributes,
        state: &State,
    ) -> Result<(), String> {
        let refused = || Err(refusal(identity, wanted));
        if wanted.resource.is_empty() {
            let open = ["/version", "/healthz", "/livez", "/readyz"]
                .iter()
                .any(|path| wanted.path.starts_with(path));
            let discovery =
                ["/api", "/apis", "/openapi"].iter().any(|path| wanted.path.starts_with(path));
            return if open || discovery { Ok(()) } else { refused() };
        }
        if identity.is_in("system:masters") {
            return Ok(());
        }
        let matches = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        if identity.daemon {
            let denied = self.denied.iter().any(|(verb, resource)| {
                matches(verb, &wanted.verb) && matches(resource, &wanted.resource)
            });
            let may = !self.by_rbac
                || self_review(identity, wanted)
                || public(wanted)
                || rbac(identity, wanted, state);
            return if denied || !may { refused() } else { Ok(()) };
        }
        let allowed = public(wanted)
            || self_review(identity, wanted)
            || node(identity, wanted)
            || bootstrapper(identity, wanted)
            || rbac(identity, wanted, state);
        if allowed { Ok(()) } else { refused() }
    }
}

fn refusal(identity: &Identity, wanted: &Attributes) -> String {
    let Attributes { verb, group, resource, namespace, path, .. } = wanted;
    if resource.is_empty() {
        return format!("User \"{}\" cannot {verb} path \"{path}\"", identity.user);
    }
    let scope = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{namespace}\"")
    };
    format!(
        "User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {scope}",
        identity.user
    )
}

fn public(wanted: &Attributes) -> bool {
    let about = (
        wanted.verb.as_str(),
        wanted.resource.as_str(),
        wanted.namespace.as_str(),
        wanted.name.as_str(),
    );
    about == ("get", "configmaps", "kube-public", "cluster-info")
}

fn self_review(identity: &Identity, wanted: &Attributes) -> bool {
    identity.is_in("system:authenticated")
        && wanted.verb == "create"
        && wanted.resource.starts_with("selfsubject")
}

fn node(identity: &Identity, wanted: &Attributes) -> bool {
    let Some(node) =
        identity.user.strip_prefix("system:node:").filter(|_| identity.is_in("system:nodes"))
    else {
        return false;
    };
    let reads = matches!(wanted.verb.as_str(), "get" | "list" | "watch");
    match wanted.resource.as_str() {
        // Whose Node it is, the node restriction checks once the object is known.
        "nodes" => {
            wanted.verb != "delete" && (wanted.name.is_empty() || wanted.name == node || reads)
        }
        "leases" => {
            wanted.namespace == "kube-node-lease" && (wanted.name.is_empty() || wanted.name == node)
        }
        "pods" => reads || wanted.verb == "delete" || wanted.subresource == "status",
        "configmaps" | "secrets" => wanted.verb == "get",
        "services" | "endpoints" => reads,
        "events" => wanted.verb == "create",
        _ => false,
    }
}

fn bootstrapper(identity: &Identity, wanted: &Attributes) -> bool {
    if !identity.is_in("system:bootstrappers") || wanted.verb != "get" {
        return false;
    }
    let kubeadm =
        ["kubeadm-config", "kubelet-config", "kube-proxy"].contains(&wanted.name.as_str());
    wanted.resource == "nodes"
        || (wanted.resource == "configmaps" && wanted.namespace == "kube-system" && kubeadm)
}

/// What the NodeRestriction plugin refuses of a kubelet that writes a Node, as a text.
#[must_use]
pub(super) fn node_restriction(
    identity: &Identity,
    object: &Value,
    before: Option<&Value>,
) -> Option<String> {
    let node = identity.user.strip_prefix("system:node:")?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name != node {
        return Some(format!("node \"{node}\" is not allowed to modify node \"{name}\""));
    }
    let old = |key: &str| before.and_then(|before| before["metadata"]["labels"].get(key));
    let labels = object["metadata"]["labels"].as_object();
    let forbidden: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter(|(key, value)| old(key) != Some(*value) && !kubelet_may_set(key))
        .map(|(key, _)| key.as_str())
        .collect();
    if forbidden.is_empty() {
        None
    } else {
        Some(format!("is not allowed to modify labels: {}", forbidden.join(", ")))
    }
}

/// Whether a kubelet may set a label on its own Node.
#[must_use]
pub fn kubelet_may_set(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return true };
    let reserved = ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|domain| prefix == *domain || prefix.ends_with(&format!(".{domain}")));
    if !reserved {
        return true;
    }
    const ALLOWED: &[&str] = &[
        "kubernetes.io/hostname",
        "kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
    ];
    let open = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    ALLOWED.contains(&key) || open("kubelet.kubernetes.io") || open("node.kubernetes.io")
}

fn bootstrap_token(state: &State, id: &str, secret: &str) -> bool {
    let Some(object) =
        state.get(&Key::core("secrets", "kube-system", &format!("bootstrap-token-{id}")))
    else {
        return false;
    };
    let field = |key: &str| -> Option<String> {
        String::from_utf8(BASE64.decode(object["data"][key].as_str()?).ok()?).ok()
    };
    let alive = field("expiration")
        .is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok_and(|end| end > clock::now()));
    object["type"] == "bootstrap.kubernetes.io/token"
        && field("token-id").as_deref() == Some(id)
        && field("token-secret").as_deref() == Some(secret)
        && field("usage-bootstrap-authentication").as_deref() == Some("true")
        && alive
        && object["metadata"]["deletionTimestamp"].is_null()
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn rbac(identity: &Identity, wanted: &Attributes, state: &State) -> bool {
    let grants = |binding: &Value, namespace: &str| {
        let subjects = binding["subjects"].as_array();
        let role = &binding["roleRef"];
        let (plural, at) =
            if role["kind"] == "ClusterRole" { ("clusterroles", "") } else { ("roles", namespace) };
        let key = Key {
            group: RBAC.into(),
            plural: plural.into(),
            namespace: at.into(),
            name: role["name"].as_str().unwrap_or_default().into(),
        };
        let rules = state.get(&key).map(|role| role["rules"].clone()).unwrap_or_default();
        subjects.into_iter().flatten().any(|subject| is_subject(identity, subject))
            && rules.as_array().into_iter().flatten().any(|rule| rule_covers(rule, wanted))
    };
    let cluster = state.list(RBAC, "clusterrolebindings", "");
    let local = if wanted.namespace.is_empty() {
        vec![]
    } else {
        state.list(RBAC, "rolebindings", &wanted.namespace)
    };
    cluster.iter().any(|(_, binding)| grants(binding, ""))
        || local.iter().any(|(_, binding)| grants(binding, &wanted.namespace))
}

fn is_subject(identity: &Identity, subject: &Value) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str().unwrap_or_default() {
        "User" => identity.user == name,
        "Group" => identity.is_in(name),
        "ServiceAccount" => {
            identity.user
                == format!(
                    "system:serviceaccount:{}:{name}",
                    subject["namespace"].as_str().unwrap_or_default()
                )
        }
        _ => false,
    }
}

fn rule_covers(rule: &Value, wanted: &Attributes) -> bool {
    let has = |field: &str, value: &str| {
        rule[field]
            .as_array()
            .is_some_and(|values| values.iter().any(|one| one == "*" || one == value))
    };
    let resource = if wanted.subresource.is_empty() {
        wanted.resource.clone()
    } else {
        format!("{}/{}", wanted.resource, wanted.subresource)
    };
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    has("verbs", &wanted.verb)
        && has("apiGroups", &wanted.group)
        && has("resources", &resource)
        && names.is_none_or(|names| names.iter().any(|name| *name == wanted.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_sets_only_its_allowed_labels_in_the_reserved_domains() {
        for (key, fine) in [
            ("alibabacloud.com/external", true),
            ("workload", true),
            ("topology.kubernetes.io/zone", true),
            ("node.kubernetes.io/anything", true),
            ("node-role.kubernetes.io/worker", false),
            ("kubernetes.io/x", false),
            ("x.k8s.io/y", false),
            ("node-restriction.kubernetes.io/x", false),
        ] {
            assert_eq!(kubelet_may_set(key), fine, "{key}");
        }
    }

    #[test]
    fn a_rule_covers_its_verbs_resources_and_names_only() {
        let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]});
        let wanted = Attributes {
            verb: "get".into(),
            resource: "configmaps".into(),
            name: "a".into(),
            ..Attributes::default()
        };
        assert!(rule_covers(&rule, &wanted));
        for other in [
            Attributes { name: "b".into(), ..wanted.clone() },
            Attributes { verb: "list".into(), ..wanted.clone() },
            Attributes { group: "apps".into(), ..wanted.clone() },
            Attributes { subresource: "status".into(), ..wanted },
        ] {
            assert!(!rule_covers(&rule, &other), "{other:?}");
        }
    }
}
