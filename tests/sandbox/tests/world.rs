//! A world starts quickly, alone or beside others, with files that are ready for use; it is the same world each time,
//! and leaves nothing behind.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Instant};

use causeway_sandbox::{
    seed::Seed,
    world::{Folder, Options, World},
};

async fn get(url: &str) -> (u16, String) {
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .get(url)
        .send()
        .await
        .expect("it answers");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_starts_with_files_that_are_ready_for_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let world =
        World::start(Options { dir: Some(folder.path().join("sandbox")), ..Options::default() })
            .await
            .expect("it starts");
    for name in [
        "sandbox.json",
        "causewayd.toml",
        "credentials.ini",
        "sealing.key",
        "kubeconfig",
        "hybrid-cluster.yaml",
        "client.env",
        "daemon",
    ] {
        assert!(world.folder().file(name).exists(), "{name}");
    }
    for name in ["credentials.ini", "sealing.key", "kubeconfig"] {
        let mode = fs::metadata(world.folder().file(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(&Folder::endpoints(world.folder().path()).expect("it runs"), world.endpoints());
    let configuration = fs::read_to_string(world.folder().file("causewayd.toml")).expect("there");
    let configuration: toml::Value = toml::from_str(&configuration).expect("it is TOML");
    assert_eq!(
        format!("http://{}", configuration["listen"].as_str().expect("an address")),
        world.endpoints().daemon
    );
    let path = world.folder().path().to_owned();
    world.shutdown().await;
    assert!(Folder::endpoints(&path).is_err(), "the folder still says that a world runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_endpoint_gives_the_ledger_and_takes_faults() {
    let world =
        World::start(Options { faults: vec!["ram:*:throttle:3".into()], ..Options::default() })
            .await
            .expect("it starts");
    let control = world.endpoints().control.clone();
    assert_eq!(get(&format!("{control}/health")).await, (200, "ok\n".into()));
    assert_eq!(get(&format!("{control}/ledger")).await.1, world.ledger().await.expect("a ledger"));
    assert_eq!(get(&format!("{control}/faults")).await.1, "ram:*:throttle:3\n");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let added =
        http.post(format!("{control}/faults")).body("nonsense").send().await.expect("it answers");
    assert_eq!(added.status(), 400);
    let cleared = http.delete(format!("{control}/faults")).send().await.expect("it answers");
    assert_eq!(cleared.status(), 204);
    assert!(world.faults().list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_worlds_of_one_seed_have_the_same_ledger() {
    let start = || World::start(Options { seed: Seed::two_clusters(), ..Options::default() });
    let (one, two) = tokio::try_join!(start(), start()).expect("they start");
    let (one, two) = tokio::try_join!(one.settled_ledger(), two.settled_ledger()).expect("ledgers");
    assert_eq!(one, two);
    assert!(one.contains("c206f377e16f34eb1808d6b9362c9abcd") && one.ends_with("}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_fault_rule_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = World::start(Options {
        dir: Some(folder.path().join("w")),
        faults: vec!["nonsense".into()],
        ..Options::default()
    })
    .await;
    let error = format!("{:#}", refused.err().expect("it is refused"));
    assert!(error.contains("nonsense"), "{error}");
    assert!(!folder.path().join("w").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_a_world_are_known() {
    let world = World::start(Options::default()).await.expect("it starts");
    let secrets = world.secrets().await.expect("secrets");
    assert!(secrets.contains(&world.seed().account.access_key_secret));
    let kubeconfig = fs::read_to_string(world.folder().file("kubeconfig")).expect("there");
    assert!(secrets.iter().any(|secret| kubeconfig.contains(secret)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_is_up_within_seconds() {
    let begun = Instant::now();
    let world = World::start(Options::default()).await.expect("it starts");
    let nodes = world.nodes(&world.seed().clusters[0].id).await.expect("nodes");
    assert!(nodes.iter().all(|node| node.ready && !node.in_cloud) && nodes.len() == 3, "{nodes:?}");
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_which_a_world_runs_is_not_taken_by_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options { dir: Some(folder.path().to_owned()), ..Options::default() };
    let first = World::start(options()).await.expect("it starts");
    let refused = World::start(options()).await.err().expect("it is refused");
    assert!(refused.to_string().contains("runs in"), "{refused}");
    first.shutdown().await;
    World::start(options()).await.expect("the folder is free again");
}
