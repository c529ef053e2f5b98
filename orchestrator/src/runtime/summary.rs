//! The row for lists: what a list shows of a workflow without reading its records.

use std::collections::BTreeMap;

use causeway_engine::{PublicState, Time, Workflow};
use serde::{Deserialize, Serialize};

/// One workflow in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// What it runs.
    pub definition: String,
    /// Of the definition.
    pub revision: u32,
    /// Its public state.
    pub state: PublicState,
    /// The HybridCluster's name; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Id of the registered cluster that it locks; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    /// The connection's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub connection: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was started.
    pub started_at: Time,
    /// Its last record.
    pub updated_at: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Records so far: the etag.
    pub seq: u64,
    /// Why it waits, where it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waiting_reason: String,
}

impl Summary {
    /// Of a state.
    #[must_use]
    pub fn of(state: &Workflow) -> Self {
        Self {
            id: state.id.to_string(),
            definition: state.definition.name.clone(),
            revision: state.definition.revision,
            state: state.public_state(),
            cluster: state.cluster.clone(),
            cluster_id: cluster_id(state),
            connection: state.connection.clone(),
            labels: state.labels.clone(),
            started_at: state.started_at,
            updated_at: state.updated_at,
            ended_at: state.ended_at,
            seq: state.seq,
            waiting_reason: state.waiting().map(|waiting| waiting.reason).unwrap_or_default(),
        }
    }
}

fn cluster_id(state: &Workflow) -> String {
    let locked = state.lock.as_ref().and_then(|key| key.as_str().strip_prefix("cluster/"));
    locked.unwrap_or_default().to_owned()
}
