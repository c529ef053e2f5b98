//! What carries calico-node's affinity: its DaemonSet, or the Installation of the operator that owns the DaemonSet.

use std::fmt;

use causeway_engine::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kubernetes::{Cluster, ObjectRef, Resource};
use crate::steps::check_kubernetes::{CalicoFacts, CalicoInstall};

/// The name that the operator gives its one Installation.
const INSTALLATION: &str = "default";
/// Where a DaemonSet has its template's affinity.
const IN_DAEMON_SET: [&str; 4] = ["spec", "template", "spec", "affinity"];
/// Where an Installation has calico-node's.
const IN_INSTALLATION: [&str; 6] =
    ["spec", "calicoNodeDaemonSet", "spec", "template", "spec", "affinity"];

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    /// Of the DaemonSet.
    namespace: String,
    /// The DaemonSet's name.
    daemonset: String,
    /// Whether the operator owns it.
    operator: bool,
}

impl Target {
    /// As the check found Calico.
    pub(super) fn of(calico: &CalicoFacts) -> Self {
        Self {
            namespace: calico.namespace.clone(),
            daemonset: calico.daemonset.clone(),
            operator: calico.install == CalicoInstall::Operator,
        }
    }

    /// The object that is edited.
    pub(super) fn object(&self) -> ObjectRef {
        if self.operator {
            Resource::INSTALLATIONS.named(INSTALLATION)
        } else {
            self.daemon_set_ref()
        }
    }

    /// The DaemonSet in any case.
    pub(super) fn daemon_set_ref(&self) -> ObjectRef {
        Resource::DAEMON_SETS.at(&self.namespace, &self.daemonset)
    }

    pub(super) async fn read(&self, cluster: &Cluster) -> Result<Value, Failure> {
        present(cluster, &self.object()).await
    }

    pub(super) async fn daemon_set(&self, cluster: &Cluster) -> Result<Value, Failure> {
        present(cluster, &self.daemon_set_ref()).await
    }

    /// The affinity as the object says it; null: it says none.
    pub(super) fn affinity<'a>(&self, object: &'a Value) -> &'a Value {
        self.path().iter().fold(object, |at, field| &at[*field])
    }

    /// How much of the way to the affinity is there.
    pub(super) fn depth(&self, object: &Value) -> usize {
        let mut at = object;
        self.path()
            .iter()
            .take_while(|field| {
                at.get(**field).is_some_and(|next| {
                    at = next;
                    true
                })
            })
            .count()
    }

    /// Writes the affinity, with the way to it where that is not there.
    pub(super) fn set_affinity(&self, object: &mut Value, affinity: Value) {
        let mut at = object;
        for field in self.path() {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[*field];
        }
        *at = affinity;
    }

    /// Writes the affinity back; null takes the field away, and what of the way to it was not there (`depth`) and is
    /// empty now.
    pub(super) fn restore_affinity(&self, object: &mut Value, affinity: Value, depth: usize) {
        if !affinity.is_null() {
            return self.set_affinity(object, affinity);
        }
        let path = self.path();
        for length in (1..=path.len()).rev() {
            let (field, parents) = (path[length - 1], &path[..length - 1]);
            let mut at = &mut *object;
            for parent in parents {
                let Some(next) = at.get_mut(*parent) else { return };
                at = next;
            }
            let Some(map) = at.as_object_mut() else { return };
            let leaf = length == path.len();
            let empty =
                map.get(field).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty);
            if leaf || (empty && length > depth) {
                map.remove(field);
            } else {
                return;
            }
        }
    }

    /// Refuses an operator whose Installation does not know calico-node's affinity yet: it would take the field out.
    pub(super) async fn check_schema(&self, cluster: &Cluster) -> Result<(), Failure> {
        if !self.operator {
            return Ok(());
        }
        let crd =
            present(cluster, &Resource::CRDS.named("installations.operator.tigera.io")).await?;
        if knows_affinity(&crd) {
            return Ok(());
        }
        Err(Failure::permanent(
            "the Tigera operator owns calico-node, and its Installation has no `calicoNodeDaemonSet` affinity to fence it with: \
             update the operator (Calico 3.25 or later), then start again",
        )
        .with_code("CONFLICT"))
    }

    fn path(&self) -> &'static [&'static str] {
        if self.operator { &IN_INSTALLATION } else { &IN_DAEMON_SET }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object().fmt(f)
    }
}

/// The affinity of a DaemonSet's pod template; null: none.
pub(super) fn template_affinity(daemon_set: &Value) -> &Value {
    &daemon_set["spec"]["template"]["spec"]["affinity"]
}

/// Whether a stored version of the Installation CRD keeps `calicoNodeDaemonSet`'s affinity.
fn knows_affinity(crd: &Value) -> bool {
    let versions = crd["spec"]["versions"].as_array();
    versions.into_iter().flatten().filter(|version| version["served"] == true).any(|version| {
        let mut schema = &version["schema"]["openAPIV3Schema"];
        for field in IN_INSTALLATION {
            if schema["x-kubernetes-preserve-unknown-fields"] == true {
                return true;
            }
            schema = &schema["properties"][field];
        }
        schema.is_object()
    })
}

async fn present(cluster: &Cluster, object: &ObjectRef) -> Result<Value, Failure> {
    cluster.get(object).await?.ok_or_else(|| {
        Failure::permanent(format!(
            "{object} is gone, though the checks found it; bring Calico back, then start again"
        ))
        .with_code("CONFLICT")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> Target {
        Target {
            namespace: "calico-system".to_owned(),
            daemonset: "calico-node".to_owned(),
            operator: true,
        }
    }

    #[test]
    fn the_way_to_an_affinity_goes_as_far_as_it_came() {
        let affinity = json!({"nodeAffinity": {}});
        for before in [
            json!({"spec": {}}),
            json!({"spec": {"calicoNodeDaemonSet": {}}}),
            json!({"spec": {"calicoNodeDaemonSet": {"spec": {"minReadySeconds": 5}}}}),
            json!({"spec": {"calicoNodeDaemonSet": {"spec": {"template": {"spec": {}}}}}}),
        ] {
            let mut object = before.clone();
            let depth = operator().depth(&object);
            operator().set_affinity(&mut object, affinity.clone());
            assert_eq!(operator().affinity(&object), &affinity);
            operator().restore_affinity(&mut object, Value::Null, depth);
            assert_eq!(object, before);
        }
    }

    #[test]
    fn an_operator_is_fit_when_its_schema_knows_the_affinity() {
        let crd = |schema: Value| json!({"spec": {"versions": [{"served": true, "schema": {"openAPIV3Schema": schema}}]}});
        let mut schema = json!({"type": "object"});
        for field in IN_INSTALLATION.iter().rev() {
            schema = json!({"properties": {*field: schema}});
        }
        assert!(knows_affinity(&crd(schema)));
        assert!(knows_affinity(&crd(json!({"x-kubernetes-preserve-unknown-fields": true}))));
        assert!(!knows_affinity(&crd(
            json!({"properties": {"spec": {"properties": {"variant": {}}}}})
        )));
    }
}
