//! Node pools and their instances.

use super::*;

const SCRIPT: &str = "http://kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com/init.sh";

async fn with_script() -> World {
    let world = World::start().await;
    *world.hands.script.lock().unwrap() = SCRIPT.into();
    world
        .until("the agent has reported", |cloud| {
            cloud.state().history.script_paths.get(CLUSTER).is_some_and(|it| it == SCRIPT)
        })
        .await;
    world
}

async fn ready(world: &World, pool: &str, count: usize) -> Vec<Value> {
    for _ in 0..2000 {
        let nodes = world.nodes(pool).await;
        let ready = nodes.iter().filter(|node| node["node_status"] == "Ready").count();
        if ready == count && nodes.len() == count {
            return nodes;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never {count} ready: {:?}", world.nodes(pool).await);
}

#[tokio::test]
async fn a_pool_is_checked_before_anything_is_made() {
    let world = World::start().await;
    let before = world.cloud.ledger().to_string();
    let change = |path: &str, value: Value| {
        let mut body = pool_body("p");
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    for (body, code) in [
        (change("/nodepool_info/name", json!("-p")), "InvalidParameter.Name"),
        (change("/scaling_group/vswitch_ids", json!([])), "InvalidParameter"),
        (change("/scaling_group/vswitch_ids", json!(["vsw-x"])), "InvalidParameter.NotFound"),
        (change("/scaling_group/instance_types", json!(["t9"])), "InvalidParameter.NotFound"),
        (change("/scaling_group/key_pair", json!("other")), "InvalidKeyPair.NotFound"),
        (change("/scaling_group/key_pair", json!("")), "InvalidParameter.Login"),
        (change("/scaling_group/desired_size", json!(101)), "QuotaExceeded.Node"),
        (
            change("/scaling_group/tags", json!([{"key": "acs:x", "value": ""}])),
            "InvalidParameter.Tags",
        ),
    ] {
        assert_eq!(world.daemon.create_pool(&body).await.refused(), (400, code.into()));
    }
    assert_eq!(world.cloud.ledger().to_string(), before);
}

#[tokio::test]
async fn a_pool_name_is_taken_once_per_cluster() {
    let world = World::start().await;
    let id = world.pool("burst").await;
    let again = world.daemon.create_pool(&pool_body("burst")).await;
    assert_eq!(again.refused(), (400, "InvalidParameter.Name".into()));
    assert!(again.text.contains("is already exist in cluster"));
    let path = format!("/clusters/{CLUSTER}/nodepools?NodepoolName=burst");
    let list = world.daemon.cs("DescribeClusterNodePools", "GET", &path, None).await.good();
    assert_eq!(list["nodepools"][0]["nodepool_info"]["nodepool_id"], id.as_str());
    assert_eq!(list["nodepools"][0]["status"]["state"], "active");
}

#[tokio::test]
async fn raising_the_size_makes_instances_that_run_the_script_the_agent_reported() {
    let world = with_script().await;
    let pool = world.pool("burst").await;
    let task = world.resize(&pool, 2).await;
    let nodes = ready(&world, &pool, 2).await;
    assert_eq!(world.ended(&task).await["state"], "success");
    let boots = world.hands.boots.lock().unwrap().clone();
    assert_eq!(boots.len(), 2);
    let boot = &boots[0];
    assert_eq!(boot.script_url, SCRIPT);
    assert_eq!(
        boot.variables["ALIBABA_CLOUD_PROVIDER_ID"],
        format!("cn-hangzhou.{}", boot.instance_id)
    );
    assert_eq!(
        boot.variables["ALIBABA_CLOUD_NODE_NAME"],
        format!("cn-hangzhou.{}", boot.private_ip)
    );
    assert_eq!(boot.variables["ALIBABA_CLOUD_TAINTS"], "workload=ack:NoSchedule");
    assert_eq!(
        boot.variables["ALIBABA_CLOUD_LABELS"],
        format!(
            "alibabacloud.com/nodepool-id={pool},ack.aliyun.com={CLUSTER},\
             alibabacloud.com/instance-id={},alibabacloud.com/external=true,workload=cpu",
            boot.instance_id
        )
    );
    assert!(nodes.iter().all(|node| node["state"] == "running"));
    assert_ne!(boots[0].private_ip, boots[1].private_ip);
    assert!(boots[0].private_ip.starts_with("10.10.24."));
    let params = [("Tag.1.Key", "causeway.workflow"), ("Tag.1.Value", "w0k3j2h1g4f5d6s7")];
    let instances = world.daemon.ecs("DescribeInstances", &params).await.good();
    assert_eq!(instances["TotalCount"], 2);
}

#[tokio::test]
async fn a_pool_is_active_before_its_nodes_are_ready() {
    let world = with_script().await;
    *world.hands.failing.lock().unwrap() = true;
    let pool = world.pool("burst").await;
    let task = world.resize(&pool, 1).await;
    let ended = world.ended(&task).await;
    assert_eq!(ended["state"], "fail");
    assert_eq!(ended["task_result"][0]["status"], "failed");
    let nodes = world.nodes(&pool).await;
    assert_eq!(nodes[0]["state"], "failed");
    assert_eq!(nodes[0]["error_message"], "kubeadm: no such host");
    let path = format!("/clusters/{CLUSTER}/nodepools/{pool}");
    let detail = world.daemon.cs("DescribeClusterNodePoolDetail", "GET", &path, None).await.good();
    assert_eq!(detail["status"]["state"], "active");
    assert_eq!(detail["status"]["failed_nodes"], 1);
    let group = detail["scaling_group"]["scaling_group_id"].as_str().unwrap();
    let params = [("RegionId", "cn-hangzhou"), ("ScalingGroupId", group)];
    let told = world.daemon.rpc("2022-02-22", "DescribeScalingActivities", &params).await.good();
    let told = told["ScalingActivities"][0]["ErrorMessage"].as_str().unwrap().to_owned();
    assert!(told.ends_with("kubeadm: no such host"), "{told}");
}

#[tokio::test]
async fn what_the_agent_would_refuse_is_never_run() {
    let world = with_script().await;
    *world.hands.script.lock().unwrap() = "ftp://elsewhere/x".into();
    tokio::time::sleep(world.cloud.pace.scale(Duration::from_secs(130))).await;
    let state = world.cloud.state();
    assert_eq!(state.history.script_paths[CLUSTER], SCRIPT);
}

#[tokio::test]
async fn an_instance_released_behind_the_pools_back_is_replaced() {
    let world = with_script().await;
    let pool = world.pool("burst").await;
    world.resize(&pool, 1).await;
    let first = ready(&world, &pool, 1).await[0]["instance_id"].as_str().unwrap().to_owned();
    let params = [("InstanceId.1", first.as_str())];
    let running = world.daemon.ecs("DeleteInstances", &params).await;
    assert_eq!(running.refused(), (403, "IncorrectInstanceStatus".into()));
    let params = [("InstanceId.1", first.as_str()), ("Force", "true")];
    world.daemon.ecs("DeleteInstances", &params).await.good();
    let second = ready(&world, &pool, 1).await[0]["instance_id"].clone();
    assert_ne!(second, first.as_str());
}

#[tokio::test]
async fn removed_and_released_nodes_are_drained_and_not_replaced() {
    let world = with_script().await;
    let pool = world.pool("burst").await;
    world.resize(&pool, 2).await;
    let nodes = ready(&world, &pool, 2).await;
    let ids: Vec<&str> = nodes.iter().map(|it| it["instance_id"].as_str().unwrap()).collect();
    let target = |ids: &str| {
        format!(
            "/clusters/{CLUSTER}/nodepools/{pool}/nodes?drain_node=true&instance_ids={}&release_node=true",
            encode(ids)
        )
    };
    let refused = target(r#"["i-nobody"]"#);
    let refused = world.daemon.cs("RemoveNodePoolNodes", "DELETE", &refused, None).await;
    assert_eq!(refused.refused(), (400, "ErrorNodeNotFound".into()));
    let target = target(&json!(ids).to_string());
    let task = world.daemon.cs("RemoveNodePoolNodes", "DELETE", &target, None).await.good();
    assert_eq!(world.ended(&task).await["state"], "success");
    assert_eq!(world.hands.drained.lock().unwrap().len(), 2);
    assert!(world.nodes(&pool).await.is_empty());
    let state = world.cloud.state();
    assert!(state.ecs.instances.is_empty() && state.ecs.interfaces.is_empty());
    assert_eq!(state.cs.pools[&pool].desired_size, 0);
}

#[tokio::test]
async fn a_pool_with_nodes_goes_only_by_force() {
    let world = with_script().await;
    let pool = world.pool("burst").await;
    world.resize(&pool, 1).await;
    ready(&world, &pool, 1).await;
    let path = format!("/clusters/{CLUSTER}/nodepools/{pool}");
    let refused = world.daemon.cs("DeleteClusterNodepool", "DELETE", &path, None).await;
    assert_eq!(refused.refused(), (400, "ErrorNodePoolNotEmpty".into()));
    let forced = format!("{path}?force=true");
    let task = world.daemon.cs("DeleteClusterNodepool", "DELETE", &forced, None).await.good();
    assert_eq!(world.ended(&task).await["state"], "success");
    let gone = world.daemon.cs("DeleteClusterNodepool", "DELETE", &path, None).await;
    assert_eq!(gone.refused(), (404, "ErrorNodePoolNotFound".into()));
    assert!(world.cloud.state().ecs.instances.is_empty());
}

#[tokio::test]
async fn terways_interface_needs_its_grants_and_outlives_its_instance() {
    let world = with_script().await;
    let pool = world.pool("burst").await;
    world.resize(&pool, 1).await;
    let node = ready(&world, &pool, 1).await[0]["instance_id"].as_str().unwrap().to_owned();
    let eni = |client: &Client| {
        world.cloud.terway_eni(CLUSTER, &node, &client.id, &client.secret, "vsw-bp1pods")
    };
    let nobody = Client::new("", "LTAI5tNobody", "x");
    assert!(eni(&nobody).unwrap_err().contains("InvalidAccessKeyId.NotFound"));
    let addon = world.addon_user().await;
    let mut forger = addon.clone();
    forger.secret = "x".into();
    assert!(eni(&forger).unwrap_err().contains("SignatureDoesNotMatch"));
    let id = eni(&addon).unwrap();
    assert_eq!(eni(&addon).unwrap(), id);
    world.daemon.ram("DetachPolicyFromUser", &attachment()).await.good();
    assert!(eni(&addon).unwrap_err().contains("Forbidden.RAM"));
    let one = [("NetworkInterfaceId", id.as_str())];
    let attached = world.daemon.ecs("DeleteNetworkInterface", &one).await;
    assert_eq!(attached.refused(), (403, "InvalidOperation.InvalidEniState".into()));
    let path = format!("/clusters/{CLUSTER}/nodepools/{pool}?force=true");
    let task = world.daemon.cs("DeleteClusterNodepool", "DELETE", &path, None).await.good();
    world.ended(&task).await;
    let tags = [("Tag.1.Key", "ack.aliyun.com"), ("Tag.1.Value", CLUSTER), ("Type", "Secondary")];
    let left = world.daemon.ecs("DescribeNetworkInterfaces", &tags).await.good();
    let left = &left["NetworkInterfaceSets"]["NetworkInterfaceSet"];
    assert_eq!(left[0]["NetworkInterfaceId"], id.as_str());
    assert_eq!(left[0]["Status"], "Available");
    assert_eq!(left[0]["InstanceId"], "");
    world.daemon.ecs("DeleteNetworkInterface", &one).await.good();
    world.daemon.ecs("DeleteNetworkInterface", &one).await.good();
    assert!(world.cloud.state().ecs.interfaces.is_empty());
}

#[tokio::test]
async fn a_type_with_one_interface_has_no_room_for_terway() {
    let world = with_script().await;
    let mut body = pool_body("small");
    body["scaling_group"]["instance_types"] = json!(["ecs.t6-c1m1.large"]);
    let created = world.daemon.create_pool(&body).await.good();
    world.ended(&created).await;
    let pool = created["nodepool_id"].as_str().unwrap();
    world.resize(pool, 1).await;
    let node = ready(&world, pool, 1).await[0]["instance_id"].as_str().unwrap().to_owned();
    let addon = world.addon_user().await;
    let refused = world.cloud.terway_eni(CLUSTER, &node, &addon.id, &addon.secret, "vsw-bp1pods");
    assert!(refused.unwrap_err().contains("ErrEniPerInstanceLimitExceeded"));
}
