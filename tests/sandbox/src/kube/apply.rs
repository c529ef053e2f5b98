//! Server-side apply and the field managers behind it: who set which field, as `metadata.managedFields` has it.
//! Lists merge by the keys of strategic merge patch for built-in kinds, and are atomic for custom resources.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    clock, patch,
    status::{Failure, Outcome},
};

/// One step of a path: `f:NAME` or `k:{"name":"x"}`, as `fieldsV1` writes them.
type Path = Vec<String>;
type Fields = BTreeSet<Path>;

const UNMANAGED: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    manager: String,
    applied: bool,
    status: bool,
    fields: Fields,
    time: String,
}

/// Records what a create, update or patch has changed as its manager's.
pub(super) fn track(new: &mut Value, before: Option<&Value>, manager: &str, status: bool) {
    let now = fields_of(new);
    let earlier = before.map(fields_of).unwrap_or_default();
    let changed: Fields = now
        .iter()
        .filter(|path| before.is_none_or(|before| lookup(before, path) != lookup(new, path)))
        .cloned()
        .collect();
    let gone: Fields = earlier.difference(&now).cloned().collect();
    let mut entries = before.map(read).unwrap_or_default();
    if changed.is_empty() && gone.is_empty() {
        write(new, &entries);
        return;
    }
    for entry in &mut entries {
        entry.fields.retain(|path| !changed.contains(path) && !gone.contains(path));
    }
    if !changed.is_empty() {
        match entries
            .iter_mut()
            .find(|entry| entry.manager == manager && !entry.applied && entry.status == status)
        {
            Some(entry) => {
                entry.fields.extend(changed);
                entry.time = clock::stamp();
            }
            None => entries.push(Entry {
                manager: manager.into(),
                applied: false,
                status,
                fields: changed,
                time: clock::stamp(),
            }),
        }
    }
    write(new, &entries);
}

/// Makes an object that an apply has created wholly its manager's.
pub(super) fn own(created: &mut Value, applied: &Value, manager: &str) {
    let entry = Entry {
        manager: manager.into(),
        applied: true,
        status: false,
        fields: fields_of(applied),
        time: clock::stamp(),
    };
    write(created, &[entry]);
}

/// Applies a manager's wanted fields over the current object: sets them, removes those that it no longer wants and
/// nobody else owns, and refuses to take what others hold, unless forced.
pub(super) fn apply(
    current: &mut Value,
    applied: &Value,
    manager: &str,
    force: bool,
) -> Outcome<()> {
    let wanted = fields_of(applied);
    let mut entries = read(current);
    let differs = |path: &Path| lookup(current, path) != lookup(applied, path);
    let foreign = |entry: &Entry| !(entry.manager == manager && entry.applied);
    let conflicts: Vec<(String, String)> = entries
        .iter()
        .filter(|entry| foreign(entry))
        .flat_map(|entry| {
            entry
                .fields
                .iter()
                .filter(|path| wanted.contains(*path) && differs(path))
                .map(|path| (entry.manager.clone(), shown(path)))
        })
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(Failure::apply_conflict(&conflicts));
    }
    let taken: Fields = wanted.iter().filter(|path| differs(path)).cloned().collect();
    for entry in entries.iter_mut().filter(|entry| foreign(entry)) {
        entry.fields.retain(|path| !taken.contains(path));
    }
    let keyed = has_merge_keys(current);
    let earlier = entries.iter().position(|entry| !foreign(entry)).map(|at| entries.remove(at));
    overlay(current, applied, "", "", keyed);
    // In their order a list's item goes before its fields, which would else take its key away first.
    for path in earlier.iter().flat_map(|entry| entry.fields.difference(&wanted)) {
        if !entries.iter().any(|entry| entry.fields.contains(path)) {
            remove(current, path);
        }
    }
    let unchanged = earlier.as_ref().is_some_and(|entry| entry.fields == wanted);
    let time = earlier.filter(|_| unchanged).map_or_else(clock::stamp, |entry| entry.time);
    entries.push(Entry {
        manager: manager.into(),
        applied: true,
        status: false,
        fields: wanted,
        time,
    });
    write(current, &entries);
    Ok(())
}

fn has_merge_keys(object: &Value) -> bool {
    let group = object["apiVersion"]
        .as_str()
        .unwrap_or_default()
        .split_once('/')
        .map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io")
}

fn key_of(parent: &str, field: &str, items: &[Value], keyed: bool) -> Option<&'static str> {
    let sample = items.iter().find(|item| item.is_object())?;
    let key = patch::merge_key(parent, field, sample).filter(|_| keyed)?;
    items.iter().all(|item| item.get(key).is_some()).then_some(key)
}

fn item_step(key: &str, item: &Value) -> String {
    format!("k:{}", json!({ key: item[key] }))
}

fn fields_of(object: &Value) -> Fields {
    let keyed = has_merge_keys(object);
    let mut fields = Fields::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let at = vec![format!("f:{name}")];
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                for (name, value) in value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| !UNMANAGED.contains(&name.as_str()))
                {
                    let path = [at.clone(), vec![format!("f:{name}")]].concat();
                    collect(value, "metadata", name, keyed, path, &mut fields);
                }
            }
            _ => collect(value, "", name, keyed, at, &mut fields),
        }
    }
    fields
}

fn collect(value: &Value, parent: &str, field: &str, keyed: bool, path: Path, fields: &mut Fields) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, inner) in map {
                collect(
                    inner,
                    field,
                    name,
                    keyed,
                    [path.clone(), vec![format!("f:{name}")]].concat(),
                    fields,
                );
            }
        }
        Value::Array(items) => match key_of(parent, field, items, keyed) {
            Some(key) => {
                for item in items {
                    let path = [path.clone(), vec![item_step(key, item)]].concat();
                    fields.insert(path.clone());
                    collect(item, parent, field, keyed, path, fields);
                }
            }
            None => {
                fields.insert(path);
            }
        },
        _ => {
            fields.insert(path);
        }
    }
}

fn lookup<'a>(object: &'a Value, path: &Path) -> Option<&'a Value> {
    let mut value = object;
    for step in path {
        value = match step.strip_prefix("f:") {
            Some(name) => value.get(name)?,
            None => value.as_array()?.iter().find(|item| is_item(item, step))?,
        };
    }
    // An item's own path says that it is there; its fields have paths of their own.
    Some(if path.last().is_some_and(|step| step.starts_with("k:")) { &Value::Null } else { value })
}

fn is_item(item: &Value, step: &str) -> bool {
    let wanted: Value = step
        .strip_prefix("k:")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    wanted
        .as_object()
        .is_some_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
}

fn remove(object: &mut Value, path: &Path) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut value = object;
    for step in parents {
        let next = match step.strip_prefix("f:") {
            Some(name) => value.get_mut(name),
            None => value
                .as_array_mut()
                .and_then(|items| items.iter_mut().find(|item| is_item(item, step))),
        };
        let Some(next) = next else { return };
        value = next;
    }
    match last.strip_prefix("f:") {
        Some(name) => {
            value.as_object_mut().map(|map| map.remove(name));
        }
        None => {
            if let Some(items) = value.as_array_mut() {
                items.retain(|item| !is_item(item, last));
            }
        }
    }
}

fn overlay(current: &mut Value, applied: &Value, parent: &str, field: &str, keyed: bool) {
    match applied {
        Value::Object(map) => {
            if !current.is_object() {
                *current = Value::Object(Map::new());
            }
            for (name, value) in map {
                if parent.is_empty() && field == "metadata" && UNMANAGED.contains(&name.as_str()) {
                    continue;
                }
                overlay(&mut current[name], value, field, name, keyed);
            }
        }
        Value::Array(items) => {
            match (key_of(parent, field, items, keyed), current.as_array_mut()) {
                (Some(key), Some(present)) => {
                    for item in items {
                        match present.iter_mut().find(|one| one.get(key) == item.get(key)) {
                            Some(one) => overlay(one, item, parent, field, keyed),
                            None => present.push(item.clone()),
                        }
                    }
                }
                _ => *current = applied.clone(),
            }
        }
        scalar => *current = scalar.clone(),
    }
}

fn shown(path: &Path) -> String {
    path.iter()
        .map(|step| match step.strip_prefix("f:") {
            Some(name) => format!(".{name}"),
            None => format!(
                "[{}]",
                step.trim_start_matches("k:{")
                    .trim_end_matches('}')
                    .replace("\":", "=")
                    .replace('"', "")
            ),
        })
        .collect()
}

fn read(object: &Value) -> Vec<Entry> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let mut fields = Fields::new();
            decode(&entry["fieldsV1"], &mut Path::new(), &mut fields);
            Entry {
                manager: entry["manager"].as_str().unwrap_or_default().into(),
                applied: entry["operation"] == "Apply",
                status: entry["subresource"] == "status",
                fields,
                time: entry["time"].as_str().unwrap_or_default().into(),
            }
        })
        .collect()
}

fn write(object: &mut Value, entries: &[Entry]) {
    let version = object["apiVersion"].clone();
    let written: Vec<Value> = entries
        .iter()
        .filter(|entry| !entry.fields.is_empty())
        .map(|entry| {
            let mut written = json!({
                "manager": entry.manager, "operation": if entry.applied { "Apply" } else { "Update" }, "apiVersion": version,
                "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": encode(&entry.fields),
            });
            if entry.status {
                written["subresource"] = json!("status");
            }
            written
        })
        .collect();
    if written.is_empty() {
        object["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
    } else {
        object["metadata"]["managedFields"] = Value::Array(written);
    }
}

fn encode(fields: &Fields) -> Value {
    let mut root = json!({});
    for path in fields {
        let mut at = &mut root;
        for step in path {
            at = &mut at[step];
            if at.is_null() {
                *at = json!({});
            }
        }
        if path.last().is_some_and(|step| step.starts_with("k:")) {
            at["."] = json!({});
        }
    }
    root
}

fn decode(value: &Value, path: &mut Path, fields: &mut Fields) {
    let Some(map) = value.as_object() else { return };
    if map.is_empty() {
        fields.insert(path.clone());
    }
    for (step, inner) in map {
        if step == "." {
            fields.insert(path.clone());
        } else {
            path.push(step.clone());
            decode(inner, path, fields);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(data: &Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
        track(&mut object, None, "creator", false);
        object
    }

    #[test]
    fn another_manager_s_field_is_a_conflict_unless_forced_or_equal() {
        let mut current = object(&json!({"a": "1", "b": "2"}));
        let same = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}});
        apply(&mut current, &same, "ours", false).unwrap();
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "9"}});
        let refused = apply(&mut current, &other, "ours", false).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (409, "Apply failed with 1 conflict: conflict with \"creator\": .data.a")
        );
        assert_eq!(current["data"]["a"], "1");
        apply(&mut current, &other, "ours", true).unwrap();
        assert_eq!(current["data"], json!({"a": "9", "b": "2"}));
        apply(&mut current, &json!({"data": {"a": "10"}}), "ours", false).unwrap();
    }

    #[test]
    fn a_field_that_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
        let mut current = object(&json!({"a": "1"}));
        apply(&mut current, &json!({"data": {"a": "1", "mine": "2"}}), "ours", false).unwrap();
        apply(&mut current, &json!({"data": {}}), "ours", false).unwrap();
        assert_eq!(current["data"], json!({"a": "1"}));
    }

    #[test]
    fn items_of_keyed_lists_are_owned_one_by_one() {
        let mut current = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"},
            "spec": {"containers": [{"name": "a", "image": "1"}]}});
        track(&mut current, None, "creator", false);
        let wanted = json!({"spec": {"containers": [{"name": "b", "image": "2"}]}});
        apply(&mut current, &wanted, "ours", false).unwrap();
        assert_eq!(
            current["spec"]["containers"],
            json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])
        );
        apply(&mut current, &json!({"spec": {}}), "ours", false).unwrap();
        assert_eq!(current["spec"]["containers"], json!([{"name": "a", "image": "1"}]));
    }

    #[test]
    fn a_later_update_takes_the_field_from_its_applier() {
        let mut current = object(&json!({}));
        apply(&mut current, &json!({"data": {"a": "1"}}), "ours", false).unwrap();
        let before = current.clone();
        current["data"]["a"] = json!("2");
        track(&mut current, Some(&before), "editor", false);
        assert_eq!(
            apply(&mut current, &json!({"data": {"a": "1"}}), "ours", false).unwrap_err().code,
            409
        );
    }
}
