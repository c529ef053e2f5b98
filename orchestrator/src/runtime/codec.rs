//! Records as bytes: JSON, additive. One that is too large for a row becomes a blob, named by an HMAC of its bytes.

use causeway_engine::Record;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::store::seal::Sealer;
use crate::store::{BlobId, PAGE_MAX, Store, VALUE_BYTES_MAX};

/// A row that only names a blob.
#[derive(Serialize, Deserialize)]
struct BlobRow {
    #[serde(rename = "$blob")]
    blob: String,
}

/// A record's row, and the blob to be put before it is written.
pub(crate) struct Encoded {
    pub(crate) row: Vec<u8>,
    pub(crate) blob: Option<(BlobId, Vec<u8>)>,
}

/// Encodes a record; the sealer names blobs.
pub(crate) fn encode(record: &Record, sealer: &Sealer) -> Encoded {
    let bytes = serde_json::to_vec(record)
        .expect("records have string keys only, so they always become JSON");
    if bytes.len() <= VALUE_BYTES_MAX {
        return Encoded { row: bytes, blob: None };
    }
    let id = sealer.blob_id(&bytes);
    let row = serde_json::to_vec(&BlobRow { blob: id.as_str().to_owned() })
        .expect("a struct with one text always becomes JSON");
    Encoded { row, blob: Some((id, bytes)) }
}

/// Decodes the row of a workflow's record of that number (from 1), reading its blob where it names one.
///
/// # Errors
/// [`Error::Corrupt`] where it can't be read, [`Error::StoreFailed`].
pub(crate) async fn decode(
    store: &dyn Store,
    workflow: &str,
    number: u64,
    row: &[u8],
) -> Result<Record, Error> {
    let corrupt = |why: String| Error::Corrupt {
        what: format!("record {number} of workflow {workflow}"),
        why,
    };
    if !row.starts_with(b"{\"$blob\"") {
        return parse(row).map_err(corrupt);
    }
    let named: BlobRow = parse(row).map_err(corrupt)?;
    let blob = store.blob(&BlobId::new(named.blob.clone())).await?;
    let bytes = blob.ok_or_else(|| corrupt(format!("blob {} is missing", named.blob)))?;
    parse(&bytes).map_err(corrupt)
}

/// What is wrong is said by place and kind only: the parser's own words may repeat a value.
fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "is no record that this version knows",
            _ => "is no JSON",
        };
        format!("it {kind}, at byte {} of {}", error.column(), bytes.len())
    })
}

/// Up to `limit` records of a workflow after the `after`th.
///
/// # Errors
/// [`Error::Corrupt`] where one can't be read, [`Error::StoreFailed`].
pub(crate) async fn read_page(
    store: &dyn Store,
    workflow: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Record>, Error> {
    let rows = store.records(workflow, after, limit).await?;
    let mut records = Vec::with_capacity(rows.len());
    for (number, row) in (after + 1..).zip(&rows) {
        records.push(decode(store, workflow, number, row).await?);
    }
    Ok(records)
}

/// Reads all records of a workflow.
///
/// # Errors
/// [`Error::Corrupt`] where one can't be read, [`Error::StoreFailed`].
pub(crate) async fn read_all(store: &dyn Store, workflow: &str) -> Result<Vec<Record>, Error> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let page = read_page(store, workflow, records.len() as u64, PAGE_MAX).await?;
        if page.is_empty() {
            return Ok(records);
        }
        records.extend(page);
    }
}
