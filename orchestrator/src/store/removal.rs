//! What the removal of a workflow means in rows: all of its own go in one commit, and a tombstone, which keeps its id from being
//! used again, a row of the feed, what is remembered and what is audited come. Cluster records, claims and requests stay.

use super::FeedRow;
use super::Removal;
use super::append::Position;
use super::error::{Error, Refusal};
use super::keys::{self, Family};
use super::rows::{Backend, Counters, Rows, Stage, keys_of};
use super::table::{self, HeadRow};

/// The first record of a feed row that stands for a removal: no other row of a workflow has neither records before it nor any of
/// its own.
const REMOVED_FROM: u64 = 0;

impl FeedRow {
    /// Whether the workflow was removed there.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.first == REMOVED_FROM && self.count == 0 && !self.workflow.is_empty()
    }
}

/// Removes an ended workflow.
pub(super) async fn remove<B: Backend>(backend: &B, removal: Removal) -> Result<Position, Error> {
    keys::check_name("the workflow's id", &removal.workflow)?;
    for request in &removal.requests {
        keys::check_name("a request's key", &request.key)?;
    }
    let (workflow, sealed) = (removal.workflow.clone(), removal.sealed);
    // Nothing is added to an ended workflow: what is found now is all that there will be.
    let own = backend.read(move |rows| own_rows(rows, &workflow, sealed)).await?;
    let weight = own.iter().map(Vec::len).sum();
    let shard = removal.fence.shard;
    backend.failpoint().before();
    let work = Box::new(move |counters: &mut Counters, stage: &mut Stage<'_>| {
        write(counters, stage, &removal, own)
    });
    let number = backend.commit(weight, work).await?;
    backend.failpoint().after();
    Ok(Position { shard, number })
}

/// The keys of all rows that are the workflow's own, but for its head, timer and place among the starts.
fn own_rows(rows: &dyn Rows, workflow: &str, sealed: bool) -> Result<Vec<Vec<u8>>, Error> {
    let mut own = keys_of(rows, keys::under(Family::Records, workflow))?;
    for reference in keys_of(rows, keys::family(Family::BlobReference))? {
        if keys::name_after_end(&reference) == workflow {
            own.push(reference);
        }
    }
    if sealed {
        own.extend(keys_of(rows, keys::within(Family::Sealed, workflow))?);
    }
    Ok(own)
}

fn write(
    counters: &mut Counters,
    stage: &mut Stage<'_>,
    removal: &Removal,
    own: Vec<Vec<u8>>,
) -> Result<u64, Error> {
    counters.check(removal.fence)?;
    let workflow = &removal.workflow;
    let head_key = keys::named(Family::Head, workflow);
    let head = stage.get(&head_key)?.map(|value| HeadRow::decode(workflow, &value)).transpose()?;
    let Some(row) = head.filter(|row| row.head.records == removal.expected && !row.head.live)
    else {
        return Err(Error::Refused(Refusal::NotEnded { workflow: workflow.clone() }));
    };
    for request in &removal.requests {
        if stage.has(&keys::named(Family::Request, &request.key))? {
            return Err(Error::Refused(Refusal::RequestKnown { key: request.key.clone() }));
        }
    }
    own.into_iter().for_each(|key| stage.remove(key));
    stage.remove(head_key);
    stage.remove(keys::start(row.head.start));
    if let Some(due) = row.timer {
        stage.remove(keys::timer(due, workflow));
    }
    stage.put(keys::named(Family::Removed, workflow), &table::encode_number(removal.at_ms));
    for request in &removal.requests {
        stage.put(keys::named(Family::Request, &request.key), &table::encode_request(request));
    }
    let position = counters.next_position(removal.fence.shard);
    let feed = FeedRow {
        position: position.number,
        workflow: workflow.clone(),
        first: REMOVED_FROM,
        count: 0,
    };
    stage.put(keys::feed(removal.fence.shard, position.number), &table::encode_feed(&feed));
    for (index, audited) in removal.audit.iter().enumerate() {
        stage.put(keys::audit(removal.fence.shard, position.number, index as u64), audited);
    }
    Ok(position.number)
}

/// When a workflow was removed, in milliseconds since the epoch.
pub(super) fn removed(rows: &dyn Rows, workflow: &str) -> Result<Option<u64>, Error> {
    let key = keys::named(Family::Removed, workflow);
    rows.get(&key)?.map(|value| table::decode_number(&key, &value)).transpose()
}
