//! The other half of a backup: its file becomes a store in a directory where there was none. Everything is checked before
//! anything is written, and the store appears under its name once it is whole. It is the same store in another life: its epoch
//! is one higher, and it says that it was restored until somebody has taken note of that.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::archive::{Changes, Damage, Frame, Header, Unpacker};
use super::error::Error;
use super::keys::{self, Family};
use super::rows::{Backend, Counters, Stage, Work, Writes};
use super::sled::{Options, SledStore};
use super::{Identity, SCHEMA_VERSION, table};

/// Where it is put together, beside the place where it will stand.
const UNFINISHED: &str = "restoring";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file can't be used.
    #[error("{} can't be restored; nothing was written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        damage: Damage,
    },
    /// A newer program wrote what is in it.
    #[error(
        "the backup has schema version {found}, this program knows versions up to {SCHEMA_VERSION}; use the newer program, nothing was written"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// There is something already.
    #[error("{} is not empty; a backup is restored into a new data directory only, nothing was written", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// An earlier restore did not come to its end.
    #[error("{} is left of a restore that did not come to its end; remove it, and restore again", path.display())]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// The directory can't be used.
    #[error("{} can't be written", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The new store refused.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Makes a store in `to` from the backup's file; answers which. Blocks while it reads the file.
///
/// # Errors
/// [`RestoreError`]; then there is no store in `to`.
pub async fn restore(from: &Path, to: &Path) -> Result<Identity, RestoreError> {
    let file = |damage| RestoreError::File { path: from.to_path_buf(), damage };
    require_empty(to)?;
    let header = verify(from).map_err(file)?;
    if header.schema > SCHEMA_VERSION {
        return Err(RestoreError::Newer { found: header.schema });
    }
    let unfinished = to.with_extension(UNFINISHED);
    if unfinished.exists() {
        return Err(RestoreError::Unfinished { path: unfinished });
    }
    let restore_epoch = header.restore_epoch + 1;
    let identity = Identity { store_id: header.store_id, restore_epoch, schema: header.schema };
    let store = SledStore::create(&Options::new(&unfinished), identity.clone())?;
    let mut unpacker = open(from).map_err(file)?;
    loop {
        match unpacker.next().map_err(file)? {
            Frame::Header(_) => {}
            Frame::Rows(rows) => write(&store, rows).await?,
            Frame::End => break,
        }
    }
    let restored = keys::named(Family::Meta, keys::META_RESTORED);
    let mark: Work = Box::new(move |_: &mut Counters, stage: &mut Stage<'_>| {
        stage.put(restored, &table::encode_number(restore_epoch));
        Ok(0)
    });
    store.commit(64, mark).await?;
    // Its files are closed and its lock is given up before it gets its name.
    drop(store);
    appear(&unfinished, to)
        .map_err(|source| RestoreError::Directory { path: to.to_path_buf(), source })?;
    Ok(identity)
}

/// Reads the file to its end.
fn verify(from: &Path) -> Result<Header, Damage> {
    let mut unpacker = open(from)?;
    let Frame::Header(header) = unpacker.next()? else { return Err(Damage::Foreign) };
    while unpacker.next()? != Frame::End {}
    Ok(header)
}

fn open(from: &Path) -> Result<Unpacker<BufReader<File>>, Damage> {
    Unpacker::open(BufReader::new(File::open(from)?))
}

fn require_empty(to: &Path) -> Result<(), RestoreError> {
    let unusable = |source| RestoreError::Directory { path: to.to_path_buf(), source };
    match fs::read_dir(to) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(RestoreError::NotEmpty { path: to.to_path_buf() }),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = to.parent().unwrap_or(to);
            fs::create_dir_all(above).map_err(unusable)
        }
        Err(error) => Err(unusable(error)),
    }
}

/// Writes rows as they are; the store's own stamp stays what it was made with.
async fn write(store: &SledStore, rows: Changes) -> Result<(), RestoreError> {
    let stamp = keys::named(Family::Meta, keys::META_IDENTITY);
    let writes: Writes = rows.into_iter().filter(|(key, _)| *key != stamp).collect();
    let work: Work = Box::new(move |_: &mut Counters, stage: &mut Stage<'_>| {
        stage.copy(writes);
        Ok(0)
    });
    store.commit(0, work).await?;
    Ok(())
}

fn appear(unfinished: &Path, to: &Path) -> io::Result<()> {
    fs::rename(unfinished, to)?;
    File::open(to.parent().unwrap_or(to))?.sync_all()
}

#[cfg(test)]
mod tests;
