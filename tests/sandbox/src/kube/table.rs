//! Tables, as `kubectl get` asks for them.

use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::{clock, registry::Kind};

/// Whether the client wants a table.
#[must_use]
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').next().is_some_and(|first| first.contains("as=Table"))
}

/// Objects as a table, with the columns that people know of their kind.
#[must_use]
pub(super) fn of(kind: &Kind, objects: &[Value], metadata: &Value) -> Value {
    let columns: Vec<Value> = ["Name"]
        .iter()
        .chain(columns(&kind.plural))
        .chain(&["Age"])
        .map(|name| json!({"name": name, "type": "string", "format": if *name == "Name" { "name" } else { "" }, "description": "", "priority": 0}))
        .collect();
    let rows: Vec<Value> = objects.iter().map(|object| row(kind, object)).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn columns(plural: &str) -> &'static [&'static str] {
    match plural {
        "nodes" => &["Status", "Version", "Internal-IP"],
        "pods" => &["Ready", "Status", "Node"],
        "daemonsets" => {
            &["Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector"]
        }
        "deployments" => &["Ready", "Up-to-date", "Available"],
        "configmaps" => &["Data"],
        "secrets" => &["Type", "Data"],
        "namespaces" => &["Status"],
        "customresourcedefinitions" => &[],
        _ => &[],
    }
}

fn row(kind: &Kind, object: &Value) -> Value {
    let mut cells = vec![object["metadata"]["name"].clone()];
    cells.extend(cells_of(&kind.plural, object));
    cells.push(json!(age(&object["metadata"]["creationTimestamp"])));
    let shown = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
    json!({"cells": cells, "object": shown})
}

fn cells_of(plural: &str, object: &Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let number = |value: &Value| json!(value.as_i64().unwrap_or(0).to_string());
    let size = |value: &Value| json!(value.as_object().map_or(0, serde_json::Map::len).to_string());
    match plural {
        "nodes" => {
            let ready = condition(status, "Ready") == "True";
            let cordoned = if spec["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
            let address = status["addresses"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|address| address["type"] == "InternalIP");
            vec![
                json!(format!("{}{cordoned}", if ready { "Ready" } else { "NotReady" })),
                status["nodeInfo"]["kubeletVersion"].clone(),
                address.map(|address| address["address"].clone()).unwrap_or_default(),
            ]
        }
        "pods" => {
            let all = spec["containers"].as_array().map_or(0, Vec::len);
            let ready = status["containerStatuses"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|container| container["ready"] == true)
                .count();
            let phase = if object["metadata"]["deletionTimestamp"].is_string() {
                json!("Terminating")
            } else {
                status["phase"].clone()
            };
            vec![json!(format!("{ready}/{all}")), phase, spec["nodeName"].clone()]
        }
        "daemonsets" => {
            let selector = spec["template"]["spec"]["nodeSelector"].as_object();
            let pairs: Vec<String> = selector
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            let mut cells: Vec<Value> = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ]
            .iter()
            .map(|field| number(&status[field]))
            .collect();
            cells.push(json!(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }));
            cells
        }
        "deployments" => {
            let ready = format!(
                "{}/{}",
                status["readyReplicas"].as_i64().unwrap_or(0),
                spec["replicas"].as_i64().unwrap_or(1)
            );
            vec![
                json!(ready),
                number(&status["updatedReplicas"]),
                number(&status["availableReplicas"]),
            ]
        }
        "configmaps" => vec![size(&object["data"])],
        "secrets" => vec![object["type"].clone(), size(&object["data"])],
        "namespaces" => vec![status["phase"].clone()],
        _ => vec![],
    }
}

fn condition<'a>(status: &'a Value, name: &str) -> &'a str {
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == name)
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or_default()
}

fn age(created: &Value) -> String {
    let Some(created) = created.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok())
    else {
        return "<unknown>".to_owned();
    };
    let seconds = clock::now().duration_since(created).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}
