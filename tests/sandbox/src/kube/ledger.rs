//! Every object of a cluster as one sorted JSON value, for comparing the cluster before and after. It reads through
//! the API by discovery, so it works for any API server. What it leaves out is listed here, and nothing else is.

use std::collections::BTreeMap;

use anyhow::Context as _;
use http::Request;
use kube::Client;
use serde_json::{Value, json};

/// Fields of metadata that differ between two equal worlds.
const UNSTABLE_METADATA: &[&str] = &[
    "resourceVersion",
    "uid",
    "generation",
    "managedFields",
    "creationTimestamp",
    "deletionTimestamp",
    "selfLink",
];
/// Fields that hold times or revisions, wherever they occur.
const UNSTABLE_FIELDS: &[&str] = &[
    "lastHeartbeatTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "observedGeneration",
    "startTime",
    "startedAt",
    "finishedAt",
    "renewTime",
    "acquireTime",
    "containerID",
    "uid",
];

/// Every object of every kind that the server lists: `KIND.GROUP` -> `NAMESPACE/NAME` -> object.
pub async fn ledger(client: &Client) -> anyhow::Result<Value> {
    let mut kinds: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (path, resource) in listed_resources(client).await? {
        let list: Value = get(client, &path).await?;
        for mut object in list["items"].as_array().cloned().unwrap_or_default() {
            let at = identity(&object);
            scrub_object(&mut object);
            kinds.entry(resource.clone()).or_default().insert(at, object);
        }
    }
    Ok(json!(kinds))
}

/// (list path, `PLURAL.GROUP`) of every kind that can be listed.
pub(crate) async fn listed_resources(client: &Client) -> anyhow::Result<Vec<(String, String)>> {
    let groups = get(client, "/apis").await?;
    let mut versions = vec![("/api/v1".to_owned(), String::new())];
    for group in groups["groups"].as_array().into_iter().flatten() {
        let preferred = group["preferredVersion"]["groupVersion"].as_str().unwrap_or_default();
        versions.push((
            format!("/apis/{preferred}"),
            format!(".{}", group["name"].as_str().unwrap_or_default()),
        ));
    }
    let mut found = Vec::new();
    for (path, group) in versions {
        let resources = get(client, &path).await?;
        for resource in resources["resources"].as_array().into_iter().flatten() {
            let name = resource["name"].as_str().unwrap_or_default();
            let lists = resource["verbs"]
                .as_array()
                .is_some_and(|verbs| verbs.iter().any(|verb| verb == "list"));
            if lists && !name.contains('/') {
                found.push((format!("{path}/{name}"), format!("{name}{group}")));
            }
        }
    }
    Ok(found)
}

async fn get(client: &Client, path: &str) -> anyhow::Result<Value> {
    let request = Request::get(path).body(Vec::new()).context("building a request")?;
    client.request(request).await.with_context(|| format!("reading {path}"))
}

/// `NAMESPACE/NAME`, where a name that a server made up is told by what it was made for.
fn identity(object: &Value) -> String {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let name = match metadata["generateName"].as_str() {
        Some(prefix) => {
            format!("{prefix}* on {}", object["spec"]["nodeName"].as_str().unwrap_or_default())
        }
        None if is_bootstrap_token(object) => {
            format!("bootstrap-token-* ({})", text(&object["data"]["description"]))
        }
        None => name.to_owned(),
    };
    match metadata["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_bootstrap_token(object: &Value) -> bool {
    object["type"] == "bootstrap.kubernetes.io/token"
}

fn scrub_object(object: &mut Value) {
    if is_bootstrap_token(object) {
        object["metadata"]["name"] = json!("*");
        for field in ["token-id", "token-secret", "expiration"] {
            if object["data"].get(field).is_some() {
                object["data"][field] = json!("*");
            }
        }
    }
    if object["metadata"]["generateName"].is_string() {
        object["metadata"]["name"] = json!("*");
    }
    let deleting = object["metadata"]["deletionTimestamp"].is_string();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| !UNSTABLE_METADATA.contains(&field.as_str()));
    }
    if deleting {
        object["metadata"]["deletionTimestamp"] = json!("*");
    }
    // Which workflow it was is in the daemon's ids; that it was one stays.
    if object["metadata"]["annotations"].get("causeway.io/workflow").is_some() {
        object["metadata"]["annotations"]["causeway.io/workflow"] = json!("*");
    }
    scrub(object);
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A ConfigMap's or Secret's own keys are content, whatever they are called.
            map.retain(|field, _| !UNSTABLE_FIELDS.contains(&field.as_str()));
            map.iter_mut()
                .filter(|(field, _)| *field != "data")
                .for_each(|(_, value)| scrub(value));
            map.values_mut().for_each(mask_authority);
        }
        Value::Array(items) => items.iter_mut().for_each(scrub),
        _ => {}
    }
}

/// The cluster's CA is made anew for every world.
fn mask_authority(value: &mut Value) {
    const FIELD: &str = "certificate-authority-data: ";
    match value {
        Value::String(text) => {
            if let Some((before, rest)) = text.split_once(FIELD) {
                let after = rest.split_once('\n').map_or("", |(_, after)| after);
                *text = format!("{before}{FIELD}*\n{after}");
            }
        }
        Value::Object(map) => map.values_mut().for_each(mask_authority),
        _ => {}
    }
}
