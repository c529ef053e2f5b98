//! The store for the simulator: a disk in memory that outlives the stores opened on it, and loses, tears or keeps what was in
//! flight when it is told to. Nothing here survives the process.
//!
//! The disk is a log of framed batches, replayed at open; a torn frame at its end is dropped, as a real log does.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::error::Error;
use super::failpoint::Failpoint;
use super::keys::{self, Family};
use super::open::{self, Refused};
use super::rows::{Backend, Counters, Found, Group, Positions, Rows, Work, Writes};
use super::tap::Tap;
use super::{Health, Identity};

/// What happens to the batch that is in flight when the disk breaks; its writer is told [`Error::Failed`] in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing of it is on the disk.
    Lost,
    /// A part of it is on the disk.
    Torn,
    /// All of it is on the disk; only the answer is lost.
    Kept,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    log: Vec<u8>,
    commits: u64,
    /// At which commit it breaks, and how.
    break_at: Option<(u64, Loss)>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let platter = self.platter();
        formatter
            .debug_struct("Disk")
            .field("bytes", &platter.log.len())
            .field("commits", &platter.commits)
            .finish()
    }
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Breaks the `nth` commit from now (1: the next one): the store on it fails, and must be opened again.
    pub fn break_at(&self, nth: u64, loss: Loss) {
        let mut platter = self.platter();
        platter.break_at = Some((platter.commits + nth, loss));
    }

    /// How many batches were committed so far, the broken ones included.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.platter().commits
    }

    /// All bytes on it, for searching what must not be there.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.platter().log.clone()
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a frame; false where the disk broke meanwhile.
    fn write(&self, writes: &Writes) -> bool {
        let mut platter = self.platter();
        platter.commits += 1;
        let (frame, now) = (frame(writes), platter.commits);
        match platter.break_at.take_if(|(at, _)| *at <= now) {
            None => {
                platter.log.extend_from_slice(&frame);
                true
            }
            Some((_, loss)) => {
                let kept = match loss {
                    Loss::Lost => 0,
                    Loss::Torn => frame.len() / 2,
                    Loss::Kept => frame.len(),
                };
                platter.log.extend_from_slice(&frame[..kept]);
                false
            }
        }
    }

    /// Replays all whole frames, and cuts off a torn one at the end.
    fn replay(&self) -> Map {
        let mut platter = self.platter();
        let mut map = Map::new();
        let mut sound = 0;
        while let Some((writes, length)) = unframe(&platter.log[sound..]) {
            apply(&mut map, writes);
            sound += length;
        }
        platter.log.truncate(sound);
        map
    }
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn apply(map: &mut Map, writes: Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

/// Length and checksum, then per row: key, and value or nothing.
fn frame(writes: &Writes) -> Vec<u8> {
    let mut body = Vec::new();
    let mut put = |bytes: &[u8]| {
        body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(bytes);
    };
    for (key, value) in writes {
        put(key);
        put(if value.is_some() { &[1] } else { &[0] });
        put(value.as_deref().unwrap_or_default());
    }
    let mut frame = (body.len() as u64).to_le_bytes().to_vec();
    frame.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

fn unframe(log: &[u8]) -> Option<(Writes, usize)> {
    let (length, rest) = log.split_first_chunk::<8>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let mut body = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let total = 12 + body.len();
    let mut writes = Writes::new();
    let mut take = || {
        let (length, rest) = body.split_first_chunk::<8>()?;
        let (bytes, rest) =
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        body = rest;
        Some(bytes.to_vec())
    };
    while let (Some(key), Some(kind), Some(value)) = (take(), take(), take()) {
        writes.insert(key, (kind == [1]).then_some(value));
    }
    Some((writes, total))
}

/// A store on a [`Disk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: Disk,
    state: Mutex<State>,
    identity: Identity,
    health: watch::Sender<Health>,
    positions: watch::Sender<Positions>,
    tap: Tap,
    failpoint: Failpoint,
}

struct State {
    map: MapRows,
    counters: Counters,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("rows", &self.map.0.len()).finish_non_exhaustive()
    }
}

struct MapRows(Map);

impl Rows for MapRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, range: Range<Vec<u8>>, backwards: bool, limit: usize) -> Result<Found, Error> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let rows = self.0.range(range).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if backwards { rows.rev().take(limit).collect() } else { rows.take(limit).collect() })
    }
}

impl MemoryStore {
    /// Opens the store on a disk, new or used. Stores opened on it before must be gone.
    ///
    /// # Errors
    /// [`Error::Open`] or [`Error::Newer`] where what is on it can't be used.
    pub fn open(disk: &Disk) -> Result<Self, Error> {
        let path = std::path::PathBuf::from("(memory)");
        let map = MapRows(disk.replay());
        // The simulator is to be repeatable: no chance in it, not even in the store's id.
        let stamp = || open::stamp_of("00000000-0000-4000-8000-000000000000".to_owned());
        let opened = open::open(&map, stamp).map_err(|refused| match refused {
            Refused::Newer(found) => {
                Error::Newer { path: path.clone(), found, known: super::SCHEMA_VERSION }
            }
            Refused::Other(why) => Error::Open { path: path.clone(), why },
        })?;
        let mut map = map;
        if !opened.stamp.is_empty() {
            if !disk.write(&opened.stamp) {
                return Err(Error::Open { path, why: "the disk broke".to_owned() });
            }
            apply(&mut map.0, opened.stamp);
        }
        Ok(Self {
            disk: disk.clone(),
            tap: Tap::default(),
            positions: watch::Sender::new(opened.counters.positions()),
            state: Mutex::new(State { map, counters: opened.counters }),
            identity: opened.identity,
            health: watch::Sender::new(Health::Serving),
            failpoint: Failpoint::from_environment(),
        })
    }

    /// Damages the row that holds a workflow's `record`th record, as a bad disk would.
    ///
    /// # Errors
    /// [`Error::Failed`] where the disk breaks.
    pub fn damage_record(&self, workflow: &str, record: u64) -> Result<(), Error> {
        let row = keys::under(Family::Records, workflow).start..keys::records(workflow, record + 1);
        let key = self.state().map.last(row)?.map(|(key, _)| key);
        key.map_or(Ok(()), |key| self.damage(key))
    }

    /// Damages a workflow's head.
    ///
    /// # Errors
    /// [`Error::Failed`] where the disk breaks.
    pub fn damage_head(&self, workflow: &str) -> Result<(), Error> {
        self.damage(keys::named(Family::Head, workflow))
    }

    fn damage(&self, key: Vec<u8>) -> Result<(), Error> {
        let mut state = self.state();
        let Some(mut value) = state.map.get(&key)? else { return Ok(()) };
        if let Some(last) = value.last_mut() {
            *last ^= 0x55;
        }
        self.write(&mut state, Writes::from([(key, Some(value))]))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, state: &mut State, writes: Writes) -> Result<(), Error> {
        if self.disk.write(&writes) {
            apply(&mut state.map.0, writes);
            return Ok(());
        }
        let why = "the disk broke".to_owned();
        self.health.send_replace(Health::Failed(why.clone()));
        Err(Error::Failed { why })
    }

    fn check_health(&self) -> Result<(), Error> {
        match &*self.health.borrow() {
            Health::Serving => Ok(()),
            Health::Failed(why) => Err(Error::failed(why)),
        }
    }
}

impl Backend for MemoryStore {
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Rows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        work(&self.state().map)
    }

    async fn commit(&self, _: usize, work: Work) -> Result<u64, Error> {
        let mut state = self.state();
        // Looked at under the lock: nothing may be acknowledged after the disk broke.
        self.check_health()?;
        let mut group = Group::default();
        let State { map, counters } = &mut *state;
        let answer = group.add(map, counters, work)?;
        let told = self.tap.copy(&group.writes);
        self.write(&mut state, group.writes)?;
        self.tap.tell(told);
        self.positions.send_replace(state.counters.positions());
        Ok(answer)
    }

    fn positions_channel(&self) -> watch::Receiver<Positions> {
        self.positions.subscribe()
    }

    fn tap(&self) -> &Tap {
        &self.tap
    }

    fn store_identity(&self) -> &Identity {
        &self.identity
    }

    fn health_channel(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn failpoint(&self) -> &Failpoint {
        &self.failpoint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::contract::{Place, contract_suite};
    use crate::store::{Append, Store};

    struct Memory(Disk);

    impl Place for Memory {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(MemoryStore::open(&self.0).unwrap())
        }

        fn damage_record(&self, workflow: &str, record: u64) {
            MemoryStore::open(&self.0).unwrap().damage_record(workflow, record).unwrap();
        }

        fn damage_head(&self, workflow: &str) {
            MemoryStore::open(&self.0).unwrap().damage_head(workflow).unwrap();
        }
    }

    contract_suite!(Memory(Disk::new()));

    fn append(fence: crate::store::Fence, expected: u64) -> Append {
        let mut append = Append::new(fence, "w1", expected);
        append.events = vec![b"record".to_vec()];
        append
    }

    #[tokio::test]
    async fn what_was_in_flight_when_the_disk_broke_is_whole_or_not_there() {
        for (loss, records) in [(Loss::Lost, 1), (Loss::Torn, 1), (Loss::Kept, 2)] {
            let disk = Disk::new();
            let store = MemoryStore::open(&disk).unwrap();
            let fence = store.own(0).await.unwrap();
            store.append(append(fence, 0)).await.unwrap();
            disk.break_at(1, loss);
            assert!(matches!(store.append(append(fence, 1)).await, Err(Error::Failed { .. })));
            assert!(matches!(*store.health().borrow(), Health::Failed(_)));
            assert!(
                matches!(store.append(append(fence, 1)).await, Err(Error::Failed { .. })),
                "it stays failed"
            );
            drop(store);
            let store = MemoryStore::open(&disk).unwrap();
            assert_eq!(store.head("w1").await.unwrap().unwrap().records, records, "{loss:?}");
            let fence = store.own(0).await.unwrap();
            store.append(append(fence, records)).await.unwrap();
            drop(store);
            assert_eq!(
                MemoryStore::open(&disk).unwrap().head("w1").await.unwrap().unwrap().records,
                records + 1
            );
        }
    }
}
