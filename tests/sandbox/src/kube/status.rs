//! Refusals of the API server as `metav1.Status`, with the reasons and texts of the real one.

use std::borrow::Cow;

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    /// HTTP status.
    pub code: u16,
    /// `metav1.StatusReason`.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// `details`; null when there are none.
    pub details: Value,
}

/// What a handler answers.
pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), details: Value::Null }
    }

    fn about(mut self, group: &str, resource: &str, name: &str) -> Self {
        let mut details = json!({"kind": resource});
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        self.details = details;
        self
    }

    /// 400.
    #[must_use]
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    #[must_use]
    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 for `user`, who may not `verb` the resource.
    #[must_use]
    pub(super) fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let qualified = qualified(group, resource);
        let quoted = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        Self::new(403, "Forbidden", format!("{qualified}{quoted} is forbidden: {why}"))
            .about(group, resource, name)
    }

    /// 404 for a path that nobody serves.
    #[must_use]
    pub(super) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 404 for an object.
    #[must_use]
    pub(super) fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", qualified(group, resource)))
            .about(group, resource, name)
    }

    /// 405.
    #[must_use]
    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 409 of a create.
    #[must_use]
    pub(super) fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Self::new(409, "AlreadyExists", message).about(group, resource, name)
    }

    /// 409 of a write whose precondition does not hold.
    #[must_use]
    pub(super) fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            qualified(group, resource)
        );
        Self::new(409, "Conflict", message).about(group, resource, name)
    }

    /// 409 of a write with another resourceVersion.
    #[must_use]
    pub(super) fn modified(group: &str, resource: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, resource, name, why)
    }

    /// 409 of a server-side apply over others' fields.
    #[must_use]
    pub(super) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let named: Vec<String> = conflicts
            .iter()
            .map(|(manager, field)| format!("conflict with \"{manager}\": {field}"))
            .collect();
        let plural = if conflicts.len() == 1 { "" } else { "s" };
        let message =
            format!("Apply failed with {} conflict{plural}: {}", conflicts.len(), named.join(", "));
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|(manager, field)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\""), "field": field}))
            .collect();
        Self { details: json!({"causes": causes}), ..Self::new(409, "Conflict", message) }
    }

    /// 410: the revision is no longer kept.
    #[must_use]
    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415.
    #[must_use]
    pub(super) fn unsupported_media_type(given: &str, accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted} (got {given})"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 422 with one cause per field: (path, text).
    #[must_use]
    pub(super) fn invalid(
        group: &str,
        kind: &str,
        name: &str,
        causes: &[(String, String)],
    ) -> Self {
        let texts: Vec<String> =
            causes.iter().map(|(field, text)| format!("{field}: {text}")).collect();
        let joined =
            if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let mut failure = Self::new(
            422,
            "Invalid",
            format!("{} \"{name}\" is invalid: {joined}", qualified(group, kind)),
        )
        .about(group, kind, name);
        failure.details["causes"] =
            causes.iter().map(|(field, text)| json!({"reason": "FieldValueInvalid", "field": field, "message": text})).collect();
        failure
    }

    /// A status as a fault asks for it, with its usual reason unless the fault names one.
    #[must_use]
    pub(super) fn injected(code: u16, reason: Option<&str>) -> Self {
        let usual = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "Unknown",
        };
        let message = format!("the sandbox was asked to answer {code}");
        let mut failure = Self::new(code, usual, message);
        if let Some(reason) = reason {
            failure.reason = reason.to_owned().into();
        }
        if matches!(code, 429 | 503) {
            failure.details = json!({"retryAfterSeconds": 1});
        }
        failure
    }

    /// As the object that clients decode.
    #[must_use]
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    /// As an answer.
    #[must_use]
    pub(super) fn response(&self) -> Response<Body> {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = answer(status, &self.status());
        if matches!(self.code, 429 | 503) {
            response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON answer.
#[must_use]
pub(super) fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
