//! After a start: every live workflow is read again, what it held is its own again, and what was in flight is resolved. A record
//! that can't be read quarantines that workflow, and the rest goes on.

use std::sync::Arc;

use causeway_engine::apply::replay;
use causeway_engine::input::Refusal;
use causeway_engine::state::Hold;
use causeway_engine::{Input, ResourceKey, StepName, Workflow, WorkflowId};

use super::error::Error;
use super::locks::Wanted;
use super::owner::Slot;
use super::{Runtime, codec};

impl Runtime {
    /// Reads the store. Nothing may be started before it returns.
    ///
    /// # Errors
    /// Where the store can't be read at all.
    pub async fn recover(self: &Arc<Self>) -> Result<(), Error> {
        self.store.collect_blobs().await?;
        self.index_clusters().await?;
        let live = self.store.live().await?;
        let mut slots = Vec::new();
        for id in live {
            match self.read(&id).await {
                Ok(state) => slots.push(Arc::new(Slot::new(state, self.next_order()))),
                Err(Error::Corrupt { what, why }) => {
                    self.quarantine(id, format!("{what} can't be read: {why}"))
                }
                Err(error) => return Err(error),
            }
        }
        self.take_back_keys(&slots).await?;
        tracing::info!(workflows = slots.len(), "The store was read");
        for slot in slots {
            let wants = slot.state().wants();
            self.locks().set_wants(&slot.id, slot.order, &wants);
            self.slots().insert(slot.id.clone(), slot.clone());
            self.deliver(&slot, Input::Recover.into());
            // What parked it may have been mended while the daemon was down; if not, it is parked again.
            self.deliver(&slot, Input::Unpark.into());
        }
        Ok(())
    }

    /// A workflow's state from its records.
    pub(super) async fn read(&self, id: &str) -> Result<Workflow, Error> {
        let records = codec::read_all(self.store.as_ref(), id).await?;
        replay(&records).map_err(|error| Error::Corrupt {
            what: format!("the journal of workflow {id}"),
            why: error.to_string(),
        })
    }

    fn quarantine(&self, id: String, why: String) {
        tracing::error!(workflow.id = %id, why = %why, "The record of a workflow is corrupt; it is quarantined and keeps its locks");
        self.quarantined.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, why);
    }

    /// Puts every hold back into the table: of the states, and of quarantined workflows by the store's rows.
    async fn take_back_keys(&self, slots: &[Arc<Slot>]) -> Result<(), Error> {
        for row in self.store.locks().await? {
            let workflow = WorkflowId::new(row.workflow);
            let order = slots.iter().find(|slot| slot.id == workflow).map_or(0, |slot| slot.order);
            let hold: Hold = (ResourceKey::new(row.key), row.step.map(StepName::new));
            let wanted = Wanted {
                workflow: &workflow,
                order,
                acquire: std::slice::from_ref(&hold),
                release: &[],
                together: &|_, _| true,
            };
            let taken = self.locks().acquire(&wanted);
            if let Err(Refusal { key, behind, .. }) = taken {
                tracing::error!(key = %key, workflow.id = %workflow, behind = %behind, "Two workflows hold one key");
            }
        }
        Ok(())
    }
}
