//! Records as bytes: JSON, additive. One that is too large for a row becomes a blob, named by an HMAC of its bytes.

use causeway_engine::Record;
use serde::{Deserialize, Serialize};

use crate::store::seal::Sealer;
use crate::store::{BlobId, Store, VALUE_BYTES_MAX};

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

/// Decodes a row, reading its blob where it names one.
///
/// # Errors
/// In words, where it can't be read.
pub(crate) async fn decode(row: &[u8], store: &dyn Store) -> Result<Record, String> {
    if row.starts_with(b"{\"$blob\"") {
        let named: BlobRow = serde_json::from_slice(row).map_err(|error| error.to_string())?;
        let blob = store
            .blob(&BlobId::new(named.blob.clone()))
            .await
            .map_err(|error| error.to_string())?;
        let bytes = blob.ok_or_else(|| format!("blob {} is missing", named.blob))?;
        return serde_json::from_slice(&bytes).map_err(|error| error.to_string());
    }
    serde_json::from_slice(row).map_err(|error| error.to_string())
}

/// Reads all records of a workflow.
///
/// # Errors
/// In words, where one can't be read.
pub(crate) async fn read_all(store: &dyn Store, workflow: &str) -> Result<Vec<Record>, String> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let rows = store
            .records(workflow, records.len() as u64, crate::store::PAGE_MAX)
            .await
            .map_err(|error| error.to_string())?;
        if rows.is_empty() {
            return Ok(records);
        }
        for row in rows {
            records.push(decode(&row, store).await?);
        }
    }
}
