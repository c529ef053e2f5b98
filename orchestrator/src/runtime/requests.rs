//! Requests that may be repeated: what is remembered of each, and what follows when its id comes again. The memory is scoped to
//! the principal, is written in the append of what the request does, and outlives a restart and the workflow itself.
//!
//! What was refused is not remembered: it changed nothing, and is judged anew. What was allowed and changed nothing (a resume of
//! what runs) is remembered all the same: done later it might change something that nobody meant. The etag is no part of a
//! request's input: it says what the caller saw, and a repeat has seen more.

use std::collections::BTreeMap;

use causeway_engine::event::By;
use causeway_engine::{Time, WorkflowId};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::{REQUEST_MEMORY, Runtime};
use crate::store::{self, RequestRow};

/// The field that says which call it was; it is compared first.
const RPC: &str = "rpc";

/// What makes a call repeatable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeatable {
    /// The caller's own; empty: the call is not repeatable.
    pub id: String,
    /// The name of the call.
    pub rpc: &'static str,
    /// Each field of the request as text, to name the one that differs when the id is used again. Kept as an HMAC only.
    pub fields: BTreeMap<String, String>,
}

/// What is remembered of a request.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    workflow: String,
    /// HMACs of the fields, by name.
    fingerprint: BTreeMap<String, String>,
}

/// A request as it is looked up and remembered.
#[derive(Debug, Clone)]
pub(super) struct Memo {
    key: String,
    fingerprint: BTreeMap<String, String>,
}

impl Memo {
    /// The row to be written with what the request does.
    pub(super) fn row(&self, workflow: &WorkflowId, now: Time) -> RequestRow {
        let remembered =
            Remembered { workflow: workflow.to_string(), fingerprint: self.fingerprint.clone() };
        RequestRow {
            key: self.key.clone(),
            body: serde_json::to_vec(&remembered).expect("texts always become JSON"),
            expires_ms: now.plus_ms(causeway_workflows::timing::millis(REQUEST_MEMORY)).0,
        }
    }
}

impl Runtime {
    /// The request as it is remembered; none where it has no id.
    pub(super) fn memo(&self, by: &By, request: &Repeatable) -> Option<Memo> {
        if request.id.is_empty() {
            return None;
        }
        let rpc = (RPC.to_owned(), request.rpc.to_owned());
        let digest = |text: &str| self.sealer.digest("request", text.as_bytes());
        let fields = request.fields.iter().map(|(field, text)| (field.clone(), digest(text)));
        Some(Memo {
            key: format!("{}/{}", by.principal, request.id),
            fingerprint: fields.chain([rpc]).collect(),
        })
    }

    /// The workflow that the same request was about, whether or not it is still there; none where the id is new.
    ///
    /// # Errors
    /// [`Error::RequestReused`] where it was used for something else.
    pub(super) async fn recall(&self, memo: &Memo) -> Result<Option<WorkflowId>, Error> {
        let Some(row) = self.store.request(&memo.key).await? else { return Ok(None) };
        let known: Remembered = serde_json::from_slice(&row.body)
            .map_err(|error| Error::StoreFailed(format!("request {}: {error}", memo.key)))?;
        let differs = |field: &str| memo.fingerprint.get(field) != known.fingerprint.get(field);
        let all = memo.fingerprint.keys().chain(known.fingerprint.keys());
        match [RPC].into_iter().chain(all.map(String::as_str)).find(|field| differs(field)) {
            Some(field) => Err(Error::RequestReused { field: field.to_owned() }),
            None => Ok(Some(WorkflowId::new(known.workflow))),
        }
    }

    /// The workflow that the same request was about; none where the id is new.
    ///
    /// # Errors
    /// [`Error::RequestReused`]; [`Error::RequestExpired`] where the workflow has been deleted since.
    pub(super) async fn known(&self, memo: &Memo) -> Result<Option<WorkflowId>, Error> {
        let Some(workflow) = self.recall(memo).await? else { return Ok(None) };
        match self.store.head(workflow.as_str()).await {
            Ok(None) => Err(Error::RequestExpired),
            // It is there, also where its head can't be read.
            Ok(Some(_)) | Err(store::Error::Corrupt { .. }) => Ok(Some(workflow)),
            Err(error) => Err(error.into()),
        }
    }
}
