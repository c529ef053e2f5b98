//! Security groups: they are of the VPC, and let nodes, pods, the data center and the cloud's own services talk.

use std::collections::BTreeSet;

use causeway_engine::{Failure, Finding};
use ipnet::Ipv4Net;

use super::plan::covered;
use super::{net, on_premises_blocks, overlap};
use crate::alibaba::ecs::{Permission, Rules, SecurityGroup};
use crate::alibaba::vpc::{VSwitch, Vpc};
use crate::alibaba::{Client, ecs};
use crate::spec::document::Spec;
use crate::steps::cloud::{error, warning};

/// OSS's internal endpoint, metadata, DNS, time and the API's internal endpoints.
const CLOUD_SERVICES: &str = "100.64.0.0/10";

/// The security groups of nodes and pods.
pub(super) async fn judge(
    client: &Client,
    spec: &Spec,
    vpc: &Vpc,
    all: &[VSwitch],
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for (path, id) in groups(spec) {
        let subject = format!("{path} ({id})");
        match ecs::describe_security_group(client, id).await? {
            None => findings.push(error(
                "SECURITY_GROUP_NOT_FOUND",
                subject,
                format!("there is no such security group in {}", spec.region),
                format!("give a security group of {}", vpc.id),
            )),
            Some(group) if group.vpc_id != vpc.id => findings.push(error(
                "SECURITY_GROUP_OTHER_VPC",
                subject,
                format!("it belongs to {}, not to {}", group.vpc_id, vpc.id),
                format!("give a security group of {}", vpc.id),
            )),
            Some(group) => {
                let rules = ecs::describe_security_group_attribute(client, id).await?;
                findings.extend(judge_rules(&subject, &group, &rules, spec, all));
            }
        }
    }
    findings.extend(apart(spec));
    Ok(findings)
}

/// Every security group that the spec names, once, with the first path that does.
fn groups(spec: &Spec) -> Vec<(String, &str)> {
    let pools = spec.node_pools.iter().enumerate().flat_map(|(index, pool)| {
        let named = pool.security_group_ids.iter().enumerate();
        named.map(move |(at, id)| {
            (format!("spec.node_pools[{index}].security_group_ids[{at}]"), id.as_str())
        })
    });
    let own = [
        ("spec.vpc.security_group_id".to_owned(), spec.vpc.security_group_id.as_str()),
        ("spec.terway.security_group_id".to_owned(), spec.terway.security_group_id.as_str()),
    ];
    let mut seen = BTreeSet::new();
    own.into_iter().chain(pools).filter(|(_, id)| !id.is_empty() && seen.insert(*id)).collect()
}

/// Nodes and pods in different groups need rules for each other, which are not looked for.
fn apart(spec: &Spec) -> Vec<Finding> {
    let pods = &spec.terway.security_group_id;
    let other =
        |groups: &Vec<String>| !pods.is_empty() && !groups.is_empty() && !groups.contains(pods);
    let pools =
        spec.node_pools.iter().enumerate().filter(|(_, pool)| other(&pool.security_group_ids));
    pools
        .map(|(index, pool)| {
            warning(
                "SECURITY_GROUPS_DIFFER",
                format!(
                    "spec.node_pools[{index}].security_group_ids ({})",
                    pool.security_group_ids.join(", ")
                ),
                format!("pods are in another security group ({pods}) than these nodes"),
                "use one group for both, or see that each lets the other in",
            )
        })
        .collect()
}

fn judge_rules(
    subject: &str,
    group: &SecurityGroup,
    rules: &Rules,
    spec: &Spec,
    all: &[VSwitch],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut must = |direction: &str, what: &str, cidr: &Ipv4Net| {
        let (code, message) =
            match verdict(rules, direction, cidr, group.security_group_type == "enterprise") {
                Verdict::Open => return,
                Verdict::Dropped(by) => (
                    "SECURITY_GROUP_DROPS",
                    format!("a rule drops {direction} traffic of {what} ({cidr}): {by}"),
                ),
                Verdict::Closed => (
                    "SECURITY_GROUP_CLOSED",
                    format!("no rule accepts {direction} traffic of {what} ({cidr})"),
                ),
            };
        let remedy =
            format!("add a rule that accepts {direction} {cidr}, or remove the one that drops it");
        findings.push(error(code, subject, message, remedy));
    };
    for (_, what, cidr) in on_premises_blocks(&spec.on_premises, false) {
        must("ingress", what, &cidr);
        must("egress", what, &cidr);
    }
    let services: Ipv4Net = CLOUD_SERVICES.parse().expect("a constant CIDR");
    must("egress", "the cloud's own services", &services);
    // Members of a normal group may always talk among each other; the policy may be switched off, and enterprise groups
    // have none.
    if group.security_group_type == "enterprise"
        || rules.inner_access_policy.eq_ignore_ascii_case("drop")
    {
        let ours = spec.vpc.node_vswitches.iter().chain(&spec.vpc.pod_vswitches);
        for vswitch in ours.filter_map(|wanted| all.iter().find(|vswitch| vswitch.id == wanted.id))
        {
            if let Some(cidr) = net(&vswitch.cidr_block) {
                must("ingress", "nodes and pods in the cloud", &cidr);
            }
        }
    }
    findings
}

enum Verdict {
    Open,
    Dropped(String),
    Closed,
}

/// What the rules say about all protocols and ports between the group and `cidr`. Rules for single ports are no answer:
/// pods may use any.
fn verdict(rules: &Rules, direction: &str, cidr: &Ipv4Net, enterprise: bool) -> Verdict {
    let peer = |rule: &Permission| {
        let text = if direction == "ingress" { &rule.source_cidr_ip } else { &rule.dest_cidr_ip };
        net(text)
    };
    let here =
        || rules.permissions.iter().filter(|rule| rule.direction.eq_ignore_ascii_case(direction));
    let accepts = |rule: &&Permission| {
        rule.policy.eq_ignore_ascii_case("accept") && rule.ip_protocol.eq_ignore_ascii_case("all")
    };
    let drops = here().filter(|rule| !rule.policy.eq_ignore_ascii_case("accept"));
    for rule in drops {
        let Some(block) = peer(rule).filter(|block| overlap(block, cidr)) else { continue };
        // At equal priority a rule that drops wins.
        let stronger: Vec<Ipv4Net> = here()
            .filter(accepts)
            .filter(|other| other.priority < rule.priority)
            .filter_map(peer)
            .collect();
        if !covered(cidr, &stronger) {
            return Verdict::Dropped(format!(
                "{} {} from or to {block}, priority {}",
                rule.ip_protocol, rule.port_range, rule.priority
            ));
        }
    }
    let open: Vec<Ipv4Net> = here().filter(accepts).filter_map(peer).collect();
    if covered(cidr, &open) || (direction == "egress" && !enterprise) {
        Verdict::Open
    } else {
        Verdict::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::super::{codes, guide};
    use super::*;
    use causeway_engine::Severity::Error;

    fn rule(direction: &str, cidr: &str, policy: &str, priority: u32) -> Permission {
        Permission {
            direction: direction.into(),
            ip_protocol: "ALL".into(),
            port_range: "-1/-1".into(),
            source_cidr_ip: if direction == "ingress" { cidr.into() } else { String::new() },
            dest_cidr_ip: if direction == "egress" { cidr.into() } else { String::new() },
            policy: policy.into(),
            priority,
            ..Permission::default()
        }
    }

    fn judged(kind: &str, permissions: Vec<Permission>) -> Vec<Finding> {
        let (spec, _, all) = guide();
        let group = SecurityGroup {
            security_group_id: "sg-1".into(),
            vpc_id: "vpc-1".into(),
            security_group_type: kind.into(),
        };
        let rules = Rules { inner_access_policy: "Accept".into(), permissions };
        judge_rules("spec.vpc.security_group_id (sg-1)", &group, &rules, &spec, &all)
    }

    fn open() -> Vec<Permission> {
        vec![
            rule("ingress", "192.168.0.0/24", "Accept", 1),
            rule("ingress", "10.100.0.0/16", "accept", 1),
        ]
    }

    #[test]
    fn a_normal_group_that_lets_the_data_center_in_is_open() {
        assert!(judged("normal", open()).is_empty());
        assert_eq!(codes(&judged("normal", vec![])), [("SECURITY_GROUP_CLOSED", Error); 2]);
    }

    #[test]
    fn a_rule_for_one_port_does_not_open_a_network() {
        let mut rules = open();
        rules[0].ip_protocol = "TCP".into();
        assert_eq!(codes(&judged("normal", rules)), [("SECURITY_GROUP_CLOSED", Error)]);
    }

    #[test]
    fn a_drop_counts_unless_a_stronger_rule_accepts() {
        let mut rules = open();
        rules.push(rule("egress", "100.64.0.0/10", "Drop", 10));
        assert_eq!(codes(&judged("normal", rules.clone())), [("SECURITY_GROUP_DROPS", Error)]);
        rules.push(rule("egress", "0.0.0.0/0", "Accept", 1));
        assert!(judged("normal", rules).is_empty());
    }

    #[test]
    fn an_enterprise_group_needs_rules_for_everything() {
        let mut rules = open();
        assert_eq!(
            judged("enterprise", rules.clone()).len(),
            5,
            "three ways out, and nodes and pods among each other"
        );
        rules.extend([
            rule("egress", "0.0.0.0/0", "Accept", 1),
            rule("ingress", "10.10.24.0/23", "Accept", 1),
        ]);
        assert!(judged("enterprise", rules).is_empty());
    }

    #[test]
    fn pods_in_another_group_than_nodes_are_a_warning() {
        let (mut spec, _, _) = guide();
        spec.terway.security_group_id = "sg-2".into();
        spec.node_pools[0].security_group_ids = vec!["sg-1".into()];
        assert_eq!(apart(&spec)[0].code, "SECURITY_GROUPS_DIFFER");
        assert_eq!(groups(&spec).len(), 2);
    }
}
