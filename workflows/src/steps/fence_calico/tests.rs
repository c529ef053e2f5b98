//! The step as a whole, on a bench.

use causeway_engine::Severity;

use super::*;
use crate::kubernetes::ObjectRef;
use crate::kubernetes::fake::Fault;
use crate::steps::testing::{Bench, kubernetes_facts};

fn calico() -> ObjectRef {
    Resource::DAEMON_SETS.at("kube-system", "calico-node")
}

fn a_node(bench: &Bench, name: &str, labels: Value, ready: &str) {
    let node = json!({"metadata": {"labels": labels}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
    bench.kube.put(&Resource::NODES.named(name), node);
}

/// The controller has rolled the newest template out.
fn roll_out(bench: &Bench, place: &ObjectRef) {
    bench.kube.change(place, |one| {
        let generation = one["metadata"]["generation"].clone();
        one["status"] = json!({"observedGeneration": generation, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3});
    });
}

fn bench(template: Value) -> Bench {
    let mut bench = Bench::new("fence-calico");
    bench.output("check-kubernetes", kubernetes_facts());
    bench.kube.put(&calico(), json!({"spec": {"template": {"spec": template}}}));
    roll_out(&bench, &calico());
    a_node(&bench, "dc-1", json!({}), "True");
    bench
}

/// The spec and metadata, without the status that the controller writes.
fn bare(bench: &Bench, at: &ObjectRef) -> Value {
    let mut object =
        bench.kube.dump().into_iter().find(|(path, _)| path.ends_with(&at.name)).unwrap().1;
    object["status"] = Value::Null;
    object
}

fn users_affinity() -> Value {
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}, {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}})
}

#[tokio::test]
async fn a_fence_goes_without_a_trace() {
    for template in [
        json!({"hostNetwork": true}),
        json!({"affinity": {}}),
        json!({"affinity": users_affinity()}),
    ] {
        let mut bench = bench(template);
        let before = bare(&bench, &calico());
        assert_eq!(bench.observe(&FenceCalico).await.unwrap(), Verdict::Change);
        bench.apply(&FenceCalico).await.unwrap();
        assert!(matches!(FenceCalico.confirm(bench.context()).await.unwrap(), Confirm::NotYet(_)));
        roll_out(&bench, &calico());
        assert!(matches!(FenceCalico.confirm(bench.context()).await.unwrap(), Confirm::Holds(_)));
        bench.apply(&FenceCalico).await.unwrap();
        assert_eq!(bench.kube.writes().len(), 1, "applied twice, written once");
        assert!(
            matches!(bench.revert_once(&FenceCalico).await.unwrap(), Revert::NotYet(_)),
            "waits for the rollout"
        );
        roll_out(&bench, &calico());
        assert_eq!(bench.revert(&FenceCalico).await.unwrap(), Undone::Reverted);
        assert_eq!(bare(&bench, &calico()), before);
        assert_eq!(bench.revert(&FenceCalico).await.unwrap(), Undone::Reverted, "undone twice");
    }
}

#[tokio::test]
async fn a_hung_rollout_does_not_hold_the_undo_up_for_ever() {
    let mut bench = bench(json!({}));
    bench.observe(&FenceCalico).await.unwrap();
    bench.apply(&FenceCalico).await.unwrap();
    assert_eq!(bench.revert(&FenceCalico).await.unwrap(), Undone::Reverted);
}

#[tokio::test]
async fn a_rollout_that_hung_before_us_is_a_warning_and_is_not_waited_for() {
    let mut bench = bench(json!({}));
    a_node(&bench, "dc-2", json!({}), "False");
    bench.observe(&FenceCalico).await.unwrap();
    let said: Vec<(&str, Severity)> =
        bench.observed().warnings.iter().map(|one| (one.code.as_str(), one.severity)).collect();
    assert_eq!(said, [("NODE_NOT_READY", Severity::Warning)]);
    bench.apply(&FenceCalico).await.unwrap();
    assert!(
        matches!(FenceCalico.confirm(bench.context()).await.unwrap(), Confirm::NotYet(_)),
        "the controller has to see it"
    );
    bench.kube.change(&calico(), |one| {
        one["status"]["observedGeneration"] = one["metadata"]["generation"].clone()
    });
    assert!(matches!(FenceCalico.confirm(bench.context()).await.unwrap(), Confirm::Holds(_)));
}

#[tokio::test]
async fn a_fence_that_was_there_is_adopted() {
    let mut bench =
        bench(json!({"affinity": affinity::fence(&Value::Null, &affinity::missing(&Value::Null))}));
    assert_eq!(bench.observe(&FenceCalico).await.unwrap(), Verdict::Adopted);
}

#[tokio::test]
async fn an_edit_between_look_and_write_is_read_anew() {
    let mut bench = bench(json!({}));
    bench.observe(&FenceCalico).await.unwrap();
    bench
        .kube
        .change(&calico(), |one| one["spec"]["template"]["spec"]["affinity"] = users_affinity());
    assert_eq!(bench.apply(&FenceCalico).await.unwrap_err().class, FailureClass::Stale);
    assert!(bench.kube.writes().is_empty());
}

#[tokio::test]
async fn a_lost_patch_is_found_and_not_repeated() {
    let mut bench = bench(json!({}));
    bench.observe(&FenceCalico).await.unwrap();
    assert_eq!(FenceCalico.resolve(bench.context()).await.unwrap().0, Resolution::NoEffect);
    bench.kube.break_writes(&[Fault::CutAfter]);
    assert_eq!(bench.apply(&FenceCalico).await.unwrap_err().class, FailureClass::Unknown);
    assert_eq!(FenceCalico.resolve(bench.context()).await.unwrap().0, Resolution::Done);
    assert_eq!(bench.kube.writes().len(), 1);
}

#[tokio::test]
async fn the_undo_waits_for_our_nodes_and_keeps_the_fence_for_those_of_others() {
    let mut bench = bench(json!({}));
    bench.observe(&FenceCalico).await.unwrap();
    bench.apply(&FenceCalico).await.unwrap();
    bench.output("create-node-pool[burst]", json!({"nodepool_id": "np1", "name": "burst"}));
    let cloud = |pool: &str| json!({node::CLOUD_LABEL: "true", node::POOL_LABEL: pool});
    a_node(&bench, "cloud-1", cloud("np1"), "True");
    assert!(matches!(bench.revert_once(&FenceCalico).await.unwrap(), Revert::NotYet(_)));
    a_node(&bench, "cloud-2", cloud("np-theirs"), "True");
    let undone = bench.revert(&FenceCalico).await.unwrap();
    assert!(matches!(undone, Undone::Kept { reason, in_use: true } if reason.contains("cloud-2")));
    assert_eq!(bench.kube.writes().len(), 1, "the fence is as it was");
}

#[tokio::test]
async fn cloud_nodes_that_were_there_before_do_not_hold_the_undo_up() {
    let mut bench = bench(json!({}));
    a_node(&bench, "old-cloud", json!({node::CLOUD_LABEL: "true"}), "True");
    bench.observe(&FenceCalico).await.unwrap();
    bench.apply(&FenceCalico).await.unwrap();
    assert_eq!(bench.revert(&FenceCalico).await.unwrap(), Undone::Reverted);
}

#[tokio::test]
async fn without_an_effect_there_is_nothing_to_undo() {
    let mut bench = bench(json!({"affinity": users_affinity()}));
    bench.observe(&FenceCalico).await.unwrap();
    assert_eq!(bench.revert(&FenceCalico).await.unwrap(), Undone::NothingThere);
    assert!(bench.kube.writes().is_empty());
}

#[tokio::test]
async fn under_the_operator_its_installation_is_changed_and_put_back() {
    let mut bench = bench(json!({}));
    let installation = Resource::INSTALLATIONS.named("default");
    let node = Resource::DAEMON_SETS.at("calico-system", "calico-node");
    let mut facts = kubernetes_facts();
    facts["calico"] =
        json!({"namespace": "calico-system", "daemonset": "calico-node", "install": "operator"});
    bench.output("check-kubernetes", facts);
    let free = json!({"x-kubernetes-preserve-unknown-fields": true});
    bench.kube.put(
        &Resource::CRDS.named("installations.operator.tigera.io"),
        json!({"spec": {"versions": [{"served": true, "schema": {"openAPIV3Schema": {"properties": {"spec": free}}}}]}}),
    );
    bench.kube.put(&installation, json!({"spec": {"variant": "Calico"}}));
    bench.kube.put(&node, json!({"spec": {"template": {"spec": {"affinity": users_affinity()}}}}));
    roll_out(&bench, &node);
    let before = bench.kube.object(&installation).unwrap();
    bench.observe(&FenceCalico).await.unwrap();
    bench.apply(&FenceCalico).await.unwrap();
    let changed = bench.kube.object(&installation).unwrap();
    let affinity = &changed["spec"]["calicoNodeDaemonSet"]["spec"]["template"]["spec"]["affinity"];
    assert_eq!(
        *affinity,
        affinity::fence(&users_affinity(), &affinity::missing(&users_affinity())),
        "the operator's default is kept in it"
    );
    assert!(
        matches!(FenceCalico.confirm(bench.context()).await.unwrap(), Confirm::NotYet(_)),
        "the operator has to take it over"
    );
    bench.kube.change(&node, |one| one["spec"]["template"]["spec"]["affinity"] = affinity.clone());
    roll_out(&bench, &node);
    assert!(matches!(FenceCalico.confirm(bench.context()).await.unwrap(), Confirm::Holds(_)));
    assert_eq!(bench.revert(&FenceCalico).await.unwrap(), Undone::Reverted);
    let after = bench.kube.object(&installation).unwrap();
    assert_eq!((&after["spec"], after["metadata"].get("annotations")), (&before["spec"], None));
}
