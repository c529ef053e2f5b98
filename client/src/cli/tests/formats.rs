//! What is printed, from fixed messages.

use causeway_proto::v1::workflow::{Cause, State};
use causeway_proto::v1::{
    Failure, Finding, HybridCluster, HybridClusterInput, HybridClusterResult, LedgerEntry,
    NodePoolResult, NodeResult, Step, UndoOutcome, Waiting, Workflow, WorkflowResult, failure,
    ledger_entry, start_workflow_request, step, undo_outcome, waiting, workflow_result,
};
use causeway_proto::{input, json};
use prost_types::Timestamp;

use super::fake::{Fake, Script, workflow};
use super::run_at;
use crate::cli::commands::example;
use crate::cli::output::Style;
use crate::cli::render;

const PLAIN: Style = Style { color: false, wide: false };

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_800_000_000 + seconds, nanos: 0 })
}

fn done(name: &str, state: step::State, from: i64, to: i64) -> Step {
    Step {
        name: name.to_owned(),
        state: state.into(),
        start_time: at(from),
        end_time: at(to),
        ..Step::default()
    }
}

/// A build that failed at its node pool, and kept the RAM policy.
fn failed() -> Workflow {
    let kept = UndoOutcome {
        kind: undo_outcome::Kind::Kept.into(),
        reason: undo_outcome::Reason::Shared.into(),
        detail: "dc2 relies on it".to_owned(),
    };
    Workflow {
        cause: Cause::Failure.into(),
        hybrid_cluster: "hybridClusters/dc1".to_owned(),
        cluster_id: "c1".to_owned(),
        create_time: at(0),
        end_time: at(95),
        steps: vec![
            done("check-identity", step::State::Passed, 0, 1),
            Step { undo: Some(kept), ..done("create-ram-policy", step::State::Undone, 1, 90) },
            done("create-node-pool[burst]", step::State::Failed, 60, 70),
            Step {
                name: "verify-cni".to_owned(),
                state: step::State::Skipped.into(),
                ..Step::default()
            },
        ],
        failure: Some(Failure {
            step: "create-node-pool[burst]".to_owned(),
            class: failure::Class::Permanent.into(),
            code: "QuotaExceeded.NodePool".to_owned(),
            message: "the quota of node pools is used up; ask for a higher one".to_owned(),
            request_id: "7B1C".to_owned(),
            findings: vec![Finding {
                code: "KUBELET_NOT_READY".to_owned(),
                subject: "cn-hangzhou.10.10.24.5".to_owned(),
                message: "container runtime network not ready".to_owned(),
                remedy: "look at /var/log/acs/init.log".to_owned(),
                ..Finding::default()
            }],
            ..Failure::default()
        }),
        left: vec![LedgerEntry {
            kind: "ram-policy".to_owned(),
            identity: "terway".to_owned(),
            state: ledger_entry::State::Kept.into(),
            removal: "aliyun ram DeletePolicy --PolicyName terway".to_owned(),
            ..LedgerEntry::default()
        }],
        ..workflow("w1", State::Compensated)
    }
}

#[test]
fn describe_of_a_failed_workflow_says_what_why_what_is_left_and_what_next() {
    let text = render::workflow::describe(&failed(), PLAIN);
    let expected = "\
Workflow:    w1
State:       COMPENSATED after failure
Definition:  hybrid-cluster/1
Cluster:     dc1 (c1)
Created:     2027-01-15 08:00:00 UTC
Ended:       2027-01-15 08:01:35 UTC
Took:        1m35s

Failure
  Step:        create-node-pool[burst]
  Class:       PERMANENT
  Code:        QuotaExceeded.NodePool
  Request id:  7B1C
  the quota of node pools is used up; ask for a higher one

Findings
  KUBELET_NOT_READY cn-hangzhou.10.10.24.5: container runtime network not ready
    → look at /var/log/acs/init.log

Steps
     STEP                     STATE    TOOK   NOTE
  ✓  check-identity           PASSED   1.0s
  ✓  create-ram-policy        UNDONE   1m29s  kept (shared): dc2 relies on it
  ✗  create-node-pool[burst]  FAILED   10s
  ·  verify-cni               SKIPPED

Left in the world
  KIND        OBJECT  STATE  NOTE  BY HAND
  ram-policy  terway  KEPT         aliyun ram DeletePolicy --PolicyName terway

Next
  causeway history w1
  causeway start -f FILE    # once the cause is mended
";
    assert_eq!(text, expected, "got:\n{text}");
}

#[test]
fn describe_of_a_waiting_workflow_says_for_what_and_the_daemons_own_commands() {
    let waiting = Waiting {
        reason: waiting::Reason::QueuedBehind.into(),
        on: "workflow w0".to_owned(),
        since: at(5),
        next_commands: vec!["causeway watch w0".to_owned()],
        ..Waiting::default()
    };
    let mut queued = Workflow { waiting: Some(waiting), ..workflow("w1", State::Queued) };
    let text = render::workflow::describe(&queued, PLAIN);
    assert!(
        text.contains("Waiting:     queued behind: workflow w0 (since 2027-01-15 08:00:05 UTC)"),
        "{text}"
    );
    assert!(text.ends_with("Next\n  causeway watch w0\n"), "{text}");

    queued.waiting.as_mut().unwrap().next_commands = vec!["causeway describe w1".to_owned()];
    let text = render::workflow::describe(&queued, PLAIN);
    assert!(text.ends_with("Next\n  causeway watch w1\n  causeway cancel w1\n"), "{text}");

    let text = render::workflow::list(&[queued], PLAIN);
    assert!(text.lines().nth(1).unwrap().ends_with("queued behind: workflow w0"), "{text}");
}

#[test]
fn describe_of_a_success_shows_what_was_built() {
    let node = NodeResult {
        name: "node-1".to_owned(),
        instance_id: "i-1".to_owned(),
        internal_ip: "10.10.24.5".to_owned(),
        ready: true,
        ..NodeResult::default()
    };
    let result = HybridClusterResult {
        kubernetes_version: "1.33.1".to_owned(),
        terway_version: "v1.9.0".to_owned(),
        node_pools: vec![NodePoolResult {
            name: "burst".to_owned(),
            nodes: vec![node],
            ..NodePoolResult::default()
        }],
        placement: vec!["calico-node: 3 on-premises nodes".to_owned()],
        ..HybridClusterResult::default()
    };
    let result = WorkflowResult { result: Some(workflow_result::Result::HybridCluster(result)) };
    let built = Workflow { result: Some(result), ..workflow("w1", State::Succeeded) };
    let text = render::workflow::describe(&built, PLAIN);
    let expected = "
Result
  Kubernetes:  1.33.1
  Terway:      v1.9.0

  POOL   NODE    INSTANCE  ADDRESS     READY
  burst  node-1  i-1       10.10.24.5  Ready

  calico-node: 3 on-premises nodes
";
    assert!(text.ends_with(expected), "got:\n{text}");
}

#[test]
fn colours_are_used_only_where_they_may_be() {
    assert!(!render::workflow::describe(&failed(), PLAIN).contains('\u{1b}'));
    assert!(
        render::workflow::describe(&failed(), Style { color: true, wide: false })
            .contains('\u{1b}')
    );
}

#[tokio::test]
async fn every_format_prints_the_same_workflow() {
    let script = Script { workflow: failed(), ..Script::default() };
    let (fake, folder) = (Fake::serve(script).await, tempfile::tempdir().unwrap());
    let get = async |format: &str| {
        run_at(&fake.address, folder.path(), &["get", "w1", "-o", format]).await.out
    };
    let as_json: serde_json::Value = serde_json::from_str(&get("json").await).unwrap();
    assert_eq!(json::decode::<Workflow>(&as_json).unwrap(), failed());
    let as_yaml: serde_json::Value = serde_saphyr::from_str(&get("yaml").await).unwrap();
    assert_eq!(as_yaml, as_json);
    let line = get("jsonl").await;
    assert_eq!(line.lines().count(), 1);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), as_json);
    assert_eq!(get("name").await, "workflows/w1\n");
    let (table, wide) = (get("table").await, get("wide").await);
    assert!(table.starts_with("ID  DEFINITION        CLUSTER  STATE        CREATED"), "{table}");
    assert!(
        wide.lines().next().unwrap().ends_with("CLUSTER ID  CONNECTION  STARTED BY  LABELS"),
        "{wide}"
    );
    let listed = run_at(&fake.address, folder.path(), &["list", "-o", "json"]).await.out;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&listed).unwrap(),
        serde_json::json!([as_json])
    );
}

#[tokio::test]
async fn what_clusters_get_prints_as_input_is_valid_input() {
    let request = crate::cli::input::decode(example::FULL).unwrap();
    let Some(start_workflow_request::Spec::HybridCluster(spec)) = request.spec.clone() else {
        panic!("a cluster")
    };
    let cluster = HybridCluster {
        name: "hybridClusters/dc1".to_owned(),
        metadata: request.metadata.clone(),
        spec: Some(spec.clone()),
        ..HybridCluster::default()
    };
    let script = Script { cluster: Some(cluster), ..Script::default() };
    let (fake, folder) = (Fake::serve(script).await, tempfile::tempdir().unwrap());
    let printed =
        run_at(&fake.address, folder.path(), &["clusters", "get", "dc1", "--input"]).await.out;
    let read: HybridClusterInput =
        json::decode(&serde_saphyr::from_str(&printed).unwrap()).unwrap();
    assert_eq!((read.kind.as_str(), read.spec), (input::HYBRID_CLUSTER, Some(spec)));
    let table = run_at(&fake.address, folder.path(), &["clusters", "list"]).await.out;
    assert!(table.contains("cn-hangzhou"), "{table}");
}
