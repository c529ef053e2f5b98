//! What the server says of itself: version, health, groups, resources, and as much of OpenAPI as kubectl needs in
//! order to leave validation to the server.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    api::Api,
    registry::Kind,
    reviews,
    status::{Failure, Outcome, answer as json_answer},
};

const OPENAPI_V2: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Answers a path that is no resource.
pub(super) fn answer(api: &Api, path: &str) -> Outcome<Response<Body>> {
    let kinds = api.store.read().kinds().to_vec();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let found = match segments[..] {
        ["healthz" | "livez" | "readyz", ..] => return Ok(plain("text/plain", "ok".into())),
        ["openapi", "v2"] => return Ok(plain(OPENAPI_V2, String::new())),
        ["openapi", "v3"] => Some(openapi_index(&kinds)),
        ["openapi", "v3", "api", version] => openapi(&kinds, "", version),
        ["openapi", "v3", "apis", group, version] => openapi(&kinds, group, version),
        ["version"] => Some(version(&api.version)),
        ["api"] => Some(
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ),
        ["api", version] => resources(&kinds, "", version),
        ["apis"] => {
            let all: Vec<Value> = groups(&kinds)
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, versions)| group(name, versions))
                .collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all}))
        }
        ["apis", name] => groups(&kinds).get(name).map(|versions| {
            let mut group = group(name, versions);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }),
        ["apis", group, version] => resources(&kinds, group, version),
        _ => None,
    };
    found.map(|value| json_answer(StatusCode::OK, &value)).ok_or_else(Failure::no_such_path)
}

fn plain(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

fn version(version: &str) -> Value {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("30"));
    json!({
        "major": major, "minor": minor, "gitVersion": format!("v{version}"), "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z", "goVersion": "go1.22.0", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn groups(kinds: &[Kind]) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let reviews = reviews::KINDS.iter().map(|review| (review.group, "v1"));
    for (group, version) in
        kinds.iter().map(|kind| (kind.group.as_str(), kind.version.as_str())).chain(reviews)
    {
        let versions = groups.entry(group.to_owned()).or_default();
        if !versions.iter().any(|one| one == version) {
            versions.push(version.to_owned());
        }
    }
    groups
}

fn group(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn resources(kinds: &[Kind], group: &str, version: &str) -> Option<Value> {
    let mut listed = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group == group && kind.version == version) {
        let singular = kind.kind.to_lowercase();
        listed.push(json!({
            "name": kind.plural, "singularName": singular, "namespaced": kind.namespaced, "kind": kind.kind, "verbs": VERBS, "shortNames": kind.short,
        }));
        if kind.status {
            listed.push(json!({"name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind, "verbs": ["get", "patch", "update"]}));
        }
        if kind.plural == "pods" && group.is_empty() {
            listed.push(json!({"name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}));
        }
    }
    for review in reviews::KINDS.iter().filter(|review| review.group == group && version == "v1") {
        listed.push(json!({"name": review.plural, "singularName": "", "namespaced": false, "kind": review.kind, "verbs": ["create"]}));
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!listed.is_empty()).then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}))
}

fn openapi_index(kinds: &[Kind]) -> Value {
    let mut paths = serde_json::Map::new();
    for (group, versions) in groups(kinds) {
        for version in versions {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            paths.insert(
                path.clone(),
                json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash=1")}),
            );
        }
    }
    json!({ "paths": paths })
}

/// Only that every kind may be patched with `fieldValidation`: schemas are the server's own business.
fn openapi(kinds: &[Kind], group: &str, version: &str) -> Option<Value> {
    let root = if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    let paths: serde_json::Map<String, Value> = kinds
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .map(|kind| {
            let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
            let gvk = json!({"group": group, "version": version, "kind": kind.kind});
            let parameters = json!([{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]);
            let patch = json!({"operationId": format!("patch{}", kind.kind), "parameters": parameters, "responses": {}, "x-kubernetes-group-version-kind": gvk});
            (format!("{root}{scope}/{}/{{name}}", kind.plural), json!({ "patch": patch }))
        })
        .collect();
    (!paths.is_empty()).then(|| json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "unversioned"}, "paths": paths, "components": {"schemas": {}}}))
}
