//! The undo of `scale-out`: one look, one thing done, and again until none of ours is left. The order is what matters: no
//! new instance may come, then the instances go (drained), then their Node objects, then their network interfaces.

use causeway_engine::event::Undone;
use causeway_engine::{Failure, FailureClass};

use super::super::cloud::touched;
use super::super::node_pools::provider_id;
use super::sight::{self, Sight, recorded};
use super::{Before, INSTANCE, INTERFACE, instance_entry, interface_entry, size_entry};
use crate::alibaba::cs_nodes::{self, NodePool};
use crate::alibaba::{self, Client, ecs};
use crate::kubernetes::{Resource, cluster_of, node};
use crate::sdk::{Context, Revert};
use crate::spec::Spec;

/// States of a pool in which it takes no orders, and which pass.
const BUSY: [&str; 4] = ["initial", "scaling", "removing", "updating"];

/// One undo at work.
pub(super) struct Undo<'a> {
    pub(super) context: &'a Context,
    pub(super) spec: &'a Spec,
    pub(super) before: &'a Before,
    pub(super) client: Client,
}

/// The next thing to do about the pool itself.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Ask for no more instances than there are.
    Stop(u32),
    /// Drain, remove and release these.
    Remove(Vec<String>),
    /// Instances are on their way out.
    Wait(usize),
    /// Nothing of ours is in the pool.
    Clean,
}

impl Undo<'_> {
    pub(super) async fn run(&self) -> Result<Revert, Failure> {
        let sight =
            Sight::of(&self.client, self.context, &self.spec.cluster_id, self.before).await?;
        // Before anything goes: afterwards nothing tells any more that it was attached to one of ours.
        sight.record_instances(self.context).await?;
        sight.record_interfaces(&self.client, self.context).await?;
        if let Some(pool) = &sight.pool
            && let Some(waiting) = self.shrink(pool, &sight).await?
        {
            return Ok(Revert::NotYet(waiting));
        }
        if let Some(waiting) = self.delete_nodes().await? {
            return Ok(Revert::NotYet(waiting));
        }
        self.delete_interfaces().await
    }

    /// Does the next thing about the pool; what it then waits for, or nothing where it is as it was.
    async fn shrink(&self, pool: &NodePool, sight: &Sight) -> Result<Option<String>, Failure> {
        let (cluster_id, id, name) = (&self.spec.cluster_id, pool.id(), &pool.nodepool_info.name);
        let (done, waiting) = match next(pool.scaling_group.desired_size, sight, self.before) {
            Next::Clean => return Ok(None),
            Next::Wait(count) => {
                return Ok(Some(format!(
                    "pool {name}: {count} instances are being drained and released"
                )));
            }
            Next::Stop(size) => {
                self.context.still_time()?;
                let done = cs_nodes::set_desired_size(&self.client, cluster_id, id, size).await;
                (done, format!("pool {name}: its size goes back to {size}"))
            }
            Next::Remove(ids) => {
                self.context.still_time()?;
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let done = cs_nodes::remove_nodes(&self.client, cluster_id, id, &ids).await;
                (
                    done,
                    format!("pool {name}: {} instances are being drained and released", ids.len()),
                )
            }
        };
        match done {
            Ok(_) => Ok(Some(waiting)),
            Err(error) if error.is_gone() => Ok(Some(waiting)),
            Err(error) if is_busy(&error, &pool.status.state) => {
                Ok(Some(format!("pool {name} is `{}`", pool.status.state)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the Node objects of our instances: nothing else does, as the data center's cluster knows no cloud.
    async fn delete_nodes(&self) -> Result<Option<String>, Failure> {
        let ids: Vec<String> = recorded(self.context, INSTANCE)
            .into_iter()
            .map(|id| provider_id(&self.spec.region, id))
            .collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let cluster = cluster_of(self.context).await?;
        let mut left = 0;
        for found in cluster.list(&Resource::NODES, None, "").await? {
            if found["spec"]["providerID"]
                .as_str()
                .is_some_and(|id| ids.iter().any(|ours| ours == id))
            {
                left += 1;
                self.context.still_time()?;
                cluster
                    .delete_by_uid(&Resource::NODES.named(node::name(&found)), node::uid(&found))
                    .await?;
            }
        }
        Ok((left > 0).then(|| format!("{left} Node objects are being deleted")))
    }

    /// Deletes the network interfaces that were seen attached to our instances, and only those.
    async fn delete_interfaces(&self) -> Result<Revert, Failure> {
        let ours = recorded(self.context, INSTANCE);
        let (mut waiting, mut elsewhere) = (0, Vec::new());
        for interface in sight::recorded_interfaces(&self.client, self.context).await? {
            if !interface.instance_id.is_empty() && !ours.contains(interface.instance_id.as_str()) {
                elsewhere.push(format!("{} (on {})", interface.id, interface.instance_id));
                continue;
            }
            waiting += 1;
            if interface.status == "Available" {
                self.context.still_time()?;
                match ecs::delete_network_interface(&self.client, &interface.id).await {
                    Ok(()) => {}
                    Err(error) if error.is_gone() => {}
                    // It is being taken by something, or not let go yet.
                    Err(error) if error.is("InvalidOperation.InvalidEniState") => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if waiting > 0 {
            return Ok(Revert::NotYet(format!("{waiting} network interfaces are being deleted")));
        }
        if !elsewhere.is_empty() {
            let reason = format!(
                "in_use: network interfaces that others have taken over: {}",
                elsewhere.join(", ")
            );
            return Ok(Revert::Done(Undone::Kept { reason, in_use: true }));
        }
        self.close().await
    }

    /// Everything is gone: the ledger says so.
    async fn close(&self) -> Result<Revert, Failure> {
        if self.context.effects.is_empty() {
            return Ok(Revert::Done(Undone::NothingThere));
        }
        for object in self.context.effects.iter().filter(|object| object.present) {
            let entry = match object.kind.as_str() {
                INSTANCE => instance_entry(&object.id, false),
                INTERFACE => interface_entry(
                    &object.id,
                    object.facts["instance_id"].as_str().unwrap_or_default(),
                    false,
                ),
                _ => size_entry(&self.spec.cluster_id, self.before, false),
            };
            touched(self.context, entry).await?;
        }
        Ok(Revert::Done(Undone::Reverted))
    }
}

/// Whether a refusal only says that the pool is busy with something that passes.
fn is_busy(error: &alibaba::Error, state: &str) -> bool {
    error.class() == FailureClass::Permanent && !error.is_denied() && BUSY.contains(&state)
}

/// Removing an instance lowers the desired size by one; what is asked for beyond the instances that exist must be taken back
/// before, or the pool goes on making them.
fn next(desired: u32, sight: &Sight, before: &Before) -> Next {
    let count = |nodes: usize| u32::try_from(nodes).unwrap_or(u32::MAX);
    let removing = sight.members.iter().filter(|node| node.state == "removing").count();
    let staying = count(sight.members.len() - removing);
    let others = count(sight.members.len() - sight.ours.len());
    let rest = before.desired_size.max(others);
    if desired > staying.max(rest) {
        return Next::Stop(staying.max(rest));
    }
    let remove = sight.instances();
    if !remove.is_empty() {
        return Next::Remove(remove);
    }
    if sight.ours.is_empty() { Next::Clean } else { Next::Wait(sight.ours.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alibaba::cs_nodes::ClusterNode;

    fn member(id: &str, state: &str) -> ClusterNode {
        ClusterNode { instance_id: id.into(), state: state.into(), ..ClusterNode::default() }
    }

    fn sight(ours: &[(&str, &str)], others: &[&str]) -> Sight {
        let ours: Vec<ClusterNode> = ours.iter().map(|(id, state)| member(id, state)).collect();
        let others = others.iter().map(|id| member(id, "running"));
        Sight { pool: None, members: ours.iter().cloned().chain(others).collect(), ours }
    }

    fn before() -> Before {
        Before { nodepool_id: "np1".into(), desired_size: 0, instances: vec![] }
    }

    #[test]
    fn growth_is_stopped_before_anything_is_removed() {
        assert_eq!(next(3, &sight(&[("i-1", "initial")], &[]), &before()), Next::Stop(1));
        assert_eq!(next(2, &sight(&[], &[]), &before()), Next::Stop(0));
    }

    #[test]
    fn instances_that_never_joined_are_removed_like_the_others() {
        let seen = sight(&[("i-2", "failed"), ("i-1", "running")], &[]);
        assert_eq!(next(2, &seen, &before()), Next::Remove(vec!["i-1".into(), "i-2".into()]));
    }

    #[test]
    fn what_leaves_is_waited_for() {
        assert_eq!(next(0, &sight(&[("i-1", "removing")], &[]), &before()), Next::Wait(1));
        assert_eq!(
            next(1, &sight(&[("i-1", "removing")], &[]), &before()),
            Next::Stop(0),
            "it would be replaced"
        );
    }

    #[test]
    fn instances_of_others_stay_and_keep_their_place() {
        let seen = sight(&[("i-1", "running")], &["i-9"]);
        assert_eq!(next(2, &seen, &before()), Next::Remove(vec!["i-1".into()]));
        assert_eq!(next(1, &sight(&[], &["i-9"]), &before()), Next::Clean);
    }

    #[test]
    fn nothing_of_ours_means_clean() {
        assert_eq!(next(0, &sight(&[], &[]), &before()), Next::Clean);
    }
}
