//! When a call is worth repeating, and after how long. What may be repeated is decided by the caller: reads, and writes that
//! carry a `request_id`.

use std::future::Future;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::error::is_transport;

/// How long a client keeps trying while the daemon can't be reached, or asks to be asked later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first failure in a row; zero: every failure is final.
    pub limit: Duration,
}

impl Patience {
    /// Every failure is final.
    pub const NONE: Self = Self { limit: Duration::ZERO };
    /// For a person in front of a terminal who reads something.
    pub const SHORT: Self = Self { limit: Duration::from_secs(3) };
    /// For waiting: a daemon may be restarted meanwhile, and take its time to recover.
    pub const LONG: Self = Self { limit: Duration::from_secs(60) };
}

impl Default for Patience {
    /// Long enough for a restart of the daemon.
    fn default() -> Self {
        Self { limit: Duration::from_secs(20) }
    }
}

/// Before the first repetition; doubled after each.
const FIRST: Duration = Duration::from_millis(100);
/// The longest between two repetitions.
const LONGEST: Duration = Duration::from_secs(3);

/// One run of failures.
#[derive(Debug)]
pub(crate) struct Attempts {
    patience: Patience,
    since: Option<Instant>,
    next: Duration,
}

impl Attempts {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, since: None, next: FIRST }
    }

    /// A call succeeded: patience is whole again.
    pub(crate) fn succeeded(&mut self) {
        (self.since, self.next) = (None, FIRST);
    }

    /// How long to wait after this failure; `None`: it is final.
    pub(crate) fn after(&mut self, status: &Status) -> Option<Duration> {
        if !is_passing(status) {
            return None;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let asked = tonic_types::StatusExt::get_details_retry_info(status)
            .and_then(|info| info.retry_delay);
        let wait = asked.unwrap_or_else(|| self.next.mul_f64(rand::rng().random_range(0.5..1.0)));
        self.next = (self.next * 2).min(LONGEST);
        (since.elapsed() + wait <= self.patience.limit).then_some(wait)
    }
}

/// Whether the same call can succeed later.
fn is_passing(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        // Only where the daemon itself says when: another limit stays reached.
        Code::ResourceExhausted => tonic_types::StatusExt::get_details_retry_info(status).is_some(),
        _ => is_transport(status),
    }
}

/// Calls until it succeeds, or fails for good.
pub(crate) async fn repeat<T, F, C>(patience: Patience, mut call: C) -> Result<T, Status>
where
    C: FnMut() -> F,
    F: Future<Output = Result<T, Status>>,
{
    let mut attempts = Attempts::new(patience);
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(status) => match attempts.after(&status) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(status),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn calls(status: &Status) -> u32 {
        let calls = Cell::new(0);
        let call = || {
            calls.set(calls.get() + 1);
            let status = status.clone();
            async move { Err::<(), _>(status) }
        };
        repeat(Patience { limit: Duration::from_secs(10) }, call).await.unwrap_err();
        calls.get()
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_repeated_until_patience_ends_and_nothing_else() {
        let begun = Instant::now();
        assert!(calls(&Status::unavailable("restarting")).await > 5);
        assert!((Duration::from_secs(5)..Duration::from_secs(11)).contains(&begun.elapsed()));
        for status in [
            Status::invalid_argument("x"),
            Status::resource_exhausted("too many"),
            Status::internal("x"),
            Status::failed_precondition("x"),
            Status::not_found("x"),
        ] {
            assert_eq!(calls(&status).await, 1, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_the_repetition() {
        let left = Cell::new(3);
        let call = || {
            left.set(left.get() - 1);
            let left = left.get();
            async move { if left == 0 { Ok(7) } else { Err(Status::unavailable("x")) } }
        };
        assert_eq!(repeat(Patience::default(), call).await.unwrap(), 7);
    }
}
