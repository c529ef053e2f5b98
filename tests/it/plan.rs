//! Plans: what a build would do is known beforehand, nothing is changed by asking, and a start that is held to a plan is refused,
//! or fails before it changes anything, where the world is another one by then.

use causeway_client::plan_of;
use causeway_proto::v1::planned_change::Action;
use causeway_proto::v1::planned_permission::{Kind, State as Permitted};
use causeway_proto::v1::planned_step::State as Outlook;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{ApproveStepRequest, Plan, PlannedStep, StartWorkflowRequest};
use causeway_sandbox::seed::Seed;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::leaks::{Place, Search};
use serde_json::json;

const CALICO: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node";
const FILE: &str = "hybrid-cluster.yaml";

async fn plan(scene: &Scene) -> Plan {
    scene.client().plan(plan_of(Scene::request(&scene.document(1)))).await.unwrap()
}

fn step<'p>(plan: &'p Plan, name: &str) -> &'p PlannedStep {
    plan.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn by_plan(scene: &Scene, plan: &Plan) -> StartWorkflowRequest {
    let mut request = Scene::request(&scene.document(1));
    request.plan_digest.clone_from(&plan.digest);
    request
}

/// Somebody gives calico-node an affinity of their own.
async fn edit_calico(scene: &Scene) {
    let term = json!({"matchExpressions": [{"key": "disk", "operator": "Exists"}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
    let patch = json!({"spec": {"template": {"spec": {"affinity": affinity}}}});
    scene.kubectl("PATCH", CALICO, "application/merge-patch+json", &patch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_whole_build_and_changes_nothing() {
    let scene = Scene::guide().await;
    let plan = plan(&scene).await;
    assert_eq!((plan.conflicts, plan.adoptions), (0, 0), "{plan:#?}");
    assert!(plan.digest.starts_with("plan-"), "{plan:#?}");
    assert!(plan.pivot.is_empty());
    assert_eq!(
        (plan.nodes[0].count, plan.nodes[0].instance_types.join(",")),
        (2, "ecs.g7.xlarge".to_owned())
    );

    let fence = &step(&plan, "fence-calico").changes[0];
    assert_eq!((fence.kind.as_str(), fence.action()), ("daemonset", Action::Modify));
    assert!(
        fence.diff.contains("+ ") && fence.diff.contains("alibabacloud.com/external"),
        "{fence:#?}"
    );
    let policy = &step(&plan, "create-ram-policy").changes[0];
    assert!(policy.diff.contains("ecs:CreateNetworkInterface"), "{policy:#?}");
    let eni = step(&plan, "configure-eni");
    assert_eq!((eni.state(), eni.known_after.as_str()), (Outlook::KnownAfter, "install-terway"));
    let eni = &eni.changes[0].diff;
    assert!(eni.contains("vsw-bp1pods") && eni.contains("ack.aliyun.com"), "{eni}");
    let key = step(&plan, "create-access-key");
    assert_eq!((key.state(), key.known_after.as_str()), (Outlook::KnownAfter, "create-ram-user"));
    let secret = &step(&plan, "store-addon-secret").changes[0].diff;
    assert!(secret.contains("access-key-secret: (sensitive)"), "{secret}");
    assert!(secret.contains("(known after create-access-key)"), "{secret}");
    for late in ["verify-nodes[burst]", "verify-cni"] {
        assert_eq!(step(&plan, late).state(), Outlook::KnownAfter);
    }
    assert_eq!(step(&plan, "approve-spend").state(), Outlook::NotAsked);
    for step in plan.steps.iter().filter(|step| !step.changes.is_empty()) {
        assert!(!step.undo.is_empty() && !step.summary.is_empty(), "{step:#?}");
    }

    let missing: Vec<_> =
        plan.permissions.iter().filter(|one| one.state() == Permitted::Missing).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let state = |kind: Kind, name: &str| {
        let found =
            plan.permissions.iter().find(|one| one.kind() == kind && one.permission == name);
        found.unwrap_or_else(|| panic!("{name} is not named")).state()
    };
    assert_eq!(state(Kind::Kubernetes, "patch daemonsets in kube-system"), Permitted::Granted);
    assert_eq!(state(Kind::Ram, "ram:GetUser"), Permitted::Granted);
    assert_eq!(state(Kind::Ram, "ram:CreateUser"), Permitted::Unknown);

    assert_eq!(scene.world.boundaries().passed(), [], "the plan changed something");
    assert!(scene.client().list(Default::default()).await.unwrap().workflows.is_empty());
    scene.assert_as_before().await;
    assert_eq!(self::plan(&scene).await.digest, plan.digest, "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_would_happen_and_what_to_type_next() {
    let scene = Scene::guide().await;
    let ran = scene.cli(&["plan", "-f", FILE]).await;
    let text = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(
        text.starts_with(
            "13 to change, 0 adopted, 0 conflicts; 2 nodes of ecs.g7.xlarge to be paid for\n"
        ),
        "{text}"
    );
    for part in [
        "~ fence-calico",
        "+ create-ram-policy",
        "undo:",
        "(known after create-access-key)",
        "unknown, as it can't be asked",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let digest =
        String::from_utf8(scene.cli(&["plan", "-f", FILE, "-o", "name"]).await.stdout).unwrap();
    let next = format!("causeway start -f {FILE} --plan {}", digest.trim());
    assert!(text.ends_with(&format!("Next\n  {next}\n")), "{text}");
    let detailed = scene.cli(&["workflows", "plan", "-f", FILE, "--detailed-exitcode"]).await;
    assert_eq!(detailed.status.code(), Some(11));
    let arguments: Vec<&str> = next.split(' ').skip(1).chain(["--wait"]).collect();
    let started = scene.cli(&arguments).await;
    assert_eq!(started.status.code(), Some(0), "{}", String::from_utf8_lossy(&started.stderr));
    let listed = scene.client().list(Default::default()).await.unwrap().workflows;
    let workflow = scene.client().get(&listed[0].id).await.unwrap();
    assert_eq!(
        (workflow.state(), workflow.plan_digest.as_str()),
        (State::Succeeded, digest.trim())
    );

    let again = scene.cli(&["plan", "-f", FILE]).await;
    assert_eq!(again.status.code(), Some(10), "the cluster has a record now");
    assert!(String::from_utf8_lossy(&again.stderr).contains("CLUSTER_EXISTS"));
}

/// Every call of a build to the cloud must be among the permissions of its plan.
fn assert_calls_are_listed(scene: &Scene, plan: &Plan) {
    let listed = |name: &str| plan.permissions.iter().any(|one| one.permission == name);
    let passed = scene.world.boundaries().passed();
    let cloud = passed.iter().filter(|boundary| boundary.product != "k8s");
    let unlisted: Vec<String> = cloud
        .map(|boundary| format!("{}:{}", boundary.product, boundary.action))
        .filter(|name| !listed(name))
        .collect();
    assert!(passed.len() > 5 && unlisted.is_empty(), "the plan does not name {unlisted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_world_changes_the_plan_and_refuses_a_start_by_the_old_one() {
    let scene = Scene::guide().await;
    let old = plan(&scene).await;
    edit_calico(&scene).await;
    let error = scene.client().start(by_plan(&scene, &old)).await.unwrap_err();
    assert_eq!(error.reason(), "PLAN_STALE", "{error}");
    assert!(error.to_string().contains("fence-calico"), "{error}");
    assert!(!error.to_string().contains("create-ram-policy"), "{error}");
    let new = plan(&scene).await;
    assert_ne!(new.digest, old.digest);
    let diff = |plan: &Plan| step(plan, "fence-calico").changes[0].diff.clone();
    assert!(diff(&new).contains("disk") && !diff(&old).contains("disk"), "{}", diff(&new));
    assert!(scene.client().list(Default::default()).await.unwrap().workflows.is_empty());
    assert_eq!(scene.world.boundaries().passed(), []);

    let mut other = by_plan(&scene, &new);
    other.metadata.as_mut().unwrap().name = "another".to_owned();
    let error = scene.client().start(other).await.unwrap_err();
    assert!(error.to_string().contains("since the plan: input;"), "{error}");
    let unknown = Plan { digest: "plan-0123456789abcdef0123456789abcdef".to_owned(), ..old };
    let error = scene.client().start(by_plan(&scene, &unknown)).await.unwrap_err();
    assert!(
        error.reason() == "PLAN_STALE" && error.to_string().contains("does not know"),
        "{error}"
    );

    let started = scene.client().start(by_plan(&scene, &new)).await.unwrap();
    assert_eq!(scene.rested(&started.id).await.state(), State::Succeeded);
    assert_calls_are_listed(&scene, &new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_changes_after_the_start_is_left_alone() {
    let scene = Scene::guide().await;
    let mut document = scene.document(1);
    document["run"]["gates"]["spend"] = json!({"required": true});
    let mut request = Scene::request(&document);
    let plan = scene.client().plan(plan_of(request.clone())).await.unwrap();
    assert_eq!(step(&plan, "approve-spend").state(), Outlook::WaitsForApproval);
    request.plan_digest.clone_from(&plan.digest);
    let id = scene.client().start(request).await.unwrap().id;
    let waiting = scene.rested(&id).await;
    assert_eq!(waiting.state(), State::AwaitingApproval, "{waiting:#?}");
    assert_eq!(waiting.plan_digest, plan.digest);
    edit_calico(&scene).await;
    let approved = scene.cli(&["approve", &id, "approve-spend"]).await;
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    let ended = scene.rested(&id).await;
    assert!(matches!(ended.state(), State::Compensated | State::Rejected), "{ended:#?}");
    let failure = ended.failure.unwrap();
    assert_eq!((failure.step.as_str(), failure.code.as_str()), ("fence-calico", "PLAN_STALE"));
    let fenced = scene.world.boundaries().passed();
    assert!(!fenced.iter().any(|boundary| boundary.action.contains("daemonsets")), "{fenced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_must_be_of_the_plan_that_was_shown() {
    let scene = Scene::guide().await;
    let mut document = scene.document(1);
    document["run"]["gates"]["spend"] = json!({"required": true});
    let mut request = Scene::request(&document);
    let plan = scene.client().plan(plan_of(request.clone())).await.unwrap();
    request.plan_digest.clone_from(&plan.digest);
    let id = scene.client().start(request).await.unwrap().id;
    let waiting = scene.rested(&id).await;
    let approval = |plan_digest: &str| ApproveStepRequest {
        name: waiting.name.clone(),
        step: "approve-spend".to_owned(),
        etag: waiting.etag.clone(),
        plan_digest: plan_digest.to_owned(),
        ..ApproveStepRequest::default()
    };
    let client = scene.client();
    for other in ["", "plan-0123456789abcdef0123456789abcdef"] {
        let error = client.approve_step(approval(other)).await.unwrap_err();
        assert_eq!(error.reason(), "PLAN_STALE", "{other}: {error}");
    }
    client.approve_step(approval(&plan.digest)).await.unwrap();
    assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_adopted_and_no_format_shows_a_secret() {
    let mut seed = Seed::guide();
    seed.clusters[0].data_center.addon_user = Some("ack-one-addons".into());
    let scene = Scene::start(Options { seed, ..Options::default() }).await;
    let plan = plan(&scene).await;
    for name in ["create-ram-user", "create-access-key", "store-addon-secret"] {
        let step = step(&plan, name);
        assert_eq!(step.state(), Outlook::Observed, "{step:#?}");
        assert_eq!(step.changes[0].action(), Action::Keep, "{step:#?}");
    }
    assert_eq!(plan.adoptions, 3, "{plan:#?}");
    let secrets = scene.world.secrets().await.unwrap();
    assert!(!secrets.is_empty());
    let search = Search::new(secrets.iter().map(|secret| ("a secret", secret.as_str())));
    for format in ["table", "wide", "json", "jsonl", "yaml", "name"] {
        let ran = scene.cli(&["plan", "-f", FILE, "-o", format]).await;
        assert!(ran.status.success());
        let printed = [ran.stdout, ran.stderr].concat();
        let found = search.find(&Place { name: format.to_owned(), bytes: printed });
        assert!(found.is_empty(), "{found:?}");
    }
    assert_eq!(scene.world.boundaries().passed(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_and_failing_checks_are_shown_all_at_once() {
    let mut seed = Seed::guide();
    seed.clusters[0].data_center.denied = vec![("patch".into(), "daemonsets".into())];
    let scene = Scene::start(Options { seed, ..Options::default() }).await;
    let half = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alibaba-addon-secret"},
        "data": {"access-key-id": "TFRBSQ=="}});
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    scene.kubectl("POST", secrets, "application/json", &half).await;
    let plan = plan(&scene).await;
    assert_eq!(step(&plan, "create-ram-user").state(), Outlook::Conflict);
    assert_eq!(step(&plan, "check-kubernetes").state(), Outlook::Fails);
    assert_eq!(plan.conflicts, 1);
    let codes: Vec<&str> = plan.findings.iter().map(|found| found.code.as_str()).collect();
    assert!(codes.contains(&"CONFLICT") && codes.contains(&"PERMISSION_MISSING"), "{codes:?}");
    let ran = scene.cli(&["plan", "-f", FILE, "--detailed-exitcode"]).await;
    assert_eq!(ran.status.code(), Some(2));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(!text.contains("causeway start"), "{text}");
    assert_eq!(scene.world.boundaries().passed(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_looked_at_leaves_the_plan_without_a_digest() {
    let scene = Scene::guide().await;
    scene.world.faults().add("ram:GetPolicy:error=503/ServiceUnavailable:*").unwrap();
    let plan = plan(&scene).await;
    assert!(plan.digest.is_empty(), "{plan:#?}");
    assert!(plan.steps.iter().any(|step| step.state() == Outlook::Unread), "{plan:#?}");
    let ran = scene.cli(&["plan", "-f", FILE]).await;
    assert_eq!(ran.status.code(), Some(1));
}
