//! Elastic network interfaces: an instance's own, which goes with it, and those that Terway adds, which stay.

use serde_json::{Value, json};

use super::{describe_tags, has_tags};
use crate::cloud::{
    answer::ApiError,
    gateway::Call,
    state::{Interface, State},
    vpc::paged,
};

pub(super) fn describe(state: &State, call: &Call) -> Result<Value, ApiError> {
    let ids = call.numbered("NetworkInterfaceId");
    let fits = |name: &str, value: &str| call.param(name).is_none_or(|wanted| wanted == value);
    let found = state.ecs.interfaces.values().filter(|it| {
        (ids.is_empty() || ids.contains(&it.id))
            && fits("Type", &it.kind)
            && fits("Status", &it.status)
            && fits("InstanceId", &it.instance_id)
            && fits("VpcId", &it.vpc_id)
            && fits("VSwitchId", &it.vswitch_id)
            && has_tags(call, &it.tags)
    });
    paged(
        call,
        found.map(describe_one).collect(),
        |page| json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": page}}),
    )
}

pub(super) fn detach(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let instance = call.required("InstanceId")?;
    let interface = find(state, call)?;
    if interface.kind == "Primary" {
        let message = "The primary network interface can't be detached.";
        return Err(ApiError::new(403, "InvalidOperation.DetachPrimary", message));
    }
    if interface.instance_id != instance {
        let message = "The network interface is not attached to the instance.";
        return Err(ApiError::new(403, "InvalidOperation.InvalidEniState", message));
    }
    interface.instance_id.clear();
    interface.status = "Available".into();
    Ok(json!({}))
}

/// Deleting what is not there is no error, as with the real one.
pub(super) fn delete(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let id = call.required("NetworkInterfaceId")?;
    let Some(interface) = state.ecs.interfaces.get(id) else {
        return Ok(json!({}));
    };
    if interface.status != "Available" {
        let message = "The specified network interface is attached to an instance.";
        return Err(ApiError::new(403, "InvalidOperation.InvalidEniState", message));
    }
    state.ecs.interfaces.remove(id);
    Ok(json!({}))
}

fn find<'a>(state: &'a mut State, call: &Call) -> Result<&'a mut Interface, ApiError> {
    let id = call.required("NetworkInterfaceId")?;
    state.ecs.interfaces.get_mut(id).ok_or_else(|| {
        let message = "The specified NetworkInterfaceId does not exist.";
        ApiError::new(404, "InvalidEniId.NotFound", message)
    })
}

fn describe_one(it: &Interface) -> Value {
    json!({
        "NetworkInterfaceId": it.id, "NetworkInterfaceName": "", "Type": it.kind,
        "Status": it.status, "InstanceId": it.instance_id, "VpcId": it.vpc_id,
        "VSwitchId": it.vswitch_id, "ZoneId": it.zone, "PrivateIpAddress": it.private_ip,
        "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": it.private_ip, "Primary": true}]},
        "SecurityGroupIds": {"SecurityGroupId": it.security_group_ids},
        "CreationTime": it.creation_time, "MacAddress": "00:16:3e:00:00:01", "Description": "",
        "Tags": describe_tags(&it.tags),
    })
}
