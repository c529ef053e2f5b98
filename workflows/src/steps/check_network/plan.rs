//! The address plan: which vSwitches there are, what overlaps, and whether addresses suffice. Pure.

use std::collections::{BTreeMap, BTreeSet};

use causeway_engine::Finding;
use ipnet::Ipv4Net;

use super::{named, net, on_premises_blocks, overlap};
use crate::alibaba::vpc::{VSwitch, Vpc};
use crate::spec::document::{self, OnPremises, Spec};
use crate::steps::cloud::{error, warning};

/// The vSwitches that the spec names exist in the VPC, are usable, and are in the zones given; every pool's nodes find pod
/// vSwitches in their own zone.
pub(super) fn judge_vswitches(
    spec: &Spec,
    all: &[VSwitch],
    strangers: &BTreeMap<String, Option<String>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, id) in named(spec) {
        let subject = format!("{path} ({id})");
        match (all.iter().find(|vswitch| vswitch.id == id), strangers.get(id)) {
            (Some(vswitch), _) if vswitch.status != "Available" => {
                let message = format!("its status is {}", vswitch.status);
                findings.push(error(
                    "VSWITCH_NOT_AVAILABLE",
                    subject,
                    message,
                    "wait until it is Available, or give another",
                ));
            }
            (Some(_), _) => {}
            (None, Some(Some(other))) => findings.push(error(
                "VSWITCH_OTHER_VPC",
                subject,
                format!("it belongs to {other}, not to {}", spec.vpc.id),
                format!("give a vSwitch of {}", spec.vpc.id),
            )),
            (None, _) => findings.push(error(
                "VSWITCH_NOT_FOUND",
                subject,
                format!("there is no such vSwitch in {}", spec.region),
                format!("give a vSwitch of {}", spec.vpc.id),
            )),
        }
    }
    let lists =
        [("node_vswitches", &spec.vpc.node_vswitches), ("pod_vswitches", &spec.vpc.pod_vswitches)];
    for (list, vswitches) in lists {
        findings.extend(
            vswitches
                .iter()
                .enumerate()
                .filter_map(|(index, wanted)| zone_finding(list, index, wanted, all)),
        );
    }
    for shared in spec
        .vpc
        .pod_vswitches
        .iter()
        .filter(|pods| spec.vpc.node_vswitches.iter().any(|nodes| nodes.id == pods.id))
    {
        findings.push(error(
            "VSWITCH_SHARED",
            format!("spec.vpc.pod_vswitches ({})", shared.id),
            "it is a node vSwitch too; pods and nodes would compete for its addresses",
            "give pods a vSwitch of their own in the same zone",
        ));
    }
    findings.extend(judge_zones(spec, all));
    findings
}

fn zone_finding(
    list: &str,
    index: usize,
    wanted: &document::VSwitch,
    all: &[VSwitch],
) -> Option<Finding> {
    let found = all.iter().find(|vswitch| vswitch.id == wanted.id)?;
    (!wanted.zone.is_empty() && wanted.zone != found.zone_id).then(|| {
        error(
            "ZONE_MISMATCH",
            format!("spec.vpc.{list}[{index}].zone ({})", wanted.zone),
            format!("{} is in {}", found.id, found.zone_id),
            format!("write {}, or leave the zone out", found.zone_id),
        )
    })
}

/// Terway falls back to the node's own vSwitch where its zone has none for pods: silently, so it is an error here.
fn judge_zones(spec: &Spec, all: &[VSwitch]) -> Vec<Finding> {
    let zone_of = |id: &str| {
        all.iter().find(|vswitch| vswitch.id == id).map(|vswitch| vswitch.zone_id.as_str())
    };
    let pods: BTreeSet<&str> =
        spec.vpc.pod_vswitches.iter().filter_map(|vswitch| zone_of(&vswitch.id)).collect();
    let mut nodes = BTreeSet::new();
    let mut findings = Vec::new();
    for (index, pool) in spec.node_pools.iter().enumerate() {
        for id in &pool.vswitch_ids {
            let Some(zone) = zone_of(id) else { continue };
            nodes.insert(zone);
            if !pods.contains(zone) && !pods.is_empty() {
                findings.push(error(
                    "NO_POD_VSWITCH_IN_ZONE",
                    format!("spec.vpc.pod_vswitches (node pool {}, {id} in {zone})", spec.node_pools[index].name),
                    format!("no pod vSwitch is in {zone}, so pods there would take addresses of the nodes' vSwitch"),
                    format!("add a pod vSwitch in {zone}"),
                ));
            }
        }
    }
    if !nodes.is_empty() {
        findings.extend(pods.difference(&nodes).map(|zone| {
            warning(
                "POD_VSWITCH_UNUSED",
                format!("spec.vpc.pod_vswitches ({zone})"),
                "no node pool has a vSwitch in that zone, so its pod vSwitches stay unused",
                "remove them, or give a node pool a vSwitch there",
            )
        }));
    }
    findings
}

/// The rule of the reference's section 8.1: no block of the data center overlaps a *vSwitch* of the VPC. The VPC's block
/// itself may contain them, as in the guide: its system routes are the vSwitches'.
pub(super) fn judge_cidrs(network: &OnPremises, vpc: &Vpc, all: &[VSwitch]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, what, cidr) in on_premises_blocks(network, true) {
        let subject = format!("{path} ({cidr})");
        let mut clash = false;
        for vswitch in all
            .iter()
            .filter(|vswitch| net(&vswitch.cidr_block).is_some_and(|block| overlap(&block, &cidr)))
        {
            clash = true;
            findings.push(error(
                "VSWITCH_OVERLAP",
                &subject,
                format!(
                    "{what} ({cidr}) and vSwitch {} ({}) share addresses: the VPC would keep traffic for them to itself",
                    vswitch.id, vswitch.cidr_block
                ),
                format!("delete or move {}, or use a VPC without such a vSwitch", vswitch.id),
            ));
        }
        let block = vpc
            .cidr_blocks
            .iter()
            .find(|block| net(block).is_some_and(|block| overlap(&block, &cidr)));
        if let (false, Some(block)) = (clash, block) {
            findings.push(warning(
                "VPC_BLOCK_OVERLAP",
                subject,
                format!("the block {block} of {} contains addresses of {what}; a vSwitch made there later would cut them off", vpc.id),
                format!("make no vSwitch within {cidr}"),
            ));
        }
    }
    findings
}

/// Free addresses against nodes and their pods. Too few for the nodes, or for one pod on each, is an error; too few for all
/// pods that the types could run is a warning.
pub(super) fn judge_free_addresses(
    spec: &Spec,
    all: &[VSwitch],
    pods_by_type: &BTreeMap<String, u32>,
) -> Vec<Finding> {
    let free = |ids: &BTreeSet<&str>| -> u64 {
        all.iter()
            .filter(|vswitch| ids.contains(vswitch.id.as_str()))
            .map(|vswitch| vswitch.available_ip_address_count)
            .sum()
    };
    let known = |id: &&str| all.iter().any(|vswitch| vswitch.id == **id);
    let mut findings = Vec::new();
    let mut nodes = 0_u64;
    let mut pods_max = 0_u64;
    for (index, pool) in spec.node_pools.iter().enumerate() {
        let size = u64::from(pool.size.unwrap_or(0));
        let per_node = pool
            .instance_types
            .iter()
            .filter_map(|name| pods_by_type.get(name))
            .max()
            .copied()
            .unwrap_or(0);
        nodes += size;
        pods_max += size * u64::from(per_node);
        let ids: BTreeSet<&str> =
            pool.vswitch_ids.iter().map(String::as_str).filter(known).collect();
        if !ids.is_empty() && free(&ids) < size {
            findings.push(error(
                "NODE_ADDRESSES_SHORT",
                format!("spec.node_pools[{index}].vswitch_ids"),
                format!("its vSwitches have {} free addresses for {size} nodes", free(&ids)),
                "add a vSwitch with free addresses, or ask for fewer nodes",
            ));
        }
    }
    let ids: BTreeSet<&str> =
        spec.vpc.pod_vswitches.iter().map(|vswitch| vswitch.id.as_str()).filter(known).collect();
    if ids.is_empty() {
        return findings;
    }
    let (there, least) = (free(&ids), nodes * u64::from(spec.terway.pool.min.max(1)));
    let subject = "spec.vpc.pod_vswitches";
    if there < least {
        findings.push(error(
            "POD_ADDRESSES_SHORT",
            subject,
            format!("they have {there} free addresses, and {nodes} nodes need {least} at least"),
            "add a pod vSwitch with free addresses in the nodes' zone",
        ));
    } else if there < pods_max {
        findings.push(warning(
            "POD_ADDRESSES_SHORT",
            subject,
            format!(
                "they have {there} free addresses, and {nodes} nodes could run {pods_max} pods"
            ),
            "add a pod vSwitch in the nodes' zone before the nodes fill up",
        ));
    }
    findings
}

/// Whether `routes` together cover all of `wanted`.
pub(super) fn covered(wanted: &Ipv4Net, routes: &[Ipv4Net]) -> bool {
    let inside: Vec<Ipv4Net> =
        routes.iter().filter(|route| overlap(route, wanted)).copied().collect();
    Ipv4Net::aggregate(&inside).iter().any(|route| route.contains(wanted))
}

#[cfg(test)]
mod tests {
    use causeway_engine::Severity::{Error, Warning};

    use super::super::{codes, guide};
    use super::*;

    #[test]
    fn the_guides_own_plan_passes_with_a_warning_only() {
        let (spec, vpc, all) = guide();
        assert!(judge_vswitches(&spec, &all, &BTreeMap::new()).is_empty());
        let findings = judge_cidrs(&spec.on_premises, &vpc, &all);
        assert_eq!(codes(&findings), [("VPC_BLOCK_OVERLAP", Warning)]);
        assert!(findings[0].subject.contains("pod_cidrs[0] (10.100.0.0/16)"));
        let pods = [("ecs.g7.xlarge".to_owned(), 45)].into();
        assert!(judge_free_addresses(&spec, &all, &pods).is_empty());
    }

    #[test]
    fn any_vswitch_of_the_vpc_that_overlaps_is_an_error_naming_both() {
        let (spec, vpc, mut all) = guide();
        for (cidr, path) in [
            ("10.100.7.0/24", "pod_cidrs[0]"),
            ("192.168.0.128/25", "node_cidrs[0]"),
            ("172.16.0.0/12", "service_cidr"),
        ] {
            all.push(VSwitch { id: "vsw-other".into(), cidr_block: cidr.into(), ..all[0].clone() });
            let findings = judge_cidrs(&spec.on_premises, &vpc, &all);
            let clash = findings.iter().find(|finding| finding.code == "VSWITCH_OVERLAP").unwrap();
            assert_eq!(clash.severity, Error);
            assert!(clash.subject.contains(path), "{}", clash.subject);
            assert!(
                clash.message.contains("vsw-other") && clash.message.contains(cidr),
                "{}",
                clash.message
            );
            all.pop();
        }
    }

    #[test]
    fn vswitches_are_judged_one_by_one() {
        let (mut spec, _, mut all) = guide();
        spec.vpc.node_vswitches[0].zone = "AZoneID".into();
        spec.vpc
            .pod_vswitches
            .push(document::VSwitch { id: "vsw-far".into(), zone: String::new() });
        spec.vpc
            .pod_vswitches
            .push(document::VSwitch { id: "vsw-none".into(), zone: String::new() });
        all[1].zone_id = "cn-hangzhou-k".into();
        let strangers =
            [("vsw-far".to_owned(), Some("vpc-2".to_owned())), ("vsw-none".to_owned(), None)]
                .into();
        let findings = judge_vswitches(&spec, &all, &strangers);
        assert_eq!(
            codes(&findings),
            [
                ("VSWITCH_OTHER_VPC", Error),
                ("VSWITCH_NOT_FOUND", Error),
                ("ZONE_MISMATCH", Error),
                ("ZONE_MISMATCH", Error),
                ("NO_POD_VSWITCH_IN_ZONE", Error),
                ("POD_VSWITCH_UNUSED", Warning),
            ]
        );
        assert_eq!(findings[0].subject, "spec.vpc.pod_vswitches[1].id (vsw-far)");
    }

    #[test]
    fn addresses_are_counted_for_nodes_and_pods() {
        let (mut spec, _, mut all) = guide();
        let pods = [("ecs.g7.xlarge".to_owned(), 45)].into();
        spec.node_pools[0].size = Some(6);
        assert_eq!(
            codes(&judge_free_addresses(&spec, &all, &pods)),
            [("POD_ADDRESSES_SHORT", Warning)]
        );
        all[0].available_ip_address_count = 5;
        all[1].available_ip_address_count = 5;
        assert_eq!(
            codes(&judge_free_addresses(&spec, &all, &pods)),
            [("NODE_ADDRESSES_SHORT", Error), ("POD_ADDRESSES_SHORT", Error)]
        );
    }

    #[test]
    fn routes_may_cover_a_block_together() {
        let nets = |texts: &[&str]| texts.iter().map(|text| net(text).unwrap()).collect::<Vec<_>>();
        let wanted = net("10.100.0.0/16").unwrap();
        assert!(covered(&wanted, &nets(&["10.100.0.0/17", "10.100.128.0/17"])));
        assert!(covered(&wanted, &nets(&["10.0.0.0/8"])));
        assert!(!covered(&wanted, &nets(&["10.100.0.0/17", "10.101.0.0/16"])));
        assert!(!covered(&wanted, &[]));
    }
}
