//! What can go wrong with a Kubernetes call, and what that means for the step that made it. Messages are bounded and
//! hold no secret: a request's body is never quoted, and what the server says about an object with a secret is left out.

use std::fmt;
use std::time::Duration;

use causeway_engine::{Failure, FailureClass};

use crate::timing::millis;

/// Whether a call changes the world: decides what a lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only: a lost answer is harmless.
    Read,
    /// Changes something: a lost answer is an unknown outcome.
    Mutate,
}

/// A call that did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("Kubernetes: {verb} {target}: {cause}")]
pub struct Error {
    /// The verb as RBAC calls it: `get`, `patch`, …
    pub verb: &'static str,
    /// What it was about: `daemonsets kube-system/calico-node`.
    pub target: String,
    /// Whether it changes the world.
    pub access: Access,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong with a call.
#[derive(Debug)]
pub enum Cause {
    /// The API server answered with a Status.
    Answer {
        /// HTTP status.
        status: u16,
        /// Its reason, such as `Forbidden`; `Http502` where the answer was no Status.
        reason: String,
        /// Its message, bounded; empty where it may quote a secret.
        message: String,
        /// From the `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// Nothing was sent: connection refused, no address, TLS refused.
    NotSent(String),
    /// The request may have been sent, and no whole answer came back.
    Lost(String),
    /// An answer came that can't be read.
    Unreadable(String),
    /// The attempt's deadline is over; nothing was sent.
    Deadline,
    /// It would change something, and only a look was asked for; nothing was sent.
    ReadOnly,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, reason, message, .. } if message.is_empty() => {
                write!(f, "{reason} ({status})")
            }
            Self::Answer { status, reason, message, .. } => {
                write!(f, "{reason} ({status}): {message}")
            }
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Lost(why) => write!(f, "the answer was lost: {why}"),
            Self::Unreadable(why) => write!(f, "the answer can't be read: {why}"),
            Self::Deadline => f.write_str("not sent: the attempt's deadline has passed"),
            Self::ReadOnly => {
                f.write_str("not sent: it would change something, and only a look was asked for")
            }
        }
    }
}

impl Error {
    /// What it means for the step.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        let lost = match self.access {
            Access::Read => FailureClass::Retryable,
            Access::Mutate => FailureClass::Unknown,
        };
        match &self.cause {
            Cause::Answer { status, .. } => match status {
                // Refused credentials had no effect; the kubeconfig is read anew before the next try.
                401 => FailureClass::Retryable,
                404 => FailureClass::Gone,
                409 => FailureClass::Stale,
                410 => FailureClass::Retryable,
                429 => FailureClass::Throttled,
                // An API server that answers 5xx (or a proxy before it) may still be at work on the request.
                408 | 500.. => lost,
                _ => FailureClass::Permanent,
            },
            Cause::ReadOnly => FailureClass::Permanent,
            Cause::NotSent(_) | Cause::Deadline => FailureClass::Retryable,
            Cause::Lost(_) | Cause::Unreadable(_) => lost,
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.cause {
            Cause::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// A stable word for what went wrong: Kubernetes's reason, or one of our own.
    #[must_use]
    pub fn code(&self) -> &str {
        match &self.cause {
            Cause::Answer { reason, .. } => reason,
            Cause::NotSent(_) => "NOT_SENT",
            Cause::Lost(_) => "ANSWER_LOST",
            Cause::Unreadable(_) => "ANSWER_UNREADABLE",
            Cause::Deadline => "ATTEMPT_DEADLINE",
            Cause::ReadOnly => "READ_ONLY",
        }
    }

    fn remedy(&self) -> &'static str {
        match self.status() {
            Some(401) => "; check the cluster's kubeconfig (it is read anew before the next try)",
            Some(403) => {
                "; grant this verb on this resource to the kubeconfig's user, or use a kubeconfig of a cluster administrator"
            }
            _ => "",
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let retry_after_ms = match &error.cause {
            Cause::Answer { retry_after, .. } => retry_after.map(millis),
            _ => None,
        };
        let message = format!("{error}{}", error.remedy());
        Self { retry_after_ms, ..Self::new(error.class(), message).with_code(error.code()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(access: Access, status: u16, reason: &str) -> Error {
        let cause = Cause::Answer {
            status,
            reason: reason.to_owned(),
            message: "why".to_owned(),
            retry_after: None,
        };
        Error {
            verb: "patch",
            target: "daemonsets kube-system/calico-node".to_owned(),
            access,
            cause,
        }
    }

    #[test]
    fn answers_are_classified_by_status_and_access() {
        let table = [
            (400, FailureClass::Permanent, FailureClass::Permanent),
            (401, FailureClass::Retryable, FailureClass::Retryable),
            (403, FailureClass::Permanent, FailureClass::Permanent),
            (404, FailureClass::Gone, FailureClass::Gone),
            (409, FailureClass::Stale, FailureClass::Stale),
            (422, FailureClass::Permanent, FailureClass::Permanent),
            (429, FailureClass::Throttled, FailureClass::Throttled),
            (500, FailureClass::Retryable, FailureClass::Unknown),
            (503, FailureClass::Retryable, FailureClass::Unknown),
            (504, FailureClass::Retryable, FailureClass::Unknown),
        ];
        for (status, read, mutate) in table {
            assert_eq!(answered(Access::Read, status, "R").class(), read, "{status} read");
            assert_eq!(answered(Access::Mutate, status, "R").class(), mutate, "{status} mutate");
        }
    }

    #[test]
    fn only_a_lost_answer_of_a_write_is_unknown() {
        let error =
            |access, cause| Error { verb: "get", target: "nodes".to_owned(), access, cause };
        assert_eq!(
            error(Access::Mutate, Cause::Lost("cut".to_owned())).class(),
            FailureClass::Unknown
        );
        assert_eq!(
            error(Access::Read, Cause::Lost("cut".to_owned())).class(),
            FailureClass::Retryable
        );
        assert_eq!(
            error(Access::Mutate, Cause::NotSent("refused".to_owned())).class(),
            FailureClass::Retryable
        );
        assert_eq!(error(Access::Mutate, Cause::Deadline).class(), FailureClass::Retryable);
    }

    #[test]
    fn a_refused_permission_names_verb_resource_namespace_and_what_to_do() {
        let failure = Failure::from(answered(Access::Mutate, 403, "Forbidden"));
        assert_eq!(failure.code.as_deref(), Some("Forbidden"));
        assert!(
            failure.message.contains("patch daemonsets kube-system/calico-node"),
            "{}",
            failure.message
        );
        assert!(failure.message.contains("grant this verb"), "{}", failure.message);
    }
}
