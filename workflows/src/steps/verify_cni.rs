//! `verify-cni`: every node runs exactly one of Calico and Terway: no calico-node pod on a cloud node, one Ready Terway
//! pod on each, none in the data center.

use std::collections::BTreeMap;

use async_trait::async_trait;
use causeway_engine::{Failure, Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check_kubernetes::CheckKubernetesOutput;
use super::install_terway::{DAEMON_SET, NAMESPACE};
use crate::kubernetes::{Resource, cluster_of, node};
use crate::sdk::{Check, Checked, Context, value};

/// The step.
pub struct VerifyCni;

/// What runs where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyCniOutput {
    /// Nodes with a calico-node pod.
    pub calico_nodes: Vec<String>,
    /// Nodes with a Terway pod.
    pub terway_nodes: Vec<String>,
}

/// The network pods of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    cloud: bool,
    ready: bool,
    calico: usize,
    terway: usize,
    terway_ready: bool,
}

#[async_trait]
impl Check for VerifyCni {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let calico = context.output_of::<CheckKubernetesOutput>("check-kubernetes")?.calico;
        let cluster = cluster_of(context).await?;
        let nodes = cluster.list(&Resource::NODES, None, "").await?;
        let pods = cluster.list(&Resource::PODS, None, "").await?;
        let seen = look(&nodes, &pods, &calico.daemonset, &calico.namespace);
        let findings = judge(&seen);
        let (broken, slow): (Vec<Finding>, Vec<Finding>) =
            findings.into_iter().partition(|finding| finding.code != SLOW);
        // A pod that is being started or stopped is given its time, which the step's deadline ends.
        if !slow.is_empty() && broken.is_empty() {
            return Ok(Checked::NotYet(
                slow.iter()
                    .map(|one| format!("{}: {}", one.subject, one.message))
                    .collect::<Vec<_>>()
                    .join("; "),
            ));
        }
        let found: Vec<Finding> = broken.into_iter().chain(slow).collect();
        if found.is_empty() {
            let (output, warnings) = (output_of(&seen), warnings(&seen));
            return Ok(Checked::Passed { output: value(&output), warnings });
        }
        let message = found
            .iter()
            .map(|one| format!("{}: {}", one.subject, one.message))
            .collect::<Vec<_>>()
            .join("; ");
        Err(Failure::findings(format!("Calico and Terway are not apart: {message}"), found)
            .with_code("CNI_NOT_DISJOINT"))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Something that may pass by itself.
const SLOW: &str = "TERWAY_NOT_READY";

fn look(
    nodes: &[Value],
    pods: &[Value],
    calico: &str,
    calico_namespace: &str,
) -> BTreeMap<String, Seen> {
    let mut seen: BTreeMap<String, Seen> = nodes
        .iter()
        .map(|one| {
            (
                node::name(one).to_owned(),
                Seen { cloud: node::is_cloud(one), ready: node::is_ready(one), ..Seen::default() },
            )
        })
        .collect();
    for pod in pods.iter().filter(|pod| !node::is_over(pod)) {
        let Some(place) = pod["spec"]["nodeName"].as_str().and_then(|name| seen.get_mut(name))
        else {
            continue;
        };
        if belongs_to(pod, calico) && node::namespace(pod) == calico_namespace {
            place.calico += 1;
        } else if belongs_to(pod, DAEMON_SET) && node::namespace(pod) == NAMESPACE {
            place.terway += 1;
            place.terway_ready |= node::is_ready(pod);
        }
    }
    seen
}

fn belongs_to(pod: &Value, daemon_set: &str) -> bool {
    let owners = pod["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .any(|owner| owner["kind"] == "DaemonSet" && owner["name"] == daemon_set)
}

fn judge(seen: &BTreeMap<String, Seen>) -> Vec<Finding> {
    let finding = |code: &str, name: &String, message: String, remedy: &str| Finding {
        severity: Severity::Error,
        code: code.to_owned(),
        subject: format!("node {name}"),
        message,
        remedy: remedy.to_owned(),
    };
    let mut findings = Vec::new();
    for (name, one) in seen {
        if one.cloud && one.calico > 0 {
            let message = "a calico-node pod runs on this cloud node".to_owned();
            findings.push(finding(
                "CALICO_ON_CLOUD_NODE",
                name,
                message,
                "see why the node affinity of calico-node lets it there",
            ));
        }
        if one.cloud && (one.terway != 1 || !one.terway_ready) {
            let message = match one.terway {
                0 => "no Terway pod runs on this cloud node".to_owned(),
                1 => "the Terway pod on this cloud node is not Ready".to_owned(),
                many => format!("{many} Terway pods run on this cloud node"),
            };
            findings.push(finding(
                SLOW,
                name,
                message,
                "see the events and logs of its terway-eniip pod",
            ));
        }
        if !one.cloud && one.terway > 0 {
            let message = "a Terway pod runs on this node of the data center".to_owned();
            findings.push(finding(
                "TERWAY_ON_PREMISES",
                name,
                message,
                "see the nodeSelector of terway-eniip, and the node's labels",
            ));
        }
    }
    findings
}

/// A Ready node of the data center without any of the two was so before us: said, and no more.
fn warnings(seen: &BTreeMap<String, Seen>) -> Vec<Finding> {
    let without = seen.iter().filter(|(_, one)| !one.cloud && one.ready && one.calico == 0);
    without
        .map(|(name, _)| Finding {
            severity: Severity::Warning,
            code: "NODE_WITHOUT_CALICO".to_owned(),
            subject: format!("node {name}"),
            message: "no calico-node pod runs on this node of the data center".to_owned(),
            remedy: "see why Calico's DaemonSet leaves it out".to_owned(),
        })
        .collect()
}

fn output_of(seen: &BTreeMap<String, Seen>) -> VerifyCniOutput {
    let names = |with: fn(&Seen) -> bool| {
        seen.iter().filter(|(_, one)| with(one)).map(|(name, _)| name.clone()).collect()
    };
    VerifyCniOutput {
        calico_nodes: names(|one| one.calico > 0),
        terway_nodes: names(|one| one.terway > 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn a_node(name: &str, cloud: bool) -> Value {
        let labels = if cloud { json!({node::CLOUD_LABEL: "true"}) } else { json!({}) };
        json!({"metadata": {"name": name, "labels": labels}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn a_pod(daemon_set: &str, place: &str, ready: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "ownerReferences": [{"kind": "DaemonSet", "name": daemon_set}]},
            "spec": {"nodeName": place}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn codes(pods: &[Value]) -> Vec<String> {
        let nodes = [a_node("dc", false), a_node("cloud", true)];
        judge(&look(&nodes, pods, "calico-node", "kube-system"))
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn one_plugin_on_each_node_is_right() {
        let pods = [a_pod("calico-node", "dc", "True"), a_pod(DAEMON_SET, "cloud", "True")];
        assert_eq!(codes(&pods), [""; 0]);
        let nodes = [a_node("dc", false), a_node("cloud", true)];
        let output = output_of(&look(&nodes, &pods, "calico-node", "kube-system"));
        assert_eq!(
            output,
            VerifyCniOutput {
                calico_nodes: vec!["dc".to_owned()],
                terway_nodes: vec!["cloud".to_owned()]
            }
        );
    }

    #[test]
    fn each_way_of_being_together_is_found() {
        let right = [a_pod("calico-node", "dc", "True"), a_pod(DAEMON_SET, "cloud", "True")];
        let with = |more: Value| codes(&[right.as_slice(), &[more]].concat());
        assert_eq!(with(a_pod("calico-node", "cloud", "True")), ["CALICO_ON_CLOUD_NODE"]);
        assert_eq!(with(a_pod(DAEMON_SET, "dc", "True")), ["TERWAY_ON_PREMISES"]);
        assert_eq!(with(a_pod(DAEMON_SET, "cloud", "True")), [SLOW]);
        assert_eq!(codes(&[a_pod("calico-node", "dc", "True")]), [SLOW]);
        assert_eq!(codes(&[a_pod(DAEMON_SET, "cloud", "False")]), [SLOW]);
    }

    #[test]
    fn a_pod_on_its_way_out_counts_no_more() {
        let mut leaving = a_pod("calico-node", "cloud", "True");
        leaving["metadata"]["deletionTimestamp"] = "2026-09-21T14:13:20Z".into();
        assert_eq!(codes(&[leaving, a_pod(DAEMON_SET, "cloud", "True")]), [""; 0]);
    }

    #[test]
    fn a_node_of_the_data_center_without_calico_is_only_said() {
        let seen = look(&[a_node("dc", false)], &[], "calico-node", "kube-system");
        assert!(judge(&seen).is_empty());
        assert_eq!(warnings(&seen)[0].code, "NODE_WITHOUT_CALICO");
    }
}
