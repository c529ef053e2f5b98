//! Answers and errors of the signed APIs, in the forms of the gateway: JSON or XML, keys in the casing of the side
//! that refused.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Whether the gateway refused it, not the product: decides CS's casing.
    gateway: bool,
    /// Only when throttled: for how long, in milliseconds.
    retry_after_ms: Option<u128>,
}

impl ApiError {
    /// A refusal by the product itself.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            gateway: false,
            retry_after_ms: None,
        }
    }

    /// A refusal by the gateway before the product.
    pub(crate) fn gateway(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { gateway: true, ..Self::new(status, code, message) }
    }

    pub(crate) fn throttled(retry_after_ms: u128) -> Self {
        let message = "Request was denied due to user flow control.";
        let error = Self::gateway(400, "Throttling.User", message);
        Self { retry_after_ms: Some(retry_after_ms), ..error }
    }

    pub(crate) fn unknown_action(action: &str) -> Self {
        let message = format!("Specified api is not found: {action}. Check your url and method.");
        Self::gateway(404, "InvalidApi.NotFound", message)
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        let message = format!("{parameter} is mandatory for this action.");
        Self::new(400, &format!("Missing{parameter}"), message)
    }

    pub(crate) fn invalid(parameter: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("The specified parameter {parameter} is not valid: {why}");
        Self::new(400, &format!("InvalidParameter.{parameter}"), message)
    }
}

/// How an answer is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) request_id: String,
    pub(crate) host: String,
    /// The action, of which the XML form's root element is made.
    pub(crate) action: String,
    /// JSON was asked for.
    pub(crate) json: bool,
    /// CS: lower-case keys.
    pub(crate) roa: bool,
}

impl Form {
    /// A good answer. The request id is added here, in the product's casing.
    pub(crate) fn success(&self, mut value: Value) -> Response {
        if self.roa {
            return self.respond(200, value.to_string(), true, None);
        }
        if let Value::Object(fields) = &mut value {
            fields.insert("RequestId".into(), json!(self.request_id));
        }
        if self.json {
            return self.respond(200, value.to_string(), true, None);
        }
        let root = format!("{}Response", self.action);
        let mut text = String::from(XML_HEAD);
        write_xml(&mut text, &root, &value);
        self.respond(200, text, false, None)
    }

    /// A refusal.
    pub(crate) fn refusal(&self, error: &ApiError) -> Response {
        let ApiError { status, code, message, .. } = error;
        let id = &self.request_id;
        if self.roa && !error.gateway {
            let body = json!({"code": code, "message": message, "requestId": id});
            return self.respond(*status, body.to_string(), true, error.retry_after_ms);
        }
        let mut body = json!({
            "RequestId": id, "HostId": self.host, "Code": code, "Message": message,
            "Recommend": format!("https://api.aliyun.com/troubleshoot?q={code}"),
        });
        if *status == 403 {
            body["AccessDeniedDetail"] = json!({"AuthAction": self.action});
        }
        if self.json || self.roa {
            return self.respond(*status, body.to_string(), true, error.retry_after_ms);
        }
        let mut text = String::from(XML_HEAD);
        write_xml(&mut text, "Error", &body);
        self.respond(*status, text, false, error.retry_after_ms)
    }

    fn respond(&self, status: u16, body: String, json: bool, after: Option<u128>) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if json { "application/json;charset=utf-8" } else { "text/xml;charset=utf-8" };
        let mut response = (status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        if let Ok(id) = self.request_id.parse() {
            headers.insert("x-acs-request-id", id);
        }
        if let Some(milliseconds) = after
            && let Ok(value) = milliseconds.to_string().parse()
        {
            headers.insert("x-acs-retry-after", value);
        }
        response
    }
}

pub(crate) const XML_HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?>\n";

/// Writes a value as an element; lists repeat their element.
pub(crate) fn write_xml(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| write_xml(out, name, item)),
        Value::Null => {}
        Value::Object(fields) => {
            out.push_str(&format!("<{name}>"));
            write_fields(out, fields);
            out.push_str(&format!("</{name}>"));
        }
        Value::String(text) => {
            let text = quick_xml::escape::escape(text.as_str());
            out.push_str(&format!("<{name}>{text}</{name}>"));
        }
        scalar => out.push_str(&format!("<{name}>{scalar}</{name}>")),
    }
}

fn write_fields(out: &mut String, fields: &Map<String, Value>) {
    fields.iter().for_each(|(name, value)| write_xml(out, name, value));
}

/// A new request id in the usual shape.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_repeated_elements_and_text_is_escaped() {
        let value = json!({"Users": {"User": [{"Name": "a<b"}, {"Name": "c"}]}, "Total": 2});
        let mut text = String::new();
        write_xml(&mut text, "R", &value);
        let expected = "<R><Total>2</Total><Users><User><Name>a&lt;b</Name></User>\
                        <User><Name>c</Name></User></Users></R>";
        let alternative = "<R><Users><User><Name>a&lt;b</Name></User>\
                           <User><Name>c</Name></User></Users><Total>2</Total></R>";
        assert!(text == expected || text == alternative, "{text}");
    }
}
