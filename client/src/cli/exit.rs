//! Exit codes: the one table, from states and from errors. They are part of the contract: scripts decide by them.

use std::process::ExitCode;

use causeway_proto::reasons as r;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Step, Workflow, step};
use tonic::Code;

use super::commands::CommandError;
use crate::error::Error;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, accepted, or (waiting) SUCCEEDED.
    Done = 0,
    /// Any other error.
    Other = 1,
    /// Wrong usage or input, or REJECTED: nothing was touched.
    Input = 2,
    /// COMPENSATED.
    Compensated = 3,
    /// CANCELLED.
    Cancelled = 4,
    /// STUCK: an undo needs a person.
    Stuck = 5,
    /// The time for waiting is over.
    TimedOut = 6,
    /// The daemon can't be reached.
    Unreachable = 7,
    /// The daemon does not know us, or we may not do this.
    Denied = 8,
    /// There is no such thing.
    NotFound = 9,
    /// Conflict, or refused in this state.
    Refused = 10,
    /// Something would change, or has changed, where that was asked.
    Differences = 11,
    /// ABANDONED: something is left.
    Abandoned = 12,
    /// Waits for a person: PAUSED, AWAITING_APPROVAL, QUARANTINED.
    NeedsPerson = 13,
    /// The user stopped waiting; the workflow goes on.
    Detached = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The code of a workflow that is waited for; `None` while it is worth waiting. `through` waits through what only a person
    /// can move on.
    #[must_use]
    pub fn of_workflow(workflow: &Workflow, through: bool) -> Option<Self> {
        let rests = match workflow.state() {
            State::Succeeded => return Some(Self::Done),
            State::Rejected => return Some(Self::Input),
            State::Compensated => return Some(Self::Compensated),
            State::Cancelled => return Some(Self::Cancelled),
            State::Abandoned => return Some(Self::Abandoned),
            // All other undos go on while one is stuck: their end is worth waiting for.
            State::Stuck if workflow.steps.iter().any(moves) => None,
            State::Stuck => Some(Self::Stuck),
            State::Paused | State::AwaitingApproval | State::Quarantined => Some(Self::NeedsPerson),
            State::Unspecified | State::Queued | State::Running | State::Compensating => None,
        };
        rests.filter(|_| !through)
    }

    /// The code of a call that failed.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::Unreachable { .. } => Self::Unreachable,
            Error::Address(_) | Error::InsecureToken { .. } | Error::Credentials { .. } => {
                Self::Input
            }
            Error::Api(error) => {
                let known = REASONS.iter().find(|(reason, _)| *reason == error.reason);
                known.map_or_else(|| of_code(error.code), |(_, exit)| *exit)
            }
        }
    }
}

/// What each reason of the API comes to. One of a later version goes by its gRPC code.
const REASONS: &[(&str, Exit)] = &[
    (r::INVALID_FIELD, Exit::Input),
    (r::NOT_SUPPORTED_YET, Exit::Input),
    ("REQUEST_UNREADABLE", Exit::Input),
    ("REQUEST_TOO_LARGE", Exit::Input),
    (r::PAGE_TOKEN_INVALID, Exit::Input),
    (r::UNAUTHENTICATED, Exit::Denied),
    (r::PERMISSION_DENIED, Exit::Denied),
    (r::WORKFLOW_NOT_FOUND, Exit::NotFound),
    (r::HYBRID_CLUSTER_NOT_FOUND, Exit::NotFound),
    (r::STEP_NOT_FOUND, Exit::NotFound),
    (r::WORKFLOW_EXISTS, Exit::Refused),
    (r::REQUEST_ID_REUSED, Exit::Refused),
    (r::REQUEST_EXPIRED, Exit::Refused),
    (r::CLUSTER_EXISTS, Exit::Refused),
    (r::CLUSTER_CHANGED, Exit::Refused),
    (r::TEARDOWN_UNFIT, Exit::Refused),
    (r::WRONG_STATE, Exit::Refused),
    (r::PAST_PIVOT, Exit::Refused),
    (r::WORKFLOW_ENDED, Exit::Refused),
    (r::WORKFLOW_NOT_ENDED, Exit::Refused),
    (r::USE_RETRY, Exit::Refused),
    (r::NOT_STARTED, Exit::Refused),
    (r::STEP_NOT_SKIPPABLE, Exit::Refused),
    (r::GATE_NOT_OPEN, Exit::Refused),
    (r::PLAN_STALE, Exit::Refused),
    (r::DEFINITION_UNKNOWN, Exit::Refused),
    (r::QUARANTINED, Exit::Refused),
    (r::ETAG_MISMATCH, Exit::Refused),
    (r::CONFLICT, Exit::Refused),
    (r::CURSOR_EXPIRED, Exit::Refused),
    (r::SHUTTING_DOWN, Exit::Unreachable),
    (r::DRAINING, Exit::Unreachable),
    (r::STORE_UNAVAILABLE, Exit::Unreachable),
    (r::PLAN_UNREAD, Exit::Unreachable),
    (r::WATCH_TOO_SLOW, Exit::Other),
    (r::LIMIT_REACHED, Exit::Other),
    (r::RECORD_CORRUPT, Exit::Other),
    (r::RPC_NOT_IMPLEMENTED, Exit::Other),
    (r::INTERNAL, Exit::Other),
];

fn moves(step: &Step) -> bool {
    use step::State as S;
    matches!(
        step.state(),
        S::Checking
            | S::Observing
            | S::Applying
            | S::Unresolved
            | S::Confirming
            | S::Undoing
            | S::UndoRetryWait
    )
}

/// The code of a command that failed.
pub(super) fn of_error(error: &CommandError) -> Exit {
    match error {
        CommandError::Usage(_) | CommandError::Input { .. } | CommandError::File { .. } => {
            Exit::Input
        }
        CommandError::NotFound(_) => Exit::NotFound,
        CommandError::Declined => Exit::Refused,
        CommandError::Output(_) | CommandError::Write { .. } => Exit::Other,
        CommandError::Client(error) => Exit::of_error(error),
    }
}

fn of_code(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Done,
        Code::InvalidArgument => Exit::Input,
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted | Code::OutOfRange => {
            Exit::Refused
        }
        Code::PermissionDenied | Code::Unauthenticated => Exit::Denied,
        Code::Unavailable | Code::DeadlineExceeded => Exit::Unreachable,
        Code::Cancelled
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => Exit::Other,
    }
}

#[cfg(test)]
mod tests {
    use causeway_proto::reasons;

    use super::*;
    use crate::error::ApiError;

    fn workflow(state: State) -> Workflow {
        Workflow { state: state.into(), ..Workflow::default() }
    }

    #[test]
    fn every_state_has_its_code() {
        for (state, code, through) in [
            (State::Succeeded, Some(0), Some(0)),
            (State::Rejected, Some(2), Some(2)),
            (State::Compensated, Some(3), Some(3)),
            (State::Cancelled, Some(4), Some(4)),
            (State::Stuck, Some(5), None),
            (State::Abandoned, Some(12), Some(12)),
            (State::Paused, Some(13), None),
            (State::AwaitingApproval, Some(13), None),
            (State::Quarantined, Some(13), None),
            (State::Queued, None, None),
            (State::Running, None, None),
            (State::Compensating, None, None),
        ] {
            let code_of =
                |through| Exit::of_workflow(&workflow(state), through).map(|exit| exit as u8);
            assert_eq!((code_of(false), code_of(true)), (code, through), "{state:?}");
        }
    }

    #[test]
    fn a_stuck_workflow_is_waited_for_while_other_undos_move() {
        let mut stuck = workflow(State::Stuck);
        let undoing = Step { state: step::State::Undoing.into(), ..Step::default() };
        stuck.steps =
            vec![Step { state: step::State::UndoFailed.into(), ..Step::default() }, undoing];
        assert_eq!(Exit::of_workflow(&stuck, false), None);
        stuck.steps[1].state = step::State::Undone.into();
        assert_eq!(Exit::of_workflow(&stuck, false), Some(Exit::Stuck));
    }

    #[test]
    fn every_reason_has_its_code() {
        for (reason, _) in reasons::ALL {
            assert!(REASONS.iter().any(|(known, _)| known == reason), "{reason} is missing here");
        }
    }

    #[test]
    fn every_error_has_its_code() {
        let api = |code, reason: &str| {
            CommandError::Client(Error::Api(Box::new(ApiError {
                code,
                reason: reason.to_owned(),
                message: String::new(),
                violations: Vec::new(),
                metadata: std::collections::HashMap::new(),
                retry_after: None,
            })))
        };
        let unreachable = Error::Unreachable { address: String::new(), why: String::new() };
        for (error, code) in [
            (api(Code::InvalidArgument, reasons::INVALID_FIELD), 2),
            (api(Code::InvalidArgument, reasons::NOT_SUPPORTED_YET), 2),
            (CommandError::Usage(String::new()), 2),
            (CommandError::File { path: "x".into(), why: String::new() }, 2),
            (CommandError::Write { path: "x".into(), why: String::new() }, 1),
            (api(Code::FailedPrecondition, "OF_A_LATER_VERSION"), 10),
            (api(Code::NotFound, ""), 9),
            (CommandError::Client(unreachable), 7),
            (api(Code::Unavailable, reasons::SHUTTING_DOWN), 7),
            (api(Code::PermissionDenied, reasons::PERMISSION_DENIED), 8),
            (api(Code::Unauthenticated, reasons::UNAUTHENTICATED), 8),
            (api(Code::NotFound, reasons::WORKFLOW_NOT_FOUND), 9),
            (CommandError::NotFound(String::new()), 9),
            (api(Code::AlreadyExists, reasons::REQUEST_ID_REUSED), 10),
            (api(Code::FailedPrecondition, reasons::WRONG_STATE), 10),
            (api(Code::FailedPrecondition, reasons::REQUEST_EXPIRED), 10),
            (api(Code::Aborted, reasons::ETAG_MISMATCH), 10),
            (CommandError::Declined, 10),
            (api(Code::Internal, reasons::INTERNAL), 1),
            (api(Code::Unimplemented, reasons::RPC_NOT_IMPLEMENTED), 1),
            (api(Code::ResourceExhausted, reasons::LIMIT_REACHED), 1),
        ] {
            assert_eq!(of_error(&error) as u8, code, "{error:?}");
        }
    }
}
