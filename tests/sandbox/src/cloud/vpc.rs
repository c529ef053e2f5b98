//! VPC: networks, vSwitches and routes, read only.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{
    Cloud,
    answer::ApiError,
    gateway::Call,
    state::{State, Vpc, Vswitch},
};

/// When everything of the seed was made.
const CREATED: &str = "2026-01-01T00:00:00Z";

pub(crate) fn answer(cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let state = cloud.state();
    let region = cloud.account.region.as_str();
    match call.action.as_str() {
        "DescribeVpcs" => {
            require_region(call)?;
            let of_id = |vpc: &&Vpc| call.param("VpcId").is_none_or(|id| id == vpc.id);
            let vpcs: Vec<Value> =
                state.vpcs.values().filter(of_id).map(|vpc| describe_vpc(vpc, region)).collect();
            paged(call, vpcs, |page| json!({"Vpcs": {"Vpc": page}}))
        }
        "DescribeVpcAttribute" => {
            let vpc = find_vpc(&state, call.required("VpcId")?)?;
            Ok(describe_vpc(vpc, region))
        }
        "DescribeVSwitches" => describe_vswitches(&state, call),
        "DescribeVSwitchAttributes" => {
            let id = call.required("VSwitchId")?;
            let (vpc, vswitch) = find_vswitch(&state, id).ok_or_else(|| {
                let message = "Specified virtual switch does not exist.";
                ApiError::new(404, "InvalidVSwitchId.NotFound", message)
            })?;
            let mut answer = describe_vswitch(&state, vpc, vswitch);
            answer["RegionId"] = json!(region);
            Ok(answer)
        }
        "DescribeRouteTableList" => {
            let of_id = |vpc: &&Vpc| call.param("VpcId").is_none_or(|id| id == vpc.id);
            let tables: Vec<Value> =
                state.vpcs.values().filter(of_id).map(describe_route_table).collect();
            paged(call, tables, |page| json!({"RouterTableList": {"RouterTableListType": page}}))
        }
        "DescribeRouteEntryList" => describe_routes(&state, call),
        "DescribeVirtualBorderRouters" => paged(
            call,
            Vec::new(),
            |page| json!({"VirtualBorderRouterSet": {"VirtualBorderRouterType": page}}),
        ),
        other => Err(ApiError::unknown_action(other)),
    }
}

fn require_region(call: &Call) -> Result<(), ApiError> {
    call.required("RegionId").map(|_| ())
}

fn find_vpc<'a>(state: &'a State, id: &str) -> Result<&'a Vpc, ApiError> {
    let message = "Specified VPC does not exist.";
    state.vpcs.get(id).ok_or_else(|| ApiError::new(404, "InvalidVpcId.NotFound", message))
}

/// A vSwitch with its VPC.
pub(crate) fn find_vswitch<'a>(state: &'a State, id: &str) -> Option<(&'a Vpc, &'a Vswitch)> {
    state.vpcs.values().find_map(|vpc| Some((vpc, vpc.vswitches.get(id)?)))
}

/// Addresses of a vSwitch that are not in use.
pub(crate) fn free_addresses(state: &State, vswitch: &Vswitch) -> u32 {
    let used = state.ecs.interfaces.values().filter(|it| it.vswitch_id == vswitch.id).count();
    vswitch.capacity.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
}

/// The lowest free address of a vSwitch, leaving its first ten to the network.
pub(crate) fn pick_address(state: &State, vswitch: &Vswitch) -> Option<String> {
    if free_addresses(state, vswitch) == 0 {
        return None;
    }
    let base = vswitch.cidr.split('/').next()?.parse::<Ipv4Addr>().ok()?;
    let taken = |ip: &String| state.ecs.interfaces.values().any(|it| it.private_ip == *ip);
    (10..u32::from(u16::MAX))
        .map(|offset| Ipv4Addr::from(u32::from(base) + offset).to_string())
        .find(|ip| !taken(ip))
}

fn describe_vpc(vpc: &Vpc, region: &str) -> Value {
    json!({
        "VpcId": vpc.id, "VpcName": "", "RegionId": region, "Status": "Available",
        "CidrBlock": vpc.cidr, "IsDefault": false, "CreationTime": CREATED,
        "VRouterId": format!("vrt-{}", vpc.id.trim_start_matches("vpc-")),
        "CenStatus": "Detached", "Description": "", "ResourceGroupId": "rg-default",
        "SecondaryCidrBlocks": {"SecondaryCidrBlock": []}, "UserCidrs": {"UserCidr": []},
        "RouterTableIds": {"RouterTableIds": [vpc.route_table_id]},
        "VSwitchIds": {"VSwitchId": vpc.vswitches.keys().collect::<Vec<_>>()},
    })
}

fn describe_vswitches(state: &State, call: &Call) -> Result<Value, ApiError> {
    if call.param("RegionId").is_none() && call.param("VpcId").is_none() {
        return Err(ApiError::missing("RegionId"));
    }
    let fits = |name: &str, value: &str| call.param(name).is_none_or(|wanted| wanted == value);
    let mut found = Vec::new();
    for vpc in state.vpcs.values().filter(|vpc| fits("VpcId", &vpc.id)) {
        for vswitch in vpc.vswitches.values() {
            if fits("VSwitchId", &vswitch.id) && fits("ZoneId", &vswitch.zone) {
                found.push(describe_vswitch(state, vpc, vswitch));
            }
        }
    }
    paged(call, found, |page| json!({"VSwitches": {"VSwitch": page}}))
}

fn describe_vswitch(state: &State, vpc: &Vpc, vswitch: &Vswitch) -> Value {
    json!({
        "VSwitchId": vswitch.id, "VpcId": vpc.id, "VSwitchName": "", "ZoneId": vswitch.zone,
        "CidrBlock": vswitch.cidr, "Status": "Available", "IsDefault": false,
        "AvailableIpAddressCount": free_addresses(state, vswitch), "CreationTime": CREATED,
        "RouteTable": {"RouteTableId": vpc.route_table_id, "RouteTableType": "System"},
        "NetworkAclId": "", "ResourceGroupId": "rg-default", "Description": "",
    })
}

fn describe_route_table(vpc: &Vpc) -> Value {
    json!({
        "RouteTableId": vpc.route_table_id, "RouteTableType": "System", "VpcId": vpc.id,
        "RouterType": "VRouter", "Status": "Available", "AssociateType": "VSwitch",
        "RoutePropagationEnable": true, "RouteTableName": "", "CreationTime": CREATED,
        "RouterId": format!("vrt-{}", vpc.id.trim_start_matches("vpc-")),
        "VSwitchIds": {"VSwitchId": vpc.vswitches.keys().collect::<Vec<_>>()},
    })
}

fn describe_routes(state: &State, call: &Call) -> Result<Value, ApiError> {
    let table = call.required("RouteTableId")?;
    let vpc = state.vpcs.values().find(|vpc| vpc.route_table_id == table).ok_or_else(|| {
        let message = "Specified route table does not exist.";
        ApiError::new(404, "InvalidRouteTableId.NotFound", message)
    })?;
    let entry = |destination: &str, kind: &str, hop_type: &str, hop: &str| {
        json!({
            "RouteTableId": table, "DestinationCidrBlock": destination, "Type": kind,
            "Status": "Available", "IpVersion": "IPv4", "Description": "", "Origin": "",
            "NextHops": {"NextHop": [{
                "NextHopType": hop_type, "NextHopId": hop, "Weight": 0, "Enabled": 1,
                "NextHopRegionId": "",
            }]},
        })
    };
    let local = vpc.vswitches.values().map(|it| entry(&it.cidr, "System", "local", ""));
    let services = std::iter::once(entry("100.64.0.0/10", "System", "service", ""));
    let custom = vpc.routes.iter().map(|(to, kind, hop)| entry(to, "Custom", kind, hop));
    let mut entries: Vec<Value> = local.chain(services).chain(custom).collect();
    if let Some(destination) = call.param("DestinationCidrBlock") {
        entries.retain(|entry| entry["DestinationCidrBlock"] == destination);
    }
    Ok(json!({"NextToken": "", "RouteEntrys": {"RouteEntry": entries}}))
}

/// One page of a list, with the numbers that go with it; by page number, or by token where `MaxResults` is given.
pub(crate) fn paged(
    call: &Call,
    items: Vec<Value>,
    wrap: impl FnOnce(Vec<Value>) -> Value,
) -> Result<Value, ApiError> {
    let number = |name: &str, default: usize| match call.param(name) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(ApiError::invalid(name, text)),
        },
    };
    let total = items.len();
    if call.param("MaxResults").is_some() {
        let (start, size) = (number("NextToken", 1)? - 1, number("MaxResults", 10)?);
        let end = total.min(start + size);
        let mut answer = wrap(items.into_iter().take(end).skip(start).collect());
        answer["TotalCount"] = json!(total);
        answer["NextToken"] =
            json!(if end < total { (end + 1).to_string() } else { String::new() });
        return Ok(answer);
    }
    let (page, size) = (number("PageNumber", 1)?, number("PageSize", 10)?);
    let size_max = if call.product == super::gateway::Product::Ecs { 500 } else { 50 };
    if size > size_max {
        return Err(ApiError::invalid("PageSize", format!("{size} is over {size_max}")));
    }
    let mut answer = wrap(items.into_iter().skip((page - 1) * size).take(size).collect());
    answer["TotalCount"] = json!(total);
    answer["PageNumber"] = json!(page);
    answer["PageSize"] = json!(size);
    Ok(answer)
}
