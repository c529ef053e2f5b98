//! After a start: every live workflow is read again, what it held is its own again, and what was in flight is resolved. A record
//! that can't be read quarantines that workflow, and the rest goes on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use causeway_engine::apply::replay;
use causeway_engine::event::End;
use causeway_engine::input::Refusal;
use causeway_engine::state::Hold;
use causeway_engine::{Input, ResourceKey, StepName, Workflow, WorkflowId};

use super::backup::waits_after_restore;
use super::error::Error;
use super::locks::Wanted;
use super::owner::Slot;
use super::{Runtime, codec, salvage};
use crate::store::LockRow;

impl Runtime {
    /// Reads the store. Nothing may be started before it returns.
    ///
    /// # Errors
    /// Where the store can't be read at all.
    pub async fn recover(self: &Arc<Self>) -> Result<(), Error> {
        self.store.collect_blobs().await?;
        self.index_clusters().await?;
        let live = self.store.live().await?;
        let locks = self.store.locks().await?;
        let mut slots = Vec::new();
        for id in live {
            let state = match self.read(&id).await {
                Ok(state) => state,
                Err(Error::Corrupt { what, why }) => {
                    self.quarantined(&id, format!("{what} can't be read: {why}"), &locks).await?
                }
                Err(error) => return Err(error),
            };
            slots.push(Arc::new(Slot::new(state, self.next_order(), false)));
        }
        self.take_back_keys(&slots, locks);
        let restored = self.store.is_restored().await?;
        let mut parked = Vec::new();
        tracing::info!(workflows = slots.len(), "The store was read");
        for slot in slots {
            let wants = slot.state().wants();
            self.locks().set_wants(&slot.id, slot.order, &wants);
            self.slots().insert(slot.id.clone(), slot.clone());
            if slot.state().quarantine.is_some() {
                continue;
            }
            if restored {
                // Before anything else: it is to begin nothing.
                parked.push(self.park_restored(&slot));
            }
            self.deliver(&slot, Input::Recover.into());
            // What parked it may have been mended while the daemon was down; if not, it is parked again.
            if !restored && !waits_after_restore(&slot.state()) {
                self.deliver(&slot, Input::Unpark.into());
            }
        }
        if restored {
            self.settle_restore(parked).await?;
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

    /// A live workflow that can't be read: kept apart with what it holds.
    async fn quarantined(
        &self,
        id: &str,
        why: String,
        locks: &[LockRow],
    ) -> Result<Workflow, Error> {
        tracing::error!(workflow.id = %id, why = %why, "The record of a workflow is corrupt; it is quarantined and keeps its locks");
        let own = locks.iter().filter(|row| row.workflow == id);
        let holds = own.map(|row| {
            (ResourceKey::from(row.key.as_str()), row.step.as_deref().map(StepName::from))
        });
        salvage::read(self.store.as_ref(), id, why, self.started_at, holds.collect()).await
    }

    /// A workflow's state that is not live, from its records; of one that was given up as they could not all be read, or of which
    /// only the row beside its records is lost, from those that can.
    pub(super) async fn read_ended(&self, id: &str) -> Result<Workflow, Error> {
        let (what, why) = match self.read(id).await {
            Err(Error::Corrupt { what, why }) => (what, why),
            read => return read,
        };
        let (at, none) = (self.started_at, BTreeSet::new());
        let mut state = salvage::read(self.store.as_ref(), id, why.clone(), at, none).await?;
        let whole = !state.quarantine.as_ref().is_some_and(|kept| kept.incomplete);
        match state.end {
            Some(_) if whole => {
                state.quarantine = None;
                Ok(state)
            }
            Some(End::Abandoned) => Ok(state),
            _ => Err(Error::Corrupt { what, why }),
        }
    }

    /// Puts every hold back into the table: of the states, and of quarantined workflows by the store's rows.
    fn take_back_keys(&self, slots: &[Arc<Slot>], locks: Vec<LockRow>) {
        let orders: HashMap<_, _> = slots.iter().map(|slot| (&slot.id, slot.order)).collect();
        for row in locks {
            let workflow = WorkflowId::new(row.workflow);
            let order = orders.get(&workflow).copied().unwrap_or_default();
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
    }
}
