//! The DaemonSet controller: pods where they belong, rolling updates, status. One pass looks at everything anew, so it
//! needs no memory of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    objects::{Objects, Refused, is_ready, items, name, namespace, path, text},
    scheduling,
};

/// The label that tells which template a pod was made from.
pub(super) const HASH: &str = "controller-revision-hash";

/// What one pass decides for one DaemonSet.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    create_on: Vec<String>,
    delete: Vec<String>,
    status: Value,
}

/// Brings every DaemonSet one step nearer to its spec. One that fails does not hold up the others; its error is told
/// at the end.
pub(super) async fn reconcile(
    objects: &Objects,
    nodes: &[Value],
    pods: &[Value],
    daemonsets: &[Value],
) -> Result<(), Refused> {
    let mut outcome = Ok(());
    for daemonset in daemonsets.iter().filter(|one| one["metadata"]["deletionTimestamp"].is_null())
    {
        let plan = plan(daemonset, nodes, pods);
        if let Err(refused) = carry_out(objects, daemonset, &plan).await {
            outcome = Err(refused);
        }
    }
    outcome
}

async fn carry_out(objects: &Objects, daemonset: &Value, plan: &Plan) -> Result<(), Refused> {
    let pods_path = path("v1", namespace(daemonset), "pods");
    for pod in &plan.delete {
        objects.delete(&format!("{pods_path}/{pod}"), None).await?;
    }
    for node in &plan.create_on {
        objects.create(&pods_path, &pod(daemonset, node)).await?;
    }
    if daemonset["status"] == plan.status {
        return Ok(());
    }
    let at = path("apps/v1", namespace(daemonset), "daemonsets");
    // Old fields go only when they are said to.
    let mut patch = plan.status.clone();
    for field in daemonset["status"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        if plan.status.get(field).is_none() {
            patch[field] = Value::Null;
        }
    }
    let at = format!("{at}/{}/status", name(daemonset));
    objects.merge(&at, &json!({ "status": patch })).await.map(|_| ())
}

/// Whether a pod belongs to an object.
pub(super) fn is_owned_by(pod: &Value, owner: &Value) -> bool {
    items(&pod["metadata"]["ownerReferences"])
        .iter()
        .any(|reference| reference["uid"] == owner["metadata"]["uid"])
}

fn plan(daemonset: &Value, nodes: &[Value], pods: &[Value]) -> Plan {
    let (spec, hash) = (&daemonset["spec"]["template"]["spec"], template_hash(daemonset));
    let mut by_node: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| is_owned_by(pod, daemonset)) {
        by_node.entry(text(&pod["spec"]["nodeName"])).or_default().push(pod);
    }
    let mut plan = Plan::default();
    let (mut desired, mut current, mut misscheduled, mut ready, mut updated) = (0, 0, 0, 0, 0);
    let mut stale = Vec::new();
    for node in nodes {
        let place = scheduling::place(spec, node);
        let mut here = by_node.get(name(node)).cloned().unwrap_or_default();
        here.sort_by_key(|pod| (!is_ready(pod), text(&pod["metadata"]["creationTimestamp"])));
        let (ending, living): (Vec<_>, Vec<_>) =
            here.into_iter().partition(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        desired += usize::from(place.run);
        if place.run && living.is_empty() && ending.is_empty() {
            plan.create_on.push(name(node).to_owned());
        }
        let keep = usize::from(place.run || place.stay);
        plan.delete.extend(living.iter().skip(keep).map(|pod| name(pod).to_owned()));
        if !place.run {
            misscheduled += usize::from(!living.is_empty());
            continue;
        }
        if let Some(pod) = living.first() {
            current += 1;
            ready += usize::from(is_ready(pod));
            updated += usize::from(text(&pod["metadata"]["labels"][HASH]) == hash);
            if text(&pod["metadata"]["labels"][HASH]) != hash {
                stale.push(*pod);
            }
        }
    }
    roll(daemonset, &stale, desired, ready, &mut plan);
    plan.status = json!({
        "currentNumberScheduled": current, "desiredNumberScheduled": desired, "numberMisscheduled": misscheduled, "numberReady": ready,
        "observedGeneration": daemonset["metadata"]["generation"],
    });
    for (field, number) in [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", ready),
        ("numberUnavailable", desired - ready),
    ] {
        if number > 0 {
            plan.status[field] = json!(number);
        }
    }
    plan
}

/// Replaces pods of an older template, as many at a time as may be unavailable.
fn roll(daemonset: &Value, stale: &[&Value], desired: usize, ready: usize, plan: &mut Plan) {
    if daemonset["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return;
    }
    let limit = max_unavailable(
        &daemonset["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"],
        desired,
    );
    let mut unavailable = desired - ready;
    for pod in stale {
        if !is_ready(pod) {
            plan.delete.push(name(pod).to_owned());
        } else if unavailable < limit {
            plan.delete.push(name(pod).to_owned());
            unavailable += 1;
        }
    }
}

fn max_unavailable(value: &Value, desired: usize) -> usize {
    let percent = value
        .as_str()
        .and_then(|text| text.strip_suffix('%'))
        .and_then(|text| text.parse::<usize>().ok());
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    // Percentages are rounded up; nothing at all would never end.
    percent.map(|percent| (desired * percent).div_ceil(100)).or(number).unwrap_or(1).max(1)
}

fn template_hash(daemonset: &Value) -> String {
    let digest = Sha256::digest(daemonset["spec"]["template"].to_string());
    hex::encode(&digest[..5])
}

fn pod(daemonset: &Value, node: &str) -> Value {
    let template = &daemonset["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels[HASH] = json!(template_hash(daemonset));
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!(node);
    let mut metadata = json!({
        "generateName": format!("{}-", name(daemonset)), "labels": labels,
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name(daemonset), "uid": daemonset["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}],
    });
    if template["metadata"]["annotations"].is_object() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemonset(max_unavailable: &Value) -> Value {
        json!({"metadata": {"name": "d", "namespace": "kube-system", "uid": "u", "generation": 2}, "spec": {
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": []}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": max_unavailable}}}})
    }

    fn node(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    fn on(node: &str, hash: &str, ready: bool) -> Value {
        json!({"metadata": {"name": format!("p-{node}"), "labels": {HASH: hash}, "ownerReferences": [{"uid": "u"}]}, "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    #[test]
    fn a_rollout_replaces_only_as_many_as_may_be_unavailable() {
        let nodes = [node("a"), node("b"), node("c")];
        let stale = [on("a", "old", true), on("b", "old", true), on("c", "old", true)];
        assert_eq!(plan(&daemonset(&json!(1)), &nodes, &stale).delete, ["p-a"]);
        assert_eq!(plan(&daemonset(&json!(2)), &nodes, &stale).delete, ["p-a", "p-b"]);
        assert_eq!(plan(&daemonset(&json!("10%")), &nodes, &stale).delete, ["p-a"]);
        let hash = template_hash(&daemonset(&json!(1)));
        let starting = [on("a", &hash, false), on("b", "old", true), on("c", "old", false)];
        assert_eq!(plan(&daemonset(&json!(1)), &nodes, &starting).delete, ["p-c"]);
        let almost = [on("a", &hash, true), on("b", "old", true), on("c", &hash, true)];
        let plan = plan(&daemonset(&json!(1)), &nodes, &almost);
        assert_eq!((plan.delete, plan.create_on), (vec!["p-b".to_owned()], vec![]));
        assert_eq!(plan.status["updatedNumberScheduled"], 2);
    }

    #[test]
    fn nodes_without_a_pod_get_one_and_pods_without_a_place_go() {
        let mut only_b = daemonset(&json!(1));
        only_b["spec"]["template"]["spec"]["nodeSelector"] = json!({"b": "yes"});
        let mut b = node("b");
        b["metadata"]["labels"] = json!({"b": "yes"});
        let plan = plan(&only_b, &[node("a"), b], &[on("a", "old", true)]);
        assert_eq!((plan.create_on, plan.delete), (vec!["b".to_owned()], vec!["p-a".to_owned()]));
        assert_eq!(plan.status["desiredNumberScheduled"], 1);
        assert_eq!(plan.status["numberMisscheduled"], 1);
        assert_eq!(plan.status["numberUnavailable"], 1);
    }

    #[test]
    fn a_pod_that_is_ending_is_waited_for() {
        let mut ending = on("a", "old", true);
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let plan = plan(&daemonset(&json!(1)), &[node("a")], &[ending]);
        assert_eq!((plan.create_on, plan.delete), (vec![], vec![]));
    }
}
