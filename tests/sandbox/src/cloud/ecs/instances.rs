//! ECS instances, as node pools create them. Releasing one here goes behind the pool's back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{describe_tags, has_tags, json_ids};
use crate::cloud::{
    Cloud,
    answer::ApiError,
    fleet,
    gateway::Call,
    state::{Instance, State},
    vpc::paged,
};

pub(super) fn describe(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let ids = json_ids(call, "InstanceIds")?;
    let fits = |name: &str, value: &str| call.param(name).is_none_or(|wanted| wanted == value);
    let found = state.ecs.instances.values().filter(|it| {
        (ids.is_empty() || ids.contains(&it.id))
            && fits("VpcId", &it.vpc_id)
            && fits("VSwitchId", &it.vswitch_id)
            && fits("ZoneId", &it.zone)
            && fits("Status", &it.status)
            && has_tags(call, &it.tags)
    });
    let described = found.map(|it| describe_one(state, cloud, it)).collect();
    paged(call, described, |page| json!({"Instances": {"Instance": page}}))
}

pub(super) fn attribute(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let instance = find(state, call.required("InstanceId")?)?;
    Ok(describe_one(state, cloud, instance))
}

pub(super) fn status(state: &State, call: &Call) -> Result<Value, ApiError> {
    let ids = call.numbered("InstanceId");
    let all = state.ecs.instances.values();
    let found = all.filter(|it| ids.is_empty() || ids.contains(&it.id));
    let described = found.map(|it| json!({"InstanceId": it.id, "Status": it.status})).collect();
    paged(call, described, |page| json!({"InstanceStatuses": {"InstanceStatus": page}}))
}

pub(super) fn delete(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let mut ids = call.numbered("InstanceId");
    ids.extend(call.param("InstanceId").map(str::to_owned));
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    {
        let state = cloud.state();
        for id in &ids {
            let instance = find(&state, id)?;
            if instance.status == "Running" && !call.flag("Force") {
                let message = "The current status of the resource does not support this operation.";
                return Err(ApiError::new(403, "IncorrectInstanceStatus", message));
            }
        }
    }
    for id in &ids {
        fleet::release_behind_the_pools_back(cloud, id);
    }
    Ok(json!({}))
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Instance, ApiError> {
    state.ecs.instances.get(id).ok_or_else(|| {
        let message = "The specified InstanceId does not exist.";
        ApiError::new(404, "InvalidInstanceId.NotFound", message)
    })
}

fn describe_one(state: &State, cloud: &Cloud, it: &Instance) -> Value {
    let offer = state.ecs.instance_types.get(&it.instance_type);
    let interfaces: Vec<Value> = state
        .ecs
        .interfaces
        .values()
        .filter(|interface| interface.instance_id == it.id)
        .map(|interface| {
            json!({
                "NetworkInterfaceId": interface.id, "Type": interface.kind,
                "PrimaryIpAddress": interface.private_ip,
            })
        })
        .collect();
    json!({
        "InstanceId": it.id, "InstanceName": it.id, "HostName": it.id, "Status": it.status,
        "RegionId": cloud.account.region, "ZoneId": it.zone, "InstanceType": it.instance_type,
        "InstanceChargeType": it.charge_type, "ImageId": it.image_type, "OSType": "linux",
        "Cpu": offer.map(|offer| offer.cpus), "Memory": offer.map(|offer| offer.memory_gib * 1024),
        "CreationTime": it.creation_time, "InstanceNetworkType": "vpc",
        "VpcAttributes": {
            "VpcId": it.vpc_id, "VSwitchId": it.vswitch_id, "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [it.private_ip]},
        },
        "SecurityGroupIds": {"SecurityGroupId": it.security_group_ids},
        "NetworkInterfaces": {"NetworkInterface": interfaces},
        "PublicIpAddress": {"IpAddress": []}, "Tags": describe_tags(&it.tags),
    })
}
