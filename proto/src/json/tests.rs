//! The mapping as a whole: the golden document, round trips, and what is said about wrong input.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    input,
    v1::{
        HybridCluster, HybridClusterInput, HybridClusterSpec, RunOptions, StartWorkflowRequest,
        Workflow, WorkflowEvent, init_script, start_workflow_request::Spec, workflow,
    },
};

const DOCUMENT: &str = include_str!("../../testdata/hybrid-cluster.yaml");
const GOLDEN: &str = include_str!("../../testdata/hybrid-cluster.json");

fn yaml(text: &str) -> serde_json::Value {
    serde_saphyr::from_str(text).unwrap()
}

fn violations<M: Message + Name + Default + std::fmt::Debug>(
    value: &serde_json::Value,
) -> Vec<String> {
    decode::<M>(value).expect_err("wrong input").iter().map(ToString::to_string).collect()
}

#[test]
fn the_whole_document_reads_as_the_golden_file_says() {
    let read: HybridClusterInput = decode(&yaml(DOCUMENT)).unwrap();
    let written = serde_json::to_string_pretty(&ordered(&read)).unwrap();
    assert_eq!(written.trim(), GOLDEN.trim(), "got:\n{written}");
}

#[test]
fn what_is_written_is_read_again_as_the_same() {
    let first: HybridClusterInput = decode(&yaml(DOCUMENT)).unwrap();
    let as_yaml = serde_saphyr::to_string(&ordered(&first)).unwrap();
    let second: HybridClusterInput = decode(&yaml(&as_yaml)).unwrap();
    assert_eq!(first, second);
    assert_eq!(decode::<HybridClusterInput>(&encode(&first)).unwrap(), first);
}

#[test]
fn a_records_spec_is_a_valid_input_file() {
    let request = input::decode(&yaml(DOCUMENT)).unwrap();
    let Some(Spec::HybridCluster(spec)) = request.spec.clone() else { panic!("a hybrid cluster") };
    let record = HybridCluster {
        metadata: request.metadata.clone(),
        spec: Some(spec),
        ..Default::default()
    };
    let file = encode(&input::from_record(&record));
    assert_eq!(input::decode(&file).unwrap(), StartWorkflowRequest { run: None, ..request });
}

#[test]
fn both_casings_any_enum_case_and_both_durations_are_taken() {
    let snake = json!({"on_failure": "HOLD", "queue_timeout": "9000s"});
    let camel = json!({"onFailure": "hold", "queueTimeout": "2h30m"});
    assert_eq!(decode::<RunOptions>(&snake), decode::<RunOptions>(&camel));
    assert_eq!(encode(&decode::<RunOptions>(&camel).unwrap()), snake);
    let multi = json!({"node_pools": [{"multi_az_policy": "cost-optimized"}]});
    let read: HybridClusterSpec = decode(&multi).unwrap();
    assert_eq!(encode(&read)["node_pools"][0]["multi_az_policy"], "COST_OPTIMIZED");
}

#[test]
fn zero_is_kept_where_it_has_a_meaning() {
    let value = json!({"node_pools": [{"size": 0}], "terway": {"pool": {"min": 0}}});
    assert_eq!(encode(&decode::<HybridClusterSpec>(&value).unwrap()), value);
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_path() {
    let value = json!({
        "regoin": "cn-hangzhou",
        "cluster_id": 7,
        "clusterid": "c1",
        "vpc": {"pod_vswitches": [{"idd": "vsw-1"}], "attachment": "CNE"},
        "terway": {"pool": {"min": -1, "max": 1.5}, "eni_tags": {"a.b/c": 1}},
        "init_script": {"token": {"mint": {"ttl": 24}}, "render": {}, "url": {}},
        "node_pools": {"name": "burst"},
    });
    let mut found = violations::<HybridClusterSpec>(&value);
    found.sort();
    assert_eq!(
        found,
        [
            "cluster_id: expected a string, found the number 7; put it in quotes",
            "clusterid: unknown field; did you mean cluster_id?",
            "init_script.token.mint.ttl: the duration 24 has no unit; for seconds write 24s",
            "init_script: give only one of render, url",
            "node_pools: expected a list, found a mapping",
            "regoin: unknown field; did you mean region?",
            "terway.eni_tags[\"a.b/c\"]: expected a string, found the number 1; put it in quotes",
            "terway.pool.max: expected a whole number 0 to 4294967295, found 1.5",
            "terway.pool.min: expected a whole number 0 to 4294967295, found -1",
            "vpc.attachment: unknown value \"CNE\"; did you mean CEN? (one of AUTO, CEN, ROUTES, NONE)",
            "vpc.pod_vswitches[0].idd: unknown field; did you mean id?",
        ]
    );
}

#[test]
fn a_field_given_in_both_casings_is_refused() {
    let found = violations::<RunOptions>(&json!({"onFailure": "HOLD", "on_failure": "HOLD"}));
    assert_eq!(found, ["on_failure: is given twice, as on_failure and as onFailure"]);
}

#[test]
fn null_stands_for_not_given() {
    let value = json!({"region": null, "vpc": {"id": null}, "init_script": {"render": null, "url": {"url": "x"}}});
    let read: HybridClusterSpec = decode(&value).unwrap();
    assert_eq!(encode(&read), json!({"vpc": {}, "init_script": {"url": {"url": "x"}}}));
}

#[test]
fn input_files_say_what_they_are() {
    let messages = |value| -> Vec<String> {
        input::decode(&value).unwrap_err().iter().map(ToString::to_string).collect()
    };
    assert_eq!(messages(json!({})), ["kind: is missing; expected HybridCluster or Noop"]);
    assert_eq!(
        messages(json!({"kind": "Pod"})),
        ["kind: unknown kind \"Pod\"; expected HybridCluster or Noop"]
    );
    assert_eq!(messages(json!([])), ["kind: is missing; expected HybridCluster or Noop"]);
    assert_eq!(
        messages(json!({"kind": "HybridCluster", "apiVersion": "v2"})),
        ["apiVersion: is \"v2\"; expected causeway/v1", "spec: is missing"]
    );
    let noop =
        input::decode(&json!({"apiVersion": "causeway/v1", "kind": "Noop", "spec": {"steps": 3}}))
            .unwrap();
    assert!(matches!(noop.spec, Some(Spec::Noop(spec)) if spec.steps == 3));
}

#[test]
fn resources_are_written_with_unprefixed_states_times_and_free_detail() {
    let workflow = Workflow {
        name: "workflows/w1".into(),
        state: workflow::State::Compensating.into(),
        create_time: Some(prost_types::Timestamp { seconds: 0, nanos: 500_000_000 }),
        ..Default::default()
    };
    let written = json!({"name": "workflows/w1", "state": "COMPENSATING", "create_time": "1970-01-01T00:00:00.500Z"});
    assert_eq!(encode(&workflow), written);
    assert_eq!(decode::<Workflow>(&written).unwrap(), workflow);
    let event =
        json!({"sequence": "12", "detail": {"token": "t", "count": 2.5, "list": [true, null]}});
    assert_eq!(encode(&decode::<WorkflowEvent>(&event).unwrap()), event);
    let whole = json!({"detail": {"attempt": 2, "bounds": [-1, 9007199254740992_i64], "none": {}}});
    assert_eq!(encode(&decode::<WorkflowEvent>(&whole).unwrap()).to_string(), whole.to_string());
    let found = violations::<WorkflowEvent>(&json!({"time": "yesterday"}));
    assert_eq!(found, ["time: expected a time such as 2026-01-31T23:59:59Z, found a string"]);
}

#[test]
fn what_is_long_is_repeated_in_short() {
    let long = "x".repeat(500_000);
    for input in [
        json!({ "kind": long }),
        json!({"kind": "HybridCluster", "apiVersion": long}),
        json!({"kind": "HybridCluster", "apiVersion": "causeway/v1", long.as_str(): 1}),
        json!({"kind": "HybridCluster", "apiVersion": "causeway/v1", "run": {"on_failure": long}}),
        json!({"kind": "HybridCluster", "apiVersion": "causeway/v1", "run": {"timeout": long}}),
        json!({"kind": "HybridCluster", "apiVersion": "causeway/v1", "spec": {"node_pools": [{"size": long}]}}),
    ] {
        let said = input::decode(&input).unwrap_err();
        let said: Vec<_> = said.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains("… (500000 bytes)")), "{said:.300?}");
        assert!(said.iter().all(|line| line.len() < 500), "{said:.300?}");
    }
    assert_eq!(shown("é\n"), "\"é\\n\"");
}

#[test]
fn a_users_script_is_not_printed() {
    let inline = init_script::Inline { script: "export TOKEN=s3cret".into() };
    assert_eq!(format!("{inline:?}"), "Inline { script: [redacted, 19 bytes] }");
}

proptest! {
    /// Whatever comes in, an answer comes out.
    #[test]
    fn no_input_makes_it_panic(text in "[a-z_:{}\\[\\], \"0-9\\-]{0,80}") {
        if let Ok(value) = serde_saphyr::from_str::<serde_json::Value>(&text) {
            prop_assert!(input::decode(&value).is_err());
            prop_assert!(decode::<HybridClusterSpec>(&value).is_ok() || !violations::<HybridClusterSpec>(&value).is_empty());
        }
    }
}
