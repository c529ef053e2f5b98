//! A cluster's nodes as CS lists them, and their removal.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{cluster_of, pool_of, require_running, tasks};
use crate::{
    cloud::{
        Cloud,
        answer::ApiError,
        fleet,
        gateway::Call,
        state::{Instance, State},
    },
    faults::Fault,
};

pub(super) fn list(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let cluster = cluster_of(state, call)?;
    let number = |name: &str, default: usize, max: usize| match call.param(name) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(ApiError::invalid(name, text)),
        },
    };
    let (page, size) = (number("pageNumber", 1, usize::MAX)?, number("pageSize", 10, 100)?);
    let mut nodes: Vec<Value> = Vec::new();
    if call.param("nodepool_id").is_none() {
        nodes.extend(cluster.data_center_nodes.iter().map(describe_own));
    }
    let of_cluster = state.ecs.instances.values().filter(|it| it.cluster_id == cluster.cluster_id);
    nodes.extend(of_cluster.map(|it| describe(cloud, it)));
    let listed = |name: &str| -> Vec<String> {
        call.param(name).map(|it| it.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let (ids, names) = (listed("instanceIds"), listed("nodeNames"));
    let has = |wanted: &[String], value: &Value| {
        wanted.is_empty() || wanted.iter().any(|it| value.as_str() == Some(it))
    };
    let (pool, wanted_state) = (call.param("nodepool_id"), call.param("state"));
    nodes.retain(|node| {
        has(&ids, &node["instance_id"])
            && has(&names, &node["node_name"])
            && pool.is_none_or(|id| node["nodepool_id"] == id)
            && wanted_state.is_none_or(|it| it == "all" || node["state"] == it)
    });
    let total = nodes.len();
    let shown: Vec<Value> = nodes.into_iter().skip((page - 1) * size).take(size).collect();
    let page = json!({"page_number": page, "page_size": size, "total_count": total});
    Ok(json!({"nodes": shown, "page": page}))
}

pub(super) fn remove_from_pool(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let mut state = cloud.state();
    require_running(cluster_of(&state, call)?)?;
    let pool_id = pool_of(&mut state, call)?.id.clone();
    let list = |name: &str| -> Result<Vec<String>, ApiError> {
        let text = call.param(name).unwrap_or("[]");
        serde_json::from_str(text).map_err(|_| ApiError::invalid(name, "no JSON list"))
    };
    let (ids, names) = (list("instance_ids")?, list("nodes")?);
    let members: Vec<String> = state
        .ecs
        .instances
        .values()
        .filter(|it| it.pool_id == pool_id)
        .filter(|it| ids.contains(&it.id) || names.contains(&node_name(cloud, it)))
        .map(|it| it.id.clone())
        .collect();
    if members.len() < ids.len() + names.len() || members.is_empty() {
        let message = format!("some of {ids:?} {names:?} are not in nodepool {pool_id}");
        return Err(ApiError::new(400, "ErrorNodeNotFound", message));
    }
    drop(state);
    Ok(carry_out(cloud, call, members, call.flag("release_node"), call.flag("drain_node")))
}

pub(super) fn remove(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let body = call.json()?;
    let state = cloud.state();
    let cluster = cluster_of(&state, call)?;
    require_running(cluster)?;
    let wanted: Vec<&str> =
        body["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let members: Vec<String> = state
        .ecs
        .instances
        .values()
        .filter(|it| it.cluster_id == cluster.cluster_id)
        .filter(|it| {
            wanted.contains(&it.id.as_str()) || wanted.contains(&node_name(cloud, it).as_str())
        })
        .map(|it| it.id.clone())
        .collect();
    if wanted.is_empty() || members.len() < wanted.len() {
        let message = format!("some of {wanted:?} are not in the cluster");
        return Err(ApiError::new(400, "ErrorNodeNotFound", message));
    }
    drop(state);
    let flag = |name: &str| body[name].as_bool().unwrap_or(false);
    Ok(carry_out(cloud, call, members, flag("release_node"), flag("drain_node")))
}

/// Takes the members out: the pools want that many fewer, so that nothing is replaced.
fn carry_out(
    cloud: &Arc<Cloud>,
    call: &Call,
    mut members: Vec<String>,
    release: bool,
    drain: bool,
) -> Value {
    let cluster_id = call.path_id(0);
    let mut state = cloud.state();
    let stuck = call.effect == Some(Fault::Stuck);
    let target = ("cluster", cluster_id);
    let task = tasks::start(&mut state, cluster_id, "cluster_node_delete", target, stuck);
    if call.effect == Some(Fault::Partial) {
        members.truncate(members.len() / 2);
    }
    let mut leaving = Vec::new();
    for id in members {
        let Some(instance) = state.ecs.instances.get_mut(&id) else { continue };
        if instance.node_state == "removing" {
            continue;
        }
        instance.node_state = "removing".into();
        let pool_id = instance.pool_id.clone();
        if let Some(pool) = state.cs.pools.get_mut(&pool_id) {
            pool.desired_size = pool.desired_size.saturating_sub(1);
            pool.scaling_group["desired_size"] = json!(pool.desired_size);
        }
        leaving.push(id);
    }
    if let Some(task) = state.history.tasks.get_mut(&task) {
        task.results = leaving.iter().map(|id| (id.clone(), "initial".into())).collect();
    }
    drop(state);
    if !stuck {
        let (cloud_then, task_then) = (Arc::clone(cloud), task.clone());
        cloud.spawn(async move {
            for id in &leaving {
                if release {
                    fleet::release(&cloud_then, id, drain).await;
                } else {
                    fleet::expel(&cloud_then, id, drain).await;
                }
                tasks::report(&mut cloud_then.state(), &task_then, id, None);
            }
            tasks::end(&mut cloud_then.state(), &task_then, Ok(()));
        });
    }
    json!({"cluster_id": cluster_id, "task_id": task, "request_id": call.request_id})
}

fn node_name(cloud: &Cloud, it: &Instance) -> String {
    format!("{}.{}", cloud.account.region, it.private_ip)
}

fn describe(cloud: &Cloud, it: &Instance) -> Value {
    let status = match (it.node_state.as_str(), it.node_ready) {
        ("running" | "removing", true) => "Ready",
        ("running" | "removing", false) => "NotReady",
        _ => "Unknown",
    };
    json!({
        "instance_id": it.id, "node_name": node_name(cloud, it), "nodepool_id": it.pool_id,
        "node_status": status, "state": it.node_state, "instance_status": it.status,
        "ip_address": [it.private_ip], "host_name": it.id, "instance_name": it.id,
        "instance_type": it.instance_type, "instance_role": "Worker", "source": "ess_attach",
        "instance_type_family": it.instance_type.rsplit_once('.').map(|(family, _)| family),
        "instance_charge_type": it.charge_type, "is_aliyun_node": true, "image_id": it.image_type,
        "spot_strategy": "NoSpot", "creation_time": it.creation_time, "expired_time": "",
        "error_message": it.error_message,
    })
}

/// A node of the data center.
fn describe_own((name, address): &(String, String)) -> Value {
    json!({
        "instance_id": "", "node_name": name, "nodepool_id": "", "node_status": "Ready",
        "state": "running", "instance_status": "", "ip_address": [address], "host_name": name,
        "instance_role": "Worker", "is_aliyun_node": false, "error_message": "",
    })
}
