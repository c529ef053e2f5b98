//! HybridCluster records: found by name and by cluster id, also those that were written before there was an index.

use std::sync::Arc;

use serde_json::json;

use super::Error;
use super::fixture::{record, runtime_over, write};
use super::handle::Ask;
use super::start::StartRequest;
use crate::store::memory::Disk;
use crate::store::{Append, ClusterWrite, MemoryStore, Store, VALUE_BYTES_MAX};

#[tokio::test]
async fn records_are_found_by_name_and_by_cluster_id_also_those_of_older_stores() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let fence = store.own(0).await.unwrap();
    write(store.as_ref(), fence, &record("new", "c1", "w1"), true).await;
    write(store.as_ref(), fence, &record("old", "c2", "w2"), false).await;
    let runtime = runtime_over(store.clone()).await;
    let handle = runtime.handle();
    for (name, id) in [("new", "c1"), ("old", "c2")] {
        for asked in [name, id] {
            assert_eq!(handle.cluster(asked).await.unwrap().name, name);
        }
        let by_name = runtime.refuse_known_cluster(name, "cluster/c9").await.unwrap_err();
        let by_id = runtime.refuse_known_cluster("another", &format!("cluster/{id}")).await;
        for error in [by_name, by_id.unwrap_err()] {
            assert!(matches!(error, Error::ClusterExists { cluster } if cluster == name));
        }
    }
    runtime.refuse_known_cluster("another", "cluster/c9").await.unwrap();
    assert!(matches!(handle.cluster("c9").await, Err(Error::NotFound { .. })));
    let position = store.position(0);
    runtime_over(store.clone()).await;
    assert_eq!(store.position(0), position, "what is found by its id is not written again");
}

#[tokio::test]
async fn an_id_that_leads_to_another_clusters_record_leads_nowhere() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let fence = store.own(0).await.unwrap();
    write(store.as_ref(), fence, &record("dc1", "c1", "w1"), true).await;
    write(store.as_ref(), fence, &record("dc1", "c2", "w2"), true).await;
    let handle = runtime_over(store).await.handle();
    assert_eq!(handle.cluster("c2").await.unwrap().workflow, "w2");
    assert!(matches!(handle.cluster("c1").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_record_that_can_not_be_read_is_named_and_stops_nothing_else() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let fence = store.own(0).await.unwrap();
    write(store.as_ref(), fence, &record("dc1", "c1", "w1"), true).await;
    let mut append = Append::new(fence, "w2", 0);
    append.events = vec![b"{}".to_vec()];
    append.live = false;
    append.clusters.push(ClusterWrite {
        name: "dc2".to_owned(),
        cluster_id: "c2".to_owned(),
        body: b"no record".to_vec(),
        blob: None,
    });
    store.append(append).await.unwrap();
    let handle = runtime_over(store).await.handle();
    assert_eq!(handle.cluster("c1").await.unwrap().name, "dc1");
    let unreadable = handle.cluster("dc2").await.unwrap_err();
    assert!(matches!(unreadable, Error::Corrupt { what, .. } if what == "cluster dc2"));
}

#[tokio::test]
async fn a_build_whose_record_is_too_long_for_a_row_ends_and_its_record_outlives_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let runtime = runtime_over(store.clone()).await;
    let handle = runtime.handle();
    // What a workflow names itself by makes its record; the input is a part of it.
    let input = json!({"metadata": {"name": "dc1"}, "padding": "x".repeat(2 * VALUE_BYTES_MAX)});
    let request = StartRequest {
        id: Some("w1".into()),
        definition: "saga-10".to_owned(),
        input: input.clone(),
        ..StartRequest::default()
    };
    let id = handle.start(request).await.unwrap();
    if let Some(mut told) = handle.subscribe(&id) {
        told.wait_for(|state| state.is_ended()).await.unwrap();
    }
    assert_eq!(handle.cluster("dc1").await.unwrap().spec, input);
    handle.delete(&id, &Ask::default()).await.unwrap();
    let handle = runtime_over(store).await.handle();
    assert_eq!(handle.cluster("dc1").await.unwrap().spec, input);
}

#[tokio::test]
async fn a_start_that_is_too_long_to_be_written_is_refused_and_ends_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let runtime = runtime_over(store).await;
    let start = |label: usize| StartRequest {
        definition: "saga-10".to_owned(),
        labels: [("a".to_owned(), "x".repeat(label))].into(),
        ..StartRequest::default()
    };
    let refused = runtime.handle().start(start(2 * VALUE_BYTES_MAX)).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(*runtime.failure().borrow(), None);
    runtime.handle().start(start(1)).await.unwrap();
}
