//! Plans: what a workflow would do, found out by running its checks and looks without changing, locking or writing anything.
//! A digest stands for all that was seen; a start may be held to it. It knows no gRPC type.

mod digest;
pub(super) mod left;
mod permissions;
#[cfg(test)]
mod tests;
mod undo;
mod walk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_engine::event::{PlanBinding, Started, Verdict};
use causeway_engine::{DefinitionRef, Failure, Finding, StepName, StepSpec, Time};
use causeway_workflows::preview::Preview;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use digest::WHOLE_DIGITS as DIGEST_DIGITS;
pub(super) use digest::hold;
pub use permissions::{Allowed, Permission};
pub(super) use walk::unfit;

use super::{Error, Runtime, StartRequest};

/// Most plans that are made at the same time: each makes as many calls as a build's beginning.
const PLANS_MAX: usize = 4;
/// Steps that are looked at together.
pub(super) const STEPS_AT_A_TIME: usize = 8;
/// How long a plan may take; what was not looked at by then is said to be unread.
pub const PLAN_TIME_MAX: Duration = Duration::from_secs(120);
/// Plans whose parts are remembered, so that a stale one can say what has changed.
const REMEMBERED_MAX: usize = 256;
/// What every digest begins with.
pub const DIGEST_PREFIX: &str = "plan-";

/// What a workflow would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Over all that was seen; none where something could not be looked at.
    pub digest: Option<String>,
    /// What would run.
    pub definition: DefinitionRef,
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What the daemon must be allowed, as far as it can be told whether it is.
    pub permissions: Vec<Permission>,
    /// What is worth saying about the workflow as a whole.
    pub findings: Vec<Finding>,
    /// When it was made.
    pub created_at: Time,
    /// Digests by step, and of the input and definition.
    parts: BTreeMap<String, String>,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// The step.
    pub spec: Arc<StepSpec>,
    /// How far it could be looked at.
    pub outlook: Outlook,
    /// What it would do; none for checks and gates, and where that is not known.
    pub preview: Option<Preview>,
    /// Said, and not stopping.
    pub warnings: Vec<Finding>,
    /// Stands for what was seen.
    pub part: String,
}

/// How far a step could be looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlook {
    /// A check that holds.
    Passes,
    /// A gate: whether it would wait for a person.
    Gate {
        /// Somebody must approve.
        asked: bool,
    },
    /// An action that was observed.
    Observed(Verdict),
    /// In a teardown: it would be undone.
    Undoes {
        /// Whether it is no longer as the build left it: what others changed would stay.
        changed: bool,
    },
    /// In a teardown: there is nothing to undo, or nothing left of it.
    NothingToUndo,
    /// In a teardown: it would stay.
    Keeps {
        /// Why.
        reason: String,
        /// Whether what it stands on stays too.
        in_use: bool,
    },
    /// It hangs on what an earlier step has yet to make.
    KnownAfter(StepName),
    /// Something stands in the way that is neither wanted nor ours.
    Conflict(Failure),
    /// It would fail.
    Fails(Failure),
    /// It could not be looked at: unreachable, or no time left.
    Unread(Failure),
}

impl PlannedStep {
    /// Whether the step would change something, or may.
    #[must_use]
    pub fn would_change(&self) -> bool {
        match &self.outlook {
            Outlook::Observed(verdict) => *verdict == Verdict::Change,
            Outlook::Undoes { .. } => true,
            Outlook::KnownAfter(_) => self.spec.kind == causeway_engine::StepKind::Action,
            _ => false,
        }
    }
}

impl Plan {
    /// What a workflow is held to that is started by this plan: only what was seen can be seen again.
    fn binding(&self) -> Option<PlanBinding> {
        let seen =
            |step: &&PlannedStep| matches!(step.outlook, Outlook::Passes | Outlook::Observed(_));
        let parts = self.steps.iter().filter(seen);
        let parts = parts.map(|step| (step.spec.name.clone(), step.part.clone())).collect();
        Some(PlanBinding { digest: self.digest.clone()?, parts })
    }

    /// Why it has no digest.
    fn unread(&self) -> Option<Failure> {
        self.steps.iter().find_map(|step| match &step.outlook {
            Outlook::Unread(failure) => Some(failure.clone()),
            _ => None,
        })
    }
}

/// How many plans are being made, and the parts of the last ones.
pub(super) struct Plans {
    permits: Semaphore,
    remembered: Mutex<VecDeque<(String, BTreeMap<String, String>)>>,
}

impl Default for Plans {
    fn default() -> Self {
        Self { permits: Semaphore::new(PLANS_MAX), remembered: Mutex::default() }
    }
}

impl Plans {
    /// Leave to look at the world once more.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub(super) fn permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let too_many = |_| Error::TooMany { what: "plans at the same time", limit: PLANS_MAX };
        self.permits.try_acquire().map_err(too_many)
    }

    fn remember(&self, plan: &Plan) {
        let Some(digest) = &plan.digest else { return };
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|(known, _)| known != digest);
        remembered.push_back((digest.clone(), plan.parts.clone()));
        if remembered.len() > REMEMBERED_MAX {
            remembered.pop_front();
        }
    }

    /// What differs from the plan with this digest; none where that is not remembered.
    fn changed_since(&self, digest: &str, now: &Plan) -> Option<Vec<String>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, then) = remembered.iter().find(|(known, _)| known == digest)?;
        let names: std::collections::BTreeSet<&String> =
            then.keys().chain(now.parts.keys()).collect();
        let differs = |name: &&String| then.get(*name) != now.parts.get(*name);
        Some(names.into_iter().filter(differs).cloned().collect())
    }
}

impl Runtime {
    /// What a start would do.
    ///
    /// # Errors
    /// Those of a start, [`Error::TooMany`] among them; nothing was changed in any case.
    pub(super) async fn plan(self: &Arc<Self>, request: &StartRequest) -> Result<Plan, Error> {
        let started = self.prepare(request).await?;
        self.plan_of(&started).await
    }

    async fn plan_of(self: &Arc<Self>, started: &Started) -> Result<Plan, Error> {
        if self.is_draining() {
            return Err(Error::ShuttingDown);
        }
        let _permit = self.plans.permit()?;
        let definition = self.definition(&started.definition.name);
        let connection = self.connection(&started.connection);
        let (Some(definition), Some(connection)) = (definition, connection) else {
            return Err(Error::NotFound { what: "connection", name: started.connection.clone() });
        };
        let plan = match started.teardown {
            Some(_) => undo::walk(self, definition, &connection, started).await,
            None => walk::walk(self, definition, &connection, started).await,
        };
        self.plans.remember(&plan);
        Ok(plan)
    }

    /// What a start by a plan is held to: the plan is made anew, and must be the same.
    ///
    /// # Errors
    /// [`Error::PlanStale`], naming what has changed, or [`Error::PlanUnread`] where it could not be compared.
    pub(super) async fn bound_to_plan(
        self: &Arc<Self>,
        started: &Started,
        digest: &str,
    ) -> Result<PlanBinding, Error> {
        let plan = self.plan_of(started).await?;
        let Some(binding) = plan.binding() else {
            let why = plan.unread().map(|failure| failure.message).unwrap_or_default();
            return Err(Error::PlanUnread { why });
        };
        if binding.digest == digest {
            return Ok(binding);
        }
        let changed = self.plans.changed_since(digest, &plan);
        Err(Error::PlanStale { changed, now: binding.digest })
    }
}
