//! How far a DaemonSet's rollout is, read from the object alone.

use serde_json::Value;

/// The counts of a DaemonSet's status, beside what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// The controller has seen the newest spec.
    pub observed: bool,
    /// Pods are replaced only when somebody deletes them (`updateStrategy: OnDelete`).
    pub on_delete: bool,
    /// Nodes that should run a pod.
    pub desired: i64,
    /// Nodes that run a pod of the newest template.
    pub updated: i64,
    /// Nodes whose pod is available.
    pub available: i64,
    /// Nodes that run a pod though they should not.
    pub misscheduled: i64,
}

impl Rollout {
    /// Reads a DaemonSet.
    #[must_use]
    pub fn of(daemon_set: &Value) -> Self {
        let status = &daemon_set["status"];
        let count = |field: &str| status[field].as_i64().unwrap_or(0);
        let generation = daemon_set["metadata"]["generation"].as_i64().unwrap_or(0);
        Self {
            observed: count("observedGeneration") >= generation,
            on_delete: daemon_set["spec"]["updateStrategy"]["type"] == "OnDelete",
            desired: count("desiredNumberScheduled"),
            updated: count("updatedNumberScheduled"),
            available: count("numberAvailable"),
            misscheduled: count("numberMisscheduled"),
        }
    }

    /// Every node that should run a pod runs an available one of the newest template, and no other node runs one.
    #[must_use]
    pub fn complete(&self) -> bool {
        let updated = self.on_delete || self.updated >= self.desired;
        self.observed && updated && self.available >= self.desired && self.misscheduled == 0
    }

    /// `3 of 5 updated, 4 available`.
    #[must_use]
    pub fn progress(&self) -> String {
        if self.observed {
            format!(
                "{} of {} pods updated, {} available",
                self.updated, self.desired, self.available
            )
        } else {
            "its controller has not seen the change yet".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn daemon_set(observed: i64, updated: i64, available: i64) -> Value {
        json!({"metadata": {"generation": 3}, "status": {"observedGeneration": observed, "desiredNumberScheduled": 5,
            "updatedNumberScheduled": updated, "numberAvailable": available}})
    }

    #[test]
    fn a_rollout_is_complete_when_all_pods_are_new_and_available() {
        assert!(Rollout::of(&daemon_set(3, 5, 5)).complete());
        assert!(!Rollout::of(&daemon_set(2, 5, 5)).complete(), "stale status");
        assert!(!Rollout::of(&daemon_set(3, 4, 5)).complete(), "an old pod");
        assert!(!Rollout::of(&daemon_set(3, 5, 4)).complete(), "a pod that is not available");
    }

    #[test]
    fn pods_that_are_replaced_only_by_hand_are_not_waited_for() {
        let mut by_hand = daemon_set(3, 0, 5);
        by_hand["spec"]["updateStrategy"]["type"] = "OnDelete".into();
        assert!(Rollout::of(&by_hand).complete());
    }
}
