//! The layout of the one ordered keyspace that every store has. Numbers are big-endian, so that byte order is their order.
//!
//! Durable: a tag or a shape that was released is never given another meaning.

use std::ops::Range;

use super::NAME_BYTES_MAX;
use super::append::BlobId;
use super::error::Error;

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    /// shard, position, index: an audit row.
    Audit = b'a',
    /// name, index: a piece of a blob.
    BlobPiece = b'b',
    /// name: a blob's length and checksum; written after its pieces.
    BlobHead = b'B',
    /// key: a shareable object's row.
    Claim = b'c',
    /// workflow: when it was removed; its id is never used again.
    Removed = b'd',
    /// workflow, number of its first record: the records of one append, or a part of them.
    Records = b'e',
    /// shard, position: whose records were committed there.
    Feed = b'f',
    /// workflow: its head.
    Head = b'h',
    /// workflow: its head as it was found when it could not be read.
    LostHead = b'D',
    /// cluster id: the name of its record.
    ClusterId = b'i',
    /// key: who holds it.
    Lock = b'k',
    /// workflow: there while recovery must load it.
    Live = b'l',
    /// word: what is true of the whole store.
    Meta = b'm',
    /// name: a cluster record.
    Cluster = b'n',
    /// key: a remembered request.
    Request = b'r',
    /// name, workflow: that the workflow refers to the blob.
    BlobReference = b'R',
    /// start number: the workflow that was started then.
    Start = b's',
    /// due, workflow: its earliest timer.
    Timer = b't',
    /// id: a sealed value.
    Sealed = b'x',
}

/// Separates a name from what follows it; no name contains it.
const END: u8 = 0;

pub(super) const META_IDENTITY: &str = "identity";
/// There from a restore until it was taken note of.
pub(super) const META_RESTORED: &str = "restored";

/// A key of one name.
pub(super) fn named(family: Family, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.push(family as u8);
    key.extend_from_slice(name.as_bytes());
    key
}

pub(super) fn records(workflow: &str, first: u64) -> Vec<u8> {
    let mut key = named(Family::Records, workflow);
    key.push(END);
    key.extend_from_slice(&first.to_be_bytes());
    key
}

pub(super) fn start(start: u64) -> Vec<u8> {
    numbered(Family::Start, &[start])
}

pub(super) fn timer(due_ms: u64, workflow: &str) -> Vec<u8> {
    let mut key = numbered(Family::Timer, &[due_ms]);
    key.extend_from_slice(workflow.as_bytes());
    key
}

pub(super) fn feed(shard: u32, position: u64) -> Vec<u8> {
    numbered(Family::Feed, &[u64::from(shard), position])
}

pub(super) fn audit(shard: u32, position: u64, index: u64) -> Vec<u8> {
    numbered(Family::Audit, &[u64::from(shard), position, index])
}

pub(super) fn epoch(shard: u32) -> Vec<u8> {
    named(Family::Meta, &format!("epoch/{shard}"))
}

pub(super) fn blob_piece(blob: &BlobId, index: u64) -> Vec<u8> {
    let mut key = named(Family::BlobPiece, blob.as_str());
    key.push(END);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn blob_reference(blob: &BlobId, workflow: &str) -> Vec<u8> {
    let mut key = named(Family::BlobReference, blob.as_str());
    key.push(END);
    key.extend_from_slice(workflow.as_bytes());
    key
}

/// A cluster record's reference to a blob. No workflow's id has the slash: removing a workflow takes its own references only.
pub(super) fn blob_of_cluster(blob: &BlobId, name: &str) -> Vec<u8> {
    blob_reference(blob, &format!("cluster/{name}"))
}

fn numbered(family: Family, numbers: &[u64]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + numbers.len() * 8);
    key.push(family as u8);
    for number in numbers {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

/// Every key of a family.
pub(super) fn family(family: Family) -> Range<Vec<u8>> {
    let tag = family as u8;
    vec![tag]..vec![tag + 1]
}

/// Every key of a family that belongs to one name which something follows.
pub(super) fn under(family: Family, name: &str) -> Range<Vec<u8>> {
    let mut from = named(family, name);
    from.push(END);
    let mut to = named(family, name);
    to.push(END + 1);
    from..to
}

/// Every key of a family of paths that lies under a name: `name/…`.
pub(super) fn within(family: Family, name: &str) -> Range<Vec<u8>> {
    let mut from = named(family, name);
    let mut to = from.clone();
    from.push(b'/');
    to.push(b'/' + 1);
    from..to
}

/// The name in a key of one name; also a timer's, after its number.
pub(super) fn name_after(key: &[u8], skip: usize) -> String {
    String::from_utf8_lossy(key.get(skip..).unwrap_or_default()).into_owned()
}

/// The name before the separator: in keys of records, pieces and references.
pub(super) fn name_before_end(key: &[u8]) -> String {
    let name =
        key.get(1..).unwrap_or_default().split(|byte| *byte == END).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// The name after the separator: in keys of references.
pub(super) fn name_after_end(key: &[u8]) -> String {
    let after = key.splitn(2, |byte| *byte == END).nth(1);
    String::from_utf8_lossy(after.unwrap_or_default()).into_owned()
}

/// The last eight bytes as a number; 0 where the key is too short, which no key of ours is.
pub(super) fn last_number(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The `index`th number after the tag.
pub(super) fn number(key: &[u8], index: usize) -> u64 {
    let from = 1 + index * 8;
    key.get(from..from + 8)
        .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
        .map_or(0, u64::from_be_bytes)
}

/// A name as it may stand in a key.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::TooLarge {
            what: what.to_owned(),
            size: name.len(),
            limit: NAME_BYTES_MAX,
        });
    }
    // The separator in a name would let one workflow's range reach into another's.
    if name.is_empty() || name.as_bytes().contains(&END) {
        return Err(Error::BadName { what: what.to_owned() });
    }
    Ok(())
}

/// A key in words, for errors.
pub(super) fn describe(key: &[u8]) -> String {
    let Some((tag, rest)) = key.split_first() else { return "(empty key)".to_owned() };
    let text = |skip: usize| name_after(key, 1 + skip);
    match tag {
        b'a' => format!("audit {}/{}/{}", number(key, 0), number(key, 1), number(key, 2)),
        b'b' => format!("blob {} piece {}", name_before_end(key), last_number(key)),
        b'B' => format!("blob {}", text(0)),
        b'c' => format!("claim {}", text(0)),
        b'd' => format!("tombstone of workflow {}", text(0)),
        b'e' => format!("records of workflow {} from {}", name_before_end(key), last_number(key)),
        b'f' => format!("feed {}/{}", number(key, 0), number(key, 1)),
        b'h' => format!("head of workflow {}", text(0)),
        b'D' => format!("head of workflow {} as it was found", text(0)),
        b'i' => format!("record of cluster id {}", text(0)),
        b'k' => format!("lock {}", text(0)),
        b'l' => format!("live {}", text(0)),
        b'm' => format!("meta {}", text(0)),
        b'n' => format!("cluster {}", text(0)),
        b'r' => format!("request {}", text(0)),
        b'R' => format!("reference to blob {}", name_before_end(key)),
        b's' => format!("start {}", number(key, 0)),
        b't' => format!("timer of workflow {}", text(8)),
        b'x' => format!("sealed value {}", text(0)),
        other => format!("{other:#04x} {}", hex::encode(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflows_range_holds_its_records_only_and_in_order() {
        let range = under(Family::Records, "w1");
        let inside = |key: &Vec<u8>| range.contains(key);
        assert!([0, 1, 255, 256, u64::MAX].iter().all(|first| inside(&records("w1", *first))));
        assert!(
            !inside(&records("w10", 0)) && !inside(&records("w", 0)) && !inside(&records("w2", 0))
        );
        assert!(records("w1", 255) < records("w1", 256));
    }

    #[test]
    fn a_workflows_paths_are_its_own() {
        let range = within(Family::Sealed, "w1");
        let inside = |id: &str| range.contains(&named(Family::Sealed, id));
        assert!(inside("w1/") && inside("w1/step/name"));
        assert!(!inside("w1") && !inside("w10/step") && !inside("w1-a/step"));
        let reference = blob_reference(&BlobId::new("b1"), "w1");
        assert_eq!(
            (name_before_end(&reference), name_after_end(&reference)),
            ("b1".into(), "w1".into())
        );
    }

    #[test]
    fn timers_sort_by_their_time_first() {
        assert!(timer(9, "z") < timer(10, "a"));
        assert_eq!(name_after(&timer(9, "z"), 9), "z");
        assert_eq!(number(&timer(9, "z"), 0), 9);
    }

    #[test]
    fn a_name_with_the_separator_is_refused() {
        assert_eq!(
            check_name("workflow", "w\0x"),
            Err(Error::BadName { what: "workflow".to_owned() })
        );
        assert_eq!(check_name("workflow", ""), Err(Error::BadName { what: "workflow".to_owned() }));
        assert_eq!(check_name("workflow", "w1"), Ok(()));
    }
}
