//! What is printed when a workflow has ended: what was built and what runs where, or what went wrong and what is left.

use causeway_proto::v1::{Finding, Workflow, workflow::State, workflow_result::Result as Built};
use causeway_sandbox::world::World;

/// Shows the end of a workflow.
pub(super) async fn show(world: &World, workflow: &Workflow) -> anyhow::Result<()> {
    println!("\n{} {}", workflow.name, workflow.state().as_str_name());
    if let Some(failure) = &workflow.failure {
        println!("  failed at {}: {} {}", or_dash(&failure.step), failure.code, failure.message);
        if !failure.request_id.is_empty() {
            println!("  request id {}", failure.request_id);
        }
        failure.findings.iter().for_each(show_finding);
    }
    workflow.warnings.iter().for_each(show_finding);
    for left in &workflow.left {
        println!("  left: {left:?}");
    }
    if let Some(waiting) = &workflow.waiting {
        println!("  waits: {} {}", waiting.reason().as_str_name(), waiting.on);
        waiting.next_commands.iter().for_each(|command| println!("    {command}"));
    }
    if workflow.state() == State::Succeeded {
        show_result(workflow);
        show_nodes(world, &workflow.cluster_id).await?;
    }
    Ok(())
}

fn show_finding(finding: &Finding) {
    let remedy =
        if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
    println!(
        "  {} {} {}: {}{remedy}",
        finding.severity().as_str_name(),
        finding.code,
        finding.subject,
        finding.message
    );
}

fn show_result(workflow: &Workflow) {
    println!("  cluster    {}", workflow.cluster_id);
    let Some(Built::HybridCluster(built)) =
        workflow.result.as_ref().and_then(|result| result.result.as_ref())
    else {
        return;
    };
    println!(
        "  Kubernetes {}, Terway {}",
        or_dash(&built.kubernetes_version),
        or_dash(&built.terway_version)
    );
    println!("  script     {}", or_dash(&built.init_script_url));
    for pool in &built.node_pools {
        let ready = pool.nodes.iter().filter(|node| node.ready).count();
        println!("  node pool  {} ({}): {ready} of {} nodes Ready", pool.name, pool.id, pool.size);
    }
}

/// What runs where, as the cluster says.
async fn show_nodes(world: &World, cluster_id: &str) -> anyhow::Result<()> {
    println!("\n  {:<28} {:<9} {:<12} NETWORK PODS", "NODE", "STATUS", "WHERE");
    for node in world.nodes(cluster_id).await? {
        let status = if node.ready { "Ready" } else { "NotReady" };
        let place = if node.in_cloud { "cloud" } else { "data center" };
        println!("  {:<28} {status:<9} {place:<12} {}", node.name, node.network_pods.join(" "));
    }
    println!();
    Ok(())
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
