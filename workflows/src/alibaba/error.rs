//! What can go wrong with a cloud call, and what that means for the step that made it (`FailureClass`).
//! Messages are bounded and hold no secret: bodies that can't be read are described, never quoted.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::{Failure, FailureClass};
use serde::Deserialize;

use super::endpoints::Product;

/// Longest message of a server that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 600;

/// Whether a call changes the world: decides what a lost answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only: a lost answer is harmless.
    Read,
    /// Changes something: a lost answer is an unknown outcome.
    Mutate,
}

/// A call that did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{} {action}: {cause}", product.name())]
pub struct Error {
    /// The product called.
    pub product: Product,
    /// The API's name.
    pub action: &'static str,
    /// Whether the call changes the world.
    pub access: Access,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong with a call.
#[derive(Debug)]
pub enum Cause {
    /// The cloud answered with an error.
    Answer(Box<ErrorAnswer>),
    /// Nothing was sent: connection refused, no address, no free slot before the deadline.
    NotSent(String),
    /// The request may have been sent, and no whole answer came back: cut or timed out.
    Lost(String),
    /// An answer came, but it can't be read as one of the API's.
    Unreadable {
        /// HTTP status.
        status: u16,
        /// From the headers, where there is one.
        request_id: Option<String>,
        /// What is wrong with it; never a quotation.
        what: String,
    },
    /// The request can't be made of this input.
    Invalid(String),
    /// It would have changed something, and the client is one for looking only: nothing was sent.
    ReadOnly,
}

/// An error that the cloud told in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// HTTP status.
    pub status: u16,
    /// The code, such as `EntityNotExist.User`; `Http503` where the body had none.
    pub code: String,
    /// The message, bounded and without the caller's secrets.
    pub message: String,
    /// For Alibaba's support.
    pub request_id: Option<String>,
    /// From `x-acs-retry-after`: not sooner than this.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |f: &mut fmt::Formatter<'_>, id: &Option<String>| match id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        };
        match self {
            Self::Answer(answer) => {
                write!(f, "{} {}: {}", answer.status, answer.code, answer.message)?;
                id(f, &answer.request_id)
            }
            Self::NotSent(why) => write!(f, "could not be sent: {why}"),
            Self::Lost(why) => write!(f, "the answer was lost: {why}"),
            Self::Unreadable { status, request_id, what } => {
                write!(f, "the answer (HTTP {status}) is not the API's: {what}")?;
                id(f, request_id)
            }
            Self::Invalid(why) => write!(f, "no valid request: {why}"),
            Self::ReadOnly => {
                f.write_str("it would change something, and only a look was asked for")
            }
        }
    }
}

impl Error {
    /// The cloud's code, where it answered with one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.cause {
            Cause::Answer(answer) => Some(&answer.code),
            _ => None,
        }
    }

    /// Whether the cloud's code is `prefix`, or `prefix` and something after a dot.
    #[must_use]
    pub fn is(&self, prefix: &str) -> bool {
        self.code()
            .and_then(|code| code.strip_prefix(prefix))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The request id, where an answer came with one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match &self.cause {
            Cause::Answer(answer) => answer.request_id.as_deref(),
            Cause::Unreadable { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    /// Whether the thing asked about does not exist.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.class() == FailureClass::Gone
    }

    /// Whether the caller's permission is what is missing.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        const CODES: [&str; 7] = [
            "NoPermission",
            "Forbidden",
            "StatusForbidden",
            "ForbiddenGrantPermissions",
            "ErrorRamPolicyConfig",
            "AccessDenied",
            "UnauthorizedOperation",
        ];
        CODES.iter().any(|code| self.is(code))
            || matches!(&self.cause, Cause::Answer(answer) if answer.status == 403 && answer.code == "Http403")
    }

    /// Whether the key that signed is unknown or disabled: right after its creation that passes.
    #[must_use]
    pub fn is_unknown_key(&self) -> bool {
        self.is("InvalidAccessKeyId")
    }

    /// What this means for the step (the table of codes in the class's own words; unknown codes go by status).
    #[must_use]
    pub fn class(&self) -> FailureClass {
        let unless_mutating = match self.access {
            Access::Read => FailureClass::Retryable,
            Access::Mutate => FailureClass::Unknown,
        };
        match &self.cause {
            Cause::NotSent(_) => FailureClass::Retryable,
            Cause::Invalid(_) | Cause::ReadOnly => FailureClass::Permanent,
            Cause::Lost(_) => unless_mutating,
            // A success that can't be read may have had its effect; so may a gateway's 5xx. A 4xx or a redirect has not.
            Cause::Unreadable { status, .. } if (300..500).contains(status) && *status != 408 => {
                FailureClass::Permanent
            }
            Cause::Unreadable { .. } => unless_mutating,
            Cause::Answer(answer) => answer.class(unless_mutating),
        }
    }
}

impl ErrorAnswer {
    fn class(&self, unless_mutating: FailureClass) -> FailureClass {
        let code = self.code.as_str();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| code.starts_with(prefix));
        if self.retry_after.is_some()
            || self.status == 429
            || starts(&["Throttling", "Rejected.Throttling"])
        {
            return FailureClass::Throttled;
        }
        // A nonce seen before means that the gateway got our request twice: the other copy may have had its effect.
        if starts(&["SignatureNonceUsed", "ServiceUnavailable", "InternalError", "RequestTimeout"])
            && code != "RequestTimeTooSkewed"
        {
            return unless_mutating;
        }
        if starts(&["InvalidApi", "InvalidProduct", "InvalidAccessKeyId", "NoSuchVersion"]) {
            return FailureClass::Permanent;
        }
        // What we found absent is there now, or what we found free is in use: look again.
        if starts(&[
            "EntityAlreadyExists",
            "DeleteConflict",
            "FileAlreadyExists",
            "PreconditionFailed",
        ]) || (code == "InvalidParameter.Name" && self.message.contains("already exist"))
        {
            return FailureClass::Stale;
        }
        match self.status {
            404 => FailureClass::Gone,
            412 => FailureClass::Stale,
            408 | 500.. => unless_mutating,
            _ => FailureClass::Permanent,
        }
    }

    /// What to do about it, for the codes where that is known.
    fn remedy(&self) -> Option<&'static str> {
        let code = self.code.as_str();
        let hint = match code {
            "InvalidTimeStamp.Expired" | "RequestTimeTooSkewed" => {
                "the daemon's clock is more than 15 minutes off; set it by NTP"
            }
            "SignatureDoesNotMatch" => "the AccessKey secret does not belong to the AccessKey id",
            "Inactive" => "activate the service in the console once",
            _ if code.starts_with("InvalidAccessKeyId") => {
                "the AccessKey is unknown or disabled; configure another"
            }
            _ if code.contains("SecurityToken") => {
                "the temporary credentials are expired or wrong; renew them"
            }
            _ if code.starts_with("LimitExceeded") => {
                "remove one that is not needed, or raise the quota"
            }
            _ if self.status == 403 => "grant the daemon's RAM identity this action",
            _ => return None,
        };
        Some(hint)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut failure = Self::new(error.class(), "");
        failure.request_id = error.request_id().map(str::to_owned);
        if matches!(error.cause, Cause::ReadOnly) {
            failure.code = Some("READ_ONLY".to_owned());
        }
        if let Cause::Answer(answer) = &error.cause {
            failure.code = Some(answer.code.clone());
            failure.retry_after_ms =
                answer.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            if let Some(remedy) = answer.remedy() {
                message = format!("{message}; {remedy}");
            }
        }
        Self { message, ..failure }
    }
}

/// The JSON error body in both casings.
#[derive(Deserialize)]
struct JsonBody {
    #[serde(alias = "Code")]
    code: String,
    #[serde(alias = "Message", default)]
    message: String,
    #[serde(
        alias = "RequestId",
        alias = "requestid",
        alias = "request_id",
        rename = "requestId",
        default
    )]
    request_id: Option<String>,
}

/// The XML error body: OSS's, and a gateway's that ignored `Accept`.
#[derive(Deserialize)]
struct XmlBody {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
    #[serde(rename = "RequestId", default)]
    request_id: Option<String>,
}

/// What is known of an answer whose status is no success.
pub(crate) struct RawAnswer<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a http::HeaderMap,
    pub(crate) body: &'a [u8],
}

impl RawAnswer<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .filter(|value| !value.is_empty())
    }

    /// The request id in the headers of any product.
    pub(crate) fn request_id(&self) -> Option<String> {
        self.header("x-acs-request-id")
            .or_else(|| self.header("x-oss-request-id"))
            .map(str::to_owned)
    }

    /// The request id that the gateways write into a successful body.
    pub(crate) fn request_id_in_body(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(alias = "RequestId", alias = "request_id", rename = "requestId")]
            request_id: String,
        }
        serde_json::from_slice::<Body>(self.body).ok().map(|body| body.request_id)
    }

    /// The cloud's own error, as far as the answer tells it; `redact` takes what is secret out of a text.
    pub(crate) fn cause(&self, redact: &dyn Fn(&str) -> String) -> Cause {
        let retry_after = self
            .header("x-acs-retry-after")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_millis);
        let told = self.json().or_else(|| self.xml(self.body)).or_else(|| {
            // HEAD answers of OSS have no body.
            let text = STANDARD.decode(self.header("x-oss-err")?).ok()?;
            self.xml(&text)
        });
        let (code, message, request_id) = match told {
            Some(told) => told,
            None if self.body.is_empty() || retry_after.is_some() || self.status == 429 => {
                (format!("Http{}", self.status), "the answer says nothing more".to_owned(), None)
            }
            None => {
                let kind = self.header("content-type").unwrap_or("no content type").to_owned();
                let what = format!(
                    "{} bytes of {}, and no error of the API in it",
                    self.body.len(),
                    bounded(&kind)
                );
                return Cause::Unreadable {
                    status: self.status,
                    request_id: self.request_id(),
                    what,
                };
            }
        };
        Cause::Answer(Box::new(ErrorAnswer {
            status: self.status,
            code: bounded(&code),
            message: bounded(&redact(&message)),
            request_id: request_id.filter(|id| !id.is_empty()).or_else(|| self.request_id()),
            retry_after,
        }))
    }

    fn json(&self) -> Option<(String, String, Option<String>)> {
        let body: JsonBody = serde_json::from_slice(self.body).ok()?;
        Some((body.code, body.message, body.request_id))
    }

    fn xml(&self, text: &[u8]) -> Option<(String, String, Option<String>)> {
        let body: XmlBody = quick_xml::de::from_str(std::str::from_utf8(text).ok()?).ok()?;
        Some((body.code, body.message, body.request_id))
    }
}

/// At most [`MESSAGE_CHARS_MAX`] characters of `text`, on one line.
fn bounded(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() > MESSAGE_CHARS_MAX {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
