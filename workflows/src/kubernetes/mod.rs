//! The Kubernetes API of the registered clusters: the only part that knows kube. It knows no cloud; where a kubeconfig
//! comes from is told by a [`KubeconfigSource`]. Objects are plain JSON, so that no field of a newer API is ever lost.

mod answer;
mod cluster;
mod clusters;
mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod marker;
pub mod node;
mod patch;
mod pinned;
mod resource;
pub mod rollout;
mod verb;

pub use cluster::{Cluster, FIELD_MANAGER};
pub use clusters::{Clusters, KubeconfigSource, Options};
pub use error::{Access, Cause, Error};
pub use marker::MARKER;
pub use patch::merge_patch;
pub use pinned::cluster_of;
pub(crate) use pinned::kube_system_uid;
pub use resource::{ObjectRef, Resource};
pub use verb::{Verb, verbs};
