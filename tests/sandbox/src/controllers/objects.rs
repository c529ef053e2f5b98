//! Objects as plain JSON through the API, by path: all that controllers need of a client.

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

/// A client of one cluster.
#[derive(Clone)]
pub(super) struct Objects {
    client: Client,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}")]
pub(super) struct Refused {
    method: Method,
    path: String,
    #[source]
    source: kube::Error,
}

impl Refused {
    /// The API server's code; 0 when there was no answer.
    pub(super) fn code(&self) -> u16 {
        match &self.source {
            kube::Error::Api(status) => status.code,
            _ => 0,
        }
    }

    /// The API server's words.
    pub(super) fn text(&self) -> String {
        self.source.to_string()
    }
}

type Answer<T> = Result<T, Refused>;

/// The path of a namespaced kind.
pub(super) fn path(api: &str, namespace: &str, plural: &str) -> String {
    let root = if api == "v1" { "/api/v1".to_owned() } else { format!("/apis/{api}") };
    if namespace.is_empty() {
        format!("{root}/{plural}")
    } else {
        format!("{root}/namespaces/{namespace}/{plural}")
    }
}

/// A string of an object; empty when absent.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `metadata.name`.
pub(super) fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// `metadata.namespace`.
pub(super) fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

/// The items of a list in an object; none when absent.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A pod's or node's `Ready`.
pub(super) fn is_ready(object: &Value) -> bool {
    items(&object["status"]["conditions"])
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

impl Objects {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// An object, or `None` when there is none.
    pub(super) async fn get(&self, path: &str) -> Answer<Option<Value>> {
        absent_is_fine(self.send(Method::GET, path, "", &Value::Null).await)
    }

    /// The items of a list.
    pub(super) async fn list(&self, path: &str) -> Answer<Vec<Value>> {
        let list = self.send(Method::GET, path, "", &Value::Null).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Creates an object in the list of this path.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Answer<Value> {
        self.send(Method::POST, path, "application/json", object).await
    }

    /// Replaces an object.
    pub(super) async fn replace(&self, path: &str, object: &Value) -> Answer<Value> {
        self.send(Method::PUT, path, "application/json", object).await
    }

    /// Merges into an object; `None` when there is none.
    pub(super) async fn merge(&self, path: &str, patch: &Value) -> Answer<Option<Value>> {
        absent_is_fine(self.send(Method::PATCH, path, "application/merge-patch+json", patch).await)
    }

    /// Deletes an object; one that is not there is no error. `grace` of 0 ends a pod at once.
    pub(super) async fn delete(&self, path: &str, grace: Option<u32>) -> Answer<()> {
        let options =
            grace.map_or_else(|| json!({}), |grace| json!({ "gracePeriodSeconds": grace }));
        absent_is_fine(self.send(Method::DELETE, path, "application/json", &options).await)
            .map(|_| ())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Answer<Value> {
        let refused = |source| Refused { method: method.clone(), path: path.to_owned(), source };
        let mut request = Request::builder().method(method.clone()).uri(path);
        if !content_type.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request =
            request.body(bytes).map_err(|error| refused(kube::Error::HttpError(error)))?;
        self.client.request(request).await.map_err(refused)
    }
}

fn absent_is_fine(answer: Answer<Value>) -> Answer<Option<Value>> {
    match answer {
        Err(refused) if refused.code() == 404 => Ok(None),
        answer => answer.map(Some),
    }
}
