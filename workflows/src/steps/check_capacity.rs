//! `check-capacity`: the instance types can run Terway's pods, there is stock in the pools' zones, and the quotas for nodes
//! and node pools are not reached. Stock may be gone a minute later: that is `scale-out`'s to handle.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use causeway_engine::{Failure, Finding};
use serde_json::json;

use super::cloud::{cloud_of, error, judged, spec_of, warning};
use crate::alibaba::ecs::InstanceType;
use crate::alibaba::{Client, cs, cs_nodes, ecs, vpc};
use crate::sdk::{Check, Checked, Context};
use crate::spec::document::Spec;

/// Pods that a node of a type can run in Terway's shared mode, host-network pods aside: the first interface is the node's.
#[must_use]
pub fn pods_per_node(kind: &InstanceType) -> u32 {
    kind.eni_quantity.saturating_sub(1) * kind.eni_private_ip_address_quantity
}

/// The step.
pub struct CheckCapacity;

/// Zones by vSwitch, and whether a type is in stock in a zone.
struct Market {
    zones: BTreeMap<String, String>,
    in_stock: BTreeSet<(String, String)>,
}

#[async_trait]
impl Check for CheckCapacity {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let client = cloud_of(context).await?;
        let spec = spec_of(context)?;
        let names: BTreeSet<&str> = spec
            .node_pools
            .iter()
            .flat_map(|pool| &pool.instance_types)
            .map(String::as_str)
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let types = ecs::describe_instance_types(&client, &names).await?;
        let market = market(&client, &spec).await?;
        let mut findings = judge_pools(&spec, &types, &market);
        let quota = cs::describe_user_quota(&client).await?;
        let pools = cs_nodes::list_node_pools(&client, &spec.cluster_id, None).await?;
        let nodes = cs_nodes::list_nodes(&client, &spec.cluster_id, None).await?.len();
        findings.extend(judge_quota(&spec, &quota, nodes, pools.len()));
        let pods: BTreeMap<&str, u32> = types
            .iter()
            .map(|kind| (kind.instance_type_id.as_str(), pods_per_node(kind)))
            .collect();
        judged("capacity", findings, json!({"pods_per_node": pods}))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "ecs:DescribeInstanceTypes",
            "ecs:DescribeAvailableResource",
            "vpc:DescribeVSwitches",
            "cs:DescribeUserQuota",
            "cs:DescribeClusterNodePools",
            "cs:DescribeClusterNodes",
        ]
    }
}

async fn market(client: &Client, spec: &Spec) -> Result<Market, Failure> {
    let zones: BTreeMap<String, String> = vpc::describe_vswitches(client, &spec.vpc.id)
        .await?
        .into_iter()
        .map(|vswitch| (vswitch.id, vswitch.zone_id))
        .collect();
    let mut asked = BTreeSet::new();
    for pool in &spec.node_pools {
        for zone in pool.vswitch_ids.iter().filter_map(|id| zones.get(id)) {
            asked.extend(pool.instance_types.iter().map(|kind| (zone.clone(), kind.clone())));
        }
    }
    let mut in_stock = BTreeSet::new();
    for (zone, kind) in asked {
        if ecs::is_in_stock(client, &zone, &kind).await? {
            in_stock.insert((zone, kind));
        }
    }
    Ok(Market { zones, in_stock })
}

fn judge_pools(spec: &Spec, types: &[InstanceType], market: &Market) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, pool) in spec.node_pools.iter().enumerate() {
        let path = format!("spec.node_pools[{index}]");
        for (at, name) in pool.instance_types.iter().enumerate() {
            let subject = format!("{path}.instance_types[{at}] ({name})");
            match types.iter().find(|kind| kind.instance_type_id == *name) {
                None => findings.push(error(
                    "INSTANCE_TYPE_UNKNOWN",
                    subject,
                    format!("there is no such instance type in {}", spec.region),
                    "choose one of the region's types, such as ecs.g7.xlarge",
                )),
                Some(kind) if kind.eni_quantity < 2 => findings.push(error(
                    "INSTANCE_TYPE_ONE_ENI",
                    subject,
                    format!("it has {} network interface, which the node itself uses: Terway could run no pod on it", kind.eni_quantity),
                    "choose a type with two network interfaces or more",
                )),
                Some(_) => {}
            }
        }
        let zones: BTreeSet<&String> =
            pool.vswitch_ids.iter().filter_map(|id| market.zones.get(id)).collect();
        let sold_out: Vec<&String> = pool
            .instance_types
            .iter()
            .filter(|kind| {
                !zones
                    .iter()
                    .any(|zone| market.in_stock.contains(&((*zone).clone(), (*kind).clone())))
            })
            .collect();
        // Without a known zone the network check has the word.
        if zones.is_empty() || sold_out.is_empty() {
            continue;
        }
        let names = sold_out.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let where_to = zones.iter().map(|zone| zone.as_str()).collect::<Vec<_>>().join(", ");
        let subject = format!("{path}.instance_types ({names})");
        let remedy = "add other instance types, or vSwitches in other zones";
        if sold_out.len() == pool.instance_types.len() {
            findings.push(error(
                "OUT_OF_STOCK",
                subject,
                format!("none of them is in stock in {where_to}"),
                remedy,
            ));
        } else {
            findings.push(warning(
                "OUT_OF_STOCK",
                subject,
                format!("not in stock in {where_to}; the pool's other types are"),
                remedy,
            ));
        }
    }
    findings
}

fn judge_quota(spec: &Spec, quota: &cs::Quota, nodes: usize, pools: usize) -> Vec<Finding> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let wanted_nodes: u32 = spec.node_pools.iter().filter_map(|pool| pool.size).sum();
    let checks = [
        ("NODE_QUOTA", "nodes", quota.node_quota, count(nodes), wanted_nodes),
        (
            "NODE_POOL_QUOTA",
            "node pools",
            quota.cluster_nodepool_quota,
            count(pools),
            count(spec.node_pools.len()),
        ),
    ];
    checks
        .into_iter()
        .filter(|(_, _, limit, there, wanted)| *limit > 0 && there.saturating_add(*wanted) > *limit)
        .map(|(code, what, limit, there, wanted)| {
            error(
                code,
                "spec.node_pools",
                format!("the cluster has {there} {what}, {wanted} more are asked for, and the quota is {limit}"),
                "ask for less, or raise the quota in the Quota Center",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::pool::NodePool;

    fn kind(id: &str, interfaces: u32) -> InstanceType {
        InstanceType {
            instance_type_id: id.into(),
            eni_quantity: interfaces,
            eni_private_ip_address_quantity: 15,
        }
    }

    fn spec(types: &[&str]) -> Spec {
        let pool = NodePool {
            name: "burst".into(),
            size: Some(2),
            instance_types: types.iter().map(|name| (*name).to_owned()).collect(),
            vswitch_ids: vec!["vsw-1".into()],
            ..NodePool::default()
        };
        Spec { node_pools: vec![pool], ..Spec::default() }
    }

    fn market(stock: &[&str]) -> Market {
        let zone = "cn-hangzhou-h".to_owned();
        Market {
            in_stock: stock.iter().map(|kind| (zone.clone(), (*kind).to_owned())).collect(),
            zones: [("vsw-1".to_owned(), zone)].into(),
        }
    }

    #[test]
    fn a_type_with_one_interface_can_run_no_pod() {
        assert_eq!(
            (
                pods_per_node(&kind("a", 4)),
                pods_per_node(&kind("a", 1)),
                pods_per_node(&kind("a", 0))
            ),
            (45, 0, 0)
        );
        let findings = judge_pools(&spec(&["a", "b"]), &[kind("a", 1)], &market(&["a", "b"]));
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.code.as_str(), finding.subject.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("INSTANCE_TYPE_ONE_ENI", "spec.node_pools[0].instance_types[0] (a)"),
                ("INSTANCE_TYPE_UNKNOWN", "spec.node_pools[0].instance_types[1] (b)"),
            ]
        );
    }

    #[test]
    fn stock_stops_only_where_no_type_of_the_pool_has_any() {
        let types = [kind("a", 4), kind("b", 4)];
        let severity = |stock: &[&str]| {
            judge_pools(&spec(&["a", "b"]), &types, &market(stock))
                .first()
                .map(|finding| finding.severity)
        };
        assert_eq!(severity(&["a", "b"]), None);
        assert_eq!(severity(&["a"]), Some(causeway_engine::Severity::Warning));
        assert_eq!(severity(&[]), Some(causeway_engine::Severity::Error));
    }

    #[test]
    fn quotas_count_what_is_there() {
        let quota = cs::Quota { node_quota: 10, cluster_nodepool_quota: 0 };
        assert!(judge_quota(&spec(&["a"]), &quota, 8, 100).is_empty());
        assert_eq!(judge_quota(&spec(&["a"]), &quota, 9, 100)[0].code, "NODE_QUOTA");
    }
}
