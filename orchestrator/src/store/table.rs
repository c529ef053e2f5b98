//! The rows that the store itself reads: their bodies, as bytes and back.

use super::append::{BlobId, RequestRow};
use super::codec::{Reader, Writer};
use super::error::Error;
use super::keys::{self, Family};
use super::{ClaimRow, FeedRow, Head, Identity, LockRow};

/// A head as it is stored: what others see, and the timer whose row must go when it changes.
#[derive(Debug, Clone)]
pub(super) struct HeadRow {
    pub(super) head: Head,
    pub(super) timer: Option<u64>,
}

impl HeadRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = &self.head;
        Writer::default()
            .number(head.start)
            .number(head.records)
            .number(head.position)
            .number(u64::from(head.shard))
            .number(u64::from(head.live))
            .optional_number(self.timer)
            .bytes(&head.summary)
            .finish()
    }

    pub(super) fn decode(workflow: &str, value: &[u8]) -> Result<Self, Error> {
        let key = keys::named(Family::Head, workflow);
        let mut reader = Reader::new(&key, value)?;
        let (start, records, position) = (reader.number()?, reader.number()?, reader.number()?);
        let shard = u32::try_from(reader.number()?).unwrap_or(u32::MAX);
        let live = reader.number()? != 0;
        let timer = reader.optional_number()?;
        let summary = reader.bytes()?.to_vec();
        reader.end()?;
        let workflow = workflow.to_owned();
        Ok(Self { head: Head { workflow, start, records, position, shard, live, summary }, timer })
    }
}

/// The records of one append, or a part of them.
pub(super) fn encode_records(records: &[Vec<u8>]) -> Vec<u8> {
    let writer = Writer::default().number(records.len() as u64);
    records.iter().fold(writer, |writer, record| writer.bytes(record)).finish()
}

pub(super) fn decode_records(key: &[u8], value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let mut reader = Reader::new(key, value)?;
    let count = reader.number()?;
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(reader.bytes()?.to_vec());
    }
    reader.end()?;
    Ok(records)
}

/// A key's holder: one workflow, for the whole of it (`None`) or some of its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) workflow: String,
    pub(super) steps: Vec<Option<String>>,
}

impl Holder {
    pub(super) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().text(&self.workflow).number(self.steps.len() as u64);
        self.steps
            .iter()
            .fold(writer, |writer, step| writer.optional_text(step.as_deref()))
            .finish()
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(key, value)?;
        let workflow = reader.text()?;
        let count = reader.number()?;
        let mut steps = Vec::new();
        for _ in 0..count {
            steps.push(reader.optional_text()?);
        }
        reader.end()?;
        Ok(Self { workflow, steps })
    }

    pub(super) fn rows(self, key: &str) -> impl Iterator<Item = LockRow> {
        let (key, workflow) = (key.to_owned(), self.workflow);
        self.steps.into_iter().map(move |step| LockRow {
            key: key.clone(),
            workflow: workflow.clone(),
            step,
        })
    }
}

pub(super) fn encode_claim(row: &ClaimRow) -> Vec<u8> {
    let writer = Writer::default().bytes(&row.body).number(row.claimants.len() as u64);
    row.claimants.iter().fold(writer, |writer, claimant| writer.text(claimant)).finish()
}

pub(super) fn decode_claim(name: &str, value: &[u8]) -> Result<ClaimRow, Error> {
    let key = keys::named(Family::Claim, name);
    let mut reader = Reader::new(&key, value)?;
    let body = reader.bytes()?.to_vec();
    let count = reader.number()?;
    let mut claimants = Vec::new();
    for _ in 0..count {
        claimants.push(reader.text()?);
    }
    reader.end()?;
    Ok(ClaimRow { key: name.to_owned(), body, claimants })
}

/// The row of a cluster record: its body, or the blob that is its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StoredCluster {
    pub(super) version: u64,
    pub(super) body: Vec<u8>,
    pub(super) blob: Option<BlobId>,
}

impl StoredCluster {
    pub(super) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().number(self.version).bytes(&self.body);
        // Rows without a blob end here: those of before there were blobs are read as they are.
        let writer = self.blob.iter().fold(writer, |writer, blob| writer.text(blob.as_str()));
        writer.finish()
    }

    pub(super) fn decode(name: &str, value: &[u8]) -> Result<Self, Error> {
        let key = keys::named(Family::Cluster, name);
        let mut reader = Reader::new(&key, value)?;
        let version = reader.number()?;
        let body = reader.bytes()?.to_vec();
        let blob = if reader.is_at_end() { None } else { Some(BlobId::new(reader.text()?)) };
        reader.end()?;
        Ok(Self { version, body, blob })
    }
}

pub(super) fn encode_request(row: &RequestRow) -> Vec<u8> {
    Writer::default().number(row.expires_ms).bytes(&row.body).finish()
}

pub(super) fn decode_request(name: &str, value: &[u8]) -> Result<RequestRow, Error> {
    let key = keys::named(Family::Request, name);
    let mut reader = Reader::new(&key, value)?;
    let expires_ms = reader.number()?;
    let body = reader.bytes()?.to_vec();
    reader.end()?;
    Ok(RequestRow { key: name.to_owned(), body, expires_ms })
}

pub(super) fn encode_feed(row: &FeedRow) -> Vec<u8> {
    Writer::default().text(&row.workflow).number(row.first).number(u64::from(row.count)).finish()
}

pub(super) fn decode_feed(key: &[u8], value: &[u8]) -> Result<FeedRow, Error> {
    let mut reader = Reader::new(key, value)?;
    let workflow = reader.text()?;
    let first = reader.number()?;
    let count = u32::try_from(reader.number()?).unwrap_or(u32::MAX);
    reader.end()?;
    Ok(FeedRow { position: keys::number(key, 1), workflow, first, count })
}

/// A blob's size, its number of pieces, and the checksum over all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlobHead {
    pub(super) bytes: u64,
    pub(super) pieces: u64,
    pub(super) checksum: u32,
}

impl BlobHead {
    pub(super) fn encode(self) -> Vec<u8> {
        Writer::default()
            .number(self.bytes)
            .number(self.pieces)
            .number(u64::from(self.checksum))
            .finish()
    }

    pub(super) fn decode(blob: &BlobId, value: &[u8]) -> Result<Self, Error> {
        let key = keys::named(Family::BlobHead, blob.as_str());
        let mut reader = Reader::new(&key, value)?;
        let (bytes, pieces) = (reader.number()?, reader.number()?);
        let checksum = u32::try_from(reader.number()?).unwrap_or_default();
        reader.end()?;
        Ok(Self { bytes, pieces, checksum })
    }
}

pub(super) fn encode_identity(identity: &Identity) -> Vec<u8> {
    Writer::default()
        .number(u64::from(identity.schema))
        .text(&identity.store_id)
        .number(identity.restore_epoch)
        .finish()
}

/// The schema stands first, and is read even where the rest belongs to a newer program.
pub(super) fn decode_schema(key: &[u8], value: &[u8]) -> Result<u32, Error> {
    Ok(u32::try_from(Reader::new(key, value)?.number()?).unwrap_or(u32::MAX))
}

pub(super) fn decode_identity(key: &[u8], value: &[u8]) -> Result<Identity, Error> {
    let mut reader = Reader::new(key, value)?;
    let schema = u32::try_from(reader.number()?).unwrap_or(u32::MAX);
    let store_id = reader.text()?;
    let restore_epoch = reader.number()?;
    reader.end()?;
    Ok(Identity { store_id, restore_epoch, schema })
}

pub(super) fn encode_number(number: u64) -> Vec<u8> {
    Writer::default().number(number).finish()
}

pub(super) fn decode_number(key: &[u8], value: &[u8]) -> Result<u64, Error> {
    let mut reader = Reader::new(key, value)?;
    let number = reader.number()?;
    reader.end()?;
    Ok(number)
}
