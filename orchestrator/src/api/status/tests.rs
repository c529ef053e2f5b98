//! Each error has its code, its reason and the details that fit it.

use super::*;

fn status(error: Error) -> (Code, String, ErrorDetails) {
    let status = Status::from(error);
    let details = status.get_error_details();
    let info = details.error_info().expect("every error says why").clone();
    assert_eq!(info.domain, DOMAIN);
    (status.code(), info.reason, details)
}

#[test]
fn every_error_has_its_code_and_reason() {
    let workflow = || Resource::Workflow("workflows/w1".into());
    let refused = Error::Refused {
        reason: reasons::PAST_PIVOT,
        subject: "workflows/w1".into(),
        message: "no".into(),
        state: Some("RUNNING"),
    };
    let cases = [
        (Error::field("a", "b"), Code::InvalidArgument, reasons::INVALID_FIELD),
        (Error::NotSupportedYet(vec![]), Code::InvalidArgument, reasons::NOT_SUPPORTED_YET),
        (Error::Unreadable("x".into()), Code::InvalidArgument, reasons::REQUEST_UNREADABLE),
        (Error::TooLarge, Code::InvalidArgument, reasons::REQUEST_TOO_LARGE),
        (Error::PageToken, Code::InvalidArgument, reasons::PAGE_TOKEN_INVALID),
        (Error::NotFound(workflow()), Code::NotFound, reasons::WORKFLOW_NOT_FOUND),
        (
            Error::NotFound(Resource::HybridCluster("x".into())),
            Code::NotFound,
            reasons::HYBRID_CLUSTER_NOT_FOUND,
        ),
        (
            Error::NotFound(Resource::Step("w".into(), "s".into())),
            Code::NotFound,
            reasons::STEP_NOT_FOUND,
        ),
        (Error::Exists(workflow()), Code::AlreadyExists, reasons::WORKFLOW_EXISTS),
        (
            Error::RequestReused { field: "run".into() },
            Code::AlreadyExists,
            reasons::REQUEST_ID_REUSED,
        ),
        (Error::RequestExpired, Code::FailedPrecondition, reasons::REQUEST_EXPIRED),
        (
            Error::PlanStale { message: "m".into(), changed: "input".into(), now: "d".into() },
            Code::FailedPrecondition,
            reasons::PLAN_STALE,
        ),
        (Error::PlanUnread("m".into()), Code::Unavailable, reasons::PLAN_UNREAD),
        (refused, Code::FailedPrecondition, reasons::PAST_PIVOT),
        (
            Error::EtagMismatch { name: "w".into(), etag: "7-a".into() },
            Code::Aborted,
            reasons::ETAG_MISMATCH,
        ),
        (Error::Conflict("c".into()), Code::Aborted, reasons::CONFLICT),
        (Error::CursorExpired, Code::OutOfRange, reasons::CURSOR_EXPIRED),
        (Error::WatchTooSlow(Duration::from_secs(60)), Code::Aborted, reasons::WATCH_TOO_SLOW),
        (Error::Full("watches"), Code::ResourceExhausted, reasons::LIMIT_REACHED),
        (Error::Draining, Code::Unavailable, reasons::DRAINING),
        (Error::ShuttingDown, Code::Unavailable, reasons::SHUTTING_DOWN),
        (Error::StoreUnavailable, Code::Unavailable, reasons::STORE_UNAVAILABLE),
        (
            Error::Corrupt { subject: "w".into(), why: "x".into() },
            Code::DataLoss,
            reasons::RECORD_CORRUPT,
        ),
        (Error::Unimplemented("DeleteWorkflow"), Code::Unimplemented, reasons::RPC_NOT_IMPLEMENTED),
        (Error::Unauthenticated("who?".into()), Code::Unauthenticated, reasons::UNAUTHENTICATED),
        (Error::Denied("no".into()), Code::PermissionDenied, reasons::PERMISSION_DENIED),
        (Error::Internal("secret detail".into()), Code::Internal, reasons::INTERNAL),
    ];
    for (error, code, reason) in cases {
        let (found, found_reason, _) = status(error);
        assert_eq!((found, found_reason.as_str()), (code, reason));
    }
}

#[test]
fn every_rule_of_the_engine_is_a_reason_of_the_contract() {
    for reason in causeway_engine::Reason::ALL {
        assert!(known(reason.as_str()), "{reason:?}");
    }
    for (reason, meaning) in reasons::ALL {
        assert!(meaning.ends_with('.') && !meaning.contains("///"), "{reason}: {meaning}");
    }
}

#[test]
fn details_fit_the_error() {
    let (_, _, details) = status(Error::field("spec.vpc.id", "is missing"));
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "spec.vpc.id");
    let (_, _, details) = status(Error::NotFound(Resource::Workflow("workflows/w1".into())));
    assert_eq!(details.resource_info().unwrap().resource_name, "workflows/w1");
    let (_, _, details) = status(Error::ShuttingDown);
    assert!(details.retry_info().is_some());
    let refused = Error::Refused {
        reason: reasons::WRONG_STATE,
        subject: "workflows/w1".into(),
        message: "m".into(),
        state: Some("STUCK"),
    };
    let (_, _, details) = status(refused);
    assert_eq!(details.precondition_failure().unwrap().violations[0].subject, "workflows/w1");
    assert_eq!(details.error_info().unwrap().metadata["state"], "STUCK");
}

#[test]
fn a_mistakes_detail_stays_in_the_log() {
    let status = Status::from(Error::Internal("row 7 of s3cret".into()));
    assert!(!status.message().contains("s3cret"));
    let details = status.get_error_details();
    assert!(status.message().contains(&details.error_info().unwrap().metadata["incident"]));
}
