//! Every duration of the outside world, in one place: reality's defaults, scaled by tests and the sandbox through the configuration.

use std::time::Duration;

use causeway_engine::Limits;

/// How long things take, and how long we wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From an edit of `ack-agent-config` until the agent has surely taken it (it looks about every 60 s).
    pub agent_settle: Duration,
    /// Between two looks at something that takes its time.
    pub poll: Duration,
    /// One HTTP call.
    pub call_timeout: Duration,
    /// All mutating calls of one attempt of a step.
    pub attempt_deadline: Duration,
    /// After the deadline of a call whose answer was lost, until it can no longer land.
    pub settle: Duration,
    /// How long a confirm may take, unless the step says otherwise.
    pub confirm_deadline: Duration,
    /// The first delay before a retry.
    pub retry_initial: Duration,
    /// The longest delay before a retry.
    pub retry_max: Duration,
    /// How long a step is retried going forward.
    pub retry_give_up: Duration,
    /// How long an undo is retried before it is STUCK.
    pub undo_give_up: Duration,
    /// How long a new AccessKey or grant may be refused before that is a failure.
    pub key_grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            agent_settle: seconds(75),
            poll: seconds(5),
            call_timeout: seconds(30),
            attempt_deadline: seconds(120),
            settle: seconds(10),
            confirm_deadline: seconds(30 * 60),
            retry_initial: seconds(1),
            retry_max: seconds(60),
            retry_give_up: seconds(10 * 60),
            undo_give_up: seconds(60 * 60),
            key_grace: seconds(60),
        }
    }
}

impl Timing {
    /// The limits that a step has unless it says otherwise.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            attempt_ms: millis(self.attempt_deadline),
            settle_ms: millis(self.settle),
            confirm_ms: millis(self.confirm_deadline),
            give_up_ms: millis(self.retry_give_up),
            undo_give_up_ms: millis(self.undo_give_up),
        }
    }
}

/// A duration in whole milliseconds, as the engine counts.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
