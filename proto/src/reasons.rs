//! `ErrorInfo.reason` of every error of the API. They are part of the contract: clients decide by them.

/// `ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "causeway";

/// A field of the request is missing or wrong. INVALID_ARGUMENT, with `BadRequest`.
pub const INVALID_FIELD: &str = "INVALID_FIELD";
/// A field is understood, but this version does nothing with it yet. INVALID_ARGUMENT, with `BadRequest`.
pub const NOT_SUPPORTED_YET: &str = "NOT_SUPPORTED_YET";
/// A page token was not made by this daemon for this request. INVALID_ARGUMENT.
pub const PAGE_TOKEN_INVALID: &str = "PAGE_TOKEN_INVALID";
/// No such workflow. NOT_FOUND, with `ResourceInfo`.
pub const WORKFLOW_NOT_FOUND: &str = "WORKFLOW_NOT_FOUND";
/// No such hybrid cluster. NOT_FOUND, with `ResourceInfo`.
pub const HYBRID_CLUSTER_NOT_FOUND: &str = "HYBRID_CLUSTER_NOT_FOUND";
/// The workflow has no such step. NOT_FOUND.
pub const STEP_NOT_FOUND: &str = "STEP_NOT_FOUND";
/// There is a workflow with this id. ALREADY_EXISTS.
pub const WORKFLOW_EXISTS: &str = "WORKFLOW_EXISTS";
/// The `request_id` was used for another input. ALREADY_EXISTS; metadata `field` names what differs.
pub const REQUEST_ID_REUSED: &str = "REQUEST_ID_REUSED";
/// The `request_id` is known, but its workflow was deleted. FAILED_PRECONDITION.
pub const REQUEST_EXPIRED: &str = "REQUEST_EXPIRED";
/// The cluster, or the name, has a record already. FAILED_PRECONDITION.
pub const CLUSTER_EXISTS: &str = "CLUSTER_EXISTS";
/// The verb does not fit the workflow's state. FAILED_PRECONDITION; metadata `state` names it.
pub const WRONG_STATE: &str = "WRONG_STATE";
/// The workflow is past its pivot. FAILED_PRECONDITION.
pub const PAST_PIVOT: &str = "PAST_PIVOT";
/// The world has changed since the plan. FAILED_PRECONDITION.
pub const PLAN_STALE: &str = "PLAN_STALE";
/// The daemon does not know the definition. FAILED_PRECONDITION.
pub const DEFINITION_UNKNOWN: &str = "DEFINITION_UNKNOWN";
/// The workflow has another `etag` by now. ABORTED.
pub const ETAG_MISMATCH: &str = "ETAG_MISMATCH";
/// Somebody else was faster; the call may be repeated. ABORTED.
pub const CONFLICT: &str = "CONFLICT";
/// The cursor is too old, or another store's. OUT_OF_RANGE: take a new snapshot.
pub const CURSOR_EXPIRED: &str = "CURSOR_EXPIRED";
/// A limit of the daemon is reached. RESOURCE_EXHAUSTED, with `RetryInfo`.
pub const LIMIT_REACHED: &str = "LIMIT_REACHED";
/// The daemon is shutting down or draining. UNAVAILABLE, with `RetryInfo`.
pub const SHUTTING_DOWN: &str = "SHUTTING_DOWN";
/// The store does not answer. UNAVAILABLE, with `RetryInfo`.
pub const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";
/// A stored record can't be read. DATA_LOSS.
pub const RECORD_CORRUPT: &str = "RECORD_CORRUPT";
/// The call is part of the contract, but this version does not have it yet. UNIMPLEMENTED.
pub const RPC_NOT_IMPLEMENTED: &str = "RPC_NOT_IMPLEMENTED";
/// The caller did not say who it is, or not truthfully. UNAUTHENTICATED.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// The caller may not do this. PERMISSION_DENIED.
pub const PERMISSION_DENIED: &str = "PERMISSION_DENIED";
/// A mistake in Causeway. INTERNAL; metadata `incident` finds it in the daemon's log.
pub const INTERNAL: &str = "INTERNAL";
