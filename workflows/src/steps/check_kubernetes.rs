//! `check-kubernetes`: the data center's cluster is reached, is fit for Terway, and lets the later steps do what they do.
//! It pins the cluster's identity, and says where Calico, the join endpoint and the CA are.

mod calico;
mod join;
mod landing;
mod permissions;

use async_trait::async_trait;
use causeway_engine::{Failure, FailureClass, Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::install_terway::version;
use super::join_token;
use crate::kubernetes::{Cluster, Resource, cluster_of, kube_system_uid, node};
use crate::sdk::{Check, Checked, Context, value};
use crate::spec::Document;

/// The step.
pub struct CheckKubernetes;

/// How Calico came into the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalicoInstall {
    /// From a manifest or chart: the DaemonSet is nobody's.
    Manifest,
    /// By the Tigera operator, which puts direct changes back.
    Operator,
}

/// Where Calico is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalicoFacts {
    /// Namespace of the DaemonSet.
    pub namespace: String,
    /// Name of the DaemonSet.
    pub daemonset: String,
    /// How it came there.
    pub install: CalicoInstall,
}

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckKubernetesOutput {
    /// UID of namespace kube-system: the cluster's identity.
    pub kube_system_uid: String,
    /// Of the API server, without the `v`.
    pub version: String,
    /// `HOST:PORT` as cloud nodes reach it.
    pub api_server: String,
    /// `sha256:` and the hex hash of the CA's public key, as kubeadm pins it.
    pub ca_hash: String,
    /// CIDR of the services.
    pub service_cidr: String,
    /// Where Calico is.
    pub calico: CalicoFacts,
    /// Container runtime of the data center's nodes, such as `containerd://1.7.22`.
    pub runtime: String,
}

/// Collects what is found.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(
        &mut self,
        code: &str,
        subject: impl Into<String>,
        message: impl Into<String>,
        remedy: &str,
    ) {
        self.push(Severity::Error, code, subject.into(), message.into(), remedy);
    }

    fn warning(
        &mut self,
        code: &str,
        subject: impl Into<String>,
        message: impl Into<String>,
        remedy: &str,
    ) {
        self.push(Severity::Warning, code, subject.into(), message.into(), remedy);
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &str,
        subject: String,
        message: String,
        remedy: &str,
    ) {
        self.0.push(Finding {
            severity,
            code: code.to_owned(),
            subject,
            message,
            remedy: remedy.to_owned(),
        });
    }

    fn fatal(&self) -> usize {
        self.0.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

#[async_trait]
impl Check for CheckKubernetes {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let document: Document = context.document()?;
        let cluster = cluster_of(context).await?;
        let uid = kube_system_uid(&cluster).await.map_err(no_credentials)?;
        let version = cluster.version().await?;
        let mut findings = Findings::default();
        check_version(&document, &version, &mut findings);
        let nodes = readable(&cluster, &Resource::NODES, &mut findings).await?;
        let daemon_sets = readable(&cluster, &Resource::DAEMON_SETS, &mut findings).await?;
        let calico = calico::find(&document, &daemon_sets, &mut findings);
        calico::check_mode(&cluster, &document, &mut findings).await?;
        permissions::check(&cluster, &document, calico.as_ref(), &mut findings).await?;
        let join = join::look(&cluster, &document, &mut findings).await?;
        let service_cidr = join::service_cidr(&cluster, &document, &mut findings).await?;
        join_token::check(context, &cluster, &document, &mut |code, subject, message, remedy| {
            findings.error(code, subject, message, remedy);
        })
        .await?;
        landing::check(&document, &daemon_sets, calico.as_ref(), &mut findings);
        let Some((calico, join)) = calico.zip(join).filter(|_| findings.fatal() == 0) else {
            let message = format!(
                "the data center's Kubernetes is not fit: {} finding(s) to mend",
                findings.fatal()
            );
            return Err(Failure::findings(message, findings.0).with_code("KUBERNETES_UNFIT"));
        };
        let output = CheckKubernetesOutput {
            kube_system_uid: uid,
            version,
            api_server: join.api_server,
            ca_hash: join.ca_hash,
            service_cidr,
            calico,
            runtime: runtime(&nodes),
        };
        Ok(Checked::Passed { output: value(&output), warnings: findings.0 })
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &["cs:DescribeClusterUserKubeconfig"]
    }
}

/// Refused credentials are nothing that passes by itself.
fn no_credentials(failure: Failure) -> Failure {
    if failure.code.as_deref() == Some("Unauthorized") || failure.code.as_deref() == Some("Http401")
    {
        return Failure { class: FailureClass::Permanent, ..failure };
    }
    failure
}

/// A list, or a finding where it is not permitted: the other checks go on.
async fn readable(
    cluster: &Cluster,
    resource: &Resource,
    findings: &mut Findings,
) -> Result<Vec<Value>, Failure> {
    match cluster.list(resource, None, "").await {
        Err(failure) if failure.class == FailureClass::Permanent => {
            let remedy = "grant `list` on it to the kubeconfig's user";
            findings.error(
                "PERMISSION_MISSING",
                format!("list {}", resource.plural()),
                failure.message,
                remedy,
            );
            Ok(Vec::new())
        }
        other => other,
    }
}

fn check_version(document: &Document, kubernetes: &str, findings: &mut Findings) {
    let wanted = &document.spec.terway.version;
    if version::Version::parse(kubernetes).is_none() {
        findings.error(
            "KUBERNETES_VERSION",
            kubernetes,
            "the API server tells a version that can't be read",
            "check the kubeconfig",
        );
    } else if !wanted.is_empty() && !version::fits(wanted, kubernetes) {
        let message = format!(
            "Terway {wanted} does not run on Kubernetes {kubernetes}: 1.8 needs 1.24, 1.9 needs 1.30, 1.10 and later need 1.31"
        );
        findings.error(
            "TERWAY_VERSION",
            "spec.terway.version",
            message,
            "name a version that fits, or leave it out for the newest that does",
        );
    }
}

/// What the data center's own nodes run.
fn runtime(nodes: &[Value]) -> String {
    let own = nodes.iter().filter(|one| !node::is_cloud(one));
    own.filter_map(|one| one["status"]["nodeInfo"]["containerRuntimeVersion"].as_str())
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests;
