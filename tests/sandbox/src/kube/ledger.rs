//! Every object of a cluster as one sorted JSON value, for comparing the cluster before and after. It reads through
//! the API by discovery, so it works for any API server. What it leaves out is listed here, and nothing else is.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
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

/// Every object of every kind that the server lists: `PLURAL.GROUP` -> its objects in order. What a cloud node owes to
/// chance (its address, its instance's id, its pool's id) is replaced by what it is; ids of AccessKeys are left to
/// whoever knows their users.
pub async fn ledger(client: &Client) -> anyhow::Result<Value> {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (path, resource) in listed_resources(client).await? {
        let list: Value = get(client, &path).await?;
        for object in list["items"].as_array().cloned().unwrap_or_default() {
            kinds.entry(resource.clone()).or_default().push(object);
        }
    }
    let names = Names::of(kinds.get("nodes").map(Vec::as_slice).unwrap_or_default());
    for objects in kinds.values_mut() {
        objects.iter_mut().for_each(|object| scrub_object(object, &names));
        objects.sort_by_cached_key(|object| {
            let metadata = &object["metadata"];
            [text(&metadata["namespace"]), text(&metadata["name"]), &object.to_string()]
                .map(str::to_owned)
        });
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

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_bootstrap_token(object: &Value) -> bool {
    object["type"] == "bootstrap.kubernetes.io/token"
}

fn scrub_object(object: &mut Value, names: &Names) {
    if is_bootstrap_token(object) {
        object["metadata"]["name"] = json!("bootstrap-token-*");
        for field in ["token-id", "token-secret", "expiration"] {
            mask_data(object, field);
        }
        show_data(object, "description");
    }
    if text(&object["metadata"]["name"]) == "alibaba-addon-secret" {
        mask_data(object, "access-key-secret");
        show_data(object, "access-key-id");
    }
    if let Some(prefix) = object["metadata"]["generateName"].as_str() {
        object["metadata"]["name"] = json!(format!("{prefix}*"));
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
    if let Some(data) = object.get_mut("data") {
        mask_eni_secret(data);
    }
    scrub(object);
    names.rename(object);
}

/// Keeps that there is something, not what.
fn mask_data(object: &mut Value, field: &str) {
    if object["data"].get(field).is_some_and(|value| !text(value).is_empty()) {
        object["data"][field] = json!("*");
    }
}

/// Shows a text in the clear, so that it can be told whose it is.
fn show_data(object: &mut Value, field: &str) {
    let shown = BASE64.decode(text(&object["data"][field])).ok();
    if let Some(shown) = shown.and_then(|shown| String::from_utf8(shown).ok())
        && object["data"].get(field).is_some()
    {
        object["data"][field] = json!(shown);
    }
}

fn mask_eni_secret(data: &mut Value) {
    let Some(conf) = data.get("eni_conf").and_then(Value::as_str) else { return };
    let parsed: Value = serde_json::from_str(conf).unwrap_or_default();
    if let Some(secret) = parsed["access_secret"].as_str().filter(|secret| !secret.is_empty()) {
        data["eni_conf"] = json!(conf.replace(secret, "*"));
    }
}

/// What cloud nodes owe to chance, longest first, with what to put in its place.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn of(nodes: &[Value]) -> Self {
        let mut names = BTreeMap::new();
        for node in nodes.iter().filter(|node| node["spec"]["providerID"].is_string()) {
            let instance =
                text(&node["spec"]["providerID"]).rsplit_once('.').map_or("", |(_, id)| id);
            names.insert(instance.to_owned(), "[instance]");
            let pool = text(&node["metadata"]["labels"]["alibabacloud.com/nodepool-id"]);
            names.insert(pool.to_owned(), "[node pool]");
            for address in node["status"]["addresses"].as_array().into_iter().flatten() {
                if address["type"] == "InternalIP" {
                    names.insert(text(&address["address"]).to_owned(), "[address]");
                }
            }
        }
        names.remove("");
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        Self(names)
    }

    fn rename(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (id, name) in &self.0 {
                    if text.contains(id.as_str()) {
                        *text = text.replace(id.as_str(), name);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.rename(value)),
            _ => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ip: &str, instance: &str) -> Value {
        json!({"metadata": {"name": format!("cn-hangzhou.{ip}"), "labels": {"alibabacloud.com/nodepool-id": "np1"}},
            "spec": {"providerID": format!("cn-hangzhou.{instance}")},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]}})
    }

    #[test]
    fn what_cloud_nodes_owe_to_chance_is_named_and_the_rest_stays() {
        let names = Names::of(&[node("10.10.24.2", "i-a"), node("10.10.24.25", "i-b")]);
        let mut renamed = node("10.10.24.25", "i-b");
        names.rename(&mut renamed);
        assert_eq!(renamed["metadata"]["name"], "cn-hangzhou.[address]");
        assert_eq!(renamed["spec"]["providerID"], "cn-hangzhou.[instance]");
        assert_eq!(renamed["metadata"]["labels"]["alibabacloud.com/nodepool-id"], "[node pool]");
        let mut on_premises = json!({"metadata": {"name": "dc-worker-1"}});
        names.rename(&mut on_premises);
        assert_eq!(on_premises["metadata"]["name"], "dc-worker-1");
    }

    #[test]
    fn secrets_show_that_they_are_there_and_whose_key_it_is() {
        let mut secret = json!({"metadata": {"name": "alibaba-addon-secret"}, "data": {"access-key-id": "TFRBSTE=", "access-key-secret": "eA=="}});
        scrub_object(&mut secret, &Names(vec![]));
        assert_eq!(secret["data"], json!({"access-key-id": "LTAI1", "access-key-secret": "*"}));
        let mut map = json!({"metadata": {}, "data": {"eni_conf": "{\"access_secret\": \"abc\",  \"x\": 1}"}});
        scrub_object(&mut map, &Names(vec![]));
        assert_eq!(map["data"]["eni_conf"], "{\"access_secret\": \"*\",  \"x\": 1}");
    }
}
