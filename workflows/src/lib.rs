//! The hybrid-cluster sagas: definitions, one file per step, and the clients of the cloud and of Kubernetes. It knows no
//! journal, store or API: the daemon gives each step a [`sdk::Context`] and writes down what it says.

pub mod alibaba;
pub mod connection;
pub mod definition;
pub mod dispatch;
pub mod hybrid_cluster;
pub mod kubernetes;
pub mod noop;
pub mod permissions;
pub mod preview;
pub mod script;
pub mod sdk;
pub mod spec;
pub mod steps;
pub mod teardown;
pub mod timing;

pub use connection::{Connection, ConnectionConfig, CredentialSource};
pub use definition::{Definition, Template, Work};
pub use timing::Timing;

/// Every definition that this daemon knows.
#[must_use]
pub fn registry() -> Vec<Definition> {
    let build = hybrid_cluster::definition();
    let mut definitions = vec![teardown::of(&build), build];
    definitions.extend(noop::definitions());
    definitions
}
