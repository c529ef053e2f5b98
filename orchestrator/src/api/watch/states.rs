//! States of workflows as they were at some record, kept for a while: whoever follows many workflows needs each one as it was
//! before its next record, and those who follow the same ones need the same.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use causeway_engine::{Workflow, WorkflowId};

use crate::runtime::{Error, Handle};

/// Most states that are kept: a state may take some hundred KiB. Those beyond are folded from the journal again.
const STATES_MAX: usize = 256;

/// The states.
#[derive(Default)]
pub(in crate::api) struct States(Mutex<Kept>);

type Key = (WorkflowId, u64);

#[derive(Default)]
struct Kept {
    states: HashMap<Key, Arc<Workflow>>,
    /// The oldest first.
    order: VecDeque<Key>,
}

impl States {
    /// The state after so many records; none where the workflow was deleted.
    pub(super) async fn at(
        &self,
        handle: &Handle,
        id: &WorkflowId,
        seq: u64,
    ) -> Result<Option<Arc<Workflow>>, Error> {
        let kept = self.kept(|kept| kept.states.get(&(id.clone(), seq)).cloned());
        if kept.is_some() {
            return Ok(kept);
        }
        let state = handle.state_at(id, seq).await?;
        if let Some(state) = &state {
            self.keep(state);
        }
        Ok(state)
    }

    /// Keeps a state for whoever needs it next. One that can't change any more is not needed.
    pub(super) fn keep(&self, state: &Arc<Workflow>) {
        if state.is_ended() || state.quarantine.is_some() {
            return;
        }
        self.kept(|kept| {
            let key = (state.id.clone(), state.seq);
            if kept.states.insert(key.clone(), state.clone()).is_none() {
                kept.order.push_back(key);
            }
            while kept.order.len() > STATES_MAX {
                if let Some(oldest) = kept.order.pop_front() {
                    kept.states.remove(&oldest);
                }
            }
        });
    }

    fn kept<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
