//! A test hook: `CAUSEWAY_KILL_AT=append-before:N` or `append-after:N` ends this process with SIGKILL at its Nth append,
//! before it is queued, or once it is durable and before it is answered. Without the variable it does nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable.
const VARIABLE: &str = "CAUSEWAY_KILL_AT";

/// Where the process is to end.
#[derive(Debug, Default)]
pub(super) struct Failpoint {
    kill: Option<(Moment, u64)>,
    begun: AtomicU64,
    durable: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

impl Failpoint {
    /// As the environment says; says so in the log where it is armed, or not understood.
    pub(super) fn from_environment() -> Self {
        let Ok(text) = std::env::var(VARIABLE) else { return Self::default() };
        let kill = parse(&text);
        match kill {
            Some(_) => {
                tracing::warn!(at = %text, "The test hook {VARIABLE} will kill this process")
            }
            None => {
                tracing::warn!(value = %text, "{VARIABLE} is not append-before:N or append-after:N, ignored")
            }
        }
        Self { kill, ..Self::default() }
    }

    /// An append is about to be queued.
    pub(super) fn before(&self) {
        self.reached(Moment::Before, &self.begun);
    }

    /// An append is durable, and not yet answered.
    pub(super) fn after(&self) {
        self.reached(Moment::After, &self.durable);
    }

    fn reached(&self, moment: Moment, counter: &AtomicU64) {
        let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
        if self.kill == Some((moment, number)) {
            // Nothing may run after this, no destructor and no other thread: that is what is tested.
            let killed = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            tracing::error!(?killed, "The process outlived its own SIGKILL");
            std::process::abort();
        }
    }
}

fn parse(text: &str) -> Option<(Moment, u64)> {
    let (moment, number) = text.split_once(':')?;
    let moment = match moment {
        "append-before" => Moment::Before,
        "append-after" => Moment::After,
        _ => return None,
    };
    number.parse().ok().filter(|number| *number > 0).map(|number| (moment, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_is_read_exactly_or_not_at_all() {
        assert_eq!(parse("append-before:1"), Some((Moment::Before, 1)));
        assert_eq!(parse("append-after:12"), Some((Moment::After, 12)));
        for wrong in [
            "",
            "append-before",
            "append-before:0",
            "append-before:x",
            "append:1",
            "append-after:-1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
