//! The pace of the world: delays are written as they are in reality and scaled by one speed.

use std::time::Duration;

/// How many times faster than reality this world runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    speed: f64,
}

impl Pace {
    /// A pace of `speed` real seconds per second of the world; anything below 0.001 counts as 0.001.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self { speed: speed.max(0.001) }
    }

    /// The real delay scaled to this world.
    #[must_use]
    pub fn scale(self, real: Duration) -> Duration {
        real.div_f64(self.speed)
    }

    /// Sleeps for what `real` is in this world.
    pub async fn sleep(self, real: Duration) {
        tokio::time::sleep(self.scale(real)).await;
    }
}
