//! One cluster's API: reads, and writes that carry a condition on what was read. Every call has a deadline and is made
//! once; what to do about a failure is the engine's to decide.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use causeway_engine::{Failure, Time};
use http::{Method, Request};
use kube::client::Body;
use serde_json::{Value, json};
use tracing::Instrument;

use super::answer;
use super::error::{Access, Cause, Error};
use super::patch::merge_patch;
use super::resource::{ObjectRef, Resource, encode};
use super::verb::Verb;
use crate::sdk::Now;

/// Objects per page of a list: keeps an answer well under the bound on bodies.
const PAGE: usize = 250;
/// Most pages of one list: a cluster with more objects of a kind is beyond what this product is for.
const PAGES_MAX: usize = 400;

/// By this name the API server's `managedFields` know our writes.
pub const FIELD_MANAGER: &str = "causeway";

/// A cluster's API. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: kube::Client,
    pub(super) id: Arc<str>,
    pub(super) call_timeout: Duration,
    /// The end of the attempt, and the clock.
    pub(super) bound: Option<(Time, Now)>,
    /// Set when the API server refused the credentials, or could not be reached: the kubeconfig is read anew.
    pub(super) outdated: Arc<AtomicBool>,
    /// Refuses every mutating call before it is sent.
    pub(super) read_only: bool,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A call, not yet sent.
struct Call<'a> {
    verb: &'static str,
    target: String,
    access: Access,
    method: Method,
    /// Path and query.
    uri: String,
    content_type: &'static str,
    body: Option<&'a Value>,
    quiet: bool,
}

impl Cluster {
    /// The registered cluster's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same cluster, where no mutating call starts, or is waited for, after `deadline`.
    #[must_use]
    pub fn until(mut self, deadline: Option<Time>, now: &Now) -> Self {
        self.bound = deadline.map(|deadline| (deadline, Arc::clone(now)));
        self
    }

    /// One object; none where it, its namespace or its resource type does not exist.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, Failure> {
        let call = Call::on("get", object, Access::Read, Method::GET, object.path());
        match self.send(call).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All objects of a collection, page by page; none where the resource type is not served. `labels` is a label
    /// selector, empty for all.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>, Failure> {
        self.list_by(resource, namespace, &[("labelSelector", labels)]).await
    }

    /// All pods that are bound to a node.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Value>, Failure> {
        self.list_by(&Resource::PODS, None, &[("fieldSelector", &format!("spec.nodeName={node}"))])
            .await
    }

    async fn list_by(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let query: String = query
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("&{name}={}", encode(value)))
            .collect();
        let mut items = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let place = namespace.map_or_else(String::new, |namespace| format!(" in {namespace}"));
            let call = Call {
                verb: "list",
                target: format!("{}{place}", resource.plural()),
                access: Access::Read,
                method: Method::GET,
                uri: format!("{}?limit={PAGE}{query}{next}", resource.path(namespace)),
                content_type: "",
                body: None,
                quiet: false,
            };
            let mut page = match self.send(call).await {
                Ok(page) => page,
                Err(error) if error.status() == Some(404) => return Ok(items),
                Err(error) => return Err(error.into()),
            };
            if let Value::Array(more) = page["items"].take() {
                // Items of a list carry neither of these; on their own they need them.
                items.extend(more.into_iter().map(|mut item| {
                    item["apiVersion"] = resource.api_version().into();
                    item["kind"] = resource.kind().into();
                    item
                }));
            }
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => next = format!("&continue={}", encode(token)),
                _ => return Ok(items),
            }
        }
        Err(Failure::permanent(format!(
            "Kubernetes: list {}: more than {} objects",
            resource.plural(),
            PAGE * PAGES_MAX
        ))
        .with_code("TOO_MANY_OBJECTS"))
    }

    /// Makes an object. Where one of its name is there already: class Stale.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn create(&self, object: &ObjectRef, value: &Value) -> Result<Value, Failure> {
        let uri = format!(
            "{}?fieldManager={FIELD_MANAGER}",
            object.resource.path(object.namespace.as_deref())
        );
        let call = Call::on("create", object, Access::Mutate, Method::POST, uri)
            .body("application/json", value);
        Ok(self.send(call).await?)
    }

    /// Makes `wanted` of `current`, as it was read: only the difference is sent, on the condition that nobody has
    /// changed the object since (class Stale). Without a difference nothing is sent.
    ///
    /// # Errors
    /// As the call failed; permanent where `current` was not read from the API.
    pub async fn edit(
        &self,
        object: &ObjectRef,
        current: &Value,
        wanted: &Value,
    ) -> Result<Value, Failure> {
        let mut patch = merge_patch(current, wanted);
        if patch.is_null() {
            return Ok(current.clone());
        }
        patch["metadata"]["resourceVersion"] = version_of(object, current)?.into();
        let uri = format!("{}?fieldManager={FIELD_MANAGER}", object.path());
        let call = Call::on("patch", object, Access::Mutate, Method::PATCH, uri);
        Ok(self.send(call.body("application/merge-patch+json", &patch)).await?)
    }

    /// Deletes the very object that was read (class Stale where it has changed since); gone already is fine.
    ///
    /// # Errors
    /// As the call failed; permanent where `current` was not read from the API.
    pub async fn delete(&self, object: &ObjectRef, current: &Value) -> Result<(), Failure> {
        let preconditions = json!({"uid": current["metadata"]["uid"], "resourceVersion": version_of(object, current)?});
        self.delete_if(object, preconditions).await
    }

    /// Deletes an object by its uid, whatever its state now: for pods and nodes, whose status changes all the time.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn delete_by_uid(&self, object: &ObjectRef, uid: &str) -> Result<(), Failure> {
        self.delete_if(object, json!({"uid": uid})).await
    }

    async fn delete_if(&self, object: &ObjectRef, preconditions: Value) -> Result<(), Failure> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": preconditions});
        let call = Call::on("delete", object, Access::Mutate, Method::DELETE, object.path())
            .body("application/json", &options);
        match self.send(call).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Evicts a pod: a disruption budget that does not allow it answers class Throttled; gone already is fine.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn evict(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Failure> {
        let object = Resource::PODS.at(namespace, name);
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let uri = format!("{}/eviction", object.path());
        let call = Call::on("evict", &object, Access::Mutate, Method::POST, uri)
            .body("application/json", &eviction);
        match self.send(call).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the kubeconfig's user may do it.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn allowed(&self, need: &Verb) -> Result<bool, Failure> {
        let mut attributes = json!({"verb": need.verb, "group": need.resource.group(), "resource": need.resource.plural()});
        let parts = [("namespace", need.namespace.as_deref()), ("subresource", need.subresource)];
        for (field, part) in parts.into_iter().filter_map(|(field, part)| Some((field, part?))) {
            attributes[field] = part.into();
        }
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes},
        });
        let call = Call {
            verb: "create",
            target: format!("selfsubjectaccessreviews ({} {})", need.verb, need.resource.plural()),
            access: Access::Read,
            method: Method::POST,
            uri: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
            content_type: "application/json",
            body: Some(&body),
            quiet: false,
        };
        Ok(self.send(call).await?["status"]["allowed"] == true)
    }

    /// The API server's version, without the `v`: `1.30.4`.
    ///
    /// # Errors
    /// As the call failed.
    pub async fn version(&self) -> Result<String, Failure> {
        let call = Call {
            verb: "get",
            target: "/version".to_owned(),
            access: Access::Read,
            method: Method::GET,
            uri: "/version".to_owned(),
            content_type: "",
            body: None,
            quiet: false,
        };
        let told = self.send(call).await?;
        Ok(told["gitVersion"].as_str().unwrap_or_default().trim_start_matches('v').to_owned())
    }

    /// Sends under the deadline, in a span of its own.
    async fn send(&self, call: Call<'_>) -> Result<Value, Error> {
        let span = tracing::info_span!(
            "kubernetes_call",
            cluster = %self.id,
            verb = call.verb,
            target = %call.target,
            code = tracing::field::Empty,
        );
        let result = self.send_in_time(&call).instrument(span.clone()).await;
        result.map_err(|cause| {
            if matches!(cause, Cause::NotSent(_) | Cause::Answer { status: 401, .. }) {
                self.outdated.store(true, Ordering::Relaxed);
            }
            let error = Error { verb: call.verb, target: call.target, access: call.access, cause };
            span.record("code", error.code());
            error
        })
    }

    async fn send_in_time(&self, call: &Call<'_>) -> Result<Value, Cause> {
        if self.read_only && call.access == Access::Mutate {
            return Err(Cause::ReadOnly);
        }
        let mut budget = self.call_timeout;
        if let (Access::Mutate, Some((deadline, now))) = (call.access, &self.bound) {
            budget = budget.min(Duration::from_millis(deadline.ms_since(now())));
        }
        if budget.is_zero() {
            return Err(Cause::Deadline);
        }
        let body =
            call.body.map_or_else(Body::empty, |body| Body::from(body.to_string().into_bytes()));
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.uri)
            .header("accept", "application/json");
        if !call.content_type.is_empty() {
            request = request.header("content-type", call.content_type);
        }
        let request = request
            .body(body)
            .map_err(|error| Cause::NotSent(format!("no request can be made of it: {error}")))?;
        match tokio::time::timeout(budget, self.exchange(request, call.quiet)).await {
            Ok(result) => result,
            Err(_) => Err(Cause::Lost(format!("no answer within {budget:?}"))),
        }
    }

    async fn exchange(&self, request: Request<Body>, quiet: bool) -> Result<Value, Cause> {
        let response =
            self.client.send(request).await.map_err(|error| answer::transport(&error))?;
        let (parts, body) = response.into_parts();
        let body = answer::read_body(body).await?;
        if parts.status.is_success() {
            answer::parse(&body)
        } else {
            Err(answer::refusal(parts.status.as_u16(), &parts.headers, &body, quiet))
        }
    }
}

impl<'a> Call<'a> {
    fn on(
        verb: &'static str,
        object: &ObjectRef,
        access: Access,
        method: Method,
        uri: String,
    ) -> Self {
        let quiet = object.holds_secret();
        Self {
            verb,
            target: object.to_string(),
            access,
            method,
            uri,
            content_type: "",
            body: None,
            quiet,
        }
    }

    fn body(mut self, content_type: &'static str, body: &'a Value) -> Self {
        self.content_type = content_type;
        self.body = Some(body);
        self
    }
}

fn version_of<'a>(object: &ObjectRef, current: &'a Value) -> Result<&'a str, Failure> {
    current["metadata"]["resourceVersion"].as_str().ok_or_else(|| {
        Failure::permanent(format!(
            "Kubernetes: {object}: a write without a resourceVersion, as if it had not been read"
        ))
        .with_code("NO_RESOURCE_VERSION")
    })
}
