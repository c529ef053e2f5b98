//! How answers of the cloud are told apart: by status, code and body, and what of them is said.

use super::super::credentials::Credentials;
use super::*;

fn cause(status: u16, headers: &[(&'static str, &str)], body: &str) -> Cause {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    RawAnswer { status, headers: &map, body: body.as_bytes() }
        .cause(&|text| Credentials::new("id", "sEcReT", None).redact(text))
}

fn error(access: Access, cause: Cause) -> Error {
    Error { product: Product::Ram, action: "CreateUser", access, cause }
}

fn answered(access: Access, status: u16, code: &str) -> FailureClass {
    error(
        access,
        cause(status, &[], &format!(r#"{{"Code":"{code}","Message":"m","RequestId":"r"}}"#)),
    )
    .class()
}

#[test]
fn both_casings_are_read() {
    let upper = cause(
        404,
        &[],
        r#"{"RequestId":"R1","HostId":"h","Code":"EntityNotExist.User","Message":"m"}"#,
    );
    let lower =
        cause(404, &[], r#"{"code":"ErrorClusterNotFound","message":"m","requestId":"R2"}"#);
    assert!(upper.to_string().contains("404 EntityNotExist.User: m (request R1)"), "{upper}");
    assert!(lower.to_string().contains("404 ErrorClusterNotFound: m (request R2)"), "{lower}");
}

#[test]
fn xml_is_read_from_the_body_and_from_the_header_of_a_head_answer() {
    let xml = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>m</Message>\
               <RequestId>R</RequestId><HostId>h</HostId><EC>0026</EC></Error>";
    assert!(cause(404, &[], xml).to_string().contains("NoSuchKey: m (request R)"));
    let header = cause(404, &[("x-oss-err", &STANDARD.encode(xml))], "");
    assert!(header.to_string().contains("NoSuchKey: m (request R)"));
    let bare = cause(404, &[("x-oss-request-id", "R9")], "");
    assert!(bare.to_string().contains("Http404") && bare.to_string().contains("R9"));
}

#[test]
fn garbage_is_described_with_its_request_id_and_never_quoted() {
    let html = cause(
        502,
        &[("x-acs-request-id", "R"), ("content-type", "text/html")],
        "<html>proxy sEcReT</html>",
    );
    let text = html.to_string();
    assert!(
        text.contains("HTTP 502") && text.contains("text/html") && text.contains("request R"),
        "{text}"
    );
    assert!(!text.contains("sEcReT"));
    assert_eq!(error(Access::Mutate, html).class(), FailureClass::Unknown);
    let html = cause(502, &[], "<html>");
    assert_eq!(error(Access::Read, html).class(), FailureClass::Retryable);
    assert_eq!(error(Access::Mutate, cause(403, &[], "<html>")).class(), FailureClass::Permanent);
}

#[test]
fn throttling_goes_by_prefix_or_header_whatever_the_status() {
    for (status, code) in
        [(400, "Throttling"), (503, "Throttling.User"), (429, "X"), (400, "Rejected.Throttling")]
    {
        assert_eq!(answered(Access::Mutate, status, code), FailureClass::Throttled, "{code}");
    }
    let told = cause(503, &[("x-acs-retry-after", "1500")], "");
    let failure = Failure::from(error(Access::Mutate, told));
    assert_eq!((failure.class, failure.retry_after_ms), (FailureClass::Throttled, Some(1500)));
}

#[test]
fn a_lost_answer_is_unknown_only_where_something_may_have_changed() {
    for (status, code) in [
        (503, "ServiceUnavailable"),
        (500, "InternalError"),
        (504, "Whatever"),
        (400, "SignatureNonceUsed"),
    ] {
        assert_eq!(answered(Access::Mutate, status, code), FailureClass::Unknown, "{code}");
        assert_eq!(answered(Access::Read, status, code), FailureClass::Retryable, "{code}");
    }
    assert_eq!(error(Access::Mutate, Cause::Lost(String::new())).class(), FailureClass::Unknown);
    assert_eq!(error(Access::Read, Cause::Lost(String::new())).class(), FailureClass::Retryable);
    assert_eq!(
        error(Access::Mutate, Cause::NotSent(String::new())).class(),
        FailureClass::Retryable
    );
}

#[test]
fn the_other_codes_have_their_classes() {
    let class = |status, code| answered(Access::Mutate, status, code);
    assert_eq!(class(404, "EntityNotExist.Policy"), FailureClass::Gone);
    assert_eq!(class(404, "AddonNotFound"), FailureClass::Gone);
    assert_eq!(class(404, "InvalidApi.NotFound"), FailureClass::Permanent);
    assert_eq!(class(404, "InvalidAccessKeyId.NotFound"), FailureClass::Permanent);
    assert_eq!(class(409, "EntityAlreadyExists.User"), FailureClass::Stale);
    assert_eq!(class(409, "DeleteConflict.Policy.User"), FailureClass::Stale);
    assert_eq!(class(409, "LimitExceeded.User.AccessKey"), FailureClass::Permanent);
    assert_eq!(class(412, "PreconditionFailed"), FailureClass::Stale);
    assert_eq!(class(403, "NoPermission"), FailureClass::Permanent);
    assert_eq!(class(400, "InvalidTimeStamp.Expired"), FailureClass::Permanent);
    assert_eq!(class(403, "RequestTimeTooSkewed"), FailureClass::Permanent);
}

#[test]
fn codes_are_matched_by_whole_parts() {
    let deny = error(Access::Read, cause(403, &[], r#"{"Code":"Forbidden.RAM"}"#));
    assert!(deny.is_denied() && deny.is("Forbidden") && !deny.is("Forbid"));
}

#[test]
fn messages_are_bounded_and_lose_our_secrets() {
    let long =
        format!(r#"{{"Code":"SignatureDoesNotMatch","Message":"sEcReT {}"}}"#, "x".repeat(5000));
    let failure = Failure::from(error(Access::Read, cause(400, &[], &long)));
    assert!(
        failure.message.chars().count() < 900 && !failure.message.contains("sEcReT"),
        "{failure}"
    );
    assert!(failure.message.contains("does not belong to the AccessKey id"));
}
