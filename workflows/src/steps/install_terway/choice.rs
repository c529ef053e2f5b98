//! What is installed: the version that fits, or what is there already and is as wanted.

use causeway_engine::event::Verdict;
use causeway_engine::{Failure, Finding};
use serde_json::Value;

use super::crd_guard::Guard;
use super::{DAEMON_SET, NAMESPACE, admits_data_center, output_of, version};
use crate::alibaba::Client;
use crate::alibaba::cs::{self, AddonInstance};
use crate::kubernetes::{Cluster, Resource};
use crate::sdk::{Observed, value};
use crate::spec::{Spec, TerwayCredentials};
use crate::steps::cloud::{conflict, warning};

/// An add-on that was there: as wanted, or in the way.
pub(super) async fn adopt(
    spec: &Spec,
    cluster: &Cluster,
    instance: AddonInstance,
) -> Result<Observed, Failure> {
    let wanted = &spec.terway.version;
    if !wanted.is_empty() && !version::same(wanted, &instance.version) {
        return Err(conflict(format!(
            "add-on {DAEMON_SET} {} is installed, the input asks for {wanted}; upgrade it, or leave spec.terway.version out",
            instance.version
        )));
    }
    if instance.state != "active" {
        return Err(Failure::retryable(format!(
            "add-on {DAEMON_SET} is there and is {}; it is looked at again",
            instance.state
        ))
        .with_code("ADDON_BUSY"));
    }
    require_secret_support(spec, &instance.version)?;
    let daemon_set =
        cluster.get(&Resource::DAEMON_SETS.at(NAMESPACE, DAEMON_SET)).await?.unwrap_or_default();
    if admits_data_center(&daemon_set) {
        return Err(conflict(format!(
            "add-on {DAEMON_SET} is installed, and its DaemonSet is missing or not kept to cloud nodes; see to its nodeSelector \
             alibabacloud.com/external=true, then start again"
        )));
    }
    Ok(Observed::as_wanted(
        Verdict::Adopted,
        Value::Null,
        value(&output_of(&instance.version, String::new())),
    ))
}

/// The version to install: the one asked for, or the newest that fits.
pub(super) async fn choose(
    client: &Client,
    spec: &Spec,
    kubernetes: &str,
) -> Result<String, Failure> {
    let wanted = &spec.terway.version;
    let registered = cs::describe_cluster(client, &spec.cluster_id).await?.ok_or_else(|| {
        conflict(format!(
            "registered cluster {} is gone, though the checks found it",
            spec.cluster_id
        ))
    })?;
    let mut offered: Vec<String> = Vec::new();
    if let Some(addon) = cs::describe_addon(client, &registered, DAEMON_SET).await? {
        offered.push(addon.version);
        offered.extend(addon.newer_versions.into_iter().map(|newer| newer.version));
    }
    let listed = cs::list_addons(client, &registered).await?;
    offered.extend(
        listed.into_iter().filter(|addon| addon.name == DAEMON_SET).map(|addon| addon.version),
    );
    let names: Vec<&str> =
        offered.iter().map(String::as_str).filter(|version| !version.is_empty()).collect();
    let chosen = if wanted.is_empty() {
        version::choose(&names, kubernetes).map(str::to_owned)
    } else {
        // The catalogue may list only the newest; the installation itself knows more versions.
        Some(
            names
                .iter()
                .find(|one| version::same(one, wanted))
                .map_or_else(|| prefixed(wanted), |one| (*one).to_owned()),
        )
    };
    let chosen = chosen.filter(|chosen| version::fits(chosen, kubernetes)).ok_or_else(|| {
        let asked = if wanted.is_empty() { names.join(", ") } else { wanted.clone() };
        Failure::permanent(format!(
            "no version of {DAEMON_SET} fits Kubernetes {kubernetes} (looked at: {asked}); Terway 1.8 needs 1.24, 1.9 needs 1.30, \
             1.10 and later need 1.31: name a version in spec.terway.version, or update the cluster"
        ))
        .with_code("TERWAY_VERSION")
    })?;
    require_secret_support(spec, &chosen)?;
    Ok(chosen)
}

fn prefixed(version: &str) -> String {
    format!("v{}", version.trim_start_matches('v'))
}

pub(super) fn require_secret_support(spec: &Spec, version: &str) -> Result<(), Failure> {
    if spec.terway.credentials != TerwayCredentials::Secret || version::reads_secret(version) {
        return Ok(());
    }
    Err(Failure::permanent(format!(
        "Terway {version} does not read Secret alibaba-addon-secret (1.8 and later do); set spec.terway.credentials to ENI_CONFIG or AUTO"
    ))
    .with_code("TERWAY_CREDENTIALS"))
}

pub(super) fn warnings(guard: &Guard) -> Vec<Finding> {
    let own = guard.terways_own();
    own.into_iter()
        .map(|name| {
            warning(
                "TERWAY_CRD_PRESENT",
                format!("CRD {name}"),
                "it was there before Terway, and uninstalling Terway would remove it with its objects: an undo will stop before that",
                "remove it beforehand if it is a leftover",
            )
        })
        .collect()
}
