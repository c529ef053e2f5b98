//! What every store is underneath: an ordered map of bytes that takes a batch of writes at once ([`Backend`]), and the stage
//! on which one piece of work reads what will be there and lays down what it writes.
//! It knows no meaning of any row.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::ops::Range;

use tokio::sync::watch;

use super::append::{Fence, Position};
use super::error::Error;
use super::failpoint::Failpoint;
use super::tap::Tap;
use super::{Health, Identity, codec};

/// Rows to write, or (`None`) to remove, by key.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
/// A key with its value, envelope included.
pub(super) type Row = (Vec<u8>, Vec<u8>);
/// Rows in the order that was asked for.
pub(super) type Found = Vec<Row>;
/// Something that reads and writes under the one writer, in turn with all others. It may fail only before it has changed
/// the counters; what it then put on the stage is dropped.
pub(super) type Work = Box<dyn FnOnce(&mut Counters, &mut Stage<'_>) -> Result<u64, Error> + Send>;

/// The last position of each shard.
pub(super) type Positions = HashMap<u32, u64>;

/// The ordered map, read only.
pub(super) trait Rows: Send + Sync {
    /// A value with its envelope.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Up to `limit` rows of a range, from its end where `backwards`.
    fn scan(&self, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Found, Error>;

    /// The last row of a range.
    fn last(&self, range: Range<Vec<u8>>) -> Result<Option<Row>, Error> {
        Ok(self.scan(range, true, 1)?.pop())
    }
}

/// Rows whose keys are collected at once: bounds what their values take meanwhile.
const KEYS_PER_SCAN: usize = 16;

/// The keys of a range, without holding their values all at once.
pub(super) fn keys_of(rows: &dyn Rows, mut range: Range<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
    let mut found = Vec::new();
    loop {
        let some = rows.scan(range.clone(), false, KEYS_PER_SCAN)?;
        let Some((last, _)) = some.last() else { return Ok(found) };
        range.start = last.clone();
        range.start.push(0);
        found.extend(some.into_iter().map(|(key, _)| key));
    }
}

/// What an implementation brings; all else is shared.
pub(super) trait Backend: Send + Sync + std::fmt::Debug + 'static {
    /// Runs a read on what is durable. It may block; the backend finds it a place where that is harmless.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Rows) -> Result<T, Error> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Runs work under the one writer; answers once all that it wrote is durable. `weight` is about how many bytes it writes.
    fn commit(&self, weight: usize, work: Work) -> impl Future<Output = Result<u64, Error>> + Send;

    /// The last durable position of each shard, as it moves.
    fn positions_channel(&self) -> watch::Receiver<Positions>;

    /// Which store.
    fn store_identity(&self) -> &Identity;

    /// Where a backup hears of commits.
    fn tap(&self) -> &Tap;

    /// Whether it acknowledges.
    fn health_channel(&self) -> watch::Receiver<Health>;

    /// The test hook that ends the process at an append.
    fn failpoint(&self) -> &Failpoint;
}

/// What the writer counts in memory; all of it is found again in the rows at open.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    /// Epoch and last position by shard.
    shards: HashMap<u32, Shard>,
    /// The last start number given.
    pub(super) last_start: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Shard {
    epoch: u64,
    position: u64,
}

impl Counters {
    pub(super) fn set_shard(&mut self, shard: u32, epoch: u64, position: u64) {
        self.shards.insert(shard, Shard { epoch, position });
    }

    pub(super) fn epoch(&self, shard: u32) -> u64 {
        self.shards.get(&shard).map_or(0, |shard| shard.epoch)
    }

    pub(super) fn set_epoch(&mut self, shard: u32, epoch: u64) {
        self.shards.entry(shard).or_default().epoch = epoch;
    }

    /// Refuses a fence that is not the newest.
    pub(super) fn check(&self, fence: Fence) -> Result<(), Error> {
        let present = self.epoch(fence.shard);
        if fence.epoch == present {
            Ok(())
        } else {
            Err(Error::Fenced { shard: fence.shard, epoch: fence.epoch, present })
        }
    }

    pub(super) fn next_position(&mut self, shard: u32) -> Position {
        let counter = &mut self.shards.entry(shard).or_default().position;
        *counter += 1;
        Position { shard, number: *counter }
    }

    /// The last position of each shard.
    pub(super) fn positions(&self) -> Positions {
        self.shards.iter().map(|(shard, state)| (*shard, state.position)).collect()
    }
}

/// What one piece of work sees and writes: its own writes before those of the group it travels in, before what is stored.
pub(super) struct Stage<'s> {
    rows: &'s dyn Rows,
    group: &'s Writes,
    own: Writes,
}

impl<'s> Stage<'s> {
    pub(super) fn new(rows: &'s dyn Rows, group: &'s Writes) -> Self {
        Self { rows, group, own: Writes::new() }
    }

    /// The value, with its envelope, as it will be.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.own.get(key).or_else(|| self.group.get(key)) {
            Some(written) => Ok(written.clone()),
            None => self.rows.get(key),
        }
    }

    /// Whether there is such a row.
    pub(super) fn has(&self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.get(key)?.is_some())
    }

    /// Writes a body, in its envelope.
    pub(super) fn put(&mut self, key: Vec<u8>, body: &[u8]) {
        let value = codec::wrap(&key, body);
        self.own.insert(key, Some(value));
    }

    /// Writes rows as they were in another store, envelope included.
    pub(super) fn copy(&mut self, rows: Writes) {
        self.own.extend(rows);
    }

    /// Removes a row, if there is one.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.own.insert(key, None);
    }

    pub(super) fn finish(self) -> Writes {
        self.own
    }
}

/// A group of works that become durable together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) writes: Writes,
}

impl Group {
    /// Runs one more work; where it fails, the group is as before.
    pub(super) fn add(
        &mut self,
        rows: &dyn Rows,
        counters: &mut Counters,
        work: Work,
    ) -> Result<u64, Error> {
        let mut stage = Stage::new(rows, &self.writes);
        let answer = work(counters, &mut stage)?;
        let own = stage.finish();
        self.writes.extend(own);
        Ok(answer)
    }
}
