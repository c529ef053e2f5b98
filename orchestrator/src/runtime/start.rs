//! Starting a workflow: checked, expanded, written with its first step's start in one append, answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_engine::event::{By, RunOptions, Started};
use causeway_engine::input::Refusal;
use causeway_engine::{Event, Input, Time, Workflow, WorkflowId, decide};
use causeway_workflows::Definition;
use causeway_workflows::spec;
use serde_json::Value;

use super::error::Error;
use super::locks::Wanted;
use super::owner::{self, Slot};
use super::requests::{Memo, Repeatable};
use super::summary::Summary;
use super::{LIVE_MAX, Runtime, codec};
use crate::store::{self, Append};

/// What a caller asks to be started.
#[derive(Debug, Clone, Default)]
pub struct StartRequest {
    /// The caller's own id.
    pub id: Option<WorkflowId>,
    /// `hybrid-cluster`, `saga-10`, …
    pub definition: String,
    /// The canonical document; null for definitions that take none.
    pub input: Value,
    /// Options of the run.
    pub options: RunOptions,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Who asks.
    pub by: By,
    /// What makes it repeatable.
    pub request: Repeatable,
    /// W3C trace context.
    pub traceparent: String,
    /// Digest of the plan that the start is held to; empty: none.
    pub plan_digest: String,
}

impl Runtime {
    /// Starts a workflow; the same request id and input again answers the same id.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the input, and others; nothing was done then.
    pub(super) async fn start(
        self: &Arc<Self>,
        request: StartRequest,
    ) -> Result<WorkflowId, Error> {
        // A task of its own: a caller who goes away in the middle must not leave a workflow behind that is written and not begun.
        let runtime = self.clone();
        let started = self.tasks.spawn(async move { runtime.start_now(request).await }).await;
        started.unwrap_or(Err(Error::ShuttingDown))
    }

    async fn start_now(self: &Arc<Self>, request: StartRequest) -> Result<WorkflowId, Error> {
        let memo = self.memo(&request.by, &request.request);
        if let Some(memo) = &memo
            && let Some(known) = self.known(memo).await?
        {
            return Ok(known);
        }
        self.admits()?;
        let mut started = self.prepare(&request).await?;
        if !request.plan_digest.is_empty() {
            started.plan =
                Some(Box::pin(self.bound_to_plan(&started, &request.plan_digest)).await?);
        }
        if self.slots().len() >= LIVE_MAX {
            return Err(Error::TooMany { what: "live workflows", limit: LIVE_MAX });
        }
        let id = started.id.clone();
        match (self.write_start(started, memo.as_ref()).await, memo) {
            (Err(error @ Error::AlreadyExists { .. }), Some(memo)) => {
                // The same request may have come twice at once.
                self.known(&memo).await?.ok_or(error)
            }
            (other, _) => other.map(|()| id),
        }
    }

    /// Everything that needs no call to the outside.
    pub(super) async fn prepare(&self, request: &StartRequest) -> Result<Started, Error> {
        let not_found = |what, name: &str| Error::NotFound { what, name: name.to_owned() };
        let definition = self
            .definition(&request.definition)
            .ok_or_else(|| not_found("definition", &request.definition))?;
        if definition.undoes.is_some() {
            return self.prepare_teardown(request, definition).await;
        }
        let name =
            request.input.pointer("/spec/connection").and_then(Value::as_str).unwrap_or_default();
        let connection = self.connection(name);
        let input = self.checked_input(definition, &request.input, name)?;
        let account = connection
            .as_ref()
            .map(|connection| connection.config.account_id.clone())
            .unwrap_or_default();
        let steps = definition.expand(&input, &account, &self.timing).map_err(|error| {
            Error::Invalid(vec![violation("spec", spec::reason::OUT_OF_RANGE, error.to_string())])
        })?;
        let cluster =
            input.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let lock = definition.lock(&input);
        if let Some(lock) = &lock {
            self.refuse_known_cluster(&cluster, lock.as_str()).await?;
        }
        Ok(Started {
            id: request.id.clone().unwrap_or_else(new_id),
            definition: definition.reference(),
            input,
            options: request.options.clone(),
            labels: request.labels.clone(),
            connection: name.to_owned(),
            cluster,
            lock,
            steps,
            by: request.by.clone(),
            traceparent: request.traceparent.clone(),
            plan: None,
            teardown: None,
        })
    }

    fn checked_input(
        &self,
        definition: &Definition,
        input: &Value,
        name: &str,
    ) -> Result<Value, Error> {
        if definition.cluster_id.is_none() {
            return Ok(input.clone());
        }
        let connection = self.connection(name);
        let config = connection
            .as_ref()
            .filter(|found| !found.config.name.is_empty())
            .map(|found| &found.config);
        let mut violations = Vec::new();
        // That a name is missing at all, the rules say.
        if config.is_none() && !name.is_empty() {
            let names: Vec<String> = self.handle_names();
            let message =
                format!("no such connection is configured; this daemon has {}", names.join(", "));
            violations.push(violation("spec.connection", "UNKNOWN_CONNECTION", message));
        }
        match spec::normalize_and_validate(input, config) {
            Ok(normal) if violations.is_empty() => Ok(normal),
            Ok(_) => Err(Error::Invalid(violations)),
            Err(more) => {
                violations.extend(more);
                Err(Error::Invalid(violations))
            }
        }
    }

    fn handle_names(&self) -> Vec<String> {
        let connections =
            self.connections.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        connections.keys().filter(|name| !name.is_empty()).cloned().collect()
    }

    /// A build for a cluster that has a record is refused, at the start and when it leaves the queue.
    pub(super) async fn refuse_known_cluster(&self, name: &str, lock: &str) -> Result<(), Error> {
        let cluster_id = lock.trim_start_matches("cluster/");
        let known = match self.cluster_named(name).await? {
            Some(record) => Some(record),
            None => self.cluster_with_id(cluster_id).await?,
        };
        match known {
            Some(record) => Err(Error::ClusterExists { cluster: record.name }),
            None => Ok(()),
        }
    }

    /// Whether the cluster's record still lets the workflow begin.
    ///
    /// # Errors
    /// [`Error::ClusterExists`] for a build, [`Error::ClusterChanged`] for a teardown.
    pub(super) async fn require_admissible(&self, next: &Workflow) -> Result<(), Error> {
        match (&next.lock, &next.teardown) {
            (_, Some(teardown)) => self.require_same_record(&next.cluster, teardown).await,
            (Some(lock), None) => self.refuse_known_cluster(&next.cluster, lock.as_str()).await,
            (None, None) => Ok(()),
        }
    }

    /// Two live workflows may share a name only where they are about one cluster: the record's name is unique.
    fn refuse_taken_name(&self, begun: &Workflow) -> Result<(), Error> {
        if begun.lock.is_none() {
            return Ok(());
        }
        let live: Vec<Arc<Slot>> = self.slots().values().cloned().collect();
        let taken = live.iter().map(|slot| slot.state()).find(|other| {
            other.cluster == begun.cluster && other.lock.is_some() && other.lock != begun.lock
        });
        match taken {
            Some(other) => Err(Error::NameTaken {
                name: begun.cluster.clone(),
                workflow: other.id.to_string(),
            }),
            None => Ok(()),
        }
    }

    async fn write_start(
        self: &Arc<Self>,
        started: Started,
        memo: Option<&Memo>,
    ) -> Result<(), Error> {
        let now = (self.clock)();
        let order = self.next_order();
        let begun = Workflow::begin(&started, now);
        let mut refusals: Vec<Refusal> = Vec::new();
        let id = begun.id.clone();
        // Between the look at id and name and the place among the live ones nobody else may take this name.
        let _naming = match &begun.lock {
            Some(_) => Some(self.naming.lock().await),
            None => None,
        };
        if self.slot(&id).is_some() {
            return Err(taken(&id));
        }
        self.refuse_taken_name(&begun)?;
        let (decision, next, acquire) = loop {
            let decided = decide(&begun, &Input::Begin, now, &refusals);
            let (decision, next) =
                decided.map_err(|rejection| Error::Rejected { rejection, state: None })?;
            let acquire: Vec<_> = next.holds().into_iter().collect();
            let wanted = Wanted {
                workflow: &id,
                order,
                acquire: &acquire,
                release: &[],
                together: &|_, _| false,
            };
            let taken = self.locks().acquire(&wanted);
            match taken {
                Ok(()) => break (decision, next, acquire),
                Err(refusal) => refusals.push(refusal),
            }
        };
        let events: Vec<Event> = std::iter::once(Event::Started(Box::new(started)))
            .chain(decision.events.iter().cloned())
            .collect();
        if let Err(error) = self.write_first(&next, &events, memo, now).await {
            let woken = self.locks().release(&id, &acquire);
            self.wake(woken);
            return Err(error);
        }
        let slot = Arc::new(Slot::new(next, order, true));
        self.slots().insert(id, slot.clone());
        self.begin(&slot, decision, &events, now);
        Ok(())
    }
}

fn taken(id: &WorkflowId) -> Error {
    Error::AlreadyExists { what: "workflow", name: id.to_string() }
}

impl Runtime {
    /// Makes the start durable, with its keys in hand.
    async fn write_first(
        &self,
        next: &Workflow,
        events: &[Event],
        memo: Option<&Memo>,
        now: Time,
    ) -> Result<(), Error> {
        if next.admitted {
            // Whoever held the lock since the first look may have built the cluster: only with it in hand is the answer final.
            self.require_admissible(next).await?;
        }
        let append = self.first_append(next, events, memo, now).await;
        let append = append?;
        let written = self.store.append(append).await;
        written.map(|_| ()).map_err(|error| self.not_written(error, &next.id))
    }

    /// Why a start was not written.
    fn not_written(&self, error: store::Error, id: &WorkflowId) -> Error {
        match error {
            store::Error::Refused(
                store::Refusal::Version { .. }
                | store::Refusal::RequestKnown { .. }
                | store::Refusal::Removed { .. },
            ) => taken(id),
            store::Error::Refused(refusal) => Error::StoreFailed(refusal.to_string()),
            // Looked at before anything is written: the caller's fault, and no reason to end.
            error @ (store::Error::TooLarge { .. } | store::Error::BadName { .. }) => {
                Error::Invalid(vec![violation("", spec::reason::OUT_OF_RANGE, error.to_string())])
            }
            other => {
                let error = Error::from(other);
                self.fail(&error);
                error
            }
        }
    }

    async fn first_append(
        &self,
        next: &Workflow,
        events: &[Event],
        memo: Option<&Memo>,
        now: Time,
    ) -> Result<Append, Error> {
        let id = &next.id;
        let mut append = Append::new(self.fence, id.as_str(), 0);
        for record in causeway_engine::apply::number(0, now, events.to_vec()) {
            let encoded = codec::encode(&record, &self.sealer);
            if let Some((blob, bytes)) = encoded.blob {
                let put = self.store.put_blob(&blob, bytes).await;
                put.map_err(|error| self.not_written(error, id))?;
                append.blobs.push(blob);
            }
            append.events.push(encoded.row);
        }
        self.follow_record(next, events, &mut append).await?;
        append.acquire = next.holds().iter().map(owner::store_hold).collect();
        append.summary =
            Some(serde_json::to_vec(&Summary::of(next)).expect("a summary has string keys only"));
        // One with nothing to wait for ends as it begins.
        append.live = !next.is_ended();
        append.timer = next.next_due(now).map(|due| due.0);
        append.requests.extend(memo.map(|memo| memo.row(id, now)));
        let audit = serde_json::json!({ "at": now, "workflow": id.as_str(), "verb": "Start", "by": next.started_by });
        append.audit.push(audit.to_string().into_bytes());
        Ok(append)
    }
}

fn violation(path: &str, reason: &'static str, message: String) -> spec::Violation {
    spec::Violation { path: path.to_owned(), message, reason }
}

/// `w` and 15 random base32 characters.
pub(super) fn new_id() -> WorkflowId {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let random: [u8; 15] = rand::random();
    let text: String =
        random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    WorkflowId::new(format!("w{text}"))
}
