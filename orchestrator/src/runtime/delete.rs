//! Deleting an ended workflow: its rows go, its cluster's record and what is remembered of requests stay.

use causeway_engine::WorkflowId;

use super::Runtime;
use super::error::Error;
use super::handle::Ask;
use crate::store::{self, Refusal, Removal};

impl Runtime {
    /// Deletes an ended workflow.
    ///
    /// # Errors
    /// [`Error::Rejected`] where it has not ended, [`Error::NotFound`], [`Error::EtagMismatch`], those of a repeated request.
    pub(super) async fn delete(&self, id: &WorkflowId, ask: &Ask) -> Result<(), Error> {
        let memo = self.memo(&ask.by, &ask.request);
        if let Some(memo) = &memo
            && self.recall(memo).await?.is_some()
        {
            return Ok(());
        }
        self.admits()?;
        let state = self.state(id).await?;
        ask.check_etag(&state)?;
        state.may_be_deleted().map_err(|rejection| Error::Rejected {
            rejection,
            state: Some(state.public_state()),
        })?;
        let now = (self.clock)();
        let audit = serde_json::json!({ "at": now, "workflow": id.as_str(), "verb": "Delete", "by": ask.by });
        let removal = Removal {
            fence: self.fence,
            workflow: id.to_string(),
            expected: state.seq,
            at_ms: now.0,
            sealed: !self.is_relied_on(id).await?,
            requests: memo.iter().map(|memo| memo.row(id, now)).collect(),
            audit: vec![audit.to_string().into_bytes()],
        };
        match (self.store.remove(removal).await, memo) {
            (Ok(_), _) => Ok(()),
            // Somebody was faster: with this very request, or with another.
            (Err(store::Error::Refused(Refusal::RequestKnown { .. })), Some(memo)) => {
                self.recall(&memo).await.map(|_| ())
            }
            (Err(store::Error::Refused(_)), _) => {
                Err(Error::NotFound { what: "workflow", name: id.to_string() })
            }
            (Err(error), _) => {
                let error = Error::from(error);
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Whether a cluster's record names a sealed value of the workflow: its teardown needs it.
    async fn is_relied_on(&self, id: &WorkflowId) -> Result<bool, Error> {
        let reference = format!("\"$secret\":\"{id}/");
        let records = match self.cluster_records().await {
            // What can't be read may name it.
            Err(Error::Corrupt { .. }) => return Ok(true),
            records => records?,
        };
        Ok(records.iter().any(|record| {
            let text = serde_json::to_string(record).expect("a record has string keys only");
            text.contains(&reference)
        }))
    }
}
