//! Damage to one workflow's rows: named, and harmless to all others.

use super::{Place, hold, write};
use crate::store::{Append, Error};

pub(in crate::store) async fn a_damaged_record_is_named_and_the_rest_readable(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a", "b"])).await.unwrap();
    store.append(write(fence, "w1", 2, &["c"])).await.unwrap();
    store.append(write(fence, "w1", 3, &["d"])).await.unwrap();
    store.append(write(fence, "w2", 0, &["other"])).await.unwrap();
    drop(store);
    place.damage_record("w1", 2);
    let store = place.open();
    let Err(Error::Corrupt { row, .. }) = store.records("w1", 0, 10).await else {
        panic!("damage must be noticed")
    };
    assert_eq!(row, "records of workflow w1 from 2");
    let readable = store.readable_records("w1").await.unwrap();
    assert_eq!(readable.records, [(0, b"a".to_vec()), (1, b"b".to_vec()), (3, b"d".to_vec())]);
    assert_eq!(readable.errors.len(), 1);
    assert_eq!(store.records("w2", 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.live().await.unwrap(), ["w1", "w2"]);
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 4, &["abandoned"])).await.unwrap();
}

pub(in crate::store) async fn a_damaged_head_harms_no_other_workflow(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for workflow in ["w1", "w2", "w3"] {
        store.append(write(fence, workflow, 0, &["a"])).await.unwrap();
    }
    drop(store);
    place.damage_head("w2");
    let store = place.open();
    assert_eq!(store.live().await.unwrap(), ["w1", "w2", "w3"]);
    assert!(matches!(store.head("w2").await, Err(Error::Corrupt { .. })));
    let entries = store.summaries(None, 10).await.unwrap();
    let sound: Vec<_> =
        entries.iter().map(|entry| (entry.workflow.as_str(), entry.head.is_ok())).collect();
    assert_eq!(sound, [("w3", true), ("w2", false), ("w1", true)]);
    let readable = store.readable_records("w2").await.unwrap();
    assert_eq!((readable.records.len(), readable.errors.len()), (1, 1));
    let fence = store.own(0).await.unwrap();
    assert!(matches!(
        store.append(write(fence, "w2", 1, &["b"])).await,
        Err(Error::Corrupt { .. })
    ));
    store.append(write(fence, "w3", 1, &["b"])).await.unwrap();
}

pub(in crate::store) async fn a_damaged_workflow_can_be_given_up_in_one_append(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for workflow in ["w1", "w2"] {
        let mut append = write(fence, workflow, 0, &["a", "b"]);
        append.acquire = vec![hold(workflow, None)];
        append.timer = Some(100);
        store.append(append).await.unwrap();
        store
            .append(Append { timer: Some(200), ..write(fence, workflow, 2, &["c", "d"]) })
            .await
            .unwrap();
    }
    drop(store);
    place.damage_head("w1");
    place.damage_record("w1", 2);
    place.damage_record("w2", 0);
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let next = store.readable_records("w1").await.unwrap().next;
    assert_eq!(next, 3, "how many records a row has that can't be read, nobody knows");
    assert_eq!(store.readable_records("w2").await.unwrap().next, 4);
    let end = |workflow: &str, expected: u64| {
        let mut append = write(fence, workflow, expected, &["abandoned"]);
        append.replace_head = true;
        append.release = vec![hold(workflow, None)];
        append.live = false;
        append.summary = Some(b"over".to_vec());
        append
    };
    store.append(end("w1", next)).await.unwrap();
    store.append(end("w2", 4)).await.unwrap();
    assert!(
        matches!(store.append(end("w2", 4)).await, Err(Error::Refused(_))),
        "a sound head counts"
    );
    drop(store);
    let store = place.open();
    assert_eq!((store.live().await.unwrap().len(), store.locks().await.unwrap().len()), (0, 0));
    assert_eq!(store.timers(None).await.unwrap(), []);
    for (workflow, start, expected) in [("w1", 1, next), ("w2", 2, 4)] {
        let head = store.head(workflow).await.unwrap().unwrap();
        assert_eq!((head.start, head.records, head.live), (start, expected + 1, false));
        assert_eq!(head.summary, b"over");
        let readable = store.readable_records(workflow).await.unwrap();
        assert_eq!(readable.records.last().unwrap(), &(expected, b"abandoned".to_vec()));
        assert_eq!(readable.errors.len(), 1, "what can't be read is kept as it is");
    }
    assert_eq!(store.summaries(None, 10).await.unwrap().len(), 2);
}
