//! `verify-nodes[p]`: each new node is Ready and is what was asked for: name, provider id, the cloud's label, labels and
//! taints. NotReady is waited for until the step's deadline, with the kubelet's and the scaling group's own words; what can
//! never become right fails at once. Reads only.

use async_trait::async_trait;
use causeway_engine::{Failure, Finding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cloud::{cloud_of, error};
use super::node_pools::{provider_id, reasons, wanted, with_reasons};
use super::scale_out::ScaledOut;
use crate::alibaba::{Client, cs_nodes};
use crate::kubernetes::{Resource, cluster_of, node};
use crate::sdk::{Check, Checked, Context, value};
use crate::spec::NodePool;

/// The step.
pub struct VerifyNodes;

/// What later steps see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedNodes {
    /// The nodes, by name.
    pub nodes: Vec<VerifiedNode>,
}

/// A node that is as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedNode {
    /// Name of the Node object.
    pub name: String,
    /// ECS instance id.
    pub instance_id: String,
    /// Internal address.
    pub ip: String,
}

/// What a look at one node says.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// As asked for.
    Fine(VerifiedNode),
    /// May still become right.
    Waits(String),
    /// Never becomes right by itself.
    Wrong(Vec<Finding>),
}

#[async_trait]
impl Check for VerifyNodes {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let (document, wanted) = wanted(context)?;
        let scaled: ScaledOut = context.output_of_sibling("scale-out")?;
        let nodes = cluster_of(context).await?.list(&Resource::NODES, None, "").await?;
        let mut verified = VerifiedNodes::default();
        let (mut waits, mut findings) = (Vec::new(), Vec::new());
        for instance_id in &scaled.instance_ids {
            match look(instance_id, &document.spec.region, &wanted, &nodes) {
                Look::Fine(node) => verified.nodes.push(node),
                Look::Waits(why) => waits.push(why),
                Look::Wrong(found) => findings.extend(found),
            }
        }
        if !findings.is_empty() {
            let message = format!(
                "nodes of pool {} are not as asked for: {}",
                wanted.name, findings[0].message
            );
            return Err(Failure::findings(message, findings).with_code("NODES_WRONG"));
        }
        if !waits.is_empty() {
            let why =
                explained(&cloud_of(context).await?, &document.spec.cluster_id, &scaled).await;
            return Ok(Checked::NotYet(with_reasons(waits.join("; "), &why)));
        }
        verified.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Checked::Passed { output: value(&verified), warnings: Vec::new() })
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "cs:DescribeClusterNodePoolDetail",
            "cs:DescribeClusterNodes",
            "ess:DescribeScalingActivities",
        ]
    }
}

/// The cloud's own words; nothing where it can't be read, as they only explain.
async fn explained(client: &Client, cluster_id: &str, scaled: &ScaledOut) -> String {
    let pool = cs_nodes::describe_node_pool(client, cluster_id, &scaled.nodepool_id)
        .await
        .ok()
        .flatten()
        .unwrap_or_default();
    let nodes = cs_nodes::list_nodes(client, cluster_id, Some(&scaled.nodepool_id))
        .await
        .unwrap_or_default();
    reasons(client, &pool, &nodes, &scaled.task_id).await
}

fn look(instance_id: &str, region: &str, wanted: &NodePool, nodes: &[Value]) -> Look {
    let id = provider_id(region, instance_id);
    let Some(found) = nodes.iter().find(|node| node["spec"]["providerID"] == id.as_str()) else {
        return Look::Waits(format!("no Node has the provider id {id}"));
    };
    let name = node::name(found);
    let ip = address(found);
    let faults = faults(found, region, wanted, ip);
    if !faults.is_empty() {
        return Look::Wrong(faults);
    }
    if !node::is_ready(found) {
        return Look::Waits(format!("node {name} is not Ready: {}", condition(found)));
    }
    Look::Fine(VerifiedNode {
        name: name.to_owned(),
        instance_id: instance_id.to_owned(),
        ip: ip.to_owned(),
    })
}

/// Everything about a node that kubelet was given at its registration, and that differs from what was asked for.
fn faults(found: &Value, region: &str, wanted: &NodePool, ip: &str) -> Vec<Finding> {
    let name = node::name(found);
    let mut faults = Vec::new();
    let remedy = "see /var/log/acs/init.log on the instance: the init script did not pass the registered cluster's variables on to kubelet";
    let mut fault = |code: &str, message: String| {
        faults.push(error(code, name, format!("node {name} {message}"), remedy))
    };
    if !node::is_cloud(found) {
        fault(
            "NODE_LABEL",
            format!(
                "has no label {}=true, so Terway would not run there and Calico would",
                node::CLOUD_LABEL
            ),
        );
    }
    let expected = format!("{region}.{ip}");
    if !ip.is_empty() && name != expected {
        fault(
            "NODE_NAME",
            format!("should be named {expected}, or the registered cluster can't manage it"),
        );
    }
    for (key, value) in &wanted.labels {
        if node::label(found, key) != Some(value) {
            fault("NODE_LABEL", format!("has not the label {key}={value}"));
        }
    }
    let taints = found["spec"]["taints"].as_array();
    for taint in &wanted.taints {
        let is = |other: &Value| {
            let text = |field: &str| other[field].as_str().unwrap_or_default();
            text("key") == taint.key
                && text("value") == taint.value
                && text("effect") == taint.effect
        };
        if !taints.into_iter().flatten().any(is) {
            fault(
                "NODE_TAINT",
                format!("has not the taint {}={}:{}", taint.key, taint.value, taint.effect),
            );
        }
    }
    faults
}

fn address(found: &Value) -> &str {
    let addresses = found["status"]["addresses"].as_array();
    let internal = addresses.into_iter().flatten().find(|address| address["type"] == "InternalIP");
    internal.and_then(|address| address["address"].as_str()).unwrap_or_default()
}

/// Kubelet's own words for why the node is not Ready.
fn condition(found: &Value) -> String {
    let conditions = found["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    match ready {
        Some(ready) => {
            let text = |field: &str| ready[field].as_str().unwrap_or_default();
            format!("{} ({}) {}", text("status"), text("reason"), text("message")).trim().to_owned()
        }
        None => "kubelet has not reported yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Taint;

    fn pool() -> NodePool {
        NodePool {
            name: "burst".into(),
            labels: [("workload".to_owned(), "cpu".to_owned())].into(),
            taints: vec![Taint {
                key: "workload".into(),
                value: "ack".into(),
                effect: "NoSchedule".into(),
            }],
            ..NodePool::default()
        }
    }

    fn ready_node() -> Value {
        json!({
            "metadata": {"name": "cn-hangzhou.10.10.24.5", "labels": {"alibabacloud.com/external": "true", "workload": "cpu"}},
            "spec": {"providerID": "cn-hangzhou.i-1", "taints": [{"key": "workload", "value": "ack", "effect": "NoSchedule"}]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.10.24.5"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
            },
        })
    }

    fn look_at(node: Value) -> Look {
        look("i-1", "cn-hangzhou", &pool(), &[node])
    }

    #[test]
    fn a_node_as_asked_for_passes() {
        let Look::Fine(node) = look_at(ready_node()) else { panic!("not fine") };
        assert_eq!(
            (node.name.as_str(), node.ip.as_str()),
            ("cn-hangzhou.10.10.24.5", "10.10.24.5")
        );
    }

    #[test]
    fn a_missing_or_unready_node_is_waited_for_in_kubelets_words() {
        assert!(
            matches!(look("i-2", "cn-hangzhou", &pool(), &[ready_node()]), Look::Waits(why) if why.contains("cn-hangzhou.i-2"))
        );
        let mut node = ready_node();
        node["status"]["conditions"][0] = json!({"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "cni plugin not initialized"});
        let Look::Waits(why) = look_at(node) else { panic!("does not wait") };
        assert!(
            why.contains("KubeletNotReady") && why.contains("cni plugin not initialized"),
            "{why}"
        );
    }

    #[test]
    fn what_kubelet_was_not_given_fails_at_once_with_every_fault() {
        let mut node = ready_node();
        node["metadata"]["name"] = json!("localhost");
        node["metadata"]["labels"] = json!({});
        node["spec"]["taints"] = Value::Null;
        let Look::Wrong(faults) = look_at(node) else { panic!("not wrong") };
        let codes: Vec<_> = faults.iter().map(|fault| fault.code.as_str()).collect();
        assert_eq!(codes, ["NODE_LABEL", "NODE_NAME", "NODE_LABEL", "NODE_TAINT"]);
    }
}
