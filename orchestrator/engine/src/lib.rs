//! The pure saga state machine of Causeway: `decide(state, input, now) -> events + effects`, `apply(state, event)`.
//! It knows no I/O, clock, randomness, tokio, tonic, sled or kube: time, ids and jitter are inputs.

pub mod apply;
pub mod decide;
pub mod definition;
pub mod event;
pub mod failure;
mod forward;
pub mod ids;
pub mod input;
mod outcome;
mod quarantine;
pub mod state;
pub mod teardown;
mod undo;
mod verbs;
pub mod view;
mod waiting;

pub use decide::decide;
pub use definition::{DefinitionRef, Limits, LostCall, StepKind, StepSpec};
pub use event::{Event, Record};
pub use failure::{Failure, FailureClass, Finding, Severity};
pub use ids::{ResourceKey, StepName, Time, WorkflowId};
pub use input::{
    Decision, Input, Operation, OperationKind, Reason, Refusal, Rejection, StepOutcome, Verb,
};
pub use state::{PublicState, Step, Workflow};
