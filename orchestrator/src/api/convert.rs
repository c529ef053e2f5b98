//! From the engine's state and records to the messages of the contract. Nothing is decided here.

mod cluster;
mod event;
mod listed;
mod step;
#[cfg(test)]
mod tests;
mod text;

use causeway_engine::{
    PublicState, Time, Workflow,
    event::{Cause, Object, Origin},
    state::{Direction, Left, Phase, WaitingFor},
    teardown::Teardown,
};
use causeway_proto::{json, names, v1 as pb};
use causeway_workflows::preview::{Change, ChangeKind};
use sha2::{Digest as _, Sha256};

pub(super) use cluster::{connection, hybrid_cluster, result, verification};
pub(super) use event::event;
pub(super) use listed::listed;
pub(super) use step::{finding, kind, verdict};

/// Program that `next_commands` are typed for.
const PROGRAM: &str = "causeway";

/// A point in time.
pub(super) fn time(time: Time) -> prost_types::Timestamp {
    let (seconds, millis) = (time.0 / 1000, time.0 % 1000);
    prost_types::Timestamp {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis * 1_000_000).expect("below a thousand million"),
    }
}

/// The whole workflow.
pub(super) fn workflow(state: &Workflow) -> pb::Workflow {
    let steps = state.steps.iter().map(|one| step::step(state, one)).collect();
    pb::Workflow { steps, ..summary(state) }
}

/// The workflow as lists show it: without its steps.
pub(super) fn summary(state: &Workflow) -> pb::Workflow {
    let public = state.public_state();
    let (metadata, spec, run) = match &state.teardown {
        Some(teardown) => (None, Some(teardown_of(state, teardown)), None),
        None => input(&state.input),
    };
    pb::Workflow {
        name: names::workflow(state.id.as_str()),
        id: state.id.to_string(),
        definition: state.definition.name.clone(),
        revision: state.definition.revision,
        state: public_state(public).into(),
        direction: direction(state.direction).into(),
        cause: cause(state.cause).into(),
        waiting: state.waiting().map(|found| waiting(state, found)),
        steps: Vec::new(),
        failure: step::first_failure(state),
        warnings: state.steps.iter().flat_map(step::warnings).collect(),
        left: state.left().iter().map(|left| entry_left(left, state)).collect(),
        result: None,
        labels: state.labels.clone(),
        etag: etag(state),
        run,
        plan_digest: state.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default(),
        request_id: String::new(),
        started_by: state.started_by.principal.clone(),
        hybrid_cluster: non_empty(&state.cluster).map(names::hybrid_cluster).unwrap_or_default(),
        cluster_id: state
            .input
            .pointer("/spec/cluster_id")
            .and_then(|id| id.as_str())
            .unwrap_or_default()
            .to_owned(),
        connection: state.connection.clone(),
        create_time: Some(time(state.started_at)),
        start_time: state.steps.iter().filter_map(|step| step.started_at).min().map(time),
        update_time: Some(time(state.updated_at)),
        end_time: state.ended_at.map(time),
        trace_id: crate::telemetry::trace_id(&state.id),
        metadata,
        spec,
    }
}

/// The number of records, which verbs are compared by, and a digest of what the public state hangs on, which
/// WaitWorkflow compares.
pub(super) fn etag(state: &Workflow) -> String {
    let waiting = state.waiting().map(|waiting| (waiting.reason, waiting.step));
    let gates: Vec<_> = state
        .steps
        .iter()
        .filter(|step| matches!(step.phase, Phase::GateOpen { .. } | Phase::Held { .. }))
        .map(|step| step.spec.name.as_str())
        .collect();
    let all = format!("{:?} {:?} {waiting:?} {gates:?}", state.public_state(), state.cause);
    format!("{}-{}", state.seq, hex::encode(&Sha256::digest(all)[..8]))
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

type Input = (Option<pb::Metadata>, Option<pb::workflow::Spec>, Option<pb::RunOptions>);

/// What would become of an object.
pub(super) fn change(change: &Change) -> pb::PlannedChange {
    use pb::planned_change::Action;
    let action = match change.kind_of_change {
        ChangeKind::Create => Action::Create,
        ChangeKind::Modify => Action::Modify,
        ChangeKind::Keep => Action::Keep,
        ChangeKind::Remove => Action::Remove,
        ChangeKind::Restore => Action::Restore,
    };
    pb::PlannedChange {
        kind: change.kind.clone(),
        identity: change.id.clone(),
        action: action.into(),
        diff: change.diff.clone(),
    }
}

fn teardown_of(state: &Workflow, teardown: &Teardown) -> pb::workflow::Spec {
    let hybrid_cluster = names::hybrid_cluster(&state.cluster);
    pb::workflow::Spec::Teardown(pb::TeardownSpec { hybrid_cluster, forget: teardown.forget })
}

/// The input document as it was journaled. One that can't be read (by an older contract) is left out: everything else of
/// the workflow is still worth showing.
fn input(document: &serde_json::Value) -> Input {
    if document.get("kind").and_then(|kind| kind.as_str()) == Some(causeway_proto::input::NOOP) {
        return match json::decode::<pb::NoopInput>(document) {
            Ok(input) => (None, input.spec.map(pb::workflow::Spec::Noop), input.run),
            Err(_) => (None, None, None),
        };
    }
    match json::decode::<pb::HybridClusterInput>(document) {
        Ok(input) => {
            (input.metadata, input.spec.map(pb::workflow::Spec::HybridClusterSpec), input.run)
        }
        Err(_) => (None, None, None),
    }
}

/// The public state.
pub(super) fn public_state(state: PublicState) -> pb::workflow::State {
    use pb::workflow::State;
    match state {
        PublicState::Queued => State::Queued,
        PublicState::Running => State::Running,
        PublicState::AwaitingApproval => State::AwaitingApproval,
        PublicState::Paused => State::Paused,
        PublicState::Compensating => State::Compensating,
        PublicState::Stuck => State::Stuck,
        PublicState::Quarantined => State::Quarantined,
        PublicState::Succeeded => State::Succeeded,
        PublicState::Rejected => State::Rejected,
        PublicState::Compensated => State::Compensated,
        PublicState::Cancelled => State::Cancelled,
        PublicState::Abandoned => State::Abandoned,
    }
}

fn direction(direction: Direction) -> pb::workflow::Direction {
    match direction {
        Direction::Forward => pb::workflow::Direction::Forward,
        Direction::Undo => pb::workflow::Direction::Undo,
    }
}

fn cause(cause: Option<Cause>) -> pb::workflow::Cause {
    match cause {
        None | Some(Cause::Teardown) => pb::workflow::Cause::Unspecified,
        Some(Cause::Failure) => pb::workflow::Cause::Failure,
        Some(Cause::Cancel) => pb::workflow::Cause::Cancel,
        Some(Cause::Timeout) => pb::workflow::Cause::Timeout,
        Some(Cause::Denied) => pb::workflow::Cause::Denied,
    }
}

fn waiting(state: &Workflow, waiting: WaitingFor) -> pb::Waiting {
    let reason = pb::waiting::Reason::from_str_name(&waiting.reason)
        .unwrap_or(pb::waiting::Reason::Operator);
    pb::Waiting {
        reason: reason.into(),
        since: Some(time(waiting.since)),
        step: waiting.step.map(|step| step.to_string()).unwrap_or_default(),
        on: match (reason, step::spend(state)) {
            (pb::waiting::Reason::Approval, spend) if !spend.is_empty() => spend,
            _ => waiting.on,
        },
        until: None,
        next_commands: waiting
            .next_commands
            .iter()
            .map(|command| format!("{PROGRAM} {command}"))
            .collect(),
    }
}

fn entry_left(left: &Left, state: &Workflow) -> pb::LedgerEntry {
    use pb::ledger_entry::State;
    let present = if left.possibly { State::PossiblyPresent } else { State::Present };
    let kept = state.step(&left.step).and_then(causeway_engine::Step::kept_because);
    let state_now = if kept.is_some() && !left.possibly { State::Kept } else { present };
    let entry = ledger_entry(&left.object, left.step.as_str(), state.acts_as().as_str());
    let note = kept.map(|reason| format!("kept: {reason}")).unwrap_or_default();
    pb::LedgerEntry { state: state_now.into(), note, ..entry }
}

/// An entry of the ledger.
pub(super) fn ledger_entry(object: &Object, step: &str, workflow: &str) -> pb::LedgerEntry {
    use pb::ledger_entry::{Origin as Kind, State};
    let origin = match object.origin {
        Origin::Created => Kind::Created,
        Origin::Modified => Kind::Modified,
        Origin::Adopted => Kind::Adopted,
        Origin::Shared => Kind::Shared,
    };
    let state = if object.present { State::Present } else { State::Undone };
    pb::LedgerEntry {
        kind: object.kind.clone(),
        identity: object.id.clone(),
        origin: origin.into(),
        state: state.into(),
        step: step.to_owned(),
        workflow: names::workflow(workflow),
        note: String::new(),
        removal: object.remedy.clone(),
        create_time: None,
    }
}
