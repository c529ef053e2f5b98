//! Teardowns: a finished build is undone by its record, months later, whatever became of its workflow and of the world meanwhile.

use std::time::Duration;

use causeway_client::{Ask, Error, plan_of};
use causeway_proto::v1::ledger_entry::State as Entry;
use causeway_proto::v1::planned_change::Action;
use causeway_proto::v1::planned_step::State as Outlook;
use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Plan, PlannedStep, StartWorkflowRequest, TeardownSpec, Workflow};
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::seed::Seed;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::scene::difference;
use serde_json::json;

/// The policy of the guide, as the ledger has it.
const POLICY: &str = "ack-one-registered-cluster-policy-terway-eniip";
/// Exit codes.
const STUCK: i32 = 5;
const DIFFERENCES: i32 = 11;

const AGENT: &str = "/api/v1/namespaces/kube-system/configmaps/ack-agent-config";

fn teardown_of(name: &str) -> StartWorkflowRequest {
    let teardown = TeardownSpec { hybrid_cluster: name.to_owned(), forget: false };
    StartWorkflowRequest { spec: Some(Spec::Teardown(teardown)), ..Default::default() }
}

async fn built(scene: &Scene) -> Workflow {
    let id = scene.build().await;
    let built = scene.rested(&id).await;
    assert_eq!(built.state(), State::Succeeded, "{built:#?}");
    built
}

async fn begin(scene: &Scene) -> String {
    scene.client().start(teardown_of("dc1")).await.unwrap().id
}

async fn torn_down(scene: &Scene) -> Workflow {
    let id = begin(scene).await;
    scene.rested(&id).await
}

async fn abandoned(scene: &Scene, id: &str) -> Workflow {
    let mut workflow = scene.client().abandon(id, "for another day").await.unwrap();
    while workflow.state() != State::Abandoned {
        let patience = Duration::from_secs(5);
        workflow = scene.client().wait(id, &workflow.etag, patience).await.unwrap();
    }
    workflow
}

/// Waits until retention has deleted it.
async fn deleted(scene: &Scene, id: &str) {
    let gone = async {
        while scene.client().get(id).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("its time is over");
}

async fn assert_no_record(scene: &Scene) {
    let found = scene.client().cluster("dc1").await;
    let Err(Error::Api(error)) = found else { panic!("there is a record: {found:#?}") };
    assert_eq!(error.reason, "HYBRID_CLUSTER_NOT_FOUND");
}

/// Somebody gives the agent another script than the one that the build has published.
async fn others_register_a_script(scene: &Scene) {
    let patch = json!({"data": {"addNodeScriptPath": "http://theirs.example/init.sh"}});
    scene.kubectl("PATCH", AGENT, "application/merge-patch+json", &patch).await;
}

fn step<'p>(plan: &'p Plan, name: &str) -> &'p PlannedStep {
    plan.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn reason<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Api(error)) => error.reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_after_its_workflow_was_deleted_the_world_is_as_before_the_build() {
    let mut scene = Scene::guide().await;
    let workflow = built(&scene).await;
    scene.daemon().kill().await;
    let config = scene.world.folder().file("causewayd.toml");
    let kept = std::fs::read_to_string(&config).unwrap() + "\n[retention]\nmax_count = 0\n";
    std::fs::write(&config, kept).unwrap();
    scene.start_daemon(&[]).await;
    deleted(&scene, &workflow.id).await;
    let torn = torn_down(&scene).await;
    assert_eq!(
        (torn.state(), torn.definition.as_str()),
        (State::Succeeded, "teardown"),
        "{torn:#?}"
    );
    assert!(torn.left.is_empty(), "{torn:#?}");
    scene.assert_as_before().await;
    assert_no_record(&scene).await;
    // And it can be built and taken down again.
    built(&scene).await;
    assert_eq!(torn_down(&scene).await.state(), State::Succeeded);
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_plan_says_what_each_undo_comes_to_and_changes_nothing() {
    let scene = Scene::guide().await;
    built(&scene).await;
    let (world, record) = (scene.ledger().await, scene.client().cluster("dc1").await.unwrap());
    let plan = scene.client().plan(plan_of(teardown_of("dc1"))).await.unwrap();
    for step in &plan.steps {
        let planned =
            matches!(step.state(), Outlook::Undo | Outlook::KnownAfter | Outlook::NothingToUndo);
        assert!(planned && step.note.is_empty(), "{step:#?}");
    }
    let fence = &step(&plan, "fence-calico").changes[0];
    assert_eq!((fence.kind.as_str(), fence.action()), ("daemonset", Action::Restore));
    let (nodes, pool) = (step(&plan, "scale-out[burst]"), step(&plan, "create-node-pool[burst]"));
    assert_eq!(nodes.state(), Outlook::Undo, "{nodes:#?}");
    let foreseen = (pool.state(), pool.known_after.as_str(), pool.changes[0].action());
    assert_eq!(foreseen, (Outlook::KnownAfter, "scale-out[burst]", Action::Remove), "{pool:#?}");
    assert!(plan.digest.starts_with("plan-"), "{plan:#?}");
    assert_eq!(scene.ledger().await, world);
    assert_eq!(scene.client().cluster("dc1").await.unwrap(), record);

    let again = scene.client().plan(plan_of(teardown_of("dc1"))).await.unwrap();
    assert_eq!(again.digest, plan.digest);
    others_register_a_script(&scene).await;
    let now = scene.client().plan(plan_of(teardown_of("dc1"))).await.unwrap();
    let script = step(&now, "register-init-script");
    assert!(script.note.contains("others have changed"), "{script:#?}");
    let by_plan = StartWorkflowRequest { plan_digest: plan.digest, ..teardown_of("dc1") };
    assert_eq!(reason(scene.client().start(by_plan).await), "PLAN_STALE");
    let by_plan = StartWorkflowRequest { plan_digest: now.digest, ..teardown_of("dc1") };
    let id = scene.client().start(by_plan).await.unwrap().id;
    assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_changed_meanwhile_is_kept_and_said() {
    let scene = Scene::guide().await;
    built(&scene).await;
    others_register_a_script(&scene).await;
    let torn = torn_down(&scene).await;
    assert_eq!(torn.state(), State::Succeeded, "{torn:#?}");
    let kept: Vec<_> = torn.left.iter().map(|left| (left.step.as_str(), left.state())).collect();
    assert_eq!(kept, [("register-init-script", Entry::Kept)], "{:#?}", torn.left);
    let difference = difference(&scene.before, &scene.ledger().await);
    assert!(difference.contains("theirs"), "{difference}");
    assert!(!difference.contains("ram"), "everything else is gone: {difference}");
    assert_no_record(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_a_kill_and_can_not_be_cancelled_once_it_has_begun() {
    let mut scene = Scene::guide().await;
    built(&scene).await;
    scene.world.boundaries().arm(At::call("ram:DetachPolicyFromUser", Side::After));
    let id = begin(&scene).await;
    scene.world.boundaries().reached().await;
    let running = scene.client().get(&id).await.unwrap();
    assert_eq!(running.state(), State::Running, "{running:#?}");
    assert_eq!(reason(scene.client().cancel(&id, "too late").await), "PAST_PIVOT");
    scene.daemon().kill().await;
    scene.world.boundaries().drop_call();
    scene.start_daemon(&[]).await;
    let torn = scene.rested(&id).await;
    assert_eq!(torn.state(), State::Succeeded, "{torn:#?}");
    scene.assert_as_before().await;
    assert_no_record(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_undo_fails_it_waits_for_help_and_the_record_keeps_what_is_left() {
    let scene = Scene::guide().await;
    built(&scene).await;
    scene.world.faults().add("ram:DetachPolicyFromUser:error=403/NoPermission:*").unwrap();
    let id = begin(&scene).await;
    let stuck = scene.rested(&id).await;
    assert_eq!(stuck.state(), State::Stuck, "{stuck:#?}");
    let record = scene.client().cluster("dc1").await.unwrap();
    let steps: Vec<&str> = record.ledger.iter().map(|entry| entry.step.as_str()).collect();
    assert!(
        steps.contains(&"attach-ram-policy") && !steps.contains(&"scale-out[burst]"),
        "{steps:?}"
    );
    assert!(!record.complete);
    scene.world.faults().clear();
    let waiting = stuck.waiting.expect("it says what it waits for");
    let ran = scene.shell(&waiting.next_commands[0]).await;
    assert!(ran.status.success(), "{waiting:#?}");
    assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
    scene.assert_as_before().await;
    assert_no_record(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_given_up_is_finished_by_another() {
    let scene = Scene::guide().await;
    built(&scene).await;
    scene.world.faults().add("ram:DetachPolicyFromUser:error=403/NoPermission:*").unwrap();
    let id = begin(&scene).await;
    assert_eq!(scene.rested(&id).await.state(), State::Stuck);
    let abandoned = abandoned(&scene, &id).await;
    assert!(abandoned.left.iter().any(|left| left.step == "attach-ram-policy"), "{abandoned:#?}");
    scene.world.faults().clear();
    assert_eq!(torn_down(&scene).await.state(), State::Succeeded);
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_waits_for_the_first_and_undoes_nothing_again() {
    let scene = Scene::guide().await;
    built(&scene).await;
    scene.world.boundaries().arm(At::call("ram:DetachPolicyFromUser", Side::Before));
    let first = begin(&scene).await;
    scene.world.boundaries().reached().await;
    let second = begin(&scene).await;
    assert_eq!(scene.client().get(&second).await.unwrap().state(), State::Queued);
    scene.world.boundaries().drop_call();
    assert_eq!(scene.rested(&first).await.state(), State::Succeeded);
    let second = scene.rested(&second).await;
    assert_eq!(second.state(), State::Rejected, "{second:#?}");
    assert_eq!(second.failure.expect("it says why").code, "CLUSTER_CHANGED");
    scene.assert_as_before().await;
    assert_eq!(reason(scene.client().start(teardown_of("dc1")).await), "HYBRID_CLUSTER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_abandoned_build_left_is_taken_down() {
    let faults = vec![
        "cs:CreateClusterNodePool:error=403/Forbidden".to_owned(),
        "ram:DetachPolicyFromUser:error=403/NoPermission:*".to_owned(),
    ];
    let scene = Scene::start(Options { faults, ..Options::default() }).await;
    let id = scene.build().await;
    assert_eq!(scene.rested(&id).await.state(), State::Stuck);
    abandoned(&scene, &id).await;
    scene.world.faults().clear();
    let torn = torn_down(&scene).await;
    assert_eq!(torn.state(), State::Succeeded, "{torn:#?}");
    scene.assert_as_before().await;
    assert_no_record(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_cluster_verifies_until_somebody_changes_it() {
    let mut scene = Scene::guide().await;
    let built = built(&scene).await;
    scene.client().delete(&built.id, Ask::from("its time is over")).await.unwrap();
    scene.daemon().kill().await;
    scene.start_daemon(&[]).await;
    let world = scene.ledger().await;
    let found = scene.client().verify_cluster("dc1").await.unwrap();
    assert_eq!((found.drifts, found.unread), (0, 0), "{found:#?}");
    assert!(found.steps.iter().any(|step| step.name == "verify-cni"), "{found:#?}");
    assert!(found.steps.len() > 12, "{found:#?}");
    let said = scene.shell("causeway clusters verify dc1").await;
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));

    others_register_a_script(&scene).await;
    let drifted = scene.shell("causeway clusters verify dc1").await;
    let text = String::from_utf8(drifted.stdout).unwrap();
    assert_eq!(drifted.status.code(), Some(DIFFERENCES), "{text}");
    for told in ["register-init-script", "theirs.example", "1 of "] {
        assert!(text.contains(told), "{told}:\n{text}");
    }
    assert_ne!(scene.ledger().await, world, "only what they did");
    let missing = scene.shell("causeway clusters verify dc9").await;
    assert_eq!(missing.status.code(), Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_a_cluster_down_with_one_command() {
    let scene = Scene::guide().await;
    built(&scene).await;
    let dry = scene.shell("causeway teardown dc1 --dry-run").await;
    let text = String::from_utf8(dry.stdout).unwrap();
    assert_eq!(dry.status.code(), Some(0), "{text}");
    let command = text.lines().map(str::trim).find(|line| line.starts_with("causeway teardown"));
    let command = command.unwrap_or_else(|| panic!("it says what to type next:\n{text}"));
    let done = scene.shell(command).await;
    let (out, said) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{out}\n{said}");
    assert!(said.contains("scale-out[burst]"), "what will be undone is said first: {said}");
    scene.assert_as_before().await;
    let again = scene.shell("causeway clusters teardown dc1 --wait").await;
    assert_eq!(again.status.code(), Some(9), "{}", String::from_utf8_lossy(&again.stderr));
}

/// Two data centers whose add-ons' Secrets hold a key of one RAM user that somebody made: it is adopted, the policy is shared.
fn one_user_for_both() -> Seed {
    let mut seed = Seed::two_clusters();
    for cluster in &mut seed.clusters {
        cluster.data_center.addon_user = Some("ack-one-addons".into());
    }
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_stays_as_it_was_and_what_is_shared_goes_with_the_last_cluster() {
    let options = Options { seed: one_user_for_both(), ..Options::default() };
    let scene = Scene::start(options).await;
    for n in [1, 2] {
        let id = scene.client().start(Scene::request(&scene.document(n))).await.unwrap().id;
        assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
    }
    let clusters = scene.client().list_clusters().await.unwrap();
    let names: Vec<&str> = clusters.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for (left, name) in [(1, names[0]), (0, names[1])] {
        let id = scene.client().start(teardown_of(name)).await.unwrap().id;
        let torn = scene.rested(&id).await;
        assert_eq!(torn.state(), State::Succeeded, "{torn:#?}");
        assert_eq!(scene.client().list_clusters().await.unwrap().len(), left);
        assert_eq!(scene.ledger().await.contains(POLICY), left == 1, "after {name}");
    }
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_paused_in_the_queue_and_given_up_leaves_the_record_alone() {
    let scene = Scene::guide().await;
    scene.world.boundaries().arm(At::call("cs:InstallClusterAddons", Side::Before));
    let first = scene.build().await;
    scene.world.boundaries().reached().await;
    let second = scene.build().await;
    scene.client().pause(&second, "not yet").await.unwrap();
    scene.world.boundaries().drop_call();
    assert_eq!(scene.rested(&first).await.state(), State::Succeeded);
    let record = scene.client().cluster("dc1").await.unwrap();
    let given_up = scene.client().abandon(&second, "never mind").await.unwrap();
    assert_eq!(given_up.state(), State::Cancelled, "{given_up:#?}");
    assert_eq!(scene.client().cluster("dc1").await.unwrap(), record);
    assert_eq!(torn_down(&scene).await.state(), State::Succeeded);
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_looked_at_and_what_was_undone_already_is_no_drift() {
    let scene = Scene::guide().await;
    built(&scene).await;
    scene.world.faults().add("ram:GetPolicy:error=403/NoPermission:*").unwrap();
    let found = scene.client().verify_cluster("dc1").await.unwrap();
    assert_eq!((found.drifts, found.unread > 0), (0, true), "{found:#?}");
    let said = scene.shell("causeway clusters verify dc1").await;
    assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stdout));
    scene.world.faults().clear();

    scene.world.faults().add("ram:DetachPolicyFromUser:error=403/NoPermission:*").unwrap();
    let id = begin(&scene).await;
    // Other undos go on while one is stuck; this waits for them.
    let watched = scene.shell(&format!("causeway watch {id}")).await;
    assert_eq!(watched.status.code(), Some(STUCK));
    scene.world.faults().clear();
    let found = scene.client().verify_cluster("dc1").await.unwrap();
    assert_eq!((found.drifts, found.unread), (0, 0), "{found:#?}");
    assert!(found.steps.iter().any(|step| step.name == "attach-ram-policy"), "{found:#?}");
    assert!(!found.steps.iter().any(|step| step.name.starts_with("scale-out")), "{found:#?}");
}
