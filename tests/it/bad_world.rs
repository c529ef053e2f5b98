//! A world that the guide's prerequisites do not hold in: refused before anything is touched, with everything that is wrong with it,
//! each naming what and where and what to do.

use causeway_proto::v1::finding::Severity;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Finding, Workflow};
use causeway_sandbox::seed::{Calico, Cluster, Seed, Vpc, Vswitch};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;

/// Every error that the checks found.
fn errors(workflow: &Workflow) -> Vec<Finding> {
    let failures = workflow.steps.iter().filter_map(|step| step.failure.as_ref());
    let findings = failures.flat_map(|failure| &failure.findings);
    findings.filter(|finding| finding.severity() == Severity::Error).cloned().collect()
}

/// Builds in the guide's world after a change, with a change of the document, and requires that it is refused with these findings
/// and no others, from a command line that says so, and that nothing was touched.
async fn rejected(
    change: impl FnOnce(&mut Seed),
    edit: impl FnOnce(&mut serde_json::Value),
    expected: &[(&str, &str)],
) -> Scene {
    let mut seed = Seed::guide();
    change(&mut seed);
    let scene = Scene::start(Options { seed, ..Options::default() }).await;
    let mut document = scene.document(1);
    edit(&mut document);
    let file = scene.world.folder().file("bad.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let output = scene.cli(&["start", "-f", "bad.json", "--wait", "-o", "name"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");

    let listed = scene.client().list(Default::default()).await.unwrap().workflows;
    let workflow = scene.client().get(&listed[0].id).await.unwrap();
    assert_eq!(workflow.state(), State::Rejected, "{workflow:#?}");
    assert_eq!(scene.world.boundaries().passed(), [], "a check changed something");
    scene.assert_as_before().await;
    let found = errors(&workflow);
    let short: Vec<_> = found.iter().map(|it| (it.code.as_str(), it.subject.as_str())).collect();
    for (code, subject) in expected {
        let matches = |(found, at): &&(&str, &str)| found == code && at.contains(subject);
        assert!(short.iter().any(|it| matches(&it)), "{code} at {subject} is not among {short:#?}");
    }
    let foreign = |(code, _): &&(&str, &str)| !expected.iter().any(|(known, _)| known == code);
    assert!(!short.iter().any(|it| foreign(&it)), "more than {expected:?}: {short:#?}");
    let description = scene.cli(&["describe", &workflow.id]).await;
    let description = String::from_utf8_lossy(&description.stdout).into_owned();
    for finding in &found {
        assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding:#?}");
        assert!(
            description.contains(&finding.subject),
            "{} is not in\n{description}",
            finding.subject
        );
    }
    scene
}

fn cluster(seed: &mut Seed) -> &mut Cluster {
    &mut seed.clusters[0]
}

fn other_vpc() -> Vpc {
    let vswitch = Vswitch {
        id: "vsw-bp1other".into(),
        zone: "cn-hangzhou-h".into(),
        cidr: "10.10.24.0/24".into(),
        available: 252,
    };
    Vpc {
        id: "vpc-bp1other".into(),
        cidr: "10.0.0.0/8".into(),
        vswitches: vec![vswitch],
        security_groups: vec![],
        routes: vec![],
    }
}

macro_rules! rejects {
    ($($name:ident: $seed:expr, $document:expr, $expected:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                rejected($seed, $document, &$expected).await;
            }
        )*
    };
}

rejects! {
    a_vswitch_of_another_vpc: |seed| seed.vpcs.push(other_vpc()),
        |document| document["spec"]["vpc"]["node_vswitches"][0]["id"] = "vsw-bp1other".into(),
        [("VSWITCH_OTHER_VPC", "spec.vpc.node_vswitches[0].id (vsw-bp1other)")];
    a_vswitch_that_does_not_exist: |_| {},
        |document| document["spec"]["vpc"]["pod_vswitches"][0]["id"] = "vsw-none".into(),
        [("VSWITCH_NOT_FOUND", "spec.vpc.pod_vswitches[0].id (vsw-none)")];
    a_zone_that_is_not_the_vswitchs: |_| {},
        |document| document["spec"]["vpc"]["pod_vswitches"][0]["zone"] = "cn-hangzhou-k".into(),
        [("ZONE_MISMATCH", "spec.vpc.pod_vswitches[0].zone (cn-hangzhou-k)")];
    a_vswitch_that_overlaps_the_data_center: |seed| seed.vpcs[0].vswitches.push(Vswitch {
            id: "vsw-bp1clash".into(), zone: "cn-hangzhou-h".into(), cidr: "10.100.7.0/24".into(), available: 252 }),
        |document| document["spec"]["vpc"]["pod_vswitches"] = serde_json::json!([{"id": "vsw-bp1pods"}]),
        [("VSWITCH_OVERLAP", "spec.on_premises.pod_cidrs[0] (10.100.0.0/16)")];
    no_private_way_to_the_pods: |seed| { seed.vpcs[0].routes.pop(); }, |_| {},
        [("NO_PRIVATE_ROUTE", "spec.on_premises.pod_cidrs[0] (10.100.0.0/16)")];
    a_public_agent: |seed| cluster(seed).data_center.private_agent = false, |_| {},
        [("PUBLIC_AGENT", "deployment kube-system/ack-cluster-agent")];
    a_restricted_agent: |seed| cluster(seed).data_center.admin_agent = false, |_| {},
        [("RESTRICTED_AGENT", "service account kube-system/ack")];
    no_calico: |seed| cluster(seed).data_center.calico = Calico::Missing, |_| {},
        [("CALICO_MISSING", "daemonsets")];
    an_overlay: |seed| cluster(seed).data_center.calico = Calico::Overlay, |_| {},
        [("CALICO_OVERLAY", "ippools")];
    a_type_with_one_interface: |_| {},
        |document| document["spec"]["node_pools"][0]["instance_types"] = serde_json::json!(["ecs.t6-c1m1.large"]),
        [("INSTANCE_TYPE_ONE_ENI", "spec.node_pools[0].instance_types[0] (ecs.t6-c1m1.large)")];
    a_type_without_stock: |seed| seed.instance_types[0].zones.clear(), |_| {},
        [("OUT_OF_STOCK", "spec.node_pools[0].instance_types (ecs.g7.xlarge)")];
    a_cluster_that_was_never_connected: |seed| cluster(seed).state = "waiting".into(), |_| {},
        [("CLUSTER_NOT_RUNNING", "spec.cluster_id")];
    a_managed_cluster: |seed| cluster(seed).cluster_type = "ManagedKubernetes".into(), |_| {},
        [("NOT_REGISTERED", "spec.cluster_id")];
    a_cluster_that_the_account_does_not_have: |_| {},
        |document| document["spec"]["cluster_id"] = "c00000000000000000000000000000000".into(),
        [("CLUSTER_NOT_FOUND", "spec.cluster_id (c00000000000000000000000000000000)")];
    too_few_addresses_for_nodes_and_pods: |seed| {
            for vswitch in &mut seed.vpcs[0].vswitches { vswitch.available = 1; }
        }, |_| {},
        [("NODE_ADDRESSES_SHORT", "spec.node_pools[0].vswitch_ids"), ("POD_ADDRESSES_SHORT", "spec.vpc.pod_vswitches")];
    a_security_group_that_lets_nobody_in: |seed| seed.vpcs[0].security_groups[0].rules.retain(|rule| rule.0 == "egress"), |_| {},
        [("SECURITY_GROUP_CLOSED", "spec.vpc.security_group_id (sg-bp1guide)")];
    a_permission_that_the_kubeconfig_lacks: |seed| cluster(seed).data_center.denied =
            vec![("patch".into(), "daemonsets".into()), ("create".into(), "secrets".into())], |_| {},
        [("PERMISSION_MISSING", "patch daemonsets in kube-system"), ("PERMISSION_MISSING", "create secrets in kube-system")];
    everything_that_is_wrong_is_said_at_once: |seed| {
            seed.vpcs.push(other_vpc());
            seed.vpcs[0].routes.clear();
            seed.vpcs[0].security_groups[0].rules.retain(|rule| rule.0 == "egress");
            let cluster = cluster(seed);
            cluster.state = "disconnected".into();
            cluster.data_center.private_agent = false;
            cluster.data_center.admin_agent = false;
            cluster.data_center.calico = Calico::Overlay;
            cluster.data_center.denied = vec![("patch".into(), "daemonsets".into())];
        },
        |document| {
            document["spec"]["vpc"]["pod_vswitches"][0] = serde_json::json!({"id": "vsw-bp1other"});
            document["spec"]["node_pools"][0]["instance_types"] = serde_json::json!(["ecs.t6-c1m1.large"]);
        },
        [
            ("CLUSTER_NOT_RUNNING", "spec.cluster_id"),
            ("PUBLIC_AGENT", "kube-system"),
            ("RESTRICTED_AGENT", "kube-system"),
            ("VSWITCH_OTHER_VPC", "spec.vpc.pod_vswitches[0].id"),
            ("NO_PRIVATE_ROUTE", "spec.on_premises.node_cidrs[0]"),
            ("NO_PRIVATE_ROUTE", "spec.on_premises.pod_cidrs[0]"),
            ("SECURITY_GROUP_CLOSED", "sg-bp1guide"),
            ("INSTANCE_TYPE_ONE_ENI", "spec.node_pools[0].instance_types[0]"),
            ("CALICO_OVERLAY", "ippools"),
            ("PERMISSION_MISSING", "patch daemonsets"),
        ];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_was_mended_is_built_in() {
    let scene = rejected(
        |seed| seed.instance_types[0].zones.clear(),
        |_| {},
        &[("OUT_OF_STOCK", "spec.node_pools[0].instance_types")],
    )
    .await;
    let mut document = scene.document(1);
    document["spec"]["node_pools"][0]["instance_types"] = serde_json::json!(["ecs.g7.large"]);
    let started = scene.client().start(Scene::request(&document)).await.unwrap();
    assert_eq!(scene.rested(&started.id).await.state(), State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_own_addresses_pass_with_a_warning() {
    let scene = Scene::guide().await;
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let warning = workflow.warnings.iter().find(|warning| warning.code == "VPC_BLOCK_OVERLAP");
    let warning = warning.expect("the VPC's block contains the data center's pods");
    assert!(warning.subject.contains("10.100.0.0/16"), "{warning:#?}");
}
