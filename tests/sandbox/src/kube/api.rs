//! From request to answer: authentication, authorization, faults, and the verbs. Knows nothing of sockets.

use std::sync::Arc;

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    delete::{self, Deletion},
    discovery,
    faulty::{self, Stalls},
    identity::{self, Credentials, Identity},
    registry::Kind,
    request::Request,
    reviews,
    status::{Failure, Outcome, answer},
    store::{Key, State, Store},
    table, watch,
    write::{self, PatchType, Target},
};
use crate::{faults::Faults, time::Pace};

/// The server behind its socket.
#[derive(Debug)]
pub(super) struct Api {
    /// The objects.
    pub store: Arc<Store>,
    /// Tokens, and what the daemon may not.
    pub credentials: Credentials,
    /// Version as `/version` says it, without the `v`.
    pub version: String,
    /// Faults for the daemon's calls.
    pub faults: Arc<Faults>,
    /// The world's pace.
    pub pace: Pace,
    /// What a fault keeps from ever becoming ready.
    pub stalls: Stalls,
    /// Ends watches and late calls.
    pub stop: CancellationToken,
    /// Late calls.
    pub late: TaskTracker,
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) identity: Identity,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Api {
    /// Answers one request.
    pub(super) async fn serve(self: Arc<Self>, parts: Parts, body: Bytes) -> Response<Body> {
        match self.admit(&parts, &body) {
            Ok(call) => faulty::run(self, call).await,
            Err(failure) => failure.response(),
        }
    }

    fn admit(&self, parts: &Parts, body: &Bytes) -> Outcome<Call> {
        let request =
            Request::parse(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default());
        let state = self.store.read();
        let identity = self.credentials.authenticate(&parts.headers, &state)?;
        let wanted = &request.wanted;
        self.credentials.authorize(&identity, wanted, &state).map_err(|why| {
            Failure::forbidden(&wanted.group, &wanted.resource, &wanted.name, &why)
        })?;
        if identity.daemon && !wanted.resource.is_empty() {
            self.faults.uses().note_kubernetes(wanted.used());
        }
        let body = decode(&parts.headers, body)?;
        Ok(Call { request, identity, headers: parts.headers.clone(), body })
    }

    /// Carries out a call, faults aside.
    pub(super) fn perform(&self, call: &Call) -> Outcome<Response<Body>> {
        let wanted = &call.request.wanted;
        if wanted.resource.is_empty() {
            return discovery::answer(self, &call.request.wanted.path);
        }
        if let Some(review) = reviews::answer(self, call) {
            return review.map(|review| answer(StatusCode::CREATED, &review));
        }
        let kind = self
            .store
            .read()
            .kind(&wanted.group, &call.request.version, &wanted.resource)
            .ok_or_else(Failure::no_such_path)?;
        match (wanted.verb.as_str(), wanted.subresource.as_str()) {
            ("create", "eviction") if wanted.resource == "pods" => self.delete(call, &kind),
            ("get", "" | "status") => self.get(call, &kind),
            ("list", "") => self.list(call, &kind),
            ("watch", "") => watch::answer(self, call, &kind),
            ("create", "") if wanted.name.is_empty() => self.create(call, &kind),
            ("update" | "patch", "" | "status" | "finalize") => self.change(call, &kind),
            ("delete", "") => self.delete(call, &kind),
            ("deletecollection", "") => self.delete_collection(call, &kind),
            (_, "") => Err(Failure::method_not_allowed()),
            _ => Err(Failure::no_such_path()),
        }
    }

    fn get(&self, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
        let wanted = &call.request.wanted;
        let object = self.store.read().get(&Key::of(kind, &wanted.namespace, &wanted.name));
        let object =
            object.ok_or_else(|| Failure::not_found(&kind.group, &kind.plural, &wanted.name))?;
        let shown = write::render(kind, &object);
        if table::is_asked_for(&call.headers) {
            return Ok(answer(StatusCode::OK, &table::of(kind, &[shown], &json!({}))));
        }
        Ok(answer(StatusCode::OK, &shown))
    }

    fn list(&self, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
        let selector = call.request.selector()?;
        let state = self.store.read();
        let objects = state.list(&kind.group, &kind.plural, &call.request.wanted.namespace);
        let revision = state.revision().to_string();
        drop(state);
        let mut selected: Vec<(Key, Value)> = objects
            .into_iter()
            .map(|(key, object)| (key, write::render(kind, &object)))
            .filter(|(_, object)| selector.matches(object))
            .collect();
        let mut metadata = json!({"resourceVersion": revision});
        if let Some(after) = continued(call.request.param("continue"))? {
            selected.retain(|(key, _)| (key.namespace.clone(), key.name.clone()) > after);
        }
        let limit = call.request.param("limit").parse().unwrap_or(0);
        if limit > 0 && selected.len() > limit {
            let last = &selected[limit - 1].0;
            metadata["continue"] =
                json!(BASE64.encode(json!([last.namespace, last.name]).to_string()));
            metadata["remainingItemCount"] = json!(selected.len() - limit);
            selected.truncate(limit);
        }
        let mut items: Vec<Value> = selected.into_iter().map(|(_, object)| object).collect();
        if table::is_asked_for(&call.headers) {
            return Ok(answer(StatusCode::OK, &table::of(kind, &items, &metadata)));
        }
        if kind.custom.is_none() {
            // As of the real one: items of a built-in kind's list do not say what they are.
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.retain(|field, _| field != "apiVersion" && field != "kind");
            }
        }
        let list = json!({"kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": items});
        Ok(answer(StatusCode::OK, &list))
    }

    fn create(&self, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
        let target = target(call, kind)?;
        strict(call, kind, &call.body)?;
        let created = self.store.write(|state| {
            guarded(state, call, &target, |state, target| {
                write::create(state, target, call.body.clone())
            })
        })?;
        Ok(answer(StatusCode::CREATED, &created))
    }

    fn change(&self, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
        let target = target(call, kind)?;
        let new = self.store.write(|state| {
            guarded(state, call, &target, |state, target| {
                if call.request.wanted.verb == "update" {
                    strict(call, kind, &call.body)?;
                    return write::update(state, target, call.body.clone());
                }
                write::patch(state, target, patch_type(&call.headers)?, &call.body)
            })
        })?;
        Ok(answer(StatusCode::OK, &new))
    }

    fn delete(&self, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
        let target = target(call, kind)?;
        let eviction = call.request.wanted.subresource == "eviction";
        let options = if eviction { &call.body["deleteOptions"] } else { &call.body };
        let deletion = deletion(call, options);
        let (ending, uid) = self.store.write(|state| delete::delete(state, &target, &deletion))?;
        let answered = match ending {
            Some(object) if !eviction => object,
            _ => json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": target.name, "group": kind.group, "kind": kind.plural, "uid": uid}}),
        };
        Ok(answer(if eviction { StatusCode::CREATED } else { StatusCode::OK }, &answered))
    }

    fn delete_collection(&self, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
        let (base, selector) = (target(call, kind)?, call.request.selector()?);
        let deletion = deletion(call, &call.body);
        self.store.write(|state| {
            for (key, object) in state.list(&kind.group, &kind.plural, &base.namespace) {
                if selector.matches(&object) {
                    let target =
                        Target { name: key.name, namespace: key.namespace, ..base.clone() };
                    delete::delete(state, &target, &deletion)?;
                }
            }
            Ok(())
        })?;
        Ok(answer(
            StatusCode::OK,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
        ))
    }
}

/// Runs a write; of a kubelet's, first sees whether the node restriction lets it through.
fn guarded(
    state: &mut State,
    call: &Call,
    target: &Target,
    write: impl Fn(&mut State, &Target) -> Outcome<Value>,
) -> Outcome<Value> {
    if target.kind.plural == "nodes" && call.identity.user.starts_with("system:node:") {
        let before = state.get(&Key::of(&target.kind, "", &target.name));
        let tried = write(state, &Target { dry_run: true, ..target.clone() })?;
        if let Some(why) = identity::node_restriction(&call.identity, &tried, before.as_deref()) {
            let name = tried["metadata"]["name"].as_str().unwrap_or_default();
            return Err(Failure::forbidden("", "nodes", name, &why));
        }
    }
    write(state, target)
}

fn target(call: &Call, kind: &Kind) -> Outcome<Target> {
    let wanted = &call.request.wanted;
    let agent = call
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("unknown");
    let manager = call.request.param("fieldManager");
    if manager.is_empty() && is_apply(&call.headers) {
        return Err(Failure::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    Ok(Target {
        kind: kind.clone(),
        namespace: wanted.namespace.clone(),
        name: wanted.name.clone(),
        status: wanted.subresource == "status",
        dry_run: call.request.dry_run()?,
        manager: if manager.is_empty() {
            agent.split('/').next().unwrap_or("unknown").to_owned()
        } else {
            manager.to_owned()
        },
        force: call.request.flag("force"),
    })
}

/// `fieldValidation=Strict` on a custom resource: what would be pruned is refused instead.
fn strict(call: &Call, kind: &Kind, object: &Value) -> Outcome<()> {
    if call.request.param("fieldValidation") == "Strict"
        && kind.custom.is_some()
        && object.is_object()
    {
        let mut typed = object.clone();
        typed["apiVersion"] = json!(kind.api_version());
        typed["kind"] = json!(kind.kind);
        if write::render(kind, object) != typed {
            return Err(Failure::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: unknown field",
                kind.kind, kind.version, kind.kind
            )));
        }
    }
    Ok(())
}

fn deletion(call: &Call, options: &Value) -> Deletion {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let policy = options["propagationPolicy"]
        .as_str()
        .unwrap_or_else(|| call.request.param("propagationPolicy"));
    Deletion {
        uid: text(&options["preconditions"]["uid"]),
        resource_version: text(&options["preconditions"]["resourceVersion"]),
        grace: options["gracePeriodSeconds"]
            .as_i64()
            .or_else(|| call.request.param("gracePeriodSeconds").parse().ok()),
        orphan: policy == "Orphan" || options["orphanDependents"] == true,
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    let given =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

fn is_apply(headers: &HeaderMap) -> bool {
    content_type(headers).starts_with("application/apply-patch")
}

fn patch_type(headers: &HeaderMap) -> Outcome<PatchType> {
    match content_type(headers) {
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(PatchType::Apply),
        other => Err(Failure::unsupported_media_type(
            other,
            "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
        )),
    }
}

fn decode(headers: &HeaderMap, body: &Bytes) -> Outcome<Value> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let kind = content_type(headers);
    if kind.contains("yaml") {
        let text = std::str::from_utf8(body)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
        return serde_saphyr::from_str(text)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")));
    }
    if !kind.is_empty() && !kind.contains("json") {
        return Err(Failure::unsupported_media_type(kind, "application/json, application/yaml"));
    }
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}

fn continued(token: &str) -> Outcome<Option<(String, String)>> {
    if token.is_empty() {
        return Ok(None);
    }
    let decoded = BASE64
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<(String, String)>(&bytes).ok());
    decoded.map(Some).ok_or_else(|| Failure::bad_request("continue key is not valid"))
}
