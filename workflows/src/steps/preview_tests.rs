//! Previews of the steps that need a whole world, as the text that people read; and that what is shown is what is done.

use causeway_engine::event::Verdict;
use serde_json::{Value, json};

use super::addon_identity::POLICY_NAME;
use super::attach_ram_policy::AttachRamPolicy;
use super::create_access_key::CreateAccessKey;
use super::create_node_pool::CreateNodePool;
use super::create_ram_policy::CreateRamPolicy;
use super::create_ram_user::CreateRamUser;
use super::pool_world::PoolWorld;
use super::ram_world::{Policy, World};
use super::scale_out::ScaleOut;
use crate::preview::{ChangeKind, diff};
use crate::sdk::Action;

const OTHER: &str =
    r#"{"Version":"1","Statement":[{"Action":"oss:GetObject","Resource":"*","Effect":"Allow"}]}"#;

#[tokio::test]
async fn a_policy_is_shown_as_it_is_then_written() {
    for theirs in [false, true] {
        let world = World::new().await;
        if theirs {
            let versions = [(1, OTHER.to_owned())].into();
            let policy = Policy { description: "theirs".into(), versions, default: 1 };
            world.ram().policies.insert(POLICY_NAME.into(), policy);
        }
        let mut step = world.step("create-ram-policy");
        step.context.verdict = Some(step.observe(&CreateRamPolicy).await.unwrap());
        let preview = CreateRamPolicy.preview(&step.context).await.unwrap();
        let change = &preview.changes[0];
        let kind = if theirs { ChangeKind::Modify } else { ChangeKind::Create };
        assert_eq!((change.id.as_str(), change.kind_of_change), (POLICY_NAME, kind));
        assert!(preview.undo.contains(if theirs { "version v1" } else { "deletes the policy" }));
        step.apply(&CreateRamPolicy).await.unwrap();
        let ram = world.ram();
        let policy = &ram.policies[POLICY_NAME];
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let before = if theirs { parsed(OTHER) } else { Value::Null };
        assert_eq!(change.diff, diff(&before, &parsed(&policy.versions[&policy.default])));
        assert_eq!(change.diff.contains("\n  - Action: oss:GetObject"), theirs, "{}", change.diff);
        assert!(change.diff.contains("+   - ecs:CreateNetworkInterface"), "{}", change.diff);
    }
}

#[tokio::test]
async fn the_identity_is_shown_before_there_is_any_of_it() {
    let world = World::new().await;
    let mut step = world.step("create-ram-user");
    step.context.verdict = Some(step.observe(&CreateRamUser).await.unwrap());
    let user = CreateRamUser.preview(&step.context).await.unwrap();
    let name = user.expect["user_name"].as_str().unwrap().to_owned();
    assert_eq!(
        user.changes[0].diff,
        format!(
            "+ comments: causeway:w1 add-ons of cluster {}\n+ user_name: {name}\n",
            super::ram_world::CLUSTER
        )
    );
    // Neither of those can be observed yet: what is expected of the user is enough to show them.
    let attach = world.step("attach-ram-policy").with("create-ram-user", &user.expect);
    let attach = AttachRamPolicy.preview(&attach.context).await.unwrap();
    assert_eq!(attach.changes[0].id, format!("{POLICY_NAME}/{name}"));
    let key = world.step("create-access-key").with("create-ram-user", &user.expect);
    let key = CreateAccessKey.preview(&key.context).await.unwrap();
    assert_eq!(
        key.changes[0].diff,
        format!(
            "+ access_key_id: (known after create-access-key)\n+ access_key_secret: (sensitive)\n+ user_name: {name}\n"
        )
    );
}

#[tokio::test]
async fn a_pool_is_shown_as_it_is_asked_for_and_its_nodes_are_counted() {
    let world = PoolWorld::new().await;
    let mut bench = world.bench("create-node-pool");
    assert_eq!(bench.observe(&CreateNodePool).await.unwrap(), Verdict::Change);
    let pool = CreateNodePool.preview(bench.context()).await.unwrap();
    assert!(pool.changes[0].diff.contains("+   desired_size: 0\n"), "{}", pool.changes[0].diff);
    let mut bench = world.bench("scale-out");
    bench.output("create-node-pool[burst]", pool.expect.clone());
    let scale = ScaleOut.preview(bench.context()).await.unwrap();
    assert_eq!(scale.changes[0].id, "burst (known after create-node-pool[burst])");
    assert_eq!(scale.changes[0].diff, "- desired_size: 0\n+ desired_size: 2\n");
    assert_eq!((scale.nodes[0].count, scale.nodes[0].pool.as_str()), (2, "burst"));
    assert_eq!(pool.expect["name"], json!("burst"));
}
