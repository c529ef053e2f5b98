//! The cloud's wall clock and the forms in which its products write times. The only place that reads it.

use jiff::{SignedDuration, Timestamp};

/// How far a request's date may be off.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// Now.
#[allow(clippy::disallowed_methods, reason = "the simulated cloud's own clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// `2026-11-23T08:00:00Z`, as RAM, STS, VPC and ESS write it.
pub(crate) fn utc() -> String {
    now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-23T16:00:00+08:00`, as CS writes it.
pub(crate) fn china() -> String {
    let shifted = now() + SignedDuration::from_hours(8);
    shifted.strftime("%Y-%m-%dT%H:%M:%S+08:00").to_string()
}

/// `Mon, 23 Nov 2026 08:00:00 GMT`, as OSS writes it in headers.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Whether a time is within [`SKEW`] of now.
pub(crate) fn is_fresh(at: Timestamp) -> bool {
    now().duration_since(at).abs() <= SKEW
}
