//! What is listed: summaries, live workflows, timers, clusters; and the store's own identity.

use super::{Place, write};
use crate::store::{BlobId, ClusterRemoval, ClusterWrite, Error, SCHEMA_VERSION};

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
    append.clusters = ["dc2", "dc1", "dc10"].iter().map(|&name| cluster(name, "", b"x")).collect();
    store.append(append).await.unwrap();
    let names = |rows: Vec<crate::store::ClusterRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.name).collect()
    };
    assert_eq!(names(store.clusters(None, 2).await.unwrap()), ["dc1", "dc10"]);
    assert_eq!(names(store.clusters(Some("dc10"), 2).await.unwrap()), ["dc2"]);
    assert_eq!(names(store.clusters(Some("dc1"), 9).await.unwrap()), ["dc10", "dc2"]);
}

fn cluster(name: &str, cluster_id: &str, body: &[u8]) -> ClusterWrite {
    ClusterWrite {
        name: name.to_owned(),
        cluster_id: cluster_id.to_owned(),
        body: body.to_vec(),
        blob: None,
    }
}

pub(in crate::store) async fn a_cluster_record_is_found_by_its_clusters_id(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut refused = write(fence, "w1", 7, &["a"]);
    refused.clusters = vec![cluster("dc1", "c1", b"one")];
    store.append(refused).await.unwrap_err();
    assert_eq!(store.cluster_of("c1").await.unwrap(), None, "it goes with its append");
    let mut append = write(fence, "w1", 0, &["a"]);
    append.clusters = vec![cluster("dc1", "c1", b"one"), cluster("dc2", "", b"two")];
    store.append(append).await.unwrap();
    let mut append = write(fence, "w1", 1, &["b"]);
    append.clusters = vec![cluster("dc1", "c1", b"three")];
    store.append(append).await.unwrap();
    drop(store);
    let store = place.open();
    let found = store.cluster_of("c1").await.unwrap().unwrap();
    assert_eq!(
        (found.name.as_str(), found.version, found.body.as_slice()),
        ("dc1", 2, &b"three"[..])
    );
    assert_eq!(store.cluster("dc1").await.unwrap(), Some(found));
    for unknown in ["c2", "c", "", "dc1", "dc2"] {
        assert_eq!(store.cluster_of(unknown).await.unwrap(), None, "{unknown:?}");
    }
    let mut nameless = write(fence, "w1", 2, &["c"]);
    nameless.clusters = vec![cluster("dc3", "c\x003", b"x")];
    assert!(matches!(store.append(nameless).await, Err(Error::BadName { .. })));
}

pub(in crate::store) async fn a_removed_cluster_record_leaves_nothing_behind(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let blob = BlobId::new("long");
    store.put_blob(&blob, vec![1; 200_000]).await.unwrap();
    let mut append = write(fence, "w1", 0, &["a"]);
    let long = ClusterWrite { blob: Some(blob), ..cluster("dc1", "c1", b"") };
    append.clusters = vec![long, cluster("dc2", "c2", b"two")];
    store.append(append).await.unwrap();
    let gone = |name: &str, id: &str| ClusterRemoval { name: name.into(), cluster_id: id.into() };
    let mut removal = write(fence, "w1", 1, &["b"]);
    removal.clusters_gone = vec![gone("dc1", "c1"), gone("never-there", "c2")];
    store.append(removal).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.cluster("dc1").await.unwrap(), None);
    assert_eq!(store.cluster_of("c1").await.unwrap(), None);
    assert!(store.cluster_of("c2").await.unwrap().is_some(), "it leads to another record");
    assert_eq!(store.collect_blobs().await.unwrap(), 1, "nobody refers to its blob any more");
    let fence = store.own(0).await.unwrap();
    let mut again = write(fence, "w2", 0, &["a"]);
    again.clusters = vec![cluster("dc1", "c1", b"new")];
    store.append(again).await.unwrap();
    assert_eq!(store.cluster_of("c1").await.unwrap().unwrap().version, 1);
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
