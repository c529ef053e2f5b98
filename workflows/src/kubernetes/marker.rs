//! The annotation that names the workflow on what it makes or changes, and its removal without a trace. Pure.

use causeway_engine::WorkflowId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::node::annotation;

/// The annotation that names the workflow on every object that it makes or changes.
pub const MARKER: &str = "causeway.io/workflow";

/// Whether the object names this workflow.
#[must_use]
pub fn is_marked(object: &Value, workflow: &WorkflowId) -> bool {
    annotation(object, MARKER) == Some(workflow.as_str())
}

/// Names this workflow on the object.
pub fn mark(object: &mut Value, workflow: &WorkflowId) {
    object["metadata"]["annotations"][MARKER] = workflow.as_str().into();
}

/// What was in the marker's place before a change: part of the before-image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmarked {
    /// Whether the object had annotations at all.
    pub annotations: bool,
    /// The marker of another workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
}

impl Unmarked {
    /// Reads an object that is to be changed.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        Self {
            annotations: object["metadata"]["annotations"].is_object(),
            marker: annotation(object, MARKER).map(str::to_owned),
        }
    }

    /// Takes this workflow's marker off again; a marker that another has put there since stays.
    pub fn restore(&self, object: &mut Value, workflow: &WorkflowId) {
        if !is_marked(object, workflow) {
            return;
        }
        if let Some(earlier) = &self.marker {
            object["metadata"]["annotations"][MARKER] = earlier.clone().into();
            return;
        }
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
        else {
            return;
        };
        annotations.remove(MARKER);
        if annotations.is_empty() && !self.annotations {
            metadata.remove("annotations");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_marker_goes_without_a_trace() {
        let ours = WorkflowId::from("w1");
        let objects = [
            json!({"metadata": {"name": "x"}}),
            json!({"metadata": {"annotations": {}}}),
            json!({"metadata": {"annotations": {"a": "b"}}}),
            json!({"metadata": {"annotations": {MARKER: "w0"}}}),
        ];
        for before in objects {
            let unmarked = Unmarked::of(&before);
            let mut object = before.clone();
            mark(&mut object, &ours);
            assert!(is_marked(&object, &ours));
            unmarked.restore(&mut object, &ours);
            assert_eq!(object, before);
        }
    }

    #[test]
    fn the_marker_of_another_stays() {
        let mut object = json!({"metadata": {"annotations": {MARKER: "w2"}}});
        Unmarked::default().restore(&mut object, &WorkflowId::from("w1"));
        assert_eq!(object["metadata"]["annotations"][MARKER], "w2");
    }
}
