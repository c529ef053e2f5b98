//! `check-registered-cluster`: the cluster is a registered one, connected, in the region and VPC given, and its agent uses
//! the private endpoint (the guide's second prerequisite) with the permission to install add-ons.

use async_trait::async_trait;
use causeway_engine::{Failure, FailureClass, Finding};
use serde_json::{Value, json};

use super::cloud::{cloud_of, error, judged, spec_of, warning};
use crate::alibaba::cs;
use crate::kubernetes::{Cluster, Resource, cluster_of};
use crate::sdk::{Check, Checked, Context};
use crate::spec::document::Spec;

/// The agent's variable that tells which endpoint it uses.
const ENDPOINT_VARIABLE: &str = "INTERNAL_ENDPOINT";
/// The agent's service account, in kube-system.
const AGENT_ACCOUNT: &str = "ack";

/// The step.
pub struct CheckRegisteredCluster;

#[async_trait]
impl Check for CheckRegisteredCluster {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let client = cloud_of(context).await?;
        let spec = spec_of(context)?;
        let Some(cluster) = cs::describe_cluster(&client, &spec.cluster_id).await? else {
            let subject = format!("spec.cluster_id ({})", spec.cluster_id);
            let message = format!("the account has no such cluster in {}", spec.region);
            let remedy =
                "give the id of a registered cluster, as the console's cluster list shows it";
            return judged(
                "the registered cluster",
                vec![error("CLUSTER_NOT_FOUND", subject, message, remedy)],
                Value::Null,
            );
        };
        let mut findings = judge_cluster(&cluster, &spec);
        findings.extend(agent_findings(context).await?);
        let output = json!({
            "name": cluster.name,
            "region": cluster.region_id,
            "version": cluster.current_version,
            "vpc_id": cluster.vpc_id,
            "service_cidr": cluster.service_cidr,
        });
        judged("the registered cluster", findings, output)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &["cs:DescribeClusterDetail"]
    }
}

fn judge_cluster(cluster: &cs::Cluster, spec: &Spec) -> Vec<Finding> {
    let mut findings = Vec::new();
    let subject = format!("spec.cluster_id ({})", cluster.cluster_id);
    if cluster.cluster_type != "ExternalKubernetes" {
        findings.push(error(
            "NOT_REGISTERED",
            &subject,
            format!(
                "it is a cluster of type {}, not a registered one (ExternalKubernetes)",
                cluster.cluster_type
            ),
            "register the data center's cluster with ACK One, and give that cluster's id",
        ));
    }
    if cluster.state != "running" {
        let why = match cluster.state.as_str() {
            "waiting" => {
                "the data center's cluster was never connected: deploy the agent (with the private endpoint) there"
            }
            "disconnected" => {
                "the agent has lost its connection: look at its pods in kube-system, and at the line to the VPC"
            }
            _ => "wait until it is running, or repair it in the console",
        };
        findings.push(error(
            "CLUSTER_NOT_RUNNING",
            &subject,
            format!("its state is {}", cluster.state),
            why,
        ));
    }
    if cluster.region_id != spec.region {
        findings.push(error(
            "WRONG_REGION",
            format!("spec.region ({})", spec.region),
            format!("the cluster is in {}", cluster.region_id),
            "give the cluster's own region",
        ));
    }
    if cluster.vpc_id != spec.vpc.id {
        findings.push(error(
            "WRONG_VPC",
            format!("spec.vpc.id ({})", spec.vpc.id),
            format!(
                "the cluster was registered in {}; its node pools can only be there",
                cluster.vpc_id
            ),
            "give the VPC that the cluster was registered in",
        ));
    }
    if !cluster.service_cidr.is_empty() && cluster.service_cidr != spec.on_premises.service_cidr {
        findings.push(warning(
            "SERVICE_CIDR_DIFFERS",
            format!("spec.on_premises.service_cidr ({})", spec.on_premises.service_cidr),
            format!("the cluster was registered with {}", cluster.service_cidr),
            "make sure that the spec names what the data center's API server really uses",
        ));
    }
    findings
}

/// What the agent in the data center says about itself. An API server that can't be reached now is a reason to try again;
/// one that refuses is a finding.
async fn agent_findings(context: &Context) -> Result<Vec<Finding>, Failure> {
    let read = async {
        let cluster = cluster_of(context).await?;
        let deployments = cluster.list(&Resource::DEPLOYMENTS, Some("kube-system"), "").await?;
        let mut findings = Vec::from_iter(judge_agent(&deployments));
        findings.extend(judge_rights(agent_rules(&cluster).await?.as_deref()));
        Ok::<_, Failure>(findings)
    };
    match read.await {
        Err(failure) if matches!(failure.class, FailureClass::Permanent | FailureClass::Gone) => {
            let remedy = "let the kubeconfig's user read deployments in kube-system, cluster roles and their bindings";
            Ok(vec![error("AGENT_UNREADABLE", "kube-system", failure.message, remedy)])
        }
        other => other,
    }
}

fn endpoint_of(deployment: &Value) -> Option<&str> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    let variables = containers.iter().filter_map(|container| container["env"].as_array()).flatten();
    variables
        .filter(|variable| variable["name"] == ENDPOINT_VARIABLE)
        .find_map(|variable| variable["value"].as_str())
}

fn judge_agent(deployments: &[Value]) -> Option<Finding> {
    let found =
        deployments.iter().find_map(|deployment| Some((deployment, endpoint_of(deployment)?)));
    let Some((deployment, endpoint)) = found else {
        return Some(error(
            "AGENT_NOT_FOUND",
            "kube-system",
            format!(
                "no Deployment there has a container with the variable {ENDPOINT_VARIABLE}: the agent of the registered cluster is missing"
            ),
            "deploy the agent that the registered cluster's page gives, with the private endpoint",
        ));
    };
    let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
    (endpoint != "true").then(|| {
        error(
            "PUBLIC_AGENT",
            format!("deployment kube-system/{name}"),
            "the agent uses the public endpoint; node pools need the private one".to_owned(),
            "import the cluster anew with the private agent configuration, then set addNodeScriptPath again if it was set",
        )
    })
}

/// The rules of all cluster roles that the agent's account is bound to; none where it is bound to nothing.
async fn agent_rules(cluster: &Cluster) -> Result<Option<Vec<Value>>, Failure> {
    let rbac = |plural, kind| Resource::custom("rbac.authorization.k8s.io", "v1", plural, kind);
    let is_agent = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && subject["name"] == AGENT_ACCOUNT
            && subject["namespace"] == "kube-system"
    };
    let bindings =
        cluster.list(&rbac("clusterrolebindings", "ClusterRoleBinding"), None, "").await?;
    let mut rules = None;
    for binding in bindings.iter().filter(|binding| {
        binding["subjects"].as_array().is_some_and(|subjects| subjects.iter().any(is_agent))
    }) {
        let rules = rules.get_or_insert_with(Vec::new);
        let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
        if role == "cluster-admin" {
            rules.push(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}));
            continue;
        }
        let found = cluster.get(&rbac("clusterroles", "ClusterRole").named(role)).await?;
        rules.extend(found.iter().filter_map(|role| role["rules"].as_array()).flatten().cloned());
    }
    Ok(rules)
}

fn judge_rights(rules: Option<&[Value]>) -> Option<Finding> {
    let subject = format!("service account kube-system/{AGENT_ACCOUNT}");
    let Some(rules) = rules else {
        return Some(warning(
            "AGENT_RIGHTS_UNKNOWN",
            subject,
            "no cluster role binding names it, so whether the agent may install add-ons can't be seen".to_owned(),
            "if the add-on's installation is refused later, import the agent in admin mode",
        ));
    };
    const NEEDED: [(&str, &str); 5] = [
        ("apps", "daemonsets"),
        ("", "configmaps"),
        ("", "serviceaccounts"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
    ];
    let has = |rule: &Value, field: &str, wanted: &str| {
        rule[field]
            .as_array()
            .is_some_and(|values| values.iter().any(|value| value == "*" || value == wanted))
    };
    let allows = |group: &str, resource: &str| {
        rules.iter().any(|rule| {
            has(rule, "apiGroups", group)
                && has(rule, "resources", resource)
                && has(rule, "verbs", "create")
        })
    };
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(group, resource)| !allows(group, resource))
        .map(|(_, resource)| *resource)
        .collect();
    (!missing.is_empty()).then(|| {
        error(
            "RESTRICTED_AGENT",
            subject,
            format!(
                "the agent may not create {}, so it can't install the add-on",
                missing.join(", ")
            ),
            "import the agent in admin mode, or grant its service account these rights",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(value: &str) -> Value {
        json!({"metadata": {"name": "ack-cluster-agent"}, "spec": {"template": {"spec": {"containers": [
            {"name": "agent", "env": [{"name": "REGION", "value": "r"}, {"name": ENDPOINT_VARIABLE, "value": value}]}]}}}})
    }

    fn codes(findings: impl IntoIterator<Item = Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn only_the_private_agent_passes() {
        let other = json!({"metadata": {"name": "coredns"}, "spec": {"template": {"spec": {"containers": [{}]}}}});
        assert!(judge_agent(&[other.clone(), deployment("true")]).is_none());
        assert_eq!(codes(judge_agent(&[other.clone(), deployment("false")])), ["PUBLIC_AGENT"]);
        assert_eq!(codes(judge_agent(&[other])), ["AGENT_NOT_FOUND"]);
    }

    #[test]
    fn a_restricted_agent_is_told_what_it_lacks() {
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        assert!(judge_rights(Some(&[all])).is_none());
        let some =
            json!({"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get", "create"]});
        let finding = judge_rights(Some(&[some])).unwrap();
        assert!(
            finding.message.contains("clusterroles, customresourcedefinitions"),
            "{}",
            finding.message
        );
        assert_eq!(codes(judge_rights(None)), ["AGENT_RIGHTS_UNKNOWN"]);
    }

    #[test]
    fn every_fault_of_the_cluster_is_found_at_once() {
        let cluster: cs::Cluster = serde_json::from_value(json!({
            "cluster_id": "c1", "cluster_type": "ManagedKubernetes", "state": "disconnected", "region_id": "cn-beijing",
            "vpc_id": "vpc-2", "service_cidr": "172.20.0.0/16",
        }))
        .unwrap();
        let mut spec = Spec { region: "cn-hangzhou".into(), ..Spec::default() };
        spec.vpc.id = "vpc-1".into();
        spec.on_premises.service_cidr = "172.16.0.0/16".into();
        let found = codes(judge_cluster(&cluster, &spec));
        assert_eq!(
            found,
            [
                "NOT_REGISTERED",
                "CLUSTER_NOT_RUNNING",
                "WRONG_REGION",
                "WRONG_VPC",
                "SERVICE_CIDR_DIFFERS"
            ]
        );
    }
}
