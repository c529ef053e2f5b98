//! What every store does when it opens: says which store it is, refuses what it does not know, and finds its counters again.
//! It removes nothing.

use super::error::Error;
use super::keys::{self, Family};
use super::rows::{Counters, Rows, Writes};
use super::table;
use super::{Identity, SCHEMA_VERSION, codec};

/// What a store knows once it is open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) counters: Counters,
    /// To be made durable before anything else: the stamp of a new store.
    pub(super) stamp: Writes,
}

/// Why a store can't be opened, before it is known where it lies.
#[derive(Debug)]
pub(super) enum Refused {
    /// Its schema version.
    Newer(u32),
    /// Anything else.
    Other(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// The stamp of a store that is made now.
pub(super) fn stamp_of(store_id: String) -> Identity {
    Identity { store_id, restore_epoch: 0, schema: SCHEMA_VERSION }
}

/// Reads the stamp, or makes one where the store is empty: `new` says which.
pub(super) fn open(rows: &dyn Rows, new: impl FnOnce() -> Identity) -> Result<Opened, Refused> {
    let key = keys::named(Family::Meta, keys::META_IDENTITY);
    let Some(value) = rows.get(&key)? else {
        if !rows.scan(vec![0]..vec![u8::MAX], false, 1)?.is_empty() {
            return Err(Refused::Other(
                "it has rows, but no stamp that says what wrote them".to_owned(),
            ));
        }
        let identity = new();
        let value = codec::wrap(&key, &table::encode_identity(&identity));
        return Ok(Opened {
            identity,
            counters: Counters::default(),
            stamp: Writes::from([(key, Some(value))]),
        });
    };
    let schema = table::decode_schema(&key, &value)?;
    if schema > SCHEMA_VERSION {
        return Err(Refused::Newer(schema));
    }
    let identity = table::decode_identity(&key, &value)?;
    Ok(Opened { identity, counters: counters(rows)?, stamp: Writes::new() })
}

fn counters(rows: &dyn Rows) -> Result<Counters, Error> {
    let mut counters = Counters::default();
    let epochs = keys::epoch(0);
    let prefix = epochs.strip_suffix(b"0").unwrap_or(&epochs);
    let mut end = prefix.to_vec();
    end.push(u8::MAX);
    for (key, value) in rows.scan(prefix.to_vec()..end, false, usize::MAX)? {
        let Some(shard) = keys::name_after(&key, prefix.len()).parse::<u32>().ok() else {
            continue;
        };
        let last = rows.last(keys::feed(shard, 0)..keys::feed(shard, u64::MAX))?;
        let position = last.map_or(0, |(key, _)| keys::number(&key, 1));
        counters.set_shard(shard, table::decode_number(&key, &value)?, position);
    }
    counters.last_start =
        rows.last(keys::family(Family::Start))?.map_or(0, |(key, _)| keys::number(&key, 0));
    Ok(counters)
}
