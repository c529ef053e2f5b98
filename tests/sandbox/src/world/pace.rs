//! The waits of `causewayd.toml`, scaled as the world is. What guards against a slow machine has a floor, since that
//! does not become faster with the world.

use std::time::Duration;

use crate::time::Pace;

/// One wait of the daemon: its name in the configuration, what it is in reality, and its floor.
struct Wait {
    name: &'static str,
    real: Duration,
    floor: Duration,
}

const fn wait(name: &'static str, real_s: u64, floor_ms: u64) -> Wait {
    Wait { name, real: Duration::from_secs(real_s), floor: Duration::from_millis(floor_ms) }
}

/// Reality is what the daemon's defaults are.
const WAITS: [Wait; 11] = [
    wait("agent_settle", 75, 20),
    wait("poll", 5, 50),
    wait("call_timeout", 30, 2_000),
    wait("attempt_deadline", 120, 3_000),
    wait("settle", 10, 300),
    wait("confirm_deadline", 1_800, 15_000),
    wait("retry_initial", 1, 20),
    wait("retry_max", 60, 200),
    wait("retry_give_up", 600, 3_000),
    wait("undo_give_up", 3_600, 10_000),
    wait("key_grace", 60, 2_000),
];

/// The `[timing]` table of the daemon's configuration.
pub(super) fn timing(pace: Pace) -> String {
    let line = |wait: &Wait| {
        format!("{} = \"{}ms\"\n", wait.name, pace.scale(wait.real).max(wait.floor).as_millis())
    };
    WAITS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_scaled_down_to_their_floors() {
        let timing = timing(Pace::new(100.0));
        assert!(timing.contains("agent_settle = \"750ms\"\n"), "{timing}");
        assert!(
            timing.contains("poll = \"50ms\"\n") && timing.contains("call_timeout = \"2000ms\"\n"),
            "{timing}"
        );
    }

    #[test]
    fn at_the_speed_of_reality_the_waits_are_the_daemons_defaults() {
        assert!(timing(Pace::new(1.0)).contains("undo_give_up = \"3600000ms\"\n"));
    }
}
