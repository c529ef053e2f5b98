//! The pure saga state machine of Causeway: `decide(state, input, now) -> events + effects`, `apply(state, event)`.
//! It knows no I/O, clock, randomness, tokio, tonic, sled or kube: time, ids and jitter are inputs.

pub mod definition;
pub mod event;
pub mod failure;
pub mod ids;
pub mod input;
pub mod state;

pub use definition::{DefinitionRef, Limits, LostCall, StepKind, StepSpec};
pub use event::{Event, Record};
pub use failure::{Failure, FailureClass, Finding, Severity};
pub use ids::{ResourceKey, StepName, Time, WorkflowId};
pub use input::{Input, Outcome, StepOutcome};
pub use state::Workflow;
