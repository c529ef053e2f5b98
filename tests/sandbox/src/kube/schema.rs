//! Structural schemas of custom resources: pruning of what they do not name, and a plain type check.

use serde_json::{Map, Value};

/// Removes the fields that the schema does not name, as a kube-apiserver does on every write and read. At the root
/// `apiVersion`, `kind` and `metadata` always stay.
pub(super) fn prune(schema: &Value, object: &mut Value) {
    if schema.is_null() {
        return;
    }
    let kept: Vec<(String, Value)> = ["apiVersion", "kind", "metadata"]
        .iter()
        .filter_map(|key| Some(((*key).into(), object.get(*key)?.clone())))
        .collect();
    prune_value(schema, object);
    if let Some(map) = object.as_object_mut() {
        map.extend(kept);
    }
}

fn prune_value(schema: &Value, value: &mut Value) {
    let preserve = schema["x-kubernetes-preserve-unknown-fields"] == true
        || schema["x-kubernetes-embedded-resource"] == true;
    match value {
        Value::Object(map) => {
            if let Some(values) =
                schema.get("additionalProperties").filter(|extra| extra.is_object())
            {
                map.values_mut().for_each(|value| prune_value(values, value));
                return;
            }
            let empty = Map::new();
            let properties = schema["properties"].as_object().unwrap_or(&empty);
            if !preserve && schema["additionalProperties"] != true {
                map.retain(|key, _| properties.contains_key(key));
            }
            for (key, value) in map.iter_mut() {
                if let Some(schema) = properties.get(key) {
                    prune_value(schema, value);
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| prune_value(&schema["items"], item))
        }
        _ => {}
    }
}

/// What in the object is not of the schema's type, as (path, text).
#[must_use]
pub(super) fn violations(schema: &Value, object: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if !schema.is_null() {
        check(schema, object, "", &mut found);
    }
    found
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    let shown = || if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() };
    if value.is_null() {
        return;
    }
    let actual = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        _ => "integer",
    };
    let wanted = schema["type"].as_str().unwrap_or(actual);
    let either =
        schema["x-kubernetes-int-or-string"] == true && matches!(actual, "integer" | "string");
    if wanted != actual && !either && !(wanted == "number" && actual == "integer") {
        found.push((
            shown(),
            format!("Invalid value: \"{actual}\": must be of type {wanted}: \"{actual}\""),
        ));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        let listed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        found.push((
            shown(),
            format!("Unsupported value: {value}: supported values: {}", listed.join(", ")),
        ));
    }
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let Value::Object(map) = value {
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(key) {
                found.push((join(key), "Required value".to_owned()));
            }
        }
        for (key, inner) in map {
            let schema =
                schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
            if let Some(schema) = schema.filter(|schema| schema.is_object()) {
                check(schema, inner, &join(key), found);
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}[{index}]"), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stub_schema_prunes_everything_but_the_object_s_identity() {
        let stub = json!({"type": "object", "properties": {"apiVersion": {"type": "string"}}});
        let mut pool = json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "p"}, "spec": {"cidr": "x"}});
        prune(&stub, &mut pool);
        assert_eq!(
            pool,
            json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "p"}})
        );
    }

    #[test]
    fn preserved_maps_and_lists_are_pruned_by_their_own_rules() {
        let schema = json!({"type": "object", "properties": {
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}}});
        let mut value = json!({"free": {"x": {"y": 1}}, "map": {"k": {"a": "1", "b": 2}}, "list": [{"a": "1", "b": 2}], "other": 1});
        prune(&schema, &mut value);
        assert_eq!(
            value,
            json!({"free": {"x": {"y": 1}}, "map": {"k": {"a": "1"}}, "list": [{"a": "1"}]})
        );
    }

    #[test]
    fn wrong_types_and_missing_fields_are_named_by_path() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["cidr"], "properties": {
            "cidr": {"type": "string"}, "mode": {"type": "string", "enum": ["Never"]}, "size": {"type": "integer"}}}}});
        let found = violations(&schema, &json!({"spec": {"mode": "Often", "size": "x"}}));
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["spec.cidr", "spec.mode", "spec.size"]);
        assert!(violations(&schema, &json!({"spec": {"cidr": "x", "size": 26}})).is_empty());
    }
}
