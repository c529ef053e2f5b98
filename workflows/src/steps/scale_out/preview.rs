//! What a plan shows of `scale-out`: the size, and the nodes that would be paid for.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::json;

use super::{Before, CreatedNodePool, INSTANCE, SIZE, wanted};
use crate::kubernetes::{Resource, Verb, verbs};
use crate::preview::{Change, PaidNodes, Preview, known_after};
use crate::sdk::Context;

/// The verbs that it needs.
pub(crate) fn needs() -> Vec<Verb> {
    // The pods of a node that goes are drained by the cloud, through the cluster's agent.
    verbs(&Resource::NODES, None, &["list", "delete"])
}

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let (_, wanted) = wanted(context)?;
    let size = wanted.size.unwrap_or_default();
    let created: CreatedNodePool = context.output_of_sibling("create-node-pool")?;
    let id = format!("{} {}", wanted.name, created.nodepool_id);
    if size == 0 || context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(Preview::undone_by("nothing: the size stays").change(Change::keep(SIZE, id)));
    }
    let present = context.before_image::<Before>().map_or(0, |before| before.desired_size);
    let instances = json!({
        "count": size - present.min(size),
        "instance_types": wanted.instance_types,
        "vswitch_ids": wanted.vswitch_ids,
        "system_disk": wanted.system_disk,
    });
    let mut preview = Preview::undone_by(
        "drains and releases just these instances, removes their Node objects and then their network interfaces; \
         instances of others in the pool stay",
    )
    .change(Change::modify(SIZE, id, &json!({"desired_size": present}), &json!({"desired_size": size})))
    .change(Change::create(INSTANCE, known_after(context.step.as_str()), &instances))
    .needing(needs());
    preview.nodes.push(PaidNodes {
        pool: wanted.name,
        count: size - present.min(size),
        instance_types: wanted.instance_types,
        charge: "pay-as-you-go",
    });
    Ok(preview)
}
