//! Delays between tries, by the `backoff` crate's policy; the only user of that crate. It gives durations: the absolute due
//! time is the engine's, is journaled, and is never computed again.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// A tenth up or down, so that workflows that failed together do not come back together.
const JITTER: f64 = 0.1;

/// The policy's first and longest delay.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Before the second try.
    pub initial: Duration,
    /// The longest, before jitter.
    pub max: Duration,
}

impl Policy {
    /// The delay after the `attempt`th try (from 1) has failed: doubled each time up to the longest, with jitter.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let current = self.initial.saturating_mul(1_u32 << doublings).min(self.max);
        let mut policy = ExponentialBackoff {
            current_interval: current,
            initial_interval: current,
            randomization_factor: JITTER,
            max_interval: self.max,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        policy.next_backoff().unwrap_or(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_within_the_jitter() {
        let policy = Policy { initial: Duration::from_millis(100), max: Duration::from_secs(1) };
        for (attempt, expected) in
            [(1, 100.0), (2, 200.0), (3, 400.0), (4, 800.0), (5, 1000.0), (60, 1000.0)]
        {
            let delay = policy.delay(attempt).as_secs_f64() * 1000.0;
            assert!(
                (delay - expected).abs() <= expected * JITTER + 0.001,
                "attempt {attempt}: {delay} ms, not about {expected} ms"
            );
        }
    }
}
