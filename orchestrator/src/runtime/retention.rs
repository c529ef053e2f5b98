//! Retention: ended workflows go by age and by number, with their history; the records of the clusters that they built stay.
//! What is remembered of requests is forgotten at the same time, once its own time is over.

use std::sync::Arc;
use std::time::Duration;

use causeway_engine::WorkflowId;
use causeway_engine::event::By;

use super::error::Error;
use super::handle::Ask;
use super::summary::Summary;
use super::{Runtime, Time};
use crate::config::Retention;
use crate::store::PAGE_MAX;

/// How often it is looked whether something's time is over.
const EVERY: Duration = Duration::from_secs(3600);
/// Most workflows that go in one look, so that it never keeps the store busy for long; the rest goes with the next ones.
const AT_ONCE_MAX: usize = 1000;
/// Who deletes them, as the audit has it.
const PRINCIPAL: &str = "retention";

/// Which of the workflows go, of all there are, newest first.
fn over(retention: Retention, newest_first: &[Summary], now: Time) -> Vec<WorkflowId> {
    let mut ended: Vec<_> =
        newest_first.iter().filter_map(|one| Some((one, one.ended_at?))).collect();
    // What has just ended stays longest, however long it took.
    ended.sort_by_key(|(_, ended_at)| std::cmp::Reverse(*ended_at));
    let over = ended.into_iter().enumerate().filter(|(index, (_, ended_at))| {
        *index >= retention.max_count
            || u128::from(now.ms_since(*ended_at)) > retention.max_age.as_millis()
    });
    over.map(|(_, (one, _))| WorkflowId::new(one.id.clone())).collect()
}

impl Runtime {
    /// Forgets what is over, now and every hour, until the daemon stops.
    pub async fn run_retention(self: Arc<Self>, retention: Retention) {
        let mut hours = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                _ = hours.tick() => {}
            }
            if let Err(error) = self.forget_requests().await {
                tracing::warn!(error = %error, "Old requests could not be forgotten; it is tried again in an hour");
            }
            match self.retain(retention).await {
                Ok(0) => {}
                Ok(deleted) => {
                    tracing::info!(deleted, "Ended workflows were deleted: their time is over")
                }
                Err(error) => {
                    tracing::warn!(error = %error, "Ended workflows could not be deleted; it is tried again in an hour");
                }
            }
        }
    }

    pub(super) async fn forget_requests(&self) -> Result<(), Error> {
        while self.store.forget_requests((self.clock)().0).await? == PAGE_MAX {}
        Ok(())
    }

    /// Deletes the ended workflows whose time is over; how many.
    pub(super) async fn retain(self: &Arc<Self>, retention: Retention) -> Result<usize, Error> {
        let handle = self.handle();
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = handle.list(after, PAGE_MAX).await?;
            all.extend(page);
            match next {
                Some(_) => after = next,
                None => break,
            }
        }
        let reason = "its time is over".to_owned();
        let by = By { principal: PRINCIPAL.to_owned(), reason };
        let ask = Ask { by, ..Ask::default() };
        let mut deleted = 0;
        for id in over(retention, &all, (self.clock)()).iter().take(AT_ONCE_MAX) {
            match self.delete(id, &ask).await {
                Ok(()) => deleted += 1,
                // A person was faster.
                Err(Error::NotFound { .. }) => {}
                // What can't be read stays, and the rest goes on.
                Err(error @ (Error::Corrupt { .. } | Error::Rejected { .. })) => {
                    tracing::warn!(workflow.id = %id, error = %error, "An ended workflow could not be deleted");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(id: &str, ended_at: Option<u64>) -> Summary {
        let state = causeway_engine::PublicState::Succeeded;
        Summary {
            id: id.to_owned(),
            ended_at: ended_at.map(Time),
            definition: "saga-10".to_owned(),
            revision: 1,
            state,
            cluster: String::new(),
            cluster_id: String::new(),
            connection: String::new(),
            labels: Default::default(),
            started_at: Time(0),
            updated_at: Time(0),
            seq: 1,
            waiting_reason: String::new(),
        }
    }

    #[test]
    fn ended_workflows_go_by_age_and_by_number_and_live_ones_never() {
        let newest_first = [
            workflow("new", Some(9_000)),
            workflow("live", None),
            workflow("second", Some(8_000)),
            workflow("old", Some(1_000)),
        ];
        let gone = |max_age_s, max_count| -> Vec<String> {
            let retention = Retention { max_age: Duration::from_secs(max_age_s), max_count };
            over(retention, &newest_first, Time(10_000)).iter().map(ToString::to_string).collect()
        };
        assert!(gone(100, 100).is_empty());
        assert_eq!(gone(5, 100), ["old"]);
        assert_eq!(gone(100, 2), ["old"]);
        assert_eq!(gone(100, 1), ["second", "old"]);
        assert_eq!(gone(0, 0), ["new", "second", "old"]);
    }
}
