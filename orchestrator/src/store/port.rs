//! [`Store`] over any [`Backend`]: every operation in terms of rows. It is the same for all stores; what differs is below it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::append::{Append, BlobId, ClusterRow, Fence, Note, Position, Removal, RequestRow};
use super::backup::{BackupError, Pieces};
use super::error::Error;
use super::keys::{self, Family};
use super::rows::{Backend, Positions, Rows, keys_of};
use super::table::{self, BlobHead, HeadRow, Holder};
use super::{
    BLOB_BYTES_MAX, ClaimRow, Entry, FeedRow, Head, Health, Identity, LockRow, PAGE_MAX, Readable,
    Store, VALUE_BYTES_MAX, clusters, codec, plan, removal, salvage,
};

/// Pieces of a blob that travel in one commit: bounds what one put adds to a group.
const PIECES_PER_COMMIT: usize = 16;
/// Rows per step of a scan over a whole family.
const SCAN_ROWS: usize = 1000;

#[async_trait]
impl<B: Backend> Store for B {
    async fn own(&self, shard: u32) -> Result<Fence, Error> {
        let raise = move |counters: &mut super::rows::Counters,
                          stage: &mut super::rows::Stage<'_>| {
            let epoch = counters.epoch(shard) + 1;
            stage.put(keys::epoch(shard), &table::encode_number(epoch));
            counters.set_epoch(shard, epoch);
            Ok(epoch)
        };
        let epoch = self.commit(64, Box::new(raise)).await?;
        Ok(Fence { shard, epoch })
    }

    async fn append(&self, append: Append) -> Result<Position, Error> {
        let weight = plan::check(&append)?;
        let shard = append.fence.shard;
        let lost =
            if append.replace_head { salvage::lost_head(self, &append).await? } else { None };
        self.failpoint().before();
        let write = move |counters: &mut super::rows::Counters,
                          stage: &mut super::rows::Stage<'_>| {
            if let Some(lost) = &lost {
                lost.replace(stage, &append);
            }
            plan::write(counters, stage, &append)
        };
        let number = self.commit(weight, Box::new(write)).await?;
        self.failpoint().after();
        Ok(Position { shard, number })
    }

    async fn remove(&self, removal: Removal) -> Result<Position, Error> {
        removal::remove(self, removal).await
    }

    async fn note(&self, note: Note) -> Result<Position, Error> {
        super::note::note(self, note).await
    }

    async fn removed(&self, workflow: &str) -> Result<Option<u64>, Error> {
        let workflow = workflow.to_owned();
        self.read(move |rows| removal::removed(rows, &workflow)).await
    }

    async fn head(&self, workflow: &str) -> Result<Option<Head>, Error> {
        let workflow = workflow.to_owned();
        self.read(move |rows| head(rows, &workflow)).await
    }

    async fn records(
        &self,
        workflow: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let workflow = workflow.to_owned();
        self.read(move |rows| records(rows, &workflow, from, limit.min(PAGE_MAX))).await
    }

    async fn readable_records(&self, workflow: &str) -> Result<Readable, Error> {
        let workflow = workflow.to_owned();
        self.read(move |rows| readable_records(rows, &workflow)).await
    }

    async fn summaries(&self, before: Option<u64>, limit: usize) -> Result<Vec<Entry>, Error> {
        self.read(move |rows| summaries(rows, before, limit.min(PAGE_MAX))).await
    }

    async fn live(&self) -> Result<Vec<String>, Error> {
        self.read(live).await
    }

    async fn timers(&self, due_by: Option<u64>) -> Result<Vec<(u64, String)>, Error> {
        let timers = move |rows: &dyn Rows| {
            let mut range = keys::family(Family::Timer);
            if let Some(after) = due_by.and_then(|due| due.checked_add(1)) {
                range.end = keys::timer(after, "");
            }
            let found = all(rows, range)?;
            Ok(found
                .iter()
                .map(|(key, _)| (keys::number(key, 0), keys::name_after(key, 9)))
                .collect())
        };
        self.read(timers).await
    }

    async fn locks(&self) -> Result<Vec<LockRow>, Error> {
        let locks = |rows: &dyn Rows| {
            let mut locks = Vec::new();
            for (key, value) in all(rows, keys::family(Family::Lock))? {
                locks.extend(Holder::decode(&key, &value)?.rows(&keys::name_after(&key, 1)));
            }
            Ok(locks)
        };
        self.read(locks).await
    }

    async fn claim(&self, key: &str) -> Result<Option<ClaimRow>, Error> {
        let name = key.to_owned();
        let claim = move |rows: &dyn Rows| {
            rows.get(&keys::named(Family::Claim, &name))?
                .map(|value| table::decode_claim(&name, &value))
                .transpose()
        };
        self.read(claim).await
    }

    async fn sealed(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = keys::named(Family::Sealed, id);
        self.read(move |rows| {
            rows.get(&key)?.map(|value| Ok(codec::unwrap(&key, &value)?.to_vec())).transpose()
        })
        .await
    }

    async fn cluster(&self, name: &str) -> Result<Option<ClusterRow>, Error> {
        let name = name.to_owned();
        let cluster = move |rows: &dyn Rows| {
            rows.get(&keys::named(Family::Cluster, &name))?
                .map(|value| clusters::read(rows, &name, &value))
                .transpose()
        };
        self.read(cluster).await
    }

    async fn cluster_of(&self, cluster_id: &str) -> Result<Option<ClusterRow>, Error> {
        let key = keys::named(Family::ClusterId, cluster_id);
        let cluster = move |rows: &dyn Rows| {
            let Some(value) = rows.get(&key)? else { return Ok(None) };
            let name = String::from_utf8_lossy(codec::unwrap(&key, &value)?).into_owned();
            rows.get(&keys::named(Family::Cluster, &name))?
                .map(|value| clusters::read(rows, &name, &value))
                .transpose()
        };
        self.read(cluster).await
    }

    async fn clusters(&self, after: Option<&str>, limit: usize) -> Result<Vec<ClusterRow>, Error> {
        let mut range = keys::family(Family::Cluster);
        if let Some(after) = after {
            range.start = keys::named(Family::Cluster, after);
            range.start.push(0);
        }
        let clusters = move |rows: &dyn Rows| {
            let found = rows.scan(range, false, limit.min(PAGE_MAX))?;
            found
                .iter()
                .map(|(key, value)| clusters::read(rows, &keys::name_after(key, 1), value))
                .collect()
        };
        self.read(clusters).await
    }

    async fn request(&self, key: &str) -> Result<Option<RequestRow>, Error> {
        let name = key.to_owned();
        let request = move |rows: &dyn Rows| {
            rows.get(&keys::named(Family::Request, &name))?
                .map(|value| table::decode_request(&name, &value))
                .transpose()
        };
        self.read(request).await
    }

    async fn forget_requests(&self, now_ms: u64) -> Result<usize, Error> {
        let expired = self.read(move |rows| expired_requests(rows, now_ms)).await?;
        remove(self, expired).await
    }

    async fn feed(&self, shard: u32, after: u64, limit: usize) -> Result<Vec<FeedRow>, Error> {
        let range = keys::feed(shard, after.saturating_add(1))..keys::feed(shard, u64::MAX);
        let feed = move |rows: &dyn Rows| {
            let found = rows.scan(range, false, limit.min(PAGE_MAX))?;
            found.iter().map(|(key, value)| table::decode_feed(key, value)).collect()
        };
        self.read(feed).await
    }

    async fn audit(
        &self,
        shard: u32,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        self.read(move |rows| audit(rows, shard, after, limit.min(PAGE_MAX))).await
    }

    async fn put_blob(&self, id: &BlobId, bytes: Vec<u8>) -> Result<(), Error> {
        put_blob(self, id, &bytes).await
    }

    async fn blob(&self, id: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        let id = id.clone();
        self.read(move |rows| blob(rows, &id)).await
    }

    async fn collect_blobs(&self) -> Result<usize, Error> {
        let (blobs, rows) = self.read(unreferenced_blobs).await?;
        for some in rows.chunks(PAGE_MAX) {
            remove(self, some.to_vec()).await?;
        }
        Ok(blobs)
    }

    fn backup(self: Arc<Self>) -> Result<Box<dyn Pieces>, BackupError> {
        super::backup::begin(self)
    }

    async fn is_restored(&self) -> Result<bool, Error> {
        let key = keys::named(Family::Meta, keys::META_RESTORED);
        self.read(move |rows| Ok(rows.get(&key)?.is_some())).await
    }

    async fn note_restore(&self) -> Result<(), Error> {
        remove(self, vec![keys::named(Family::Meta, keys::META_RESTORED)]).await.map(|_| ())
    }

    fn position(&self, shard: u32) -> Position {
        let number = self.positions_channel().borrow().get(&shard).copied().unwrap_or(0);
        Position { shard, number }
    }

    fn commits(&self) -> watch::Receiver<Positions> {
        self.positions_channel()
    }

    fn identity(&self) -> &Identity {
        self.store_identity()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health_channel()
    }
}

/// Removes rows in one commit; says how many.
async fn remove<B: Backend>(backend: &B, rows: Vec<Vec<u8>>) -> Result<usize, Error> {
    let count = rows.len();
    if count == 0 {
        return Ok(0);
    }
    let weight = rows.iter().map(Vec::len).sum();
    let work = Box::new(move |_: &mut _, stage: &mut super::rows::Stage<'_>| {
        rows.into_iter().for_each(|key| stage.remove(key));
        Ok(0)
    });
    backend.commit(weight, work).await?;
    Ok(count)
}

/// Every row of a range, in bounded steps.
fn all(rows: &dyn Rows, mut range: Range<Vec<u8>>) -> Result<super::rows::Found, Error> {
    let mut found = Vec::new();
    loop {
        let some = rows.scan(range.clone(), false, SCAN_ROWS)?;
        let full = some.len() == SCAN_ROWS;
        if let Some((last, _)) = some.last() {
            range.start = last.clone();
            range.start.push(0);
        }
        found.extend(some);
        if !full {
            return Ok(found);
        }
    }
}

fn head(rows: &dyn Rows, workflow: &str) -> Result<Option<Head>, Error> {
    let value = rows.get(&keys::named(Family::Head, workflow))?;
    Ok(value.map(|value| HeadRow::decode(workflow, &value)).transpose()?.map(|row| row.head))
}

fn records(
    rows: &dyn Rows,
    workflow: &str,
    from: u64,
    limit: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let Some(head) = head(rows, workflow)? else { return Ok(Vec::new()) };
    let until = head.records.min(from.saturating_add(limit as u64));
    let mut records = Vec::new();
    if from >= until {
        return Ok(records);
    }
    // The row in which `from` lies starts at or before it.
    let mut range = keys::under(Family::Records, workflow);
    let (first_key, first) = rows
        .last(range.start.clone()..keys::records(workflow, from + 1))?
        .ok_or_else(|| missing(workflow, from))?;
    let mut next = keys::last_number(&first_key);
    let mut row = (first_key, first);
    loop {
        let (key, value) = &row;
        if keys::last_number(key) != next {
            return Err(missing(workflow, next));
        }
        for record in table::decode_records(key, value)? {
            if (from..until).contains(&next) {
                records.push(record);
            }
            next += 1;
        }
        if next >= until {
            return Ok(records);
        }
        range.start = key.clone();
        range.start.push(0);
        row = rows.scan(range.clone(), false, 1)?.pop().ok_or_else(|| missing(workflow, next))?;
    }
}

fn missing(workflow: &str, record: u64) -> Error {
    Error::corrupt(
        keys::describe(&keys::records(workflow, record)),
        "the row is missing, though the head counts it",
    )
}

fn readable_records(rows: &dyn Rows, workflow: &str) -> Result<Readable, Error> {
    let mut readable = Readable::default();
    if let Err(error) = head(rows, workflow) {
        readable.errors.push(error);
    }
    for (key, value) in all(rows, keys::under(Family::Records, workflow))? {
        let first = keys::last_number(&key);
        match table::decode_records(&key, &value) {
            Ok(records) => {
                readable.next = readable.next.max(first + records.len() as u64);
                readable.records.extend((first..).zip(records));
            }
            Err(error) => {
                readable.next = readable.next.max(first + 1);
                readable.errors.push(error);
            }
        }
    }
    Ok(readable)
}

fn summaries(rows: &dyn Rows, before: Option<u64>, limit: usize) -> Result<Vec<Entry>, Error> {
    let mut range = keys::family(Family::Start);
    if let Some(before) = before {
        range.end = keys::start(before);
    }
    let mut entries = Vec::new();
    for (key, value) in rows.scan(range, true, limit)? {
        let start = keys::number(&key, 0);
        let named =
            codec::unwrap(&key, &value).map(|name| String::from_utf8_lossy(name).into_owned());
        let entry = match named {
            Err(error) => Entry { workflow: String::new(), start, head: Err(error) },
            Ok(workflow) => {
                let head = head(rows, &workflow)
                    .and_then(|head| head.ok_or_else(|| missing_head(&workflow)));
                Entry { workflow, start, head }
            }
        };
        entries.push(entry);
    }
    Ok(entries)
}

fn missing_head(workflow: &str) -> Error {
    Error::corrupt(
        keys::describe(&keys::named(Family::Head, workflow)),
        "the row is missing, though the workflow was started",
    )
}

fn live(rows: &dyn Rows) -> Result<Vec<String>, Error> {
    let found = all(rows, keys::family(Family::Live))?;
    // A corrupt number still leaves the name: such a workflow comes first, so that it is quarantined early.
    let mut live: Vec<(u64, String)> = found
        .iter()
        .map(|(key, value)| {
            (table::decode_number(key, value).unwrap_or(0), keys::name_after(key, 1))
        })
        .collect();
    live.sort();
    Ok(live.into_iter().map(|(_, workflow)| workflow).collect())
}

fn expired_requests(rows: &dyn Rows, now_ms: u64) -> Result<Vec<Vec<u8>>, Error> {
    let mut expired = Vec::new();
    let mut range = keys::family(Family::Request);
    loop {
        let found = rows.scan(range.clone(), false, SCAN_ROWS)?;
        let full = found.len() == SCAN_ROWS;
        for (key, value) in found {
            range.start = key.clone();
            range.start.push(0);
            // A corrupt row is kept: forgetting a request could let its effect happen twice.
            let row = table::decode_request(&keys::name_after(&key, 1), &value);
            if row.is_ok_and(|row| row.expires_ms <= now_ms) {
                expired.push(key);
            }
        }
        if !full || expired.len() >= PAGE_MAX {
            expired.truncate(PAGE_MAX);
            return Ok(expired);
        }
    }
}

fn audit(
    rows: &dyn Rows,
    shard: u32,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let mut range = keys::audit(shard, after.saturating_add(1), 0)..keys::audit(shard, u64::MAX, 0);
    let mut audit: Vec<(u64, Vec<u8>)> = Vec::new();
    loop {
        let found = rows.scan(range.clone(), false, limit.max(1))?;
        let Some((last, _)) = found.last() else { return Ok(audit) };
        range.start = last.clone();
        range.start.push(0);
        for (key, value) in &found {
            let position = keys::number(key, 1);
            // A batch is never cut, so that the last position is a sound place to go on from.
            if audit.len() >= limit && audit.last().is_some_and(|(last, _)| *last != position) {
                return Ok(audit);
            }
            audit.push((position, codec::unwrap(key, value)?.to_vec()));
        }
    }
}

async fn put_blob<B: Backend>(backend: &B, id: &BlobId, bytes: &[u8]) -> Result<(), Error> {
    keys::check_name("a blob's name", id.as_str())?;
    if bytes.len() > BLOB_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "the blob".to_owned(),
            size: bytes.len(),
            limit: BLOB_BYTES_MAX,
        });
    }
    let head_key = keys::named(Family::BlobHead, id.as_str());
    let there = backend.read({
        let head_key = head_key.clone();
        move |rows| Ok(rows.get(&head_key)?.is_some())
    });
    if there.await? {
        return Ok(());
    }
    let pieces: Vec<&[u8]> = bytes.chunks(VALUE_BYTES_MAX).collect();
    for (commit, some) in pieces.chunks(PIECES_PER_COMMIT).enumerate() {
        let first = commit * PIECES_PER_COMMIT;
        let rows: Vec<(Vec<u8>, Vec<u8>)> = (some.iter().enumerate())
            .map(|(index, piece)| (keys::blob_piece(id, (first + index) as u64), piece.to_vec()))
            .collect();
        let work = Box::new(move |_: &mut _, stage: &mut super::rows::Stage<'_>| {
            rows.into_iter().for_each(|(key, piece)| stage.put(key, &piece));
            Ok(0)
        });
        backend.commit(some.len() * VALUE_BYTES_MAX, work).await?;
    }
    // The head comes last: a blob without one was never put, and is collected.
    let head = BlobHead {
        bytes: bytes.len() as u64,
        pieces: pieces.len() as u64,
        checksum: crc32fast::hash(bytes),
    };
    let work = Box::new(move |_: &mut _, stage: &mut super::rows::Stage<'_>| {
        stage.put(head_key, &head.encode());
        Ok(0)
    });
    backend.commit(64, work).await.map(|_| ())
}

/// A blob's bytes; none: it is not there.
pub(super) fn blob(rows: &dyn Rows, id: &BlobId) -> Result<Option<Vec<u8>>, Error> {
    let key = keys::named(Family::BlobHead, id.as_str());
    let Some(value) = rows.get(&key)? else { return Ok(None) };
    let head = BlobHead::decode(id, &value)?;
    let mut bytes = Vec::new();
    for index in 0..head.pieces {
        let key = keys::blob_piece(id, index);
        let piece = rows
            .get(&key)?
            .ok_or_else(|| Error::corrupt(keys::describe(&key), "the piece is missing"))?;
        bytes.extend_from_slice(codec::unwrap(&key, &piece)?);
    }
    if bytes.len() as u64 != head.bytes || crc32fast::hash(&bytes) != head.checksum {
        return Err(Error::corrupt(keys::describe(&key), "its pieces do not make up what was put"));
    }
    Ok(Some(bytes))
}

/// How many blobs nobody refers to, and all rows of those, pieces without a head included.
fn unreferenced_blobs(rows: &dyn Rows) -> Result<(usize, Vec<Vec<u8>>), Error> {
    let mut unreferenced = BTreeSet::new();
    let mut keys_to_remove = Vec::new();
    let referred =
        |name: &str| Ok(!rows.scan(keys::under(Family::BlobReference, name), false, 1)?.is_empty());
    for (key, _) in all(rows, keys::family(Family::BlobHead))? {
        let name = keys::name_after(&key, 1);
        if !referred(&name)? {
            // The head goes in the same commit as the first pieces, or before them: a blob is whole or not there.
            keys_to_remove.push(key);
            unreferenced.insert(name);
        }
    }
    for key in keys_of(rows, keys::family(Family::BlobPiece))? {
        if !referred(&keys::name_before_end(&key))? {
            unreferenced.insert(keys::name_before_end(&key));
            keys_to_remove.push(key);
        }
    }
    Ok((unreferenced.len(), keys_to_remove))
}
