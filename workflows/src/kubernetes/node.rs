//! Facts of Node and Pod objects, and which nodes a pod template admits. Pure.

use serde_json::Value;

/// The label that ACK puts on every cloud node.
pub const CLOUD_LABEL: &str = "alibabacloud.com/external";
/// The label with the id of a cloud node's pool.
pub const POOL_LABEL: &str = "alibabacloud.com/nodepool-id";

/// `metadata.name`; empty where there is none.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `metadata.namespace`; empty where there is none.
#[must_use]
pub fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// `metadata.uid`; empty where there is none.
#[must_use]
pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// A label's value.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// An annotation's value.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

/// Whether a Node is one of the cloud's.
#[must_use]
pub fn is_cloud(node: &Value) -> bool {
    label(node, CLOUD_LABEL) == Some("true")
}

/// Whether a Node or Pod has condition `Ready`.
#[must_use]
pub fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod is on its way out, or has ended: it holds nothing any more.
#[must_use]
pub fn is_over(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_some()
        || pod["status"]["phase"] == "Succeeded"
        || pod["status"]["phase"] == "Failed"
}

/// Whether a pod template's nodeSelector and required node affinity admit a node with these labels. Fields other than
/// labels (`matchFields`) are taken as not met: DaemonSet pods carry them, templates do not.
#[must_use]
pub fn admits(pod_spec: &Value, labels: &[(&str, &str)]) -> bool {
    let value = |key: &str| labels.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let selector = pod_spec["nodeSelector"].as_object();
    if selector.into_iter().flatten().any(|(key, wanted)| value(key) != wanted.as_str()) {
        return false;
    }
    let required =
        &pod_spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let Some(terms) = required["nodeSelectorTerms"].as_array() else { return true };
    terms.iter().any(|term| {
        let expressions =
            term["matchExpressions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields = term["matchFields"].as_array().is_some_and(|fields| !fields.is_empty());
        !expressions.is_empty()
            && !fields
            && expressions.iter().all(|expression| holds(expression, &value))
    })
}

fn holds<'a>(expression: &Value, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
    let actual = value(expression["key"].as_str().unwrap_or_default());
    let listed = |actual: &str| {
        expression["values"].as_array().into_iter().flatten().any(|one| one == actual)
    };
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = || expression["values"][0].as_str().and_then(number);
    match expression["operator"].as_str().unwrap_or_default() {
        "In" => actual.is_some_and(listed),
        "NotIn" => !actual.is_some_and(listed),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => actual.and_then(number).zip(bound()).is_some_and(|(actual, bound)| actual > bound),
        "Lt" => actual.and_then(number).zip(bound()).is_some_and(|(actual, bound)| actual < bound),
        _ => false,
    }
}

/// Whether a pod template tolerates a taint `key=value:effect`.
#[must_use]
pub fn tolerates(pod_spec: &Value, key: &str, value: &str, effect: &str) -> bool {
    let tolerations = pod_spec["tolerations"].as_array();
    tolerations.into_iter().flatten().any(|toleration| {
        let text = |field: &str| toleration[field].as_str().unwrap_or_default();
        let same_effect = text("effect").is_empty() || text("effect") == effect;
        let same_key =
            if text("key").is_empty() { text("operator") == "Exists" } else { text("key") == key };
        same_effect && same_key && (text("operator") == "Exists" || text("value") == value)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CLOUD: [(&str, &str); 2] = [(CLOUD_LABEL, "true"), ("kubernetes.io/os", "linux")];

    fn with_terms(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn terms_are_alternatives_and_their_expressions_are_not() {
        let fence = json!({"key": CLOUD_LABEL, "operator": "NotIn", "values": ["true"]});
        let linux = json!({"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]});
        assert!(!admits(&with_terms(json!([{"matchExpressions": [fence, linux]}])), &CLOUD));
        assert!(admits(
            &with_terms(json!([{"matchExpressions": [fence]}, {"matchExpressions": [linux]}])),
            &CLOUD
        ));
        assert!(admits(
            &with_terms(json!([{"matchExpressions": [fence]}])),
            &[("kubernetes.io/os", "linux")]
        ));
        assert!(!admits(&with_terms(json!([{}])), &CLOUD), "an empty term matches no node");
        assert!(admits(&json!({}), &CLOUD));
    }

    #[test]
    fn a_node_selector_must_hold_as_well() {
        assert!(!admits(&json!({"nodeSelector": {"gpu": "yes"}}), &CLOUD));
        assert!(admits(&json!({"nodeSelector": {CLOUD_LABEL: "true"}}), &CLOUD));
    }

    #[test]
    fn tolerations_match_by_key_value_and_effect() {
        let spec = |toleration: Value| json!({"tolerations": [toleration]});
        assert!(tolerates(&spec(json!({"operator": "Exists"})), "a", "b", "NoSchedule"));
        assert!(tolerates(&spec(json!({"key": "a", "value": "b"})), "a", "b", "NoSchedule"));
        assert!(!tolerates(&spec(json!({"key": "a", "value": "c"})), "a", "b", "NoSchedule"));
        assert!(!tolerates(
            &spec(json!({"key": "a", "operator": "Exists", "effect": "NoExecute"})),
            "a",
            "b",
            "NoSchedule"
        ));
    }
}
