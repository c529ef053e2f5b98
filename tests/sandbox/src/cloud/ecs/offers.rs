//! What can be had: instance types, stock by zone, key pairs.

use serde_json::{Value, json};

use crate::cloud::{
    Cloud,
    answer::ApiError,
    gateway::Call,
    state::{InstanceType, State},
    vpc::paged,
};

pub(super) fn types(state: &State, call: &Call) -> Result<Value, ApiError> {
    let wanted = call.numbered("InstanceTypes");
    let all = state.ecs.instance_types.values();
    let found: Vec<Value> = all
        .filter(|it| wanted.is_empty() || wanted.contains(&it.id))
        .map(|it: &InstanceType| {
            json!({
                "InstanceTypeId": it.id, "CpuCoreCount": it.cpus, "MemorySize": it.memory_gib,
                "EniQuantity": it.enis, "EniPrivateIpAddressQuantity": it.ips_per_eni,
                "EniTotalQuantity": it.enis, "EniTrunkSupported": false,
                "InstanceTypeFamily": it.id.rsplit_once('.').map(|(family, _)| family),
            })
        })
        .collect();
    Ok(json!({"NextToken": "", "InstanceTypes": {"InstanceType": found}}))
}

pub(super) fn available(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    call.required("DestinationResource")?;
    let zones = state.ecs.instance_types.values().flat_map(|it| it.zones.iter());
    let mut zones: Vec<&String> = zones.collect();
    zones.sort();
    zones.dedup();
    zones.retain(|zone| call.param("ZoneId").is_none_or(|wanted| wanted == zone.as_str()));
    let wanted = |it: &&InstanceType| call.param("InstanceType").is_none_or(|id| id == it.id);
    let described: Vec<Value> = zones
        .into_iter()
        .map(|zone| {
            let here = state.ecs.instance_types.values().filter(wanted);
            let supported: Vec<Value> = here
                .filter(|it| it.zones.contains(zone))
                .map(|it| {
                    json!({
                        "Value": it.id, "Status": "Available", "StatusCategory": "WithStock",
                    })
                })
                .collect();
            json!({
                "ZoneId": zone, "RegionId": cloud.account.region, "Status": "Available",
                "StatusCategory": "WithStock",
                "AvailableResources": {"AvailableResource": [{
                    "Type": "InstanceType", "SupportedResources": {"SupportedResource": supported},
                }]},
            })
        })
        .collect();
    Ok(json!({"AvailableZones": {"AvailableZone": described}}))
}

pub(super) fn key_pairs(state: &State, call: &Call) -> Result<Value, ApiError> {
    let wanted = call.param("KeyPairName");
    let found: Vec<Value> = state
        .ecs
        .key_pairs
        .iter()
        .filter(|name| wanted.is_none_or(|pattern| crate::faults::glob(pattern, name)))
        .map(|name| json!({"KeyPairName": name, "ResourceGroupId": "rg-default"}))
        .collect();
    paged(call, found, |page| json!({"KeyPairs": {"KeyPair": page}}))
}
