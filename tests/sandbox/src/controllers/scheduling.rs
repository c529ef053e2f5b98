//! Whether a pod of a DaemonSet belongs on a node: pure rules over JSON.

use serde_json::{Map, Value, json};

use super::objects::{items, text};
use crate::kube::{expression_matches, label_selector_matches};

/// What a node's pod is allowed to do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// A pod should be started there.
    pub(super) run: bool,
    /// One that runs there may stay.
    pub(super) stay: bool,
}

/// Judges a pod template's spec against a node.
pub(super) fn place(spec: &Value, node: &Value) -> Place {
    let labels = node["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let fits = selected(spec, &labels) && affine(spec, &labels, text(&node["metadata"]["name"]));
    let untolerated = |effect: &str| {
        items(&node["spec"]["taints"])
            .iter()
            .any(|taint| taint["effect"] == effect && !tolerated(spec, taint))
    };
    Place {
        run: fits && !untolerated("NoSchedule") && !untolerated("NoExecute"),
        stay: fits && !untolerated("NoExecute"),
    }
}

fn selected(spec: &Value, labels: &Map<String, Value>) -> bool {
    label_selector_matches(&json!({"matchLabels": spec["nodeSelector"]}), labels)
}

fn affine(spec: &Value, labels: &Map<String, Value>, name: &str) -> bool {
    let required =
        &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    if required.is_null() {
        return true;
    }
    // Terms are ORed, what is in a term is ANDed, and a term with nothing in it matches no node.
    items(&required["nodeSelectorTerms"]).iter().any(|term| {
        let (expressions, fields) = (items(&term["matchExpressions"]), items(&term["matchFields"]));
        let fields_of_node = Map::from_iter([("metadata.name".to_owned(), json!(name))]);
        !(expressions.is_empty() && fields.is_empty())
            && expressions.iter().all(|expression| expression_matches(expression, labels))
            && fields.iter().all(|field| expression_matches(field, &fields_of_node))
    })
}

/// What every DaemonSet pod tolerates without saying so.
fn tolerated_by_daemons(taint: &Value, host_network: bool) -> bool {
    match (text(&taint["key"]), text(&taint["effect"])) {
        ("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable", "NoExecute") => true,
        (
            "node.kubernetes.io/disk-pressure"
            | "node.kubernetes.io/memory-pressure"
            | "node.kubernetes.io/pid-pressure"
            | "node.kubernetes.io/unschedulable",
            "NoSchedule",
        ) => true,
        ("node.kubernetes.io/network-unavailable", "NoSchedule") => host_network,
        _ => false,
    }
}

fn tolerated(spec: &Value, taint: &Value) -> bool {
    let by = |toleration: &Value| {
        let (key, operator, effect) =
            (text(&toleration["key"]), text(&toleration["operator"]), text(&toleration["effect"]));
        let key_fits = if key.is_empty() { operator == "Exists" } else { taint["key"] == key };
        let value_fits =
            operator == "Exists" || text(&toleration["value"]) == text(&taint["value"]);
        key_fits && value_fits && (effect.is_empty() || taint["effect"] == effect)
    };
    tolerated_by_daemons(taint, spec["hostNetwork"] == true)
        || items(&spec["tolerations"]).iter().any(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(labels: &Value, taints: &Value) -> Value {
        json!({"metadata": {"name": "n", "labels": labels}, "spec": {"taints": taints}})
    }

    fn with_terms(terms: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn terms_are_ored_their_expressions_anded_and_an_empty_term_matches_nothing() {
        let not_cloud =
            json!({"key": "alibabacloud.com/external", "operator": "NotIn", "values": ["true"]});
        let linux = json!({"key": "os", "operator": "In", "values": ["linux"]});
        let (on_premises, cloud) = (
            node(&json!({"os": "linux"}), &json!([])),
            node(&json!({"os": "linux", "alibabacloud.com/external": "true"}), &json!([])),
        );
        for (terms, here, there) in [
            (json!([{"matchExpressions": [not_cloud]}]), true, false),
            (json!([{"matchExpressions": [not_cloud, linux]}]), true, false),
            (json!([{"matchExpressions": [not_cloud]}, {"matchExpressions": [linux]}]), true, true),
            (json!([{}]), false, false),
            (
                json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]),
                true,
                true,
            ),
            (json!([{"matchExpressions": [{"key": "os", "operator": "Exists"}]}]), true, true),
            (
                json!([{"matchExpressions": [{"key": "os", "operator": "DoesNotExist"}]}]),
                false,
                false,
            ),
        ] {
            assert_eq!(place(&with_terms(&terms), &on_premises).run, here, "{terms}");
            assert_eq!(place(&with_terms(&terms), &cloud).run, there, "{terms}");
        }
    }

    #[test]
    fn taints_keep_pods_away_unless_tolerated_and_only_no_execute_drives_them_out() {
        let tainted =
            node(&json!({}), &json!([{"key": "workload", "value": "ack", "effect": "NoSchedule"}]));
        assert_eq!(place(&json!({}), &tainted), Place { run: false, stay: true });
        for toleration in [
            json!({"operator": "Exists"}),
            json!({"key": "workload", "operator": "Exists"}),
            json!({"key": "workload", "value": "ack"}),
            json!({"key": "workload", "operator": "Equal", "value": "ack", "effect": "NoSchedule"}),
        ] {
            assert!(place(&json!({ "tolerations": [toleration] }), &tainted).run, "{toleration}");
        }
        for toleration in [
            json!({"key": "workload", "value": "other"}),
            json!({"operator": "Exists", "effect": "NoExecute"}),
            json!({}),
        ] {
            assert!(!place(&json!({ "tolerations": [toleration] }), &tainted).run, "{toleration}");
        }
        let lost = node(
            &json!({}),
            &json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]),
        );
        assert!(place(&json!({}), &lost).run);
        let driven = node(&json!({}), &json!([{"key": "x", "effect": "NoExecute"}]));
        assert_eq!(place(&json!({}), &driven), Place { run: false, stay: false });
    }

    #[test]
    fn a_node_selector_needs_all_its_labels() {
        let spec = json!({"nodeSelector": {"alibabacloud.com/external": "true"}});
        assert!(place(&spec, &node(&json!({"alibabacloud.com/external": "true"}), &json!([]))).run);
        assert!(
            !place(&spec, &node(&json!({"alibabacloud.com/external": "false"}), &json!([]))).run
        );
        assert!(!place(&spec, &node(&json!({}), &json!([]))).run);
    }
}
