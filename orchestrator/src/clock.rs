//! The clock: the one place that reads it. Everything else takes time as an input.

use std::sync::Arc;

use causeway_engine::Time;

/// Reads the present time.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// The system's wall clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(|| {
        #[allow(clippy::disallowed_methods, reason = "this is the clock")]
        let now = std::time::SystemTime::now();
        let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    })
}
