//! A backup of the running daemon, and what a store that was restored from it does: it rests, and goes on where a person says so.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use causeway_client::Change;
use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::waiting::Reason;
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{NoopSpec, StartWorkflowRequest, WorkflowEvent};
use causeway_sandbox::instances::companion;
use causeway_tests::Scene;
use tokio::process::Command;

/// How long a busy machine may take.
const LIMIT: Duration = Duration::from_secs(150);

fn noop() -> StartWorkflowRequest {
    StartWorkflowRequest { spec: Some(Spec::Noop(NoopSpec::default())), ..Default::default() }
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}

/// Where the daemon keeps its store.
fn store(scene: &Scene) -> PathBuf {
    scene.world.folder().file("daemon/store")
}

/// Runs `causewayd restore` as an operator would.
async fn restore(scene: &Scene, from: &str) -> Output {
    let mut command = Command::new(companion::daemon_binary().await.unwrap());
    command.arg("--config").arg(scene.world.folder().file("causewayd.toml"));
    command.args(["restore", "--from"]).arg(scene.world.folder().file(from));
    command.output().await.unwrap()
}

/// Backs up to a file of that name, beside the world.
async fn backup(scene: &Scene, to: &str) {
    let mut pieces = scene.client().backup().await.unwrap();
    let mut file = Vec::new();
    while let Some(piece) = pieces.next().await.unwrap() {
        file.extend(piece);
    }
    std::fs::write(scene.world.folder().file(to), file).unwrap();
}

/// A build that has made some things, and gets no further for now.
async fn held_up(scene: &Scene) -> String {
    scene.world.faults().add("cs:CreateClusterNodePool:throttle:*").unwrap();
    let id = scene.build().await;
    until_event(scene, &id, |event| {
        event.step.starts_with("create-node-pool") && event.r#type == "RETRY_WAIT"
    })
    .await;
    id
}

async fn until_event(scene: &Scene, id: &str, wanted: impl Fn(&WorkflowEvent) -> bool) {
    let client = scene.client();
    let mut watch = client.watch(id, "");
    let comes = async {
        loop {
            match watch.next().await.unwrap() {
                Some(Message::Event(event)) if wanted(&event) => return,
                Some(_) => {}
                None => panic!("it ended too early"),
            }
        }
    };
    tokio::time::timeout(LIMIT, comes).await.expect("it comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_amid_a_build_rests_and_ends_well_once_it_is_resumed() {
    let mut scene = Scene::guide().await;
    let client = scene.client();
    let id = held_up(&scene).await;
    let mut all = client.watch_all("", "");
    all.next().await.unwrap();
    let mut one = client.watch(&id, "");
    one.next().await.unwrap();
    for _ in 0..20 {
        client.start(noop()).await.unwrap();
    }
    backup(&scene, "backup").await;
    // The world goes on for a while, and the store is lost.
    scene.world.faults().clear();
    until_event(&scene, &id, |event| {
        event.step.starts_with("scale-out") && event.r#type == "APPLYING"
    })
    .await;
    scene.daemon().kill().await;
    std::fs::remove_dir_all(store(&scene)).unwrap();
    let restored = restore(&scene, "backup").await;
    assert!(restored.status.success(), "{}", text(&restored));
    for _ in 0..2 {
        scene.start_daemon(&[]).await;
        let rests = client.get(&id).await.unwrap();
        assert_eq!(rests.state(), State::Paused, "{rests:#?}");
        assert_eq!(rests.waiting.unwrap().reason(), Reason::Restored);
        scene.daemon().kill().await;
    }
    scene.start_daemon(&[]).await;
    assert_eq!(client.server_info().await.unwrap().store.unwrap().epoch, 1);
    // Cursors of the life before say nothing about this one.
    assert_eq!(client.watch_all("", all.cursor()).next().await.unwrap(), Change::Forget);
    let mut again = client.watch(&id, one.cursor());
    assert!(matches!(again.next().await.unwrap(), Some(Message::Snapshot(_))));
    let stuck = text(&scene.cli(&["stuck"]).await);
    assert!(stuck.contains("restored from a backup") && stuck.contains(&id), "{stuck}");
    let resumed = scene.shell(&format!("causeway resume {id}")).await;
    assert!(resumed.status.success(), "{}", text(&resumed));
    let ended = scene.rested(&id).await;
    assert_eq!(ended.state(), State::Succeeded, "{ended:#?}");
    // Nothing is parked any more, and new work is taken on.
    assert!(scene.shell("causeway start --help").await.status.success());
    assert_eq!(
        scene.rested(&client.start(noop()).await.unwrap().id).await.state(),
        State::Succeeded
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_amid_a_build_can_be_cancelled_and_leaves_the_world_as_it_was() {
    let mut scene = Scene::guide().await;
    let id = held_up(&scene).await;
    backup(&scene, "backup").await;
    scene.daemon().kill().await;
    std::fs::remove_dir_all(store(&scene)).unwrap();
    assert!(restore(&scene, "backup").await.status.success());
    scene.start_daemon(&[]).await;
    let client = scene.client();
    client.cancel(&id, "the data center burnt down").await.unwrap();
    client.resume(&id, "").await.unwrap();
    let ended = scene.rested(&id).await;
    assert_eq!(ended.state(), State::Cancelled, "{ended:#?}");
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_or_a_store_that_is_there_is_not_restored_and_said_so() {
    let mut scene = Scene::guide().await;
    scene.client().start(noop()).await.unwrap();
    let file = scene.world.folder().file("backup");
    let output = scene.cli(&["server", "backup", "--file", file.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(scene.daemon().stop().await, Some(0));
    let there = restore(&scene, "backup").await;
    assert!(!there.status.success() && text(&there).contains("is not empty"), "{}", text(&there));
    std::fs::remove_dir_all(store(&scene)).unwrap();
    let whole = std::fs::read(scene.world.folder().file("backup")).unwrap();
    std::fs::write(scene.world.folder().file("half"), &whole[..whole.len() - 1]).unwrap();
    let mut turned = whole.clone();
    turned[whole.len() / 2] ^= 1;
    std::fs::write(scene.world.folder().file("turned"), turned).unwrap();
    for (file, words) in [("half", "cut off"), ("turned", "damaged"), ("none", "can't be read")] {
        let output = restore(&scene, file).await;
        assert!(!output.status.success() && text(&output).contains(words), "{}", text(&output));
        assert!(!store(&scene).exists());
    }
    assert!(restore(&scene, "backup").await.status.success());
    scene.start_daemon(&[]).await;
    assert!(scene.client().server_info().await.is_ok());
}
