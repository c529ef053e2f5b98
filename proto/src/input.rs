//! Input files: a document with `apiVersion`, `kind` and the rest by kind, and the request that it stands for.

use serde_json::Value;

use crate::{
    json::{self, Violation},
    v1::{
        HybridCluster, HybridClusterInput, NoopInput, StartWorkflowRequest,
        start_workflow_request::Spec,
    },
};

/// The `apiVersion` of every input file.
pub const API_VERSION: &str = "causeway/v1";
/// The `kind` of a hybrid cluster.
pub const HYBRID_CLUSTER: &str = "HybridCluster";
/// The `kind` of the built-in self-test.
pub const NOOP: &str = "Noop";

/// Reads an input file into the request that starts it. `request_id`, `workflow_id`, `labels` and `plan_digest` are
/// left empty: they are not part of the file.
///
/// # Errors
/// Everything that is wrong with it. Rules beyond types and names are the daemon's, and those of `causeway validate`.
pub fn decode(value: &Value) -> Result<StartWorkflowRequest, Vec<Violation>> {
    let Some(kind) = value.get("kind") else {
        return Err(vec![Violation::new(
            "kind",
            format!("is missing; expected {HYBRID_CLUSTER} or {NOOP}"),
        )]);
    };
    let (api_version, request) = match kind.as_str() {
        Some(HYBRID_CLUSTER) => {
            let input: HybridClusterInput = json::decode(value)?;
            let spec = input.spec.map(Spec::HybridCluster);
            (
                input.api_version,
                StartWorkflowRequest { spec, metadata: input.metadata, run: input.run, ..empty() },
            )
        }
        Some(NOOP) => {
            let input: NoopInput = json::decode(value)?;
            let spec = Some(Spec::Noop(input.spec.unwrap_or_default()));
            (input.api_version, StartWorkflowRequest { spec, run: input.run, ..empty() })
        }
        _ => {
            return Err(vec![Violation::new(
                "kind",
                format!("unknown kind {}; expected {HYBRID_CLUSTER} or {NOOP}", shown_kind(kind)),
            )]);
        }
    };
    let mut violations = Vec::new();
    if api_version != API_VERSION {
        let found = if api_version.is_empty() {
            "is missing".into()
        } else {
            format!("is {}", json::shown(&api_version))
        };
        violations.push(Violation::new("apiVersion", format!("{found}; expected {API_VERSION}")));
    }
    if request.spec.is_none() {
        violations.push(Violation::new("spec", "is missing"));
    }
    if violations.is_empty() { Ok(request) } else { Err(violations) }
}

fn shown_kind(kind: &Value) -> String {
    kind.as_str().map_or_else(|| "that is no word".to_owned(), json::shown)
}

/// The input file that would build this cluster again, without run options.
pub fn from_record(cluster: &HybridCluster) -> HybridClusterInput {
    HybridClusterInput {
        api_version: API_VERSION.to_owned(),
        kind: HYBRID_CLUSTER.to_owned(),
        metadata: cluster.metadata.clone(),
        spec: cluster.spec.clone(),
        run: None,
    }
}

fn empty() -> StartWorkflowRequest {
    StartWorkflowRequest::default()
}
