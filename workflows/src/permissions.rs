//! What the daemon must be allowed, by step: the RAM actions that the steps declare, and the verbs on a cluster's API that they use.
//! Least policies are made of it, and what is missing is told by it. It asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Template, Work};
use crate::kubernetes::{Resource, Verb, verbs};
use crate::steps::{
    configure_eni, install_terway, mint_join_token, register_init_script, scale_out,
    store_addon_secret,
};

/// Where the guide's objects, and the daemon's service account, lie.
pub const NAMESPACE: &str = "kube-system";
/// Calico's group.
const CALICO: &str = "crd.projectcalico.org";
/// Calico's configuration kinds, as its manifests have them: what the add-on's package may damage, and is put back.
const CALICO_KINDS: [(&str, &str); 13] = [
    ("bgpconfigurations", "BGPConfiguration"),
    ("bgpfilters", "BGPFilter"),
    ("bgppeers", "BGPPeer"),
    ("clusterinformations", "ClusterInformation"),
    ("felixconfigurations", "FelixConfiguration"),
    ("globalnetworkpolicies", "GlobalNetworkPolicy"),
    ("globalnetworksets", "GlobalNetworkSet"),
    ("hostendpoints", "HostEndpoint"),
    ("ippools", "IPPool"),
    ("networkpolicies", "NetworkPolicy"),
    ("networksets", "NetworkSet"),
    ("stagedglobalnetworkpolicies", "StagedGlobalNetworkPolicy"),
    ("stagednetworkpolicies", "StagedNetworkPolicy"),
];

/// A verb on a cluster's API, with the steps that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNeed {
    /// The verb.
    pub verb: Verb,
    /// Where it is needed only in some clusters: in which.
    pub only: Option<&'static str>,
    /// The steps.
    pub steps: BTreeSet<&'static str>,
}

/// The RAM actions of every definition, each with the steps that need it.
#[must_use]
pub fn ram() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut needed: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
    for template in templates() {
        let actions = match &template.work {
            Work::Check(check) => check.ram_actions(),
            Work::Action(action) => action.ram_actions(),
            Work::Gate => &[],
        };
        for action in actions {
            needed.entry(action).or_default().insert(template.name);
        }
    }
    needed
}

/// The verbs of every definition, in the order of group, resource, namespace and verb.
#[must_use]
pub fn kubernetes() -> Vec<ClusterNeed> {
    let mut needed: Vec<ClusterNeed> = Vec::new();
    let mut add = |verb: Verb, only, step| match needed.iter_mut().find(|one| one.verb == verb) {
        Some(known) => {
            known.steps.insert(step);
            known.only = known.only.and(only);
        }
        None => needed.push(ClusterNeed { verb, only, steps: BTreeSet::from([step]) }),
    };
    let names: BTreeSet<&'static str> = templates().iter().map(|template| template.name).collect();
    for step in names {
        for verb in of_step(step).unwrap_or_default() {
            add(verb, None, step);
        }
        for verb in of_operator(step) {
            add(verb, Some("clusters whose Calico the Tigera operator manages"), step);
        }
    }
    // Before a step touches a cluster it makes sure that it is still the same one.
    for verb in verbs(&Resource::NAMESPACES, None, &["get"]) {
        add(verb, None, "every step");
    }
    needed.sort_by(|one, other| key(&one.verb).cmp(&key(&other.verb)));
    needed
}

fn key(verb: &Verb) -> (&str, &str, Option<&str>, Option<&str>, &str) {
    let resource = &verb.resource;
    (resource.group(), resource.plural(), verb.subresource, verb.namespace.as_deref(), verb.verb)
}

fn templates() -> Vec<Template> {
    crate::registry().into_iter().flat_map(|definition| definition.templates).collect()
}

/// What a step does in the cluster; `None` where the step is not known here.
fn of_step(step: &str) -> Option<Vec<Verb>> {
    let here = Some(NAMESPACE);
    let nodes = || verbs(&Resource::NODES, None, &["list"]);
    let reads = |resource: &Resource| verbs(resource, here, &["get"]);
    Some(match step {
        "check-registered-cluster" => [
            verbs(&Resource::DEPLOYMENTS, here, &["list"]),
            verbs(&rbac("clusterrolebindings", "ClusterRoleBinding"), None, &["list"]),
            verbs(&rbac("clusterroles", "ClusterRole"), None, &["get"]),
        ]
        .concat(),
        "check-kubernetes" => [
            nodes(),
            verbs(&Resource::DAEMON_SETS, None, &["list"]),
            verbs(&Resource::IP_POOLS, None, &["list"]),
            verbs(&Resource::CONFIG_MAPS, Some("kube-public"), &["get"]),
            reads(&Resource::CONFIG_MAPS),
            verbs(&Resource::SERVICES, Some("default"), &["get"]),
            reads(&Resource::SECRETS),
        ]
        .concat(),
        "fence-calico" => {
            [nodes(), verbs(&Resource::DAEMON_SETS, here, &["get", "patch"])].concat()
        }
        "create-ram-user" | "create-access-key" | "create-node-pool" => reads(&Resource::SECRETS),
        "store-addon-secret" => store_addon_secret::preview::needs(),
        "install-terway" => [
            install_terway::preview::needs(),
            calico(),
            nodes(),
            reads(&Resource::DAEMON_SETS),
            reads(&Resource::CONFIG_MAPS),
        ]
        .concat(),
        "configure-eni" => [
            configure_eni::preview::needs(),
            reads(&Resource::DAEMON_SETS),
            reads(&Resource::SECRETS),
        ]
        .concat(),
        "mint-join-token" => mint_join_token::preview::needs(),
        "register-init-script" => register_init_script::preview::needs(),
        "scale-out" => [scale_out::preview::needs(), reads(&Resource::SECRETS)].concat(),
        "verify-nodes" => nodes(),
        "verify-cni" => [nodes(), verbs(&Resource::PODS, None, &["list"])].concat(),
        // These work in the cloud alone, or nowhere.
        "check-identity"
        | "check-network"
        | "check-capacity"
        | "approve-spend"
        | "create-ram-policy"
        | "attach-ram-policy"
        | "publish-init-script" => Vec::new(),
        noop if noop.starts_with("step-") || noop.starts_with("noop") => Vec::new(),
        _ => return None,
    })
}

fn of_operator(step: &str) -> Vec<Verb> {
    match step {
        "fence-calico" => [
            verbs(&Resource::INSTALLATIONS, None, &["get", "patch"]),
            verbs(&Resource::CRDS, None, &["get"]),
            // In calico-system, a namespace that other clusters do not have.
            verbs(&Resource::DAEMON_SETS, None, &["get"]),
        ]
        .concat(),
        _ => Vec::new(),
    }
}

fn rbac(plural: &str, kind: &str) -> Resource {
    Resource::custom("rbac.authorization.k8s.io", "v1", plural, kind)
}

fn calico() -> Vec<Verb> {
    let all = |(plural, kind): (&str, &str)| {
        let resource = Resource::custom(CALICO, "v1", plural, kind);
        verbs(&resource, None, &["create", "get", "list", "patch"])
    };
    CALICO_KINDS.into_iter().flat_map(all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_every_definition_says_what_it_needs() {
        for template in templates() {
            let missing = "stands in no arm of `of_step`: what does it do in the cluster?";
            assert!(of_step(template.name).is_some(), "{} {missing}", template.name);
        }
    }

    #[test]
    fn each_verb_stands_once_with_the_steps_that_need_it() {
        let needed = kubernetes();
        for (index, one) in needed.iter().enumerate() {
            assert!(needed[index + 1..].iter().all(|other| other.verb != one.verb), "{}", one.verb);
            assert!(!one.steps.is_empty());
        }
        let of = |text: &str| needed.iter().find(|one| one.verb.to_string() == text).unwrap();
        assert!(of("list nodes").steps.contains("verify-nodes"));
        assert_eq!(of("patch daemonsets in kube-system").steps, BTreeSet::from(["fence-calico"]));
        assert!(of("patch installations").only.is_some());
    }

    #[test]
    fn ram_actions_are_named_with_their_product() {
        let needed = ram();
        assert!(needed["ram:CreateUser"].contains("create-ram-user"));
        assert!(needed.keys().all(|action| action.split_once(':').is_some()));
    }
}
