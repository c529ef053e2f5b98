//! What a note means in rows: requests to remember and audit rows that belong to no workflow. They take a place in commit order
//! like everything that is audited, and a row of the feed, which has no gaps.

use super::FeedRow;
use super::append::{Note, Position};
use super::error::{Error, Refusal};
use super::keys::{self, Family};
use super::rows::{Backend, Counters, Stage};
use super::table;

/// Writes a note.
pub(super) async fn note<B: Backend>(backend: &B, note: Note) -> Result<Position, Error> {
    for request in &note.requests {
        keys::check_name("a request's key", &request.key)?;
    }
    let weight = note.audit.iter().map(Vec::len).sum();
    let shard = note.fence.shard;
    backend.failpoint().before();
    let work = move |counters: &mut Counters, stage: &mut Stage<'_>| write(counters, stage, &note);
    let number = backend.commit(weight, Box::new(work)).await?;
    backend.failpoint().after();
    Ok(Position { shard, number })
}

fn write(counters: &mut Counters, stage: &mut Stage<'_>, note: &Note) -> Result<u64, Error> {
    counters.check(note.fence)?;
    for request in &note.requests {
        if stage.has(&keys::named(Family::Request, &request.key))? {
            return Err(Error::Refused(Refusal::RequestKnown { key: request.key.clone() }));
        }
    }
    for request in &note.requests {
        stage.put(keys::named(Family::Request, &request.key), &table::encode_request(request));
    }
    let shard = note.fence.shard;
    let position = counters.next_position(shard).number;
    let feed = FeedRow { position, workflow: String::new(), first: 0, count: 0 };
    stage.put(keys::feed(shard, position), &table::encode_feed(&feed));
    for (index, row) in note.audit.iter().enumerate() {
        stage.put(keys::audit(shard, position, index as u64), row);
    }
    Ok(position)
}
