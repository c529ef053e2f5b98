//! Hears of every commit while a backup is taken: what is written meanwhile goes into the backup's file too. It never makes a
//! writer wait: where the one who hears falls too far behind, it hears no more, and is told so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::rows::Writes;

/// Most bytes that may wait for the one who hears: bounds memory.
const QUEUED_BYTES_MAX: usize = 64 << 20;

/// What a store has for it.
#[derive(Debug, Default)]
pub(super) struct Tap(Mutex<Option<Sink>>);

#[derive(Debug)]
struct Sink {
    sender: UnboundedSender<(Writes, usize)>,
    load: Arc<Load>,
}

#[derive(Debug, Default)]
struct Load {
    queued: AtomicUsize,
    overrun: AtomicBool,
}

/// The one who hears.
#[derive(Debug)]
pub(super) struct Heard {
    receiver: UnboundedReceiver<(Writes, usize)>,
    load: Arc<Load>,
}

/// It fell too far behind, and has not heard of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overrun;

impl Tap {
    /// From here on every commit is heard of; none where somebody hears already.
    pub(super) fn open(&self) -> Option<Heard> {
        let mut sink = self.sink();
        if sink.as_ref().is_some_and(|sink| !sink.sender.is_closed()) {
            return None;
        }
        let (sender, receiver) = unbounded_channel();
        let load = Arc::new(Load::default());
        *sink = Some(Sink { sender, load: load.clone() });
        Some(Heard { receiver, load })
    }

    /// Whether anybody hears: asked before the writes are given away. Both this and [`Self::tell`] come while no reader can see
    /// a part of the commit, so that whoever reads what it wrote has heard of it, or began to hear after it.
    pub(super) fn copy(&self, writes: &Writes) -> Option<Writes> {
        self.sink().is_some().then(|| writes.clone())
    }

    /// Tells of a commit that has become durable.
    pub(super) fn tell(&self, writes: Option<Writes>) {
        let mut guard = self.sink();
        let (Some(writes), Some(sink)) = (writes, guard.as_ref()) else { return };
        let bytes =
            writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let bytes = bytes.sum();
        let queued = sink.load.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let overrun = queued > QUEUED_BYTES_MAX;
        if overrun {
            sink.load.overrun.store(true, Ordering::Relaxed);
        }
        if overrun || sink.sender.send((writes, bytes)).is_err() {
            *guard = None;
        }
    }

    fn sink(&self) -> MutexGuard<'_, Option<Sink>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// What was written next, if anything was.
    pub(super) fn next(&mut self) -> Result<Option<Writes>, Overrun> {
        if self.load.overrun.load(Ordering::Relaxed) {
            return Err(Overrun);
        }
        let Ok((writes, bytes)) = self.receiver.try_recv() else { return Ok(None) };
        self.load.queued.fetch_sub(bytes, Ordering::Relaxed);
        Ok(Some(writes))
    }

    /// Hears of nothing more; what was told until now is still there.
    pub(super) fn close(&mut self) {
        self.receiver.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(bytes: usize) -> Writes {
        Writes::from([(vec![1], Some(vec![0; bytes]))])
    }

    #[test]
    fn one_hears_at_a_time_and_everything_in_order() {
        let tap = Tap::default();
        assert_eq!(tap.copy(&writes(1)), None, "nobody hears");
        let mut heard = tap.open().unwrap();
        assert!(tap.open().is_none());
        for bytes in [1, 2] {
            tap.tell(tap.copy(&writes(bytes)));
        }
        assert_eq!(heard.next(), Ok(Some(writes(1))));
        heard.close();
        tap.tell(tap.copy(&writes(3)));
        assert_eq!(heard.next(), Ok(Some(writes(2))));
        assert_eq!(heard.next(), Ok(None));
        assert!(tap.open().is_some());
    }

    #[test]
    fn whoever_falls_too_far_behind_is_told_and_nobody_waits() {
        let tap = Tap::default();
        let mut heard = tap.open().unwrap();
        for _ in 0..5 {
            tap.tell(tap.copy(&writes(QUEUED_BYTES_MAX / 4)));
        }
        assert_eq!(heard.next(), Err(Overrun));
        assert_eq!(tap.copy(&writes(1)), None, "nothing is copied for it any more");
    }
}
