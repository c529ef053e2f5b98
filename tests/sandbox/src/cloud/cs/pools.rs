//! Node pools: made, changed, removed. Their instances are the fleet's matter.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{cluster_of, clusters, pool_of, require_running, tasks};
use crate::{
    cloud::{
        Cloud,
        answer::ApiError,
        clock, fleet,
        gateway::Call,
        state::{Cluster, Instance, Pool, State, random_id},
        vpc::find_vswitch,
    },
    faults::Fault,
};

/// Seconds of reality.
const CREATE: u64 = 10;
const DELETE: u64 = 10;

pub(super) fn create(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let body = call.json()?;
    let mut state = cloud.state();
    let cluster = cluster_of(&state, call)?;
    require_running(cluster)?;
    check(&state, cluster, &body)?;
    let cluster_id = cluster.cluster_id.clone();
    let mut pool = pool_from(&cluster_id, &body);
    apply_fault(&mut pool, call);
    let (id, task_of) = (pool.id.clone(), ("nodepool", pool.id.clone()));
    state.cs.pools.insert(id.clone(), pool);
    let stuck = call.effect == Some(Fault::Stuck);
    let target = (task_of.0, task_of.1.as_str());
    let task = tasks::start(&mut state, &cluster_id, "nodepool_create", target, stuck);
    if !stuck {
        let (cloud_then, id, task) = (Arc::clone(cloud), id.clone(), task.clone());
        cloud.spawn(async move {
            cloud_then.after(CREATE).await;
            if let Some(pool) = cloud_then.state().cs.pools.get_mut(&id)
                && pool.state == "initial"
            {
                pool.state = "active".into();
            }
            tasks::end(&mut cloud_then.state(), &task, Ok(()));
            fleet::reconcile(&cloud_then, &id, None);
        });
    }
    Ok(json!({"nodepool_id": id, "task_id": task, "request_id": call.request_id}))
}

pub(super) fn list(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    cluster_of(state, call)?;
    let wanted = call.param("NodepoolName");
    let pools: Vec<Value> = state
        .cs
        .pools
        .values()
        .filter(|pool| pool.cluster_id == call.path_id(0))
        .filter(|pool| wanted.is_none_or(|name| name == pool.name))
        .map(|pool| describe(state, cloud, pool))
        .collect();
    Ok(json!({"nodepools": pools}))
}

pub(super) fn detail(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    cluster_of(state, call)?;
    let (cluster_id, id) = (call.path_id(0), call.path_id(1));
    let pool = state.cs.pools.get(id).filter(|pool| pool.cluster_id == cluster_id);
    let pool = pool.ok_or_else(|| {
        let message = format!("nodepool {id} not found in cluster {cluster_id}");
        ApiError::new(404, "ErrorNodePoolNotFound", message)
    })?;
    let mut answer = describe(state, cloud, pool);
    answer["status"]["conditions"] = json!([]);
    Ok(answer)
}

pub(super) fn modify(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let body = call.json()?;
    let mut state = cloud.state();
    require_running(cluster_of(&state, call)?)?;
    let desired = body["scaling_group"]["desired_size"].as_u64();
    if let Some(desired) = desired {
        check_size(desired)?;
    }
    let pool = pool_of(&mut state, call)?;
    require_not_deleting(pool)?;
    apply_fault(pool, call);
    merge(&mut pool.scaling_group, &body["scaling_group"]);
    merge(&mut pool.kubernetes_config, &body["kubernetes_config"]);
    merge(&mut pool.auto_scaling, &body["auto_scaling"]);
    merge(&mut pool.management, &body["management"]);
    if let Some(name) = body["nodepool_info"]["name"].as_str() {
        name.clone_into(&mut pool.name);
    }
    let size = desired.and_then(|size| usize::try_from(size).ok()).unwrap_or(pool.desired_size);
    Ok(resize(cloud, state, call, size))
}

pub(super) fn scale(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let count = call.json()?["count"].as_u64().filter(|count| (1..=500).contains(count));
    let count = count.ok_or_else(|| {
        ApiError::new(400, "InvalidParameter.Count", "count must be between 1 and 500")
    })?;
    let mut state = cloud.state();
    require_running(cluster_of(&state, call)?)?;
    let pool = pool_of(&mut state, call)?;
    require_not_deleting(pool)?;
    apply_fault(pool, call);
    let size = pool.desired_size + usize::try_from(count).unwrap_or(usize::MAX);
    check_size(size as u64)?;
    Ok(resize(cloud, state, call, size))
}

/// Sets the desired size, with a task that ends with the last instance's script.
fn resize(
    cloud: &Arc<Cloud>,
    mut state: std::sync::MutexGuard<'_, State>,
    call: &Call,
    size: usize,
) -> Value {
    let (cluster_id, id) = (call.path_id(0), call.path_id(1));
    let stuck = call.effect == Some(Fault::Stuck);
    let kind = "cluster_scaleout";
    let task = tasks::start(&mut state, cluster_id, kind, ("nodepool", id), stuck);
    if let Some(pool) = state.cs.pools.get_mut(id) {
        pool.desired_size = size;
        pool.scaling_group["desired_size"] = json!(size);
        pool.updated = clock::china();
    }
    drop(state);
    if !stuck {
        fleet::reconcile(cloud, id, Some(&task));
    }
    json!({"nodepool_id": id, "task_id": task, "request_id": call.request_id})
}

pub(super) fn delete(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let mut state = cloud.state();
    let id = call.path_id(1).to_owned();
    let pool = pool_of(&mut state, call)?;
    let name = pool.name.clone();
    let members = state.ecs.instances.values().filter(|it| it.pool_id == id);
    let members: Vec<String> = members.map(|it| it.id.clone()).collect();
    if !members.is_empty() && !call.flag("force") {
        let message = format!("nodepool {name} still has {} nodes", members.len());
        return Err(ApiError::new(400, "ErrorNodePoolNotEmpty", message));
    }
    let pool = pool_of(&mut state, call)?;
    pool.state = "deleting".into();
    pool.desired_size = 0;
    let stuck = call.effect == Some(Fault::Stuck);
    let cluster_id = call.path_id(0);
    let target = ("nodepool", id.as_str());
    let task = tasks::start(&mut state, cluster_id, "nodepool_delete", target, stuck);
    drop(state);
    if !stuck {
        let (cloud_then, task) = (Arc::clone(cloud), task.clone());
        cloud.spawn(async move {
            for member in &members {
                fleet::release(&cloud_then, member, false).await;
            }
            cloud_then.after(DELETE).await;
            let mut state = cloud_then.state();
            state.cs.pools.remove(&id);
            tasks::end(&mut state, &task, Ok(()));
        });
    }
    Ok(json!({"task_id": task, "request_id": call.request_id}))
}

fn require_not_deleting(pool: &Pool) -> Result<(), ApiError> {
    if pool.state != "deleting" {
        return Ok(());
    }
    let message = format!("nodepool {} is being deleted", pool.name);
    Err(ApiError::new(400, "ErrorNodePoolState", message))
}

/// A call's fault that is about the pool's instances. A call without one ends what an earlier one did to the stock.
fn apply_fault(pool: &mut Pool, call: &Call) {
    pool.stock = match call.effect {
        Some(Fault::Partial) => {
            let wanted = call.json().unwrap_or_default();
            let wanted = wanted["scaling_group"]["desired_size"].as_u64().unwrap_or(0);
            Some(usize::try_from(wanted / 2).unwrap_or(0))
        }
        _ => None,
    };
    pool.never_ready |= call.effect == Some(Fault::NeverReady);
}

fn check_size(size: u64) -> Result<(), ApiError> {
    if size > clusters::NODES_MAX as u64 {
        let message = format!("desired_size {size} exceeds node_quota {}", clusters::NODES_MAX);
        return Err(ApiError::new(400, "QuotaExceeded.Node", message));
    }
    Ok(())
}

/// Everything that makes a pool's specification unacceptable.
fn check(state: &State, cluster: &Cluster, body: &Value) -> Result<(), ApiError> {
    let (info, group) = (&body["nodepool_info"], &body["scaling_group"]);
    let invalid = |code: &str, message: String| Err(ApiError::new(400, code, message));
    let name = info["name"].as_str().unwrap_or_default();
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii();
    if !(1..=63).contains(&name.chars().count())
        || name.starts_with('-')
        || !name.chars().all(letters)
    {
        return invalid("InvalidParameter.Name", format!("nodepool name {name} is not valid"));
    }
    let mut siblings = state.cs.pools.values().filter(|it| it.cluster_id == cluster.cluster_id);
    if siblings.clone().any(|it| it.name == name) {
        let id = &cluster.cluster_id;
        let message = format!("nodepool name {name} is already exist in cluster {id}.");
        return invalid("InvalidParameter.Name", message);
    }
    if siblings.nth(clusters::POOLS_MAX - 1).is_some() {
        let message = format!("cluster_nodepool_quota {} exceeded", clusters::POOLS_MAX);
        return invalid("QuotaExceeded.NodePool", message);
    }
    check_list(group, "vswitch_ids", 8, |id| {
        find_vswitch(state, id).is_some_and(|(vpc, _)| vpc.id == cluster.vpc_id)
    })?;
    check_list(group, "instance_types", 10, |id| state.ecs.instance_types.contains_key(id))?;
    if !["PostPaid", "PrePaid"].map(Some).contains(&group["instance_charge_type"].as_str()) {
        return invalid("InvalidParameter.InstanceChargeType", "PostPaid or PrePaid".into());
    }
    let (key_pair, password) = (&group["key_pair"], &group["login_password"]);
    let given = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if given(key_pair) == given(password) {
        return invalid("InvalidParameter.Login", "one of key_pair and login_password".into());
    }
    if given(key_pair) && !key_pair.as_str().is_some_and(|it| state.ecs.key_pairs.contains(it)) {
        return invalid("InvalidKeyPair.NotFound", format!("key pair {key_pair} does not exist"));
    }
    check_tags(group)?;
    check_size(group["desired_size"].as_u64().unwrap_or(0))
}

fn check_list(
    group: &Value,
    field: &str,
    count_max: usize,
    known: impl Fn(&str) -> bool,
) -> Result<(), ApiError> {
    let items = group[field].as_array().map(Vec::as_slice).unwrap_or_default();
    if !(1..=count_max).contains(&items.len()) {
        let message = format!("{field} must have 1 to {count_max} items");
        return Err(ApiError::new(400, "InvalidParameter", message));
    }
    match items.iter().find(|item| !item.as_str().is_some_and(&known)) {
        None => Ok(()),
        Some(item) => {
            let message = format!("{field}: {item} does not exist here");
            Err(ApiError::new(400, "InvalidParameter.NotFound", message))
        }
    }
}

fn check_tags(group: &Value) -> Result<(), ApiError> {
    let tags = group["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    for text in tags.iter().flat_map(|tag| [&tag["key"], &tag["value"]]) {
        let text = text.as_str().unwrap_or_default();
        let banned = text.starts_with("aliyun") || text.starts_with("acs:");
        if banned || text.contains("http://") || text.contains("https://") {
            let message = format!("tag {text} is not allowed");
            return Err(ApiError::new(400, "InvalidParameter.Tags", message));
        }
    }
    Ok(())
}

fn pool_from(cluster_id: &str, body: &Value) -> Pool {
    let now = clock::china();
    let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let info = &body["nodepool_info"];
    let mut group = json!({
        "desired_size": 0, "multi_az_policy": "PRIORITY", "scaling_policy": "release",
        "system_disk_category": "cloud_efficiency", "image_type": "AliyunLinux3", "tags": [],
    });
    merge(&mut group, &body["scaling_group"]);
    // Like the real one, it takes a password and never shows it.
    if let Some(group) = group.as_object_mut() {
        group.remove("login_password");
    }
    let mut kubernetes = json!({
        "labels": [], "taints": [], "user_data": "", "unschedulable": false, "cms_enabled": false,
    });
    merge(&mut kubernetes, &body["kubernetes_config"]);
    let mut auto_scaling =
        json!({"enable": false, "min_instances": 0, "max_instances": 0, "type": "cpu"});
    merge(&mut auto_scaling, &body["auto_scaling"]);
    let mut management = json!({"enable": false});
    merge(&mut management, &body["management"]);
    let size = group["desired_size"].as_u64().unwrap_or(0);
    Pool {
        id: random_id("np", 32),
        cluster_id: cluster_id.into(),
        name: text(&info["name"], ""),
        kind: text(&info["type"], "ess"),
        resource_group_id: text(&info["resource_group_id"], "rg-default"),
        scaling_group_id: random_id("asg-bp1", 17),
        created: now.clone(),
        updated: now,
        desired_size: usize::try_from(size).unwrap_or(0),
        scaling_group: group,
        kubernetes_config: kubernetes,
        auto_scaling,
        management,
        state: "initial".into(),
        stock: None,
        never_ready: false,
    }
}

/// Sets the given fields, and leaves the others.
fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

fn describe(state: &State, cloud: &Cloud, pool: &Pool) -> Value {
    let members: Vec<&Instance> =
        state.ecs.instances.values().filter(|it| it.pool_id == pool.id).collect();
    let count = |fits: &dyn Fn(&Instance) -> bool| members.iter().filter(|it| fits(it)).count();
    let in_state = |wanted: &str| count(&|it| it.node_state == wanted);
    let pending = count(&|it| it.status == "Pending");
    let removing = in_state("removing");
    let shown = match pool.state.as_str() {
        "active" if pending > 0 => "scaling",
        "active" if removing > 0 => "removing",
        other => other,
    };
    let mut group = pool.scaling_group.clone();
    group["scaling_group_id"] = json!(pool.scaling_group_id);
    json!({
        "nodepool_info": {
            "nodepool_id": pool.id, "name": pool.name, "type": pool.kind, "is_default": false,
            "region_id": cloud.account.region, "resource_group_id": pool.resource_group_id,
            "created": pool.created, "updated": pool.updated,
        },
        "scaling_group": group, "kubernetes_config": pool.kubernetes_config,
        "auto_scaling": pool.auto_scaling, "management": pool.management,
        "tee_config": {"tee_enable": false},
        "status": {
            "state": shown, "total_nodes": members.len(),
            "healthy_nodes": count(&|it| it.node_ready && it.node_state == "running"),
            "serving_nodes": count(&|it| it.status == "Running"),
            "initial_nodes": in_state("initial"), "removing_nodes": removing,
            "failed_nodes": in_state("failed"),
            "offline_nodes": count(&|it| !it.node_ready && it.node_state == "running"),
        },
    })
}
