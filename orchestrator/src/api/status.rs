//! The only map from what can go wrong to `tonic::Status`. Reasons are API: they stand in `causeway_proto::reasons`.

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use causeway_engine::{PublicState, WorkflowId};
use causeway_proto::{
    json::Violation,
    limits::REQUEST_BYTES_MAX,
    names,
    reasons::{self, DOMAIN},
};
use causeway_workflows::spec;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt as _};

use crate::runtime;

/// What a caller is told to wait where the daemon can't know better.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Most field violations that are sent; with more of them the input is another one altogether.
const VIOLATIONS_MAX: usize = 100;

const REQUEST_EXPIRED: &str = "this request was answered before, and the workflow that it was about has been deleted \
                               since; use a new request_id to start anew";
const CURSOR_EXPIRED: &str =
    "the cursor is too old, or another store's; begin again without one, with a new snapshot";
const WATCH_TOO_SLOW: &str = "it was too slow, and is cut off; nothing is lost: watch again from the cursor of the last \
                              message, and read faster, or filter for fewer workflows";
const ETAG_MISMATCH: &str =
    "has changed since it was read; look at it again, and repeat the call with its present etag";
const UNIMPLEMENTED: &str =
    "is part of the contract, but this version of causewayd does not have it yet";
const UNREADABLE: &str =
    "generate the client from the daemon's own contract, which its reflection service shows";
const PAGE_TOKEN: &str = "was not made for this request; begin again without one";
const SHUTTING_DOWN: &str =
    "the daemon is shutting down; what was accepted goes on once it is back";
const DRAINING: &str = "the daemon was drained: it takes nothing on until it is started anew, and answers reads; what was \
                        accepted goes on then";
const RECORD_CORRUPT: &str = "nothing was removed: keep the data directory as it is, and restore a backup into a new one if what it \
                              says is needed";
const STORE_UNAVAILABLE: &str = "the store does not answer; whether this call was written is unknown: \
                                 repeat it with the same request_id";

/// Why a call is not answered with what it asked for.
#[derive(Debug)]
pub enum Error {
    /// Fields are missing or wrong.
    Invalid(Vec<Violation>),
    /// Fields are understood, but nothing is done with them yet.
    NotSupportedYet(Vec<Violation>),
    /// The bytes are not the message of the call.
    Unreadable(String),
    /// The message is too large.
    TooLarge,
    /// The page token is not ours, or another request's.
    PageToken,
    /// There is no such thing.
    NotFound(Resource),
    /// There is one already.
    Exists(Resource),
    /// The request id was used for another input.
    RequestReused {
        /// What differs.
        field: String,
    },
    /// The request is known, but what it started was deleted.
    RequestExpired,
    /// The state does not allow it.
    Refused {
        /// One of `causeway_proto::reasons`.
        reason: &'static str,
        /// What it is about: `workflows/w1`.
        subject: String,
        /// What, in which state, why, and what to do instead.
        message: String,
        /// The public state, where it is a workflow's.
        state: Option<&'static str>,
    },
    /// The world is another one than the plan saw.
    PlanStale {
        /// What has changed, and what to do.
        message: String,
        /// The parts that have changed, joined by commas; empty where they can't be told.
        changed: String,
        /// The digest of a plan made now.
        now: String,
    },
    /// Whether a plan still holds can't be told now.
    PlanUnread(String),
    /// The workflow has another etag by now.
    EtagMismatch {
        /// The workflow, `workflows/w1`.
        name: String,
        /// Its etag now; empty where it can't be told.
        etag: String,
    },
    /// Somebody else was faster.
    Conflict(String),
    /// The cursor is too old, or another store's.
    CursorExpired,
    /// A watch was not read for so long.
    WatchTooSlow(Duration),
    /// A limit is reached.
    Full(&'static str),
    /// The daemon was drained.
    Draining,
    /// The daemon is going down.
    ShuttingDown,
    /// The store does not answer.
    StoreUnavailable,
    /// A record can't be read.
    Corrupt {
        /// Which.
        subject: String,
        /// What is wrong with it.
        why: String,
    },
    /// The contract has it, this version has not.
    Unimplemented(&'static str),
    /// The caller did not say truthfully who it is.
    Unauthenticated(String),
    /// The caller may not do this.
    Denied(String),
    /// A mistake of ours. The detail goes to the log only.
    Internal(String),
}

/// A named thing of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `workflows/{id}`
    Workflow(String),
    /// A step of a workflow: workflow and step.
    Step(String, String),
    /// `hybridClusters/{name}`
    HybridCluster(String),
}

impl Resource {
    fn kind(&self) -> &'static str {
        match self {
            Self::Workflow(_) => "causeway.v1.Workflow",
            Self::Step(..) => "causeway.v1.Step",
            Self::HybridCluster(_) => "causeway.v1.HybridCluster",
        }
    }

    fn not_found(&self) -> &'static str {
        match self {
            Self::Workflow(_) => reasons::WORKFLOW_NOT_FOUND,
            Self::Step(..) => reasons::STEP_NOT_FOUND,
            Self::HybridCluster(_) => reasons::HYBRID_CLUSTER_NOT_FOUND,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow(name) | Self::HybridCluster(name) => f.write_str(name),
            Self::Step(workflow, step) => write!(f, "{workflow}/steps/{step}"),
        }
    }
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        Self::of(error, &WorkflowId::from(""))
    }
}

impl Error {
    /// The runtime's error about a workflow, or about none (the empty id).
    pub fn of(error: runtime::Error, id: &WorkflowId) -> Self {
        let message = error.to_string();
        let name = || names::workflow(id.as_str());
        match error {
            runtime::Error::NotFound { what: "workflow", name } => {
                Self::NotFound(Resource::Workflow(names::workflow(&name)))
            }
            runtime::Error::NotFound { what: "hybrid cluster", name } => {
                Self::NotFound(Resource::HybridCluster(names::hybrid_cluster(&name)))
            }
            runtime::Error::NotFound { .. } => Self::Refused {
                reason: reasons::DEFINITION_UNKNOWN,
                subject: name(),
                message,
                state: None,
            },
            runtime::Error::Invalid(violations) => Self::invalid(&violations),
            runtime::Error::Rejected { rejection, state } => Self::Refused {
                reason: rejection.reason.as_str(),
                subject: name(),
                message: rejection.message,
                state: state.map(PublicState::as_str),
            },
            runtime::Error::RequestReused { field } => Self::RequestReused { field },
            runtime::Error::RequestExpired => Self::RequestExpired,
            runtime::Error::AlreadyExists { name, .. } => {
                Self::Exists(Resource::Workflow(names::workflow(&name)))
            }
            runtime::Error::ClusterExists { cluster } => Self::Refused {
                reason: reasons::CLUSTER_EXISTS,
                subject: names::hybrid_cluster(&cluster),
                message,
                state: None,
            },
            runtime::Error::ClusterChanged { cluster } => Self::Refused {
                reason: reasons::CLUSTER_CHANGED,
                subject: names::hybrid_cluster(&cluster),
                message,
                state: None,
            },
            runtime::Error::TeardownUnfit { cluster, .. } => Self::Refused {
                reason: reasons::TEARDOWN_UNFIT,
                subject: names::hybrid_cluster(&cluster),
                message,
                state: None,
            },
            runtime::Error::NameTaken { name, .. } => Self::Refused {
                reason: reasons::CLUSTER_EXISTS,
                subject: names::hybrid_cluster(&name),
                message,
                state: None,
            },
            runtime::Error::PlanStale { changed, now } => {
                Self::PlanStale { message, changed: changed.unwrap_or_default().join(","), now }
            }
            runtime::Error::PlanUnread { .. } => Self::PlanUnread(message),
            runtime::Error::EtagMismatch { .. } => {
                Self::EtagMismatch { name: name(), etag: String::new() }
            }
            runtime::Error::ShuttingDown => Self::ShuttingDown,
            runtime::Error::Draining => Self::Draining,
            runtime::Error::StoreFailed(why) => {
                tracing::warn!(%why, "A call could not be answered: the store does not answer");
                Self::StoreUnavailable
            }
            runtime::Error::Corrupt { what, why } => {
                tracing::error!(%what, %why, "A call could not be answered: a record is corrupt");
                Self::Corrupt { subject: what, why }
            }
            runtime::Error::TooMany { what, .. } => Self::Full(what),
        }
    }

    /// What the rules of the input found. Fields that are merely not built yet are told apart, unless others are wrong.
    fn invalid(violations: &[spec::Violation]) -> Self {
        let not_yet =
            violations.iter().all(|violation| violation.reason == reasons::NOT_SUPPORTED_YET);
        let violations = violations
            .iter()
            .map(|violation| Violation::new(&violation.path, &violation.message))
            .collect();
        if not_yet { Self::NotSupportedYet(violations) } else { Self::Invalid(violations) }
    }

    /// One wrong field.
    pub fn field(path: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(path, message)])
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(violations) => bad_request(reasons::INVALID_FIELD, violations),
            Error::NotSupportedYet(violations) => {
                bad_request(reasons::NOT_SUPPORTED_YET, violations)
            }
            Error::Unreadable(why) => plain(
                Code::InvalidArgument,
                reasons::REQUEST_UNREADABLE,
                format!("the request is not the message of this call: {why}; {UNREADABLE}"),
            ),
            Error::TooLarge => plain(
                Code::InvalidArgument,
                reasons::REQUEST_TOO_LARGE,
                format!("the request has more than {REQUEST_BYTES_MAX} bytes; make it smaller"),
            ),
            Error::PageToken => {
                let violation = Violation::new("page_token", PAGE_TOKEN);
                bad_request(reasons::PAGE_TOKEN_INVALID, vec![violation])
            }
            Error::NotFound(resource) => not_found(&resource),
            Error::Exists(resource) => exists(&resource),
            Error::RequestReused { field } => reused(&field),
            Error::RequestExpired => {
                plain(Code::FailedPrecondition, reasons::REQUEST_EXPIRED, REQUEST_EXPIRED)
            }
            Error::Refused { reason, subject, message, state } => {
                refused(reason, subject, message, state)
            }
            Error::PlanStale { message, changed, now } => plan_stale(message, &changed, &now),
            Error::PlanUnread(message) => retry(Code::Unavailable, reasons::PLAN_UNREAD, message),
            Error::EtagMismatch { name, etag } => Status::with_error_details(
                Code::Aborted,
                format!("{name} {ETAG_MISMATCH}"),
                with_metadata(reasons::ETAG_MISMATCH, &[("etag", &etag)]),
            ),
            Error::Conflict(message) => plain(Code::Aborted, reasons::CONFLICT, message),
            Error::CursorExpired => {
                plain(Code::OutOfRange, reasons::CURSOR_EXPIRED, CURSOR_EXPIRED)
            }
            Error::WatchTooSlow(stall) => too_slow(stall),
            Error::Full(what) => retry(
                Code::ResourceExhausted,
                reasons::LIMIT_REACHED,
                format!("the daemon's limit of {what} is reached; try again later"),
            ),
            Error::ShuttingDown => {
                retry(Code::Unavailable, reasons::SHUTTING_DOWN, SHUTTING_DOWN.to_owned())
            }
            Error::Draining => retry(Code::Unavailable, reasons::DRAINING, DRAINING.to_owned()),
            Error::StoreUnavailable => {
                retry(Code::Unavailable, reasons::STORE_UNAVAILABLE, STORE_UNAVAILABLE.to_owned())
            }
            Error::Corrupt { subject, why } => corrupt(&subject, &why),
            Error::Unimplemented(rpc) => plain(
                Code::Unimplemented,
                reasons::RPC_NOT_IMPLEMENTED,
                format!("{rpc} {UNIMPLEMENTED}"),
            ),
            Error::Unauthenticated(why) => {
                plain(Code::Unauthenticated, reasons::UNAUTHENTICATED, why)
            }
            Error::Denied(message) => {
                plain(Code::PermissionDenied, reasons::PERMISSION_DENIED, message)
            }
            Error::Internal(detail) => internal(&detail),
        }
    }
}

fn plain(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, info(reason))
}

fn too_slow(stall: Duration) -> Status {
    let message =
        format!("this watch left a message untaken for {} s; {WATCH_TOO_SLOW}", stall.as_secs());
    plain(Code::Aborted, reasons::WATCH_TOO_SLOW, message)
}

fn corrupt(subject: &str, why: &str) -> Status {
    let message = format!("{subject} can't be read: {why}; {RECORD_CORRUPT}");
    plain(Code::DataLoss, reasons::RECORD_CORRUPT, message)
}

fn not_found(resource: &Resource) -> Status {
    let mut details = info(resource.not_found());
    details.set_resource_info(resource.kind(), resource.to_string(), "", "does not exist");
    let message =
        format!("{resource} does not exist; it may have been deleted, or belong to another daemon");
    Status::with_error_details(Code::NotFound, message, details)
}

fn exists(resource: &Resource) -> Status {
    let mut details = info(reasons::WORKFLOW_EXISTS);
    details.set_resource_info(resource.kind(), resource.to_string(), "", "exists already");
    let message = format!("{resource} exists already; choose another id, or look at what is there");
    Status::with_error_details(Code::AlreadyExists, message, details)
}

fn reused(field: &str) -> Status {
    let details = with_metadata(reasons::REQUEST_ID_REUSED, &[("field", field)]);
    let message = format!(
        "this request_id was used before with another {field}; use a new request_id, or repeat the very same request"
    );
    Status::with_error_details(Code::AlreadyExists, message, details)
}

fn bad_request(reason: &str, mut violations: Vec<Violation>) -> Status {
    violations.truncate(VIOLATIONS_MAX);
    let mut details = info(reason);
    for violation in &violations {
        details.add_bad_request_violation(&violation.path, &violation.message);
    }
    let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
    Status::with_error_details(Code::InvalidArgument, lines.join("; "), details)
}

fn refused(
    reason: &'static str,
    subject: String,
    message: String,
    state: Option<&'static str>,
) -> Status {
    let metadata: Vec<_> = state.iter().map(|state| ("state", *state)).collect();
    let mut details = with_metadata(reason, &metadata);
    details.set_precondition_failure(vec![PreconditionViolation::new(reason, subject, &message)]);
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

fn plan_stale(message: String, changed: &str, now: &str) -> Status {
    let mut details = with_metadata(reasons::PLAN_STALE, &[("changed", changed), ("digest", now)]);
    let violation = PreconditionViolation::new(reasons::PLAN_STALE, "plan_digest", message.clone());
    details.set_precondition_failure(vec![violation]);
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

fn retry(code: Code, reason: &str, message: String) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(code, message, details)
}

/// Answers an incident id, under which the log has the detail.
fn internal(detail: &str) -> Status {
    let incident = format!("{:016x}", rand::random::<u64>());
    tracing::error!(%incident, detail, "A call failed by a mistake of causewayd");
    let details = with_metadata(reasons::INTERNAL, &[("incident", &incident)]);
    let message =
        format!("causewayd made a mistake; its log has the detail under incident {incident}");
    Status::with_error_details(Code::Internal, message, details)
}

fn info(reason: &str) -> ErrorDetails {
    with_metadata(reason, &[])
}

fn with_metadata(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
    debug_assert!(known(reason), "{reason} does not stand in causeway_proto::reasons");
    let metadata: std::collections::HashMap<_, _> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

/// Whether a reason is part of the contract.
fn known(reason: &str) -> bool {
    reasons::ALL.iter().any(|(known, _)| *known == reason)
}
