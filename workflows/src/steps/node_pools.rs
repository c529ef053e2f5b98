//! What the steps of a node pool share: the tags that mark our pools, provider ids, and the words for why instances do
//! not become nodes. No step of its own.

use causeway_engine::Failure;

use crate::alibaba::{Client, cs, cs_nodes, ess};
use crate::sdk::Context;
use crate::spec::{Document, NodePool};

/// Tag with the id of the workflow that made the pool.
pub(super) const WORKFLOW_TAG: &str = "causeway.workflow";
/// Tag with the name of the step that made the pool.
pub(super) const STEP_TAG: &str = "causeway.step";
/// The step that makes the pools.
pub(super) const CREATE: &str = "create-node-pool";
/// Most characters of a script's or scaling group's own words in a message.
const WORDS_CHARS_MAX: usize = 400;
/// How many of them are its beginning.
const HEAD_CHARS: usize = 80;

/// The document, and the pool that the step is about.
///
/// # Errors
/// Permanent where the document has no such pool: a fault of the definition.
pub(super) fn wanted(context: &Context) -> Result<(Document, NodePool), Failure> {
    let document: Document = context.document()?;
    let name = context.key.as_deref().unwrap_or_default();
    let pool = document.spec.pool(name).cloned().ok_or_else(|| {
        Failure::permanent(format!("step {}: the input has no node pool `{name}`", context.step))
            .with_code("MISSING_INPUT")
    })?;
    Ok((document, pool))
}

/// The name of the step that makes this pool, as its tag has it.
pub(super) fn create_step(pool: &str) -> String {
    format!("{CREATE}[{pool}]")
}

/// Whether this workflow made the pool.
pub(super) fn is_ours(pool: &cs_nodes::NodePool, context: &Context) -> bool {
    pool.tag(WORKFLOW_TAG) == Some(context.workflow.as_str())
        && context
            .key
            .as_deref()
            .is_some_and(|name| pool.tag(STEP_TAG) == Some(create_step(name).as_str()))
}

/// The provider id that the registered cluster gives to an instance's node.
pub(super) fn provider_id(region: &str, instance_id: &str) -> String {
    format!("{region}.{instance_id}")
}

/// Why instances do not come, or do not join, in the cloud's own words; empty where it says nothing.
///
/// # Errors
/// None: what can't be read is left out, as this only explains a message.
pub(super) async fn reasons(
    cloud: &Client,
    pool: &cs_nodes::NodePool,
    nodes: &[cs_nodes::ClusterNode],
    task_id: &str,
) -> String {
    let mut reasons: Vec<String> = nodes
        .iter()
        .filter(|node| !node.error_message.is_empty())
        .map(|node| format!("instance {}: {}", node.instance_id, short(&node.error_message)))
        .collect();
    if !task_id.is_empty()
        && let Ok(Some(task)) = cs::describe_task(cloud, task_id).await
        && task.outcome() == Some(false)
    {
        reasons.push(task_words(&task));
    }
    let group = &pool.scaling_group.scaling_group_id;
    if !group.is_empty()
        && let Ok(activities) = ess::describe_scaling_activities(cloud, group).await
        && let Some(words) = activities.iter().find_map(activity_words)
    {
        reasons.push(words);
    }
    reasons.dedup();
    reasons.join("; ")
}

/// What a failed task says.
pub(super) fn task_words(task: &cs::Task) -> String {
    let error = &task.error;
    format!(
        "task {} ended as `{}`: {} {}",
        task.task_id,
        task.state,
        error.code,
        short(&error.message)
    )
    .trim_end()
    .to_owned()
}

fn activity_words(activity: &ess::ScalingActivity) -> Option<String> {
    let failed = matches!(activity.status_code.as_str(), "Failed" | "Rejected" | "Warning");
    let words = if activity.error_message.is_empty() {
        &activity.status_message
    } else {
        &activity.error_message
    };
    failed.then(|| {
        format!(
            "scaling activity {} ({}): {} {}",
            activity.scaling_activity_id,
            activity.status_code,
            activity.error_code,
            short(words)
        )
    })
}

/// The words with their middle cut out where they are long: what a script failed of stands at the end of its log.
fn short(text: &str) -> String {
    let chars: Vec<char> =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if chars.len() <= WORDS_CHARS_MAX {
        return chars.into_iter().collect();
    }
    let end = chars.len() - (WORDS_CHARS_MAX - HEAD_CHARS);
    chars[..HEAD_CHARS].iter().chain(&['…']).chain(&chars[end..]).collect()
}

/// `message (reasons)`, or just the message.
pub(super) fn with_reasons(message: String, reasons: &str) -> String {
    if reasons.is_empty() { message } else { format!("{message} ({reasons})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_activity_that_failed_explains_anything() {
        let activity = |status: &str| ess::ScalingActivity {
            scaling_activity_id: "asa-1".into(),
            status_code: status.into(),
            status_message: "fail to scale".into(),
            error_code: "OperationDenied.NoStock".into(),
            error_message: "no stock in zone\nh".into(),
            cause: String::new(),
            created_instances: vec![],
        };
        assert_eq!(activity_words(&activity("Successful")), None);
        let words = activity_words(&activity("Failed")).unwrap();
        assert!(words.contains("OperationDenied.NoStock no stock in zone h"), "{words}");
    }

    #[test]
    fn long_words_are_cut_in_the_middle() {
        let cut = short(&format!("begin{}\nend", "x".repeat(500)));
        assert_eq!(cut.chars().count(), WORDS_CHARS_MAX + 1);
        assert!(cut.starts_with("begin") && cut.ends_with("x end"), "{cut}");
        assert_eq!(with_reasons("waits".into(), ""), "waits");
    }
}
