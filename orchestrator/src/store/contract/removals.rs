//! Removing workflows: whole, only when they have ended, and nobody else's rows.

use super::{Place, refusal, write};
use crate::store::{BlobId, Error, Fence, Join, Refusal, Removal, RequestRow};

/// The removal of `w1`, with a request of its own.
fn removal(fence: Fence, expected: u64) -> Removal {
    Removal {
        fence,
        workflow: "w1".to_owned(),
        expected,
        at_ms: 77,
        sealed: true,
        requests: vec![request("ann/delete")],
        audit: vec![b"deleted".to_vec()],
    }
}

fn request(key: &str) -> RequestRow {
    RequestRow { key: key.to_owned(), body: b"x".to_vec(), expires_ms: 100 }
}

pub(in crate::store) async fn a_removed_workflow_is_gone_and_its_id_is_not_used_again(
    place: &impl Place,
) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let blob = BlobId::new("b1");
    store.put_blob(&blob, b"bytes".to_vec()).await.unwrap();
    let mut append = write(fence, "w1", 0, &["a", "b"]);
    append.sealed = vec![("w1/step/key".to_owned(), b"x".to_vec())];
    append.blobs = vec![blob.clone()];
    append.timer = Some(5);
    store.append(append).await.unwrap();
    let mut end = write(fence, "w1", 2, &["c"]);
    end.live = false;
    store.append(end).await.unwrap();
    assert_eq!(store.removed("w1").await.unwrap(), None);
    let at = store.remove(removal(fence, 3)).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.position(0), at);
    assert_eq!(store.removed("w1").await.unwrap(), Some(77));
    assert_eq!(store.head("w1").await.unwrap(), None);
    assert!(store.records("w1", 0, 9).await.unwrap().is_empty());
    assert!(store.readable_records("w1").await.unwrap().records.is_empty());
    assert!(store.summaries(None, 9).await.unwrap().is_empty());
    assert!(store.timers(None).await.unwrap().is_empty());
    assert_eq!(store.sealed("w1/step/key").await.unwrap(), None);
    assert_eq!(store.collect_blobs().await.unwrap(), 1);
    assert!(store.request("ann/delete").await.unwrap().is_some());
    let feed = store.feed(0, 0, 9).await.unwrap();
    let removals: Vec<bool> = feed.iter().map(|row| row.is_removal()).collect();
    assert_eq!(removals, [false, false, true]);
    assert_eq!(feed[2].workflow, "w1");
    assert_eq!(store.audit(0, 0, 9).await.unwrap(), [(at.number, b"deleted".to_vec())]);
    let fence = store.own(0).await.unwrap();
    let again = refusal(store.append(write(fence, "w1", 0, &["a"])).await);
    assert_eq!(again, Refusal::Removed { workflow: "w1".to_owned() });
    let twice = Removal { requests: Vec::new(), ..removal(fence, 3) };
    assert!(matches!(refusal(store.remove(twice).await), Refusal::NotEnded { .. }));
}

pub(in crate::store) async fn a_live_or_changed_workflow_is_not_removed(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a"])).await.unwrap();
    assert!(matches!(refusal(store.remove(removal(fence, 1)).await), Refusal::NotEnded { .. }));
    let mut end = write(fence, "w1", 1, &["b"]);
    end.live = false;
    end.requests = vec![request("ann/delete")];
    store.append(end).await.unwrap();
    assert!(matches!(refusal(store.remove(removal(fence, 1)).await), Refusal::NotEnded { .. }));
    let known = refusal(store.remove(removal(fence, 2)).await);
    assert_eq!(known, Refusal::RequestKnown { key: "ann/delete".to_owned() });
    let newer = store.own(0).await.unwrap();
    let fenced = store.remove(removal(fence, 2)).await;
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    assert_eq!(store.records("w1", 0, 9).await.unwrap().len(), 2, "nothing was removed");
    let unnamed = Removal { workflow: String::new(), ..removal(newer, 2) };
    assert!(matches!(store.remove(unnamed).await, Err(Error::BadName { .. })));
}

pub(in crate::store) async fn a_removal_keeps_what_is_not_its_own(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let blob = BlobId::new("b1");
    store.put_blob(&blob, b"bytes".to_vec()).await.unwrap();
    for workflow in ["w1", "w10", "w1-a"] {
        let mut append = write(fence, workflow, 0, &["a"]);
        append.live = false;
        append.sealed = vec![(format!("{workflow}/step/key"), b"x".to_vec())];
        append.blobs = vec![blob.clone()];
        append.requests = vec![request(workflow)];
        let claimant = workflow.to_owned();
        append.join = vec![Join { key: "policy".to_owned(), claimant, body: b"x".to_vec() }];
        store.append(append).await.unwrap();
    }
    store.remove(Removal { sealed: false, ..removal(fence, 1) }).await.unwrap();
    assert!(store.sealed("w1/step/key").await.unwrap().is_some(), "somebody else refers to it");
    for workflow in ["w10", "w1-a"] {
        assert_eq!(store.records(workflow, 0, 9).await.unwrap(), [b"a"]);
        assert!(store.sealed(&format!("{workflow}/step/key")).await.unwrap().is_some());
    }
    assert_eq!(store.summaries(None, 9).await.unwrap().len(), 2);
    assert_eq!(store.collect_blobs().await.unwrap(), 0);
    assert!(store.request("w1").await.unwrap().is_some());
    assert_eq!(store.claim("policy").await.unwrap().unwrap().claimants, ["w1", "w1-a", "w10"]);
}
