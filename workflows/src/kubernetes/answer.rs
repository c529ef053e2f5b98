//! Reading answers of the API server: bounded bodies, Status objects, and what a failed send means.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use serde_json::Value;

use super::error::Cause;

/// Largest answer that is read, in bytes: a page of 250 CRDs stays below.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Longest message of a server that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 600;

/// The whole body, bounded.
pub(super) async fn read_body(body: Body) -> Result<Bytes, Cause> {
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Cause::Unreadable(format!("more than {ANSWER_BYTES_MAX} bytes")))
        }
        Err(error) => Err(Cause::Lost(chain(error.as_ref()))),
    }
}

/// The JSON of a success.
pub(super) fn parse(body: &[u8]) -> Result<Value, Cause> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    // The parser's own words may quote the body, which may hold a secret.
    serde_json::from_slice(body).map_err(|error| {
        Cause::Unreadable(format!("line {}, column {}", error.line(), error.column()))
    })
}

/// The cause in an answer that is no success. With `quiet` only the reason is kept.
pub(super) fn refusal(status: u16, headers: &http::HeaderMap, body: &[u8], quiet: bool) -> Cause {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_status = told["kind"] == "Status";
    let reason = match told["reason"].as_str().filter(|reason| is_status && !reason.is_empty()) {
        Some(reason) => bounded(reason),
        None => format!("Http{status}"),
    };
    let message = if is_status && (!quiet || matches!(status, 401 | 403 | 404 | 409 | 429)) {
        bounded(told["message"].as_str().unwrap_or_default())
    } else {
        String::new()
    };
    let seconds = headers
        .get(http::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    Cause::Answer { status, reason, message, retry_after: seconds.map(Duration::from_secs) }
}

/// Whether anything can have left this machine is all that matters of a failed send.
pub(super) fn transport(error: &kube::Error) -> Cause {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(source) = next {
        if let Some(client) = source.downcast_ref::<hyper_util::client::legacy::Error>() {
            let text = chain(client);
            return if client.is_connect() { Cause::NotSent(text) } else { Cause::Lost(text) };
        }
        next = source.source();
    }
    match error {
        // Made before the request goes out: the kubeconfig's own way to a token failed.
        kube::Error::Auth(auth) => Cause::NotSent(format!(
            "the kubeconfig's credentials can't be had: {}",
            kind_of_auth(auth)
        )),
        other => Cause::Lost(chain(other)),
    }
}

/// The kind of an authentication fault only: a helper program's output may hold a token.
fn kind_of_auth(error: &kube::client::AuthError) -> &'static str {
    match error {
        kube::client::AuthError::AuthExecStart(_) => "its helper program can't be started",
        kube::client::AuthError::AuthExecRun { .. } => "its helper program failed",
        _ => "see the kubeconfig's user entry",
    }
}

/// An error and its sources, bounded.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    bounded(&text)
}

fn bounded(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_its_own_words() {
        let body = br#"{"kind":"Status","reason":"Forbidden","message":"user can't","code":403}"#;
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        let Cause::Answer { reason, message, retry_after, .. } =
            refusal(403, &headers, body, false)
        else {
            panic!("no answer")
        };
        assert_eq!(
            (reason.as_str(), message.as_str(), retry_after),
            ("Forbidden", "user can't", Some(Duration::from_secs(7)))
        );
    }

    #[test]
    fn what_is_said_about_an_object_with_a_secret_is_left_out() {
        let body =
            br#"{"kind":"Status","reason":"Invalid","message":"data: Invalid value: hunter2"}"#;
        let cause = refusal(422, &http::HeaderMap::new(), body, true);
        assert_eq!(cause.to_string(), "Invalid (422)");
    }

    #[test]
    fn a_page_of_a_proxy_is_no_status() {
        let cause = refusal(502, &http::HeaderMap::new(), b"<html>bad gateway</html>", false);
        assert_eq!(cause.to_string(), "Http502 (502)");
    }
}
