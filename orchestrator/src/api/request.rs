//! Requests that start a workflow: their form is checked here, their meaning by the runtime; then they become what the
//! runtime takes.

use std::collections::BTreeMap;

use causeway_engine::{
    WorkflowId,
    event::{OnFailure, RunOptions},
};
use causeway_proto::{
    form,
    input::{API_VERSION, HYBRID_CLUSTER, NOOP},
    json::{self, Violation},
    limits::{LABELS_BYTES_MAX, NOOP_STEPS, REASON_BYTES_MAX, REQUEST_ID_LEN_MAX},
    names,
    v1::{self as pb, start_workflow_request::Spec},
};
use causeway_workflows::teardown;
use prost::{Message, Name};

use super::status::Error;
use crate::runtime::{DIGEST_DIGITS, DIGEST_PREFIX, Repeatable, StartRequest};

/// How long a workflow waits in the queue, unless the request says otherwise: 24 h.
const QUEUE_TIMEOUT_MS: u64 = 24 * 3600 * 1000;
/// How long a gate stays open, unless the request says otherwise: 24 h.
const GATE_TIMEOUT_MS: u64 = 24 * 3600 * 1000;
/// The gate that `run.gates.spend` is about.
const SPEND_GATE: &str = "approve-spend";

/// What the runtime is asked to start; who asks is added by the caller.
pub(super) fn start(request: &pb::StartWorkflowRequest) -> Result<StartRequest, Error> {
    let mut violations = Vec::new();
    check_ids(request, &mut violations);
    violations.extend(form::check(request));
    if !violations.iter().any(|found| found.path.starts_with("labels")) {
        violations.extend(labels(&request.labels).err());
    }
    let run = request.run.unwrap_or_default();
    let options = options(&run, &mut violations);
    let definition = match &request.spec {
        Some(Spec::HybridCluster(_)) => "hybrid-cluster",
        Some(Spec::Noop(noop)) => self_test(noop, &mut violations),
        Some(Spec::Teardown(spec)) => {
            teardown_fits(request, spec, &mut violations);
            teardown::NAME
        }
        None => {
            let message = "is missing; give hybrid_cluster, teardown or noop";
            violations.push(Violation::new("spec", message));
            ""
        }
    };
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    // Only now: there are durations that can't be written down.
    let input = match &request.spec {
        Some(Spec::HybridCluster(spec)) => hybrid_cluster(request, spec),
        Some(Spec::Noop(noop)) => self_test_input(request, noop),
        Some(Spec::Teardown(spec)) => {
            let name = names::hybrid_cluster_name(&spec.hybrid_cluster);
            serde_json::json!({ "hybrid_cluster": name, "forget": spec.forget })
        }
        None => serde_json::Value::Null,
    };
    Ok(StartRequest {
        id: Some(request.workflow_id.as_str()).filter(|id| !id.is_empty()).map(WorkflowId::from),
        definition: definition.to_owned(),
        input,
        options,
        labels: request.labels.clone(),
        request: repeatable(request),
        plan_digest: request.plan_digest.clone(),
        ..StartRequest::default()
    })
}

fn check_ids(request: &pb::StartWorkflowRequest, violations: &mut Vec<Violation>) {
    if !request.workflow_id.is_empty() && !names::is_id(&request.workflow_id) {
        let message = format!(
            "{} is no id; it has at most 40 of a-z, 0-9 and -, and no - at its ends",
            json::shown(&request.workflow_id)
        );
        violations.push(Violation::new("workflow_id", message));
    }
    violations.extend(request_id(&request.request_id).err());
    violations.extend(plan_digest(&request.plan_digest).err());
}

/// Whether labels may be kept: how many there are, and each value by itself, is looked at with all other fields.
fn labels(labels: &BTreeMap<String, String>) -> Result<(), Violation> {
    let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes <= LABELS_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "have {bytes} bytes, keys and values together; at most {LABELS_BYTES_MAX} are allowed"
    );
    Err(Violation::new("labels", message))
}

/// Whether a text may be the digest of a plan.
pub(super) fn plan_digest(digest: &str) -> Result<(), Violation> {
    let form = digest.strip_prefix(DIGEST_PREFIX).is_some_and(|digits| {
        digits.len() == DIGEST_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if digest.is_empty() || form {
        return Ok(());
    }
    let message = format!(
        "is no digest of a plan; expected {DIGEST_PREFIX} and {DIGEST_DIGITS} hex digits, as `causeway plan` prints it"
    );
    Err(Violation::new("plan_digest", message))
}

/// Whether a request id may be remembered.
pub(super) fn request_id(id: &str) -> Result<(), Violation> {
    if id.len() <= REQUEST_ID_LEN_MAX && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let message =
        format!("must have at most {REQUEST_ID_LEN_MAX} printable ASCII characters without blanks");
    Err(Violation::new("request_id", message))
}

/// Whether a reason may be kept.
pub(super) fn reason(text: &str) -> Result<(), Violation> {
    if text.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    Err(Violation::new(
        "reason",
        format!("has {} bytes; at most {REASON_BYTES_MAX} are allowed", text.len()),
    ))
}

fn self_test(noop: &pb::NoopSpec, violations: &mut Vec<Violation>) -> &'static str {
    if noop.steps != 0 && noop.steps != NOOP_STEPS {
        violations.push(Violation::new("spec.steps", format!("must be {NOOP_STEPS}, or left out")));
    }
    if noop.undo { "saga-10-undo" } else { "saga-10" }
}

/// The document as it is journaled: that of the input file.
fn hybrid_cluster(
    request: &pb::StartWorkflowRequest,
    spec: &pb::HybridClusterSpec,
) -> serde_json::Value {
    json::encode(&pb::HybridClusterInput {
        api_version: API_VERSION.to_owned(),
        kind: HYBRID_CLUSTER.to_owned(),
        metadata: request.metadata.clone(),
        spec: Some(spec.clone()),
        run: request.run,
    })
}

fn self_test_input(request: &pb::StartWorkflowRequest, noop: &pb::NoopSpec) -> serde_json::Value {
    json::encode(&pb::NoopInput {
        api_version: API_VERSION.to_owned(),
        kind: NOOP.to_owned(),
        spec: Some(*noop),
        run: request.run,
    })
}

fn teardown_fits(
    request: &pb::StartWorkflowRequest,
    spec: &pb::TeardownSpec,
    violations: &mut Vec<Violation>,
) {
    if names::hybrid_cluster_name(&spec.hybrid_cluster).is_none() {
        let message = "is missing, or no name; expected hybridClusters/NAME, the name, or the id of the registered cluster";
        violations.push(Violation::new("spec.hybrid_cluster", message));
    }
    if request.metadata.is_some() {
        let message =
            "belongs to builds; a teardown takes the cluster's record by spec.hybrid_cluster";
        violations.push(Violation::new("metadata", message));
    }
    let run = request.run.unwrap_or_default();
    let meaningless = [
        ("run.on_failure", run.on_failure != 0),
        ("run.timeout", run.timeout.is_some()),
        ("run.gates", run.gates.is_some()),
    ];
    for (path, _) in meaningless.into_iter().filter(|(_, given)| *given) {
        let message =
            "has no meaning for a teardown, which goes on or waits for help; leave it out";
        violations.push(Violation::new(path, message));
    }
}

fn options(run: &pb::RunOptions, violations: &mut Vec<Violation>) -> RunOptions {
    let mut gates = BTreeMap::new();
    if let Some(spend) = run.gates.as_ref().and_then(|gates| gates.spend.as_ref()) {
        let timeout =
            millis("run.gates.spend.timeout", spend.timeout, violations).unwrap_or(GATE_TIMEOUT_MS);
        if spend.required {
            gates.insert(SPEND_GATE.to_owned(), timeout);
        }
    }
    RunOptions {
        on_failure: match run.on_failure() {
            pb::run_options::OnFailure::Unspecified | pb::run_options::OnFailure::Compensate => {
                OnFailure::Compensate
            }
            pb::run_options::OnFailure::Hold => OnFailure::Hold,
        },
        timeout_ms: millis("run.timeout", run.timeout, violations),
        queue_timeout_ms: Some(
            millis("run.queue_timeout", run.queue_timeout, violations).unwrap_or(QUEUE_TIMEOUT_MS),
        ),
        gates,
    }
}

fn millis(
    path: &str,
    duration: Option<prost_types::Duration>,
    violations: &mut Vec<Violation>,
) -> Option<u64> {
    let millis = std::time::Duration::try_from(duration?)
        .ok()
        .and_then(|found| u64::try_from(found.as_millis()).ok());
    if millis.is_none_or(|millis| millis == 0) {
        violations
            .push(Violation::new(path, "must be more than zero; leave it out for the default"));
    }
    millis
}

/// What makes it repeatable: each field as text, to name the one that differs when the request id is used again.
fn repeatable(request: &pb::StartWorkflowRequest) -> Repeatable {
    fn message<M: Message + Name>(message: Option<&M>) -> String {
        message.map_or_else(String::new, |message| json::encode(message).to_string())
    }
    let spec = match &request.spec {
        Some(Spec::HybridCluster(spec)) => message(Some(spec)),
        Some(Spec::Noop(noop)) => format!("noop {}", message(Some(noop))),
        Some(Spec::Teardown(teardown)) => format!("teardown {}", message(Some(teardown))),
        None => String::new(),
    };
    let labels =
        serde_json::to_string(&request.labels).expect("a map of texts always becomes JSON");
    let fields = [
        ("spec", spec),
        ("metadata", message(request.metadata.as_ref())),
        ("run", message(request.run.as_ref())),
        ("labels", labels),
        ("workflow_id", request.workflow_id.clone()),
        ("plan_digest", request.plan_digest.clone()),
    ];
    Repeatable {
        id: request.request_id.clone(),
        rpc: "StartWorkflow",
        fields: fields.map(|(field, value)| (field.to_owned(), value)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noop() -> pb::StartWorkflowRequest {
        pb::StartWorkflowRequest {
            spec: Some(Spec::Noop(pb::NoopSpec::default())),
            ..Default::default()
        }
    }

    fn paths(request: &pb::StartWorkflowRequest) -> Vec<String> {
        match start(request) {
            Err(Error::Invalid(violations)) => {
                violations.into_iter().map(|violation| violation.path).collect()
            }
            other => panic!("expected violations, got {other:?}"),
        }
    }

    #[test]
    fn what_has_no_meaning_for_a_teardown_is_refused() {
        let run = pb::RunOptions {
            on_failure: pb::run_options::OnFailure::Hold.into(),
            timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            gates: Some(pb::run_options::Gates::default()),
            ..Default::default()
        };
        let request = pb::StartWorkflowRequest {
            spec: Some(Spec::Teardown(pb::TeardownSpec::default())),
            metadata: Some(pb::Metadata::default()),
            run: Some(run),
            ..Default::default()
        };
        let wrong =
            ["spec.hybrid_cluster", "metadata", "run.on_failure", "run.timeout", "run.gates"];
        assert_eq!(paths(&request), wrong);
    }

    #[test]
    fn the_self_test_starts_a_saga() {
        assert_eq!(start(&noop()).unwrap().definition, "saga-10");
        let teardown = pb::TeardownSpec { hybrid_cluster: "dc1".into(), forget: true };
        let spec = Some(Spec::Teardown(teardown));
        let started = start(&pb::StartWorkflowRequest { spec, ..Default::default() }).unwrap();
        assert_eq!(started.definition, "teardown");
        assert_eq!(started.input["hybrid_cluster"], "dc1");
        let undo = Spec::Noop(pb::NoopSpec { steps: 10, undo: true });
        let started = start(&pb::StartWorkflowRequest { spec: Some(undo), ..noop() }).unwrap();
        assert_eq!(started.definition, "saga-10-undo");
        assert_eq!(started.input["kind"], "Noop");
        assert_eq!(started.options.queue_timeout_ms, Some(QUEUE_TIMEOUT_MS));
    }

    #[test]
    fn a_cluster_becomes_the_document_of_the_input_file() {
        let request = pb::StartWorkflowRequest {
            metadata: Some(pb::Metadata { name: "dc1".into(), ..Default::default() }),
            spec: Some(Spec::HybridCluster(pb::HybridClusterSpec {
                region: "cn-hangzhou".into(),
                ..Default::default()
            })),
            run: json::decode(&serde_json::json!({
                "on_failure": "HOLD", "timeout": "1s", "gates": {"spend": {"required": true}}
            }))
            .ok(),
            ..Default::default()
        };
        let started = start(&request).unwrap();
        assert_eq!(started.input.pointer("/spec/region").unwrap(), "cn-hangzhou");
        assert_eq!(started.input["apiVersion"], "causeway/v1");
        assert_eq!(started.options.on_failure, OnFailure::Hold);
        assert_eq!(started.options.timeout_ms, Some(1000));
        assert_eq!(started.options.gates[SPEND_GATE], GATE_TIMEOUT_MS);
    }

    #[test]
    fn wrong_form_is_named_by_path() {
        let request = pb::StartWorkflowRequest {
            request_id: "a b".into(),
            workflow_id: "Bad".into(),
            labels: (0..100).map(|n| (n.to_string(), String::new())).collect(),
            run: Some(pb::RunOptions {
                timeout: Some(prost_types::Duration::default()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(paths(&request), ["workflow_id", "request_id", "labels", "run.timeout", "spec"]);
        let steps = Spec::Noop(pb::NoopSpec { steps: 3, undo: false });
        assert_eq!(
            paths(&pb::StartWorkflowRequest { spec: Some(steps), ..noop() }),
            ["spec.steps"]
        );
    }

    #[test]
    fn labels_that_are_too_long_together_are_refused_keys_included() {
        let values = (0..50).map(|n| (n.to_string(), "v".repeat(4000))).collect();
        let key = [("k".repeat(500_000), String::new())].into();
        for labels in [values, key] {
            assert_eq!(paths(&pb::StartWorkflowRequest { labels, ..noop() }), ["labels"]);
        }
        let labels = (0..64).map(|n| (format!("{n:02}"), "v".repeat(200))).collect();
        assert!(start(&pb::StartWorkflowRequest { labels, ..noop() }).is_ok());
    }

    #[test]
    fn what_is_no_digest_of_a_plan_is_refused_by_its_field() {
        for (digest, fits) in [
            ("d", false),
            ("plan-", false),
            ("plan-0123456789abcdef0123456789abcdeg", false),
            ("plan-0123456789abcdef0123456789abcdef", true),
        ] {
            let request = pb::StartWorkflowRequest { plan_digest: digest.into(), ..noop() };
            match start(&request) {
                Ok(start) => assert!(fits && start.plan_digest == digest, "{digest}"),
                Err(Error::Invalid(violations)) => {
                    assert!(!fits && violations[0].path == "plan_digest", "{digest}");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    #[test]
    fn the_fingerprint_names_what_differs() {
        let first = start(&noop()).unwrap().request.fields;
        assert_eq!(first, start(&noop()).unwrap().request.fields);
        let labels = [("team".to_owned(), "edge".to_owned())].into();
        let second = start(&pb::StartWorkflowRequest { labels, ..noop() }).unwrap().request.fields;
        let differing: Vec<_> = first.keys().filter(|key| first[*key] != second[*key]).collect();
        assert_eq!(differing, ["labels"]);
    }
}
