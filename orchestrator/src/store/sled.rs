//! The embedded store: sled 0.34.7 behind the fences that were measured to be needed. Only the files of this module know sled.
//!
//! What sled's own `flush` does on Linux is `sync_file_range`, which a power cut undoes. So one committer thread drains all
//! waiting appends into one batch of one tree (atomic), flushes, calls `fdatasync` on the log file, and only then answers them
//! all (`committer`). Files and directories that sled never syncs are synced at open (`directory`). Values stay short and
//! segments long, so that no row leaves the synced log for a file of its own.
//!
//! An error of a flush is final: what the kernel then holds is unknown, so the store stops acknowledging ([`Health::Failed`]),
//! and recovery is a restart of the process.

mod committer;
mod directory;
mod tree;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

use self::committer::{Committer, Ticket};
use self::directory::Directory;
use self::tree::TreeRows;
use super::error::Error;
use super::failpoint::Failpoint;
use super::open;
use super::rows::{Backend, Positions, Rows, Work};
use super::tap::Tap;
use super::{Health, Identity};

/// Appends that may wait to be committed; those beyond wait to be queued.
const QUEUE: usize = 4096;

/// Where the store lies, and what it may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory; made where it is not there. One process may use it.
    pub path: PathBuf,
    /// The page cache, in bytes. sled takes up to about half as much again.
    pub cache_bytes: u64,
}

impl Options {
    /// The defaults, in a directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), cache_bytes: 64 << 20 }
    }
}

/// The embedded store. Dropping it waits for what is queued.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    identity: Identity,
    failpoint: Failpoint,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Ticket>>,
    committer: Option<JoinHandle<()>>,
}

/// What readers and the committer share.
#[derive(Debug)]
struct Shared {
    rows: TreeRows,
    directory: Directory,
    /// Held by the committer from the first write of a group until it is durable: no reader sees what a power cut could undo.
    gate: RwLock<()>,
    health: watch::Sender<Health>,
    positions: watch::Sender<Positions>,
    tap: Tap,
    /// Makes the next sync fail, as a broken disk would.
    #[cfg(test)]
    broken: std::sync::atomic::AtomicBool,
}

impl Shared {
    fn sync(&self) -> Result<(), String> {
        #[cfg(test)]
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err("the test broke the disk".to_owned());
        }
        self.directory.sync()
    }
}

impl SledStore {
    /// Opens a store, or makes a new one. Blocks while sled recovers: call it at start, off the async threads.
    ///
    /// # Errors
    /// [`Error::InUse`] where another process has it; [`Error::Newer`]; [`Error::Open`]. Nothing is ever removed.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::with(options, || open::stamp_of(uuid::Uuid::new_v4().to_string()))
    }

    /// Makes a store that is known to be this one.
    pub(super) fn create(options: &Options, identity: Identity) -> Result<Self, Error> {
        Self::with(options, || identity)
    }

    fn with(options: &Options, new: impl FnOnce() -> Identity) -> Result<Self, Error> {
        let opened = directory::open(options, new)?;
        let shared = Arc::new(Shared {
            rows: opened.rows,
            directory: opened.directory,
            gate: RwLock::new(()),
            health: watch::Sender::new(Health::Serving),
            positions: watch::Sender::new(opened.counters.positions()),
            tap: Tap::default(),
            #[cfg(test)]
            broken: std::sync::atomic::AtomicBool::new(false),
        });
        let (queue, tickets) = mpsc::channel(QUEUE);
        let committer = Committer::new(Arc::clone(&shared), opened.counters, tickets);
        let thread = std::thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || committer.run());
        let thread = thread.map_err(|error| Error::Open {
            path: options.path.clone(),
            why: format!("the committer thread can't be started: {error}"),
        })?;
        Ok(Self {
            shared,
            identity: opened.identity,
            failpoint: Failpoint::from_environment(),
            queue: Some(queue),
            committer: Some(thread),
        })
    }

    fn stopped(&self) -> Error {
        match &*self.shared.health.borrow() {
            Health::Failed(why) => Error::failed(why),
            Health::Serving => Error::failed("its committer has ended"),
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(Err(_)) = self.committer.take().map(JoinHandle::join) {
            tracing::error!("The store's committer thread panicked");
        }
    }
}

impl Backend for SledStore {
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Rows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || {
            let _gate = shared.gate.read().unwrap_or_else(PoisonError::into_inner);
            work(&shared.rows)
        });
        // sled panics on some kinds of damage; that must not take more down than the read.
        read.await.unwrap_or_else(|join| {
            Err(Error::Corrupt {
                row: "that was read".to_owned(),
                why: format!("the database gave up: {join}"),
            })
        })
    }

    async fn commit(&self, weight: usize, work: Work) -> Result<u64, Error> {
        let queue = self.queue.as_ref().ok_or_else(|| self.stopped())?;
        let (answer, answered) = oneshot::channel();
        queue.send(Ticket { weight, work, answer }).await.map_err(|_| self.stopped())?;
        answered.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn positions_channel(&self) -> watch::Receiver<Positions> {
        self.shared.positions.subscribe()
    }

    fn tap(&self) -> &Tap {
        &self.shared.tap
    }

    fn store_identity(&self) -> &Identity {
        &self.identity
    }

    fn health_channel(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    fn failpoint(&self) -> &Failpoint {
        &self.failpoint
    }
}

#[cfg(test)]
mod tests;
