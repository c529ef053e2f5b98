//! What is listed: summaries, live workflows, timers, clusters; and the store's own identity.

use super::{Place, write};
use crate::store::SCHEMA_VERSION;

pub(in crate::store) async fn summaries_come_newest_first_in_pages(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for workflow in ["wc", "wa", "wd", "wb"] {
        let mut append = write(fence, workflow, 0, &["a"]);
        append.summary = Some(format!("summary of {workflow}").into_bytes());
        store.append(append).await.unwrap();
    }
    store.append(write(fence, "wc", 1, &["b"])).await.unwrap();
    drop(store);
    let store = place.open();
    let first = store.summaries(None, 3).await.unwrap();
    let names = |entries: &[crate::store::Entry]| -> Vec<String> {
        entries.iter().map(|entry| entry.workflow.clone()).collect()
    };
    assert_eq!(names(&first), ["wb", "wd", "wa"]);
    assert_eq!(first[0].head.as_ref().unwrap().summary, b"summary of wb");
    let second = store.summaries(Some(first[2].start), 3).await.unwrap();
    assert_eq!(names(&second), ["wc"], "a later append does not move a workflow");
    assert!(store.summaries(Some(second[0].start), 3).await.unwrap().is_empty());
}

pub(in crate::store) async fn only_live_workflows_are_listed_for_recovery(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for workflow in ["wz", "wa", "wm"] {
        store.append(write(fence, workflow, 0, &["a"])).await.unwrap();
    }
    let mut end = write(fence, "wa", 1, &["end"]);
    end.live = false;
    store.append(end).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.live().await.unwrap(), ["wz", "wm"], "in the order of their start");
    assert!(!store.head("wa").await.unwrap().unwrap().live);
}

pub(in crate::store) async fn a_workflow_has_one_timer(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for (workflow, expected, timer) in [
        ("w1", 0, Some(300)),
        ("w2", 0, Some(200)),
        ("w3", 0, Some(u64::MAX)),
        ("w1", 1, Some(100)),
    ] {
        let mut append = write(fence, workflow, expected, &["a"]);
        append.timer = timer;
        store.append(append).await.unwrap();
    }
    let all = [(100, "w1".to_owned()), (200, "w2".to_owned()), (u64::MAX, "w3".to_owned())];
    assert_eq!(store.timers(None).await.unwrap(), all);
    assert_eq!(store.timers(Some(199)).await.unwrap(), all[..1]);
    assert_eq!(store.timers(Some(200)).await.unwrap(), all[..2]);
    store.append(write(fence, "w1", 2, &["b"])).await.unwrap();
    drop(store);
    assert_eq!(
        place.open().timers(None).await.unwrap(),
        all[1..],
        "an append without a timer removes it"
    );
}

pub(in crate::store) async fn a_summary_is_kept_unless_replaced(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for (expected, summary, found) in
        [(0, Some("one"), "one"), (1, None, "one"), (2, Some("two"), "two")]
    {
        let mut append = write(fence, "w1", expected, &["a"]);
        append.summary = summary.map(|summary| summary.as_bytes().to_vec());
        store.append(append).await.unwrap();
        assert_eq!(store.head("w1").await.unwrap().unwrap().summary, found.as_bytes());
    }
}

pub(in crate::store) async fn clusters_come_by_name_in_pages(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut append = write(fence, "w1", 0, &["a"]);
    append.clusters =
        ["dc2", "dc1", "dc10"].iter().map(|&name| (name.to_owned(), b"x".to_vec())).collect();
    store.append(append).await.unwrap();
    let names = |rows: Vec<crate::store::ClusterRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.name).collect()
    };
    assert_eq!(names(store.clusters(None, 2).await.unwrap()), ["dc1", "dc10"]);
    assert_eq!(names(store.clusters(Some("dc10"), 2).await.unwrap()), ["dc2"]);
    assert_eq!(names(store.clusters(Some("dc1"), 9).await.unwrap()), ["dc10", "dc2"]);
}

pub(in crate::store) async fn the_store_keeps_its_id(place: &impl Place) {
    let store = place.open();
    let identity = store.identity().clone();
    assert_eq!(
        (identity.store_id.len(), identity.restore_epoch, identity.schema),
        (36, 0, SCHEMA_VERSION)
    );
    drop(store);
    assert_eq!(place.open().identity(), &identity);
}
