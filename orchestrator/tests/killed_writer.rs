//! The sled store, written by a process that is killed. In a process of its own: between fork and exec a child holds its parent's
//! locks, so that other tests' stores would seem to be in use.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use causeway_orchestrator::store::{Append, Fence, SledStore, Store, StoreOptions};

/// Where the killed child finds its store.
const CHILD_STORE: &str = "CAUSEWAY_TEST_CHILD_STORE";
const CHILD_TEST: &str = "a_killed_writer_loses_nothing_that_was_acknowledged";

/// The child: appends to three workflows for ever, and says after each append what was acknowledged.
async fn write_until_killed(path: std::path::PathBuf) {
    let store = Arc::new(SledStore::open(&StoreOptions { path, cache_bytes: 8 << 20 }).unwrap());
    let fence = store.own(0).await.unwrap();
    let one = |workflow: &'static str| {
        let store = Arc::clone(&store);
        async move {
            let mut expected = store.head(workflow).await.unwrap().map_or(0, |head| head.records);
            loop {
                store.append(append(fence, workflow, expected)).await.unwrap();
                expected += 1;
                println!("acknowledged {workflow} {expected}");
            }
        }
    };
    futures::future::join(one("w1"), futures::future::join(one("w2"), one("w3"))).await;
}

/// Every workflow has at least what was acknowledged, and head, records, timer and feed agree.
async fn check_after_kill(path: &Path, acknowledged: &HashMap<String, u64>) {
    let store = SledStore::open(&StoreOptions::new(path)).unwrap();
    let mut total = 0;
    let timers: HashMap<String, u64> = store
        .timers(None)
        .await
        .unwrap()
        .into_iter()
        .map(|(due, workflow)| (workflow, due))
        .collect();
    for workflow in ["w1", "w2", "w3"] {
        let Some(head) = store.head(workflow).await.unwrap() else { continue };
        assert!(
            head.records >= acknowledged.get(workflow).copied().unwrap_or(0),
            "{workflow} lost an acknowledged append"
        );
        let mut records = Vec::new();
        while let page = store.records(workflow, records.len() as u64, 1000).await.unwrap()
            && !page.is_empty()
        {
            records.extend(page);
        }
        let wanted: Vec<Vec<u8>> =
            (0..head.records).map(|number| format!("{workflow} {number}").into_bytes()).collect();
        assert!(records == wanted, "the records of {workflow} are not what was written");
        assert_eq!(timers.get(workflow), Some(&(head.records - 1)));
        total += head.records;
    }
    assert_eq!(store.position(0).number, total, "one position per append, without a gap");
}

fn append(fence: Fence, workflow: &str, expected: u64) -> Append {
    let mut append = Append::new(fence, workflow, expected);
    append.events = vec![format!("{workflow} {expected}").into_bytes()];
    append.timer = Some(expected);
    append
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD_STORE) {
        return write_until_killed(path.into()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for kill_at in [
        "append-before:1",
        "append-after:1",
        "append-after:7",
        "append-before:40",
        "append-after:111",
        "append-before:300",
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD_TEST, "--nocapture"])
            .env(CHILD_STORE, &path)
            .env("CAUSEWAY_KILL_AT", kill_at)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(
            output.status.signal(),
            Some(9),
            "{kill_at}: the child must end by SIGKILL, not {:?}",
            output.status
        );
        let said = String::from_utf8_lossy(&output.stdout);
        for line in
            said.lines().filter_map(|line| line.split_once("acknowledged ").map(|(_, rest)| rest))
        {
            let Some((workflow, number)) = line.split_once(' ') else { continue };
            let Ok(number) = number.trim().parse::<u64>() else { continue };
            let newest = acknowledged.entry(workflow.to_owned()).or_default();
            *newest = number.max(*newest);
        }
        check_after_kill(&path, &acknowledged).await;
    }
    assert!(acknowledged.values().sum::<u64>() > 300, "the children wrote: {acknowledged:?}");
}
