//! Teardowns beside the engine: from a cluster's record to the start of the workflow that undoes it, and back into the record,
//! in the append of each undo.

use causeway_engine::event::{End, Started};
use causeway_engine::teardown::{Inherited, Teardown};
use causeway_engine::{Event, ResourceKey, Step, StepKind, StepSpec, Workflow, WorkflowId};
use causeway_workflows::Definition;
use serde_json::Value;

use super::Runtime;
use super::cluster::{ClusterRecord, StepRecord};
use super::error::Error;
use super::start::{StartRequest, new_id};
use crate::store::{Append, ClusterRemoval};

impl Runtime {
    /// The start of the teardown of a cluster's record. Needs no call to the outside.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no record, [`Error::TeardownUnfit`] where it can't be undone by this daemon.
    pub(super) async fn prepare_teardown(
        &self,
        request: &StartRequest,
        definition: &Definition,
    ) -> Result<Started, Error> {
        let name = request.input["hybrid_cluster"].as_str().unwrap_or_default();
        let Some((version, record)) = self.cluster_row(name).await? else {
            return Err(Error::NotFound { what: "hybrid cluster", name: name.to_owned() });
        };
        let unfit = |why: String| Error::TeardownUnfit { cluster: record.name.clone(), why };
        let known = definition.reference();
        let built = &record.definition;
        let same = definition.undoes == Some(built.name.as_str())
            && (known.revision, &known.digest) == (built.revision, &built.digest);
        if !same {
            return Err(unfit(format!(
                "it was built by {}/{}, which this daemon does not know, or knows as another definition; use one that does",
                built.name, built.revision
            )));
        }
        let account = match self.connection(&record.connection) {
            Some(connection) => connection.config.account_id.clone(),
            None => {
                return Err(unfit(format!(
                    "its connection {} is not configured; configure it again, for the same account",
                    record.connection
                )));
            }
        };
        let identity = record.steps.iter().find(|step| step.step == "check-identity");
        let built_in = identity.and_then(|step| step.output["account_id"].as_str());
        if let Some(other) = built_in.filter(|built_in| *built_in != account) {
            return Err(unfit(format!(
                "it was built in account {other}, and its connection {} is now that of account {account}; point it back",
                record.connection
            )));
        }
        let expanded = definition.expand(&record.spec, &account, &self.timing);
        let steps = expanded.map_err(|error| unfit(error.to_string()))?;
        if let Some(check) = missing_check(&steps, &record) {
            return Err(unfit(format!(
                "its record does not say what {check} saw, as it was written by an earlier version; undo it by hand, as `causeway clusters get {}` says",
                record.name
            )));
        }
        Ok(Started {
            id: request.id.clone().unwrap_or_else(new_id),
            definition: known,
            lock: Some(ResourceKey::new(format!("cluster/{}", record.cluster_id))),
            steps,
            teardown: Some(Box::new(Teardown {
                builder: WorkflowId::new(record.workflow.clone()),
                record: version,
                forget: request.input["forget"].as_bool().unwrap_or_default(),
                steps: record.steps.iter().map(|step| inherited(step, &record)).collect(),
            })),
            input: record.spec,
            options: request.options.clone(),
            labels: request.labels.clone(),
            connection: record.connection,
            cluster: record.name,
            by: request.by.clone(),
            traceparent: request.traceparent.clone(),
            plan: None,
        })
    }

    /// Whether the record is still the one that the teardown was made from: another one may have run meanwhile.
    pub(super) async fn require_same_record(
        &self,
        name: &str,
        teardown: &Teardown,
    ) -> Result<(), Error> {
        match self.cluster_row(name).await? {
            Some((version, record))
                if version == teardown.record && record.workflow == teardown.builder.as_str() =>
            {
                Ok(())
            }
            _ => Err(Error::ClusterChanged { cluster: name.to_owned() }),
        }
    }

    /// Puts into the append what a teardown has come to: each undo updates the record, the last one removes it, with the
    /// secrets that it needed.
    pub(super) async fn update_record(
        &self,
        next: &Workflow,
        teardown: &Teardown,
        events: &[Event],
        append: &mut Append,
    ) -> Result<(), Error> {
        let moved = |event: &Event| matches!(event, Event::UndoEnded { .. } | Event::Ended { .. });
        let untouched = matches!(next.end, Some(End::Rejected | End::Cancelled));
        if untouched || next.quarantine.is_some() || !events.iter().any(moved) {
            return Ok(());
        }
        let record = match self.cluster_named(&next.cluster).await {
            Ok(Some(record)) if record.workflow == teardown.builder.as_str() => record,
            Ok(_) => return Ok(()),
            // One unreadable record must not end the daemon, and again at each start.
            Err(error @ Error::Corrupt { .. }) => {
                tracing::error!(cluster = %next.cluster, error = %error, "The record can't follow its teardown");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let done = next.end == Some(End::Succeeded)
            && (teardown.forget || !next.steps.iter().any(Step::remains));
        if done {
            append.unsealed.extend(record.secrets());
            append
                .clusters_gone
                .push(ClusterRemoval { name: record.name, cluster_id: record.cluster_id });
        } else {
            append.clusters.push(self.write_of(record.torn(next)).await?);
        }
        Ok(())
    }
}

fn inherited(step: &StepRecord, record: &ClusterRecord) -> Inherited {
    let effects = record.ledger.iter().filter(|entry| entry.step == step.step);
    Inherited {
        step: step.step.as_str().into(),
        touched: step.touched,
        before: step.before.clone(),
        verdict: step.verdict,
        output: step.output.clone(),
        effects: effects.map(|entry| entry.object.clone()).collect(),
        claim: step.claim.clone(),
        settles_at: step.settles_at,
    }
}

/// A check before something that is to be undone of which the record keeps no output: it pins account and cluster.
fn missing_check(steps: &[StepSpec], record: &ClusterRecord) -> Option<String> {
    let kept = |name: &str| record.steps.iter().any(|step| step.step == name);
    let touched = record.steps.iter().filter(|step| step.touched || step.claim.is_some());
    let mut open: Vec<&str> = touched.map(|step| step.step.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(spec) = steps.iter().find(|spec| spec.name.as_str() == name) else { continue };
        if spec.kind == StepKind::Check && !kept(name) {
            return Some(name.to_owned());
        }
        open.extend(
            spec.after.iter().map(|after| after.as_str()).filter(|after| seen.insert(*after)),
        );
    }
    None
}

/// Ids of all sealed values that a document refers to.
pub(super) fn secrets_in(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::Object(fields) => {
            found.extend(fields.get("$secret").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| secrets_in(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| secrets_in(item, found)),
        _ => {}
    }
}
