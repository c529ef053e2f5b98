//! Whether the kubeconfig's user may do what the later steps do in the cluster: each verb is asked for beforehand.

use causeway_engine::Failure;
use futures::future::try_join_all;

use super::{CalicoFacts, Findings};
use crate::kubernetes::{Cluster, Resource, Verb, verbs};
use crate::spec::Document;
use crate::steps::{
    configure_eni, fence_calico, install_terway, mint_join_token, register_init_script, scale_out,
    store_addon_secret,
};

/// Asks for all of them, and reports every one that is missing.
pub(super) async fn check(
    cluster: &Cluster,
    document: &Document,
    calico: Option<&CalicoFacts>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let needs = needs(document, calico);
    let answers = try_join_all(needs.iter().map(|(_, need)| cluster.allowed(need))).await?;
    for ((step, need), _) in needs.iter().zip(answers).filter(|(_, allowed)| !allowed) {
        let subject = need.to_string();
        let message = format!("the kubeconfig's user may not {subject}, which {step} needs");
        findings.error(
            "PERMISSION_MISSING",
            subject,
            message,
            "grant it, or use the kubeconfig of a cluster administrator",
        );
    }
    Ok(())
}

/// Every verb once, with the first step that needs it.
fn needs(document: &Document, calico: Option<&CalicoFacts>) -> Vec<(&'static str, Verb)> {
    let grows = document.spec.node_pools.iter().any(|pool| pool.size.is_some_and(|size| size > 0));
    let by_step = [
        ("fence-calico", fence_calico::preview::needs(calico)),
        ("store-addon-secret", store_addon_secret::preview::needs()),
        ("install-terway", install_terway::preview::needs()),
        ("configure-eni", configure_eni::preview::needs()),
        ("mint-join-token", mint_join_token::preview::needs()),
        ("register-init-script", register_init_script::preview::needs()),
        ("scale-out", if grows { scale_out::preview::needs() } else { Vec::new() }),
        ("verify-cni", verbs(&Resource::PODS, None, &["list"])),
    ];
    let mut needs: Vec<(&'static str, Verb)> = Vec::new();
    for (step, need) in by_step
        .into_iter()
        .flat_map(|(step, needs)| needs.into_iter().map(move |need| (step, need)))
    {
        if needs.iter().all(|(_, known)| *known != need) {
            needs.push((step, need));
        }
    }
    needs
}
