//! Where Calico is, how it came there, and whether it routes (BGP) or wraps pods' packets (overlay).

use causeway_engine::Failure;
use serde_json::Value;

use super::{CalicoFacts, CalicoInstall, Findings, readable};
use crate::kubernetes::{Cluster, Resource, node};
use crate::spec::Document;

/// Labels and annotations of tools that put a cluster's objects back to their source.
const KEEPERS: [(&str, &str); 3] = [
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
];

/// The one DaemonSet that runs calico-node.
pub(super) fn find(
    document: &Document,
    daemon_sets: &[Value],
    findings: &mut Findings,
) -> Option<CalicoFacts> {
    let candidates: Vec<&Value> = match &document.spec.on_premises.calico {
        Some(named) => {
            let same = |one: &&Value| {
                node::namespace(one) == named.namespace && node::name(one) == named.daemonset
            };
            daemon_sets.iter().filter(same).collect()
        }
        None => daemon_sets.iter().filter(|one| runs_calico(one)).collect(),
    };
    let id = |one: &Value| format!("{}/{}", node::namespace(one), node::name(one));
    match candidates.as_slice() {
        [one] => {
            warn_of_keepers(one, findings);
            let install =
                if is_operators(one) { CalicoInstall::Operator } else { CalicoInstall::Manifest };
            Some(CalicoFacts {
                namespace: node::namespace(one).to_owned(),
                daemonset: node::name(one).to_owned(),
                install,
            })
        }
        [] => {
            findings.error(
                "CALICO_MISSING",
                "daemonsets",
                "no calico-node DaemonSet was found: the hybrid cluster is built beside Calico",
                "name it in spec.on_premises.calico, or check that the kubeconfig is that of the data center's cluster",
            );
            None
        }
        several => {
            let names: Vec<String> = several.iter().map(|one| id(one)).collect();
            findings.error(
                "CALICO_AMBIGUOUS",
                names.join(", "),
                "more than one DaemonSet looks like Calico's",
                "name the right one in spec.on_premises.calico",
            );
            None
        }
    }
}

fn runs_calico(daemon_set: &Value) -> bool {
    node::label(daemon_set, "k8s-app") == Some("calico-node")
        || node::name(daemon_set) == "calico-node"
}

fn is_operators(daemon_set: &Value) -> bool {
    let owners = daemon_set["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| owner["kind"] == "Installation")
}

fn warn_of_keepers(daemon_set: &Value, findings: &mut Findings) {
    let kept_by = |(key, tool): &(&str, &'static str)| {
        (node::label(daemon_set, key).is_some() || node::annotation(daemon_set, key).is_some())
            .then_some(*tool)
    };
    if let Some(tool) = KEEPERS.iter().find_map(kept_by) {
        findings.warning(
            "CALICO_KEPT_BY_TOOL",
            node::name(daemon_set),
            format!("{tool} keeps this DaemonSet, and may take the node affinity out again"),
            "put the node affinity into its source as well",
        );
    }
}

/// Judges the IP pools: only where Calico routes can pods of both sides reach each other.
pub(super) async fn check_mode(
    cluster: &Cluster,
    document: &Document,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let pools = readable(cluster, &Resource::IP_POOLS, findings).await?;
    let in_use: Vec<&Value> =
        pools.iter().filter(|pool| pool["spec"]["disabled"] != true).collect();
    if in_use.is_empty() {
        findings.warning(
            "CALICO_MODE_UNKNOWN",
            "ippools.crd.projectcalico.org",
            "no IP pool can be seen, so that BGP mode can't be told from an overlay",
            "make sure that ipipMode and vxlanMode of Calico's IP pools are Never",
        );
    }
    for pool in in_use {
        judge(pool, document, findings);
    }
    Ok(())
}

fn judge(pool: &Value, document: &Document, findings: &mut Findings) {
    let name = node::name(pool);
    let cidr = pool["spec"]["cidr"].as_str().unwrap_or_default();
    let mode = |field: &str| pool["spec"][field].as_str().unwrap_or("Never");
    let modes = format!("ipipMode {}, vxlanMode {}", mode("ipipMode"), mode("vxlanMode"));
    let subject = format!("ippools {name} ({cidr})");
    if mode("ipipMode") == "Always" || mode("vxlanMode") == "Always" {
        findings.error(
            "CALICO_OVERLAY",
            subject,
            format!("the pool is an overlay ({modes}): the network between data center and VPC never sees its pods' addresses"),
            "change the pool to BGP (both modes Never), or use Calico on the cloud nodes as well instead of Terway",
        );
    } else if mode("ipipMode") == "CrossSubnet" || mode("vxlanMode") == "CrossSubnet" {
        findings.warning(
            "CALICO_CROSS_SUBNET",
            subject,
            format!("the pool wraps packets between subnets ({modes}); those to cloud nodes are not wrapped"),
            "make sure that the data center's router knows the way to the pods",
        );
    } else if !cidr.contains(':')
        && !document.spec.on_premises.pod_cidrs.iter().any(|known| contains(known, cidr))
    {
        findings.warning(
            "CALICO_POOL_NOT_LISTED",
            subject,
            "the pool lies in none of spec.on_premises.pod_cidrs, so that routes and overlaps were not checked for it",
            "add it to spec.on_premises.pod_cidrs if its pods are to reach cloud pods",
        );
    }
}

fn contains(outer: &str, inner: &str) -> bool {
    let parse = |text: &str| text.parse::<ipnet::IpNet>().ok();
    parse(outer).zip(parse(inner)).is_some_and(|(outer, inner)| outer.contains(&inner))
}
