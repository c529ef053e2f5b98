//! A tiny API server for the tests of steps: objects by path, resourceVersions, merge patches with their condition,
//! deletes with theirs. It shares nothing with the sandbox, and is no judge of the wire: that is the sandbox's part.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::resource::ObjectRef;

/// What becomes of the next write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is refused with this status, and has no effect.
    Refuse(u16),
    /// It has its effect, and its answer is a 504.
    CutAfter,
}

#[derive(Default)]
struct World {
    objects: BTreeMap<String, Value>,
    revision: u64,
    faults: VecDeque<Fault>,
    writes: Vec<String>,
}

/// The server, and what is in it.
#[derive(Clone, Default)]
pub(crate) struct FakeKube(Arc<Mutex<World>>);

impl FakeKube {
    /// A server whose namespace kube-system has uid `uid-1`.
    pub(crate) fn new() -> Self {
        let fake = Self::default();
        fake.put(&super::Resource::NAMESPACES.named("kube-system"), json!({}));
        fake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Puts an object there, as somebody else would.
    pub(crate) fn put(&self, at: &ObjectRef, value: Value) {
        let mut value = value;
        value["apiVersion"] = at.resource.api_version().into();
        value["kind"] = at.resource.kind().into();
        value["metadata"]["name"] = at.name.clone().into();
        if let Some(namespace) = &at.namespace {
            value["metadata"]["namespace"] = namespace.clone().into();
        }
        self.world().store(at.path(), value);
    }

    /// Changes an object, as somebody else would.
    pub(crate) fn change(&self, at: &ObjectRef, change: impl FnOnce(&mut Value)) {
        let mut world = self.world();
        let mut value = world.objects[&at.path()].clone();
        change(&mut value);
        world.store(at.path(), value);
    }

    /// Removes an object.
    pub(crate) fn remove(&self, at: &ObjectRef) {
        self.world().objects.remove(&at.path());
    }

    /// An object as it is.
    pub(crate) fn object(&self, at: &ObjectRef) -> Option<Value> {
        self.world().objects.get(&at.path()).cloned()
    }

    /// Everything, without what every write changes.
    pub(crate) fn dump(&self) -> BTreeMap<String, Value> {
        let mut objects = self.world().objects.clone();
        for value in objects.values_mut() {
            if let Some(metadata) = value["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
                metadata.remove("generation");
            }
        }
        objects
    }

    /// Breaks the next writes, in order.
    pub(crate) fn break_writes(&self, faults: &[Fault]) {
        self.world().faults.extend(faults);
    }

    /// `PATCH /api/…` of every write that had an effect.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.world().writes.clone()
    }

    /// A handle on it.
    pub(crate) fn cluster(&self, id: &str) -> Cluster {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.serve(request).await) }
        });
        Cluster {
            client: kube::Client::new(service, "default"),
            id: id.into(),
            call_timeout: Duration::from_secs(5),
            bound: None,
            outdated: Arc::new(AtomicBool::new(false)),
            read_only: false,
        }
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        if path.ends_with("selfsubjectaccessreviews") {
            return answer(200, &json!({"status": {"allowed": true}}));
        }
        if path == "/version" {
            return answer(200, &json!({"gitVersion": "v1.30.4"}));
        }
        let mut world = self.world();
        if parts.method == Method::GET {
            return world.read(&path, parts.uri.query().unwrap_or_default());
        }
        let fault = world.faults.pop_front();
        if let Some(Fault::Refuse(status)) = fault {
            return status_answer(status, "Refused");
        }
        let answered = world.write(&parts.method, &path, body);
        if matches!(fault, Some(Fault::CutAfter)) {
            status_answer(504, "Timeout")
        } else {
            answered
        }
    }
}

impl World {
    fn store(&mut self, path: String, mut value: Value) -> Value {
        self.revision += 1;
        let uid = match self.objects.get(&path) {
            Some(before) => before["metadata"]["uid"].clone(),
            None => format!("uid-{}", self.revision).into(),
        };
        value["metadata"]["uid"] = uid;
        value["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let changed = self.objects.get(&path).is_none_or(|before| before["spec"] != value["spec"]);
        if changed && path.starts_with("/apis/apps") {
            value["metadata"]["generation"] = self.revision.into();
        }
        self.objects.insert(path, value.clone());
        value
    }

    fn read(&self, path: &str, query: &str) -> Response<Body> {
        if let Some(object) = self.objects.get(path) {
            return answer(200, object);
        }
        let collection = self.objects.iter().filter(|(known, _)| lies_in(known, path));
        let labelled = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="))
            .unwrap_or_default()
            .replace("%3D", "=");
        let node =
            query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=spec.nodeName%3D"));
        let matches = |object: &Value| {
            let label = labelled
                .split_once('=')
                .is_none_or(|(key, value)| object["metadata"]["labels"][key] == value);
            label && node.is_none_or(|node| object["spec"]["nodeName"] == node)
        };
        let items: Vec<&Value> =
            collection.map(|(_, object)| object).filter(|object| matches(object)).collect();
        if items.is_empty() && is_object(path) {
            return status_answer(404, "NotFound");
        }
        answer(200, &json!({"kind": "List", "metadata": {}, "items": items}))
    }

    fn write(&mut self, method: &Method, path: &str, body: Value) -> Response<Body> {
        if method == Method::POST {
            let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
            if self.objects.contains_key(&path) {
                return status_answer(409, "AlreadyExists");
            }
            self.writes.push(format!("POST {path}"));
            return answer(201, &self.store(path, body));
        }
        let Some(mut current) = self.objects.get(path).cloned() else {
            return status_answer(404, "NotFound");
        };
        let conditions =
            if method == Method::DELETE { &body["preconditions"] } else { &body["metadata"] };
        for field in ["uid", "resourceVersion"] {
            if conditions.get(field).is_some_and(|wanted| *wanted != current["metadata"][field]) {
                return status_answer(409, "Conflict");
            }
        }
        self.writes.push(format!("{method} {path}"));
        if method == Method::DELETE {
            self.objects.remove(path);
            return answer(200, &json!({"kind": "Status", "status": "Success"}));
        }
        json_patch::merge(&mut current, &body);
        answer(200, &self.store(path.to_owned(), current))
    }
}

/// Whether a path is an object's and not a collection's: groups make it one segment longer.
fn is_object(path: &str) -> bool {
    (path.split('/').count() % 2 == 1) != path.starts_with("/apis/")
}

/// Whether an object's path lies in a collection's, which may span all namespaces.
fn lies_in(path: &str, collection: &str) -> bool {
    let Some((parent, _)) = path.rsplit_once('/') else { return false };
    if parent == collection {
        return true;
    }
    let Some((root, rest)) = parent.split_once("/namespaces/") else { return false };
    rest.split_once('/').is_some_and(|(_, plural)| format!("{root}/{plural}") == collection)
}

fn status_answer(status: u16, reason: &str) -> Response<Body> {
    answer(
        status,
        &json!({"kind": "Status", "status": "Failure", "reason": reason, "message": "told by the fake", "code": status}),
    )
}

fn answer(status: u16, value: &Value) -> Response<Body> {
    let body = Body::from(value.to_string().into_bytes());
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body).unwrap()
}
