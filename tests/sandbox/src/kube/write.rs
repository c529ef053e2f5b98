//! The writes: create, update and patch of one object, each as one step on the state. Knows the rules of
//! metadata (resourceVersion, uid, generation, finalizers); what a kind demands of its objects lies in `admission`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    admission, apply, clock,
    delete::remove,
    patch,
    registry::Kind,
    schema,
    status::{Failure, Outcome},
    store::{Key, State},
};

/// How a patch's body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchType {
    /// `application/merge-patch+json`.
    Merge,
    /// `application/json-patch+json`.
    Json,
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// `application/apply-patch+yaml`.
    Apply,
}

/// Where and how one object is written.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Its kind, in the version of the request.
    pub kind: Kind,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Empty for a create.
    pub name: String,
    /// Whether the request is for `/status`.
    pub status: bool,
    /// Nothing is stored.
    pub dry_run: bool,
    /// Who is recorded in managedFields.
    pub manager: String,
    /// Server-side apply over others' fields.
    pub force: bool,
}

impl Target {
    pub(super) fn key(&self) -> Key {
        Key::of(&self.kind, &self.namespace, &self.name)
    }

    pub(super) fn not_found(&self) -> Failure {
        Failure::not_found(&self.kind.group, &self.kind.plural, &self.name)
    }

    pub(super) fn conflict(&self, why: &str) -> Failure {
        Failure::conflict(&self.kind.group, &self.kind.plural, &self.name, why)
    }
}

/// The object as this kind's version shows it: with its type, and without what the schema does not name.
#[must_use]
pub(super) fn render(kind: &Kind, object: &Value) -> Value {
    let mut shown = object.clone();
    shown["apiVersion"] = json!(kind.api_version());
    shown["kind"] = json!(kind.kind);
    if let Some(custom) = &kind.custom {
        schema::prune(custom, &mut shown);
    }
    shown
}

/// Creates an object.
pub(super) fn create(state: &mut State, target: &Target, mut object: Value) -> Outcome<Value> {
    let kind = &target.kind;
    check_identity(target, &object)?;
    let metadata = metadata_of(&mut object)?;
    if metadata
        .get("resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|revision| !revision.is_empty())
    {
        return Err(Failure::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let name = match (
        metadata.get("name").and_then(Value::as_str),
        metadata.get("generateName").and_then(Value::as_str),
    ) {
        (Some(name), _) if !name.is_empty() => name.to_owned(),
        (_, Some(prefix)) if !prefix.is_empty() => format!("{prefix}{}", random_suffix()),
        _ => {
            return Err(Failure::invalid(
                &kind.group,
                &kind.kind,
                "",
                &[(
                    "metadata.name".into(),
                    "Required value: name or generateName is required".into(),
                )],
            ));
        }
    };
    metadata.insert("name".into(), json!(name));
    if kind.namespaced {
        check_namespace(state, target, &name)?;
        metadata.insert("namespace".into(), json!(target.namespace));
    } else {
        metadata.remove("namespace");
    }
    for field in [
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "generation",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".into(), json!(clock::stamp()));
    if kind.generation {
        metadata.insert("generation".into(), json!(1));
    }
    let target = Target { name, ..target.clone() };
    // The kubelet registers its Node with a status; every other kind starts without one.
    if kind.status && kind.plural != "nodes" {
        object.as_object_mut().map(|map| map.remove("status"));
    }
    finish(&target, &mut object, None)?;
    if state.get(&target.key()).is_some() {
        return Err(Failure::already_exists(&kind.group, &kind.plural, &target.name));
    }
    apply::track(&mut object, None, &target.manager, target.status);
    store(state, &target, object)
}

/// Replaces an object.
pub(super) fn update(state: &mut State, target: &Target, object: Value) -> Outcome<Value> {
    check_identity(target, &object)?;
    let old = state.get(&target.key()).ok_or_else(|| target.not_found())?;
    if object["metadata"]["name"].as_str().is_some_and(|name| name != target.name) {
        let message = "the name of the object does not match the name on the URL";
        return Err(Failure::bad_request(format!(
            "{message} ({} and {})",
            object["metadata"]["name"], target.name
        )));
    }
    let unconditional =
        object["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty();
    if unconditional && target.kind.custom.is_some() {
        let cause = (
            "metadata.resourceVersion".to_owned(),
            "Invalid value: 0: must be specified for an update".to_owned(),
        );
        return Err(Failure::invalid(
            &target.kind.group,
            &target.kind.kind,
            &target.name,
            &[cause],
        ));
    }
    change(state, target, &old, object, true)
}

/// Patches an object; a server-side apply creates it when it is not there.
pub(super) fn patch(
    state: &mut State,
    target: &Target,
    how: PatchType,
    body: &Value,
) -> Outcome<Value> {
    let old = state.get(&target.key());
    if how == PatchType::Apply {
        return server_side_apply(state, target, old, body);
    }
    let old = old.ok_or_else(|| target.not_found())?;
    let mut new = render(&target.kind, &old);
    match how {
        PatchType::Merge => patch::merge(&mut new, body),
        PatchType::Json => patch::json(&mut new, body)?,
        PatchType::Strategic if target.kind.custom.is_some() => {
            return Err(Failure::unsupported_media_type(
                "application/strategic-merge-patch+json",
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        PatchType::Strategic | PatchType::Apply => patch::strategic(&mut new, body)?,
    }
    change(state, target, &old, new, true)
}

fn server_side_apply(
    state: &mut State,
    target: &Target,
    old: Option<Arc<Value>>,
    body: &Value,
) -> Outcome<Value> {
    check_identity(target, body)?;
    if body["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(old) = old {
        let mut new = render(&target.kind, &old);
        apply::apply(&mut new, body, &target.manager, target.force)?;
        if let Some(revision) = body["metadata"].get("resourceVersion") {
            new["metadata"]["resourceVersion"] = revision.clone();
        }
        return change(state, target, &old, new, false);
    }
    if body["metadata"].get("resourceVersion").is_some() || body["metadata"].get("uid").is_some() {
        return Err(target.conflict("uid or resourceVersion mismatch: the provided object specified one, and no existing object was found"));
    }
    let mut object = body.clone();
    object["metadata"]["name"] = json!(target.name);
    let applying = Target { dry_run: true, ..target.clone() };
    let mut created = create(state, &applying, object)?;
    apply::own(&mut created, body, &target.manager);
    let created_target = Target { name: target.name.clone(), ..target.clone() };
    store(state, &created_target, created)
}

/// The common end of update and patch: metadata's rules, admission, generation, no write when nothing changed.
fn change(
    state: &mut State,
    target: &Target,
    old: &Arc<Value>,
    mut new: Value,
    track: bool,
) -> Outcome<Value> {
    let kind = &target.kind;
    let before = render(kind, old);
    let wanted = metadata_of(&mut new)?;
    if wanted
        .get("resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|given| !given.is_empty() && before["metadata"]["resourceVersion"] != given)
    {
        return Err(Failure::modified(&kind.group, &kind.plural, &target.name));
    }
    if let Some(uid) =
        wanted.get("uid").filter(|uid| **uid != before["metadata"]["uid"] && **uid != "")
    {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            before["metadata"]["uid"]
        );
        return Err(target.conflict(&why));
    }
    if wanted.get("name").is_some_and(|name| *name != target.name.as_str()) {
        let cause = ("metadata.name".to_owned(), "Invalid value: field is immutable".to_owned());
        return Err(Failure::invalid(&kind.group, &kind.kind, &target.name, &[cause]));
    }
    let old_metadata = before["metadata"].as_object().cloned().unwrap_or_default();
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "generateName",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match old_metadata.get(field) {
            Some(value) => wanted.insert(field.into(), value.clone()),
            None => wanted.remove(field),
        };
    }
    wanted.remove("selfLink");
    keep_other_half(target, &before, &mut new);
    finish(target, &mut new, Some(&before))?;
    if kind.generation && wanted_changed(kind, &before, &new) {
        let generation = old_metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
    if track {
        apply::track(&mut new, Some(&before), &target.manager, target.status);
    }
    // Against what is stored, not what is shown: a write after a schema got narrower loses fields for good.
    if same(old, &new) {
        return Ok(before);
    }
    let finalized = new["metadata"]["deletionTimestamp"].is_string()
        && is_empty_list(&new["metadata"]["finalizers"]);
    let graceful = new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0;
    if finalized && !graceful {
        if !target.dry_run {
            state.put(&target.key(), new.clone());
            remove(state, &target.key());
        }
        return Ok(new);
    }
    store(state, target, new)
}

/// A plain write leaves the status alone, a write of the status everything else.
fn keep_other_half(target: &Target, before: &Value, new: &mut Value) {
    if target.status {
        let status = new.get("status").cloned();
        let fields = new["metadata"]["managedFields"].clone();
        *new = before.clone();
        if !fields.is_null() {
            new["metadata"]["managedFields"] = fields;
        }
        set_or_remove(new, "status", status);
    } else if target.kind.status {
        set_or_remove(new, "status", before.get("status").cloned());
    }
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => map.insert(field.to_owned(), value),
            None => map.remove(field),
        };
    }
}

fn wanted_changed(kind: &Kind, before: &Value, new: &Value) -> bool {
    if kind.custom.is_none() {
        return before["spec"] != new["spec"];
    }
    let rest = |object: &Value| {
        let mut rest = object.as_object().cloned().unwrap_or_default();
        rest.remove("metadata");
        if kind.status {
            rest.remove("status");
        }
        rest
    };
    rest(before) != rest(new)
}

fn same(before: &Value, new: &Value) -> bool {
    let rest = |object: &Value| {
        let mut rest = object.clone();
        if let Some(metadata) = rest["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        rest
    };
    rest(before) == rest(new) && managers(before) == managers(new)
}

fn managers(object: &Value) -> Vec<(Value, Value)> {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut managers: Vec<(Value, Value)> = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["operation"] == "Apply")
        .map(|entry| (entry["manager"].clone(), entry["fieldsV1"].clone()))
        .collect();
    managers.sort_by_key(|(manager, _)| manager.to_string());
    managers
}

/// Defaults, pruning and validation of what is about to be stored.
fn finish(target: &Target, object: &mut Value, before: Option<&Value>) -> Outcome<()> {
    let kind = &target.kind;
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = object["metadata"]
            .get(field)
            .is_some_and(|value| value.is_null() || value == &json!({}) || value == &json!([]));
        if empty && let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove(field);
        }
    }
    match &kind.custom {
        Some(custom) => schema::prune(custom, object),
        None => drop_nulls(object),
    }
    admission::default_fields(kind, object);
    let mut causes = admission::violations(kind, object, before);
    if let Some(custom) = &kind.custom {
        causes.extend(schema::violations(custom, object));
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(&kind.group, &kind.kind, &target.name, &causes))
    }
}

fn store(state: &mut State, target: &Target, object: Value) -> Outcome<Value> {
    if target.dry_run {
        return Ok(object);
    }
    let stored = state.put(&target.key(), object);
    Ok(render(&target.kind, &stored))
}

fn check_identity(target: &Target, object: &Value) -> Outcome<()> {
    let kind = &target.kind;
    if !object.is_object() {
        return Err(Failure::bad_request("the body of the request is not an object"));
    }
    let version = kind.api_version();
    let differs = |field: &str, expected: &str| {
        object[field].as_str().is_some_and(|given| !given.is_empty() && given != expected)
    };
    if differs("apiVersion", &version) || differs("kind", &kind.kind) {
        return Err(Failure::bad_request(format!(
            "the API version or kind in the data ({}, {}) does not match the expected one ({version}, {})",
            object["apiVersion"], object["kind"], kind.kind
        )));
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if kind.namespaced && !namespace.is_empty() && namespace != target.namespace {
        return Err(Failure::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({namespace} and {})",
            target.namespace
        )));
    }
    Ok(())
}

fn check_namespace(state: &State, target: &Target, name: &str) -> Outcome<()> {
    if target.namespace.is_empty() {
        return Err(Failure::bad_request("an empty namespace may not be set during creation"));
    }
    let Some(namespace) = state.get(&Key::core("namespaces", "", &target.namespace)) else {
        return Err(Failure::not_found("", "namespaces", &target.namespace));
    };
    if namespace["metadata"]["deletionTimestamp"].is_string() {
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            target.namespace
        );
        return Err(Failure::forbidden(&target.kind.group, &target.kind.plural, name, &why));
    }
    Ok(())
}

fn metadata_of(object: &mut Value) -> Outcome<&mut Map<String, Value>> {
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    object["metadata"]
        .as_object_mut()
        .ok_or_else(|| Failure::bad_request("metadata is not an object"))
}

pub(super) fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_none_or(Vec::is_empty)
}

fn random_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

/// What a built-in kind's decoder leaves of nulls: nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
