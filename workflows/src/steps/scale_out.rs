//! `scale-out[p]`: raises the pool's size to what was asked for, and waits for instances and then for their Nodes, as a pool
//! that is `active` says nothing about either (guide, step 5). Each instance, and each network interface that is attached to
//! one, is an effect as soon as it is known.
//!
//! Lost call: idempotent because the desired size is absolute. Undo drains and releases just the instances that carry this
//! workflow's tag, never those that somebody attached by hand, removes their Node objects, and then the network interfaces
//! that were seen attached to them, before the RAM grant goes. Sticks where a drain hangs on a disruption budget.

pub(crate) mod preview;
mod sight;
mod undo;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Verdict};
use causeway_engine::{Failure, FailureClass, Time};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::sight::Sight;
use super::cloud::{cloud_of, conflict, touched};
use super::create_node_pool::CreatedNodePool;
use super::mint_join_token::MintJoinTokenOutput;
use super::node_pools::{provider_id, reasons, task_words, wanted, with_reasons};
use crate::alibaba::{cs, cs_nodes};
use crate::kubernetes::{Resource, cluster_of, node};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::timing::millis;

/// Kind of an instance in the ledger.
const INSTANCE: &str = "instance";
/// Kind of a network interface in the ledger.
const INTERFACE: &str = "network-interface";
/// Kind of the pool's size in the ledger.
const SIZE: &str = "node-pool-size";

/// The step.
pub struct ScaleOut;

/// What later steps see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaledOut {
    /// The pool.
    pub nodepool_id: String,
    /// Instances of this workflow, sorted.
    pub instance_ids: Vec<String>,
    /// Names of their Nodes, sorted.
    pub nodes: Vec<String>,
    /// The task that makes them; empty where the answer was lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_id: String,
}

/// What undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The pool.
    nodepool_id: String,
    /// Its desired size.
    desired_size: u32,
    /// Instances that were there.
    instances: Vec<String>,
}

#[async_trait]
impl Action for ScaleOut {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let (document, wanted) = wanted(context)?;
        let size = wanted.size.unwrap_or_default();
        let created: CreatedNodePool = context.output_of_sibling("create-node-pool")?;
        let client = cloud_of(context).await?;
        let pool =
            cs_nodes::describe_node_pool(&client, &document.spec.cluster_id, &created.nodepool_id)
                .await?;
        let pool = pool.ok_or_else(|| gone(&created.nodepool_id))?;
        let nodes =
            cs_nodes::list_nodes(&client, &document.spec.cluster_id, Some(pool.id())).await?;
        let output =
            value(&ScaledOut { nodepool_id: pool.id().to_owned(), ..ScaledOut::default() });
        let desired_size = pool.scaling_group.desired_size;
        if desired_size > size {
            return Err(conflict(format!(
                "node pool {} ({}) already wants {desired_size} nodes, more than the {size} asked for; somebody else scales it: set it back to 0, then start again",
                wanted.name,
                pool.id()
            )));
        }
        let mut before = Before {
            nodepool_id: pool.id().to_owned(),
            desired_size,
            instances: nodes
                .into_iter()
                .map(|node| node.instance_id)
                .filter(|id| !id.is_empty())
                .collect(),
        };
        if size == 0 {
            return Ok(Observed::as_wanted(Verdict::Adopted, value(&before), output));
        }
        if desired_size == size {
            // The pool is this workflow's, made with size 0: whoever raised it to just this was us.
            before.desired_size = 0;
            before.instances.clear();
            return Ok(Observed::as_wanted(Verdict::Ours, value(&before), output));
        }
        check_token(context, (context.now)())?;
        Ok(Observed::change(value(&before)))
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "cs:DescribeClusterNodePoolDetail",
            "cs:DescribeClusterNodes",
            "cs:ModifyClusterNodePool",
            "cs:DescribeTaskInfo",
            "cs:RemoveNodePoolNodes",
            "ecs:DescribeInstances",
            "ecs:DescribeNetworkInterfaces",
            "ecs:DeleteNetworkInterface",
            "ess:DescribeScalingActivities",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let (document, wanted) = wanted(context)?;
        let before: Before = context.before_image()?;
        check_token(context, (context.now)())?;
        let client = cloud_of(context).await?;
        context.still_time()?;
        let size = wanted.size.unwrap_or_default();
        let task = cs_nodes::set_desired_size(
            &client,
            &document.spec.cluster_id,
            &before.nodepool_id,
            size,
        )
        .await?;
        touched(context, size_entry(&document.spec.cluster_id, &before, true)).await?;
        Ok(value(&ScaledOut {
            nodepool_id: before.nodepool_id,
            task_id: task.task_id,
            ..ScaledOut::default()
        }))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let (document, wanted) = wanted(context)?;
        let spec = &document.spec;
        let before: Before = context.before_image()?;
        let output: ScaledOut = serde_json::from_value(context.output.clone()).unwrap_or_default();
        let client = cloud_of(context).await?;
        let sight = Sight::of(&client, context, &spec.cluster_id, &before).await?;
        let pool = sight.pool.as_ref().ok_or_else(|| gone(&before.nodepool_id))?;
        sight.record_instances(context).await?;
        let instances = sight.instances();
        let nodes = cluster_of(context).await?.list(&Resource::NODES, None, "").await?;
        let joined: Vec<&Value> = instances
            .iter()
            .filter_map(|id| node_of(&nodes, &provider_id(&spec.region, id)))
            .collect();
        let size = wanted.size.unwrap_or_default() as usize;
        if instances.len() >= size && joined.len() == instances.len() {
            sight.record_interfaces(&client, context).await?;
            let mut names: Vec<String> =
                joined.into_iter().map(|found| node::name(found).to_owned()).collect();
            names.sort();
            return Ok(Confirm::Holds(value(&ScaledOut {
                nodepool_id: before.nodepool_id,
                instance_ids: instances,
                nodes: names,
                task_id: output.task_id,
            })));
        }
        let message = format!(
            "pool {}: {} of {size} instances, {} of {size} nodes",
            wanted.name,
            instances.len(),
            joined.len()
        );
        if let Some(task) = failed_task(&client, &output.task_id).await? {
            let why = reasons(&client, pool, &sight.members, "").await;
            let message = format!(
                "node pool {} could not be scaled out: {message}; {}",
                wanted.name,
                task_words(&task)
            );
            return Err(
                Failure::permanent(with_reasons(message, &why)).with_code("SCALE_OUT_FAILED")
            );
        }
        let why = reasons(&client, pool, &sight.members, "").await;
        Ok(Confirm::NotYet(with_reasons(message, &why)))
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let (document, wanted) = wanted(context)?;
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let pool =
            cs_nodes::describe_node_pool(&client, &document.spec.cluster_id, &before.nodepool_id)
                .await?;
        let desired = pool.map(|pool| pool.scaling_group.desired_size);
        let size = wanted.size.unwrap_or_default();
        Ok(match desired {
            Some(desired) if desired == size => {
                touched(context, size_entry(&document.spec.cluster_id, &before, true)).await?;
                (
                    Resolution::Done,
                    value(&ScaledOut { nodepool_id: before.nodepool_id, ..ScaledOut::default() }),
                )
            }
            Some(desired) if desired != before.desired_size => (Resolution::Partial, Value::Null),
            _ => (Resolution::NoEffect, Value::Null),
        })
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let (document, _) = wanted(context)?;
        let before: Before = context.before_image()?;
        undo::Undo {
            context,
            spec: &document.spec,
            before: &before,
            client: cloud_of(context).await?,
        }
        .run()
        .await
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let (document, _) = wanted(context)?;
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let sight = Sight::of(&client, context, &document.spec.cluster_id, &before).await?;
        let interfaces = sight::recorded_interfaces(&client, context).await?;
        let size = sight.pool.as_ref().map_or(0, |pool| pool.scaling_group.desired_size);
        Ok(Some(sight.ours.is_empty() && interfaces.is_empty() && size <= before.desired_size))
    }
}

/// Fails before anything is bought where the join token would end before the last instance can have joined.
fn check_token(context: &Context, now: Time) -> Result<(), Failure> {
    let token: MintJoinTokenOutput = context.output_of("mint-join-token")?;
    let needed =
        now.plus_ms(millis(context.timing.attempt_deadline + context.timing.confirm_deadline));
    token_lives(&token.expires_at, needed)
}

fn token_lives(expires_at: &str, until: Time) -> Result<(), Failure> {
    if expires_at.is_empty() {
        return Ok(());
    }
    let end = expires_at
        .parse::<Timestamp>()
        .ok()
        .and_then(|end| u64::try_from(end.as_millisecond()).ok());
    match end {
        Some(end) if Time(end) >= until => Ok(()),
        Some(_) => Err(Failure::permanent(format!(
            "the join token ends at {expires_at}, before the last instance can have joined; start again with a longer `spec.init_script.token.mint.ttl`, \
             or with a token that lives longer"
        ))
        .with_code("JOIN_TOKEN_EXPIRES")),
        None => Err(Failure::permanent(format!("the join token's end `{expires_at}` is no time")).with_code("RECORD_SHAPE")),
    }
}

async fn failed_task(
    client: &crate::alibaba::Client,
    task_id: &str,
) -> Result<Option<cs::Task>, Failure> {
    if task_id.is_empty() {
        return Ok(None);
    }
    Ok(cs::describe_task(client, task_id).await?.filter(|task| task.outcome() == Some(false)))
}

fn node_of<'a>(nodes: &'a [Value], provider_id: &str) -> Option<&'a Value> {
    nodes.iter().find(|node| node["spec"]["providerID"] == provider_id)
}

fn gone(id: &str) -> Failure {
    Failure::new(FailureClass::Gone, format!("node pool {id} is gone: somebody deleted it"))
        .with_code("NODE_POOL_GONE")
}

fn size_entry(cluster_id: &str, before: &Before, present: bool) -> Object {
    Object {
        kind: SIZE.to_owned(),
        id: before.nodepool_id.clone(),
        origin: Origin::Modified,
        present,
        remedy: format!(
            "set desired_size of node pool {} in cluster {cluster_id} back to {}",
            before.nodepool_id, before.desired_size
        ),
        facts: json!({"before": before.desired_size}),
    }
}

fn instance_entry(id: &str, present: bool) -> Object {
    Object {
        kind: INSTANCE.to_owned(),
        id: id.to_owned(),
        origin: Origin::Created,
        present,
        remedy: format!(
            "remove {id} from its node pool with release_node, then delete its Node object"
        ),
        facts: Value::Null,
    }
}

fn interface_entry(id: &str, instance_id: &str, present: bool) -> Object {
    Object {
        kind: INTERFACE.to_owned(),
        id: id.to_owned(),
        origin: Origin::Created,
        present,
        remedy: format!("aliyun ecs DeleteNetworkInterface --NetworkInterfaceId {id}"),
        facts: json!({"instance_id": instance_id}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_ends_too_soon_fails_before_anything_is_bought() {
        let at = |text: &str| {
            Time(u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap())
        };
        let needed = at("2026-11-23T12:00:00Z");
        assert!(token_lives("", needed).is_ok());
        assert!(token_lives("2026-11-23T12:00:00Z", needed).is_ok());
        assert_eq!(
            token_lives("2026-11-23T11:59:59Z", needed).unwrap_err().code.as_deref(),
            Some("JOIN_TOKEN_EXPIRES")
        );
        assert_eq!(token_lives("soon", needed).unwrap_err().code.as_deref(), Some("RECORD_SHAPE"));
    }

    #[test]
    fn nodes_are_found_by_provider_id_only() {
        let nodes = [
            json!({"metadata": {"name": "cn-hangzhou.10.10.24.5"}, "spec": {"providerID": "cn-hangzhou.i-1"}}),
        ];
        assert!(node_of(&nodes, "cn-hangzhou.i-1").is_some());
        assert!(node_of(&nodes, "cn-hangzhou.i-11").is_none());
    }

    use causeway_engine::event::Undone;

    use crate::steps::pool_world::{PoolWorld, STRANGER};

    #[tokio::test]
    async fn the_undo_takes_our_instances_nodes_and_interfaces_and_nothing_else() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("scale-out");
        world.with_pool(&bench);
        assert_eq!(bench.observe(&ScaleOut).await.unwrap(), Verdict::Change);
        bench.apply(&ScaleOut).await.unwrap();
        let Confirm::NotYet(message) = bench.confirm(&ScaleOut).await.unwrap() else {
            panic!("holds")
        };
        assert_eq!(message, "pool burst: 2 of 2 instances, 0 of 2 nodes");
        world.world().instances.insert(STRANGER.into(), ("running".into(), json!([])));
        world.join(&bench);
        let Confirm::Holds(output) = bench.confirm(&ScaleOut).await.unwrap() else {
            panic!("does not hold")
        };
        assert_eq!(output["instance_ids"], json!(["i-1", "i-2"]));
        // An interface that came after the last look of the way forward.
        world.world().interfaces.insert("eni-late".into(), "i-2".into());

        let mut undone = None;
        for _ in 0..10 {
            if let Revert::Done(end) = bench.revert_once(&ScaleOut).await.unwrap() {
                undone = Some(end);
                break;
            }
            world.release();
        }
        assert_eq!(undone, Some(Undone::Reverted));
        assert_eq!(world.world().instances.keys().collect::<Vec<_>>(), [STRANGER]);
        assert_eq!(
            world.world().interfaces.keys().collect::<Vec<_>>(),
            [&format!("eni-of-{STRANGER}")]
        );
        let nodes = bench.cluster().list(&Resource::NODES, None, "").await.unwrap();
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        assert!(bench.context().effects.iter().all(|object| !object.present));
    }

    #[tokio::test]
    async fn the_undo_of_a_size_that_brought_nothing_only_puts_the_size_back() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("scale-out");
        world.with_pool(&bench);
        bench.observe(&ScaleOut).await.unwrap();
        bench.apply(&ScaleOut).await.unwrap();
        world.world().instances.clear();
        assert_eq!(bench.revert(&ScaleOut).await.unwrap(), Undone::Reverted);
        assert_eq!(world.world().pool.as_ref().unwrap()["scaling_group"]["desired_size"], 0);
    }

    #[tokio::test]
    async fn a_lost_answer_is_resolved_by_the_desired_size() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("scale-out");
        world.with_pool(&bench);
        bench.observe(&ScaleOut).await.unwrap();
        assert_eq!(bench.resolve(&ScaleOut).await.unwrap(), Resolution::NoEffect);
        world.world().cut = true;
        assert_eq!(bench.apply(&ScaleOut).await.unwrap_err().class, FailureClass::Unknown);
        assert_eq!(bench.resolve(&ScaleOut).await.unwrap(), Resolution::Done);
        assert_eq!(bench.observe(&ScaleOut).await.unwrap(), Verdict::Ours);
    }

    #[tokio::test]
    async fn a_token_about_to_end_touches_nothing() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("scale-out");
        world.with_pool(&bench);
        let expires_at =
            Timestamp::from_millisecond(i64::try_from(bench.now().0).unwrap()).unwrap().to_string();
        bench.output(
            "mint-join-token",
            json!({"token": {"$secret": "x"}, "secret_name": "", "expires_at": expires_at}),
        );
        assert_eq!(
            bench.observe(&ScaleOut).await.unwrap_err().code.as_deref(),
            Some("JOIN_TOKEN_EXPIRES")
        );
        assert!(world.world().calls.is_empty());
    }
}
