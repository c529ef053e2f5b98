//! Damage to one workflow's rows: named, and harmless to all others.

use super::{Place, write};
use crate::store::Error;

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
