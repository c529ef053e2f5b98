//! Who holds which key, and who waits for it: the picture of the store's rows that decides at once and fairly. A free key goes to
//! the workflow that was started first among those that wait for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use causeway_engine::input::Refusal;
use causeway_engine::state::Hold;
use causeway_engine::{ResourceKey, StepName, WorkflowId};

/// The order of starts: lower was first.
pub(crate) type Order = u64;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct LockTable {
    holders: HashMap<ResourceKey, BTreeSet<(WorkflowId, Option<StepName>)>>,
    waiters: HashMap<ResourceKey, BTreeMap<Order, WorkflowId>>,
}

/// What a workflow wants to take.
pub(crate) struct Wanted<'a> {
    pub(crate) workflow: &'a WorkflowId,
    pub(crate) order: Order,
    pub(crate) acquire: &'a [Hold],
    pub(crate) release: &'a [Hold],
    /// Whether two of the workflow's own steps may hold one key together: members of one undo group.
    pub(crate) together: &'a dyn Fn(&StepName, &StepName) -> bool,
}

impl Wanted<'_> {
    /// Whether two holders within the workflow may have one key at the same time.
    fn shares(&self, one: &Option<StepName>, other: &Option<StepName>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => one == other || (self.together)(one, other),
            _ => true,
        }
    }
}

impl LockTable {
    /// Takes all of `acquire`, or nothing and says what stood in the way.
    pub(crate) fn acquire(&mut self, wanted: &Wanted<'_>) -> Result<(), Refusal> {
        for (index, (key, step)) in wanted.acquire.iter().enumerate() {
            let earlier = wanted.acquire[..index]
                .iter()
                .any(|(known, other)| known == key && !wanted.shares(step, other));
            let behind = if earlier {
                Some(wanted.workflow.clone())
            } else {
                self.in_the_way(wanted, key, step.as_ref())
            };
            if let Some(behind) = behind {
                return Err(Refusal { step: step.clone(), key: key.clone(), behind });
            }
        }
        for (key, step) in wanted.acquire {
            self.holders
                .entry(key.clone())
                .or_default()
                .insert((wanted.workflow.clone(), step.clone()));
        }
        Ok(())
    }

    fn in_the_way(
        &self,
        wanted: &Wanted<'_>,
        key: &ResourceKey,
        step: Option<&StepName>,
    ) -> Option<WorkflowId> {
        let given_up = |step: &Option<StepName>| {
            wanted.release.iter().any(|(released, by)| released == key && by == step)
        };
        let own = |holder: &(WorkflowId, Option<StepName>)| {
            holder.0 == *wanted.workflow
                && (wanted.shares(&holder.1, &step.cloned()) || given_up(&holder.1))
        };
        let held = self.holders.get(key).into_iter().flatten().find(|holder| !own(holder));
        if let Some((holder, _)) = held {
            return Some(holder.clone());
        }
        let mine = self
            .holders
            .get(key)
            .is_some_and(|holders| holders.iter().any(|(holder, _)| holder == wanted.workflow));
        let (order, first) = self.waiters.get(key)?.first_key_value()?;
        (!mine && *order < wanted.order).then(|| first.clone())
    }

    /// Gives up; answers the workflows that may now go on: the first that waits for each key.
    pub(crate) fn release(&mut self, workflow: &WorkflowId, release: &[Hold]) -> Vec<WorkflowId> {
        let mut wake = Vec::new();
        for (key, step) in release {
            if let Some(holders) = self.holders.get_mut(key) {
                holders.remove(&(workflow.clone(), step.clone()));
                if holders.is_empty() {
                    self.holders.remove(key);
                }
            }
            wake.extend(self.first_waiter(key));
        }
        wake
    }

    /// Notes what a workflow waits for now; answers who may go on because it waits no longer.
    pub(crate) fn set_wants(
        &mut self,
        workflow: &WorkflowId,
        order: Order,
        wants: &BTreeSet<ResourceKey>,
    ) -> Vec<WorkflowId> {
        let dropped: Vec<ResourceKey> = self
            .waiters
            .iter()
            .filter(|(key, waiters)| waiters.get(&order) == Some(workflow) && !wants.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in wants {
            self.waiters.entry(key.clone()).or_default().insert(order, workflow.clone());
        }
        // A key may have come free between its refusal and this note: then nobody else would wake the one that waits.
        let free = wants.iter().filter(|key| !self.holders.contains_key(*key));
        let mut wake: Vec<WorkflowId> = free.filter_map(|key| self.first_waiter(key)).collect();
        for key in dropped {
            if let Some(waiters) = self.waiters.get_mut(&key) {
                waiters.remove(&order);
                if waiters.is_empty() {
                    self.waiters.remove(&key);
                }
            }
            if !self.holders.contains_key(&key) {
                wake.extend(self.first_waiter(&key));
            }
        }
        wake
    }

    fn first_waiter(&self, key: &ResourceKey) -> Option<WorkflowId> {
        self.waiters.get(key)?.first_key_value().map(|(_, workflow)| workflow.clone())
    }

    /// Whether anybody waits at all: spares the scan of [`Self::set_wants`].
    pub(crate) fn nobody_waits(&self) -> bool {
        self.waiters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(key: &str, step: &str) -> Hold {
        (ResourceKey::from(key), Some(StepName::from(step)))
    }

    fn take(
        table: &mut LockTable,
        workflow: &str,
        order: Order,
        holds: &[Hold],
    ) -> Result<(), Refusal> {
        let workflow = WorkflowId::from(workflow);
        table.acquire(&Wanted {
            workflow: &workflow,
            order,
            acquire: holds,
            release: &[],
            together: &|_, _| false,
        })
    }

    #[test]
    fn all_keys_are_taken_at_once_or_none() {
        let mut table = LockTable::default();
        take(&mut table, "w1", 1, &[hold("b", "s")]).unwrap();
        let refusal = take(&mut table, "w2", 2, &[hold("a", "s"), hold("b", "s")]).unwrap_err();
        assert_eq!((refusal.key.as_str(), refusal.behind.as_str()), ("b", "w1"));
        take(&mut table, "w3", 3, &[hold("a", "s")]).unwrap();
    }

    #[test]
    fn a_free_key_goes_to_the_workflow_that_was_started_first() {
        let mut table = LockTable::default();
        let wants = BTreeSet::from([ResourceKey::from("a")]);
        take(&mut table, "w1", 1, &[hold("a", "s")]).unwrap();
        table.set_wants(&"w3".into(), 3, &wants);
        table.set_wants(&"w2".into(), 2, &wants);
        assert_eq!(table.release(&"w1".into(), &[hold("a", "s")]), vec![WorkflowId::from("w2")]);
        assert!(take(&mut table, "w3", 3, &[hold("a", "s")]).is_err());
        take(&mut table, "w2", 2, &[hold("a", "s")]).unwrap();
    }

    #[test]
    fn who_waits_no_longer_is_passed_over() {
        let mut table = LockTable::default();
        let wants = BTreeSet::from([ResourceKey::from("a")]);
        table.set_wants(&"w2".into(), 2, &wants);
        table.set_wants(&"w3".into(), 3, &wants);
        assert_eq!(
            table.set_wants(&"w2".into(), 2, &BTreeSet::new()),
            vec![WorkflowId::from("w3")]
        );
        take(&mut table, "w3", 3, &[hold("a", "s")]).unwrap();
    }

    #[test]
    fn a_key_that_came_free_before_its_waiter_was_noted_wakes_it() {
        let mut table = LockTable::default();
        take(&mut table, "w1", 1, &[hold("a", "s")]).unwrap();
        take(&mut table, "w2", 2, &[hold("a", "s")]).unwrap_err();
        assert_eq!(table.release(&"w1".into(), &[hold("a", "s")]), vec![]);
        let wants = BTreeSet::from([ResourceKey::from("a")]);
        assert_eq!(table.set_wants(&"w2".into(), 2, &wants), vec![WorkflowId::from("w2")]);
    }

    #[test]
    fn two_steps_that_start_together_do_not_both_get_one_key() {
        let refusal =
            take(&mut LockTable::default(), "w1", 1, &[hold("a", "one"), hold("a", "two")])
                .unwrap_err();
        assert_eq!((refusal.step.unwrap().as_str(), refusal.behind.as_str()), ("two", "w1"));
    }

    #[test]
    fn two_steps_of_one_workflow_exclude_each_other_unless_they_are_undone_together() {
        let mut table = LockTable::default();
        take(&mut table, "w1", 1, &[hold("a", "one")]).unwrap();
        assert!(take(&mut table, "w1", 1, &[hold("a", "two")]).is_err());
        let workflow = WorkflowId::from("w1");
        let holds = [hold("a", "two")];
        table
            .acquire(&Wanted {
                workflow: &workflow,
                order: 1,
                acquire: &holds,
                release: &[],
                together: &|_, _| true,
            })
            .unwrap();
    }
}
