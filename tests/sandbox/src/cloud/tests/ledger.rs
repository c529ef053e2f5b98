//! The ledger: equal before and after, equal for equal builds, different for anything that was left behind.

use super::*;
use crate::cloud::{
    ledger,
    state::{AccessKey, Addon, Instance, Interface, Object, Pool, State, Version},
};

/// Builds all that a workflow builds; the ledger then, and after it was all undone.
async fn build_and_undo() -> (String, String, String) {
    let world = World::start().await;
    let before = world.cloud.ledger().to_string();
    let addon = world.addon_user().await;
    let task = world.daemon.install("terway-eniip", "v1.9.14").await.good();
    world.ended(&task).await;
    let token = "abcdef.0123456789abcdef";
    let random = uuid::Uuid::new_v4().simple().to_string();
    let key = format!("/kubelet-scripts/causeway/init-node-ecs-{}.sh", &random[..16]);
    let script = format!("kubeadm join --token {}", token.replace("abcdef.", "zbcdef."));
    world.daemon.oss("PUT", &key, &[], &script).await.unwrap();
    let pool = world.pool("burst").await;
    let task = world.resize(&pool, 2).await;
    world.ended(&task).await;
    for node in world.nodes(&pool).await {
        let id = node["instance_id"].as_str().unwrap();
        world
            .until("the interface is there", |cloud| {
                cloud.terway_eni(CLUSTER, id, &addon.id, &addon.secret, "vsw-bp1pods").is_ok()
            })
            .await;
    }
    world
        .until("nodes are ready", |cloud| {
            cloud.state().ecs.instances.values().all(|it| it.node_ready)
        })
        .await;
    let built = world.cloud.ledger().to_string();
    undo(&world, &addon, &key, &pool).await;
    (before, built, world.cloud.ledger().to_string())
}

async fn undo(world: &World, addon: &Client, key: &str, pool: &str) {
    let path = format!("/clusters/{CLUSTER}/nodepools/{pool}?force=true");
    let task = world.daemon.cs("DeleteClusterNodepool", "DELETE", &path, None).await.good();
    world.ended(&task).await;
    let left: Vec<String> = world.cloud.state().ecs.interfaces.keys().cloned().collect();
    for id in left {
        world.daemon.ecs("DeleteNetworkInterface", &[("NetworkInterfaceId", &id)]).await.good();
    }
    world.daemon.oss("DELETE", key, &[], "").await.unwrap();
    let path = format!("/clusters/{CLUSTER}/components/uninstall");
    let body = Some(json!([{"name": "terway-eniip"}]));
    let task = world.daemon.cs("UnInstallClusterAddons", "POST", &path, body).await.good();
    world.ended(&task).await;
    world.daemon.ram("DetachPolicyFromUser", &attachment()).await.good();
    let params = [("UserName", USER), ("UserAccessKeyId", addon.id.as_str())];
    world.daemon.ram("DeleteAccessKey", &params).await.good();
    world.daemon.ram("DeleteUser", &[("UserName", USER)]).await.good();
    world.daemon.ram("DeletePolicy", &[("PolicyName", POLICY)]).await.good();
}

#[tokio::test]
async fn equal_builds_have_equal_ledgers_and_undoing_restores_them() {
    let ((before, first, after), (_, second, _)) = tokio::join!(build_and_undo(), build_and_undo());
    assert_eq!(first, second);
    assert_eq!(before, after);
    assert_ne!(before, first);
    for named in ["[pool c106", "[instance]", "[interface]", "[key of ack-one-user", "[digest]"] {
        assert!(first.contains(named), "{named} in {first}");
    }
}

#[test]
fn the_ledger_shows_no_secret() {
    let cloud = Cloud::new(&Seed::guide(), Faults::new(), Pace::new(1.0));
    let ledger = cloud.ledger().to_string();
    assert!(cloud.secrets().iter().all(|secret| !ledger.contains(secret.as_str())));
}

/// Calls `change` once for every place of the value, on a copy of it, with the place's path.
fn everywhere(whole: &Value, change: &mut impl FnMut(&str, &str, &Value)) {
    fn walk(
        at: &Value,
        pointer: &str,
        path: &str,
        whole: &Value,
        change: &mut dyn FnMut(&str, &str, &Value),
    ) {
        change(pointer, path, whole);
        match at {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let step = key.replace('~', "~0").replace('/', "~1");
                    let (pointer, path) = (format!("{pointer}/{step}"), format!("{path}/{key}"));
                    walk(value, &pointer, &path, whole, change);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, &format!("{pointer}/{index}"), path, whole, change);
                }
            }
            _ => {}
        }
    }
    walk(whole, "", "", whole, change);
}

/// Another value of the same kind; an object or a list with one thing more.
fn foreign(value: &Value) -> Value {
    match value {
        Value::Null => json!("foreign"),
        Value::Bool(it) => json!(!it),
        Value::Number(it) => json!(it.as_u64().unwrap_or(0) + 1),
        Value::String(it) => json!(format!("{it} foreign")),
        Value::Array(items) => [items.clone(), vec![json!("foreign")]].concat().into(),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            fields.insert("foreign".into(), json!({"id": "foreign"}));
            fields.into()
        }
    }
}

#[tokio::test]
async fn anything_foreign_changes_the_ledger() {
    let cloud = full_world();
    let state = cloud.state();
    let names = ledger::Names::of(&state, &cloud.account);
    let whole = serde_json::to_value(&*state).unwrap();
    let before = ledger::render(whole.clone(), names.clone());
    let mut looked_at = 0;
    everywhere(&whole, &mut |pointer, path, whole| {
        if ledger::is_unstable(path) {
            return;
        }
        let mut changed = whole.clone();
        let place = changed.pointer_mut(pointer).unwrap();
        *place = foreign(place);
        assert_ne!(ledger::render(changed, names.clone()), before, "{pointer}");
        looked_at += 1;
    });
    assert!(looked_at > 200, "{looked_at}");
}

#[test]
fn only_the_known_fields_are_left_out_of_what_is_serialised() {
    let lines: Vec<&str> = include_str!("../state.rs").lines().map(str::trim).collect();
    let skipped = lines.windows(3).filter(|three| three[0] == "#[serde(skip)]").map(|three| {
        let field = if three[1].starts_with("///") { three[2] } else { three[1] };
        field.trim_start_matches("pub(crate) ").split(':').next().unwrap()
    });
    let skipped: BTreeSet<&str> = skipped.collect();
    let known = ["history", "last_modified", "never_ready", "secret", "stock", "works_from"];
    assert_eq!(skipped, BTreeSet::from(known));
}

#[tokio::test]
async fn one_more_of_what_has_a_random_id_changes_the_ledger() {
    for change in [
        (|state| {
            let other = state.ecs.instances.values().next().unwrap().clone();
            state.ecs.instances.insert("i-bp1other".into(), other);
        }) as fn(&mut State),
        |state| {
            let other = state.ecs.interfaces.values().next().unwrap().clone();
            state.ecs.interfaces.insert("eni-bp1other".into(), other);
        },
        |state| {
            let user = state.ram.users.get_mut("causewayd").unwrap();
            user.keys.insert("LTAI5tX".into(), a_key());
        },
        |state| drop(state.cs.pools.insert("npother".into(), a_pool("npother", "other"))),
        |state| state.ecs.instances.clear(),
        |state| state.cs.pools.clear(),
    ] {
        let cloud = full_world();
        let before = cloud.ledger();
        change(&mut cloud.state());
        assert_ne!(cloud.ledger(), before);
    }
}

fn a_key() -> AccessKey {
    AccessKey {
        id: "LTAI5tX".into(),
        secret: "x".into(),
        status: "Active".into(),
        create_date: String::new(),
        works_from: tokio::time::Instant::now(),
    }
}

fn a_pool(id: &str, name: &str) -> Pool {
    Pool {
        id: id.into(),
        cluster_id: CLUSTER.into(),
        name: name.into(),
        kind: "ess".into(),
        resource_group_id: String::new(),
        scaling_group_id: "asg-bp1x".into(),
        created: String::new(),
        updated: String::new(),
        desired_size: 1,
        scaling_group: pool_body("p")["scaling_group"].clone(),
        kubernetes_config: pool_body("p")["kubernetes_config"].clone(),
        auto_scaling: json!({}),
        management: json!({}),
        state: "active".into(),
        stock: None,
        never_ready: false,
    }
}

/// An account with one of everything, without any server.
fn full_world() -> Arc<Cloud> {
    let cloud = Cloud::new(&Seed::guide(), Faults::new(), Pace::new(1.0));
    let mut state = cloud.state();
    state.cs.pools.insert("np0123456789abcdef".into(), a_pool("np0123456789abcdef", "p"));
    let policy = state.ram.policies.get_mut("System/AliyunCSFullAccess").unwrap();
    policy.versions.insert(2, Version { document: "{}".into(), create_date: String::new() });
    policy.tags.insert("a".into(), "b".into());
    let cluster = state.cs.clusters.get_mut(CLUSTER).unwrap();
    let addon = Addon {
        name: "terway-eniip".into(),
        version: "v1.9.14".into(),
        state: "active".into(),
        config: "{}".into(),
    };
    cluster.addons.insert(addon.name.clone(), addon);
    let instance = Instance {
        id: "i-bp1x".into(),
        cluster_id: CLUSTER.into(),
        pool_id: "np0123456789abcdef".into(),
        instance_type: "ecs.g7.xlarge".into(),
        image_type: "AliyunLinux3".into(),
        charge_type: "PostPaid".into(),
        vpc_id: "vpc-bp1guide".into(),
        vswitch_id: "vsw-bp1nodes".into(),
        zone: "cn-hangzhou-h".into(),
        private_ip: "10.10.24.10".into(),
        security_group_ids: vec![],
        tags: BTreeMap::new(),
        status: "Running".into(),
        creation_time: String::new(),
        node_state: "running".into(),
        node_ready: true,
        error_message: String::new(),
    };
    let interface = Interface {
        id: "eni-bp1x".into(),
        kind: "Secondary".into(),
        status: "InUse".into(),
        instance_id: "i-bp1x".into(),
        vpc_id: "vpc-bp1guide".into(),
        vswitch_id: "vsw-bp1pods".into(),
        zone: "cn-hangzhou-h".into(),
        private_ip: "10.10.25.10".into(),
        security_group_ids: vec![],
        tags: BTreeMap::new(),
        creation_time: String::new(),
    };
    state.ecs.instances.insert(instance.id.clone(), instance);
    state.ecs.interfaces.insert(interface.id.clone(), interface);
    let bucket = state.oss.get_mut("kubelet-scripts").unwrap();
    let headers = BTreeMap::from([("x-oss-meta-a".to_owned(), "b".to_owned())]);
    bucket.objects.insert("there".into(), Object { headers, ..Object::default() });
    bucket.policy = Some(r#"{"Version":"1"}"#.into());
    drop(state);
    cloud
}
