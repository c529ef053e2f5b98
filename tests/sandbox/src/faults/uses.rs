//! Which permissions the daemon's calls have used: what a least policy must hold, and no more. It decides nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

/// The permissions that were used, each once.
#[derive(Debug, Default)]
pub struct Uses(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cloud: BTreeSet<String>,
    kubernetes: BTreeSet<KubernetesUse>,
}

/// A verb on a resource, in a namespace where it was asked for in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesUse {
    /// API group; empty for the core.
    pub group: String,
    /// Plural, with `/SUBRESOURCE` where there is one.
    pub resource: String,
    /// Empty: of all namespaces, or of none.
    pub namespace: String,
    /// `get`, `list`, …
    pub verb: String,
}

impl Uses {
    /// The RAM actions, such as `cs:DescribeClusterDetail`.
    #[must_use]
    pub fn cloud(&self) -> BTreeSet<String> {
        self.inner().cloud.clone()
    }

    /// The verbs of the clusters, whichever cluster it was.
    #[must_use]
    pub fn kubernetes(&self) -> BTreeSet<KubernetesUse> {
        self.inner().kubernetes.clone()
    }

    pub(crate) fn note_cloud(&self, action: &str) {
        let mut inner = self.inner();
        if !inner.cloud.contains(action) {
            inner.cloud.insert(action.to_owned());
        }
    }

    pub(crate) fn note_kubernetes(&self, used: KubernetesUse) {
        self.inner().kubernetes.insert(used);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it holds the permissions")
    }
}
