//! The one thread that writes: group commit. It drains what waits, lays it all down in one atomic batch, makes that durable,
//! and answers everybody. Nobody else writes, so conditions are looked at without any contention.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use crate::store::Health;
use crate::store::error::Error;
use crate::store::rows::{Counters, Group, Work};

/// The most appends in one group.
const GROUP_MAX: usize = 1024;
/// A group is closed once it has this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// Work that waits, and where its answer goes.
pub(super) struct Ticket {
    /// About how many bytes it writes.
    pub(super) weight: usize,
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<u64, Error>>,
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    counters: Counters,
    tickets: mpsc::Receiver<Ticket>,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        counters: Counters,
        tickets: mpsc::Receiver<Ticket>,
    ) -> Self {
        Self { shared, counters, tickets }
    }

    /// Until nobody can ask any more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.tickets.blocking_recv() {
            let (works, askers) = self.drain(first);
            // A panic here is sled's, on damage; half of a group may then be applied, so it is as final as a failed flush.
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit(works)));
            let committed = committed.unwrap_or_else(|_| Err("the database gave up".to_owned()));
            match committed {
                Ok(answers) => {
                    askers.into_iter().zip(answers).for_each(|(asker, answer)| reply(asker, answer))
                }
                Err(why) => return self.fail(askers, &why),
            }
        }
    }

    fn drain(&mut self, first: Ticket) -> (Vec<Work>, Vec<oneshot::Sender<Result<u64, Error>>>) {
        let mut bytes = first.weight;
        let (mut works, mut askers) = (vec![first.work], vec![first.answer]);
        while works.len() < GROUP_MAX && bytes < GROUP_BYTES {
            let Ok(next) = self.tickets.try_recv() else { break };
            bytes += next.weight;
            works.push(next.work);
            askers.push(next.answer);
        }
        (works, askers)
    }

    /// Runs each work in turn, makes what they wrote durable, and returns their answers; an error means that nothing more is
    /// known about the disk.
    fn commit(&mut self, works: Vec<Work>) -> Result<Vec<Result<u64, Error>>, String> {
        let mut group = Group::default();
        let answers = works
            .into_iter()
            .map(|work| group.add(&self.shared.rows, &mut self.counters, work))
            .collect();
        if group.writes.is_empty() {
            return Ok(answers);
        }
        let _gate = self.shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        let told = self.shared.tap.copy(&group.writes);
        self.shared
            .rows
            .apply(group.writes)
            .map_err(|error| format!("writing to the database failed: {error}"))?;
        self.shared.sync()?;
        self.shared.tap.tell(told);
        self.shared.positions.send_replace(self.counters.positions());
        Ok(answers)
    }

    /// Nothing is acknowledged from here on, refusals included: they may rest on what was not made durable.
    fn fail(mut self, askers: Vec<oneshot::Sender<Result<u64, Error>>>, why: &str) {
        tracing::error!(error = why, "The store has stopped; the daemon must be restarted");
        self.shared.health.send_replace(Health::Failed(why.to_owned()));
        askers.into_iter().for_each(|asker| reply(asker, Err(Error::failed(why))));
        while let Some(ticket) = self.tickets.blocking_recv() {
            reply(ticket.answer, Err(Error::failed(why)));
        }
    }
}

/// An asker that has gone does not want to know.
fn reply(asker: oneshot::Sender<Result<u64, Error>>, answer: Result<u64, Error>) {
    drop(asker.send(answer));
}
