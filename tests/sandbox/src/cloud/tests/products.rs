//! What the reading APIs say of the guide's seed, and add-ons.

use super::*;
use crate::seed::Cluster;

#[tokio::test]
async fn the_network_is_described() {
    let world = World::start().await;
    let vpc = |action: &'static str, params: &'static [(&str, &str)]| {
        let client = world.daemon.clone();
        async move { client.rpc("2016-04-28", action, params).await.good() }
    };
    let vpcs = vpc("DescribeVpcs", &[("RegionId", "cn-hangzhou")]).await;
    assert_eq!(vpcs["Vpcs"]["Vpc"][0]["CidrBlock"], "10.0.0.0/8");
    let attribute = vpc("DescribeVpcAttribute", &[("VpcId", "vpc-bp1guide")]).await;
    assert_eq!(attribute["VSwitchIds"]["VSwitchId"].as_array().unwrap().len(), 2);
    let page = vpc("DescribeVSwitches", &[("VpcId", "vpc-bp1guide"), ("PageSize", "1")]).await;
    assert_eq!(page["TotalCount"], 2);
    assert_eq!(page["VSwitches"]["VSwitch"].as_array().unwrap().len(), 1);
    let one = vpc("DescribeVSwitchAttributes", &[("VSwitchId", "vsw-bp1pods")]).await;
    assert_eq!(one["AvailableIpAddressCount"], 252);
    let tables = vpc("DescribeRouteTableList", &[("VpcId", "vpc-bp1guide")]).await;
    assert_eq!(tables["RouterTableList"]["RouterTableListType"][0]["RouteTableId"], "vtb-bp1guide");
    let routes = vpc("DescribeRouteEntryList", &[("RouteTableId", "vtb-bp1guide")]).await;
    let entries = routes["RouteEntrys"]["RouteEntry"].as_array().unwrap();
    assert!(entries.iter().any(|it| it["DestinationCidrBlock"] == "10.100.0.0/16"));
    let none = world.daemon.rpc("2016-04-28", "DescribeVpcAttribute", &[("VpcId", "vpc-x")]).await;
    assert_eq!(none.refused(), (404, "InvalidVpcId.NotFound".into()));
    let cens = world.daemon.rpc("2017-09-12", "DescribeCens", &[]).await.good();
    assert_eq!(cens["Cens"]["Cen"], json!([]));
}

#[tokio::test]
async fn offers_and_security_groups_are_described() {
    let world = World::start().await;
    let types = [("InstanceTypes.1", "ecs.g7.xlarge")];
    let types = world.daemon.ecs("DescribeInstanceTypes", &types).await.good();
    assert_eq!(types["InstanceTypes"]["InstanceType"][0]["EniQuantity"], 4);
    let stock = [("DestinationResource", "InstanceType"), ("InstanceType", "ecs.g7.large")];
    let stock = world.daemon.ecs("DescribeAvailableResource", &stock).await.good();
    let zone = &stock["AvailableZones"]["AvailableZone"][0];
    let resource = &zone["AvailableResources"]["AvailableResource"][0];
    assert_eq!(resource["SupportedResources"]["SupportedResource"][0]["Value"], "ecs.g7.large");
    let pairs = world.daemon.ecs("DescribeKeyPairs", &[]).await.good();
    assert_eq!(pairs["KeyPairs"]["KeyPair"][0]["KeyPairName"], "kp");
    let groups = [("SecurityGroupIds", r#"["sg-bp1guide"]"#)];
    let groups = world.daemon.ecs("DescribeSecurityGroups", &groups).await.good();
    assert_eq!(groups["SecurityGroups"]["SecurityGroup"][0]["VpcId"], "vpc-bp1guide");
    let rules = [("SecurityGroupId", "sg-bp1guide"), ("Direction", "egress")];
    let rules = world.daemon.ecs("DescribeSecurityGroupAttribute", &rules).await.good();
    assert_eq!(rules["Permissions"]["Permission"].as_array().unwrap().len(), 1);
    assert_eq!(rules["Permissions"]["Permission"][0]["DestCidrIp"], "0.0.0.0/0");
}

#[tokio::test]
async fn the_registered_cluster_is_described() {
    let world = World::start().await;
    let path = format!("/clusters/{CLUSTER}");
    let cluster = world.daemon.cs("DescribeClusterDetail", "GET", &path, None).await.good();
    assert_eq!(cluster["cluster_type"], "ExternalKubernetes");
    assert_eq!(cluster["state"], "running");
    let list = "/api/v1/clusters?name=dc1";
    let list = world.daemon.cs("DescribeClustersV1", "GET", list, None).await.good();
    assert_eq!(list["clusters"][0]["cluster_id"], CLUSTER);
    for private in ["true", "false"] {
        let path = format!("/k8s/{CLUSTER}/external/agent/deployment?PrivateIpAddress={private}");
        let agent = world.daemon.cs("DescribeExternalAgent", "GET", &path, None).await.good();
        let manifest = agent["config"].as_str().unwrap();
        let env = format!(r#"{{"name":"INTERNAL_ENDPOINT","value":"{private}"}}"#);
        assert!(manifest.contains(&env), "{manifest}");
    }
    let quota = world.daemon.cs("DescribeUserQuota", "GET", "/quota", None).await.good();
    assert_eq!(quota["node_quota"], 100);
}

#[tokio::test]
async fn the_catalogue_offers_what_fits_the_cluster() {
    let world = World::start().await;
    for (query, version) in [
        (format!("cluster_id={CLUSTER}"), "v1.9.14"),
        ("cluster_version=1.31.1".into(), "v1.14.5"),
        ("cluster_version=1.26.3".into(), "v1.8.17"),
    ] {
        let path = format!("/addons?{query}");
        let addons = world.daemon.cs("ListAddons", "GET", &path, None).await.good();
        let addons = addons["addons"].as_array().unwrap().clone();
        let terway = addons.iter().find(|it| it["name"] == "terway-eniip").unwrap();
        assert_eq!(terway["version"], version, "{query}");
    }
}

async fn instance_code(world: &World) -> String {
    let path = format!("/clusters/{CLUSTER}/addon_instances/terway-eniip");
    let got = world.daemon.cs("GetClusterAddonInstance", "GET", &path, None).await;
    match got.status {
        200 => got.json()["state"].as_str().unwrap().to_owned(),
        _ => got.refused().1,
    }
}

#[tokio::test]
async fn an_addon_is_installed_by_a_task_and_removed_by_another() {
    let world = World::start().await;
    assert_eq!(instance_code(&world).await, "AddonNotFound");
    let task = world.daemon.install("terway-eniip", "v1.9.14").await.good();
    assert_eq!(instance_code(&world).await, "updating");
    assert_eq!(world.ended(&task).await["state"], "success");
    assert_eq!(instance_code(&world).await, "active");
    let job = world.hands.installed.lock().unwrap()[0].clone();
    assert_eq!(job.values["ClusterID"], CLUSTER);
    assert!(!job.values.contains_key("PodVswitchId"));
    let again = world.daemon.install("terway-eniip", "v1.9.14").await;
    assert_eq!(again.refused(), (400, "AddonAlreadyInstalled".into()));
    let path = format!("/clusters/{CLUSTER}/components/uninstall");
    let body = Some(json!([{"name": "terway-eniip"}]));
    let task = world.daemon.cs("UnInstallClusterAddons", "POST", &path, body).await.good();
    assert_eq!(world.ended(&task).await["state"], "success");
    assert_eq!(instance_code(&world).await, "AddonNotFound");
    assert!(world.hands.installed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_addon_that_can_not_be_installed_leaves_nothing() {
    let restricted = |cluster: &mut Cluster| cluster.data_center.admin_agent = false;
    let registered =
        |cluster: &mut Cluster| cluster.data_center.kubernetes_version = "1.26.1".into();
    for (change, why) in [
        (restricted as fn(&mut Cluster), "clusterroles is forbidden"),
        (registered as fn(&mut Cluster), "does not support this Kubernetes version"),
    ] {
        let mut seed = Seed::guide();
        change(&mut seed.clusters[0]);
        let world = World::of(&seed).await;
        let task = world.daemon.install("terway-eniip", "v1.9.14").await.good();
        let ended = world.ended(&task).await;
        assert_eq!(ended["state"], "fail");
        assert!(ended["error"]["message"].as_str().unwrap().contains(why), "{ended}");
        assert_eq!(instance_code(&world).await, "AddonNotFound");
    }
}

#[tokio::test]
async fn a_cluster_that_is_not_connected_can_not_be_changed() {
    let mut seed = Seed::guide();
    seed.clusters[0].state = "disconnected".into();
    let world = World::of(&seed).await;
    let install = world.daemon.install("terway-eniip", "v1.9.14").await;
    assert_eq!(install.refused(), (400, "ErrorClusterState".into()));
    let pool = world.daemon.create_pool(&pool_body("p")).await;
    assert_eq!(pool.refused(), (400, "ErrorClusterState".into()));
}
