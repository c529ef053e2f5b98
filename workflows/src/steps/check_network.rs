//! `check-network`: the VPC and its vSwitches are what the spec says, the address plan holds, addresses suffice, security
//! groups let the two sides talk, and there is a private way to the data center (the guide's first prerequisite).
//!
//! Its output names the zones and blocks of the vSwitches for later steps: `{vpc_id, vpc_cidrs, node_vswitches, pod_vswitches:
//! [{id, zone, cidr}], pod_zones: {ZONE: [ID]}}`.

mod plan;
mod routes;
mod security;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use causeway_engine::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check_capacity::pods_per_node;
use super::cloud::{cloud_of, error, judged, spec_of};
use crate::alibaba::{Client, ecs, vpc};
use crate::sdk::{Check, Checked, Context, value};
use crate::spec::document::{self, Spec};

/// The step.
pub struct CheckNetwork;

/// What later steps need of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The VPC.
    pub vpc_id: String,
    /// Its blocks.
    pub vpc_cidrs: Vec<String>,
    /// The nodes' vSwitches, in the spec's order.
    pub node_vswitches: Vec<Placed>,
    /// The pods' vSwitches, in the spec's order.
    pub pod_vswitches: Vec<Placed>,
    /// The pods' vSwitches by zone: the map that Terway needs.
    pub pod_zones: BTreeMap<String, Vec<String>>,
}

/// A vSwitch with its zone and block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Id.
    pub id: String,
    /// Zone.
    pub zone: String,
    /// Block.
    pub cidr: String,
}

#[async_trait]
impl Check for CheckNetwork {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let client = cloud_of(context).await?;
        let spec = spec_of(context)?;
        let Some(vpc) = vpc::describe_vpc(&client, &spec.vpc.id).await? else {
            let subject = format!("spec.vpc.id ({})", spec.vpc.id);
            let message = format!("the account has no such VPC in {}", spec.region);
            let finding = error(
                "VPC_NOT_FOUND",
                subject,
                message,
                "give the VPC that the cluster was registered in",
            );
            return judged("the network", vec![finding], Value::Null);
        };
        let mut findings = Vec::new();
        if vpc.status != "Available" {
            let message = format!("its status is {}", vpc.status);
            findings.push(error(
                "VPC_NOT_AVAILABLE",
                format!("spec.vpc.id ({})", vpc.id),
                message,
                "wait until it is Available",
            ));
        }
        let all = vpc::describe_vswitches(&client, &vpc.id).await?;
        let strangers = strangers(&client, &spec, &all).await?;
        findings.extend(plan::judge_vswitches(&spec, &all, &strangers));
        findings.extend(plan::judge_cidrs(&spec.on_premises, &vpc, &all));
        findings.extend(plan::judge_free_addresses(
            &spec,
            &all,
            &pods_by_type(&client, &spec).await?,
        ));
        findings.extend(security::judge(&client, &spec, &vpc, &all).await?);
        findings.extend(routes::judge(&client, &spec, &all).await?);
        judged("the network", findings, value(&network(&spec, &vpc, &all)))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "vpc:DescribeVpcs",
            "vpc:DescribeVSwitches",
            "vpc:DescribeRouteTableList",
            "vpc:DescribeRouteEntryList",
            "ecs:DescribeInstanceTypes",
            "ecs:DescribeSecurityGroups",
            "ecs:DescribeSecurityGroupAttribute",
            "cen:DescribeCens",
            "cen:ListTransitRouters",
            "cen:ListTransitRouterVpcAttachments",
            "cen:ListTransitRouterRouteTables",
            "cen:ListTransitRouterRouteEntries",
            "cen:DescribeCenAttachedChildInstances",
            "cen:DescribeCenRegionDomainRouteEntries",
        ]
    }
}

/// Every vSwitch that the spec names, with its path.
fn named(spec: &Spec) -> Vec<(String, &str)> {
    let list = |path: &str, vswitches: &'_ [document::VSwitch]| -> Vec<String> {
        (0..vswitches.len()).map(|index| format!("spec.vpc.{path}[{index}].id")).collect()
    };
    let nodes =
        list("node_vswitches", &spec.vpc.node_vswitches).into_iter().zip(&spec.vpc.node_vswitches);
    let pods =
        list("pod_vswitches", &spec.vpc.pod_vswitches).into_iter().zip(&spec.vpc.pod_vswitches);
    let mut named: Vec<(String, &str)> =
        nodes.chain(pods).map(|(path, vswitch)| (path, vswitch.id.as_str())).collect();
    for (index, pool) in spec.node_pools.iter().enumerate() {
        for (at, id) in pool.vswitch_ids.iter().enumerate() {
            // Defaulted ids are the node vSwitches': said there.
            if !spec.vpc.node_vswitches.iter().any(|vswitch| vswitch.id == *id) {
                named.push((format!("spec.node_pools[{index}].vswitch_ids[{at}]"), id));
            }
        }
    }
    named
}

/// The VPC of each named vSwitch that is not in ours; `None` where there is no such vSwitch in the region.
async fn strangers(
    client: &Client,
    spec: &Spec,
    all: &[vpc::VSwitch],
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let ids: BTreeSet<&str> = named(spec).into_iter().map(|(_, id)| id).collect();
    let mut strangers = BTreeMap::new();
    for id in ids.into_iter().filter(|id| !all.iter().any(|vswitch| vswitch.id == *id)) {
        let found = vpc::describe_vswitch(client, id).await?;
        strangers.insert(id.to_owned(), found.map(|vswitch| vswitch.vpc_id));
    }
    Ok(strangers)
}

async fn pods_by_type(client: &Client, spec: &Spec) -> Result<BTreeMap<String, u32>, Failure> {
    let names: BTreeSet<&str> =
        spec.node_pools.iter().flat_map(|pool| &pool.instance_types).map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let types = ecs::describe_instance_types(client, &names).await?;
    Ok(types
        .into_iter()
        .map(|kind| (kind.instance_type_id.clone(), pods_per_node(&kind)))
        .collect())
}

fn network(spec: &Spec, vpc: &vpc::Vpc, all: &[vpc::VSwitch]) -> Network {
    let place = |wanted: &document::VSwitch| {
        let found = all.iter().find(|vswitch| vswitch.id == wanted.id)?;
        Some(Placed {
            id: found.id.clone(),
            zone: found.zone_id.clone(),
            cidr: found.cidr_block.clone(),
        })
    };
    let pod_vswitches: Vec<Placed> = spec.vpc.pod_vswitches.iter().filter_map(place).collect();
    let mut pod_zones: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for vswitch in &pod_vswitches {
        pod_zones.entry(vswitch.zone.clone()).or_default().push(vswitch.id.clone());
    }
    Network {
        vpc_id: vpc.id.clone(),
        vpc_cidrs: vpc.cidr_blocks.clone(),
        node_vswitches: spec.vpc.node_vswitches.iter().filter_map(place).collect(),
        pod_vswitches,
        pod_zones,
    }
}

/// An IPv4 CIDR from the cloud or the validated spec; `None` for what is neither (IPv6 routes).
fn net(text: &str) -> Option<ipnet::Ipv4Net> {
    text.parse().ok()
}

fn overlap(a: &ipnet::Ipv4Net, b: &ipnet::Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// The data center's blocks with their paths; `service` too where asked.
fn on_premises_blocks(
    network: &document::OnPremises,
    service: bool,
) -> Vec<(String, &'static str, ipnet::Ipv4Net)> {
    let lists = [
        ("node_cidrs", "the data center's nodes", &network.node_cidrs),
        ("pod_cidrs", "the data center's pods", &network.pod_cidrs),
    ];
    let mut blocks: Vec<(String, &'static str, ipnet::Ipv4Net)> = lists
        .into_iter()
        .flat_map(|(path, what, cidrs)| {
            cidrs.iter().enumerate().filter_map(move |(index, cidr)| {
                Some((format!("spec.on_premises.{path}[{index}]"), what, net(cidr)?))
            })
        })
        .collect();
    if let Some(cidr) = net(&network.service_cidr).filter(|_| service) {
        blocks.push(("spec.on_premises.service_cidr".to_owned(), "the services", cidr));
    }
    blocks
}

/// What was found, in short, for the tests of the parts.
#[cfg(test)]
fn codes(findings: &[causeway_engine::Finding]) -> Vec<(&str, causeway_engine::Severity)> {
    findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect()
}

/// The guide's own network, for the tests of the parts.
#[cfg(test)]
fn guide() -> (Spec, vpc::Vpc, Vec<vpc::VSwitch>) {
    let vswitch =
        |id: &str| document::VSwitch { id: id.to_owned(), zone: "cn-hangzhou-h".to_owned() };
    let mut spec = Spec { region: "cn-hangzhou".into(), ..Spec::default() };
    spec.on_premises.node_cidrs = vec!["192.168.0.0/24".into()];
    spec.on_premises.pod_cidrs = vec!["10.100.0.0/16".into()];
    spec.on_premises.service_cidr = "172.16.0.0/16".into();
    spec.vpc.id = "vpc-1".into();
    spec.vpc.node_vswitches = vec![vswitch("vsw-nodes")];
    spec.vpc.pod_vswitches = vec![vswitch("vsw-pods")];
    spec.node_pools = vec![crate::spec::pool::NodePool {
        name: "burst".into(),
        size: Some(2),
        instance_types: vec!["ecs.g7.xlarge".into()],
        vswitch_ids: vec!["vsw-nodes".into()],
        ..Default::default()
    }];
    let real = |id: &str, cidr: &str| vpc::VSwitch {
        id: id.into(),
        vpc_id: "vpc-1".into(),
        zone_id: "cn-hangzhou-h".into(),
        cidr_block: cidr.into(),
        available_ip_address_count: 252,
        status: "Available".into(),
        route_table: vpc::VSwitchRouteTable::default(),
    };
    let vpc = vpc::Vpc {
        id: "vpc-1".into(),
        status: "Available".into(),
        cidr_blocks: vec!["10.0.0.0/8".into()],
    };
    (spec, vpc, vec![real("vsw-nodes", "10.10.24.0/24"), real("vsw-pods", "10.10.25.0/24")])
}
