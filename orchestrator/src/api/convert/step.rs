//! Steps, failures and findings.

use causeway_engine::{
    Failure, FailureClass, Finding, Severity, StepKind, Workflow,
    event::{Undone, Verdict},
    state::{Direction, Phase, Step, UndoPhase},
    view::StepState,
};
use causeway_proto::v1 as pb;
use serde_json::Value;

use super::{ledger_entry, time};

/// A step.
pub(super) fn step(workflow: &Workflow, step: &Step) -> pb::Step {
    let undoing = workflow.direction == Direction::Undo && step.undo_attempts > 0;
    pb::Step {
        name: step.spec.name.to_string(),
        template: step.spec.template.clone(),
        key: step.spec.key.clone().unwrap_or_default(),
        kind: kind(step.spec.kind).into(),
        state: state(workflow, step).into(),
        attempt: if undoing { step.undo_attempts } else { step.attempts },
        start_time: step.started_at.map(time),
        update_time: step.undo_started_at.or(step.started_at).map(time),
        end_time: step.ended_at.map(time),
        verdict: verdict(step.verdict).into(),
        failure: step.failure().map(|failure| pb::Failure {
            step: step.spec.name.to_string(),
            time: step.ended_at.map(time),
            ..self::failure(failure, step.spec.name.as_str())
        }),
        undo: outcome(&step.undo),
        waiting: waiting(workflow, step),
        warnings: warnings(step).collect(),
        after: step.spec.after.iter().map(ToString::to_string).collect(),
        summary: if step.spec.kind == StepKind::Gate { spend(workflow) } else { String::new() },
        effects: step
            .effects
            .iter()
            .map(|object| ledger_entry(object, step.spec.name.as_str(), workflow.id.as_str()))
            .collect(),
    }
}

/// What a gate is about: how many nodes, and of which instance types. Empty where the input asks for none.
pub(super) fn spend(workflow: &Workflow) -> String {
    let pools = workflow.input.pointer("/spec/node_pools").and_then(Value::as_array);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut all, mut parts) = (0, Vec::new());
    for pool in pools.into_iter().flatten() {
        let size = pool["size"].as_u64().unwrap_or_default();
        let types = pool["instance_types"].as_array().into_iter().flatten().map(text);
        let types = types.collect::<Vec<_>>().join(" or ");
        all += size;
        parts.push(format!("{size} x {types} ({})", text(&pool["name"])));
    }
    match all {
        _ if parts.is_empty() => String::new(),
        1 => format!("1 node: {}", parts.join(", ")),
        _ => format!("{all} nodes: {}", parts.join(", ")),
    }
}

pub(in crate::api) fn kind(kind: StepKind) -> pb::step::Kind {
    match kind {
        StepKind::Check => pb::step::Kind::Check,
        StepKind::Action => pb::step::Kind::Action,
        StepKind::Gate => pb::step::Kind::Gate,
    }
}

/// The engine knows one word for what checks, actions and gates do alike; people are told which it is.
pub(super) fn state(workflow: &Workflow, step: &Step) -> pb::step::State {
    use pb::step::State;
    match (step.public_state(), step.spec.kind) {
        (StepState::Pending, _) if workflow.direction == Direction::Undo || workflow.is_ended() => {
            State::Skipped
        }
        (StepState::Pending, _) => State::Pending,
        (StepState::Blocked | StepState::Waiting | StepState::AwaitingApproval, _) => {
            State::Waiting
        }
        (StepState::Reading, StepKind::Action) => State::Observing,
        (StepState::Reading, StepKind::Check | StepKind::Gate) => State::Checking,
        (StepState::Applying, _) => State::Applying,
        (StepState::Unresolved, _) => State::Unresolved,
        (StepState::Confirming, _) => State::Confirming,
        (StepState::Retrying, _) => State::RetryWait,
        (StepState::Held, _) => State::Held,
        (StepState::Failed, _) => State::Failed,
        (StepState::Done, StepKind::Check) => State::Passed,
        (StepState::Done, StepKind::Action) => State::Confirmed,
        (StepState::Done, StepKind::Gate) => State::Approved,
        (StepState::Undoing, _) => State::Undoing,
        (StepState::UndoRetrying, _) => State::UndoRetryWait,
        (StepState::Stuck, _) => State::UndoFailed,
        (StepState::Undone | StepState::Kept, _) => State::Undone,
    }
}

pub(in crate::api) fn verdict(verdict: Option<Verdict>) -> pb::step::Verdict {
    match verdict {
        None => pb::step::Verdict::Unspecified,
        Some(Verdict::Change) => pb::step::Verdict::Change,
        Some(Verdict::Ours) => pb::step::Verdict::Ours,
        Some(Verdict::Shared) => pb::step::Verdict::Shared,
        Some(Verdict::Adopted) => pb::step::Verdict::Adopted,
    }
}

fn outcome(undo: &UndoPhase) -> Option<pb::UndoOutcome> {
    use pb::undo_outcome::{Kind, Reason};
    let UndoPhase::Ended(undone) = undo else { return None };
    let outcome = |kind: Kind, reason: Reason, detail: &str| pb::UndoOutcome {
        kind: kind.into(),
        reason: reason.into(),
        detail: detail.to_owned(),
    };
    Some(match undone {
        Undone::Reverted => outcome(Kind::Reverted, Reason::Unspecified, ""),
        Undone::NothingThere => outcome(Kind::NothingThere, Reason::Unspecified, ""),
        Undone::Kept { reason, .. } => {
            let known = [
                ("changed_by_other", Reason::ChangedByOther),
                ("in_use", Reason::InUse),
                ("needed_by", Reason::NeededBy),
                ("shared", Reason::Shared),
            ];
            let found = known.iter().find(|(word, _)| reason.starts_with(word));
            outcome(Kind::Kept, found.map_or(Reason::Unspecified, |(_, kind)| *kind), reason)
        }
        Undone::Skipped { reason, .. } => outcome(Kind::Skipped, Reason::Unspecified, reason),
    })
}

fn waiting(workflow: &Workflow, step: &Step) -> Option<pb::Waiting> {
    use pb::waiting::Reason;
    let blocked = |key: &dyn std::fmt::Display, behind: &dyn std::fmt::Display| {
        format!("{key}, held by {behind}")
    };
    let (reason, on, until) = match (&step.undo, &step.phase) {
        (UndoPhase::Blocked { key, behind }, _) => (Reason::Lock, blocked(key, behind), None),
        (UndoPhase::Waiting { until, message }, _) => {
            (Reason::Timer, message.clone(), Some(*until))
        }
        (UndoPhase::RetryWait { until, failure }, _) => {
            (Reason::Retrying, failure.message.clone(), Some(*until))
        }
        (UndoPhase::Stuck { failure }, _) => (Reason::UndoFailed, failure.message.clone(), None),
        (UndoPhase::Undoing { .. } | UndoPhase::Ended(_), _) => return None,
        (UndoPhase::Idle, phase) => match phase {
            Phase::Blocked { key, behind, .. } => (Reason::Lock, blocked(key, behind), None),
            Phase::Waiting { until, message } => (Reason::Timer, message.clone(), Some(*until)),
            Phase::GateOpen { until } => (Reason::Approval, spend(workflow), Some(*until)),
            Phase::Unresolved { settles_at } => {
                (Reason::Unresolved, String::new(), Some(*settles_at))
            }
            Phase::Confirming { until, message, .. } => {
                (Reason::Confirming, message.clone(), Some(*until))
            }
            Phase::RetryWait { until, failure, .. } => {
                (Reason::Retrying, failure.message.clone(), Some(*until))
            }
            Phase::Held { failure, .. } => (Reason::Held, failure.message.clone(), None),
            Phase::Pending
            | Phase::Reading
            | Phase::Observed
            | Phase::Applying { .. }
            | Phase::Failed { .. }
            | Phase::Done => return None,
        },
    };
    Some(pb::Waiting {
        reason: reason.into(),
        since: step
            .undo_failing_since
            .or(step.failing_since)
            .or(step.undo_started_at)
            .or(step.started_at)
            .map(time),
        step: step.spec.name.to_string(),
        on,
        until: until.map(time),
        next_commands: Vec::new(),
    })
}

/// What went wrong first, with the findings of every check that failed: people mend all of them before they try again.
pub(super) fn first_failure(workflow: &Workflow) -> Option<pb::Failure> {
    let (name, first) = workflow.failure()?;
    let step = workflow.step(name)?;
    let mut failure = failure(first, name.as_str());
    for other in workflow.steps.iter().filter(|other| other.spec.name != *name) {
        let Phase::Failed { failure: also } = &other.phase else { continue };
        if also.findings.is_empty() {
            failure.findings.push(pb::Finding {
                severity: pb::finding::Severity::Error.into(),
                code: also.code.clone().unwrap_or_default(),
                message: also.message.clone(),
                step: other.spec.name.to_string(),
                ..Default::default()
            });
        }
        failure
            .findings
            .extend(also.findings.iter().map(|found| finding(found, other.spec.name.as_str())));
    }
    Some(pb::Failure { step: name.to_string(), time: step.ended_at.map(time), ..failure })
}

/// A failure of that step.
pub(super) fn failure(failure: &Failure, step: &str) -> pb::Failure {
    pb::Failure {
        class: class(failure.class).into(),
        code: failure.code.clone().unwrap_or_default(),
        message: failure.message.clone(),
        request_id: failure.request_id.clone().unwrap_or_default(),
        findings: failure.findings.iter().map(|found| finding(found, step)).collect(),
        step: String::new(),
        time: None,
    }
}

fn class(class: FailureClass) -> pb::failure::Class {
    match class {
        FailureClass::Retryable => pb::failure::Class::Retryable,
        FailureClass::Throttled => pb::failure::Class::Throttled,
        FailureClass::Permanent => pb::failure::Class::Permanent,
        FailureClass::Gone => pb::failure::Class::Gone,
        FailureClass::Stale => pb::failure::Class::Stale,
        FailureClass::Unknown => pb::failure::Class::Unknown,
    }
}

/// What a step said without stopping.
pub(super) fn warnings(step: &Step) -> impl Iterator<Item = pb::Finding> + '_ {
    step.warnings.iter().map(|found| finding(found, step.spec.name.as_str()))
}

/// What a step found.
pub(in crate::api) fn finding(found: &Finding, step: &str) -> pb::Finding {
    let severity = match found.severity {
        Severity::Error => pb::finding::Severity::Error,
        Severity::Warning => pb::finding::Severity::Warning,
    };
    pb::Finding {
        severity: severity.into(),
        code: found.code.clone(),
        subject: found.subject.clone(),
        message: found.message.clone(),
        remedy: found.remedy.clone(),
        step: step.to_owned(),
    }
}
