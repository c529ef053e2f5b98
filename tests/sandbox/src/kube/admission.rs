//! What the server adds to objects by itself, and what it refuses, by kind. Only the rules that a client of this
//! sandbox can meet.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use super::{clock, names, registry::Kind, selector};

type Causes = Vec<(String, String)>;

/// Fills in defaults, as the real server's scheme does.
pub(super) fn default_fields(kind: &Kind, object: &mut Value) {
    match kind.plural.as_str() {
        _ if kind.custom.is_some() => {}
        "secrets" => secret(object),
        "namespaces" => namespace(object),
        "daemonsets" => {
            default(&mut object["spec"], "updateStrategy", json!({"type": "RollingUpdate"}));
            let strategy = &mut object["spec"]["updateStrategy"];
            default(strategy, "type", json!("RollingUpdate"));
            if strategy["type"] == "RollingUpdate" {
                default(strategy, "rollingUpdate", json!({"maxSurge": 0, "maxUnavailable": 1}));
                default(&mut strategy["rollingUpdate"], "maxSurge", json!(0));
                default(&mut strategy["rollingUpdate"], "maxUnavailable", json!(1));
            }
            default(&mut object["spec"], "revisionHistoryLimit", json!(10));
            pod_template(&mut object["spec"]["template"]["spec"]);
        }
        "deployments" => {
            default(&mut object["spec"], "replicas", json!(1));
            default(&mut object["spec"], "revisionHistoryLimit", json!(10));
            default(&mut object["spec"], "progressDeadlineSeconds", json!(600));
            pod_template(&mut object["spec"]["template"]["spec"]);
        }
        "pods" => {
            pod_template(&mut object["spec"]);
            if object["status"].is_null() {
                object["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
            }
        }
        "customresourcedefinitions" => crd(object),
        _ => {}
    }
}

fn default(object: &mut Value, field: &str, value: Value) {
    if object.is_null() {
        *object = json!({});
    }
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value);
    }
}

fn secret(object: &mut Value) {
    default(object, "type", json!("Opaque"));
    let plain = object.as_object_mut().and_then(|map| map.remove("stringData"));
    for (key, value) in plain.as_ref().and_then(Value::as_object).into_iter().flatten() {
        default(object, "data", json!({}));
        object["data"][key] = json!(BASE64.encode(value.as_str().unwrap_or_default()));
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    default(&mut object["metadata"], "labels", json!({}));
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    default(object, "spec", json!({"finalizers": ["kubernetes"]}));
    default(object, "status", json!({"phase": "Active"}));
}

fn pod_template(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
    ] {
        default(spec, field, value);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            default(container, "terminationMessagePath", json!("/dev/termination-log"));
            default(container, "terminationMessagePolicy", json!("File"));
            default(container, "imagePullPolicy", json!("IfNotPresent"));
            default(container, "resources", json!({}));
        }
    }
}

fn crd(object: &mut Value) {
    let kind = object["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    default(&mut object["spec"], "conversion", json!({"strategy": "None"}));
    default(&mut object["spec"]["names"], "singular", json!(kind.to_lowercase()));
    default(&mut object["spec"]["names"], "listKind", json!(format!("{kind}List")));
    let stored: Vec<Value> = object["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    if object["status"]["conditions"].is_null() {
        let condition = |name: &str, reason: &str, message: &str| json!({"type": name, "status": "True", "reason": reason, "message": message, "lastTransitionTime": clock::stamp()});
        object["status"] = json!({
            "conditions": [
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ],
            "storedVersions": stored,
        });
    }
    object["status"]["acceptedNames"] = object["spec"]["names"].clone();
}

/// What is wrong with an object that is about to be stored, as (path, text).
#[must_use]
pub(super) fn violations(kind: &Kind, object: &Value, before: Option<&Value>) -> Causes {
    let mut causes = names::metadata_violations(kind, object);
    if kind.custom.is_some() {
        return causes;
    }
    match kind.plural.as_str() {
        "secrets" => data_violations(object, before, true, &mut causes),
        "configmaps" => data_violations(object, before, false, &mut causes),
        "daemonsets" | "deployments" => workload_violations(object, before, &mut causes),
        "pods" => affinity_violations(&object["spec"]["affinity"], "spec.affinity", &mut causes),
        "nodes" => node_violations(object, before, &mut causes),
        "customresourcedefinitions" => crd_violations(object, &mut causes),
        _ => {}
    }
    causes
}

fn data_violations(object: &Value, before: Option<&Value>, encoded: bool, causes: &mut Causes) {
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let fine = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !key.is_empty()
            && key.len() <= 253;
        if !fine {
            causes.push((format!("data[{key}]"), format!("Invalid value: {key:?}: a valid config key must consist of alphanumeric characters, '-', '_' or '.'")));
        }
        match value.as_str() {
            None => causes.push((format!("data[{key}]"), "Invalid value: must be a string".into())),
            Some(text) if encoded && BASE64.decode(text).is_err() => {
                causes.push((format!("data[{key}]"), "Invalid value: illegal base64 data".into()));
            }
            Some(_) => {}
        }
    }
    let Some(before) = before else { return };
    if before["immutable"] == true
        && (before["data"] != object["data"] || object["immutable"] != true)
    {
        causes
            .push(("data".into(), "Forbidden: field is immutable when `immutable` is set".into()));
    }
    if encoded && before["type"] != object["type"] {
        causes.push((
            "type".into(),
            format!("Invalid value: {}: field is immutable", object["type"]),
        ));
    }
}

fn workload_violations(object: &Value, before: Option<&Value>, causes: &mut Causes) {
    let spec = &object["spec"];
    let labels = spec["template"]["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        causes.push(("spec.selector".into(), "Required value".into()));
    } else if !selector::label_selector_matches(&spec["selector"], &labels) {
        causes.push((
            "spec.template.metadata.labels".into(),
            "Invalid value: `selector` does not match template `labels`".into(),
        ));
    }
    if before.is_some_and(|before| before["spec"]["selector"] != spec["selector"]) {
        causes.push(("spec.selector".into(), "Invalid value: field is immutable".into()));
    }
    let template = &spec["template"]["spec"];
    if template["containers"].as_array().is_none_or(Vec::is_empty) {
        causes.push(("spec.template.spec.containers".into(), "Required value".into()));
    }
    affinity_violations(&template["affinity"], "spec.template.spec.affinity", causes);
}

fn affinity_violations(affinity: &Value, path: &str, causes: &mut Causes) {
    let required = &affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    if required.is_null() {
        return;
    }
    let path = format!(
        "{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    );
    let terms = required["nodeSelectorTerms"].as_array().map(Vec::as_slice).unwrap_or_default();
    if terms.is_empty() {
        causes.push((
            path.clone(),
            "Required value: must have at least one node selector term".into(),
        ));
    }
    for (at, term) in terms.iter().enumerate() {
        for (index, expression) in
            term["matchExpressions"].as_array().into_iter().flatten().enumerate()
        {
            let path = format!("{path}[{at}].matchExpressions[{index}]");
            let values = expression["values"].as_array().map_or(0, Vec::len);
            match expression["operator"].as_str().unwrap_or_default() {
                "In" | "NotIn" if values == 0 => {
                    causes.push((
                        format!("{path}.values"),
                        "Required value: must be specified when `operator` is 'In' or 'NotIn'"
                            .into(),
                    ));
                }
                "Exists" | "DoesNotExist" if values > 0 => {
                    causes.push((format!("{path}.values"), "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'".into()));
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
                other => causes.push((
                    format!("{path}.operator"),
                    format!("Invalid value: {other:?}: not a valid selector operator"),
                )),
            }
            let strings =
                expression["values"].as_array().into_iter().flatten().all(Value::is_string);
            if !strings {
                causes.push((format!("{path}.values"), "Invalid value: must be strings".into()));
            }
        }
    }
}

fn node_violations(object: &Value, before: Option<&Value>, causes: &mut Causes) {
    let Some(before) = before else { return };
    let old = &before["spec"]["providerID"];
    if old.is_string() && *old != object["spec"]["providerID"] {
        causes.push((
            "spec.providerID".into(),
            "Forbidden: node updates may not change providerID except from \"\" to valid".into(),
        ));
    }
}

fn crd_violations(object: &Value, causes: &mut Causes) {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    if object["metadata"]["name"] != expected.as_str() {
        causes.push((
            "metadata.name".into(),
            format!(
                "Invalid value: {}: must be spec.names.plural+\".\"+spec.group",
                object["metadata"]["name"]
            ),
        ));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        causes.push((
            "spec.versions".into(),
            "Invalid value: must have exactly one version marked as storage version".into(),
        ));
    }
    for (at, version) in versions.iter().enumerate() {
        if version["schema"]["openAPIV3Schema"]["type"] != "object" {
            causes.push((
                format!("spec.versions[{at}].schema.openAPIV3Schema"),
                "Required value: schemas are required".into(),
            ));
        }
    }
    if !matches!(spec["scope"].as_str(), Some("Cluster" | "Namespaced")) {
        causes.push(("spec.scope".into(), "Required value".into()));
    }
}
