//! Security groups and their rules, read only.

use serde_json::{Value, json};

use super::json_ids;
use crate::cloud::{
    Cloud,
    answer::ApiError,
    gateway::Call,
    state::{SecurityGroup, State, Vpc},
    vpc::paged,
};

pub(super) fn groups(state: &State, call: &Call) -> Result<Value, ApiError> {
    let mut ids = json_ids(call, "SecurityGroupIds")?;
    ids.extend(call.param("SecurityGroupId").map(str::to_owned));
    let asked_tags = !call.tags().is_empty();
    let mut found = Vec::new();
    let in_vpc = |vpc: &&Vpc| call.param("VpcId").is_none_or(|wanted| wanted == vpc.id);
    for vpc in state.vpcs.values().filter(in_vpc) {
        for group in vpc.security_groups.values() {
            // No group of the seed has tags.
            if (ids.is_empty() || ids.contains(&group.id)) && !asked_tags {
                found.push(json!({
                    "SecurityGroupId": group.id, "SecurityGroupName": group.id, "VpcId": vpc.id,
                    "SecurityGroupType": group.kind, "Description": "", "Tags": {"Tag": []},
                    "CreationTime": "2026-01-01T00:00:00Z", "ServiceManaged": false,
                }));
            }
        }
    }
    paged(call, found, |page| json!({"SecurityGroups": {"SecurityGroup": page}}))
}

pub(super) fn attribute(state: &State, cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let id = call.required("SecurityGroupId")?;
    let found = state.vpcs.values().find_map(|vpc| Some((vpc, vpc.security_groups.get(id)?)));
    let (vpc, group) = found.ok_or_else(|| {
        let message = "The specified SecurityGroupId does not exist.";
        ApiError::new(404, "InvalidSecurityGroupId.NotFound", message)
    })?;
    let inner = if group.kind == "enterprise" { "Drop" } else { "Accept" };
    Ok(json!({
        "SecurityGroupId": id, "SecurityGroupName": id, "VpcId": vpc.id, "Description": "",
        "RegionId": cloud.account.region, "InnerAccessPolicy": inner, "NextToken": "",
        "Permissions": {"Permission": permissions(group, call)},
    }))
}

fn permissions(group: &SecurityGroup, call: &Call) -> Vec<Value> {
    let wanted = call.param("Direction").unwrap_or("all");
    group
        .rules
        .iter()
        .enumerate()
        .filter(|(_, (direction, ..))| wanted == "all" || wanted == direction)
        .map(|(index, (direction, protocol, ports, cidr, policy))| {
            let (source, destination) =
                if direction == "ingress" { (cidr.as_str(), "") } else { ("", cidr.as_str()) };
            json!({
                "SecurityGroupRuleId": format!("sgr-{}-{index}", group.id),
                "Direction": direction, "IpProtocol": protocol, "PortRange": ports,
                "SourceCidrIp": source, "DestCidrIp": destination, "SourceGroupId": "",
                "DestGroupId": "", "Policy": policy, "Priority": "1", "NicType": "intranet",
                "Description": "", "CreateTime": "2026-01-01T00:00:00Z",
            })
        })
        .collect()
}
