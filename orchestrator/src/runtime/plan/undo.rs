//! The plan of a teardown: what each undo would come to, found out by letting it run over a connection that refuses to change
//! anything. What it was about to change is what it would undo.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_engine::event::{Object, Origin, Resolution, Started, Undone};
use causeway_engine::input::{OperationKind, StepOutcome};
use causeway_engine::{Failure, Step, StepName, Workflow};
use causeway_workflows::preview::{Change, Preview};
use causeway_workflows::{Connection, Definition};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::super::Runtime;
use super::left::Remains;
use super::walk::{is_passing, parts, queue};
use super::{Outlook, Plan, PlannedStep, STEPS_AT_A_TIME, digest, permissions};

/// The code with which a connection for looking only refuses a mutating call.
const READ_ONLY: &str = "READ_ONLY";

/// Makes the plan of a teardown. It never fails: what can't be looked at stands in it.
pub(super) async fn walk(
    runtime: &Arc<Runtime>,
    definition: &Definition,
    connection: &Connection,
    started: &Started,
) -> Plan {
    let created_at = (runtime.clock)();
    let left = Remains::new(runtime, Workflow::begin(started, created_at), connection);
    let mut looks = Vec::new();
    for step in &left.state.steps {
        looks.push(look(&left, definition, step));
    }
    let looked: Vec<Outlook> = stream::iter(looks).buffered(STEPS_AT_A_TIME).collect().await;
    let names = left.state.steps.iter().map(|step| step.spec.name.clone());
    let mut outlooks: BTreeMap<StepName, Outlook> = names.zip(looked).collect();
    keep_what_is_needed(&left.state, &mut outlooks);
    let steps: Vec<PlannedStep> = (left.state.steps.iter().rev())
        .filter_map(|step| Some(planned(runtime, step, outlooks.remove(&step.spec.name)?)))
        .collect();
    let parts = parts(runtime, started, &steps);
    let unread = steps.iter().any(|step| matches!(step.outlook, Outlook::Unread(_)));
    let works = definition.templates.iter().map(|template| (template.name, &template.work));
    Plan {
        digest: (!unread).then(|| digest::whole(&runtime.sealer, &parts)),
        definition: started.definition.clone(),
        findings: queue(runtime, started),
        steps,
        permissions: permissions::cloud(works, &left.trail.seen()),
        created_at,
        parts,
    }
}

/// What the undo of one step would come to, by itself.
async fn look(left: &Remains<'_>, definition: &Definition, step: &Step) -> Outlook {
    if !left.state.needs_undo(step) {
        return Outlook::NothingToUndo;
    }
    let Some(template) = definition.template(&step.spec.template) else {
        let failure = Failure::permanent("this daemon misses its template");
        return Outlook::Fails(failure.with_code("DEFINITION_UNKNOWN"));
    };
    let dependent = dependent(&left.state, step);
    if let (Some(_), Some(dependent)) = (&step.spec.undo_group, dependent) {
        // Whether others rely on the group shows once what this build itself hung on it is gone.
        return Outlook::KnownAfter(dependent.clone());
    }
    let (outcome, _) = left.run(step, template, OperationKind::Revert).await;
    match (outcome, dependent) {
        // What uses it may be what this very build hung on it.
        (StepOutcome::Reverted(Undone::Kept { reason, in_use }), Some(dependent))
            if in_use || reason.starts_with("in_use") =>
        {
            Outlook::KnownAfter(dependent.clone())
        }
        (StepOutcome::Reverted(Undone::Kept { reason, in_use }), _) => {
            Outlook::Keeps { reason, in_use }
        }
        (StepOutcome::Reverted(Undone::NothingThere), _) => Outlook::NothingToUndo,
        (StepOutcome::Failed(failure), _) if failure.code.as_deref() == Some(READ_ONLY) => {
            // What it would find there on its way shows only as far as it came: whether all is still ours is read by itself.
            let (found, _) = left.run(step, template, OperationKind::Resolve).await;
            let changed = match found {
                StepOutcome::Resolved { resolution, .. } => resolution == Resolution::NoEffect,
                StepOutcome::Failed(failure) => !is_passing(&failure),
                _ => false,
            };
            Outlook::Undoes { changed }
        }
        (StepOutcome::Failed(failure), _) if is_passing(&failure) => Outlook::Unread(failure),
        (StepOutcome::Failed(failure), _) => Outlook::Fails(failure),
        // It waits for what comes before it, or had nothing to call.
        _ => Outlook::Undoes { changed: false },
    }
}

/// A step outside its group that is undone before it.
fn dependent<'a>(state: &'a Workflow, step: &Step) -> Option<&'a StepName> {
    let group = step.spec.undo_group.as_deref();
    let later = state.all_dependents(&step.spec.name).into_iter();
    later
        .filter(|later| state.needs_undo(later))
        .find(|later| group.is_none() || later.spec.undo_group.as_deref() != group)
        .map(|later| &later.spec.name)
}

/// What is in use keeps what it stands on.
fn keep_what_is_needed(state: &Workflow, outlooks: &mut BTreeMap<StepName, Outlook>) {
    for step in &state.steps {
        let dependents = state.all_dependents(&step.spec.name).into_iter();
        let keeper = dependents
            .map(|later| &later.spec.name)
            .find(|name| matches!(outlooks.get(*name), Some(Outlook::Keeps { in_use: true, .. })))
            .cloned();
        if let (Some(keeper), true) = (keeper, state.needs_undo(step)) {
            let reason = format!("needed_by {keeper}");
            outlooks.insert(step.spec.name.clone(), Outlook::Keeps { reason, in_use: true });
        }
    }
}

fn planned(runtime: &Runtime, step: &Step, outlook: Outlook) -> PlannedStep {
    let stays = matches!(outlook, Outlook::Keeps { .. } | Outlook::NothingToUndo);
    let there = |object: &&Object| object.present || object.origin == Origin::Adopted;
    let changes: Vec<Change> = (step.effects.iter().filter(there))
        .map(|object| match object.origin {
            Origin::Created if !stays => Change::remove(&object.kind, &object.id),
            Origin::Modified if !stays => Change::restore(&object.kind, &object.id),
            _ => Change::keep(&object.kind, &object.id),
        })
        .collect();
    let seen = json!({ "outlook": evidence(&outlook), "effects": step.effects });
    PlannedStep {
        part: digest::part(&runtime.sealer, &seen, &[]),
        spec: step.spec.clone(),
        preview: Some(Preview { changes, ..Preview::default() }),
        warnings: Vec::new(),
        outlook,
    }
}

fn evidence(outlook: &Outlook) -> Value {
    match outlook {
        Outlook::Keeps { reason, .. } => json!(["keeps", reason]),
        Outlook::KnownAfter(step) => json!(["after", step]),
        Outlook::Fails(failure) => json!(["fails", failure.code]),
        Outlook::Undoes { changed } => json!(["undoes", changed]),
        _ => json!(["nothing"]),
    }
}
