//! Verification of a finished cluster: whether the world is still as its record has it. Every action of the build looks again,
//! in the build's own name, and what it would have to change is the drift; checks that must hold for as long as the cluster
//! lives are made again. Nothing is changed, locked or written.

use std::sync::Arc;

use causeway_engine::event::Verdict;
use causeway_engine::input::{OperationKind, StepOutcome};
use causeway_engine::{Failure, FailureClass, Finding, Step, StepKind, StepSpec, Time, Workflow};
use causeway_workflows::definition::Lasts;
use causeway_workflows::preview::Change;
use causeway_workflows::sdk::Context;
use causeway_workflows::{Definition, Template, Work, teardown};
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::error::Error;
use super::plan::STEPS_AT_A_TIME;
use super::plan::left::Remains;
use super::start::StartRequest;
use super::{Runtime, plan};

/// What was found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The record's name.
    pub cluster: String,
    /// What was looked at, in the build's order.
    pub steps: Vec<VerifiedStep>,
    /// When.
    pub verified_at: Time,
}

/// One step of the build, looked at again.
#[derive(Debug, Clone)]
pub struct VerifiedStep {
    /// The step.
    pub spec: Arc<StepSpec>,
    /// Whether it holds.
    pub found: Found,
    /// What would make it hold again, object by object.
    pub changes: Vec<Change>,
    /// Said, and no drift.
    pub warnings: Vec<Finding>,
}

/// Whether a step holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// As the record has it.
    Holds,
    /// It is another by now.
    Drifted(Failure),
    /// It could not be looked at.
    Unread(Failure),
}

impl Runtime {
    /// Looks whether a cluster is still as its record has it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TeardownUnfit`] where this daemon does not know what was built, [`Error::TooMany`].
    pub(super) async fn verify(self: &Arc<Self>, name: &str) -> Result<Verification, Error> {
        self.admits()?;
        let _permit = self.plans.permit()?;
        let definition = self
            .definition(teardown::NAME)
            .ok_or_else(|| Error::NotFound { what: "definition", name: teardown::NAME.into() })?;
        let input = json!({ "hybrid_cluster": name });
        let request = StartRequest { input, ..StartRequest::default() };
        let started = self.prepare_teardown(&request, definition).await?;
        let unknown = || Error::NotFound { what: "connection", name: started.connection.clone() };
        let connection = self.connection(&started.connection).ok_or_else(unknown)?;
        let verified_at = (self.clock)();
        let cluster = started.cluster.clone();
        let left = Remains::new(self, Workflow::begin(&started, verified_at), &connection);
        let mut looks = Vec::new();
        for (step, template) in lasting(&left.state, definition) {
            looks.push(look(&left, step, template));
        }
        let steps = stream::iter(looks).buffered(STEPS_AT_A_TIME).collect().await;
        Ok(Verification { cluster, steps, verified_at })
    }
}

/// The steps that the build has done, and that must still hold.
fn lasting<'a>(
    state: &'a Workflow,
    definition: &'a Definition,
) -> impl Iterator<Item = (&'a Step, &'a Template)> {
    state.steps.iter().filter(|step| stands(state, step)).filter_map(|step| {
        let template = definition.template(&step.spec.template)?;
        (template.lasts != Lasts::No).then_some((step, template))
    })
}

/// Whether the record still has what the step did or found: not where its undo has ended, nor for a check of what is undone.
fn stands(state: &Workflow, step: &Step) -> bool {
    let kept = |step: &Step| step.in_undo_set() || step.verdict == Some(Verdict::Adopted);
    if step.spec.kind == StepKind::Action {
        return kept(step);
    }
    let before = state.steps.iter().filter(|earlier| {
        let later = state.all_dependents(&earlier.spec.name);
        later.iter().any(|later| later.spec.name == step.spec.name)
    });
    let mut actions = before.filter(|earlier| earlier.spec.kind == StepKind::Action);
    !step.output.is_null() && actions.all(kept)
}

async fn look(left: &Remains<'_>, step: &Step, template: &Template) -> VerifiedStep {
    let kind = match &template.work {
        Work::Check(_) => OperationKind::Check,
        _ => OperationKind::Observe,
    };
    let (outcome, context) = left.run(step, template, kind).await;
    let verified = |found, changes, warnings| VerifiedStep {
        spec: step.spec.clone(),
        found,
        changes,
        warnings,
    };
    match outcome {
        StepOutcome::Passed { warnings, .. } => verified(Found::Holds, Vec::new(), warnings),
        StepOutcome::Observed { verdict: Verdict::Change, before, warnings, .. } => {
            let changes = match context {
                Some(context) => changes(left, template, Context { before, ..context }).await,
                None => Vec::new(),
            };
            drifted(step, template, changes, warnings)
        }
        // What adopting it would warn of was said when it was built.
        StepOutcome::Observed { .. } => verified(Found::Holds, Vec::new(), Vec::new()),
        StepOutcome::NotYet { message, .. } => {
            let failure = Failure::permanent(message).with_code(DRIFT);
            verified(Found::Drifted(failure), Vec::new(), Vec::new())
        }
        StepOutcome::Failed(failure) => failed(step, template, failure),
        other => verified(Found::Unread(plan::unfit(&other)), Vec::new(), Vec::new()),
    }
}

/// What a look that failed says: that the world is another, that a time is over, or only that it could not be looked at.
fn failed(step: &Step, template: &Template, failure: Failure) -> VerifiedStep {
    let code = failure.code.as_deref().unwrap_or_default();
    if matches!(template.lasts, Lasts::UntilItExpires { expired, .. } if code == expired) {
        return drifted(step, template, Vec::new(), Vec::new());
    }
    let check = matches!(template.work, Work::Check(_));
    let is_drift = failure.class == FailureClass::Gone
        || code == CONFLICT
        || (check && failure.findings.iter().any(|found| found.code != PERMISSION_MISSING));
    if !is_drift {
        let found = Found::Unread(failure);
        return VerifiedStep {
            spec: step.spec.clone(),
            found,
            changes: Vec::new(),
            warnings: Vec::new(),
        };
    }
    if check {
        let found = Found::Drifted(failure);
        return VerifiedStep {
            spec: step.spec.clone(),
            found,
            changes: Vec::new(),
            warnings: Vec::new(),
        };
    }
    // What the step would advise is for a build that has not begun, and would harm a cluster that runs.
    let there = step.effects.iter().filter(|object| object.present);
    let changes = there.map(|object| Change::keep(&object.kind, &object.id)).collect();
    drifted(step, template, changes, Vec::new())
}

/// The code of what the daemon may not do: that says nothing of the cluster.
const PERMISSION_MISSING: &str = "PERMISSION_MISSING";

/// The code of what is there and neither wanted nor ours.
const CONFLICT: &str = "CONFLICT";

/// The code of a drift that the step itself has no word for.
const DRIFT: &str = "DRIFT";

/// What is no longer as wanted: a drift, or, of what only lasts for a time, a warning that the time is over.
fn drifted(
    step: &Step,
    template: &Template,
    changes: Vec<Change>,
    mut warnings: Vec<Finding>,
) -> VerifiedStep {
    let spec = step.spec.clone();
    if let Lasts::UntilItExpires { code, message, remedy, .. } = template.lasts {
        warnings.push(Finding {
            severity: causeway_engine::Severity::Warning,
            code: code.to_owned(),
            subject: spec.name.to_string(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        });
        return VerifiedStep { spec, found: Found::Holds, changes: Vec::new(), warnings };
    }
    let names: Vec<String> =
        changes.iter().map(|change| format!("{} {}", change.kind, change.id)).collect();
    let what = if names.is_empty() { "something".to_owned() } else { names.join(", ") };
    let message = format!("{what} is no longer as the build left it");
    let found = Found::Drifted(Failure::permanent(message).with_code(DRIFT));
    VerifiedStep { spec, found, changes, warnings }
}

/// What the step would do to make it as wanted again.
async fn changes(left: &Remains<'_>, template: &Template, mut context: Context) -> Vec<Change> {
    let Work::Action(action) = &template.work else { return Vec::new() };
    context.verdict = Some(Verdict::Change);
    match tokio::time::timeout_at(left.until, action.preview(&context)).await {
        Ok(Ok(preview)) => preview.changes,
        _ => Vec::new(),
    }
}
