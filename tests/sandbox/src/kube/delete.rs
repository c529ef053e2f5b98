//! Deletes: preconditions, grace, finalizers, and what goes with a namespace or a CRD.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    clock,
    registry::{CRD_PLURAL, of_crd},
    status::Outcome,
    store::{Key, State},
    write::{Target, is_empty_list, render},
};

/// What a delete asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Deletion {
    /// Must be the object's, when given.
    pub uid: Option<String>,
    /// Must be the object's, when given.
    pub resource_version: Option<String>,
    /// Seconds; a pod's own when not given.
    pub grace: Option<i64>,
    /// Dependents lose their owner instead of being collected.
    pub orphan: bool,
}

/// Deletes an object: the object when it only starts to end, else `None` with its uid.
pub(super) fn delete(
    state: &mut State,
    target: &Target,
    deletion: &Deletion,
) -> Outcome<(Option<Value>, Value)> {
    let key = target.key();
    let object = state.get(&key).ok_or_else(|| target.not_found())?;
    let metadata = &object["metadata"];
    let uid = metadata["uid"].clone();
    for (given, field) in [(&deletion.uid, "uid"), (&deletion.resource_version, "resourceVersion")]
    {
        if given.as_ref().is_some_and(|given| metadata[field] != given.as_str()) {
            let why = format!(
                "Precondition failed: {field} in precondition: {}, in object meta: {}",
                given.as_deref().unwrap_or_default(),
                metadata[field]
            );
            return Err(target.conflict(&why));
        }
    }
    let scheduled = target.kind.plural == "pods" && object["spec"]["nodeName"].is_string();
    let own_grace = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let grace = if scheduled { deletion.grace.unwrap_or(own_grace) } else { 0 };
    let waits = grace > 0 || !is_empty_list(&metadata["finalizers"]);
    if target.dry_run {
        return Ok((waits.then(|| render(&target.kind, &object)), uid));
    }
    if deletion.orphan {
        orphan_dependents(state, &uid);
    }
    if waits {
        if metadata["deletionTimestamp"].is_string() && grace > 0 {
            return Ok((Some(render(&target.kind, &object)), uid));
        }
        let mut ending = Value::clone(&object);
        ending["metadata"]["deletionTimestamp"] = json!(clock::stamp());
        ending["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        if target.kind.generation {
            ending["metadata"]["generation"] =
                json!(metadata["generation"].as_i64().unwrap_or(0) + 1);
        }
        let ending = state.put(&key, ending);
        return Ok((Some(render(&target.kind, &ending)), uid));
    }
    remove(state, &key);
    Ok((None, uid))
}

/// Removes an object with what lives in it: a namespace's objects, a CRD's custom resources.
pub(super) fn remove(state: &mut State, key: &Key) {
    let Some(object) = state.get(key) else { return };
    if key.group.is_empty() && key.plural == "namespaces" {
        let inside: Vec<Key> = state
            .all()
            .into_iter()
            .map(|(inner, _)| inner)
            .filter(|inner| inner.namespace == key.name)
            .collect();
        for inner in inside {
            state.remove(&inner);
        }
    }
    if key.plural == CRD_PLURAL {
        let kinds: BTreeSet<(String, String)> =
            of_crd(&object).into_iter().map(|kind| (kind.group, kind.plural)).collect();
        for (group, plural) in kinds {
            for (inner, _) in state.list(&group, &plural, "") {
                state.remove(&inner);
            }
        }
    }
    state.remove(key);
}

fn orphan_dependents(state: &mut State, uid: &Value) {
    for (key, object) in state.all() {
        let owned = object["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid));
        if owned {
            let mut free = Value::clone(&object);
            if let Some(owners) = free["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| owner["uid"] != *uid);
            }
            state.put(&key, free);
        }
    }
}
