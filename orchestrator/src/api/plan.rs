//! PlanWorkflow: the form of the request is that of a start; the plan is the runtime's, and is only converted here.

use causeway_engine::{Failure, event::Verdict};
use causeway_proto::{
    limits,
    v1::{self as pb, planned_permission, planned_step},
};
use causeway_workflows::preview::{Change, ChangeKind, DIFF_BYTES_MAX};
use tonic::Request;

use super::{
    caller::{by, recognise},
    convert, request,
    status::Error,
    workflows::Workflows,
};
use crate::{
    config::Role,
    runtime::{Allowed, Outlook, PLAN_TIME_MAX, Permission, Plan, PlannedStep},
};

// What the contract promises is what the runtime and the previews do.
const _: () = assert!(PLAN_TIME_MAX.as_secs() == limits::PLAN_SECONDS_MAX);
const _: () = assert!(DIFF_BYTES_MAX == limits::PLAN_DIFF_BYTES_MAX);

impl Workflows {
    pub(super) async fn plan(
        &self,
        request: Request<pb::PlanWorkflowRequest>,
    ) -> Result<pb::Plan, Error> {
        // It shows what only those may see who may start, and makes as many calls as a start does.
        let principal = recognise(&self.shared.authenticator, &request, Role::Operator)?;
        let mut start = request::start(&as_start(request.into_inner()))?;
        start.by = by(&principal, "");
        Ok(plan(&self.shared.handle.plan(&start).await?))
    }
}

/// The start that is planned.
fn as_start(request: pb::PlanWorkflowRequest) -> pb::StartWorkflowRequest {
    use pb::{plan_workflow_request::Spec as Planned, start_workflow_request::Spec};
    let spec = request.spec.map(|spec| match spec {
        Planned::HybridCluster(spec) => Spec::HybridCluster(spec),
        Planned::Noop(spec) => Spec::Noop(spec),
        Planned::Teardown(spec) => Spec::Teardown(spec),
    });
    pb::StartWorkflowRequest {
        metadata: request.metadata,
        run: request.run,
        spec,
        ..Default::default()
    }
}

fn plan(plan: &Plan) -> pb::Plan {
    let count = |wanted: &dyn Fn(&PlannedStep) -> bool| {
        u32::try_from(plan.steps.iter().filter(|step| wanted(step)).count()).unwrap_or(u32::MAX)
    };
    let adopts = |step: &PlannedStep| {
        matches!(step.outlook, Outlook::Observed(Verdict::Adopted | Verdict::Shared))
    };
    let pivot = plan.steps.iter().find(|step| step.spec.pivot && step.would_change());
    pb::Plan {
        digest: plan.digest.clone().unwrap_or_default(),
        changes: count(&PlannedStep::would_change),
        adoptions: count(&adopts),
        conflicts: count(&|step| matches!(step.outlook, Outlook::Conflict(_))),
        pivot: pivot.map(|step| step.spec.name.to_string()).unwrap_or_default(),
        create_time: Some(convert::time(plan.created_at)),
        definition: plan.definition.name.clone(),
        revision: plan.definition.revision,
        findings: findings(plan),
        nodes: plan.steps.iter().flat_map(nodes).collect(),
        permissions: plan.permissions.iter().map(permission).collect(),
        steps: plan.steps.iter().map(step).collect(),
    }
}

/// Errors first, as they decide.
fn findings(plan: &Plan) -> Vec<pb::Finding> {
    let mut findings: Vec<pb::Finding> =
        plan.findings.iter().map(|found| convert::finding(found, "")).collect();
    for step in &plan.steps {
        let name = step.spec.name.as_str();
        findings.extend(step.warnings.iter().map(|found| convert::finding(found, name)));
        if let Some(failure) = failure_of(step) {
            findings.extend(failure.findings.iter().map(|found| convert::finding(found, name)));
            if failure.findings.is_empty() {
                findings.push(of_failure(failure, name));
            }
        }
    }
    for permission in plan.permissions.iter().filter(|one| one.allowed == Allowed::Missing) {
        let known = findings.iter().any(|found| {
            found.code == PERMISSION_MISSING && found.subject.eq_ignore_ascii_case(&permission.name)
        });
        if !known {
            findings.push(missing(permission));
        }
    }
    findings.sort_by_key(|found| found.severity != i32::from(pb::finding::Severity::Error));
    findings
}

/// The code by which checks, too, name a permission that is missing.
const PERMISSION_MISSING: &str = "PERMISSION_MISSING";

fn missing(permission: &Permission) -> pb::Finding {
    let whose = if permission.cloud {
        "the connection's RAM user or role"
    } else {
        "the kubeconfig's user"
    };
    pb::Finding {
        severity: pb::finding::Severity::Error.into(),
        code: PERMISSION_MISSING.to_owned(),
        subject: permission.name.clone(),
        message: format!("{whose} may not do this, which {} needs", permission.steps.join(", ")),
        remedy: format!("allow it for {whose}"),
        step: String::new(),
    }
}

fn failure_of(step: &PlannedStep) -> Option<&Failure> {
    match &step.outlook {
        Outlook::Conflict(failure) | Outlook::Fails(failure) | Outlook::Unread(failure) => {
            Some(failure)
        }
        _ => None,
    }
}

fn of_failure(failure: &Failure, step: &str) -> pb::Finding {
    pb::Finding {
        severity: pb::finding::Severity::Error.into(),
        code: failure.code.clone().unwrap_or_default(),
        subject: step.to_owned(),
        message: failure.message.clone(),
        remedy: String::new(),
        step: step.to_owned(),
    }
}

fn step(step: &PlannedStep) -> pb::PlannedStep {
    use planned_step::State;
    let verdict = match &step.outlook {
        Outlook::Observed(verdict) => Some(*verdict),
        _ => None,
    };
    let verdict = match step.outlook {
        Outlook::Conflict(_) => pb::step::Verdict::Conflict,
        _ => convert::verdict(verdict),
    };
    let state = match &step.outlook {
        Outlook::Passes => State::Passes,
        Outlook::Observed(_) => State::Observed,
        Outlook::KnownAfter(_) => State::KnownAfter,
        Outlook::Conflict(_) => State::Conflict,
        Outlook::Fails(_) => State::Fails,
        Outlook::Unread(_) => State::Unread,
        Outlook::Undoes { .. } => State::Undo,
        Outlook::NothingToUndo => State::NothingToUndo,
        Outlook::Keeps { .. } => State::Keeps,
        Outlook::Gate { asked: true } => State::WaitsForApproval,
        Outlook::Gate { asked: false } => State::NotAsked,
    };
    let known_after = match &step.outlook {
        Outlook::KnownAfter(earlier) => earlier.to_string(),
        _ => String::new(),
    };
    pb::PlannedStep {
        name: step.spec.name.to_string(),
        kind: convert::kind(step.spec.kind).into(),
        verdict: verdict.into(),
        summary: summary(step),
        changes: step
            .preview
            .iter()
            .flat_map(|shown| &shown.changes)
            .map(convert::change)
            .collect(),
        undo: undo(step),
        note: note(step),
        digest: step.part.clone(),
        state: state.into(),
        known_after,
    }
}

/// What a plan says of a step that others have had their hands on.
const CHANGED: &str =
    "no longer as the build left it: what others have changed there stays, the rest is undone";

/// Why it would conflict, fail or stay, or could not be looked at.
fn note(step: &PlannedStep) -> String {
    match &step.outlook {
        Outlook::Keeps { reason, .. } => reason.clone(),
        Outlook::Undoes { changed: true } => CHANGED.to_owned(),
        _ => failure_of(step).map(|failure| failure.message.clone()).unwrap_or_default(),
    }
}

/// In words: what the step would do.
fn summary(step: &PlannedStep) -> String {
    match &step.outlook {
        Outlook::Passes => "holds".to_owned(),
        Outlook::Gate { asked: true } => "waits for approval".to_owned(),
        Outlook::Gate { asked: false } => "not asked for".to_owned(),
        Outlook::Observed(Verdict::Adopted) => {
            "is as wanted already, and is used as it is".to_owned()
        }
        Outlook::Observed(Verdict::Shared) => {
            "is as wanted already, shared with other clusters".to_owned()
        }
        Outlook::Observed(Verdict::Ours) => "is done already".to_owned(),
        Outlook::Observed(Verdict::Change) => words(step).unwrap_or_else(|| "would run".to_owned()),
        Outlook::KnownAfter(earlier) => match words(step) {
            Some(words) => format!("{words}; more is known after {earlier}"),
            None => format!("known after {earlier}"),
        },
        Outlook::Undoes { .. } => words(step).unwrap_or_else(|| "would be undone".to_owned()),
        Outlook::NothingToUndo => words(step).map_or_else(
            || "nothing to undo".to_owned(),
            |words| format!("nothing to undo: {words}"),
        ),
        Outlook::Keeps { reason, .. } => format!("stays: {reason}"),
        Outlook::Conflict(_) => "conflicts with what is there".to_owned(),
        Outlook::Fails(_) => "would fail".to_owned(),
        Outlook::Unread(_) => "could not be looked at".to_owned(),
    }
}

fn words(step: &PlannedStep) -> Option<String> {
    let one = |change: &Change| {
        let what = match change.kind_of_change {
            ChangeKind::Create => "creates",
            ChangeKind::Modify => "changes",
            ChangeKind::Keep => "keeps",
            ChangeKind::Remove => "removes",
            ChangeKind::Restore => "restores",
        };
        format!("{what} {} {}", change.kind, change.id)
    };
    let changes = &step.preview.as_ref()?.changes;
    let words: Vec<String> = changes.iter().map(one).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// In words: how the step would be undone.
fn undo(step: &PlannedStep) -> String {
    let planned = step.preview.as_ref().map(|preview| preview.undo.clone());
    match step.outlook {
        Outlook::Observed(Verdict::Adopted) => "nothing: it was there before".to_owned(),
        Outlook::Observed(Verdict::Shared) => {
            "gives up its claim; the last cluster that relies on it puts it back".to_owned()
        }
        _ => planned.unwrap_or_default(),
    }
}

fn nodes(step: &PlannedStep) -> Vec<pb::PlannedNodes> {
    let paid = step.preview.iter().flat_map(|preview| &preview.nodes);
    paid.map(|nodes| pb::PlannedNodes {
        node_pool: nodes.pool.clone(),
        count: nodes.count,
        instance_types: nodes.instance_types.clone(),
        charge: nodes.charge.to_owned(),
    })
    .collect()
}

fn permission(permission: &Permission) -> pb::PlannedPermission {
    use planned_permission::{Kind, State};
    let kind = if permission.cloud { Kind::Ram } else { Kind::Kubernetes };
    let state = match permission.allowed {
        Allowed::Granted => State::Granted,
        Allowed::Missing => State::Missing,
        Allowed::Unknown => State::Unknown,
    };
    pb::PlannedPermission {
        kind: kind.into(),
        permission: permission.name.clone(),
        state: state.into(),
        steps: permission.steps.clone(),
    }
}
