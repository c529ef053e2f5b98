//! A backup: every row, copied in bounded pieces while others go on writing, and what they write meanwhile. Put one after the
//! other these are the store as of the last commit that the file has, whole: a row that was copied late, or too early, is
//! overtaken by what was written. No writer waits for it.

use std::sync::Arc;

use async_trait::async_trait;

use super::archive::{Header, Packer};
use super::error::Error;
use super::rows::Backend;
use super::tap::{Heard, Overrun};

/// Rows that are read at once: bounds what a backup holds, and for how long it keeps a writer from its turn.
const ROWS: usize = 128;

/// About how many bytes of what was written meanwhile go into one piece.
const PIECE_BYTES: usize = 8 << 20;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One is being taken already.
    #[error("another backup is being taken")]
    Busy,
    /// More was written meanwhile than could be taken along.
    #[error("more was written meanwhile than the reader of the backup took")]
    Overrun,
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<Overrun> for BackupError {
    fn from(_: Overrun) -> Self {
        Self::Overrun
    }
}

/// The pieces of a backup's file, in order.
#[async_trait]
pub trait Pieces: Send {
    /// The next piece; none once the file is whole.
    ///
    /// # Errors
    /// [`BackupError`]; then what came is good for nothing.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, BackupError>;
}

/// A backup that is being taken.
struct Backup<B> {
    store: Arc<B>,
    heard: Heard,
    packer: Packer,
    stage: Stage,
}

enum Stage {
    Header,
    /// Rows from this key on.
    Rows(Vec<u8>),
    /// What was still written until the last row was copied.
    Rest,
    Done,
}

/// Begins a backup.
pub(super) fn begin<B: Backend>(store: Arc<B>) -> Result<Box<dyn Pieces>, BackupError> {
    let heard = store.tap().open().ok_or(BackupError::Busy)?;
    Ok(Box::new(Backup { store, heard, packer: Packer::default(), stage: Stage::Header }))
}

#[async_trait]
impl<B: Backend> Pieces for Backup<B> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        match &self.stage {
            Stage::Header => {
                self.stage = Stage::Rows(Vec::new());
                Ok(Some(self.header()))
            }
            Stage::Rows(from) => {
                let range = from.clone()..vec![u8::MAX];
                let rows = self.store.read(move |rows| rows.scan(range, false, ROWS)).await?;
                match rows.last() {
                    Some((last, _)) => {
                        let mut next = last.clone();
                        next.push(0);
                        self.stage = Stage::Rows(next);
                    }
                    None => {
                        // All that the rows may already show has been told by now.
                        self.heard.close();
                        self.stage = Stage::Rest;
                    }
                }
                let rows = rows.into_iter().map(|(key, value)| (key, Some(value)));
                let mut piece = self.packer.rows(rows);
                // With each step forward also what waits: so neither keeps the other from its end.
                piece.extend(self.written()?);
                Ok(Some(piece))
            }
            Stage::Rest => match self.written()? {
                rest if !rest.is_empty() => Ok(Some(rest)),
                _ => {
                    self.stage = Stage::Done;
                    Ok(Some(std::mem::take(&mut self.packer).end()))
                }
            },
            Stage::Done => Ok(None),
        }
    }
}

impl<B: Backend> Backup<B> {
    /// What was written and waits, or a good part of it.
    fn written(&mut self) -> Result<Vec<u8>, BackupError> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES
            && let Some(writes) = self.heard.next()?
        {
            piece.extend(self.packer.writes(writes));
        }
        Ok(piece)
    }

    fn header(&mut self) -> Vec<u8> {
        let identity = self.store.store_identity();
        self.packer.begin(&Header {
            store_id: identity.store_id.clone(),
            restore_epoch: identity.restore_epoch,
            schema: identity.schema,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}
