//! Guards Calico against the add-on: its package may hold stubs of Calico's CRDs, under which the API server would drop
//! the fields of Calico's own objects (reference, 5.1). What is there before the installation is kept, compared after it,
//! and put back: first the CRD, then the fields that went missing. IPAM and endpoint kinds are never touched.

use std::collections::BTreeMap;

use causeway_engine::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kubernetes::{Cluster, ObjectRef, Resource, node};

/// Calico's group.
const CALICO: &str = "crd.projectcalico.org";
/// How names of the CRDs that are Terway's own end.
const TERWAY: &str = ".network.alibabacloud.com";

/// What is there before the installation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guard {
    /// Every CRD, by name.
    crds: BTreeMap<String, CrdImage>,
    /// Calico's configuration, by `plural/namespace/name`.
    objects: BTreeMap<String, ObjectImage>,
}

/// One CRD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct CrdImage {
    uid: String,
    /// Of Calico's only; null for others.
    #[serde(default)]
    spec: Value,
    /// Labels, annotations and owners: a package puts its marks there.
    marks: Value,
}

/// One object of Calico's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ObjectImage {
    version: String,
    plural: String,
    kind: String,
    #[serde(default)]
    namespace: Option<String>,
    name: String,
    /// Without status and what the API server keeps in metadata.
    content: Value,
}

impl Guard {
    /// Reads the world before the installation.
    pub(super) async fn take(cluster: &Cluster) -> Result<Self, Failure> {
        let mut guard = Self::default();
        for crd in cluster.list(&Resource::CRDS, None, "").await? {
            if let Some(resource) = configuration_kind(&crd) {
                for object in cluster.list(&resource, None, "").await? {
                    let image = ObjectImage::of(&resource, &object);
                    guard.objects.insert(image.key(), image);
                }
            }
            guard.crds.insert(node::name(&crd).to_owned(), CrdImage::of(&crd));
        }
        Ok(guard)
    }

    /// CRDs that were there before, and of which it can't be shown that they would outlive the add-on: those that now
    /// carry other marks (labels, annotations, owners) than before, and those of Terway's own group. A package removes
    /// what it marked as its own, or what is named in its own manifest.
    pub(super) async fn at_risk(&self, cluster: &Cluster) -> Result<Vec<String>, Failure> {
        let present = by_name(cluster.list(&Resource::CRDS, None, "").await?);
        let taken_over = |(name, image): &(&String, &CrdImage)| {
            name.ends_with(TERWAY)
                || present.get(*name).is_some_and(|crd| marks(crd) != image.marks)
        };
        Ok(self.crds.iter().filter(taken_over).map(|(name, _)| name.clone()).collect())
    }

    /// CRDs of Terway's own group that were there before it.
    pub(super) fn terways_own(&self) -> Vec<String> {
        self.crds.keys().filter(|name| name.ends_with(TERWAY)).cloned().collect()
    }

    /// CRDs that were there before, and are others now.
    pub(super) async fn touched(&self, cluster: &Cluster) -> Result<Vec<String>, Failure> {
        let present = by_name(cluster.list(&Resource::CRDS, None, "").await?);
        let changed = |(name, image): &(&String, &CrdImage)| {
            present.get(*name).is_none_or(|crd| image.is_touched(crd))
        };
        Ok(self.crds.iter().filter(changed).map(|(name, _)| name.clone()).collect())
    }

    /// What is missing, and what would put it back: CRDs first; objects in a later look, when the API server knows the CRDs
    /// again. `damaged` are the CRDs that were ever found touched. Changes nothing.
    pub(super) async fn damage(
        &self,
        cluster: &Cluster,
        damaged: &[String],
    ) -> Result<Vec<Mending>, Failure> {
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        let present = by_name(cluster.list(&Resource::CRDS, None, "").await?);
        let ours =
            |(name, image): &(&String, &CrdImage)| !image.spec.is_null() && damaged.contains(name);
        let crds: Vec<Mending> = self
            .crds
            .iter()
            .filter(ours)
            .filter_map(|(name, image)| image.mending(name, present.get(name)))
            .collect();
        if !crds.is_empty() {
            return Ok(crds);
        }
        let mut objects = Vec::new();
        for image in self
            .objects
            .values()
            .filter(|image| damaged.contains(&format!("{}.{CALICO}", image.plural)))
        {
            let current = cluster.get(&image.reference()).await?;
            objects.extend(image.mending(current));
        }
        Ok(objects)
    }
}

/// One write that puts something back.
pub(super) struct Mending {
    /// What it is, for people.
    pub(super) what: String,
    at: ObjectRef,
    /// As it is now; none: it is gone.
    current: Option<Value>,
    wanted: Value,
}

impl Mending {
    /// Makes the write, which fails where somebody else was quicker.
    pub(super) async fn carry_out(&self, cluster: &Cluster) -> Result<(), Failure> {
        match &self.current {
            Some(current) => cluster.edit(&self.at, current, &self.wanted).await?,
            None => cluster.create(&self.at, &self.wanted).await?,
        };
        Ok(())
    }
}

/// Adds the fields of `image` that `current` lacks; what is there stays as it is.
fn fill_missing(current: &mut Value, image: &Value) {
    let (Some(fields), Some(image)) = (current.as_object_mut(), image.as_object()) else { return };
    for (name, value) in image {
        match fields.get_mut(name) {
            Some(present) => fill_missing(present, value),
            None => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

impl CrdImage {
    fn of(crd: &Value) -> Self {
        let is_calicos = crd["spec"]["group"] == CALICO;
        Self {
            uid: node::uid(crd).to_owned(),
            spec: if is_calicos { crd["spec"].clone() } else { Value::Null },
            marks: marks(crd),
        }
    }

    /// What puts the CRD back; none: it is as it was.
    fn mending(&self, name: &str, present: Option<&Value>) -> Option<Mending> {
        let wanted = match present {
            Some(current) if current["spec"] == self.spec => return None,
            Some(current) => {
                let mut wanted = current.clone();
                wanted["spec"] = self.spec.clone();
                wanted
            }
            None => {
                let metadata = serde_json::json!({
                    "name": name, "labels": self.marks["labels"], "annotations": self.marks["annotations"],
                });
                serde_json::json!({
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": self.spec,
                })
            }
        };
        let (what, at) = (format!("CRD {name}"), Resource::CRDS.named(name));
        Some(Mending { what, at, current: present.cloned(), wanted })
    }

    fn is_touched(&self, crd: &Value) -> bool {
        let rewritten = !self.spec.is_null() && crd["spec"] != self.spec;
        node::uid(crd) != self.uid || marks(crd) != self.marks || rewritten
    }
}

impl ObjectImage {
    fn of(resource: &Resource, object: &Value) -> Self {
        let mut content = object.clone();
        let mut metadata = Map::new();
        for field in ["labels", "annotations"] {
            if let Some(value) = object["metadata"].get(field) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        if let Some(fields) = content.as_object_mut() {
            fields.retain(|field, _| {
                !matches!(field.as_str(), "apiVersion" | "kind" | "status" | "metadata")
            });
            fields.insert("metadata".to_owned(), metadata.into());
        }
        let namespace = node::namespace(object);
        Self {
            version: resource.version().to_owned(),
            plural: resource.plural().to_owned(),
            kind: resource.kind().to_owned(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: node::name(object).to_owned(),
            content,
        }
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.plural, self.namespace.as_deref().unwrap_or_default(), self.name)
    }

    /// What puts the fields back that the object lacks now, or the object; none: nothing is missing.
    fn mending(&self, current: Option<Value>) -> Option<Mending> {
        let at = self.reference();
        let wanted = match &current {
            Some(current) => {
                let mut wanted = current.clone();
                fill_missing(&mut wanted, &self.content);
                if wanted == *current {
                    return None;
                }
                wanted
            }
            None => {
                let mut object = self.content.clone();
                object["apiVersion"] = at.resource.api_version().into();
                object["kind"] = self.kind.clone().into();
                object["metadata"]["name"] = self.name.clone().into();
                if let Some(namespace) = &self.namespace {
                    object["metadata"]["namespace"] = namespace.clone().into();
                }
                object
            }
        };
        Some(Mending { what: format!("{} {}", self.plural, self.name), at, current, wanted })
    }

    fn reference(&self) -> ObjectRef {
        let resource = Resource::custom(CALICO, &self.version, &self.plural, &self.kind);
        match &self.namespace {
            Some(namespace) => resource.at(namespace, &self.name),
            None => resource.named(&self.name),
        }
    }
}

/// The resource of one of Calico's configuration CRDs; none for all others.
fn configuration_kind(crd: &Value) -> Option<Resource> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&crd["spec"]["group"]), text(&crd["spec"]["names"]["plural"]));
    let versions = crd["spec"]["versions"].as_array()?;
    let stored =
        versions.iter().find(|version| version["storage"] == true).or_else(|| versions.first())?;
    (group == CALICO && is_configuration(&plural)).then(|| {
        Resource::custom(
            &group,
            &text(&stored["name"]),
            &plural,
            &text(&crd["spec"]["names"]["kind"]),
        )
    })
}

fn is_configuration(plural: &str) -> bool {
    matches!(plural, "ippools" | "hostendpoints" | "clusterinformations")
        || plural.starts_with("bgp")
        || plural.starts_with("felix")
        || plural.ends_with("policies")
        || plural.ends_with("networksets")
}

fn marks(object: &Value) -> Value {
    let part = |field: &str| {
        object["metadata"].get(field).cloned().unwrap_or_else(|| serde_json::json!({}))
    };
    let mut annotations = part("annotations");
    if let Some(map) = annotations.as_object_mut() {
        // kubectl's copy of the object; it says nothing about who owns it.
        map.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    serde_json::json!({"labels": part("labels"), "annotations": annotations, "owners": part("ownerReferences")})
}

fn by_name(crds: Vec<Value>) -> BTreeMap<String, Value> {
    crds.into_iter().map(|crd| (node::name(&crd).to_owned(), crd)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake::FakeKube;

    fn a_crd(plural: &str, kind: &str, schema: Value) -> Value {
        json!({"spec": {"group": CALICO, "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
    }

    fn full() -> Value {
        json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    }

    fn stub() -> Value {
        json!({"type": "object", "properties": {"apiVersion": {"type": "string"}}})
    }

    fn pools() -> ObjectRef {
        Resource::CRDS.named("ippools.crd.projectcalico.org")
    }

    fn with_calico() -> FakeKube {
        let kube = FakeKube::new();
        kube.put(&pools(), a_crd("ippools", "IPPool", full()));
        kube.put(
            &Resource::CRDS.named("ipamblocks.crd.projectcalico.org"),
            a_crd("ipamblocks", "IPAMBlock", full()),
        );
        kube.put(
            &Resource::IP_POOLS.named("default"),
            json!({"spec": {"cidr": "10.100.0.0/16", "natOutgoing": true}}),
        );
        kube
    }

    /// Looks once, puts back what is missing, and says what it was.
    async fn repair(guard: &Guard, cluster: &Cluster, damaged: &[String]) -> Vec<String> {
        let mut repaired = Vec::new();
        for mending in guard.damage(cluster, damaged).await.unwrap() {
            mending.carry_out(cluster).await.unwrap();
            repaired.push(mending.what);
        }
        repaired
    }

    #[tokio::test]
    async fn a_stubbed_crd_is_put_back_before_the_fields_it_dropped() {
        let kube = with_calico();
        let cluster = kube.cluster("c1");
        let guard = Guard::take(&cluster).await.unwrap();
        let before = kube.dump();
        kube.change(&pools(), |crd| {
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = stub()
        });
        kube.change(&Resource::IP_POOLS.named("default"), |pool| {
            pool["spec"] = json!({"cidr": "10.101.0.0/16"})
        });
        let damaged = guard.touched(&cluster).await.unwrap();
        assert_eq!(damaged, ["ippools.crd.projectcalico.org"]);
        assert_eq!(repair(&guard, &cluster, &damaged).await, ["CRD ippools.crd.projectcalico.org"]);
        assert_eq!(
            kube.dump()["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ippools.crd.projectcalico.org"],
            before["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ippools.crd.projectcalico.org"]
        );
        assert_eq!(repair(&guard, &cluster, &damaged).await, ["ippools default"]);
        let pool = kube.object(&Resource::IP_POOLS.named("default")).unwrap();
        assert_eq!(
            pool["spec"],
            json!({"cidr": "10.101.0.0/16", "natOutgoing": true}),
            "what was changed, not dropped, stays"
        );
        assert!(repair(&guard, &cluster, &damaged).await.is_empty());
    }

    #[tokio::test]
    async fn an_untouched_world_needs_no_write() {
        let kube = with_calico();
        let guard = Guard::take(&kube.cluster("c1")).await.unwrap();
        assert_eq!(guard.touched(&kube.cluster("c1")).await.unwrap(), [""; 0]);
        assert_eq!(repair(&guard, &kube.cluster("c1"), &[]).await, [""; 0]);
        assert!(kube.writes().is_empty());
    }

    #[tokio::test]
    async fn a_crd_that_a_package_took_over_is_at_risk() {
        for change in [
            (|crd: &mut Value| {
                crd["metadata"]["annotations"]["meta.helm.sh/release-name"] = "terway-eniip".into()
            }) as fn(&mut Value),
            |crd| {
                crd["metadata"]["ownerReferences"] =
                    json!([{"kind": "Addon", "name": "terway-eniip"}])
            },
        ] {
            let kube = with_calico();
            let guard = Guard::take(&kube.cluster("c1")).await.unwrap();
            kube.change(&pools(), change);
            assert_eq!(
                guard.at_risk(&kube.cluster("c1")).await.unwrap(),
                ["ippools.crd.projectcalico.org"]
            );
        }
    }

    #[tokio::test]
    async fn a_crd_that_was_only_rewritten_is_not_at_risk_but_terways_own_is() {
        let kube = with_calico();
        let own = Resource::CRDS.named("podenis.network.alibabacloud.com");
        let guard = Guard::take(&kube.cluster("c1")).await.unwrap();
        kube.put(&own, json!({"spec": {"group": "network.alibabacloud.com"}}));
        kube.change(&pools(), |crd| {
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = stub()
        });
        assert_eq!(guard.at_risk(&kube.cluster("c1")).await.unwrap(), [""; 0]);
        let with_own = Guard::take(&kube.cluster("c1")).await.unwrap();
        assert_eq!(
            with_own.at_risk(&kube.cluster("c1")).await.unwrap(),
            ["podenis.network.alibabacloud.com"]
        );
    }

    #[test]
    fn only_configuration_kinds_are_kept() {
        for plural in [
            "ippools",
            "bgppeers",
            "bgpconfigurations",
            "felixconfigurations",
            "networkpolicies",
            "globalnetworksets",
            "hostendpoints",
        ] {
            assert!(is_configuration(plural), "{plural}");
        }
        for plural in [
            "ipamblocks",
            "ipamhandles",
            "ipamconfigs",
            "blockaffinities",
            "workloadendpoints",
            "caliconodestatuses",
        ] {
            assert!(!is_configuration(plural), "{plural}");
        }
    }

    fn an_object() -> impl Strategy<Value = Value> {
        let leaf = (0..3_i32).prop_map(Value::from);
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
        .prop_map(|value| json!({"spec": value}))
    }

    proptest! {
        #[test]
        fn what_was_dropped_comes_back_and_nothing_else_changes(image in an_object(), dropped in "[a-c]") {
            let mut current = image.clone();
            if let Some(spec) = current["spec"].as_object_mut() {
                spec.remove(&dropped);
            }
            fill_missing(&mut current, &image);
            prop_assert_eq!(current, image);
        }
    }
}
