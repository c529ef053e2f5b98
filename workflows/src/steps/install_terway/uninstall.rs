//! The add-on's removal: once nobody needs it, and only if no CRD that was there before can go with it.

use causeway_engine::event::Undone;
use causeway_engine::{Failure, FailureClass};
use serde_json::{Value, json};

use super::{
    Before, DAEMON_SET, INSTALL_TASK, UNINSTALL_TASK, ledger_entry, patient, running_task,
    task_failure,
};
use crate::alibaba::Client;
use crate::alibaba::cs::{self, AddonInstance};
use crate::kubernetes::{Cluster, Resource, node};
use crate::sdk::{Context, Revert};
use crate::steps::cloud::touched;

/// Uninstalls, once nobody needs it and no CRD of others can go with it.
pub(super) async fn uninstall(
    context: &Context,
    client: &Client,
    cluster: &Cluster,
    instance: &AddonInstance,
) -> Result<Revert, Failure> {
    let id = cluster.id();
    if let Some(waiting) = uninstalling(context, client, id, instance).await? {
        return Ok(waiting);
    }
    let users: Vec<String> = cluster
        .list(&Resource::NODES, None, "")
        .await?
        .iter()
        .filter(|one| node::is_cloud(one))
        .map(|one| node::name(one).to_owned())
        .collect();
    if !users.is_empty() {
        let reason =
            format!("in_use: cloud nodes have their network from it: {}", users.join(", "));
        return Ok(Revert::Done(Undone::Kept { reason, in_use: true }));
    }
    if let Some(task) = running_task(client, id, INSTALL_TASK).await?.filter(|_| patient(context)) {
        return Ok(Revert::NotYet(format!(
            "the installation (task {}) is still running",
            task.task_id
        )));
    }
    let before: Before = context.before_image()?;
    let at_risk = before.guard.at_risk(cluster).await?;
    if !at_risk.is_empty() {
        return Err(Failure::permanent(format!(
            "add-on {DAEMON_SET} is not uninstalled: these CRDs were there before it, are its own now by their marks, and might go with \
             it together with all objects in them: {}. Take its labels, annotations and owners off them, or uninstall it by hand; then retry",
            at_risk.join(", ")
        ))
        .with_code("CRD_AT_RISK"));
    }
    context.still_time()?;
    let task = cs::uninstall_addon(client, id, DAEMON_SET).await?;
    touched(context, ledger_entry(true, json!({"uninstall_task": task.task_id}))).await?;
    Ok(Revert::NotYet(format!("add-on {DAEMON_SET} is being uninstalled")))
}

/// What to answer while an uninstallation runs, or after it failed; none: there is none.
async fn uninstalling(
    context: &Context,
    client: &Client,
    id: &str,
    instance: &AddonInstance,
) -> Result<Option<Revert>, Failure> {
    let waiting = |task: &str| {
        Some(Revert::NotYet(format!("add-on {DAEMON_SET} is being uninstalled (task {task})")))
    };
    let known = context.effects.iter().find_map(|effect| effect.facts["uninstall_task"].as_str());
    if let Some(known) = known.filter(|known| !known.is_empty()) {
        match cs::describe_task(client, known).await? {
            Some(task) if task.outcome() == Some(false) => {
                // Forgotten, so that the next try of the undo asks again.
                touched(context, ledger_entry(true, Value::Null)).await?;
                let failure = task_failure("uninstallation", &task);
                return Err(Failure { class: FailureClass::Retryable, ..failure });
            }
            Some(task) => return Ok(waiting(&task.task_id)),
            None => {}
        }
    }
    if instance.state == "deleting"
        && let Some(task) = running_task(client, id, UNINSTALL_TASK).await?
    {
        return Ok(waiting(&task.task_id));
    }
    Ok(None)
}
