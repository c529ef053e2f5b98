//! The least policies in `deploy/` are what the steps say, and are enough and no more: a daemon that may do just this builds, undoes
//! and tells what it lacks; and what its calls have used is what the policies hold.

use std::collections::BTreeSet;

use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{StartWorkflowRequest, TeardownSpec};
use causeway_sandbox::faults::{At, KubernetesUse, Side};
use causeway_sandbox::instances::companion;
use causeway_sandbox::seed::{Calico, Seed};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_workflows::permissions;
use serde_json::{Value, json};
use tokio::process::Command;

const RAM: &str = include_str!("../../deploy/ram-policy.json");
const RBAC: &str = include_str!("../../deploy/rbac.yaml");

/// What no run here provokes, by how it begins or ends, and when it is needed.
const NOT_PROVOKED: [(&str, &str); 13] = [
    ("cen:", "where the VPC is attached to a CEN instance"),
    (".crd.projectcalico.org in *", "where the add-on's package has damaged objects of this kind"),
    ("create customresourcedefinitions", "where the add-on's package took a CRD of Calico's away"),
    ("create configmaps", "where there is no ack-agent-config yet"),
    ("delete configmaps", "where there was no ack-agent-config before"),
    ("delete pods", "where Terway's pods run when their configuration changes"),
    ("get clusterroles", "where the agent is not bound to cluster-admin"),
    ("ram:CreatePolicyVersion", "where the policy is there and allows less"),
    ("ram:SetDefaultPolicyVersion", "where the policy is there and allows less"),
    ("ram:DeletePolicyVersion", "where the policy has five versions already"),
    ("cs:DescribeClusterUserKubeconfig", "where no kubeconfig is configured"),
    (
        "oss:PutObjectAcl",
        "for the ACL that goes with the object: OSS may ask for both, the sandbox does not",
    ),
    ("oss:GetObjectAcl", "where the script is there already, and public"),
];

/// The documents of the file, for the world's name of the daemon.
fn rbac() -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(RBAC).unwrap();
    let roles = documents.into_iter().filter(|document| document["kind"] != "ServiceAccount");
    roles
        .map(|mut document| {
            if document["subjects"].is_array() {
                document["subjects"] = json!([{"kind": "User", "name": "causewayd"}]);
            }
            document
        })
        .collect()
}

/// A world whose daemon may do just what the files say.
fn bound(mut seed: Seed) -> Options {
    seed.account.daemon_policy = Some(RAM.to_owned());
    for cluster in &mut seed.clusters {
        cluster.data_center.daemon_rbac = rbac();
    }
    Options { seed, ..Options::default() }
}

/// What was used, in one form for both kinds.
fn used(scene: &Scene) -> BTreeSet<String> {
    let faults = scene.world.faults();
    let verb = |used: KubernetesUse| {
        let place = if used.namespace.is_empty() { "*" } else { &used.namespace };
        format!("{} {}.{} in {place}", used.verb, used.resource, used.group)
    };
    let verbs = faults.uses().kubernetes().into_iter().map(verb);
    // What everybody may ask about themselves.
    let verbs = verbs.filter(|verb| !verb.contains("selfsubjectaccessreviews"));
    faults.uses().cloud().into_iter().chain(verbs).collect()
}

/// What the steps say, in the same form.
fn declared() -> BTreeSet<String> {
    let verb = |need: permissions::ClusterNeed| {
        let verb = need.verb;
        let part = verb.subresource.map(|part| format!("/{part}")).unwrap_or_default();
        let place = verb.namespace.as_deref().unwrap_or("*");
        format!(
            "{} {}{part}.{} in {place}",
            verb.verb,
            verb.resource.plural(),
            verb.resource.group()
        )
    };
    let ram = permissions::ram().into_keys().map(str::to_owned);
    ram.chain(permissions::kubernetes().into_iter().map(verb)).collect()
}

/// Takes down what was built.
async fn taken_down(scene: &Scene) {
    let spec = TeardownSpec { hybrid_cluster: "dc1".to_owned(), ..TeardownSpec::default() };
    let request = StartWorkflowRequest { spec: Some(Spec::Teardown(spec)), ..Default::default() };
    let started = scene.client().start(request).await.unwrap();
    let done = scene.rested(&started.id).await;
    assert_eq!(done.state(), State::Succeeded, "{:#?}", done.failure);
    scene.assert_as_before().await;
}

/// A build that succeeds, and is taken down; what that used.
async fn built(seed: Seed, change: impl FnOnce(&mut Value)) -> BTreeSet<String> {
    let scene = Scene::start(bound(seed)).await;
    let mut document = scene.document(1);
    change(&mut document);
    let started = scene.client().start(Scene::request(&document)).await.unwrap();
    let done = scene.rested(&started.id).await;
    assert_eq!(done.state(), State::Succeeded, "{:#?}", done.failure);
    let verified = scene.cli(&["clusters", "verify", "dc1"]).await;
    let said = String::from_utf8_lossy(&verified.stderr);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    taken_down(&scene).await;
    used(&scene)
}

/// A build whose last check is refused what it reads, so that all of it is undone; what it used.
async fn undone() -> BTreeSet<String> {
    let scene = Scene::start(bound(Seed::guide())).await;
    let boundaries = scene.world.boundaries();
    boundaries.arm(At::call("cs:ModifyClusterNodePool", Side::After));
    let id = scene.build().await;
    boundaries.reached().await;
    scene.world.faults().add("k8s:list-pods:error=403").unwrap();
    boundaries.release();
    let done = scene.rested(&id).await;
    assert_eq!(done.state(), State::Compensated, "{done:#?}");
    scene.assert_as_before().await;
    used(&scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_policies_are_enough_and_hold_nothing_that_is_not_used() {
    let mut operated = Seed::guide();
    operated.clusters[0].data_center.calico = Calico::Operator;
    let public = |document: &mut Value| {
        document["spec"]["init_script"]["publish"]["oss"]["access"] = "PUBLIC_READ".into();
        document["spec"]["init_script"]["publish"]["oss"]["allow_public_token"] = true.into();
    };
    let (one, two, three) =
        tokio::join!(undone(), built(operated, |_| {}), built(Seed::guide(), public));
    let declared = declared();
    // What is not declared for its own namespace is declared for all of them.
    let wide = |used: String| match used.rsplit_once(" in ") {
        Some((what, _)) if !declared.contains(&used) => format!("{what} in *"),
        _ => used,
    };
    let used: BTreeSet<String> = [one, two, three].into_iter().flatten().map(wide).collect();
    // A permission that is not in the files is refused, so none of these was used.
    assert_eq!(used.difference(&declared).collect::<Vec<_>>(), [] as [&String; 0]);
    let excused = |permission: &str| {
        NOT_PROVOKED
            .iter()
            .any(|(part, _)| permission.starts_with(part) || permission.ends_with(part))
    };
    let idle: Vec<_> =
        declared.difference(&used).filter(|permission| !excused(permission)).collect();
    assert!(idle.is_empty(), "nothing has used {idle:#?}");
    for (part, when) in NOT_PROVOKED {
        let needed = declared.iter().any(|one| one.starts_with(part) || one.ends_with(part));
        assert!(needed, "{part} ({when}) is not declared any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_what_the_daemon_prints() {
    for (kind, file) in [("ram", RAM), ("rbac", RBAC)] {
        let program = companion::daemon_binary().await.unwrap();
        let output = Command::new(program).args(["policy", kind]).output().await.unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let how = "run `causewayd policy ram > deploy/ram-policy.json` and `causewayd policy rbac > deploy/rbac.yaml`";
        assert!(printed == file, "the steps need something else than deploy/ says: {how}");
    }
}

/// The lines of `causewayd check`, and whether it found no fault.
async fn check(scene: &Scene) -> (bool, String) {
    let mut command = Command::new(companion::daemon_binary().await.unwrap());
    command.arg("--config").arg(scene.world.folder().file("causewayd.toml")).arg("check");
    for variable in ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"] {
        command.env_remove(variable);
    }
    let output = command.output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_who_the_daemon_is_and_that_it_lacks_nothing() {
    let scene = Scene::without_daemon(bound(Seed::guide())).await;
    let (good, said) = check(&scene).await;
    assert!(good, "{said}");
    let user = "user/causewayd, with section [default] of the file";
    let all = [user, "causewayd may do all", "the kubeconfig's user may do all"];
    assert!(all.iter().all(|words| said.contains(words)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_permission_that_is_missing_and_a_policy_that_has_it() {
    let mut options = bound(Seed::guide());
    let less = RAM.replace("\"ram:DeleteUser\",", "").replace("\"ecs:DescribeInstances\",", "");
    options.seed.account.daemon_policy = Some(less);
    options.seed.clusters[0].data_center.denied =
        vec![("patch".into(), "daemonsets".into()), ("delete".into(), "nodes".into())];
    let scene = Scene::without_daemon(options).await;
    let (good, said) = check(&scene).await;
    assert!(!good, "{said}");
    let policy = r#"attach a policy such as {"Statement":[{"Action":["ecs:DescribeInstances"],"Effect":"Allow","Resource":"*"},{"Action":["ram:DeleteUser"]"#;
    let roles = "may not delete nodes, patch daemonsets in kube-system; apply the roles";
    assert!(said.contains(policy) && said.contains(roles), "{said}");
    assert!(said.contains("causewayd may not do 2 of the"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_it_could_not_tell() {
    let mut options = bound(Seed::guide());
    options.seed.account.daemon_policy = Some(RAM.replace("\"ram:ListPoliciesForUser\",", ""));
    let scene = Scene::without_daemon(options).await;
    let (good, said) = check(&scene).await;
    assert!(good && said.contains("can't be told; `causewayd policy ram` prints"), "{said}");
}
