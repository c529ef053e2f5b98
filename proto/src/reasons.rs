//! `ErrorInfo.reason` of every error of the API. They are part of the contract: clients decide by them.

/// `ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "causeway";

/// One constant per reason, and [`ALL`] of them with what they mean.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident;)+) => {
        $($(#[doc = $meaning])+ pub const $name: &str = stringify!($name);)+

        /// Every reason, with its meaning: when it is given, under which code, and which metadata comes with it.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), concat!($($meaning),+).trim_ascii())),+];
    };
}

reasons! {
    /// A field of the request is missing or wrong. INVALID_ARGUMENT, with `BadRequest`.
    INVALID_FIELD;
    /// A field is understood, but this version does nothing with it yet. INVALID_ARGUMENT, with `BadRequest`.
    NOT_SUPPORTED_YET;
    /// The bytes that came are not the message of this call. INVALID_ARGUMENT.
    REQUEST_UNREADABLE;
    /// The message is larger than the daemon takes. INVALID_ARGUMENT.
    REQUEST_TOO_LARGE;
    /// A page token was not made by this daemon for this request. INVALID_ARGUMENT.
    PAGE_TOKEN_INVALID;
    /// No such workflow. NOT_FOUND, with `ResourceInfo`.
    WORKFLOW_NOT_FOUND;
    /// No such hybrid cluster. NOT_FOUND, with `ResourceInfo`.
    HYBRID_CLUSTER_NOT_FOUND;
    /// The workflow has no such step. NOT_FOUND.
    STEP_NOT_FOUND;
    /// There is, or was, a workflow with this id. ALREADY_EXISTS.
    WORKFLOW_EXISTS;
    /// The `request_id` was used for another input. ALREADY_EXISTS; metadata `field` names what differs.
    REQUEST_ID_REUSED;
    /// The `request_id` is known, but the workflow that it was about was deleted. FAILED_PRECONDITION.
    REQUEST_EXPIRED;
    /// The cluster, or the name, has a record already. FAILED_PRECONDITION.
    CLUSTER_EXISTS;
    /// The cluster's record is another one by now than the teardown was made from. FAILED_PRECONDITION.
    CLUSTER_CHANGED;
    /// The cluster's record can't be undone by this daemon: its definition or connection is not there. FAILED_PRECONDITION.
    TEARDOWN_UNFIT;
    /// The verb does not fit the workflow's state. FAILED_PRECONDITION; metadata `state` names it.
    WRONG_STATE;
    /// The workflow is past its pivot. FAILED_PRECONDITION.
    PAST_PIVOT;
    /// The workflow has ended: nothing can be asked of it any more but to delete it. FAILED_PRECONDITION; metadata `state`.
    WORKFLOW_ENDED;
    /// The workflow has not ended: it can't be deleted yet; cancel or abandon it first. FAILED_PRECONDITION; metadata `state`.
    WORKFLOW_NOT_ENDED;
    /// A step is held or stuck, and only trying it again moves it: mend the world, then retry. FAILED_PRECONDITION; metadata `state`.
    USE_RETRY;
    /// The workflow is queued, so there is nothing to try again yet. FAILED_PRECONDITION; metadata `state`.
    NOT_STARTED;
    /// The step does not wait to be retried, is not held or stuck, or is no action. FAILED_PRECONDITION; metadata `state`.
    STEP_NOT_SKIPPABLE;
    /// The step is no gate that waits for a decision. FAILED_PRECONDITION; metadata `state`.
    GATE_NOT_OPEN;
    /// The world, or the input, has changed since the plan. FAILED_PRECONDITION; metadata `changed` names the parts (steps, `input`,
    /// `definition`), `digest` is that of a plan made now.
    PLAN_STALE;
    /// Whether a plan still holds can't be told now, as something could not be looked at. UNAVAILABLE, with `RetryInfo`.
    PLAN_UNREAD;
    /// The daemon does not know the definition. FAILED_PRECONDITION.
    DEFINITION_UNKNOWN;
    /// The workflow has another `etag` by now. ABORTED; metadata `etag` is the present one.
    ETAG_MISMATCH;
    /// Somebody else was faster; the call may be repeated. ABORTED.
    CONFLICT;
    /// The cursor is too old, or another store's. OUT_OF_RANGE: take a new snapshot.
    CURSOR_EXPIRED;
    /// A watch left its messages untaken for too long, and was cut off. ABORTED: watch again from the last cursor.
    WATCH_TOO_SLOW;
    /// A limit of the daemon is reached. RESOURCE_EXHAUSTED, with `RetryInfo`.
    LIMIT_REACHED;
    /// The daemon is shutting down. UNAVAILABLE, with `RetryInfo`.
    SHUTTING_DOWN;
    /// The daemon was drained: it takes nothing on, and answers reads, until it is started anew. UNAVAILABLE, with `RetryInfo`.
    DRAINING;
    /// The store does not answer. UNAVAILABLE, with `RetryInfo`.
    STORE_UNAVAILABLE;
    /// The workflow's records can't all be read: it can only be abandoned. FAILED_PRECONDITION; metadata `state`.
    QUARANTINED;
    /// Something stored can't be read. DATA_LOSS; the message names it.
    RECORD_CORRUPT;
    /// The call is part of the contract, but this version does not have it yet. UNIMPLEMENTED.
    RPC_NOT_IMPLEMENTED;
    /// The caller did not say who it is, or not truthfully. UNAUTHENTICATED.
    UNAUTHENTICATED;
    /// The caller may not do this. PERMISSION_DENIED.
    PERMISSION_DENIED;
    /// A mistake in Causeway. INTERNAL; metadata `incident` finds it in the daemon's log.
    INTERNAL;
}
