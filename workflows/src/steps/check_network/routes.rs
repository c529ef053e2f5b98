//! The way from the VPC to the data center: route entries of the vSwitches' tables, and the CEN that the VPC is joined to.
//! Only the cloud's half can be seen from here; that the data center routes back shows when a node joins.

use std::collections::BTreeMap;

use causeway_engine::{Failure, Finding};
use ipnet::Ipv4Net;

use super::plan::covered;
use super::{net, on_premises_blocks, overlap};
use crate::alibaba::cbn::{self, CenRoute};
use crate::alibaba::vpc::{self, Route, RouteTable, VSwitch};
use crate::alibaba::{Client, Error};
use crate::spec::document::{Attachment, Spec};
use crate::steps::cloud::{error, warning};

/// What of the VPC's routing was read.
#[derive(Default)]
struct Ways {
    /// Private routes by the vSwitch that uses them.
    tables: BTreeMap<String, Vec<Ipv4Net>>,
    /// Live routes of the CENs that the VPC is joined to; `None`: not looked for.
    cen: Option<Vec<CenRoute>>,
    /// Why the CEN could not be read.
    cen_refused: Option<String>,
}

/// Whether there is a way, where the spec says to look.
pub(super) async fn judge(
    client: &Client,
    spec: &Spec,
    all: &[VSwitch],
) -> Result<Vec<Finding>, Failure> {
    let attachment = spec.vpc.attachment;
    let mut ways = Ways::default();
    if matches!(attachment, Attachment::Auto | Attachment::Routes) {
        ways.tables = tables(client, spec, all).await?;
    }
    if matches!(attachment, Attachment::Auto | Attachment::Cen) {
        match cen_routes(client, &spec.vpc.id).await {
            Ok(routes) => ways.cen = Some(routes),
            Err(error) if error.is_denied() => ways.cen_refused = Some(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(judge_ways(spec, &ways))
}

/// The private routes of each vSwitch of nodes and pods.
async fn tables(
    client: &Client,
    spec: &Spec,
    all: &[VSwitch],
) -> Result<BTreeMap<String, Vec<Ipv4Net>>, Failure> {
    let tables = vpc::describe_route_tables(client, &spec.vpc.id).await?;
    let mut read: BTreeMap<String, Vec<Ipv4Net>> = BTreeMap::new();
    let mut by_vswitch = BTreeMap::new();
    for wanted in spec.vpc.node_vswitches.iter().chain(&spec.vpc.pod_vswitches) {
        let Some(table) = all
            .iter()
            .find(|vswitch| vswitch.id == wanted.id)
            .and_then(|vswitch| table_of(vswitch, &tables))
        else {
            continue;
        };
        if !read.contains_key(table) {
            read.insert(table.to_owned(), private(&vpc::describe_routes(client, table).await?));
        }
        by_vswitch.insert(wanted.id.clone(), read[table].clone());
    }
    Ok(by_vswitch)
}

fn table_of<'a>(vswitch: &'a VSwitch, tables: &'a [RouteTable]) -> Option<&'a str> {
    let told = &vswitch.route_table.route_table_id;
    if !told.is_empty() {
        return Some(told);
    }
    let own = tables.iter().find(|table| table.vswitch_ids.contains(&vswitch.id));
    own.or_else(|| tables.iter().find(|table| table.kind == "System"))
        .map(|table| table.id.as_str())
}

/// Routes that count, and lead neither within the VPC nor to the Internet.
fn private(routes: &[Route]) -> Vec<Ipv4Net> {
    let public = |hop: &String| {
        matches!(hop.as_str(), "NatGateway" | "IPv4Gateway" | "Ipv6Gateway" | "local" | "service")
    };
    routes
        .iter()
        .filter(|route| {
            matches!(route.status.as_str(), "Available" | "")
                && !route.kind.eq_ignore_ascii_case("system")
        })
        .filter(|route| !route.next_hops.iter().any(public))
        .filter_map(|route| net(&route.cidr))
        .collect()
}

/// The live routes of every CEN that the VPC is joined to.
async fn cen_routes(client: &Client, vpc_id: &str) -> Result<Vec<CenRoute>, Error> {
    let mut found = Vec::new();
    for cen in cbn::describe_cens(client).await? {
        let mut joined = false;
        for router in cbn::list_transit_routers(client, &cen).await? {
            if router.kind == "Enterprise" {
                let attachments = cbn::list_vpc_attachments(client, &cen).await?;
                if attachments.iter().any(|attachment| {
                    attachment.vpc_id == vpc_id && attachment.status == "Attached"
                }) {
                    joined = true;
                    found.extend(
                        cbn::list_transit_router_routes(client, &router.transit_router_id).await?,
                    );
                }
            }
        }
        let children = if joined {
            vec![]
        } else {
            cbn::describe_attached_child_instances(client, &cen).await?
        };
        if children
            .iter()
            .any(|child| child.child_instance_id == vpc_id && child.status == "Attached")
        {
            found.extend(cbn::describe_region_routes(client, &cen).await?);
        }
    }
    found.retain(CenRoute::is_live);
    Ok(found)
}

fn judge_ways(spec: &Spec, ways: &Ways) -> Vec<Finding> {
    let reason = spec.vpc.skip_route_check_reason.as_str();
    if spec.vpc.attachment == Attachment::None {
        return vec![warning(
            "ROUTES_NOT_CHECKED",
            "spec.vpc.attachment (NONE)",
            format!("the way to the data center was not looked for: {reason}"),
            "make sure that nodes in the VPC reach the data center's nodes and pods",
        )];
    }
    let mut findings = Vec::new();
    for (path, what, cidr) in on_premises_blocks(&spec.on_premises, false) {
        let foreign = foreign_vpc(&cidr, ways, &spec.vpc.id);
        findings.extend(foreign.map(|other| {
            error(
                "CEN_OVERLAP",
                format!("{path} ({cidr})"),
                format!("the CEN leads addresses of {what} to another VPC: {other}"),
                "use blocks that no network of the CEN uses, or take that VPC out of it",
            )
        }));
        if by_cen(&cidr, ways, &spec.vpc.id) {
            continue;
        }
        let without: Vec<&str> = match spec.vpc.attachment {
            Attachment::Cen => vec!["the CEN"],
            _ => ways
                .tables
                .iter()
                .filter(|(_, routes)| !covered(&cidr, routes))
                .map(|(id, _)| id.as_str())
                .collect(),
        };
        if without.is_empty() {
            continue;
        }
        findings.push(no_way(&path, what, &cidr, &without, spec, ways));
    }
    findings
}

fn no_way(
    path: &str,
    what: &str,
    cidr: &Ipv4Net,
    without: &[&str],
    spec: &Spec,
    ways: &Ways,
) -> Finding {
    let reason = spec.vpc.skip_route_check_reason.as_str();
    let refused = ways
        .cen_refused
        .as_ref()
        .map_or_else(String::new, |why| format!(" (the CEN could not be read: {why})"));
    let subject = format!("{path} ({cidr})");
    let message = format!("no private route leads from {} to {what}{refused}", without.join(", "));
    if !reason.is_empty() {
        let message = format!("{message}; accepted: {reason}");
        return warning(
            "NO_PRIVATE_ROUTE",
            subject,
            message,
            "make sure that the way exists, as nodes can't join without it",
        );
    }
    error(
        "NO_PRIVATE_ROUTE",
        subject,
        message,
        "join VPC and data center by CEN, Express Connect or VPN, with this block published to the VPC; where the way can't be \
         seen from this account, give spec.vpc.skip_route_check_reason",
    )
}

/// Whether the CEN leads the whole block to somewhere outside the VPC that is no other VPC.
fn by_cen(cidr: &Ipv4Net, ways: &Ways, own: &str) -> bool {
    let routes = ways.cen.iter().flatten();
    let away: Vec<Ipv4Net> = routes
        .filter(|route| route.next_hop_id != own && route.next_hop_resource != "VPC")
        .filter_map(|route| net(&route.cidr))
        .collect();
    covered(cidr, &away)
}

/// Another VPC that the CEN leads addresses of the block to.
fn foreign_vpc(cidr: &Ipv4Net, ways: &Ways, own: &str) -> Option<String> {
    let mut routes = ways.cen.iter().flatten();
    let found = routes.find(|route| {
        route.next_hop_resource == "VPC"
            && route.next_hop_id != own
            && net(&route.cidr).is_some_and(|block| overlap(&block, cidr))
    })?;
    Some(format!("{} to {}", found.cidr, found.next_hop_id))
}

#[cfg(test)]
mod tests {
    use super::super::{codes, guide};
    use super::*;
    use causeway_engine::Severity::{Error, Warning};

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| net(text).unwrap()).collect()
    }

    fn routed(nodes: &[&str], pods: &[&str]) -> Ways {
        let tables =
            [("vsw-nodes".to_owned(), nets(nodes)), ("vsw-pods".to_owned(), nets(pods))].into();
        Ways { tables, ..Ways::default() }
    }

    fn cen_route(cidr: &str, resource: &str, id: &str) -> CenRoute {
        CenRoute {
            cidr: cidr.into(),
            status: "Active".into(),
            next_hop: "Attachment".into(),
            next_hop_id: id.into(),
            next_hop_resource: resource.into(),
        }
    }

    #[test]
    fn both_vswitches_need_a_way_to_both_blocks() {
        let (spec, _, _) = guide();
        let both = ["192.168.0.0/24", "10.100.0.0/16"];
        assert!(judge_ways(&spec, &routed(&both, &both)).is_empty());
        let findings = judge_ways(&spec, &routed(&both, &both[..1]));
        assert_eq!(codes(&findings), [("NO_PRIVATE_ROUTE", Error)]);
        assert_eq!(findings[0].subject, "spec.on_premises.pod_cidrs[0] (10.100.0.0/16)");
        assert!(findings[0].message.contains("from vsw-pods to"), "{}", findings[0].message);
    }

    #[test]
    fn a_reason_turns_a_missing_way_into_a_warning() {
        let (mut spec, _, _) = guide();
        spec.vpc.skip_route_check_reason = "the network team's account has it".into();
        let findings = judge_ways(&spec, &routed(&[], &[]));
        assert_eq!(codes(&findings), [("NO_PRIVATE_ROUTE", Warning); 2]);
        spec.vpc.attachment = Attachment::None;
        assert_eq!(codes(&judge_ways(&spec, &Ways::default())), [("ROUTES_NOT_CHECKED", Warning)]);
    }

    #[test]
    fn a_cen_leads_to_the_data_center_but_not_by_another_vpc() {
        let (mut spec, _, _) = guide();
        spec.vpc.attachment = Attachment::Cen;
        let mut ways = Ways {
            cen: Some(vec![cen_route("192.168.0.0/24", "VBR", "vbr-1")]),
            ..Ways::default()
        };
        assert_eq!(codes(&judge_ways(&spec, &ways)), [("NO_PRIVATE_ROUTE", Error)]);
        let routes = ways.cen.as_mut().unwrap();
        routes.push(cen_route("10.100.0.0/16", "VBR", "vbr-1"));
        routes.push(cen_route("10.10.24.0/24", "VPC", "vpc-1"));
        assert!(judge_ways(&spec, &ways).is_empty());
        ways.cen.as_mut().unwrap().push(cen_route("10.100.3.0/24", "VPC", "vpc-9"));
        assert_eq!(codes(&judge_ways(&spec, &ways)), [("CEN_OVERLAP", Error)]);
    }

    #[test]
    fn system_routes_and_ways_to_the_internet_are_no_private_ways() {
        let route = |cidr: &str, kind: &str, hop: &str, status: &str| Route {
            cidr: cidr.into(),
            kind: kind.into(),
            status: status.into(),
            next_hops: vec![hop.into()],
        };
        let routes = [
            route("10.10.24.0/24", "System", "local", "Available"),
            route("0.0.0.0/0", "Custom", "NatGateway", "Available"),
            route("10.100.0.0/16", "Custom", "RouterInterface", "Pending"),
            route("192.168.0.0/24", "Custom", "RouterInterface", "Available"),
        ];
        assert_eq!(private(&routes), nets(&["192.168.0.0/24"]));
    }
}
