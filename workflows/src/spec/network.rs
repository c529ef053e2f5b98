//! Rules for addresses: CIDRs by syntax, and on-premises blocks against each other. What vSwitches say comes from a check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::document::OnPremises;
use super::reason;
use super::rules::Report;
use super::syntax;

/// Most CIDRs in one list.
const CIDRS_MAX: usize = 32;

/// Blocks that no data center's network may use, and why.
const TAKEN: [(&str, &str); 4] = [
    (
        "100.64.0.0/10",
        "the cloud's own services (OSS, metadata, DNS, time) answer there, so cloud nodes could not tell the two apart",
    ),
    ("127.0.0.0/8", "it is each machine's loopback"),
    ("169.254.0.0/16", "it is link-local and never routed"),
    ("224.0.0.0/3", "it is multicast or reserved"),
];

struct Block {
    path: String,
    what: &'static str,
    net: Ipv4Net,
}

/// The data center's side of the network.
pub(super) fn on_premises(network: &OnPremises, report: &mut Report) {
    let mut blocks = Vec::new();
    let lists = [
        ("spec.on_premises.node_cidrs", "on-premises nodes", &network.node_cidrs),
        ("spec.on_premises.pod_cidrs", "on-premises pods", &network.pod_cidrs),
    ];
    for (path, what, cidrs) in lists {
        report.count(path, "CIDRs", cidrs.len(), 1, CIDRS_MAX);
        for (index, text) in cidrs.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(net) = cidr(&path, text, report) {
                blocks.push(Block { path, what, net });
            }
        }
    }
    let path = "spec.on_premises.service_cidr";
    if network.service_cidr.is_empty() {
        report.required(path, "the CIDR of the cluster's services; `kubectl cluster-info dump | grep service-cluster-ip-range` shows it");
    } else if let Some(net) = cidr(path, &network.service_cidr, report) {
        blocks.push(Block { path: path.to_owned(), what: "services", net });
    }
    overlaps(&blocks, report);
    if !network.api_server.is_empty() {
        api_server(&network.api_server, report);
    }
    if let Some(calico) = &network.calico {
        if !calico.namespace.is_empty() && !syntax::is_dns_label(&calico.namespace) {
            report.invalid(
                "spec.on_premises.calico.namespace",
                "is no name of a namespace; use lower-case letters, digits and `-`",
            );
        }
        if !calico.daemonset.is_empty() && !syntax::is_dns_name(&calico.daemonset, 253) {
            report.invalid(
                "spec.on_premises.calico.daemonset",
                "is no name of a DaemonSet; use lower-case letters, digits, `-` and `.`",
            );
        }
    }
}

/// One IPv4 CIDR, with what is wrong said under its path.
fn cidr(path: &str, text: &str, report: &mut Report) -> Option<Ipv4Net> {
    if is_ipv6(text) {
        let message = format!(
            "`{text}` is IPv6; hybrid clusters are IPv4 only so far: give the IPv4 CIDR of the same network"
        );
        report.add(path, reason::IPV6_NOT_SUPPORTED, message);
        return None;
    }
    let Ok(net) = Ipv4Net::from_str(text) else {
        let hint = if Ipv4Addr::from_str(text).is_ok() {
            "the prefix length is missing"
        } else {
            "it can't be read"
        };
        report.invalid(
            path,
            &format!("`{text}` is no IPv4 CIDR ({hint}); write it like `192.168.0.0/24`"),
        );
        return None;
    };
    if net.addr() != net.network() {
        let message = format!(
            "`{text}` has bits set behind its prefix, so it is unclear which block is meant; write `{}`",
            net.trunc()
        );
        report.add(path, reason::HOST_BITS_SET, message);
        return None;
    }
    Some(net)
}

fn is_ipv6(text: &str) -> bool {
    // Also what is only meant as one: nothing else has two colons among hex digits.
    let meant = text.matches(':').count() > 1
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":./%".contains(&byte));
    Ipv6Addr::from_str(text).is_ok() || matches!(IpNet::from_str(text), Ok(IpNet::V6(_))) || meant
}

fn overlaps(blocks: &[Block], report: &mut Report) {
    for (index, block) in blocks.iter().enumerate() {
        for (taken, why) in TAKEN {
            let net = Ipv4Net::from_str(taken).expect("the table holds valid CIDRs");
            if intersect(&block.net, &net) {
                let message = format!(
                    "{} ({}) overlaps {taken}: {why}; it can't be part of a hybrid cluster",
                    block.net, block.what
                );
                report.add(&block.path, reason::CIDR_OVERLAP, message);
            }
        }
        for earlier in &blocks[..index] {
            if intersect(&block.net, &earlier.net) {
                let message = format!(
                    "{} ({}) overlaps {} ({}, `{}`), so an address would have two meanings; give blocks that share none",
                    block.net, block.what, earlier.net, earlier.what, earlier.path
                );
                report.add(&block.path, reason::CIDR_OVERLAP, message);
            }
        }
    }
}

fn intersect(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

fn api_server(text: &str, report: &mut Report) {
    let path = "spec.on_premises.api_server";
    if text.starts_with('[') || is_ipv6(text) {
        let message = format!(
            "`{text}` is IPv6; hybrid clusters are IPv4 only so far: give the IPv4 address and port"
        );
        report.add(path, reason::IPV6_NOT_SUPPORTED, message);
        return;
    }
    let parts = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|port| *port > 0)?)));
    let Some((host, _)) = parts.filter(|(host, _)| syntax::is_dns_name(host, 253)) else {
        report.invalid(path, &format!("`{text}` is no HOST:PORT, as cloud nodes need it to join; write it like `192.168.0.10:6443`"));
        return;
    };
    let looks_like_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() || address.is_unspecified() => {
            report.invalid(
                path,
                &format!(
                    "`{host}` means the node itself; give the address that the cloud nodes reach"
                ),
            );
        }
        Err(_) if looks_like_address => report
            .invalid(path, &format!("`{host}` is no IPv4 address; write it like `192.168.0.10`")),
        _ => {}
    }
}
