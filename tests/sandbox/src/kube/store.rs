//! The objects, their revisions and the log that watches read. Knows nothing of HTTP, admission or kinds beyond the
//! list of those that are served.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::registry::{self, CRD_GROUP, CRD_PLURAL, Kind};

/// How many changes stay readable for watches; an older resourceVersion is `410 Expired`.
const LOG_LENGTH: usize = 20_000;

/// Where an object lies, whatever version it is asked for in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// API group.
    pub group: String,
    /// `configmaps`.
    pub plural: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of an object of a kind.
    #[must_use]
    pub(super) fn of(kind: &Kind, namespace: &str, name: &str) -> Self {
        Self {
            group: kind.group.clone(),
            plural: kind.plural.clone(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of a core object.
    #[must_use]
    pub(super) fn core(plural: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: String::new(),
            plural: plural.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new.
    Added,
    /// It is another.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change, in order.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// The resourceVersion that the change made.
    pub revision: u64,
    /// What happened.
    pub change: Change,
    /// To what.
    pub key: Key,
    /// The object after the change; of a deletion: the last one.
    pub object: Arc<Value>,
    /// The object before.
    pub previous: Option<Arc<Value>>,
}

/// All that the server knows.
#[derive(Debug)]
pub(super) struct State {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    kinds: Vec<Kind>,
    log: VecDeque<Event>,
    forgotten: u64,
}

impl State {
    /// The newest revision.
    #[must_use]
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The kinds that are served now.
    #[must_use]
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The kind behind a path.
    #[must_use]
    pub(super) fn kind(&self, group: &str, version: &str, plural: &str) -> Option<Kind> {
        self.kinds
            .iter()
            .find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
            .cloned()
    }

    /// One object.
    #[must_use]
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// The objects of a resource, in order of namespace and name; all namespaces when `namespace` is empty.
    #[must_use]
    pub(super) fn list(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
    ) -> Vec<(Key, Arc<Value>)> {
        let first = Key {
            group: group.into(),
            plural: plural.into(),
            namespace: namespace.into(),
            name: String::new(),
        };
        self.objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(|(key, _)| {
                key.group == group
                    && key.plural == plural
                    && (namespace.is_empty() || key.namespace == namespace)
            })
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// Every object there is.
    #[must_use]
    pub(super) fn all(&self) -> Vec<(Key, Arc<Value>)> {
        self.objects.iter().map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// Stores an object under a new revision and returns it with that resourceVersion.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let object = Arc::new(object);
        let previous = self.objects.insert(key.clone(), Arc::clone(&object));
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        self.record(change, key.clone(), Arc::clone(&object), previous);
        object
    }

    /// Removes an object; its last state, under the revision of its end.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let previous = self.objects.remove(key)?;
        self.revision += 1;
        let mut last = Value::clone(&previous);
        last["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let last = Arc::new(last);
        self.record(Change::Deleted, key.clone(), Arc::clone(&last), Some(previous));
        Some(last)
    }

    /// The changes of a resource after a revision. `None` when they are no longer all known.
    #[must_use]
    pub(super) fn since(&self, revision: u64, group: &str, plural: &str) -> Option<Vec<Event>> {
        if revision < self.forgotten {
            return None;
        }
        let start = self.log.partition_point(|event| event.revision <= revision);
        let wanted = |event: &&Event| event.key.group == group && event.key.plural == plural;
        Some(self.log.range(start..).filter(wanted).cloned().collect())
    }

    fn record(
        &mut self,
        change: Change,
        key: Key,
        object: Arc<Value>,
        previous: Option<Arc<Value>>,
    ) {
        if key.group == CRD_GROUP && key.plural == CRD_PLURAL {
            self.refresh_kinds();
        }
        self.log.push_back(Event { revision: self.revision, change, key, object, previous });
        while self.log.len() > LOG_LENGTH {
            self.forgotten = self.log.pop_front().map_or(self.forgotten, |event| event.revision);
        }
    }

    fn refresh_kinds(&mut self) {
        let custom: Vec<Kind> = self
            .list(CRD_GROUP, CRD_PLURAL, "")
            .iter()
            .flat_map(|(_, crd)| registry::of_crd(crd))
            .collect();
        self.kinds = registry::built_in();
        self.kinds.extend(custom);
    }
}

/// The shared state; every request is one critical section, so that admission and write are atomic.
#[derive(Debug)]
pub(super) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        let state = State {
            revision: 1,
            objects: BTreeMap::new(),
            kinds: registry::built_in(),
            log: VecDeque::new(),
            forgotten: 0,
        };
        Self { state: Mutex::new(state), changed: watch::Sender::new(1) }
    }
}

impl Store {
    /// Reads. The guard must not be held across an await, which its type forbids.
    pub(super) fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one change and wakes the watches when it made any.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, revision) = {
            let mut state = self.read();
            let result = change(&mut state);
            (result, state.revision)
        };
        self.changed.send_if_modified(|known| std::mem::replace(known, revision) != revision);
        result
    }

    /// Tells of every new revision.
    #[must_use]
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::core("configmaps", "default", name)
    }

    #[test]
    fn every_change_has_its_revision_and_is_readable_in_order() {
        let store = Store::default();
        store.write(|state| {
            state.put(&key("a"), json!({"metadata": {"name": "a"}}));
            state.put(&key("a"), json!({"metadata": {"name": "a"}, "data": {}}));
            state.remove(&key("a"));
        });
        let events = store.read().since(1, "", "configmaps").unwrap();
        let seen: Vec<_> = events.iter().map(|event| (event.revision, event.change)).collect();
        assert_eq!(seen, [(2, Change::Added), (3, Change::Modified), (4, Change::Deleted)]);
        assert_eq!(events[2].object["metadata"]["resourceVersion"], "4");
        assert_eq!(store.read().since(3, "", "configmaps").unwrap().len(), 1);
        assert!(store.read().since(1, "", "pods").unwrap().is_empty());
    }

    #[test]
    fn a_revision_older_than_the_log_is_refused() {
        let store = Store::default();
        store.write(|state| {
            for _ in 0..=LOG_LENGTH {
                state.put(&key("a"), json!({"metadata": {}}));
            }
        });
        assert!(store.read().since(1, "", "configmaps").is_none());
        assert!(store.read().since(2, "", "configmaps").is_some());
    }
}
