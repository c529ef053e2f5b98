//! Why the runtime refuses, or could not do, what it was asked. The API maps each to one status.

use causeway_engine::{PublicState, Rejection};
use causeway_workflows::spec::Violation;

/// An answer that is not the wanted one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {what} {name}")]
    NotFound {
        /// `workflow`, `hybrid cluster`, `definition`, `connection`.
        what: &'static str,
        /// Its name, as asked for.
        name: String,
    },
    /// The input can't be run; nothing was done.
    #[error("the input has {} fault(s)", .0.len())]
    Invalid(Vec<Violation>),
    /// The workflow's state does not allow it.
    #[error("{}", rejection.message)]
    Rejected {
        /// Reason and words.
        rejection: Rejection,
        /// The state that does not allow it.
        state: Option<PublicState>,
    },
    /// The request id was used before, for something else.
    #[error(
        "this request_id was used before with another {field}; use a new one for another request"
    )]
    RequestReused {
        /// The field that differs.
        field: String,
    },
    /// The workflow that the request was about is gone.
    #[error(
        "this request_id was used before, and the workflow that it was about has been deleted; use a new one"
    )]
    RequestExpired,
    /// The id is taken.
    #[error("{what} {name} exists already")]
    AlreadyExists {
        /// `workflow`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A record of that cluster, or of that name, exists.
    #[error(
        "hybrid cluster {cluster} exists already, and one cluster is built once; `causeway clusters get {cluster}` shows what was made, `causeway teardown {cluster}` takes it down"
    )]
    ClusterExists {
        /// The record's name.
        cluster: String,
    },
    /// The record is another one by now than the teardown was made from.
    #[error(
        "the record of hybrid cluster {cluster} has changed, or is gone, since this teardown was asked for: another one ran before it; look at `causeway clusters get {cluster}`, and start it anew if something is left"
    )]
    ClusterChanged {
        /// The record's name.
        cluster: String,
    },
    /// The record can't be undone by this daemon.
    #[error("hybrid cluster {cluster} can't be torn down by this daemon: {why}")]
    TeardownUnfit {
        /// The record's name.
        cluster: String,
        /// Why, and what to do.
        why: String,
    },
    /// A live workflow builds another cluster under that name.
    #[error(
        "the name {name} is taken by workflow {workflow}, which builds another cluster; choose another metadata.name"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The workflow.
        workflow: String,
    },
    /// The world, or the input, is another one than the plan saw.
    #[error("{}", stale(changed.as_deref(), now))]
    PlanStale {
        /// The parts that have changed; none where this daemon does not remember the plan.
        changed: Option<Vec<String>>,
        /// The digest of a plan made now.
        now: String,
    },
    /// Whether the plan still holds can't be told.
    #[error(
        "whether the plan still holds can't be told now: {why}; nothing was started, ask again"
    )]
    PlanUnread {
        /// What could not be looked at.
        why: String,
    },
    /// The workflow has changed since the caller looked.
    #[error("the workflow has changed since: its etag is now {have}; look again, then decide")]
    EtagMismatch {
        /// The etag now.
        have: String,
    },
    /// The daemon was drained.
    #[error("the daemon was drained: it takes nothing on until it is started anew")]
    Draining,
    /// The daemon is stopping.
    #[error("the daemon is shutting down; ask again in a moment")]
    ShuttingDown,
    /// The store does not acknowledge any more.
    #[error("the store has failed: {0}")]
    StoreFailed(String),
    /// Something stored can't be read.
    #[error("{what} can't be read: {why}")]
    Corrupt {
        /// What: `record 17 of workflow w1`, `head of workflow w1`, `cluster dc1`.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A limit.
    #[error("too many {what}: the limit is {limit}")]
    TooMany {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl From<crate::store::Error> for Error {
    fn from(error: crate::store::Error) -> Self {
        match error {
            crate::store::Error::Corrupt { row, why } => Self::Corrupt { what: row, why },
            other => Self::StoreFailed(other.to_string()),
        }
    }
}

/// What to say of a plan that holds no more.
fn stale(changed: Option<&[String]>, now: &str) -> String {
    let what = match changed {
        Some(parts) => format!("what has changed since the plan: {}", parts.join(", ")),
        None => "this daemon does not know a plan with that digest (it may have been restarted since), and it is not the one of a plan made now"
            .to_owned(),
    };
    format!(
        "{what}; nothing was started: plan anew, and start by the digest that you find right (now {now})"
    )
}
