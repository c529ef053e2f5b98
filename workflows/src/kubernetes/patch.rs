//! The difference of two objects as a JSON merge patch (RFC 7396): only what changes is sent, so that a write never
//! touches a field that it does not mean.

use serde_json::{Map, Value};

/// The patch that makes `to` of `from`; null where they are alike. Lists are replaced whole. Nulls as values of fields
/// can't be expressed; Kubernetes stores none.
#[must_use]
pub fn merge_patch(from: &Value, to: &Value) -> Value {
    if from == to {
        return Value::Null;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, wanted) in to {
        match from.get(key) {
            Some(present) if present == wanted => {}
            // Merging into something that is no object replaces it; into an object it does not.
            Some(present) if present.is_object() && wanted.is_object() => {
                patch.insert(key.clone(), merge_patch(present, wanted));
            }
            _ => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json_without_nulls() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..3_i32).prop_map(Value::from),
            "[a-c]?".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-d]", json_without_nulls(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn merging_the_difference_makes_the_one_of_the_other(from in object(), to in object()) {
            let mut merged = from.clone();
            let patch = merge_patch(&from, &to);
            if !patch.is_null() {
                json_patch::merge(&mut merged, &patch);
            }
            prop_assert_eq!(merged, to);
        }
    }

    #[test]
    fn only_what_changes_is_in_the_patch() {
        let from = json!({"metadata": {"name": "x", "annotations": {"a": "1"}}, "spec": {"keep": [1], "gone": {}}});
        let to = json!({"metadata": {"name": "x"}, "spec": {"keep": [1], "new": {"y": 1}}});
        assert_eq!(
            merge_patch(&from, &to),
            json!({"metadata": {"annotations": null}, "spec": {"gone": null, "new": {"y": 1}}})
        );
    }
}
