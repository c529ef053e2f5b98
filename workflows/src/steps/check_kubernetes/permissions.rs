//! Whether the kubeconfig's user may do what the later steps do in the cluster: each verb is asked for beforehand.

use causeway_engine::Failure;
use futures::future::try_join_all;

use super::{CalicoFacts, CalicoInstall, Findings};
use crate::kubernetes::{Cluster, Resource, Review};
use crate::spec::Document;

/// One permission, and which step needs it.
struct Need<'a> {
    review: Review<'a>,
    step: &'static str,
}

/// Asks for all of them, and reports every one that is missing.
pub(super) async fn check(
    cluster: &Cluster,
    document: &Document,
    calico: Option<&CalicoFacts>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let needs = needs(document, calico);
    let answers = try_join_all(needs.iter().map(|need| cluster.allowed(&need.review))).await?;
    for (need, _) in needs.iter().zip(answers).filter(|(_, allowed)| !allowed) {
        let Review { verb, resource, namespace, subresource, .. } = &need.review;
        let place = namespace.map_or_else(String::new, |namespace| format!(" in {namespace}"));
        let part = subresource.map_or_else(String::new, |part| format!("/{part}"));
        let subject = format!("{verb} {}{part}{place}", resource.plural());
        let message = format!("the kubeconfig's user may not {subject}, which {} needs", need.step);
        findings.error(
            "PERMISSION_MISSING",
            subject,
            message,
            "grant it, or use the kubeconfig of a cluster administrator",
        );
    }
    Ok(())
}

fn needs<'a>(document: &Document, calico: Option<&'a CalicoFacts>) -> Vec<Need<'a>> {
    const SYSTEM: Option<&str> = Some("kube-system");
    let mut needs = Vec::new();
    let mut need = |step: &'static str,
                    resource: Resource,
                    namespace: Option<&'a str>,
                    verbs: &[&'static str]| {
        for verb in verbs {
            let (verb, subresource) =
                verb.split_once(' ').map_or((*verb, None), |(verb, part)| (verb, Some(part)));
            needs.push(Need {
                review: Review {
                    verb,
                    resource: resource.clone(),
                    namespace,
                    name: None,
                    subresource,
                },
                step,
            });
        }
    };
    match calico {
        Some(facts) if facts.install == CalicoInstall::Operator => {
            need("fence-calico", Resource::INSTALLATIONS, None, &["get", "patch"]);
        }
        Some(facts) => need(
            "fence-calico",
            Resource::DAEMON_SETS,
            Some(facts.namespace.as_str()),
            &["get", "patch"],
        ),
        None => {}
    }
    need("store-addon-secret", Resource::SECRETS, SYSTEM, &["get", "create", "delete"]);
    need("install-terway", Resource::CRDS, None, &["list", "create", "patch"]);
    need("install-terway", Resource::IP_POOLS, None, &["list", "create", "patch"]);
    need("configure-eni", Resource::CONFIG_MAPS, SYSTEM, &["get", "patch"]);
    need("configure-eni", Resource::PODS, SYSTEM, &["list", "delete"]);
    need("register-init-script", Resource::CONFIG_MAPS, SYSTEM, &["create", "delete"]);
    if document.spec.node_pools.iter().any(|pool| pool.size.is_some_and(|size| size > 0)) {
        need("scale-out", Resource::NODES, None, &["list", "patch", "delete"]);
        need("scale-out", Resource::PODS, None, &["list", "create eviction"]);
    }
    need("verify-cni", Resource::PODS, None, &["list"]);
    needs
}
