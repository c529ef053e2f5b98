//! Opening the store's directory: one process in it, everything synced that sled leaves to the kernel, nothing ever removed.
//!
//! In it: `lock` (held while a process uses it), `sled/` (the database), and `id`: which store is in there, so that a database
//! that lost its rows (sled takes a damaged log for an empty one) is never mistaken for a new store.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::Options;
use super::tree::TreeRows;
use crate::store::error::Error;
use crate::store::open::{self, Refused};
use crate::store::rows::Counters;
use crate::store::{Identity, SCHEMA_VERSION};

/// The longest segment that sled allows. With it a leaf of the largest rows (64 KiB) stays inside the log; with the default of
/// 512 KiB it would go to a file of its own, which nobody syncs. It is fixed when a store is made.
const SEGMENT_BYTES: usize = 16 << 20;
/// Which store is in the directory.
const ID_FILE: &str = "id";
/// How often sled's own thread writes out what nobody waits for. Not relied upon.
const BACKGROUND_FLUSH_MS: u64 = 500;

/// How long the one who had the database before may take to close its files.
const LET_GO: std::time::Duration = std::time::Duration::from_millis(20);
const LET_GO_TRIES: u32 = 100;

/// The files that are held for as long as the store is open.
#[derive(Debug)]
pub(super) struct Directory {
    database: sled::Db,
    log: File,
    /// Kept for its lock, which the kernel gives up with the process.
    _lock: File,
}

impl Directory {
    /// Makes everything that was applied durable.
    pub(super) fn sync(&self) -> Result<(), String> {
        self.database.flush().map_err(|error| format!("flushing the database failed: {error}"))?;
        self.log
            .sync_data()
            .map_err(|error| format!("syncing the database's log to the disk failed: {error}"))
    }
}

/// An opened directory, and what stands in it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) directory: Directory,
    pub(super) rows: TreeRows,
    pub(super) identity: Identity,
    pub(super) counters: Counters,
}

/// Opens the directory; `new` stamps a store that is not there yet.
pub(super) fn open(options: &Options, new: impl FnOnce() -> Identity) -> Result<Opened, Error> {
    let path = &options.path;
    let failed = |why: String| Error::Open { path: path.clone(), why };
    let io = |doing: &str, error: &io::Error| failed(format!("{doing}: {error}"));

    fs::create_dir_all(path).map_err(|error| io("making the directory", &error))?;
    let lock = lock(path)?;
    let inside = path.join("sled");
    let database = open_database(&inside, options.cache_bytes).map_err(&failed)?;
    let log =
        File::open(inside.join("db")).map_err(|error| io("opening the database's log", &error))?;
    sync_what_sled_does_not(path, &inside).map_err(|error| io("syncing the directory", &error))?;

    // The default tree: its id is fixed, so that no other tree's existence has to be durable.
    let rows = TreeRows::new((*database).clone());
    let read = catch_unwind(AssertUnwindSafe(|| open::open(&rows, new)));
    let read =
        read.map_err(|_| failed("the database gave up while its first rows were read".to_owned()))?;
    let opened = read.map_err(|refused| match refused {
        Refused::Newer(found) => Error::Newer { path: path.clone(), found, known: SCHEMA_VERSION },
        Refused::Other(why) => failed(why),
    })?;
    check_id(path, &opened.identity, !opened.stamp.is_empty()).map_err(&failed)?;
    let directory = Directory { database, log, _lock: lock };
    if !opened.stamp.is_empty() {
        rows.apply(opened.stamp).map_err(|error| failed(format!("writing the stamp: {error}")))?;
        directory.sync().map_err(&failed)?;
    }
    write_id(path, &opened.identity).map_err(|error| io("writing its id", &error))?;
    Ok(Opened { directory, rows, identity: opened.identity, counters: opened.counters })
}

/// Compares the database's stamp (`new`: it has none) with what the directory says is in it.
fn check_id(path: &Path, identity: &Identity, new: bool) -> Result<(), String> {
    let said = match fs::read_to_string(path.join(ID_FILE)) {
        Ok(said) => said,
        // A store that was made by a process that then died: its stamp may be there, its id not yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("reading its id: {error}")),
    };
    match said.trim() {
        said if !new && said == identity.store_id => Ok(()),
        said if new => {
            Err(format!("it is store {said}, but the database is empty: its files are damaged"))
        }
        said => Err(format!(
            "it is store {said}, but the database is that of store {}",
            identity.store_id
        )),
    }
}

/// Says which store is in the directory, once its stamp is durable.
fn write_id(path: &Path, identity: &Identity) -> io::Result<()> {
    let (file, unfinished) = (path.join(ID_FILE), path.join("id.new"));
    if file.exists() {
        return Ok(());
    }
    fs::write(&unfinished, format!("{}\n", identity.store_id))?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, &file)?;
    File::open(path)?.sync_all()
}

/// Takes the directory for this process; before sled looks at it, as sled's own word for it is no help to anybody.
fn lock(path: &Path) -> Result<File, Error> {
    let failed = |error: &io::Error| Error::Open {
        path: path.to_path_buf(),
        why: format!("taking its lock: {error}"),
    };
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path.join("lock"))
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

fn open_database(path: &Path, cache_bytes: u64) -> Result<sled::Db, String> {
    let config = sled::Config::new()
        .path(path)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(Some(BACKGROUND_FLUSH_MS))
        .cache_capacity(cache_bytes)
        .segment_size(SEGMENT_BYTES);
    // sled panics on some kinds of damage, where an error would do.
    let mut opened = catch_unwind(AssertUnwindSafe(|| config.open()));
    // Whoever has its files has let go of our own lock already, so it is on its way out.
    for _ in 0..LET_GO_TRIES {
        if !matches!(&opened, Ok(Err(sled::Error::Io(error))) if is_taken(error)) {
            break;
        }
        std::thread::sleep(LET_GO);
        opened = catch_unwind(AssertUnwindSafe(|| config.open()));
    }
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(format!("the database says: {error}")),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words =
                words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            Err(format!("the database gave up: {words}"))
        }
    }
}

/// sled says so in words only.
fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.to_string().contains("could not acquire lock")
}

/// sled never syncs its `conf`, nor any directory: without that a power cut can leave a store that does not open.
fn sync_what_sled_does_not(path: &Path, inside: &Path) -> io::Result<()> {
    File::open(inside.join("conf"))?.sync_all()?;
    let mut directories = vec![inside.join("blobs"), inside.to_path_buf(), path.to_path_buf()];
    // Also those above that may have been made just now; a relative path ends at the working directory.
    directories.extend(path.ancestors().skip(1).take(2).map(|parent| {
        if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_path_buf() }
    }));
    for directory in directories {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
