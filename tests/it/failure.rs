//! A fault that can't be retried, at each action in turn: everything is undone, and the world is byte for byte what it was.

use std::collections::BTreeSet;

use causeway_proto::v1::Failure;
use causeway_proto::v1::workflow::State;
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use serde_json::{Value, json};

/// Builds under a fault, and requires that the named step failed and the world is as it was.
async fn compensates(step: &str, rule: &str) {
    let scene = Scene::start(Options { faults: vec![rule.to_owned()], ..Options::default() }).await;
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    let failure = workflow.failure.expect("a failed workflow says why");
    assert_eq!(failure.step, step, "{failure:#?}");
    scene.assert_as_before().await;
}

/// Builds under a fault, and requires that the check refused before anything was touched.
async fn rejects(step: &str, rule: &str) {
    let scene = Scene::start(Options { faults: vec![rule.to_owned()], ..Options::default() }).await;
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Rejected, "{workflow:#?}");
    // All checks that can run end before the workflow turns, so others may have failed beside it.
    let failed: Vec<_> = workflow
        .steps
        .iter()
        .filter(|step| step.failure.is_some())
        .map(|step| step.name.as_str())
        .collect();
    assert!(failed.contains(&step), "{failed:?}");
    assert_eq!(scene.world.boundaries().passed(), [], "a check changed something");
    scene.assert_as_before().await;
}

macro_rules! at_each {
    ($ends:ident: $($name:ident = $step:literal $rule:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $ends($step, $rule).await;
            }
        )*
    };
}

mod action {
    use super::*;

    at_each! { compensates:
        fence_calico = "fence-calico" "k8s:write-daemonsets@kube-system/calico-node:error=403";
        create_ram_policy = "create-ram-policy" "ram:CreatePolicy:error=403/NoPermission";
        create_ram_user = "create-ram-user" "ram:CreateUser:error=403/NoPermission";
        attach_ram_policy = "attach-ram-policy" "ram:AttachPolicyToUser:error=403/NoPermission";
        create_access_key = "create-access-key" "ram:CreateAccessKey:error=403/NoPermission";
        store_addon_secret = "store-addon-secret" "k8s:write-secrets@kube-system/alibaba-addon-secret:error=403";
        install_terway = "install-terway" "cs:InstallClusterAddons:error=403/Forbidden";
        configure_eni = "configure-eni" "k8s:write-configmaps@kube-system/eni-config:error=403";
        mint_join_token = "mint-join-token" "k8s:write-secrets@kube-system/bootstrap-token-*:error=403";
        publish_init_script = "publish-init-script" "oss:PutObject:error=403/AccessDenied";
        register_init_script = "register-init-script" "k8s:write-configmaps@kube-system/ack-agent-config:error=403";
        create_node_pool = "create-node-pool[burst]" "cs:CreateClusterNodePool:error=403/Forbidden";
        scale_out = "scale-out[burst]" "cs:ModifyClusterNodePool:error=403/Forbidden";
    }
}

mod check {
    use super::*;

    at_each! { rejects:
        identity = "check-identity" "sts:GetCallerIdentity:error=403/NoPermission:*";
        registered_cluster = "check-registered-cluster" "cs:DescribeClusterDetail:error=403/Forbidden:*";
        network = "check-network" "vpc:DescribeVSwitches:error=403/Forbidden.RAM:*";
        capacity = "check-capacity" "ecs:DescribeInstanceTypes:error=403/Forbidden.RAM:*";
        kubernetes = "check-kubernetes" "k8s:create-selfsubjectaccessreviews:error=403:*";
    }
}

mod late {
    //! Failures behind the last action: the instances are there, and something about them is not right.

    use super::*;

    /// The last call that changes something on the way forward.
    const LAST_CALL: &str = "cs:ModifyClusterNodePool";
    const CALICO: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node";

    async fn kubernetes(scene: &Scene, method: &str, path: &str, body: Option<Value>) -> Value {
        let client = scene.world.client(&scene.world.seed().clusters[0].id).unwrap();
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/merge-patch+json");
        client.request(request.body(body).unwrap()).await.unwrap()
    }

    /// The paths of the cluster's bootstrap tokens.
    async fn join_tokens(scene: &Scene) -> BTreeSet<String> {
        let secrets = "/api/v1/namespaces/kube-system/secrets";
        let list = kubernetes(scene, "GET", secrets, None).await;
        let names = list["items"].as_array().unwrap().iter();
        let names = names.filter_map(|secret| secret["metadata"]["name"].as_str());
        let tokens = names.filter(|name| name.starts_with("bootstrap-token-"));
        tokens.map(|name| format!("{secrets}/{name}")).collect()
    }

    /// A build that rests just before it asks for instances.
    async fn before_the_last_call(scene: &Scene) -> String {
        scene.world.boundaries().arm(At::call(LAST_CALL, Side::Before));
        let id = scene.build().await;
        let boundaries = scene.world.boundaries();
        let reached = boundaries.reached();
        let limit = std::time::Duration::from_secs(90);
        assert!(tokio::time::timeout(limit, reached).await.is_ok(), "the build does not get there");
        id
    }

    /// Requires that everything is undone, after a failure of this step.
    async fn undone(scene: &Scene, id: &str, step: &str) -> Failure {
        let workflow = scene.rested(id).await;
        assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
        assert!(workflow.left.is_empty(), "{:#?}", workflow.left);
        scene.assert_as_before().await;
        let failure = workflow.failure.expect("a failed workflow says why");
        assert_eq!(failure.step, step, "{failure:#?}");
        failure
    }

    async fn under(rule: &str, step: &str) -> Failure {
        let options = Options { faults: vec![rule.to_owned()], ..Options::default() };
        let scene = Scene::start(options).await;
        let id = scene.build().await;
        undone(&scene, &id, step).await
    }

    fn says(failure: &Failure, words: &[&str]) {
        for word in words {
            assert!(failure.message.contains(word), "{word}: {failure:#?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn half_the_stock_is_told_in_the_words_of_the_scaling_group() {
        let failure = under("cs:ModifyClusterNodePool:partial", "scale-out[burst]").await;
        says(&failure, &["1 of 2 instances", "scaling activity", "OperationDenied.NoStock"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn instances_that_never_join_end_with_the_deadline() {
        let failure = under("cs:ModifyClusterNodePool:never-ready", "scale-out[burst]").await;
        says(&failure, &["2 of 2 instances", "0 of 2 nodes"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_script_that_fails_is_told_in_its_own_words() {
        let scene = Scene::guide().await;
        let before = join_tokens(&scene).await;
        let id = before_the_last_call(&scene).await;
        // Somebody takes the build's join token away: the nodes can't join any more.
        for path in join_tokens(&scene).await.difference(&before) {
            kubernetes(&scene, "DELETE", path, None).await;
        }
        scene.world.boundaries().release();
        let failure = undone(&scene, &id, "scale-out[burst]").await;
        says(&failure, &["instance i-", "scaling activity", "could not find a JWS signature"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nodes_that_are_never_ready_are_told_in_kubelets_words() {
        // Terway's pods never start, so the nodes have no network.
        let rule = "k8s:get-daemonsets@kube-system/terway-eniip:never-ready:*";
        let failure = under(rule, "verify-nodes[burst]").await;
        assert_eq!(failure.code, "CHECK_DEADLINE");
        says(&failure, &["is not Ready", "KubeletNotReady", "cni plugin not initialized"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn calico_on_a_cloud_node_is_found() {
        let scene = Scene::guide().await;
        let id = before_the_last_call(&scene).await;
        // Somebody takes the fence down again, as a GitOps tool would.
        let open = json!({"spec": {"template": {"spec": {"affinity": null}}}});
        kubernetes(&scene, "PATCH", CALICO, Some(open)).await;
        scene.world.boundaries().release();
        let failure = undone(&scene, &id, "verify-cni").await;
        assert_eq!(failure.code, "CNI_NOT_DISJOINT");
        assert_eq!(failure.findings.len(), 2, "one for each cloud node: {failure:#?}");
        assert!(failure.findings.iter().all(|one| one.code == "CALICO_ON_CLOUD_NODE"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cluster_that_may_not_be_read_any_more_is_undone() {
        let scene = Scene::guide().await;
        let id = before_the_last_call(&scene).await;
        // From here on only the last check looks at pods.
        scene.world.faults().add("k8s:list-pods:error=403").unwrap();
        scene.world.boundaries().release();
        let failure = undone(&scene, &id, "verify-cni").await;
        says(&failure, &["pods"]);
    }
}
