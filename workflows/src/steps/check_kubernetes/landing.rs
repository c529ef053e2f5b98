//! Other DaemonSets that would land on the cloud nodes: said beforehand, as they may find there neither their disks nor
//! their network.

use serde_json::Value;

use super::{CalicoFacts, Findings};
use crate::kubernetes::node;
use crate::spec::{Document, NodePool};

/// DaemonSets that belong on every node.
const AT_HOME: [&str; 3] = ["kube-proxy", "terway-eniip", "terway"];

/// Warns of each that a node of some pool would take.
pub(super) fn check(
    document: &Document,
    daemon_sets: &[Value],
    calico: Option<&CalicoFacts>,
    findings: &mut Findings,
) {
    for one in daemon_sets {
        let (namespace, name) = (node::namespace(one), node::name(one));
        let fenced =
            calico.is_some_and(|calico| calico.namespace == namespace && calico.daemonset == name);
        if fenced || AT_HOME.contains(&name) {
            continue;
        }
        let template = &one["spec"]["template"]["spec"];
        let pools: Vec<&str> = document
            .spec
            .node_pools
            .iter()
            .filter(|pool| lands(template, pool))
            .map(|pool| pool.name.as_str())
            .collect();
        if !pools.is_empty() {
            findings.warning(
                "DAEMONSET_LANDS",
                format!("daemonsets {namespace}/{name}"),
                format!("its pods will also run on the nodes of {}", pools.join(", ")),
                "if it needs the data center's disks or network, give it the same node affinity as Calico gets",
            );
        }
    }
}

fn lands(template: &Value, pool: &NodePool) -> bool {
    let mut labels = vec![
        (node::CLOUD_LABEL, "true"),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
    ];
    labels.extend(pool.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let repels = |taint: &crate::spec::Taint| {
        let effect = taint.effect.as_str();
        effect != "PreferNoSchedule" && !node::tolerates(template, &taint.key, &taint.value, effect)
    };
    node::admits(template, &labels) && !pool.taints.iter().any(repels)
}
