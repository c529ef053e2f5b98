//! What an append means in rows: its conditions are looked at against what is there, then its changes are laid down.
//! Pure over the stage: it decides nothing about durability.

use std::collections::BTreeSet;

use super::append::{Append, Condition, Hold, Join, Leave};
use super::clusters;
use super::error::{Error, Refusal};
use super::keys::{self, Family};
use super::rows::{Counters, Stage};
use super::table::{self, HeadRow, Holder};
use super::{APPEND_BYTES_MAX, ClaimRow, FeedRow, Head, VALUE_BYTES_MAX};

/// Bytes that the records of one row may have together; a longer append takes several rows.
const RECORDS_ROW_BYTES_MAX: usize = VALUE_BYTES_MAX;

/// The sizes and names of an append, before it is queued. Returns about how many bytes it writes.
pub(super) fn check(append: &Append) -> Result<usize, Error> {
    keys::check_name("the workflow's id", &append.workflow)?;
    for hold in append.acquire.iter().chain(&append.release) {
        keys::check_name("a lock's key", &hold.key)?;
    }
    for join in &append.join {
        keys::check_name("a claim's key", &join.key)?;
    }
    for (id, _) in &append.sealed {
        keys::check_name("a sealed value's id", id)?;
    }
    for cluster in &append.clusters {
        keys::check_name("a cluster record's name", &cluster.name)?;
        if !cluster.cluster_id.is_empty() {
            keys::check_name("a cluster's id", &cluster.cluster_id)?;
        }
    }
    for gone in &append.clusters_gone {
        keys::check_name("a cluster record's name", &gone.name)?;
        if !gone.cluster_id.is_empty() {
            keys::check_name("a cluster's id", &gone.cluster_id)?;
        }
    }
    for request in &append.requests {
        keys::check_name("a request's key", &request.key)?;
    }
    for blob in append.blobs.iter().chain(append.clusters.iter().filter_map(|of| of.blob.as_ref()))
    {
        keys::check_name("a blob's name", blob.as_str())?;
    }
    let values = (append.events.iter().map(|event| ("a record", event)))
        .chain(append.summary.iter().map(|summary| ("the summary", summary)))
        .chain(append.join.iter().map(|join| ("a claim's row", &join.body)))
        .chain(append.sealed.iter().map(|(_, bytes)| ("a sealed value", bytes)))
        .chain(append.clusters.iter().map(|cluster| ("a cluster record", &cluster.body)))
        .chain(append.requests.iter().map(|request| ("a request's row", &request.body)))
        .chain(append.audit.iter().map(|row| ("an audit row", row)));
    let mut total = 0;
    for (what, value) in values {
        total += value.len();
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::TooLarge {
                what: what.to_owned(),
                size: value.len(),
                limit: VALUE_BYTES_MAX,
            });
        }
    }
    if total > APPEND_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "the append".to_owned(),
            size: total,
            limit: APPEND_BYTES_MAX,
        });
    }
    Ok(total)
}

/// Checks every condition, then writes; returns the position. What fails leaves the counters alone.
pub(super) fn write(
    counters: &mut Counters,
    stage: &mut Stage<'_>,
    append: &Append,
) -> Result<u64, Error> {
    counters.check(append.fence)?;
    let present = present_head(stage, append)?;
    for condition in &append.conditions {
        check_condition(stage, append, condition)?;
    }
    check_implied(stage, append)?;
    // All that can fail comes before the counters move.
    for hold in &append.release {
        release(stage, &append.workflow, hold)?;
    }
    for hold in &append.acquire {
        acquire(stage, &append.workflow, hold)?;
    }
    for join in &append.join {
        claim(stage, join)?;
    }
    for leave in &append.leave {
        give_up(stage, leave)?;
    }
    for cluster in &append.clusters {
        clusters::write(stage, cluster)?;
    }
    for gone in &append.clusters_gone {
        clusters::remove(stage, gone)?;
    }
    write_simple(stage, append);
    let position = counters.next_position(append.fence.shard);
    let start = match &present {
        Some(row) => row.head.start,
        None => {
            counters.last_start += 1;
            stage.put(keys::start(counters.last_start), append.workflow.as_bytes());
            counters.last_start
        }
    };
    write_head(stage, append, present, start, position.number);
    write_journal(stage, append, position.number);
    Ok(position.number)
}

fn refused<T>(refusal: Refusal) -> Result<T, Error> {
    Err(Error::Refused(refusal))
}

fn present_head(stage: &Stage<'_>, append: &Append) -> Result<Option<HeadRow>, Error> {
    let value = stage.get(&keys::named(Family::Head, &append.workflow))?;
    let present = value.map(|value| HeadRow::decode(&append.workflow, &value)).transpose()?;
    let found = present.as_ref().map_or(0, |row| row.head.records);
    if found != append.expected {
        return refused(Refusal::Version {
            workflow: append.workflow.clone(),
            expected: append.expected,
            found,
        });
    }
    if present.is_none() && stage.has(&keys::named(Family::Removed, &append.workflow))? {
        return refused(Refusal::Removed { workflow: append.workflow.clone() });
    }
    // A workflow lives in one shard for ever: another's fence says nothing about it.
    match &present {
        Some(row) if row.head.shard != append.fence.shard => {
            Err(Error::Fenced { shard: row.head.shard, epoch: 0, present: append.fence.epoch })
        }
        _ => Ok(present),
    }
}

fn check_condition(stage: &Stage<'_>, append: &Append, condition: &Condition) -> Result<(), Error> {
    match condition {
        Condition::KeyFree { key } => check_free(stage, &append.workflow, key),
        Condition::Claimants { key, exactly } => {
            let claimants = claim_row(stage, key)?.map(|row| row.claimants).unwrap_or_default();
            let same = exactly.iter().collect::<BTreeSet<_>>() == claimants.iter().collect();
            if same { Ok(()) } else { refused(Refusal::Claimed { key: key.clone(), claimants }) }
        }
        Condition::LastClaimant { key, claimant } => {
            let claimants = claim_row(stage, key)?.map(|row| row.claimants).unwrap_or_default();
            let last = claimants.as_slice() == std::slice::from_ref(claimant);
            if last { Ok(()) } else { refused(Refusal::Claimed { key: key.clone(), claimants }) }
        }
        Condition::RequestAbsent { key } => check_unknown_request(stage, key),
        Condition::ClusterAt { name, version } => {
            let found = clusters::version(stage, name)?;
            if found == *version {
                Ok(())
            } else {
                refused(Refusal::ClusterVersion { name: name.clone(), found })
            }
        }
    }
}

/// The conditions that follow from the changes.
fn check_implied(stage: &Stage<'_>, append: &Append) -> Result<(), Error> {
    for hold in &append.acquire {
        check_free(stage, &append.workflow, &hold.key)?;
    }
    for request in &append.requests {
        check_unknown_request(stage, &request.key)?;
    }
    for blob in append.blobs.iter().chain(append.clusters.iter().filter_map(|of| of.blob.as_ref()))
    {
        if !stage.has(&keys::named(Family::BlobHead, blob.as_str()))? {
            return refused(Refusal::BlobMissing { blob: blob.clone() });
        }
    }
    Ok(())
}

fn check_free(stage: &Stage<'_>, workflow: &str, key: &str) -> Result<(), Error> {
    match holder(stage, key)? {
        Some(holder) if holder.workflow != workflow => {
            let step = holder.steps.into_iter().next().flatten();
            refused(Refusal::KeyHeld { key: key.to_owned(), workflow: holder.workflow, step })
        }
        _ => Ok(()),
    }
}

fn check_unknown_request(stage: &Stage<'_>, key: &str) -> Result<(), Error> {
    if stage.has(&keys::named(Family::Request, key))? {
        refused(Refusal::RequestKnown { key: key.to_owned() })
    } else {
        Ok(())
    }
}

fn holder(stage: &Stage<'_>, key: &str) -> Result<Option<Holder>, Error> {
    let row = keys::named(Family::Lock, key);
    stage.get(&row)?.map(|value| Holder::decode(&row, &value)).transpose()
}

fn acquire(stage: &mut Stage<'_>, workflow: &str, hold: &Hold) -> Result<(), Error> {
    let mut holder = holder(stage, &hold.key)?
        .unwrap_or_else(|| Holder { workflow: workflow.to_owned(), steps: Vec::new() });
    if !holder.steps.contains(&hold.step) {
        holder.steps.push(hold.step.clone());
        stage.put(keys::named(Family::Lock, &hold.key), &holder.encode());
    }
    Ok(())
}

fn release(stage: &mut Stage<'_>, workflow: &str, hold: &Hold) -> Result<(), Error> {
    let Some(mut holder) = holder(stage, &hold.key)?.filter(|holder| holder.workflow == workflow)
    else {
        return Ok(());
    };
    holder.steps.retain(|step| *step != hold.step);
    let row = keys::named(Family::Lock, &hold.key);
    if holder.steps.is_empty() {
        stage.remove(row)
    } else {
        stage.put(row, &holder.encode())
    }
    Ok(())
}

fn claim_row(stage: &Stage<'_>, key: &str) -> Result<Option<ClaimRow>, Error> {
    stage
        .get(&keys::named(Family::Claim, key))?
        .map(|value| table::decode_claim(key, &value))
        .transpose()
}

fn claim(stage: &mut Stage<'_>, join: &Join) -> Result<(), Error> {
    let first =
        || ClaimRow { key: join.key.clone(), body: join.body.clone(), claimants: Vec::new() };
    let mut row = claim_row(stage, &join.key)?.unwrap_or_else(first);
    if let Err(at) = row.claimants.binary_search(&join.claimant) {
        row.claimants.insert(at, join.claimant.clone());
        stage.put(keys::named(Family::Claim, &join.key), &table::encode_claim(&row));
    }
    Ok(())
}

fn give_up(stage: &mut Stage<'_>, leave: &Leave) -> Result<(), Error> {
    let Some(mut row) = claim_row(stage, &leave.key)? else { return Ok(()) };
    row.claimants.retain(|claimant| *claimant != leave.claimant);
    let key = keys::named(Family::Claim, &leave.key);
    if row.claimants.is_empty() {
        stage.remove(key)
    } else {
        stage.put(key, &table::encode_claim(&row))
    }
    Ok(())
}

/// The rows that need no look at what is there.
fn write_simple(stage: &mut Stage<'_>, append: &Append) {
    for id in &append.unsealed {
        stage.remove(keys::named(Family::Sealed, id));
    }
    for (id, ciphertext) in &append.sealed {
        stage.put(keys::named(Family::Sealed, id), ciphertext);
    }
    for request in &append.requests {
        stage.put(keys::named(Family::Request, &request.key), &table::encode_request(request));
    }
    for blob in &append.blobs {
        stage.put(keys::blob_reference(blob, &append.workflow), &[]);
    }
}

fn write_head(
    stage: &mut Stage<'_>,
    append: &Append,
    present: Option<HeadRow>,
    start: u64,
    position: u64,
) {
    let workflow = &append.workflow;
    let (was_live, old_timer) =
        present.as_ref().map_or((false, None), |row| (row.head.live, row.timer));
    if was_live != append.live {
        let key = keys::named(Family::Live, workflow);
        if append.live { stage.put(key, &table::encode_number(start)) } else { stage.remove(key) }
    }
    if old_timer != append.timer {
        if let Some(due) = old_timer {
            stage.remove(keys::timer(due, workflow));
        }
        if let Some(due) = append.timer {
            stage.put(keys::timer(due, workflow), &[]);
        }
    }
    let kept = || present.map(|row| row.head.summary).unwrap_or_default();
    let head = Head {
        workflow: workflow.clone(),
        start,
        records: append.expected + append.events.len() as u64,
        position,
        shard: append.fence.shard,
        live: append.live,
        summary: append.summary.clone().unwrap_or_else(kept),
    };
    stage.put(keys::named(Family::Head, workflow), &HeadRow { head, timer: append.timer }.encode());
}

/// The records, the feed row and the audit rows.
fn write_journal(stage: &mut Stage<'_>, append: &Append, position: u64) {
    let mut first = append.expected;
    for records in rows_of(&append.events) {
        stage.put(keys::records(&append.workflow, first), &table::encode_records(records));
        first += records.len() as u64;
    }
    let count = u32::try_from(append.events.len()).unwrap_or(u32::MAX);
    let feed =
        FeedRow { position, workflow: append.workflow.clone(), first: append.expected, count };
    stage.put(keys::feed(append.fence.shard, position), &table::encode_feed(&feed));
    for (index, row) in append.audit.iter().enumerate() {
        stage.put(keys::audit(append.fence.shard, position, index as u64), row);
    }
}

/// The records of one append in runs that fit a row each.
fn rows_of(events: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    let mut rows = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        if index > from && bytes + event.len() > RECORDS_ROW_BYTES_MAX {
            rows.push(&events[from..index]);
            (from, bytes) = (index, 0);
        }
        bytes += event.len();
    }
    if from < events.len() {
        rows.push(&events[from..]);
    }
    rows
}
