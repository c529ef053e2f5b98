//! What is there of a pool: its members, which of them are this workflow's, and the network interfaces on them. Reads, and
//! records what it sees as effects; changes nothing.

use std::collections::BTreeSet;

use causeway_engine::Failure;

use super::super::cloud::touched;
use super::super::node_pools::WORKFLOW_TAG;
use super::{Before, INSTANCE, INTERFACE, instance_entry, interface_entry};
use crate::alibaba::Client;
use crate::alibaba::cs_nodes::{self, ClusterNode, NodePool};
use crate::alibaba::ecs::{self, InterfaceFilter, NetworkInterface};
use crate::sdk::Context;

/// Most ids in one question for network interfaces, by the API.
const IDS_MAX: usize = 100;

/// A pool as it is now.
pub(super) struct Sight {
    /// The pool; none: it is gone.
    pub(super) pool: Option<NodePool>,
    /// All that are in it, whoever made them.
    pub(super) members: Vec<ClusterNode>,
    /// Those of `members` that this workflow made.
    pub(super) ours: Vec<ClusterNode>,
}

impl Sight {
    /// Looks at the pool. An instance is ours where it was recorded as such, or carries this workflow's tag.
    pub(super) async fn of(
        client: &Client,
        context: &Context,
        cluster_id: &str,
        before: &Before,
    ) -> Result<Self, Failure> {
        let pool = cs_nodes::describe_node_pool(client, cluster_id, &before.nodepool_id).await?;
        if pool.is_none() {
            return Ok(Self { pool, members: Vec::new(), ours: Vec::new() });
        }
        let mut members =
            cs_nodes::list_nodes(client, cluster_id, Some(&before.nodepool_id)).await?;
        members.retain(|node| !node.instance_id.is_empty());
        let known = recorded(context, INSTANCE);
        let strange = |node: &&ClusterNode| {
            !known.contains(node.instance_id.as_str())
                && !before.instances.contains(&node.instance_id)
        };
        let ids: Vec<&str> =
            members.iter().filter(strange).map(|node| node.instance_id.as_str()).collect();
        let tagged: BTreeSet<String> = if ids.is_empty() {
            BTreeSet::new()
        } else {
            let instances = ecs::describe_instances(client, &ids).await?;
            let ours = |instance: &ecs::Instance| {
                instance
                    .tags
                    .iter()
                    .any(|tag| tag.key == WORKFLOW_TAG && tag.value == context.workflow.as_str())
            };
            instances.into_iter().filter(ours).map(|instance| instance.id).collect()
        };
        let is_ours = |node: &&ClusterNode| {
            known.contains(node.instance_id.as_str()) || tagged.contains(&node.instance_id)
        };
        let ours = members.iter().filter(is_ours).cloned().collect();
        Ok(Self { pool, members, ours })
    }

    /// Ids of our instances that stay, sorted.
    pub(super) fn instances(&self) -> Vec<String> {
        let staying = self.ours.iter().filter(|node| node.state != "removing");
        let mut ids: Vec<String> = staying.map(|node| node.instance_id.clone()).collect();
        ids.sort();
        ids
    }

    /// Records our instances that are not recorded yet.
    pub(super) async fn record_instances(&self, context: &Context) -> Result<(), Failure> {
        let known = recorded(context, INSTANCE);
        for node in self.ours.iter().filter(|node| !known.contains(node.instance_id.as_str())) {
            touched(context, instance_entry(&node.instance_id, true)).await?;
        }
        Ok(())
    }

    /// Records the network interfaces that are attached to our instances now, and are not recorded yet. Primary ones go with
    /// their instance.
    pub(super) async fn record_interfaces(
        &self,
        client: &Client,
        context: &Context,
    ) -> Result<(), Failure> {
        let known = recorded(context, INTERFACE);
        for node in &self.ours {
            let filter = InterfaceFilter {
                instance_id: Some(&node.instance_id),
                kind: Some("Secondary"),
                ..InterfaceFilter::default()
            };
            for interface in ecs::describe_network_interfaces(client, filter).await? {
                if !known.contains(interface.id.as_str()) {
                    touched(context, interface_entry(&interface.id, &node.instance_id, true))
                        .await?;
                }
            }
        }
        Ok(())
    }
}

/// The interfaces that this step recorded and that still exist.
pub(super) async fn recorded_interfaces(
    client: &Client,
    context: &Context,
) -> Result<Vec<NetworkInterface>, Failure> {
    let known = recorded(context, INTERFACE);
    let ids: Vec<&str> = known.into_iter().collect();
    let mut found = Vec::new();
    for ids in ids.chunks(IDS_MAX) {
        found.extend(
            ecs::describe_network_interfaces(
                client,
                InterfaceFilter { ids, ..InterfaceFilter::default() },
            )
            .await?,
        );
    }
    Ok(found)
}

/// Ids of the recorded effects of a kind.
pub(super) fn recorded<'a>(context: &'a Context, kind: &str) -> BTreeSet<&'a str> {
    context
        .effects
        .iter()
        .filter(|object| object.kind == kind)
        .map(|object| object.id.as_str())
        .collect()
}
