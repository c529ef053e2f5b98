//! A workflow whose head can't be read: what stood in it and can be found elsewhere, so that the workflow can be given up by an
//! append like any other. It removes nothing that can't be read.

use super::append::Append;
use super::error::Error;
use super::keys::{self, Family};
use super::rows::{Backend, Rows, Stage};
use super::table::HeadRow;
use super::{Head, codec};

/// Rows per step of a scan over a whole family.
const SCAN_ROWS: usize = 1000;

/// A head that can't be read, or is missing.
#[derive(Debug)]
pub(super) struct LostHead {
    /// The row as it was found.
    found: Option<Vec<u8>>,
    /// The workflow's place in the order of starts; 0 where that can't be found either.
    start: u64,
    /// When its timers are due.
    timers: Vec<u64>,
}

/// The workflow's head, where it is lost; none where it is sound.
pub(super) async fn lost_head<B: Backend>(
    backend: &B,
    append: &Append,
) -> Result<Option<LostHead>, Error> {
    let workflow = append.workflow.clone();
    backend.read(move |rows| read(rows, &workflow)).await
}

fn read(rows: &dyn Rows, workflow: &str) -> Result<Option<LostHead>, Error> {
    let found = rows.get(&keys::named(Family::Head, workflow))?;
    if found.as_ref().is_some_and(|value| HeadRow::decode(workflow, value).is_ok()) {
        return Ok(None);
    }
    let mut timers = Vec::new();
    each(rows, Family::Timer, |key, _| {
        if keys::name_after(key, 9) == workflow {
            timers.push(keys::number(key, 0));
        }
    })?;
    let mut start = 0;
    each(rows, Family::Start, |key, value| {
        if codec::unwrap(key, value).is_ok_and(|name| name == workflow.as_bytes()) {
            start = keys::number(key, 0);
        }
    })?;
    Ok(Some(LostHead { found, start, timers }))
}

/// Looks at each row of a family, in bounded steps.
fn each(rows: &dyn Rows, family: Family, mut look: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
    let mut range = keys::family(family);
    loop {
        let some = rows.scan(range.clone(), false, SCAN_ROWS)?;
        let Some((last, _)) = some.last() else { return Ok(()) };
        range.start = last.clone();
        range.start.push(0);
        some.iter().for_each(|(key, value)| look(key, value));
    }
}

impl LostHead {
    /// Lays down a head from which the append can go on, and keeps what was found in its place.
    pub(super) fn replace(&self, stage: &mut Stage<'_>, append: &Append) {
        let workflow = &append.workflow;
        if let Some(found) = &self.found {
            stage.put(keys::named(Family::LostHead, workflow), found);
        }
        for due in &self.timers {
            stage.remove(keys::timer(*due, workflow));
        }
        let head = Head {
            workflow: workflow.clone(),
            start: self.start,
            records: append.expected,
            position: 0,
            shard: append.fence.shard,
            live: true,
            summary: Vec::new(),
        };
        let row = HeadRow { head, timer: None };
        stage.put(keys::named(Family::Head, workflow), &row.encode());
    }
}
