//! `fence-calico`: keeps the data center's Calico off cloud nodes, by node affinity on calico-node (guide, step 1). Where
//! the Tigera operator owns the DaemonSet its Installation is changed, as a patch of the DaemonSet would be put back.
//!
//! Lost call: idempotent because the patch carries the resourceVersion that was read, and the marker goes in with it, so
//! that a repetition either fails or finds its own work. Undo takes out just what was put in, waits until none of this
//! workflow's nodes is left, and keeps the fence while another's cloud node needs it.

mod affinity;
pub(crate) mod preview;
mod target;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass, Finding, Severity, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::affinity::Insertion;
use self::target::Target;
use super::check_kubernetes::CheckKubernetesOutput;
use super::cloud::touched;
use crate::kubernetes::marker::{Unmarked, is_marked, mark};
use crate::kubernetes::rollout::Rollout;
use crate::kubernetes::{Cluster, Resource, cluster_of, node};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::timing::millis;

/// Looks that the undo waits for calico-node to be rolled out again: it counts as done when the template is restored,
/// and a rollout that hangs (as it may have done before us) must not make it STUCK.
const UNDO_ROLLOUT_POLLS: u32 = 24;

/// The step.
pub struct FenceCalico;

/// What undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// What is changed.
    target: Target,
    /// How much of the way to the affinity was there, in fields.
    depth: usize,
    /// The affinity that stood there; null: none.
    affinity: Value,
    /// The affinity that the insertions were made for: under the operator, what it would have used by itself.
    base: Value,
    /// What goes into which term.
    insertions: Vec<Insertion>,
    /// What was in the marker's place.
    unmarked: Unmarked,
    /// Cloud nodes that were there already.
    cloud_nodes: Vec<String>,
    /// Rollouts can't be waited for: one hung before us, or a node is not Ready.
    hung: bool,
}

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceCalicoOutput {
    /// What was changed: `daemonsets kube-system/calico-node`.
    pub target: String,
    /// Whether every pod was seen running from the fenced template.
    #[serde(default)]
    pub rolled_out: bool,
}

#[async_trait]
impl Action for FenceCalico {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let cluster = cluster_of(context).await?;
        let target =
            Target::of(&context.output_of::<CheckKubernetesOutput>("check-kubernetes")?.calico);
        let daemon_set = target.daemon_set(&cluster).await?;
        let object = target.read(&cluster).await?;
        target.check_schema(&cluster).await?;
        let nodes = cluster.list(&Resource::NODES, None, "").await?;
        let (hung, warnings) = hindrances(&daemon_set, &nodes);
        let affinity = target.affinity(&object).clone();
        // The operator's own default is replaced by whatever its Installation says, so that is what must be fenced.
        let base = if affinity.is_null() {
            target::template_affinity(&daemon_set).clone()
        } else {
            affinity.clone()
        };
        let before = Before {
            depth: target.depth(&object),
            insertions: affinity::missing(&base),
            unmarked: Unmarked::of(&object),
            cloud_nodes: nodes
                .iter()
                .filter(|one| node::is_cloud(one))
                .map(|one| node::name(one).to_owned())
                .collect(),
            hung,
            base,
            affinity,
            target,
        };
        let output = output_of(&before, true);
        let mut observed =
            match (before.insertions.is_empty(), is_marked(&object, &context.workflow)) {
                (false, _) => Observed::change(value(&before)),
                (true, true) => Observed::as_wanted(Verdict::Ours, value(&before), value(&output)),
                (true, false) => {
                    Observed::as_wanted(Verdict::Adopted, value(&before), value(&output))
                }
            };
        observed.warnings = warnings;
        Ok(observed)
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let before: Before = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let target = &before.target;
        let current = target.read(&cluster).await?;
        let output = value(&output_of(&before, false));
        let present = target.affinity(&current);
        if is_marked(&current, &context.workflow) && affinity::missing(present).is_empty() {
            return Ok(output);
        }
        if *present != before.affinity {
            let message = format!(
                "the affinity of {target} was changed by somebody else since it was read; it is read anew"
            );
            return Err(Failure::new(FailureClass::Stale, message).with_code("CHANGED_MEANWHILE"));
        }
        let wanted = fenced(&before, &current, &context.workflow);
        context.still_time()?;
        let written = cluster.edit(&target.object(), &current, &wanted).await?;
        touched(context, ledger_entry(&before, true)).await?;
        if affinity::missing(target.affinity(&written)).is_empty() {
            return Ok(output);
        }
        Err(Failure::permanent(format!(
            "{target} did not take the node affinity: something (a webhook, or a schema that does not know it) took it out; \
             fence Calico by hand as the guide says, then start again"
        ))
        .with_code("FENCE_REFUSED"))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let before: Before = context.before_image()?;
        let cluster = cluster_of(context).await?;
        if !affinity::missing(before.target.affinity(&before.target.read(&cluster).await?))
            .is_empty()
        {
            return Err(Failure::permanent(format!(
                "somebody took the node affinity out of {} again (is it kept by a GitOps tool?); put it into its source, then start again",
                before.target
            ))
            .with_code("FENCE_REVERTED"));
        }
        let daemon_set = before.target.daemon_set(&cluster).await?;
        if !affinity::missing(target::template_affinity(&daemon_set)).is_empty() {
            return Ok(Confirm::NotYet(
                "the Tigera operator has not put the node affinity into calico-node yet".to_owned(),
            ));
        }
        let rollout = Rollout::of(&daemon_set);
        // From here on the controller admits no cloud node, whatever the pods elsewhere do.
        if rollout.complete() || (before.hung && rollout.observed) {
            return Ok(Confirm::Holds(value(&output_of(&before, rollout.complete()))));
        }
        Ok(Confirm::NotYet(format!(
            "rollout of {}: {}",
            before.target.daemon_set_ref(),
            rollout.progress()
        )))
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let before: Before = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let current = before.target.read(&cluster).await?;
        if is_marked(&current, &context.workflow)
            && affinity::missing(before.target.affinity(&current)).is_empty()
        {
            touched(context, ledger_entry(&before, true)).await?;
            return Ok((Resolution::Done, value(&output_of(&before, false))));
        }
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let before: Before = context.before_image()?;
        super::undo::require_before_image(context)?;
        let cluster = cluster_of(context).await?;
        let target = &before.target;
        let Some(current) = cluster.get(&target.object()).await? else {
            return Ok(Revert::Done(Undone::NothingThere));
        };
        let fenced = affinity::fence(&before.base, &before.insertions);
        if is_marked(&current, &context.workflow) || *target.affinity(&current) == fenced {
            if let Some(waiting) = cloud_nodes_in_the_way(context, &cluster, &before).await? {
                return Ok(waiting);
            }
            let mut wanted = current.clone();
            let kept = restore(&before, &mut wanted, context);
            context.still_time()?;
            cluster.edit(&target.object(), &current, &wanted).await?;
            touched(context, ledger_entry(&before, kept)).await?;
            if kept {
                let reason = format!(
                    "changed_by_other: a term of {target} has only the fence left, and would match no node without it"
                );
                return Ok(Revert::Done(Undone::Kept { reason, in_use: false }));
            }
        } else if !context.effects.iter().any(|effect| effect.id == target.object().id()) {
            return Ok(Revert::Done(Undone::NothingThere));
        }
        settle_after_undo(context, &cluster, &before).await
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let before: Before = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let Some(current) = cluster.get(&before.target.object()).await? else {
            return Ok(Some(true));
        };
        let fenced = affinity::fence(&before.base, &before.insertions);
        Ok(Some(
            !is_marked(&current, &context.workflow) && *before.target.affinity(&current) != fenced,
        ))
    }
}

/// The object with the fence in it.
fn fenced(before: &Before, current: &Value, workflow: &WorkflowId) -> Value {
    let mut wanted = current.clone();
    before.target.set_affinity(&mut wanted, affinity::fence(&before.base, &before.insertions));
    mark(&mut wanted, workflow);
    wanted
}

fn output_of(before: &Before, rolled_out: bool) -> FenceCalicoOutput {
    FenceCalicoOutput { target: before.target.to_string(), rolled_out }
}

fn ledger_entry(before: &Before, present: bool) -> Object {
    Object {
        kind: before.target.object().resource.kind().to_lowercase(),
        id: before.target.object().id(),
        origin: Origin::Modified,
        present,
        remedy: format!(
            "take the expressions on alibabacloud.com/external and type out of the node affinity of {}, once no cloud node is left",
            before.target
        ),
        facts: json!({"insertions": before.insertions}),
    }
}

/// Puts the affinity and the marker back. True: a part of the fence had to stay.
fn restore(before: &Before, object: &mut Value, context: &Context) -> bool {
    let present = before.target.affinity(object).clone();
    let unfenced = affinity::unfence(&present, &before.base, &before.insertions);
    let affinity =
        if unfenced.affinity == before.base { before.affinity.clone() } else { unfenced.affinity };
    before.target.restore_affinity(object, affinity, before.depth);
    before.unmarked.restore(object, &context.workflow);
    unfenced.kept
}

/// Whether rollouts can be waited for, and what is said about it.
fn hindrances(daemon_set: &Value, nodes: &[Value]) -> (bool, Vec<Finding>) {
    let warning = |code: &str, subject: &str, message: String| Finding {
        severity: Severity::Warning,
        code: code.to_owned(),
        subject: subject.to_owned(),
        message,
        remedy: "mend it for a complete rollout; the fence itself holds without".to_owned(),
    };
    let rollout = Rollout::of(daemon_set);
    let mut warnings = Vec::new();
    if !rollout.complete() {
        let message = format!(
            "its rollout was not complete before it was touched ({}), so it is not waited for",
            rollout.progress()
        );
        warnings.push(warning("CALICO_ROLLOUT_HUNG", node::name(daemon_set), message));
    }
    for broken in nodes.iter().filter(|one| !node::is_ready(one)) {
        let message = "the node is not Ready, so that calico-node can't be rolled out on it; the rollout is not waited for".to_owned();
        warnings.push(warning("NODE_NOT_READY", node::name(broken), message));
    }
    (!warnings.is_empty(), warnings)
}

/// What to answer while cloud nodes that came after the fence are there.
async fn cloud_nodes_in_the_way(
    context: &Context,
    cluster: &Cluster,
    before: &Before,
) -> Result<Option<Revert>, Failure> {
    let nodes = cluster.list(&Resource::NODES, None, "").await?;
    let newer = |one: &&Value| {
        node::is_cloud(one) && !before.cloud_nodes.iter().any(|known| known == node::name(one))
    };
    let pools: Vec<&str> =
        context.outputs.values().filter_map(|output| output["nodepool_id"].as_str()).collect();
    let (ours, others): (Vec<&Value>, Vec<&Value>) = nodes.iter().filter(newer).partition(|one| {
        node::label(one, node::POOL_LABEL).is_some_and(|pool| pools.contains(&pool))
    });
    let names =
        |nodes: &[&Value]| nodes.iter().map(|one| node::name(one)).collect::<Vec<_>>().join(", ");
    if !others.is_empty() {
        let reason = format!(
            "in_use: cloud nodes of others need Calico to stay away from them: {}",
            names(&others)
        );
        return Ok(Some(Revert::Done(Undone::Kept { reason, in_use: true })));
    }
    Ok((!ours.is_empty()).then(|| {
        Revert::NotYet(format!("this workflow's nodes are still there: {}", names(&ours)))
    }))
}

/// Waits a bounded while until calico-node runs everywhere as before.
async fn settle_after_undo(
    context: &Context,
    cluster: &Cluster,
    before: &Before,
) -> Result<Revert, Failure> {
    let done = Ok(Revert::Done(Undone::Reverted));
    let patience = millis(context.timing.poll.saturating_mul(UNDO_ROLLOUT_POLLS));
    if before.hung || (context.now)().ms_since(context.since) > patience {
        return done;
    }
    let Some(daemon_set) = cluster.get(&before.target.daemon_set_ref()).await? else { return done };
    let fenced = affinity::fence(&before.base, &before.insertions);
    if *target::template_affinity(&daemon_set) == fenced {
        return Ok(Revert::NotYet(
            "the Tigera operator has not taken the node affinity out of calico-node yet".to_owned(),
        ));
    }
    let rollout = Rollout::of(&daemon_set);
    if rollout.complete() {
        return done;
    }
    Ok(Revert::NotYet(format!(
        "rollout of {} after the undo: {}",
        before.target.daemon_set_ref(),
        rollout.progress()
    )))
}
