//! Workflows in lists: what the runtime keeps in the row for lists.

use causeway_proto::{names, v1 as pb};

use super::{non_empty, public_state, time};
use crate::runtime::Summary;

/// A workflow as a list shows it: no steps, no input.
pub(in crate::api) fn listed(summary: &Summary) -> pb::Workflow {
    let waiting = non_empty(&summary.waiting_reason).map(|reason| pb::Waiting {
        reason: pb::waiting::Reason::from_str_name(reason)
            .unwrap_or(pb::waiting::Reason::Operator)
            .into(),
        ..Default::default()
    });
    pb::Workflow {
        name: names::workflow(&summary.id),
        id: summary.id.clone(),
        definition: summary.definition.clone(),
        revision: summary.revision,
        state: public_state(summary.state).into(),
        waiting,
        labels: summary.labels.clone(),
        hybrid_cluster: non_empty(&summary.cluster).map(names::hybrid_cluster).unwrap_or_default(),
        cluster_id: summary.cluster_id.clone(),
        connection: summary.connection.clone(),
        create_time: Some(time(summary.started_at)),
        update_time: Some(time(summary.updated_at)),
        end_time: summary.ended_at.map(time),
        ..Default::default()
    }
}
