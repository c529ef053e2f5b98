//! Faults and boundaries, as the daemon meets them.

use super::*;
use crate::faults::{At, Side};

#[tokio::test]
async fn errors_and_throttling_have_no_effect() {
    let world = World::start().await;
    world.faults.add("ram:CreateUser:error=500").unwrap();
    world.faults.add("ram:CreateUser:throttle").unwrap();
    world.faults.add("cs:DescribeClusterDetail:error=403/StatusForbidden").unwrap();
    let user = [("UserName", USER)];
    let failed = world.daemon.ram("CreateUser", &user).await;
    assert_eq!(failed.refused(), (500, "InternalError".into()));
    let throttled = world.daemon.ram("CreateUser", &user).await;
    assert_eq!(throttled.refused(), (400, "Throttling.User".into()));
    assert!(throttled.headers.contains_key("x-acs-retry-after"));
    assert_eq!(world.daemon.ram("GetUser", &user).await.status, 404);
    let path = format!("/clusters/{CLUSTER}");
    let denied = world.daemon.cs("DescribeClusterDetail", "GET", &path, None).await.json();
    assert_eq!(denied["code"].as_str().or(denied["Code"].as_str()), Some("StatusForbidden"));
}

#[tokio::test]
async fn a_cut_call_has_no_answer_and_its_effect_or_not() {
    let world = World::start().await;
    world.faults.add("ram:CreateUser:cut-before").unwrap();
    world.faults.add("ram:CreateUser:cut-after").unwrap();
    let target = format!("/?UserName={USER}");
    let user = [("UserName", USER)];
    let request = world.daemon.signed("2015-05-01", "CreateUser", "POST", &target, "");
    assert!(world.daemon.send(request).await.is_err());
    assert_eq!(world.daemon.ram("GetUser", &user).await.status, 404);
    let request = world.daemon.signed("2015-05-01", "CreateUser", "POST", &target, "");
    assert!(world.daemon.send(request).await.is_err());
    assert_eq!(world.daemon.ram("GetUser", &user).await.status, 200);
}

#[tokio::test]
async fn a_late_call_is_lost_and_lands_afterwards() {
    let world = World::at(&Seed::guide(), 20.0).await;
    world.faults.add("ram:CreateUser:late").unwrap();
    let target = format!("/?UserName={USER}");
    let request = world.daemon.signed("2015-05-01", "CreateUser", "POST", &target, "");
    assert!(world.daemon.send(request).await.is_err());
    assert_eq!(world.daemon.ram("GetUser", &[("UserName", USER)]).await.status, 404);
    world.until("it has landed", |cloud| cloud.state().ram.users.contains_key(USER)).await;
}

#[tokio::test]
async fn only_the_daemons_calls_are_hit() {
    let world = World::start().await;
    let addon = world.addon_user().await;
    world.faults.add("sts:*:error=500:*").unwrap();
    assert_eq!(addon.rpc("2015-04-01", "GetCallerIdentity", &[]).await.status, 200);
    assert_eq!(world.daemon.rpc("2015-04-01", "GetCallerIdentity", &[]).await.status, 500);
}

#[tokio::test]
async fn a_rule_can_name_the_object() {
    let world = World::start().await;
    world.faults.add("cs:CreateClusterNodePool@gpu:error=400/InvalidParameter").unwrap();
    world.faults.add("oss:PutObject@kubelet-scripts/a/*:error=403").unwrap();
    world.pool("burst").await;
    let gpu = world.daemon.create_pool(&pool_body("gpu")).await;
    assert_eq!(gpu.refused(), (400, "InvalidParameter".into()));
    let put = |key: &'static str| world.daemon.oss("PUT", key, &[], "x");
    assert_eq!(put("/kubelet-scripts/b/x").await.unwrap().status, 200);
    assert_eq!(put("/kubelet-scripts/a/x").await.unwrap().status, 403);
}

#[tokio::test]
async fn what_is_stuck_never_ends_and_can_be_removed() {
    let world = World::start().await;
    world.faults.add("cs:InstallClusterAddons:stuck").unwrap();
    let task = world.daemon.install("terway-eniip", "v1.9.14").await.good();
    tokio::time::sleep(world.cloud.pace.scale(Duration::from_secs(60))).await;
    let path = format!("/tasks/{}", task["task_id"].as_str().unwrap());
    let info = world.daemon.cs("DescribeTaskInfo", "GET", &path, None).await.good();
    assert_eq!(info["state"], "running");
    let path = format!("/clusters/{CLUSTER}/components/uninstall");
    let body = Some(json!([{"name": "terway-eniip"}]));
    let task = world.daemon.cs("UnInstallClusterAddons", "POST", &path, body).await.good();
    assert_eq!(world.ended(&task).await["state"], "success");
}

#[tokio::test]
async fn a_partial_installation_fails_and_one_that_is_never_ready_does_not() {
    for (kind, state) in [("partial", "fail"), ("never-ready", "success")] {
        let world = World::start().await;
        world.faults.add(&format!("cs:InstallClusterAddons@terway-eniip:{kind}")).unwrap();
        let task = world.daemon.install("terway-eniip", "v1.9.14").await.good();
        assert_eq!(world.ended(&task).await["state"], state);
        assert_eq!(world.hands.installed.lock().unwrap().len(), 1);
        assert_eq!(
            world.cloud.state().cs.clusters[CLUSTER].addons["terway-eniip"].state,
            "updating"
        );
    }
}

#[tokio::test]
async fn a_partial_scale_out_makes_half_and_says_why() {
    let world = World::start().await;
    let pool = world.pool("burst").await;
    world.faults.add("cs:ModifyClusterNodePool@burst:partial").unwrap();
    let task = world.resize(&pool, 3).await;
    let ended = world.ended(&task).await;
    assert_eq!(ended["state"], "fail");
    assert_eq!(ended["error"]["code"], "OperationDenied.NoStock");
    assert_eq!(world.nodes(&pool).await.len(), 1);
    let group = world.cloud.state().cs.pools[&pool].scaling_group_id.clone();
    let params = [("RegionId", "cn-hangzhou"), ("ScalingGroupId", group.as_str())];
    let activities = world.daemon.rpc("2022-02-22", "DescribeScalingActivities", &params).await;
    let activities = activities.good()["ScalingActivities"].as_array().unwrap().clone();
    let failed = activities.iter().find(|it| it["StatusCode"] == "Failed").unwrap();
    assert_eq!(failed["ErrorCode"], "OperationDenied.NoStock");
}

#[tokio::test]
async fn nodes_that_never_get_ready_stay_initial() {
    let world = World::start().await;
    let pool = world.pool("burst").await;
    world.faults.add("cs:ModifyClusterNodePool:never-ready").unwrap();
    world.resize(&pool, 1).await;
    tokio::time::sleep(world.cloud.pace.scale(Duration::from_secs(120))).await;
    assert_eq!(world.nodes(&pool).await[0]["state"], "initial");
    assert!(world.hands.boots.lock().unwrap().is_empty());
}

/// Starts the creation of the user and waits until it stops at a boundary.
async fn stopped(world: &World, side: Side) -> tokio::task::JoinSet<bool> {
    world.cloud.boundaries().arm(At::call("ram:CreateUser", side));
    let target = format!("/?UserName={USER}");
    let request = world.daemon.signed("2015-05-01", "CreateUser", "POST", &target, "");
    let client = world.daemon.clone();
    let mut call = tokio::task::JoinSet::new();
    call.spawn(async move { client.send(request).await.is_ok() });
    let reached = world.cloud.boundaries().reached().await;
    assert_eq!((reached.action.as_str(), reached.object.as_str()), ("CreateUser", USER));
    call
}

#[tokio::test]
async fn a_call_stopped_before_its_effect_has_none_when_dropped() {
    let world = World::start().await;
    let mut call = stopped(&world, Side::Before).await;
    assert!(!world.cloud.state().ram.users.contains_key(USER));
    world.cloud.boundaries().drop_call();
    assert!(!call.join_next().await.unwrap().unwrap());
    assert!(!world.cloud.state().ram.users.contains_key(USER));
}

#[tokio::test]
async fn a_call_stopped_after_its_effect_has_had_it() {
    let world = World::start().await;
    let mut call = stopped(&world, Side::After).await;
    assert!(world.cloud.state().ram.users.contains_key(USER));
    world.cloud.boundaries().release();
    assert!(call.join_next().await.unwrap().unwrap());
}

#[tokio::test]
async fn a_caller_that_dies_at_a_boundary_before_the_effect_has_had_none() {
    let world = World::start().await;
    let mut call = stopped(&world, Side::Before).await;
    call.abort_all();
    assert!(call.join_next().await.unwrap().is_err());
    // The end of the connection is seen by the server in its own time.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.cloud.boundaries().release();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!world.cloud.state().ram.users.contains_key(USER));
}

#[tokio::test]
async fn reading_calls_have_no_boundaries() {
    let world = World::start().await;
    world.daemon.ram("ListUsers", &[]).await.good();
    world.pool("burst").await;
    let passed = world.cloud.boundaries().passed();
    let passed: Vec<_> = passed.iter().map(|it| (it.action.as_str(), it.side)).collect();
    let pool = "CreateClusterNodePool";
    assert_eq!(passed, [(pool, Side::Before), (pool, Side::After)]);
}
