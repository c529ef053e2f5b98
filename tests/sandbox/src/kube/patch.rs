//! The three client-side patches. Server-side apply lies in `apply`.

use serde_json::{Map, Value};

use super::status::{Failure, Outcome};

/// JSON merge patch (RFC 7396).
pub(super) fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}

/// JSON patch (RFC 6902).
pub(super) fn json(target: &mut Value, patch: &Value) -> Outcome<()> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Failure::bad_request(format!("error decoding JSON patch: {error}")))?;
    json_patch::patch(target, &operations).map_err(|error| {
        Failure::invalid(
            "",
            "",
            "",
            &[(
                "patch".into(),
                format!("the server rejected our request due to an error in our request: {error}"),
            )],
        )
    })
}

/// The key by which a list of objects is merged, by the name of the field that holds it and the field above that.
/// `None`: the list is replaced (nodeSelectorTerms, tolerations, matchExpressions, subjects, rules, Node taints …).
#[must_use]
pub(super) fn merge_key(parent: &str, field: &str, sample: &Value) -> Option<&'static str> {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "secrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" | "podIPs" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "conditions" | "addresses" => Some("type"),
        "ownerReferences" => Some("uid"),
        "ports" if sample.get("containerPort").is_some() => Some("containerPort"),
        "ports" if parent == "spec" => Some("port"),
        _ => None,
    }
}

fn merges_primitives(field: &str) -> bool {
    matches!(field, "finalizers" | "podCIDRs")
}

const ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Strategic merge patch, for built-in kinds.
pub(super) fn strategic(target: &mut Value, patch: &Value) -> Outcome<()> {
    strategic_value(target, patch, "")
}

fn strategic_value(target: &mut Value, patch: &Value, field: &str) -> Outcome<()> {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match changes.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Null;
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(Failure::bad_request(format!("unknown patch type {other} in map")));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return Ok(()) };
    if let Some(kept) = changes.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|key, _| kept.iter().any(|one| one == key));
    }
    for (key, change) in changes.iter().filter(|(key, _)| !key.starts_with('$')) {
        match change {
            Value::Null => {
                map.remove(key);
            }
            Value::Array(items) => strategic_list(map, field, key, items)?,
            Value::Object(_) => {
                let inner = map.entry(key.clone()).or_insert(Value::Null);
                strategic_value(inner, change, key)?;
                if inner.is_null() {
                    map.remove(key);
                }
            }
            scalar => {
                map.insert(key.clone(), scalar.clone());
            }
        }
    }
    for (key, change) in changes {
        if let (Some(list), Some(gone)) = (key.strip_prefix(DELETE_PRIMITIVES), change.as_array()) {
            if let Some(Value::Array(items)) = map.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
        } else if let (Some(list), Some(order)) = (key.strip_prefix(ORDER), change.as_array()) {
            let merge_by = order.first().and_then(|sample| merge_key(field, list, sample));
            if let Some(Value::Array(items)) = map.get_mut(list) {
                sort_by_order(items, order, merge_by);
            }
        }
    }
    Ok(())
}

fn strategic_list(
    map: &mut Map<String, Value>,
    parent: &str,
    field: &str,
    items: &[Value],
) -> Outcome<()> {
    let sample = items.iter().find(|item| item.is_object()).unwrap_or(&Value::Null);
    if merges_primitives(field) {
        let entry = map.entry(field).or_insert_with(|| Value::Array(vec![]));
        if let Some(present) = entry.as_array_mut() {
            let new: Vec<Value> =
                items.iter().filter(|item| !present.contains(item)).cloned().collect();
            present.extend(new);
        }
        return Ok(());
    }
    let Some(key) = merge_key(parent, field, sample) else {
        let replacement: Vec<Value> = items
            .iter()
            .filter(|item| item.get("$patch").is_none())
            .map(without_directives)
            .collect();
        map.insert(field.to_owned(), Value::Array(replacement));
        return Ok(());
    };
    if items.iter().any(|item| item["$patch"] == "replace") {
        let replacement: Vec<Value> = items
            .iter()
            .filter(|item| item.get("$patch").is_none())
            .map(without_directives)
            .collect();
        map.insert(field.to_owned(), Value::Array(replacement));
        return Ok(());
    }
    let entry = map.entry(field).or_insert_with(|| Value::Array(vec![]));
    if !entry.is_array() {
        *entry = Value::Array(vec![]);
    }
    let Some(present) = entry.as_array_mut() else { return Ok(()) };
    for item in items {
        let Some(id) = item.get(key) else {
            return Err(Failure::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        let at = present.iter().position(|one| one.get(key) == Some(id));
        match (item["$patch"].as_str(), at) {
            (Some("delete"), Some(at)) => {
                present.remove(at);
            }
            (Some("delete"), None) => {}
            (_, Some(at)) => strategic_value(&mut present[at], item, field)?,
            (_, None) => present.push(without_directives(item)),
        }
    }
    Ok(())
}

fn sort_by_order(items: &mut [Value], order: &[Value], key: Option<&str>) {
    let identity = |value: &Value| key.map_or_else(|| value.clone(), |key| value[key].clone());
    let rank = |item: &Value| {
        order.iter().position(|one| identity(one) == identity(item)).unwrap_or(usize::MAX)
    };
    items.sort_by_key(rank);
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
            .map(|(key, value)| (key.clone(), without_directives(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_directives).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut target: Value, patch: &Value) -> Value {
        strategic(&mut target, patch).unwrap();
        target
    }

    #[test]
    fn containers_and_env_merge_by_name_and_terms_are_replaced() {
        let target = json!({"spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}],
            "tolerations": [{"key": "k"}], "affinity": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "mine"}]}]}}});
        let patch = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]}],
            "tolerations": [{"operator": "Exists"}], "affinity": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "ours"}]}]}}});
        assert_eq!(
            patched(target, &patch),
            json!({"spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "3"}, {"name": "Y", "value": "2"}]}, {"name": "b"}],
                "tolerations": [{"operator": "Exists"}], "affinity": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "ours"}]}]}}})
        );
    }

    #[test]
    fn directives_delete_replace_order_and_retain() {
        let target = json!({"list": 1, "containers": [{"name": "a"}, {"name": "b"}], "strategy": {"type": "R", "rollingUpdate": {}}, "finalizers": ["x", "y"]});
        let patch = json!({"containers": [{"$patch": "delete", "name": "a"}, {"name": "c"}],
            "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}],
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "$deleteFromPrimitiveList/finalizers": ["x"], "list": null});
        assert_eq!(
            patched(target, &patch),
            json!({"containers": [{"name": "c"}, {"name": "b"}], "strategy": {"type": "Recreate"}, "finalizers": ["y"]})
        );
        assert_eq!(
            patched(json!({"m": {"a": 1}}), &json!({"m": {"$patch": "replace", "b": 2}})),
            json!({"m": {"b": 2}})
        );
        assert_eq!(patched(json!({"m": {"a": 1}}), &json!({"m": {"$patch": "delete"}})), json!({}));
    }

    #[test]
    fn service_ports_merge_by_port_and_container_ports_by_their_own() {
        let service = patched(
            json!({"spec": {"ports": [{"port": 53, "name": "dns"}]}}),
            &json!({"spec": {"ports": [{"port": 53, "name": "d"}, {"port": 9}]}}),
        );
        assert_eq!(service["spec"]["ports"], json!([{"port": 53, "name": "d"}, {"port": 9}]));
        assert!(
            strategic(
                &mut json!({"containers": [{"name": "a"}]}),
                &json!({"containers": [{"image": "x"}]})
            )
            .is_err()
        );
    }

    #[test]
    fn a_json_patch_whose_test_fails_changes_nothing() {
        let mut target = json!({"a": 1});
        let patch = json!([{"op": "replace", "path": "/a", "value": 2}, {"op": "test", "path": "/a", "value": 3}]);
        assert_eq!(json(&mut target, &patch).unwrap_err().code, 422);
        assert_eq!(target, json!({"a": 1}));
    }
}
