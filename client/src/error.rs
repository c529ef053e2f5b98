//! What can go wrong between a client and a daemon, with what the daemon said about it.

use std::collections::HashMap;
use std::time::Duration;

use causeway_proto::json::Violation;
use tonic_types::StatusExt as _;

use crate::address::AddressError;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A token would travel where everybody can read it.
    #[error(
        "a token is configured, but {address} is neither encrypted nor on this machine: use https, or leave the token out"
    )]
    InsecureToken {
        /// The address.
        address: String,
    },
    /// A certificate, key or token can't be read or used.
    #[error("{what}: {why}")]
    Credentials {
        /// Which.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no daemon, or it can't be reached.
    #[error("no answer from {address}: {why}; is causewayd running, and the address right?")]
    Unreachable {
        /// The address.
        address: String,
        /// What happened.
        why: String,
    },
    /// The daemon refused, or failed.
    #[error("{0}")]
    Api(Box<ApiError>),
}

/// A daemon's answer that is an error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}{}", list(message, violations))]
pub struct ApiError {
    /// The gRPC code.
    pub code: tonic::Code,
    /// `ErrorInfo.reason`, one of [`causeway_proto::reasons`]; empty where something between sent the error.
    pub reason: String,
    /// What, where, why, and what to do.
    pub message: String,
    /// What is wrong with the input, by path.
    pub violations: Vec<Violation>,
    /// `ErrorInfo.metadata`: `state`, `field`, `incident`.
    pub metadata: HashMap<String, String>,
    /// How long to wait before the call is worth repeating, where the daemon says so.
    pub retry_after: Option<Duration>,
}

/// Those that the message does not name itself.
fn list(message: &str, violations: &[Violation]) -> String {
    let lines = violations.iter().map(ToString::to_string);
    lines
        .filter(|line| !message.contains(line.as_str()))
        .map(|line| format!("\n  {line}"))
        .collect()
}

impl ApiError {
    pub(crate) fn new(status: &tonic::Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details.bad_request().map(|bad| {
            let violation = |field: &tonic_types::FieldViolation| {
                Violation::new(field.field.clone(), field.description.clone())
            };
            bad.field_violations.iter().map(violation).collect()
        });
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: message(status),
            violations: violations.unwrap_or_default(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

/// A status without words still has a code.
fn message(status: &tonic::Status) -> String {
    if status.message().is_empty() {
        return status.code().description().to_owned();
    }
    status.message().to_owned()
}

impl Error {
    /// From a failed call to `address`.
    pub(crate) fn from_status(address: &str, status: &tonic::Status) -> Self {
        if is_transport(status) {
            return Self::Unreachable { address: address.to_owned(), why: chain(status) };
        }
        Self::Api(Box::new(ApiError::new(status)))
    }

    /// The daemon's reason, or nothing.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Api(error) => &error.reason,
            _ => "",
        }
    }

    /// The daemon's code, if it was the daemon that answered.
    #[must_use]
    pub fn code(&self) -> Option<tonic::Code> {
        match self {
            Self::Api(error) => Some(error.code),
            _ => None,
        }
    }

    /// What is wrong with the input, by path.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Api(error) => &error.violations,
            _ => &[],
        }
    }
}

/// Whether the status was made on this side, because the connection could not be had or broke.
pub(crate) fn is_transport(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::transport::Error>() || error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    // A broken stream: made by the HTTP/2 layer, without any source that is public.
    matches!(status.code(), tonic::Code::Unknown | tonic::Code::Internal)
        && ["h2 protocol error", "transport error", "connection error", "error reading a body"]
            .iter()
            .any(|words| status.message().contains(words))
}

/// The innermost cause says what really happened.
fn chain(status: &tonic::Status) -> String {
    let mut innermost = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        innermost = error.to_string();
        cause = error.source();
    }
    innermost
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn what_the_daemon_says_is_kept() {
        let mut details = ErrorDetails::new();
        details.set_error_info(
            "INVALID_FIELD",
            "causeway",
            [("state".to_owned(), "RUNNING".to_owned())],
        );
        details.add_bad_request_violation("spec.region", "is missing");
        details.set_retry_info(Some(Duration::from_secs(3)));
        let status = tonic::Status::with_error_details(
            tonic::Code::InvalidArgument,
            "the input has one error",
            details,
        );
        let Error::Api(error) = Error::from_status("http://x:1", &status) else {
            panic!("an API error")
        };
        assert_eq!(
            (error.reason.as_str(), error.metadata["state"].as_str()),
            ("INVALID_FIELD", "RUNNING")
        );
        assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(error.to_string(), "the input has one error\n  spec.region: is missing");
    }

    #[test]
    fn an_error_of_the_daemon_is_not_taken_for_a_broken_connection() {
        for status in [tonic::Status::unavailable("draining"), tonic::Status::internal("a mistake")]
        {
            assert!(!is_transport(&status), "{status}");
        }
        assert!(is_transport(&tonic::Status::unknown(
            "h2 protocol error: error reading a body from connection"
        )));
    }
}
