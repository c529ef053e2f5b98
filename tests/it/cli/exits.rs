//! Exit codes: each of them provoked for real.

use std::process::{Output, Stdio};
use std::time::Duration;

use causeway_proto::v1::workflow::State;
use causeway_sandbox::world::Options;
use causeway_tests::scripted::{CHECK, Mode, Scripted, Setup, Switches};
use causeway_tests::{Scene, shell};
use futures::StreamExt as _;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Daemons that run beside each other.
const AT_A_TIME: usize = 4;
/// Tokens, and their digests in the configuration of the daemon.
const VIEWER: &str = "viewer-token";
const TOKENS: &str = r#"
[auth.tokens.viewer]
sha256 = "VIEWER"
role = "viewer"
"#;

/// What is done to the world before anything is started.
type World = fn(&Switches);

fn fails(world: &Switches) {
    world.check(Mode::Never);
}

fn sticks(world: &Switches) {
    world.check(Mode::Never);
    world.revert(Mode::Never);
}

fn hangs(world: &Switches) {
    world.check(Mode::Later);
}

fn works(_: &Switches) {}

/// A line of the shell, the world in which it is typed, the code, and what is said with it.
const TABLE: &[(i32, World, &str, &str)] = &[
    (0, works, "causeway version", ""),
    (0, works, "causeway list", ""),
    (0, works, "causeway start -f in.json", "follow it: causeway watch"),
    (0, works, "causeway start -f in.json --wait", "SUCCEEDED"),
    (0, works, "causeway start -f - --wait < in.json", "SUCCEEDED"),
    (1, works, "causeway man in.json/below", "can't be written"),
    (1, works, "causeway server backup --file nowhere/at/all", "can't be written"),
    (2, works, "causeway", "Usage"),
    (2, works, "causeway fly", "unrecognized subcommand"),
    (2, works, "causeway start", "--file"),
    (2, works, "causeway validate -f missing.yaml", "missing.yaml"),
    (
        2,
        works,
        "causeway start -f gated.json --workflow-id g && causeway deny g approve-spend --wait",
        "REJECTED",
    ),
    (2, works, "causeway list --filter 'state='", "INVALID_FIELD"),
    (3, fails, "causeway start -f in.json --wait", "COMPENSATED"),
    (
        4,
        hangs,
        "causeway start -f in.json --workflow-id c && causeway cancel c --wait",
        "CANCELLED",
    ),
    (5, sticks, "causeway start -f in.json --wait", "undo failed"),
    (6, hangs, "causeway start -f in.json --wait --timeout 300ms", "causeway watch"),
    (
        6,
        works,
        "causeway start -f gated.json --wait --wait-through --timeout 300ms",
        "causeway watch",
    ),
    (7, works, "causeway --address http://127.0.0.1:1 list", "is causewayd running"),
    (9, works, "causeway get nothing", "causeway list shows"),
    (9, works, "causeway clusters get nothing", "HYBRID_CLUSTER_NOT_FOUND"),
    (9, works, "causeway explain NO_SUCH_CODE", "not known"),
    (9, works, "causeway get @last", "no @last"),
    (
        10,
        works,
        "causeway start -f in.json --wait && causeway resume @last",
        "more: causeway explain WORKFLOW_ENDED",
    ),
    (10, works, "causeway start -f in.json --wait && causeway start -f in.json", "CLUSTER_EXISTS"),
    (
        12,
        sticks,
        "causeway start -f in.json --wait; causeway abandon @last --reason over --wait",
        "ABANDONED",
    ),
    (13, works, "causeway start -f gated.json --wait", "AWAITING_APPROVAL"),
    (13, hangs, "causeway start -f in.json --workflow-id p && causeway pause p --wait", "PAUSED"),
];

fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

async fn daemon(world: World, config: &str) -> Scripted {
    let switches = Switches::default();
    world(&switches);
    let setup = Setup { config: config.to_owned(), ..Setup::default() };
    let daemon = Scripted::start(switches, &setup).await;
    daemon.write_input("in.json", |_| {});
    daemon.write_input("gated.json", |input| {
        input["run"] = json!({"gates": {"spend": {"required": true}}});
    });
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_is_what_its_outcome_says() {
    let rows = TABLE.iter().map(|(code, world, line, words)| async move {
        let daemon = daemon(*world, "").await;
        let ran = daemon.shell(line).await;
        let said = said(&ran);
        assert_eq!(ran.status.code(), Some(*code), "{line}: {said}");
        assert!(said.contains(words), "{line} does not say {words:?}: {said}");
        daemon.stop().await;
    });
    futures::stream::iter(rows).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so_with_code_8() {
    use sha2::{Digest as _, Sha256};
    let digest = hex::encode(Sha256::digest(VIEWER));
    let daemon = daemon(works, &TOKENS.replace("VIEWER", &digest)).await;
    for (line, words) in [
        ("causeway list", "UNAUTHENTICATED"),
        ("CAUSEWAY_TOKEN=wrong causeway list", "UNAUTHENTICATED"),
        ("CAUSEWAY_TOKEN=viewer-token causeway start -f in.json", "PERMISSION_DENIED"),
        ("CAUSEWAY_TOKEN=viewer-token causeway server drain", "PERMISSION_DENIED"),
    ] {
        let ran = daemon.shell(line).await;
        let said = said(&ran);
        assert_eq!(ran.status.code(), Some(8), "{line}: {said}");
        assert!(said.contains(words) && !said.contains(VIEWER), "{line}: {said}");
    }
    let ran = daemon.shell("CAUSEWAY_TOKEN=viewer-token causeway whoami").await;
    let said = said(&ran);
    assert!(ran.status.success() && said.contains("VIEWER"), "{said}");
    daemon.stop().await;
}

/// Runs the program until it has said something, then interrupts it.
async fn interrupted(daemon: &Scripted, arguments: &[&str], after: &str) -> (Option<i32>, String) {
    let mut command = shell::causeway(daemon.address(), daemon.home()).await;
    let command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let pid = child.id().unwrap().to_string();
    let read = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            said.push_str(&format!("{line}\n"));
            if line.contains(after) {
                let sent = tokio::process::Command::new("kill").args(["-INT", &pid]).status();
                assert!(sent.await.unwrap().success());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("it ends when interrupted");
    (child.wait().await.unwrap().code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_detaches_with_code_130_and_says_how_to_come_back() {
    let daemon = daemon(hangs, "").await;
    let start = ["start", "-f", "in.json", "--workflow-id", "back", "--wait"];
    let (code, said) = interrupted(&daemon, &start, CHECK).await;
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("causeway watch back"), "{said}");
    let (code, said) = interrupted(&daemon, &["watch", "back"], "RUNNING").await;
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("the workflow goes on: causeway watch back"), "{said}");
    let goes_on = daemon.client().get("back").await.unwrap();
    assert_eq!(goes_on.state(), State::Running, "nobody stopped it");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_changes_is_code_11_where_that_was_asked() {
    let scene = Scene::start(Options::default()).await;
    let mut plans = Vec::new();
    for format in ["json", "yaml", "jsonl"] {
        let plan = scene.shell(&format!("causeway plan -f hybrid-cluster.yaml -o {format}")).await;
        assert_eq!(plan.status.code(), Some(0), "{}", said(&plan));
        // JSON is YAML, so all three are read alike.
        let text = String::from_utf8(plan.stdout).unwrap();
        let mut plan = serde_saphyr::from_str::<serde_json::Value>(&text).unwrap();
        plan["create_time"].take();
        plans.push(plan);
    }
    assert!(plans.iter().all(|plan| *plan == plans[0]), "{plans:#?}");
    let name = scene.shell("causeway plan -f hybrid-cluster.yaml -o name").await;
    assert_eq!(String::from_utf8_lossy(&name.stdout).trim(), plans[0]["digest"]);
    let detailed = scene.shell("causeway plan -f hybrid-cluster.yaml --detailed-exitcode").await;
    assert_eq!(detailed.status.code(), Some(11), "{}", said(&detailed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_lost_while_waiting_is_said_and_found_again() {
    let mut scene = Scene::start(Options {
        // The build waits for as long as the test needs.
        faults: vec!["cs:DescribeClusterDetail:error=503/ServiceUnavailable:*".to_owned()],
        ..Options::default()
    })
    .await;
    let id = scene.build().await;
    let address = scene.world.endpoints().daemon.clone();
    let home = scene.world.folder().file(".");
    let mut command = shell::causeway(&address, &home).await;
    let command = command.args(["watch", &id]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = async |words: &str| {
        let read = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("it ended without {words:?}");
        };
        tokio::time::timeout(Duration::from_secs(60), read).await.expect(words);
    };
    until(&id).await;
    scene.daemon().kill().await;
    until("no answer from the daemon; trying again").await;
    scene.start_daemon(&[]).await;
    until("the daemon answers again").await;
    child.kill().await.unwrap();
}

/// Keeps the table honest: every code that DESIGN names is in it, or has a test of its own here.
#[test]
fn the_table_leaves_no_code_out() {
    let of_their_own = [8, 11, 130];
    let mut codes: Vec<i32> = TABLE.iter().map(|(code, ..)| *code).chain(of_their_own).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 130]);
}
