//! Appends: order, versions, fences, atomicity, limits.

use std::sync::Arc;

use super::{Place, hold, refusal, write};
use crate::store::{
    APPEND_BYTES_MAX, Append, ClusterWrite, Condition, Error, Refusal, Store, VALUE_BYTES_MAX,
};

pub(in crate::store) async fn records_come_back_in_order_after_a_reopen(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a", "b"])).await.unwrap();
    store.append(write(fence, "w10", 0, &["other"])).await.unwrap();
    store.append(write(fence, "w1", 2, &["c"])).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.records("w1", 0, 10).await.unwrap(), [b"a", b"b", b"c"]);
    assert_eq!(store.head("w1").await.unwrap().unwrap().records, 3);
    assert_eq!(store.head("w2").await.unwrap(), None);
    assert!(store.records("w2", 0, 10).await.unwrap().is_empty());
}

pub(in crate::store) async fn a_wrong_number_of_records_is_refused(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a"])).await.unwrap();
    for (workflow, expected, found) in [("w1", 0, 1), ("w1", 2, 1), ("w2", 1, 0)] {
        let refused = refusal(store.append(write(fence, workflow, expected, &["x"])).await);
        assert_eq!(refused, Refusal::Version { workflow: workflow.to_owned(), expected, found });
    }
    assert_eq!(store.records("w1", 0, 10).await.unwrap(), [b"a"]);
}

pub(in crate::store) async fn an_older_fence_is_refused(place: &impl Place) {
    let store = place.open();
    let old = store.own(0).await.unwrap();
    drop(store);
    let store = place.open();
    let new = store.own(0).await.unwrap();
    assert!(new.epoch > old.epoch, "the epoch rises across a reopen");
    let answer = store.append(write(old, "w1", 0, &["a"])).await;
    assert_eq!(answer, Err(Error::Fenced { shard: 0, epoch: old.epoch, present: new.epoch }));
    store.append(write(new, "w1", 0, &["a"])).await.unwrap();
    let elsewhere = store.own(7).await.unwrap();
    assert!(matches!(
        store.append(write(elsewhere, "w1", 1, &["b"])).await,
        Err(Error::Fenced { shard: 0, .. })
    ));
}

pub(in crate::store) async fn a_refused_append_changes_nothing(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let before = store.position(0);
    let mut append = write(fence, "w1", 0, &["a"]);
    append.acquire = vec![hold("k", None)];
    append.timer = Some(5);
    append.sealed = vec![("s".to_owned(), b"x".to_vec())];
    append.clusters = vec![ClusterWrite {
        name: "dc1".to_owned(),
        cluster_id: "c1".to_owned(),
        body: b"x".to_vec(),
        blob: None,
    }];
    append.conditions = vec![Condition::ClusterAt { name: "dc1".to_owned(), version: Some(1) }];
    let refused = refusal(store.append(append.clone()).await);
    assert_eq!(refused, Refusal::ClusterVersion { name: "dc1".to_owned(), found: None });
    assert_eq!(store.position(0), before);
    assert_eq!(store.head("w1").await.unwrap(), None);
    assert!(
        store.locks().await.unwrap().is_empty() && store.timers(None).await.unwrap().is_empty()
    );
    assert_eq!(
        (store.sealed("s").await.unwrap(), store.cluster("dc1").await.unwrap()),
        (None, None)
    );
    assert!(
        store.summaries(None, 10).await.unwrap().is_empty()
            && store.feed(0, 0, 10).await.unwrap().is_empty()
    );
    append.conditions.clear();
    assert_eq!(
        store.append(append).await.unwrap().number,
        before.number + 1,
        "no position was used up"
    );
}

pub(in crate::store) async fn one_of_many_writers_of_a_version_wins(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a"])).await.unwrap();
    let contest = |store: Arc<dyn Store>| async move {
        let append = write(fence, "w1", 1, &["b"]);
        store.append(append).await.is_ok()
    };
    let answers = futures::future::join_all((0..50).map(|_| contest(Arc::clone(&store)))).await;
    assert_eq!(answers.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.head("w1").await.unwrap().unwrap().records, 2);
}

pub(in crate::store) async fn too_long_values_are_refused(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut append = Append::new(fence, "w1", 0);
    append.events = vec![vec![0; VALUE_BYTES_MAX + 1]];
    let answer = store.append(append).await;
    let limit = VALUE_BYTES_MAX;
    assert_eq!(
        answer,
        Err(Error::TooLarge { what: "a record".to_owned(), size: limit + 1, limit })
    );
    let mut append = Append::new(fence, "w1", 0);
    append.events = vec![vec![0; VALUE_BYTES_MAX]; APPEND_BYTES_MAX / VALUE_BYTES_MAX + 1];
    assert!(matches!(
        store.append(append).await,
        Err(Error::TooLarge { limit: APPEND_BYTES_MAX, .. })
    ));
    assert_eq!(store.head("w1").await.unwrap(), None);
}

pub(in crate::store) async fn bad_names_are_refused(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for name in ["", "w\0x"] {
        assert!(matches!(
            store.append(write(fence, name, 0, &["a"])).await,
            Err(Error::BadName { .. })
        ));
    }
    assert!(matches!(
        store.append(write(fence, &"x".repeat(2000), 0, &["a"])).await,
        Err(Error::TooLarge { .. })
    ));
}

pub(in crate::store) async fn positions_have_no_gaps_and_survive(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    assert_eq!(store.append(write(fence, "w1", 0, &["a"])).await.unwrap().number, 1);
    refusal(store.append(write(fence, "w1", 0, &["a"])).await);
    assert_eq!(store.append(write(fence, "w2", 0, &["a", "b"])).await.unwrap().number, 2);
    drop(store);
    let store = place.open();
    assert_eq!(store.position(0).number, 2);
    let fence = store.own(0).await.unwrap();
    assert_eq!(store.append(write(fence, "w1", 1, &["c"])).await.unwrap().number, 3);
    assert_eq!(store.head("w1").await.unwrap().unwrap().position, 3);
    let feed = store.feed(0, 1, 10).await.unwrap();
    let rows: Vec<_> = feed
        .iter()
        .map(|row| (row.position, row.workflow.as_str(), row.first, row.count))
        .collect();
    assert_eq!(rows, [(2, "w2", 0, 2), (3, "w1", 1, 1)]);
    assert_eq!(store.feed(0, 0, 1).await.unwrap().len(), 1);
    assert!(store.feed(1, 0, 10).await.unwrap().is_empty());
}

pub(in crate::store) async fn records_are_read_in_pages(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut expected = 0;
    for batch in [&["0", "1", "2"][..], &["3"], &["4", "5"], &["6"]] {
        store.append(write(fence, "w1", expected, batch)).await.unwrap();
        expected += batch.len() as u64;
    }
    for from in 0..9_u64 {
        for limit in 1..9_usize {
            let page = store.records("w1", from, limit).await.unwrap();
            let wanted: Vec<Vec<u8>> =
                (from..7).take(limit).map(|number| number.to_string().into_bytes()).collect();
            assert_eq!(page, wanted, "from {from}, limit {limit}");
        }
    }
}

pub(in crate::store) async fn long_appends_are_cut_into_rows_and_read_whole(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut append = Append::new(fence, "w1", 0);
    append.events = (0..9_u8).map(|index| vec![index; 30_000]).collect();
    append.events.push(vec![9; VALUE_BYTES_MAX]);
    store.append(append.clone()).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.records("w1", 0, 100).await.unwrap(), append.events);
    assert_eq!(store.records("w1", 3, 2).await.unwrap(), append.events[3..5]);
}

pub(in crate::store) async fn an_empty_append_moves_rows_only(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a"])).await.unwrap();
    let mut append = write(fence, "w1", 1, &[]);
    append.timer = Some(77);
    store.append(append).await.unwrap();
    assert_eq!(store.timers(None).await.unwrap(), [(77, "w1".to_owned())]);
    assert_eq!(store.head("w1").await.unwrap().unwrap().records, 1);
    assert_eq!(store.records("w1", 0, 10).await.unwrap().len(), 1);
}

pub(in crate::store) async fn whoever_follows_hears_of_each_commit_once_it_can_be_read(
    place: &impl Place,
) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut commits = store.commits();
    for number in 1..=20 {
        commits.mark_unchanged();
        let append = write(fence, "w1", number - 1, &["a"]);
        let hears = async {
            commits.changed().await.unwrap();
            assert_eq!(commits.borrow().get(&0), Some(&number));
            assert_eq!(store.feed(0, number - 1, 10).await.unwrap().len(), 1);
        };
        let (written, ()) = tokio::join!(store.append(append), hears);
        assert_eq!(written.unwrap(), store.position(0));
    }
    drop(store);
    assert_eq!(place.open().commits().borrow().get(&0), Some(&20));
}
