//! Wall time as the API server writes it into objects.

use jiff::Timestamp;

/// Now.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the sandbox plays the outside world: its clock is the wall clock"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Now, to the second, as `metav1.Time`.
#[must_use]
pub fn stamp() -> String {
    now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
