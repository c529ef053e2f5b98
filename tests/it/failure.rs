//! A fault that can't be retried, at each action in turn: everything is undone, and the world is byte for byte what it was.

use causeway_proto::v1::workflow::State;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;

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
