//! `create-node-pool[p]`: a node pool of size 0 in the registered cluster: no money and no joins yet (guide, step 5).
//!
//! Lost call: idempotent because names are unique in a cluster, so that a repetition is refused, and ours is then known by
//! its tags. Undo deletes the pool, only if this workflow made it, and only once it has no nodes; with nodes of somebody
//! else in it, it is kept.

mod preview;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cloud::{cloud_of, conflict, touched};
use super::node_pools::{STEP_TAG, WORKFLOW_TAG, create_step, is_ours, task_words, wanted};
use crate::alibaba::{Client, cs, cs_nodes};
use crate::kubernetes::{Resource, cluster_of};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::spec::{Login, MultiAzPolicy, NodePool};

/// Kind of the pool in the ledger.
const KIND: &str = "node-pool";

/// The step.
pub struct CreateNodePool;

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedNodePool {
    /// Id.
    pub nodepool_id: String,
    /// Name.
    pub name: String,
    /// The task that makes it; empty where the answer was lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_id: String,
}

/// What undo restores: there was no pool of this name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The name.
    name: String,
}

#[async_trait]
impl Action for CreateNodePool {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let (document, wanted) = wanted(context)?;
        let before = value(&Before { name: wanted.name.clone() });
        match named(&cloud_of(context).await?, &document.spec.cluster_id, &wanted.name).await? {
            None => Ok(Observed::change(before)),
            Some(pool) if is_ours(&pool, context) => {
                Ok(Observed::as_wanted(Verdict::Ours, before, value(&created(&pool, ""))))
            }
            Some(pool) => Err(taken(&pool)),
        }
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "cs:DescribeClusterNodePools",
            "cs:DescribeClusterNodePoolDetail",
            "cs:CreateClusterNodePool",
            "cs:DescribeTaskInfo",
            "cs:DeleteClusterNodepool",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let (document, wanted) = wanted(context)?;
        let cluster_id = &document.spec.cluster_id;
        let client = cloud_of(context).await?;
        let created = match named(&client, cluster_id, &wanted.name).await? {
            Some(pool) if is_ours(&pool, context) => created(&pool, ""),
            Some(pool) => return Err(taken(&pool)),
            None => {
                let password = password(context, &wanted.login).await?;
                context.still_time()?;
                let body = body(&wanted, context, password.as_ref());
                let made = cs_nodes::create_node_pool(&client, cluster_id, body).await?;
                CreatedNodePool {
                    nodepool_id: made.nodepool_id,
                    name: wanted.name.clone(),
                    task_id: made.task_id,
                }
            }
        };
        touched(context, entry(cluster_id, &created.nodepool_id, &created.name, true)).await?;
        Ok(value(&created))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let (document, _) = wanted(context)?;
        let client = cloud_of(context).await?;
        let created: CreatedNodePool =
            serde_json::from_value(context.output.clone()).map_err(|error| {
                Failure::permanent(format!("the step's output can't be read: {error}"))
                    .with_code("RECORD_SHAPE")
            })?;
        let Some(pool) =
            cs_nodes::describe_node_pool(&client, &document.spec.cluster_id, &created.nodepool_id)
                .await?
        else {
            let message = format!(
                "node pool {} ({}) is gone: somebody deleted it",
                created.name, created.nodepool_id
            );
            return Err(Failure::new(FailureClass::Gone, message).with_code("NODE_POOL_GONE"));
        };
        if pool.status.state == "active" {
            return Ok(Confirm::Holds(value(&created)));
        }
        if !created.task_id.is_empty()
            && let Some(task) = cs::describe_task(&client, &created.task_id).await?
            && task.outcome() == Some(false)
        {
            let message = format!("node pool {} was not made: {}", created.name, task_words(&task));
            return Err(Failure::permanent(message).with_code("NODE_POOL_TASK"));
        }
        Ok(Confirm::NotYet(format!(
            "node pool {} is `{}`, not yet `active`",
            created.name, pool.status.state
        )))
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let (document, wanted) = wanted(context)?;
        let cluster_id = &document.spec.cluster_id;
        match named(&cloud_of(context).await?, cluster_id, &wanted.name).await? {
            Some(pool) if is_ours(&pool, context) => {
                touched(context, entry(cluster_id, pool.id(), &wanted.name, true)).await?;
                Ok((Resolution::Done, value(&created(&pool, ""))))
            }
            _ => Ok((Resolution::NoEffect, Value::Null)),
        }
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let (document, wanted) = wanted(context)?;
        let cluster_id = &document.spec.cluster_id;
        let client = cloud_of(context).await?;
        let known = context
            .effects
            .iter()
            .find(|object| object.kind == KIND)
            .map(|object| object.id.clone());
        let Some(pool) = ours(&client, context, cluster_id, &wanted.name).await? else {
            return Ok(Revert::Done(match known {
                Some(id) => {
                    touched(context, entry(cluster_id, &id, &wanted.name, false)).await?;
                    Undone::Reverted
                }
                None => Undone::NothingThere,
            }));
        };
        // Known before the call that deletes it, so that the end is told as what it is.
        if known.is_none() {
            touched(context, entry(cluster_id, pool.id(), &wanted.name, true)).await?;
        }
        let status = &pool.status;
        if status.state == "deleting" {
            return Ok(Revert::NotYet(format!("node pool {} is being deleted", wanted.name)));
        }
        if status.total_nodes > 0 {
            if status.removing_nodes == status.total_nodes {
                return Ok(Revert::NotYet(format!(
                    "node pool {} still removes {} nodes",
                    wanted.name, status.removing_nodes
                )));
            }
            let reason = format!(
                "in_use: node pool {} ({}) has {} nodes that this workflow did not make",
                wanted.name,
                pool.id(),
                status.total_nodes
            );
            return Ok(Revert::Done(Undone::Kept { reason, in_use: true }));
        }
        context.still_time()?;
        match cs_nodes::delete_node_pool(&client, cluster_id, pool.id()).await {
            Ok(_) => {}
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Revert::NotYet(format!("node pool {} is being deleted", wanted.name)))
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let (document, wanted) = wanted(context)?;
        let found =
            ours(&cloud_of(context).await?, context, &document.spec.cluster_id, &wanted.name)
                .await?;
        Ok(Some(found.is_none()))
    }
}

async fn named(
    client: &Client,
    cluster_id: &str,
    name: &str,
) -> Result<Option<cs_nodes::NodePool>, Failure> {
    Ok(cs_nodes::list_node_pools(client, cluster_id, Some(name)).await?.into_iter().next())
}

/// The pool that this workflow made: by the id that was recorded, else by name and tags.
async fn ours(
    client: &Client,
    context: &Context,
    cluster_id: &str,
    name: &str,
) -> Result<Option<cs_nodes::NodePool>, Failure> {
    if let Some(known) = context.effects.iter().find(|object| object.kind == KIND) {
        return Ok(cs_nodes::describe_node_pool(client, cluster_id, &known.id).await?);
    }
    Ok(named(client, cluster_id, name).await?.filter(|pool| is_ours(pool, context)))
}

/// The password of the spec's Secret, where people log in with one.
async fn password(context: &Context, login: &Login) -> Result<Option<SecretString>, Failure> {
    let Some(password) = &login.password else { return Ok(None) };
    let object = Resource::SECRETS.at(&password.secret.namespace, &password.secret.name);
    let secret = cluster_of(context).await?.get(&object).await?;
    let text = secret
        .as_ref()
        .and_then(|secret| secret["data"]["password"].as_str())
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| {
        Failure::permanent(format!("Secret {} has no text under the key `password`; put the instances' login password there", object.id()))
            .with_code("LOGIN_PASSWORD")
    })?;
    Ok(Some(text.into()))
}

/// The wire's own form of the wanted pool.
fn body(wanted: &NodePool, context: &Context, password: Option<&SecretString>) -> Value {
    let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<Value> {
        map.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    };
    let mut tags = pairs(&wanted.tags);
    tags.push(json!({"key": WORKFLOW_TAG, "value": context.workflow}));
    tags.push(json!({"key": STEP_TAG, "value": create_step(&wanted.name)}));
    let disk = &wanted.system_disk;
    let mut group = json!({
        "vswitch_ids": wanted.vswitch_ids,
        "instance_types": wanted.instance_types,
        "instance_charge_type": "PostPaid",
        "multi_az_policy": policy_word(wanted.multi_az_policy),
        "security_group_ids": wanted.security_group_ids,
        "system_disk_category": disk.category,
        "system_disk_size": disk.size_gib,
        "desired_size": 0,
        "tags": tags,
    });
    if !disk.performance_level.is_empty() {
        group["system_disk_performance_level"] = disk.performance_level.clone().into();
    }
    match &wanted.image {
        Some(image) if !image.id.is_empty() => group["image_id"] = image.id.clone().into(),
        Some(image) => group["image_type"] = image.kind.clone().into(),
        None => {}
    }
    if let Some(key_pair) = &wanted.login.key_pair {
        group["key_pair"] = key_pair.name.clone().into();
    }
    if let Some(password) = password {
        group["login_password"] = password.expose_secret().into();
    }
    let mut info = json!({"name": wanted.name, "type": "ess"});
    if !wanted.resource_group_id.is_empty() {
        info["resource_group_id"] = wanted.resource_group_id.clone().into();
    }
    let taints: Vec<Value> = wanted
        .taints
        .iter()
        .map(|taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect}))
        .collect();
    json!({
        "nodepool_info": info,
        "scaling_group": group,
        "kubernetes_config": {"labels": pairs(&wanted.labels), "taints": taints, "user_data": "", "unschedulable": false},
        "auto_scaling": {"enable": false},
        "management": {"enable": false},
    })
}

const fn policy_word(policy: MultiAzPolicy) -> &'static str {
    match policy {
        MultiAzPolicy::Priority => "PRIORITY",
        MultiAzPolicy::CostOptimized => "COST_OPTIMIZED",
        MultiAzPolicy::Balance => "BALANCE",
    }
}

fn created(pool: &cs_nodes::NodePool, task_id: &str) -> CreatedNodePool {
    CreatedNodePool {
        nodepool_id: pool.id().to_owned(),
        name: pool.nodepool_info.name.clone(),
        task_id: task_id.to_owned(),
    }
}

fn taken(pool: &cs_nodes::NodePool) -> Failure {
    conflict(format!(
        "the cluster has a node pool `{}` ({}) already, which this workflow did not make; give the pool another name, or delete that one",
        pool.nodepool_info.name,
        pool.id()
    ))
}

fn entry(cluster_id: &str, id: &str, name: &str, present: bool) -> Object {
    let remedy = format!("aliyun cs DELETE /clusters/{cluster_id}/nodepools/{id}");
    Object {
        kind: KIND.to_owned(),
        id: id.to_owned(),
        origin: Origin::Created,
        present,
        remedy,
        facts: json!({"name": name}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::pool_world::PoolWorld;

    #[tokio::test]
    async fn a_pool_of_size_0_is_made_with_our_tags_and_taken_away_again() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("create-node-pool");
        assert_eq!(bench.observe(&CreateNodePool).await.unwrap(), Verdict::Change);
        bench.apply(&CreateNodePool).await.unwrap();
        assert!(matches!(bench.confirm(&CreateNodePool).await.unwrap(), Confirm::Holds(_)));
        let pool = world.world().pool.clone().unwrap();
        assert_eq!(pool["scaling_group"]["desired_size"], 0);
        assert_eq!(
            pool["scaling_group"]["tags"][0],
            json!({"key": "causeway.workflow", "value": "w0123456789abcde"})
        );
        assert_eq!(bench.observe(&CreateNodePool).await.unwrap(), Verdict::Ours);
        assert_eq!(bench.revert(&CreateNodePool).await.unwrap(), Undone::Reverted);
        assert_eq!(world.world().pool, None);
        assert_eq!(bench.revert(&CreateNodePool).await.unwrap(), Undone::Reverted);
    }

    #[tokio::test]
    async fn a_pool_of_that_name_by_somebody_else_is_a_conflict_and_survives_the_undo() {
        let world = PoolWorld::new().await;
        world.world().pool =
            Some(json!({"nodepool_info": {"nodepool_id": "np9", "name": "burst"}}));
        let mut bench = world.bench("create-node-pool");
        assert_eq!(
            bench.observe(&CreateNodePool).await.unwrap_err().code.as_deref(),
            Some("CONFLICT")
        );
        assert_eq!(bench.revert(&CreateNodePool).await.unwrap(), Undone::NothingThere);
        assert!(world.world().pool.is_some() && world.world().calls.is_empty());
    }

    #[tokio::test]
    async fn a_lost_answer_is_resolved_by_the_tags() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("create-node-pool");
        bench.observe(&CreateNodePool).await.unwrap();
        assert_eq!(bench.resolve(&CreateNodePool).await.unwrap(), Resolution::NoEffect);
        world.world().cut = true;
        assert_eq!(bench.apply(&CreateNodePool).await.unwrap_err().class, FailureClass::Unknown);
        assert_eq!(bench.resolve(&CreateNodePool).await.unwrap(), Resolution::Done);
        bench.apply(&CreateNodePool).await.unwrap();
        assert_eq!(
            world.world().calls,
            ["CreateClusterNodePool"],
            "repeating it makes nothing new"
        );
    }

    #[tokio::test]
    async fn a_pool_with_somebody_elses_nodes_is_kept() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("create-node-pool");
        bench.observe(&CreateNodePool).await.unwrap();
        bench.apply(&CreateNodePool).await.unwrap();
        world.world().instances.insert("i-9".into(), ("running".into(), json!([])));
        let undone = bench.revert(&CreateNodePool).await.unwrap();
        assert!(matches!(undone, Undone::Kept { in_use: true, .. }), "{undone:?}");
    }
}
