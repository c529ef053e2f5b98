//! A workflow's state: the fold of its records. Everything else that is stored beside them (locks, timers, claims, the row for
//! lists) is derived from it, so that none of it can disagree with the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::{DefinitionRef, StepKind, StepSpec};
use crate::event::{By, Cause, Claim, End, Object, PlanBinding, RunOptions, Undone, Verdict};
use crate::failure::{Failure, Finding};
use crate::ids::{ResourceKey, StepName, Time, WorkflowId};
pub use crate::quarantine::Quarantine;
use crate::teardown::Teardown;

/// Which way a workflow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Building.
    Forward,
    /// Undoing.
    Undo,
}

/// The stage of a step that a retry, or a person's `retry`, comes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A check.
    Check,
    /// An action's observe.
    Observe,
    /// An action's apply.
    Apply,
    /// An action's confirm.
    Confirm,
    /// Reading what became of a lost call.
    Resolve,
}

/// Where a step is, going forward.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Not begun.
    Pending,
    /// Waits for a key.
    Blocked {
        /// The key.
        key: ResourceKey,
        /// Who holds it, or waits before us.
        behind: WorkflowId,
        /// The stage that it comes back to; none: its first.
        stage: Option<Stage>,
    },
    /// A check is being made, or an action observes.
    Reading,
    /// A check looks again later.
    Waiting {
        /// When.
        until: Time,
        /// What it waits for.
        message: String,
    },
    /// A gate waits for approval.
    GateOpen {
        /// When it lapses.
        until: Time,
    },
    /// Observed as wanted, or observed and about to apply: an operation follows at once.
    Observed,
    /// Mutating calls may be under way.
    Applying {
        /// Bounds them.
        deadline: Time,
    },
    /// An answer was lost; reading shows what became of it.
    Unresolved {
        /// No call can land after this.
        settles_at: Time,
    },
    /// The effect is to hold.
    Confirming {
        /// The next look.
        until: Time,
        /// What it waits for.
        message: String,
    },
    /// A failure that may pass.
    RetryWait {
        /// What is tried again.
        stage: Stage,
        /// When.
        until: Time,
        /// Why.
        failure: Failure,
    },
    /// Held for the operator.
    Held {
        /// What is tried again on `retry`.
        stage: Stage,
        /// Why.
        failure: Failure,
    },
    /// Failed.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Passed, confirmed or approved.
    Done,
}

/// Where a step is, going back.
#[derive(Debug, Clone, PartialEq)]
pub enum UndoPhase {
    /// Not begun.
    Idle,
    /// Waits for a key.
    Blocked {
        /// The key.
        key: ResourceKey,
        /// Who holds it, or waits before us.
        behind: WorkflowId,
    },
    /// Mutating calls may be under way.
    Undoing {
        /// Bounds them.
        deadline: Time,
    },
    /// Looks again later: something goes slowly, or a lost call may still land.
    Waiting {
        /// When.
        until: Time,
        /// What it waits for.
        message: String,
    },
    /// A failure that may pass.
    RetryWait {
        /// When it is tried again.
        until: Time,
        /// Why.
        failure: Failure,
    },
    /// Gave up: a person must help.
    Stuck {
        /// Why.
        failure: Failure,
    },
    /// Ended.
    Ended(Undone),
}

/// A step with all that is recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// As expanded at the start.
    pub spec: Arc<StepSpec>,
    /// Going forward.
    pub phase: Phase,
    /// Going back.
    pub undo: UndoPhase,
    /// What undo restores; null until observed.
    pub before: Value,
    /// The verdict of observe.
    pub verdict: Option<Verdict>,
    /// What apply or the check answered.
    pub output: Value,
    /// Its ledger.
    pub effects: Vec<Object>,
    /// Its claim, until it is given up.
    pub claim: Option<Claim>,
    /// Said by observe or the check.
    pub warnings: Vec<Finding>,
    /// Attempts of the present stage going forward.
    pub attempts: u32,
    /// Attempts of the undo.
    pub undo_attempts: u32,
    /// Of the token.
    pub generation: u32,
    /// Whether an `applying` is not resolved to no effect.
    pub touched: bool,
    /// Whether there ever was an `applying`.
    pub ever_applied: bool,
    /// No lost call of it can land after this.
    pub settles_at: Time,
    /// Since when it is to hold.
    pub confirming_since: Option<Time>,
    /// A person asked to skip it; reading decides.
    pub skip_asked: Option<By>,
    /// Since when it fails without progress.
    pub failing_since: Option<Time>,
    /// Since when the undo fails without progress.
    pub undo_failing_since: Option<Time>,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it was done, failed, or undone.
    pub ended_at: Option<Time>,
    /// Since when its undo runs.
    pub undo_started_at: Option<Time>,
}

/// The public state (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PublicState {
    /// Waits for its lock.
    Queued,
    /// Goes on, or waits by itself.
    Running,
    /// Nothing but a gate can go on.
    AwaitingApproval,
    /// Stopped by a person, parked, or held with nothing else able to run.
    Paused,
    /// Undoing.
    Compensating,
    /// An undo gave up.
    Stuck,
    /// Its record is corrupt.
    Quarantined,
    /// All done.
    Succeeded,
    /// Failed or denied before anything was touched.
    Rejected,
    /// Failed, denied or timed out; all undone.
    Compensated,
    /// Cancelled; all undone.
    Cancelled,
    /// A person ended it with something left.
    Abandoned,
}

impl PublicState {
    /// Whether nothing more can happen.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Rejected
                | Self::Compensated
                | Self::Cancelled
                | Self::Abandoned
        )
    }
}

/// Why a workflow does not move.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingFor {
    /// `OPERATOR`, `HELD`, `QUEUED_BEHIND`, `LOCK`, `RETRYING`, `TIMER`, `APPROVAL`, `CONNECTION_MOVED`, …
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// The step.
    pub step: Option<StepName>,
    /// The key, the other workflow, the message: what it waits on.
    pub on: String,
    /// Commands that would move it on, without the program's name: `retry w1`.
    pub next_commands: Vec<String>,
}

/// What is left in the world, or possibly left.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The step that touched it.
    pub step: StepName,
    /// The object; for a call whose outcome is unknown, what the step was about to touch.
    pub object: Object,
    /// Whether it is only possible.
    pub possibly: bool,
}

/// Why it is parked.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// UPPER_SNAKE.
    pub reason: String,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: Time,
}

/// A workflow's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// The workflow.
    pub id: WorkflowId,
    /// What it runs.
    pub definition: DefinitionRef,
    /// Its immutable input.
    pub input: Arc<Value>,
    /// Options of the run.
    pub options: RunOptions,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The connection's name.
    pub connection: String,
    /// The HybridCluster's name.
    pub cluster: String,
    /// Its lock.
    pub lock: Option<ResourceKey>,
    /// Who started it.
    pub started_by: By,
    /// W3C trace context of the start.
    pub traceparent: String,
    /// The plan that it is held to.
    pub plan: Option<Arc<PlanBinding>>,
    /// Records so far.
    pub seq: u64,
    /// When it was started.
    pub started_at: Time,
    /// The last record's time.
    pub updated_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Whether it holds its lock.
    pub admitted: bool,
    /// For whom it waits, while it is not admitted.
    pub queued_behind: Option<(ResourceKey, WorkflowId)>,
    /// Which way it goes.
    pub direction: Direction,
    /// The first cause of the turn.
    pub cause: Option<Cause>,
    /// Who turned it, where a person did.
    pub turned_by: By,
    /// Stopped by a person, since then.
    pub paused: Option<(By, Time)>,
    /// Given up by a person.
    pub abandoning: Option<By>,
    /// Parked by the daemon.
    pub parked: Option<Parked>,
    /// How it ended.
    pub end: Option<End>,
    /// Decisions of undo groups: the reason to keep, or none.
    pub group_decisions: BTreeMap<String, Option<String>>,
    /// Its steps, in the definition's order.
    pub steps: Vec<Step>,
    /// Forward running time used up, in milliseconds.
    pub ran_ms: u64,
    /// Since when the forward clock runs.
    pub running_since: Option<Time>,
    /// The build that it undoes; none: it is one.
    pub teardown: Option<Arc<Teardown>>,
    /// Why it is kept apart, where its records can't all be read. No record says so: whoever reads them does.
    pub quarantine: Option<Arc<Quarantine>>,
}

/// Something held: by a step, or (no step) by the workflow itself.
pub type Hold = (ResourceKey, Option<StepName>);

impl Workflow {
    /// The step of that name.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<&Step> {
        self.steps.iter().find(|step| step.spec.name == *name)
    }

    /// Whether a pivot has made its first mutation: from here the only way is forward.
    #[must_use]
    pub fn past_pivot(&self) -> bool {
        self.tears_down() || self.steps.iter().any(|step| step.spec.pivot && step.touched)
    }

    /// Whether anything was ever about to be changed.
    #[must_use]
    pub fn ever_applied(&self) -> bool {
        self.steps.iter().any(|step| step.ever_applied)
    }

    /// Whether it rests for good.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Outputs of all steps that are done or have been applied, by name.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<StepName, Value> {
        let has_output = |step: &&Step| matches!(step.phase, Phase::Done) || !step.output.is_null();
        self.steps
            .iter()
            .filter(has_output)
            .map(|step| (step.spec.name.clone(), step.output.clone()))
            .collect()
    }

    /// Everything that this workflow holds now.
    #[must_use]
    pub fn holds(&self) -> BTreeSet<Hold> {
        let mut holds = BTreeSet::new();
        if self.is_ended() {
            return holds;
        }
        if let Some(quarantine) = &self.quarantine {
            return quarantine.holds.clone();
        }
        if let (true, Some(lock)) = (self.admitted, &self.lock) {
            holds.insert((lock.clone(), None));
        }
        for step in &self.steps {
            if step.holds_keys(self.direction) || self.group_tenure(step) {
                holds.extend(
                    step.spec.keys.iter().map(|key| (key.clone(), Some(step.spec.name.clone()))),
                );
            }
        }
        holds
    }

    /// The keys that it waits for; none while a person or the daemon holds it: then others pass it.
    #[must_use]
    pub fn wants(&self) -> BTreeSet<ResourceKey> {
        let rests = self.paused.is_some() || self.parked.is_some() || self.quarantine.is_some();
        if self.is_ended() || rests {
            return BTreeSet::new();
        }
        let own = self.queued_behind.iter().map(|(key, _)| key.clone());
        let steps = self.steps.iter().filter_map(|step| match (&step.phase, &step.undo) {
            (_, UndoPhase::Blocked { key, .. }) | (Phase::Blocked { key, .. }, UndoPhase::Idle) => {
                Some(key.clone())
            }
            _ => None,
        });
        own.chain(steps).collect()
    }

    /// Whether the step's undo group is at work: one tenure of all its keys, from the reading for its decision to its end.
    fn group_tenure(&self, step: &Step) -> bool {
        let Some(group) = &step.spec.undo_group else { return false };
        let members = || self.group(group).filter(|member| self.needs_undo(member));
        let begun = members().any(|member| {
            matches!(member.undo, UndoPhase::Undoing { .. } | UndoPhase::Waiting { .. })
        });
        let stuck = members().any(|member| matches!(member.undo, UndoPhase::Stuck { .. }));
        !stuck
            && (begun || (self.group_decisions.contains_key(group) && members().next().is_some()))
    }

    /// The steps of an undo group.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.spec.undo_group.as_deref() == Some(group))
    }

    /// The claims that this workflow has, with the step's name.
    #[must_use]
    pub fn claims(&self) -> Vec<&Claim> {
        let undone = matches!(self.end, Some(End::Rejected | End::Compensated | End::Cancelled));
        // What is only known in part can't be undone by its record: nobody would ever give the claims up.
        let lost = undone || (self.quarantine.is_some() && self.is_ended());
        // A teardown gives them up one by one: where it ends early, the cluster's record still has the others.
        let lost = match &self.teardown {
            None => lost,
            Some(teardown) => teardown.forget && self.end == Some(End::Succeeded),
        };
        if lost {
            return Vec::new();
        }
        self.steps.iter().filter_map(|step| step.claim.as_ref()).collect()
    }

    /// Whether a step is in the undo set and not undone yet (section 3.2).
    #[must_use]
    pub fn needs_undo(&self, step: &Step) -> bool {
        step.in_undo_set() && !matches!(step.undo, UndoPhase::Ended(_))
    }
}

impl Step {
    /// Whether it must be undone, should the workflow turn: every action with a claim, with the verdict `ours`, or with an
    /// `applying` that was not resolved to no effect.
    #[must_use]
    pub fn in_undo_set(&self) -> bool {
        self.spec.kind == StepKind::Action
            && (self.touched || self.claim.is_some() || self.verdict == Some(Verdict::Ours))
    }

    /// Whether its keys are held now: from observe to the known outcome of the attempt, and during the undo.
    fn holds_keys(&self, direction: Direction) -> bool {
        let forward = match self.phase {
            // Going back it waits for its undo, with nothing in doubt: others may need the keys for theirs before.
            Phase::Observed => direction == Direction::Forward,
            Phase::Reading | Phase::Applying { .. } | Phase::Unresolved { .. } => true,
            Phase::RetryWait { stage, .. } | Phase::Held { stage, .. } => stage == Stage::Resolve,
            Phase::Failed { .. } => false,
            Phase::Pending
            | Phase::Blocked { .. }
            | Phase::Waiting { .. }
            | Phase::GateOpen { .. }
            | Phase::Confirming { .. }
            | Phase::Done => false,
        };
        let undo = matches!(self.undo, UndoPhase::Undoing { .. } | UndoPhase::Waiting { .. });
        forward || undo
    }

    /// Whether a mutating call of it may be under way or still land.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        let forward = matches!(self.phase, Phase::Applying { .. } | Phase::Unresolved { .. })
            || matches!(self.phase, Phase::RetryWait { stage: Stage::Resolve, .. });
        forward || matches!(self.undo, UndoPhase::Undoing { .. })
    }
}
