//! The HybridCluster record: what a finished build left, with the ledger that a teardown needs. It outlives the workflow.

use causeway_engine::event::{Claim, End, Object, Origin, Verdict};
use causeway_engine::state::{Phase, Step};
use causeway_engine::{DefinitionRef, Event, Time, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Runtime;
use super::error::Error;
use super::teardown::secrets_in;
use crate::store::{Append, ClusterRow, ClusterWrite, PAGE_MAX, VALUE_BYTES_MAX};

/// One object of the ledger, with what its undo needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The step that touched it.
    pub step: String,
    /// The object.
    pub object: Object,
    /// Why a teardown has kept it; none: none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// What is kept of one step: what its undo needs, months later, and what the undo of others reads of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step.
    pub step: String,
    /// Its before-image; secrets in it are references.
    pub before: Value,
    /// Its output.
    pub output: Value,
    /// Its claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// What it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Whether it may have changed something that was not put back since.
    #[serde(default = "touched")]
    pub touched: bool,
    /// No lost call of it can land after this.
    #[serde(default)]
    pub settles_at: Time,
}

/// Records that do not say so have no other steps.
fn touched() -> bool {
    true
}

impl StepRecord {
    /// What a later teardown needs of a step; none where it was never begun.
    fn of(step: &Step) -> Option<Self> {
        if step.phase == Phase::Pending && !step.in_undo_set() {
            return None;
        }
        let remains = step.remains();
        let ours = step.verdict == Some(Verdict::Ours);
        Some(Self {
            step: step.spec.name.to_string(),
            before: step.before.clone(),
            output: step.output.clone(),
            claim: step.claim.clone().filter(|_| remains),
            verdict: step.verdict.filter(|_| remains || !ours),
            touched: remains && step.touched,
            settles_at: step.last_call_settles_at(),
        })
    }
}

/// The record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// `metadata.name`.
    pub name: String,
    /// The registered cluster.
    pub cluster_id: String,
    /// The connection's name.
    pub connection: String,
    /// The workflow that built it.
    pub workflow: String,
    /// What it ran.
    pub definition: DefinitionRef,
    /// True where the build succeeded; false where it was abandoned.
    pub complete: bool,
    /// The input document.
    pub spec: Value,
    /// What was built, by the definition.
    pub result: Value,
    /// Everything touched or caused.
    pub ledger: Vec<LedgerEntry>,
    /// What each undo needs.
    pub steps: Vec<StepRecord>,
    /// When the build ended.
    pub created_at: Time,
    /// When a teardown has changed it last; none: none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
}

impl ClusterRecord {
    /// The record of a workflow that has just ended; none where it leaves nothing.
    #[must_use]
    pub fn of(state: &Workflow, result: Value) -> Option<Self> {
        let complete = match state.end {
            Some(End::Succeeded) => true,
            Some(End::Abandoned) => false,
            _ => return None,
        };
        if state.cluster.is_empty()
            || state.quarantine.as_ref().is_some_and(|kept| !kept.holds_lock(state.lock.as_ref()))
        {
            return None;
        }
        Some(Self {
            name: state.cluster.clone(),
            cluster_id: state
                .lock
                .as_ref()
                .map(|key| key.as_str().trim_start_matches("cluster/").to_owned())
                .unwrap_or_default(),
            connection: state.connection.clone(),
            workflow: state.id.to_string(),
            definition: state.definition.clone(),
            complete,
            spec: (*state.input).clone(),
            result,
            ledger: ledger(state),
            steps: state.steps.iter().filter_map(StepRecord::of).collect(),
            created_at: state.ended_at.unwrap_or(state.updated_at),
            updated_at: None,
        })
    }

    /// The record as a teardown has left it so far.
    pub(super) fn torn(self, state: &Workflow) -> Self {
        let steps = state.steps.iter().filter_map(StepRecord::of).collect();
        let updated_at = Some(state.updated_at);
        Self { complete: false, ledger: ledger(state), steps, updated_at, ..self }
    }

    /// Ids of all sealed values that it refers to.
    pub(super) fn secrets(&self) -> Vec<String> {
        let document = serde_json::to_value(self).expect("a record has string keys only");
        let mut found = Vec::new();
        secrets_in(&document, &mut found);
        found
    }
}

/// What is there of what the steps touched or caused, and what they found and left as it was.
fn ledger(state: &Workflow) -> Vec<LedgerEntry> {
    let mut ledger = Vec::new();
    for step in &state.steps {
        let there = |object: &&Object| object.present || object.origin == Origin::Adopted;
        ledger.extend(step.effects.iter().filter(there).map(|object| LedgerEntry {
            step: step.spec.name.to_string(),
            object: object.clone(),
            kept: step.kept_because().map(str::to_owned),
        }));
    }
    ledger
}

/// The record in a row of the store.
///
/// # Errors
/// [`Error::Corrupt`] naming the cluster, where it is none.
pub(super) fn decode(row: &ClusterRow) -> Result<ClusterRecord, Error> {
    serde_json::from_slice(&row.body).map_err(|error| Error::Corrupt {
        what: format!("cluster {}", row.name),
        why: format!("it is no record that this version knows, at byte {}", error.column()),
    })
}

impl Runtime {
    /// Puts into the append what it means for the cluster's record: a build that has just ended leaves one, a teardown takes
    /// it down entry by entry.
    pub(super) async fn follow_record(
        &self,
        next: &Workflow,
        events: &[Event],
        append: &mut Append,
    ) -> Result<(), Error> {
        // Who never had the cluster's lock has nothing to say of its record.
        if !next.admitted && next.quarantine.is_none() {
            return Ok(());
        }
        if let Some(teardown) = &next.teardown {
            return self.update_record(next, teardown, events, append).await;
        }
        if !matches!(next.end, Some(End::Succeeded | End::Abandoned)) {
            return Ok(());
        }
        if let Some(record) = ClusterRecord::of(next, self.result_of(next)) {
            append.clusters.push(self.write_of(record).await?);
        }
        Ok(())
    }

    /// A record as it is written. One that is too long for a row (before-images hold whole CRDs) becomes a blob, which is put here,
    /// before the append that names it.
    pub(super) async fn write_of(&self, record: ClusterRecord) -> Result<ClusterWrite, Error> {
        let mut body = serde_json::to_vec(&record).expect("a record has string keys only");
        let mut blob = None;
        if body.len() > VALUE_BYTES_MAX {
            let id = self.sealer.blob_id(&body);
            self.store.put_blob(&id, std::mem::take(&mut body)).await?;
            blob = Some(id);
        }
        Ok(ClusterWrite { name: record.name, cluster_id: record.cluster_id, body, blob })
    }

    /// All records, by name.
    pub(super) async fn cluster_records(&self) -> Result<Vec<ClusterRecord>, Error> {
        let mut records: Vec<ClusterRecord> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let rows = self.store.clusters(after.as_deref(), PAGE_MAX).await?;
            let Some(last) = rows.last() else { return Ok(records) };
            after = Some(last.name.clone());
            for row in &rows {
                records.push(decode(row)?);
            }
        }
    }

    /// The record of that name.
    pub(super) async fn cluster_named(&self, name: &str) -> Result<Option<ClusterRecord>, Error> {
        self.store.cluster(name).await?.as_ref().map(decode).transpose()
    }

    /// The record of that name or cluster id, with its version.
    pub(super) async fn cluster_row(
        &self,
        name_or_id: &str,
    ) -> Result<Option<(u64, ClusterRecord)>, Error> {
        let row = match self.store.cluster(name_or_id).await? {
            Some(row) => Some(row),
            None => self.store.cluster_of(name_or_id).await?,
        };
        let Some(row) = row else { return Ok(None) };
        let record = decode(&row)?;
        let named = [&record.name, &record.cluster_id].into_iter().any(|known| known == name_or_id);
        Ok(named.then_some((row.version, record)))
    }

    /// The record of the cluster with that id.
    pub(super) async fn cluster_with_id(
        &self,
        cluster_id: &str,
    ) -> Result<Option<ClusterRecord>, Error> {
        let found = self.store.cluster_of(cluster_id).await?.as_ref().map(decode).transpose()?;
        // An id may still lead to a name that another cluster has by now.
        Ok(found.filter(|record| record.cluster_id == cluster_id))
    }

    /// Makes records that were written before there was a way to them by cluster id found by it. One that can't be read keeps
    /// nothing else from starting.
    pub(super) async fn index_clusters(&self) -> Result<(), Error> {
        let records = match self.cluster_records().await {
            Err(error @ Error::Corrupt { .. }) => {
                tracing::error!(error = %error, "The records of hybrid clusters can't all be read");
                return Ok(());
            }
            records => records?,
        };
        for record in records {
            let name = record.name.clone();
            match self.index_cluster(record).await {
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::error!(cluster = %name, error = %error, "A record is found by its name only");
                }
                indexed => indexed?,
            }
        }
        Ok(())
    }

    async fn index_cluster(&self, record: ClusterRecord) -> Result<(), Error> {
        if record.cluster_id.is_empty() || self.cluster_with_id(&record.cluster_id).await?.is_some()
        {
            return Ok(());
        }
        let head = self.store.head(&record.workflow).await?;
        let Some(head) = head.filter(|head| !head.live) else {
            tracing::error!(cluster = %record.name, "The workflow of a cluster's record is gone; the record is found by its name only");
            return Ok(());
        };
        let mut append = Append::new(self.fence, &record.workflow, head.records);
        append.live = false;
        append.clusters.push(self.write_of(record).await?);
        self.store.append(append).await?;
        Ok(())
    }
}
