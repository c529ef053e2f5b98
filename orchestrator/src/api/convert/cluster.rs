//! HybridClusters and connections.

use causeway_proto::{json, names, v1 as pb};
use causeway_workflows::{ConnectionConfig, CredentialSource};
use sha2::{Digest as _, Sha256};

use super::{ledger_entry, time};
use crate::runtime::{ClusterRecord, Found, Verification, VerifiedStep};

/// The record of a cluster.
pub(in crate::api) fn hybrid_cluster(record: &ClusterRecord) -> pb::HybridCluster {
    let input = json::decode::<pb::HybridClusterInput>(&record.spec).unwrap_or_default();
    let entries = record.ledger.iter().map(|entry| {
        let shown = ledger_entry(&entry.object, &entry.step, &record.workflow);
        match &entry.kept {
            Some(why) => pb::LedgerEntry {
                state: pb::ledger_entry::State::Kept.into(),
                note: format!("kept: {why}"),
                ..shown
            },
            None => shown,
        }
    });
    let mut cluster = pb::HybridCluster {
        name: names::hybrid_cluster(&record.name),
        metadata: input.metadata,
        spec: input.spec,
        result: result(record),
        ledger: entries.collect(),
        workflow: names::workflow(&record.workflow),
        revision: record.definition.revision,
        create_time: Some(time(record.created_at)),
        update_time: Some(time(record.updated_at.unwrap_or(record.created_at))),
        etag: String::new(),
        complete: record.complete,
    };
    cluster.etag = hex::encode(&Sha256::digest(json::encode(&cluster).to_string())[..8]);
    cluster
}

/// What became of a cluster since it was built.
pub(in crate::api) fn verification(found: &Verification) -> pb::HybridClusterVerification {
    use pb::verified_step::State;
    let steps: Vec<pb::VerifiedStep> = found.steps.iter().map(verified).collect();
    let count = |state: State| {
        u32::try_from(steps.iter().filter(|step| step.state() == state).count()).unwrap_or(u32::MAX)
    };
    pb::HybridClusterVerification {
        name: names::hybrid_cluster(&found.cluster),
        drifts: count(State::Drifted),
        unread: count(State::Unread),
        create_time: Some(time(found.verified_at)),
        steps,
    }
}

fn verified(step: &VerifiedStep) -> pb::VerifiedStep {
    use pb::verified_step::State;
    let name = step.spec.name.as_str();
    let (state, why) = match &step.found {
        Found::Holds => (State::Holds, None),
        Found::Drifted(failure) => (State::Drifted, Some(failure)),
        Found::Unread(failure) => (State::Unread, Some(failure)),
    };
    pb::VerifiedStep {
        name: name.to_owned(),
        kind: super::step::kind(step.spec.kind).into(),
        state: state.into(),
        failure: why.map(|failure| super::step::failure(failure, name)),
        changes: step.changes.iter().map(super::change).collect(),
        warnings: step.warnings.iter().map(|found| super::finding(found, name)).collect(),
    }
}

/// What was built; none where nothing was finished.
pub(in crate::api) fn result(record: &ClusterRecord) -> Option<pb::HybridClusterResult> {
    if record.result.is_null() {
        return None;
    }
    match json::decode(&record.result) {
        Ok(result) => Some(result),
        Err(violations) => {
            let why: Vec<_> = violations.iter().map(ToString::to_string).collect();
            tracing::error!(cluster = %record.name, why = why.join("; "), "The result of a build can't be shown");
            None
        }
    }
}

/// A connection, without anything secret.
pub(in crate::api) fn connection(config: &ConnectionConfig) -> pb::Connection {
    let credentials = match config.credentials {
        CredentialSource::Default { .. } => "default",
        CredentialSource::Environment => "environment",
        CredentialSource::SharedFile { .. } => "shared-file",
    };
    pb::Connection {
        name: config.name.clone(),
        account_id: config.account_id.clone(),
        regions: config.regions.clone(),
        clusters: config.clusters.clone(),
        max_nodes: config.max_nodes,
        max_concurrent_calls: u32::try_from(config.max_concurrent_calls).unwrap_or(u32::MAX),
        credentials: credentials.to_owned(),
        kubeconfig_clusters: config.kubeconfigs.keys().cloned().collect(),
    }
}
