//! Records of hybrid clusters, and what a build left.

use causeway_proto::v1::{Connection, HybridCluster, HybridClusterResult};

use super::super::output::{Style, text};
use super::{Sheet, time, workflow};

/// A table of records.
pub(crate) fn list(clusters: &[HybridCluster], style: Style) -> String {
    let mut headings =
        vec!["NAME", "CLUSTER ID", "REGION", "KUBERNETES", "TERWAY", "POOLS", "NODES", "BUILT"];
    if style.wide {
        headings.extend(["CONNECTION", "WORKFLOW", "COMPLETE"]);
    }
    let mut table = style.table(&headings);
    for cluster in clusters {
        let spec = cluster.spec.clone().unwrap_or_default();
        let result = cluster.result.clone().unwrap_or_default();
        let nodes: usize = result.node_pools.iter().map(|pool| pool.nodes.len()).sum();
        let mut row = vec![
            name(cluster),
            spec.cluster_id,
            spec.region,
            result.kubernetes_version,
            result.terway_version,
            result.node_pools.len().to_string(),
            nodes.to_string(),
            time::moment(cluster.create_time.as_ref()),
        ];
        if style.wide {
            row.extend([spec.connection, cluster.workflow.clone(), cluster.complete.to_string()]);
        }
        table.add_row(row);
    }
    text(&table)
}

fn name(cluster: &HybridCluster) -> String {
    cluster.name.strip_prefix("hybridClusters/").unwrap_or(&cluster.name).to_owned()
}

/// Everything about one record.
pub(crate) fn describe(cluster: &HybridCluster, style: Style) -> String {
    let spec = cluster.spec.clone().unwrap_or_default();
    let complete =
        if cluster.complete { "yes" } else { "no: the build was abandoned, see the ledger" };
    let result = cluster.result.as_ref().map(|built| result(built, style)).unwrap_or_default();
    let ledger = if cluster.ledger.is_empty() {
        String::new()
    } else {
        workflow::ledger(&cluster.ledger, style)
    };
    Sheet::default()
        .fields(&[
            ("Name", name(cluster)),
            ("Cluster", spec.cluster_id),
            ("Region", spec.region),
            ("Connection", spec.connection),
            ("Built by", cluster.workflow.clone()),
            ("Built", time::moment(cluster.create_time.as_ref())),
            ("Complete", complete.to_owned()),
        ])
        .paragraph(&result)
        .section("Ledger", &ledger)
        .finish()
}

/// What a build left: versions, pools, nodes, and what runs where.
pub(crate) fn result(result: &HybridClusterResult, style: Style) -> String {
    let mut table = style.table(&["POOL", "NODE", "INSTANCE", "ADDRESS", "READY"]);
    for pool in &result.node_pools {
        for node in &pool.nodes {
            let ready = if node.ready { "Ready" } else { "not Ready" };
            table.add_row([&pool.name, &node.name, &node.instance_id, &node.internal_ip, ready]);
        }
    }
    let nodes = if table.is_empty() { String::new() } else { text(&table) };
    Sheet::default()
        .fields(&[
            ("Kubernetes", result.kubernetes_version.clone()),
            ("Terway", result.terway_version.clone()),
            ("Init script", result.init_script_url.clone()),
            ("Joining until", time::moment(result.join_token_expire_time.as_ref())),
        ])
        .paragraph(&nodes)
        .paragraph(&result.placement.join("\n"))
        .finish()
}

/// A table of connections.
pub(crate) fn connections(connections: &[Connection], style: Style) -> String {
    let mut headings = vec!["NAME", "ACCOUNT", "REGIONS", "CLUSTERS", "MAX NODES", "CREDENTIALS"];
    if style.wide {
        headings.extend(["MAX CALLS", "KUBECONFIGS"]);
    }
    let mut table = style.table(&headings);
    for connection in connections {
        let mut row = vec![
            connection.name.clone(),
            connection.account_id.clone(),
            connection.regions.join(","),
            connection.clusters.join(","),
            connection.max_nodes.to_string(),
            connection.credentials.clone(),
        ];
        if style.wide {
            row.extend([
                connection.max_concurrent_calls.to_string(),
                connection.kubeconfig_clusters.join(","),
            ]);
        }
        table.add_row(row);
    }
    text(&table)
}
