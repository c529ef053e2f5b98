//! Where objects lie in the API: paths of collections and objects. Knows no calls.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path segment must not hold as it is.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// A resource type of the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    plural: Cow<'static, str>,
    kind: Cow<'static, str>,
}

impl Resource {
    /// `v1` ConfigMap.
    pub const CONFIG_MAPS: Self = Self::fixed("", "v1", "configmaps", "ConfigMap");
    /// `v1` Namespace.
    pub const NAMESPACES: Self = Self::fixed("", "v1", "namespaces", "Namespace");
    /// `v1` Node.
    pub const NODES: Self = Self::fixed("", "v1", "nodes", "Node");
    /// `v1` Pod.
    pub const PODS: Self = Self::fixed("", "v1", "pods", "Pod");
    /// `v1` Secret; what the API server says about its content is never repeated.
    pub const SECRETS: Self = Self::fixed("", "v1", "secrets", "Secret");
    /// `v1` Service.
    pub const SERVICES: Self = Self::fixed("", "v1", "services", "Service");
    /// `apps/v1` DaemonSet.
    pub const DAEMON_SETS: Self = Self::fixed("apps", "v1", "daemonsets", "DaemonSet");
    /// `apps/v1` Deployment.
    pub const DEPLOYMENTS: Self = Self::fixed("apps", "v1", "deployments", "Deployment");
    /// `apiextensions.k8s.io/v1` CustomResourceDefinition.
    pub const CRDS: Self = Self::fixed(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    );
    /// `crd.projectcalico.org/v1` IPPool.
    pub const IP_POOLS: Self = Self::fixed("crd.projectcalico.org", "v1", "ippools", "IPPool");
    /// `operator.tigera.io/v1` Installation.
    pub const INSTALLATIONS: Self =
        Self::fixed("operator.tigera.io", "v1", "installations", "Installation");

    const fn fixed(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
        }
    }

    /// A resource that a CRD defines.
    #[must_use]
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        let own = |text: &str| Cow::Owned(text.to_owned());
        Self { group: own(group), version: own(version), plural: own(plural), kind: own(kind) }
    }

    /// `apps`; empty for core.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `daemonsets`.
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// `DaemonSet`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// One object in a namespace.
    #[must_use]
    pub fn at(&self, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef {
            resource: self.clone(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            secret: false,
        }
    }

    /// One object that lies in no namespace.
    #[must_use]
    pub fn named(&self, name: &str) -> ObjectRef {
        ObjectRef { resource: self.clone(), namespace: None, name: name.to_owned(), secret: false }
    }

    /// The path of a collection; of all namespaces where none is given.
    #[must_use]
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", encode(&self.group), encode(&self.version))
        };
        match namespace {
            Some(namespace) => {
                format!("{root}/namespaces/{}/{}", encode(namespace), encode(&self.plural))
            }
            None => format!("{root}/{}", encode(&self.plural)),
        }
    }
}

/// One object, there or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Its resource type.
    pub resource: Resource,
    /// Its namespace, where the type has them.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    secret: bool,
}

impl ObjectRef {
    /// The same object, known to hold a secret: what the API server says about its content is not repeated.
    #[must_use]
    pub fn with_secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Whether it holds a secret.
    #[must_use]
    pub(super) fn holds_secret(&self) -> bool {
        self.secret || self.resource == Resource::SECRETS
    }

    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.resource.path(self.namespace.as_deref()), encode(&self.name))
    }

    /// `namespace/name`, or the name: its id in the ledger.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.plural, self.id())
    }
}

pub(super) fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_group_namespace_and_name() {
        assert_eq!(
            Resource::CONFIG_MAPS.at("kube-system", "eni-config").path(),
            "/api/v1/namespaces/kube-system/configmaps/eni-config"
        );
        assert_eq!(Resource::DAEMON_SETS.path(None), "/apis/apps/v1/daemonsets");
        assert_eq!(
            Resource::CRDS.named("ippools.crd.projectcalico.org").path(),
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ippools.crd.projectcalico.org"
        );
    }

    #[test]
    fn a_name_can_not_leave_its_segment() {
        assert_eq!(
            Resource::SECRETS.at("a/../b", "x?y#z").path(),
            "/api/v1/namespaces/a%2F..%2Fb/secrets/x%3Fy%23z"
        );
    }
}
