//! A world for the battery, and what it looks like.

use std::sync::Arc;
use std::time::Duration;

use causeway_orchestrator::runtime::StartRequest;
use causeway_sandbox::instances::Mode;
use causeway_sandbox::world::{Options, World};
use causeway_workflows::Definition;
use serde_json::{Value, json};

/// How long the ledger must stay the same to be taken for at rest.
const REST_FOR: Duration = Duration::from_millis(60);
/// How often it is looked at in vain before it is taken as it is.
const LOOKS_MAX: usize = 100;

/// The guide's world. Scripts are not run: that they work is for others to prove.
pub(crate) async fn world(faults: &[&str]) -> Arc<World> {
    let faults = faults.iter().map(|rule| (*rule).to_owned()).collect();
    let options = Options { faults, instances: Mode::Unscripted, ..Options::default() };
    Arc::new(World::start(options).await.unwrap())
}

/// The ledger once it has come to rest.
pub(crate) async fn ledger(world: &World) -> String {
    let mut last = world.ledger().await.unwrap();
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(REST_FOR).await;
        let now = world.ledger().await.unwrap();
        if now == last {
            return now;
        }
        last = now;
    }
    last
}

/// Starts the definition, with the guide's cluster where it needs one, or takes that down.
pub(crate) fn request(definition: &Definition, world: Option<&World>) -> StartRequest {
    let takes_down = definition.undoes.map(|_| json!({ "hybrid_cluster": "dc1" }));
    let input = takes_down.or_else(|| document(world?));
    let definition = definition.name.to_owned();
    StartRequest { definition, input: input.unwrap_or_default(), ..StartRequest::default() }
}

/// The guide's cluster.
fn document(world: &World) -> Option<Value> {
    let file = world.folder().file("hybrid-cluster.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}
