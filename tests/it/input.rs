//! Bad input changes nothing (P7): each fault is named by its path, with what is wrong and what to do, all of them at once, before
//! anything is written down or touched.

use std::collections::BTreeMap;

use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{ListWorkflowsRequest, StartWorkflowRequest};
use causeway_tests::Scene;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

/// The bad documents, by group: `unreadable` is refused by the command line already, the others by the daemon. Data, so that a line
/// shows a case.
const CASES: &str = include_str!("input/cases.json");

/// One bad document.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    /// JSON pointers into the guide's document, and what is put there; null takes the field out.
    edits: BTreeMap<String, Value>,
    /// What is wrong: where, and words that the message must have.
    faults: BTreeMap<String, String>,
}

fn cases() -> BTreeMap<String, Vec<Case>> {
    let mut groups: BTreeMap<String, Vec<Case>> = serde_json::from_str(CASES).unwrap();
    let long = |name: &str, pointer: &str, value: Value, path: &str, limit: &str| Case {
        name: name.into(),
        edits: [(pointer.into(), value)].into(),
        faults: [(path.into(), limit.into())].into(),
    };
    groups.entry("places".into()).or_default().extend([
        long(
            "a text that is too long",
            "/spec/vpc/skip_route_check_reason",
            json!("x".repeat(5000)),
            "spec.vpc.skip_route_check_reason",
            "4096",
        ),
        long(
            "a list that is too long",
            "/spec/node_pools/0/instance_types",
            json!(vec!["ecs.g7.large"; 2000]),
            "spec.node_pools[0].instance_types",
            "1000",
        ),
    ]);
    groups
}

fn edited(document: &Value, edits: &BTreeMap<String, Value>) -> Value {
    let mut document = document.clone();
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        match (parent, value) {
            (Value::Object(map), Value::Null) => drop(map.remove(key)),
            (Value::Object(map), value) => drop(map.insert(key.to_owned(), value.clone())),
            (Value::Array(list), value) if key == "-" => list.push(value.clone()),
            (Value::Array(list), value) => list[key.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{pointer} leads nowhere"),
        }
    }
    document
}

/// Everything that is amiss with how the command line refuses a document.
async fn amiss_with_the_cli(scene: &Scene, case: &Case, document: &Value) -> Vec<String> {
    let file = scene.world.folder().file("bad.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let output = scene.cli(&["start", "-f", "bad.json"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut amiss = Vec::new();
    if output.status.code() != Some(2) || !output.stdout.is_empty() {
        amiss.push(format!("{}: exit {:?}\n{said}", case.name, output.status.code()));
    }
    for (path, words) in &case.faults {
        if !said.lines().any(|line| line.contains(&format!("{path}: ")) && line.contains(words)) {
            amiss.push(format!("{}: no line with {path} and {words:?}:\n{said}", case.name));
        }
    }
    amiss
}

/// Everything that is amiss with how the daemon refuses it.
async fn amiss_with_the_api(
    scene: &Scene,
    case: &Case,
    document: &Value,
    reason: &str,
) -> Vec<String> {
    let error = match scene.client().start(Scene::request(document)).await {
        Ok(workflow) => return vec![format!("{}: started as {}", case.name, workflow.id)],
        Err(error) => error,
    };
    let mut amiss = Vec::new();
    if error.code() != Some(Code::InvalidArgument) || error.reason() != reason {
        amiss.push(format!("{}: {:?} {}", case.name, error.code(), error.reason()));
    }
    let mut paths: Vec<&str> = error.violations().iter().map(|it| it.path.as_str()).collect();
    let mut expected: Vec<&str> = case.faults.keys().map(String::as_str).collect();
    paths.sort_unstable();
    expected.sort_unstable();
    if paths != expected {
        amiss.push(format!("{}: paths {paths:?}, expected {expected:?}: {error}", case.name));
    }
    amiss
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_documents_are_refused_by_path_and_change_nothing() {
    let scene = Scene::guide().await;
    let document = scene.document(1);
    let mut amiss = Vec::new();
    for (group, cases) in cases() {
        let reason = if group == "not_yet" { "NOT_SUPPORTED_YET" } else { "INVALID_FIELD" };
        for case in cases {
            let document = edited(&document, &case.edits);
            if group != "unreadable" {
                amiss.extend(amiss_with_the_api(&scene, &case, &document, reason).await);
            }
            amiss.extend(amiss_with_the_cli(&scene, &case, &document).await);
        }
    }
    assert!(amiss.is_empty(), "{} are amiss:\n{}", amiss.len(), amiss.join("\n"));
    let listed = scene.client().list(ListWorkflowsRequest::default()).await.unwrap();
    assert!(listed.workflows.is_empty(), "{listed:#?}");
    assert_eq!(scene.world.boundaries().passed(), []);
    scene.assert_as_before().await;
    // And the document itself is a good one.
    assert!(scene.client().start(Scene::request(&document)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_no_yaml_or_too_long_is_refused_by_the_command_line() {
    let scene = Scene::guide().await;
    for (text, words) in
        [("a: [1,", "line"), ("- 1\n- 2\n", "kind"), ("", "kind"), ("a: 1\na: 2\n", "duplicate")]
    {
        std::fs::write(scene.world.folder().file("bad.yaml"), text).unwrap();
        let output = scene.cli(&["start", "-f", "bad.yaml"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text:?}: {said}");
        assert!(said.contains(words), "{text:?}: {said}");
    }
    let bomb = format!("a: &a [{}]\n", "x, ".repeat(600_000));
    std::fs::write(scene.world.folder().file("bad.yaml"), bomb).unwrap();
    let output = scene.cli(&["start", "-f", "bad.yaml"]).await;
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
}

/// The same request with one field changed.
fn others(request: &StartWorkflowRequest) -> [(&'static str, StartWorkflowRequest); 4] {
    let mut others = [(); 4].map(|()| request.clone());
    let [spec, labels, metadata, id] = &mut others;
    let Some(Spec::HybridCluster(cluster)) = &mut spec.spec else { panic!("another spec") };
    cluster.node_pools[0].size = Some(3);
    labels.labels.insert("a".into(), "b".into());
    metadata.metadata.as_mut().unwrap().name = "other".into();
    id.workflow_id = "another".into();
    let [spec, labels, metadata, id] = others;
    [("spec", spec), ("labels", labels), ("metadata", metadata), ("workflow_id", id)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_answers_the_same_workflow_and_names_what_differs_also_after_a_restart() {
    let mut scene = Scene::guide().await;
    let mut request = Scene::request(&scene.document(1));
    request.request_id = "the-same".to_owned();
    let started = scene.client().start(request.clone()).await.unwrap();
    for round in 0..3 {
        let again = scene.client().start(request.clone()).await.unwrap();
        assert_eq!(again.name, started.name, "round {round}");
        for (field, other) in others(&request) {
            let error = scene.client().start(other).await.unwrap_err();
            assert_eq!(error.code(), Some(Code::AlreadyExists), "{error}");
            assert_eq!(error.reason(), "REQUEST_ID_REUSED", "{error}");
            assert!(error.to_string().contains(field), "{error}");
        }
        match round {
            0 => scene.daemon().kill().await,
            1 => assert_eq!(scene.daemon().stop().await, Some(0)),
            _ => break,
        }
        scene.start_daemon(&[]).await;
    }
    assert_eq!(scene.rested(&started.id).await.state(), State::Succeeded);
    let again = scene.client().start(request).await.unwrap();
    assert_eq!((again.name, again.state), (started.name, State::Succeeded.into()));
    let listed = scene.client().list(ListWorkflowsRequest::default()).await.unwrap();
    assert_eq!(listed.workflows.len(), 1);
}
