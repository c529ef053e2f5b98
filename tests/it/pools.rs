//! Several node pools in one build: each has steps of its own, and what befalls one undoes them all.

use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Workflow, step};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use serde_json::{Value, json};

/// The pools: name and size.
const POOLS: [(&str, usize); 3] = [("one", 1), ("idle", 0), ("pair", 2)];
/// What each pool has of its own.
const TEMPLATES: [&str; 3] = ["create-node-pool", "scale-out", "verify-nodes"];

/// The guide's cluster with these pools instead of its own; only the last has labels and taints.
fn document(scene: &Scene) -> Value {
    let mut document = scene.document(1);
    let guide = document["spec"]["node_pools"][0].clone();
    let pools = POOLS.map(|(name, size)| {
        let mut pool = guide.clone();
        pool["name"] = json!(name);
        pool["size"] = json!(size);
        pool["labels"] = json!({});
        pool["taints"] = json!([]);
        if name == "pair" {
            pool["labels"] = json!({"workload": "gpu", "example.com/tier": "burst"});
            pool["taints"] = json!([{"key": "dedicated", "value": "gpu", "effect": "NoExecute"}]);
        }
        pool
    });
    document["spec"]["node_pools"] = json!(pools);
    document
}

/// Builds the three pools.
async fn build(scene: &Scene) -> Workflow {
    let id = scene.client().start(Scene::request(&document(scene))).await.unwrap().id;
    scene.rested(&id).await
}

/// All Node objects of the cluster.
async fn nodes(scene: &Scene) -> Vec<Value> {
    let client = scene.world.client(&scene.world.seed().clusters[0].id).unwrap();
    let request = http::Request::get("/api/v1/nodes").body(Vec::new()).unwrap();
    let list: Value = client.request(request).await.unwrap();
    list["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pool_is_built_and_verified_by_steps_of_its_own() {
    let scene = Scene::guide().await;
    let before = nodes(&scene).await.len();
    let workflow = build(&scene).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    for template in TEMPLATES {
        for (pool, _) in POOLS {
            let name = format!("{template}[{pool}]");
            let step = workflow.steps.iter().find(|step| step.name == name);
            let state = step.map(causeway_proto::v1::Step::state);
            let good = [step::State::Confirmed, step::State::Passed];
            assert!(state.is_some_and(|state| good.contains(&state)), "{name}: {step:#?}");
        }
    }
    let nodes = nodes(&scene).await;
    assert_eq!(nodes.len() - before, 3);
    let gpu: Vec<_> =
        nodes.iter().filter(|node| node["metadata"]["labels"]["workload"] == "gpu").collect();
    assert_eq!(gpu.len(), 2, "the size of the pool with labels");
    for node in gpu {
        assert_eq!(node["metadata"]["labels"]["example.com/tier"], "burst");
        let taint = json!({"key": "dedicated", "value": "gpu", "effect": "NoExecute"});
        assert_eq!(node["spec"]["taints"], json!([taint]), "{node:#}");
    }
    let cloud = scene.world.nodes(&scene.world.seed().clusters[0].id).await.unwrap();
    assert!(cloud.iter().all(|node| node.ready), "{cloud:#?}");
}

/// Builds under a fault at one pool's call, and requires that the other pools are undone with it.
async fn compensates(step: &str, rule: &str) {
    let scene = Scene::start(Options { faults: vec![rule.to_owned()], ..Options::default() }).await;
    let workflow = build(&scene).await;
    assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    let failure = workflow.failure.expect("a failed workflow says why");
    assert_eq!(failure.step, step, "{failure:#?}");
    assert!(workflow.left.is_empty(), "{:#?}", workflow.left);
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_refused_undoes_its_siblings() {
    let rule = "cs:CreateClusterNodePool@idle:error=403/Forbidden";
    compensates("create-node-pool[idle]", rule).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_can_not_grow_undoes_its_siblings() {
    let rule = "cs:ModifyClusterNodePool@pair:error=403/Forbidden";
    compensates("scale-out[pair]", rule).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_stock_undoes_its_siblings_and_its_own_instance() {
    compensates("scale-out[pair]", "cs:ModifyClusterNodePool@pair:partial").await;
}
