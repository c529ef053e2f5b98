//! The on-call inbox: from a world in which an undo fails for good, a person gets to a clean end with what `causeway stuck` prints,
//! and with nothing else.

use causeway_proto::v1::workflow::State;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;

/// Exit codes of commands that wait.
const COMPENSATED: i32 = 3;
const STUCK: i32 = 5;
const ABANDONED: i32 = 12;
/// Fails the build behind most of its actions.
const BUILD_FAILS: &str = "cs:CreateClusterNodePool:error=403/Forbidden";
/// Fails the undo that users ask about first.
const GRANT_STAYS: &str = "ram:DetachPolicyFromUser:error=403/NoPermission:*";
/// Fails the undo of the join token.
const TOKEN_STAYS: &str = "k8s:delete-secrets@kube-system/bootstrap-token-*:error=403:*";

/// A build that is STUCK, as this rule says, and what the inbox prints of it.
async fn stuck(rule: &str) -> (Scene, String, String) {
    let faults = vec![BUILD_FAILS.to_owned(), rule.to_owned()];
    let scene = Scene::start(Options { faults, ..Options::default() }).await;
    let id = scene.build().await;
    // While other undos move it is not worth a person's look; this waits for them.
    let watched = scene.shell(&format!("causeway watch {id}")).await;
    assert_eq!(watched.status.code(), Some(STUCK), "{}", String::from_utf8_lossy(&watched.stdout));
    let inbox = scene.shell("causeway stuck").await;
    let said = String::from_utf8_lossy(&inbox.stderr);
    assert_eq!(inbox.status.code(), Some(0), "{said}");
    let inbox = String::from_utf8(inbox.stdout).unwrap();
    for told in [id.as_str(), "STUCK", "undo failed", "code", "Left in the world"] {
        assert!(inbox.contains(told), "{told}:\n{inbox}");
    }
    (scene, id, inbox)
}

/// The printed command that begins so.
fn printed<'i>(inbox: &'i str, begin: &str) -> &'i str {
    let found = inbox.lines().map(str::trim).find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("no line begins with {begin}:\n{inbox}"))
}

async fn run(scene: &Scene, command: &str) {
    let ran = scene.shell(command).await;
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Requires that nothing waits for a person any more.
async fn assert_empty(scene: &Scene) {
    let inbox = scene.shell("causeway stuck").await;
    assert_eq!(String::from_utf8_lossy(&inbox.stdout), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_fault_mended_the_printed_retry_leads_to_a_clean_end() {
    let (scene, id, inbox) = stuck(GRANT_STAYS).await;
    for told in ["attach-ram-policy", "code NoPermission", "request id "] {
        assert!(inbox.contains(told), "{told}:\n{inbox}");
    }
    scene.world.faults().clear();
    run(&scene, printed(&inbox, "causeway retry")).await;
    let ended = scene.rested(&id).await;
    assert_eq!(ended.state(), State::Compensated, "{ended:#?}");
    assert!(ended.left.is_empty(), "{:#?}", ended.left);
    assert_empty(&scene).await;
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_thing_removed_by_hand_the_printed_skip_leads_to_a_clean_end() {
    let (scene, id, inbox) = stuck(TOKEN_STAYS).await;
    let secret = inbox
        .split_whitespace()
        .find_map(|word| word.trim_end_matches(':').strip_prefix("kube-system/bootstrap-token-"))
        .unwrap_or_else(|| panic!("the inbox names what is left:\n{inbox}"));
    // The person may do what the daemon may not.
    scene.world.faults().clear();
    let client = scene.world.client(&scene.world.seed().clusters[0].id).unwrap();
    let path = format!("/api/v1/namespaces/kube-system/secrets/bootstrap-token-{secret}");
    let request = http::Request::builder().method("DELETE").uri(path).body(Vec::new()).unwrap();
    client.request::<serde_json::Value>(request).await.unwrap();
    scene.world.faults().add(TOKEN_STAYS).unwrap();
    run(&scene, printed(&inbox, "causeway skip")).await;
    // The daemon reads the world first: waiting goes on meanwhile.
    let watched = scene.shell(&format!("causeway watch {id}")).await;
    assert_eq!(
        watched.status.code(),
        Some(COMPENSATED),
        "{}",
        String::from_utf8_lossy(&watched.stdout)
    );
    assert_empty(&scene).await;
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_abandon_ends_it_with_a_list_of_what_is_left() {
    let (scene, id, inbox) = stuck(GRANT_STAYS).await;
    let left = scene.client().get(&id).await.unwrap().left;
    assert!(!left.is_empty());
    for entry in &left {
        assert!(inbox.contains(&entry.identity), "{entry:?}:\n{inbox}");
        assert!(!entry.removal.is_empty(), "how it is removed by hand: {entry:?}");
    }
    run(&scene, printed(&inbox, "causeway abandon")).await;
    let ended = scene.rested(&id).await;
    assert_eq!(ended.state(), State::Abandoned, "{ended:#?}");
    assert_eq!(ended.left.len(), left.len(), "{:#?}", ended.left);
    let watched = scene.cli(&["watch", &id]).await;
    assert_eq!(watched.status.code(), Some(ABANDONED));
    let described = String::from_utf8(watched.stdout).unwrap();
    assert!(left.iter().all(|entry| described.contains(&entry.identity)), "{described}");
    assert_empty(&scene).await;
}
