//! What can still be read of a workflow with corrupt records, and why the rest can't. It reads a store, and changes nothing.

use std::collections::BTreeSet;

use causeway_engine::state::{Hold, Quarantine};
use causeway_engine::{Record, ResourceKey, Time, Workflow, WorkflowId};

use super::codec;
use super::error::Error;
use super::summary::Summary;
use crate::store::{self, Store};

/// The best picture of a workflow, kept apart since `since` with what it holds. `why` is what a plain reading stumbled over.
///
/// # Errors
/// [`Error::StoreFailed`].
pub(super) async fn read(
    store: &dyn Store,
    id: &str,
    why: String,
    since: Time,
    holds: BTreeSet<Hold>,
) -> Result<Workflow, Error> {
    let head = match store.head(id).await {
        Err(store::Error::Corrupt { .. }) => None,
        head => head?,
    };
    let readable = store.readable_records(id).await?;
    let mut faults: Vec<String> =
        readable.errors.into_iter().map(|error| Error::from(error).to_string()).collect();
    let mut records: Vec<Record> = Vec::new();
    for (index, row) in &readable.records {
        let number = index + 1;
        match codec::decode(store, id, number, row).await {
            Ok(record) if record.seq == number => records.push(record),
            Ok(record) => faults.push(format!("record {number} says that it is {}", record.seq)),
            Err(error @ Error::Corrupt { .. }) => faults.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    if faults.is_empty() {
        faults.push(why);
    }
    let seq = head.as_ref().map_or(readable.next, |head| head.records);
    let quarantine = Quarantine { why: faults, since, incomplete: false, holds };
    let mut state = Workflow::salvage(&WorkflowId::from(id), &records, seq, quarantine);
    let summary = head.and_then(|head| serde_json::from_slice::<Summary>(&head.summary).ok());
    if let (true, Some(summary)) = (state.definition.name.is_empty(), summary) {
        by_summary(&mut state, summary);
    }
    Ok(state)
}

/// Without its first record, the row for lists says what it is.
fn by_summary(state: &mut Workflow, summary: Summary) {
    state.definition.name = summary.definition;
    state.definition.revision = summary.revision;
    state.cluster = summary.cluster;
    state.connection = summary.connection;
    state.labels = summary.labels;
    state.started_at = summary.started_at;
    state.updated_at = summary.updated_at;
    if !summary.cluster_id.is_empty() {
        state.lock = Some(ResourceKey::new(format!("cluster/{}", summary.cluster_id)));
    }
}
