//! `kill -9` of the real daemon: before and after external calls, before and after journal appends, never by wall time. Whatever the
//! moment, a build ends as if nothing had been, and so does an undo.
//!
//! What is drawn comes from a seed, which is printed; `CAUSEWAY_CRASH_SEED` gives it again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use causeway_proto::v1::Workflow;
use causeway_proto::v1::workflow::State;
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::scene::assert_same;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

/// Gives the seed.
const SEED: &str = "CAUSEWAY_CRASH_SEED";
/// How long a kill may be waited for.
const KILL_LIMIT: Duration = Duration::from_secs(90);
/// Worlds at a time: each has a daemon beside it.
const AT_A_TIME: usize = 3;
/// Appends of one life of the daemon within which a kill is drawn: few enough that each life comes to it.
const APPENDS_MAX: u64 = 14;

/// Mutating calls of the way forward, by step. Within a chain each waits for the one before, so that a daemon that was killed at one
/// has not come to the next.
const FORWARD: [&[(&str, &[&str])]; 4] = [
    &[
        ("create-ram-user", &["ram:CreateUser"]),
        ("store-addon-secret", &["k8s:create-secrets@kube-system/alibaba-addon-secret"]),
        (
            "install-terway",
            &["cs:InstallClusterAddons", "k8s:patch-ippools", "k8s:patch-custom*@ippools.*"],
        ),
        ("configure-eni", &["k8s:patch-configmaps@kube-system/eni-config"]),
    ],
    &[
        ("mint-join-token", &["k8s:create-secrets@kube-system/bootstrap-token-*"]),
        ("publish-init-script", &["oss:PutObject", "oss:PutBucketPolicy"]),
        ("register-init-script", &["k8s:patch-configmaps@kube-system/ack-agent-config"]),
        ("scale-out", &["cs:ModifyClusterNodePool"]),
    ],
    &[
        ("create-ram-policy", &["ram:CreatePolicy"]),
        ("attach-ram-policy", &["ram:AttachPolicyToUser"]),
        ("install-terway", &["cs:InstallClusterAddons"]),
        ("scale-out", &["cs:ModifyClusterNodePool"]),
    ],
    &[
        ("fence-calico", &["k8s:patch-daemonsets@kube-system/calico-node"]),
        ("create-node-pool", &["cs:CreateClusterNodePool"]),
        ("scale-out", &["cs:ModifyClusterNodePool"]),
    ],
];

/// Calls sent and done whose answer must be lost in every run of the suite: they can't be repeated.
const ALWAYS: [(&str, &[&str]); 2] = [
    ("create-access-key", &["ram:CreateAccessKey"]),
    ("create-node-pool", &["cs:CreateClusterNodePool"]),
];

/// Mutating calls of the way back, in chains as well. Only calls that the way forward does not make begin a chain.
const BACK: [&[(&str, &[&str])]; 3] = [
    &[
        ("create-node-pool", &["cs:DeleteClusterNodepool"]),
        ("register-init-script", &["k8s:patch-configmaps@kube-system/ack-agent-config"]),
        ("publish-init-script", &["oss:DeleteBucketPolicy", "oss:DeleteObject"]),
        ("mint-join-token", &["k8s:delete-secrets@kube-system/bootstrap-token-*"]),
    ],
    &[
        ("create-node-pool", &["cs:DeleteClusterNodepool"]),
        ("configure-eni", &["k8s:patch-configmaps@kube-system/eni-config"]),
        ("install-terway", &["cs:UnInstallClusterAddons"]),
        ("attach-ram-policy", &["ram:DetachPolicyFromUser"]),
        ("create-ram-policy", &["ram:DeletePolicy"]),
    ],
    &[
        (
            "scale-out",
            &["cs:RemoveNodePoolNodes", "k8s:delete-nodes", "ecs:DeleteNetworkInterface"],
        ),
        ("store-addon-secret", &["k8s:delete-secrets@kube-system/alibaba-addon-secret"]),
        ("create-access-key", &["ram:DeleteAccessKey"]),
        ("create-ram-user", &["ram:DeleteUser"]),
    ],
];

/// One moment at which the daemon is killed.
#[derive(Debug, Clone)]
enum Kill {
    /// At a call of a step.
    Call { step: &'static str, call: &'static str, side: Side },
    /// At an append, counted from the daemon's start, as its hook takes it.
    Append(String),
}

/// The moments of one run, one after the other, and how it ends.
struct Plan {
    name: String,
    kills: Vec<Kill>,
}

/// What a run came to.
struct Run {
    name: String,
    kills: Vec<Kill>,
    workflow: Workflow,
    scene: Scene,
}

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().map(|text| text.parse().expect("the seed is a number"));
    let seed = given.unwrap_or_else(rand::random);
    println!("{SEED}={seed}");
    seed
}

fn at_call(random: &mut StdRng, (step, calls): (&'static str, &[&'static str])) -> Kill {
    let call = calls[random.random_range(0..calls.len())];
    Kill::Call { step, call, side: if random.random() { Side::Before } else { Side::After } }
}

fn at_append(random: &mut StdRng) -> Kill {
    let side = if random.random() { "before" } else { "after" };
    Kill::Append(format!("append-{side}:{}", random.random_range(1..=APPENDS_MAX)))
}

/// At a call of each step of a chain, and somewhere in between right after a start: a kill of a recovery. Two appends don't bring a
/// daemon to the chain's next call: one ends the step before, and the next one must be answered before the call is made.
fn along(random: &mut StdRng, chain: &[(&'static str, &'static [&'static str])]) -> Vec<Kill> {
    let mut kills: Vec<Kill> = chain.iter().map(|link| at_call(random, *link)).collect();
    let recovery = Kill::Append(format!("append-after:{}", random.random_range(1..=2)));
    kills.insert(random.random_range(1..=kills.len()), recovery);
    kills
}

/// Calls in chains, the two that are always there, and appends.
fn plans_forward(random: &mut StdRng) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for chain in FORWARD {
        plans.push(Plan { name: format!("chain of {}", chain[0].0), kills: along(random, chain) });
    }
    let always = ALWAYS.map(|(step, calls)| Kill::Call { step, call: calls[0], side: Side::After });
    plans.push(Plan { name: "lost answers".to_owned(), kills: always.to_vec() });
    let appends = (0..4).map(|_| at_append(random)).collect();
    plans.push(Plan { name: "appends".to_owned(), kills: appends });
    plans
}

fn plans_back(random: &mut StdRng) -> Vec<Plan> {
    BACK.iter()
        .map(|chain| Plan {
            name: format!("undo of {}", chain[chain.len() - 1].0),
            kills: along(random, chain),
        })
        .collect()
}

/// Carries out a plan: a world, a build in it that fails at its end where `fails`, the kills with a restart after each, and the end.
async fn run(plan: Plan, fails: bool) -> Run {
    let began = Instant::now();
    let Plan { name, kills } = plan;
    let mut scene = Scene::without_daemon(Options::default()).await;
    let request = Scene::request(&scene.document(1));
    let client = scene.client();
    // Patient, and with a request id of its own: it goes on over the kills.
    let starting = async move { client.start(request).await.unwrap().id };
    let killing = async {
        if fails {
            fail_at_the_end(&mut scene).await;
        }
        for kill in &kills {
            let killed = tokio::time::timeout(KILL_LIMIT, carry_out(&mut scene, kill)).await;
            let stands = progress(&scene);
            assert!(killed.is_ok(), "{name}: no {kill:?} of {kills:?}:\n{}", stands.await);
        }
        scene.start_daemon(&[]).await;
    };
    let (id, ()) = tokio::join!(starting, killing);
    let workflow = scene.rested(&id).await;
    let (state, took) = (workflow.state(), began.elapsed());
    println!("{name}: {state:?} after {} kills in {took:.1?}: {kills:?}", kills.len());
    Run { name, kills, workflow, scene }
}

/// Lets `verify-cni` fail, once everything is there: from the scale-out on nothing else lists pods.
async fn fail_at_the_end(scene: &mut Scene) {
    let boundaries = scene.world.boundaries();
    boundaries.arm(At::call("cs:ModifyClusterNodePool", Side::Before));
    scene.start_daemon(&[]).await;
    let reached = tokio::time::timeout(KILL_LIMIT, boundaries.reached()).await;
    assert!(reached.is_ok(), "no scale-out:\n{}", progress(scene).await);
    scene.world.faults().add("k8s:list-pods:error=403").unwrap();
    boundaries.release();
}

/// Kills the daemon at the moment; starts it before where it does not run.
async fn carry_out(scene: &mut Scene, kill: &Kill) {
    match kill {
        Kill::Call { call, side, .. } => {
            let boundaries = scene.world.boundaries();
            boundaries.arm(At::call(call, *side));
            if !scene.daemon_runs() {
                scene.start_daemon(&[]).await;
            }
            boundaries.reached().await;
            scene.daemon().kill().await;
            boundaries.drop_call();
        }
        Kill::Append(at) => {
            scene.start_daemon(&[("CAUSEWAY_KILL_AT", at)]).await;
            scene.daemon().ended().await;
        }
    }
}

/// Where the workflows stand, for a test that fails.
async fn progress(scene: &Scene) -> String {
    let listed = scene.client().list(causeway_proto::v1::ListWorkflowsRequest::default()).await;
    let workflows = listed.map(|listed| listed.workflows).unwrap_or_default();
    workflows.iter().map(story).collect()
}

/// The parts of a workflow that tell why it is where it is.
fn story(workflow: &Workflow) -> String {
    let steps = workflow.steps.iter().map(|step| {
        format!("  {} {:?} {:?} {:?}\n", step.name, step.state(), step.undo, step.failure)
    });
    format!(
        "{:?} {:?} {:?}\n{}",
        workflow.state(),
        workflow.waiting,
        workflow.failure,
        steps.collect::<String>()
    )
}

async fn runs(plans: Vec<Plan>, fails: bool) -> Vec<Run> {
    let runs = plans.into_iter().map(|plan| run(plan, fails));
    futures::stream::iter(runs).buffer_unordered(AT_A_TIME).collect().await
}

/// The world of a build that nobody disturbs.
async fn undisturbed() -> String {
    let scene = Scene::guide().await;
    let id = scene.build().await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{}", story(&workflow));
    scene.ledger().await
}

/// How many objects of a kind the ledger has, by JSON pointer.
fn count(ledger: &Value, pointer: &str) -> usize {
    match ledger.pointer(pointer) {
        Some(Value::Object(fields)) => fields.len(),
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_builds_the_world_of_one_that_is_not() {
    let mut random = StdRng::seed_from_u64(seed());
    let (expected, runs) = tokio::join!(undisturbed(), runs(plans_forward(&mut random), false));
    let kills: Vec<&Kill> = runs.iter().flat_map(|run| &run.kills).collect();
    let steps: BTreeSet<&str> = kills
        .iter()
        .filter_map(|kill| match kill {
            Kill::Call { step, .. } => Some(*step),
            Kill::Append(_) => None,
        })
        .collect();
    println!("{} kills, {} distinct steps", kills.len(), steps.len());
    assert!(kills.len() >= 20, "{} kills", kills.len());
    assert!(steps.len() >= 12, "{steps:?}");
    for run in &runs {
        assert_eq!(
            run.workflow.state(),
            State::Succeeded,
            "{}: {:?}\n{}",
            run.name,
            run.kills,
            story(&run.workflow)
        );
        let ledger = run.scene.ledger().await;
        println!("{}: comparing", run.name);
        assert_same(&expected, &ledger);
        one_of_each(run, &serde_json::from_str(&ledger).unwrap()).await;
    }
}

/// One policy, user, key, add-on, script object and node pool, and the asked number of nodes.
async fn one_of_each(run: &Run, ledger: &Value) {
    let before: Value = serde_json::from_str(&run.scene.before).unwrap();
    let cluster = &run.scene.world.seed().clusters[0].id;
    let addons = format!("/cs/clusters/{cluster}/addons");
    for of in ["/ram/policies", "/ram/users", &addons, "/oss/kubelet-scripts/objects", "/cs/pools"]
    {
        let made = count(&ledger["cloud"], of) - count(&before["cloud"], of);
        assert_eq!(made, 1, "{}: {of}", run.name);
    }
    let users = ledger["cloud"]["ram"]["users"].as_object().unwrap();
    let addon_user = users.iter().find(|(name, _)| name.starts_with("ack-one-user-"));
    assert_eq!(count(addon_user.unwrap().1, "/keys"), 1, "{}: {addon_user:?}", run.name);
    let nodes = run.scene.world.nodes(cluster).await.unwrap();
    assert_eq!(nodes.iter().filter(|node| node.in_cloud && node.ready).count(), 2, "{nodes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_while_it_undoes_restores_the_world() {
    let mut random = StdRng::seed_from_u64(seed());
    let runs = runs(plans_back(&mut random), true).await;
    for run in &runs {
        assert_eq!(
            run.workflow.state(),
            State::Compensated,
            "{}: {:?}\n{}",
            run.name,
            run.kills,
            story(&run.workflow)
        );
        run.scene.assert_as_before().await;
    }
}
