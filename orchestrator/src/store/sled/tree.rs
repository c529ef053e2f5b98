//! The one tree that holds every row, read and written.

use std::ops::Range;

use crate::store::error::Error;
use crate::store::keys;
use crate::store::rows::{Found, Rows, Writes};

/// The tree. One for all families: a batch of one tree is atomic without sled's transactions, which read every key they write.
#[derive(Debug)]
pub(super) struct TreeRows(sled::Tree);

impl TreeRows {
    pub(super) fn new(tree: sled::Tree) -> Self {
        Self(tree)
    }

    /// Applies all of it, or (after a crash) nothing; not durable yet.
    pub(super) fn apply(&self, writes: Writes) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.0.apply_batch(batch)
    }
}

/// A read that failed: only what sled itself found damaged is corruption.
fn read_error(key: &[u8], error: &sled::Error) -> Error {
    match error {
        sled::Error::Corruption { .. } => {
            Error::corrupt(keys::describe(key), format!("the database says: {error}"))
        }
        _ => Error::failed(format!("reading {} failed: {error}", keys::describe(key))),
    }
}

impl Rows for TreeRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.0.get(key).map_err(|error| read_error(key, &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Found, Error> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let start = range.start.clone();
        let mut rows = self.0.range(range);
        let mut found = Vec::new();
        while found.len() < limit {
            let next = if backwards { rows.next_back() } else { rows.next() };
            let Some(row) = next else { break };
            let (key, value) = row.map_err(|error| read_error(&start, &error))?;
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(found)
    }
}
