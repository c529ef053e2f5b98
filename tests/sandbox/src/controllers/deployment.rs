//! The Deployment controller, as far as this world needs it: a Deployment is as available as it wants to be.

use serde_json::{Value, json};

use super::objects::{Objects, Refused, items, name, namespace, path};
use crate::kube::stamp;

/// Writes the status of every Deployment whose spec has not been observed yet.
pub(super) async fn reconcile(objects: &Objects, deployments: &[Value]) -> Result<(), Refused> {
    for deployment in deployments {
        let (generation, replicas) =
            (&deployment["metadata"]["generation"], &deployment["spec"]["replicas"]);
        if deployment["status"]["observedGeneration"] == *generation
            && !items(&deployment["status"]["conditions"]).is_empty()
        {
            continue;
        }
        let condition = |name: &str, reason: &str| json!({"type": name, "status": "True", "reason": reason, "lastUpdateTime": stamp(), "lastTransitionTime": stamp()});
        let status = json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")],
        });
        let at = format!(
            "{}/{}/status",
            path("apps/v1", namespace(deployment), "deployments"),
            name(deployment)
        );
        objects.merge(&at, &json!({ "status": status })).await?;
    }
    Ok(())
}
