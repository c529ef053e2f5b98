//! What travels with an append: locks, claims, requests, cluster records, sealed values, blobs, audit.

use super::{Place, hold, refusal, write};
use crate::store::{
    Append, BlobId, ClusterWrite, Condition, Error, Fence, Join, Leave, LockRow, Note, Refusal,
    Removal, RequestRow, Store,
};

fn row(key: &str, workflow: &str, step: Option<&str>) -> LockRow {
    LockRow { key: key.to_owned(), workflow: workflow.to_owned(), step: step.map(str::to_owned) }
}

pub(in crate::store) async fn a_key_is_held_by_one_workflow_and_says_by_whom(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut first = write(fence, "w1", 0, &["a"]);
    first.acquire = vec![hold("cluster/c1", None)];
    store.append(first).await.unwrap();
    let mut second = write(fence, "w2", 0, &["a"]);
    second.acquire = vec![hold("cluster/c1", Some("s"))];
    let held =
        Refusal::KeyHeld { key: "cluster/c1".to_owned(), workflow: "w1".to_owned(), step: None };
    assert_eq!(refusal(store.append(second.clone()).await), held);
    let mut asking = write(fence, "w2", 0, &["a"]);
    asking.conditions = vec![Condition::KeyFree { key: "cluster/c1".to_owned() }];
    assert_eq!(refusal(store.append(asking).await), held);
    let mut foreign = write(fence, "w2", 0, &["a"]);
    foreign.release = vec![hold("cluster/c1", None)];
    store.append(foreign).await.unwrap();
    assert_eq!(
        store.locks().await.unwrap(),
        [row("cluster/c1", "w1", None)],
        "only the holder releases"
    );
    let mut end = write(fence, "w1", 1, &["b"]);
    end.release = vec![hold("cluster/c1", None)];
    store.append(end).await.unwrap();
    second.expected = 1;
    store.append(second).await.unwrap();
    drop(store);
    assert_eq!(place.open().locks().await.unwrap(), [row("cluster/c1", "w2", Some("s"))]);
}

pub(in crate::store) async fn a_hold_of_one_step_outlives_anothers(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut append = write(fence, "w1", 0, &["a"]);
    append.acquire =
        vec![hold("user", Some("one")), hold("user", Some("two")), hold("user", Some("one"))];
    store.append(append).await.unwrap();
    let mut append = write(fence, "w1", 1, &["b"]);
    append.release = vec![hold("user", Some("one"))];
    store.append(append).await.unwrap();
    assert_eq!(store.locks().await.unwrap(), [row("user", "w1", Some("two"))]);
    let mut other = write(fence, "w2", 0, &["a"]);
    other.acquire = vec![hold("user", None)];
    let held = Refusal::KeyHeld {
        key: "user".to_owned(),
        workflow: "w1".to_owned(),
        step: Some("two".to_owned()),
    };
    assert_eq!(refusal(store.append(other).await), held);
}

pub(in crate::store) async fn all_keys_or_none_are_acquired(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut append = write(fence, "w1", 0, &["a"]);
    append.acquire = vec![hold("b", None)];
    store.append(append).await.unwrap();
    let mut append = write(fence, "w2", 0, &["a"]);
    append.acquire = vec![hold("a", None), hold("b", None), hold("c", None)];
    refusal(store.append(append).await);
    assert_eq!(store.locks().await.unwrap(), [row("b", "w1", None)]);
}

fn join(key: &str, claimant: &str, body: &str) -> Join {
    Join { key: key.to_owned(), claimant: claimant.to_owned(), body: body.as_bytes().to_vec() }
}

pub(in crate::store) async fn the_last_claimant_takes_the_row_with_it(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for (workflow, body) in [("w2", "before"), ("w1", "ignored")] {
        let mut append = write(fence, workflow, 0, &["a"]);
        append.join = vec![join("policy", workflow, body)];
        store.append(append).await.unwrap();
    }
    let claim = store.claim("policy").await.unwrap().unwrap();
    assert_eq!(
        (claim.body.as_slice(), claim.claimants),
        (&b"before"[..], vec!["w1".to_owned(), "w2".to_owned()])
    );
    for (workflow, left) in [("w2", Some(vec!["w1".to_owned()])), ("w1", None)] {
        let mut append = write(fence, workflow, 1, &["b"]);
        append.leave = vec![Leave { key: "policy".to_owned(), claimant: workflow.to_owned() }];
        store.append(append).await.unwrap();
        assert_eq!(store.claim("policy").await.unwrap().map(|row| row.claimants), left);
    }
}

pub(in crate::store) async fn claim_conditions_name_the_claimants(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let with = |expected: u64, condition: Condition, claimant: &str| {
        let mut append = write(fence, "w1", expected, &["a"]);
        append.conditions = vec![condition];
        append.join = vec![join("policy", claimant, "body")];
        append
    };
    let exactly = |claimants: &[&str]| {
        let exactly = claimants.iter().map(|&claimant| claimant.to_owned()).collect();
        Condition::Claimants { key: "policy".to_owned(), exactly }
    };
    let last = |claimant: &str| Condition::LastClaimant {
        key: "policy".to_owned(),
        claimant: claimant.to_owned(),
    };
    let claimed = |by: &[&str]| Refusal::Claimed {
        key: "policy".to_owned(),
        claimants: by.iter().map(|&by| by.to_owned()).collect(),
    };
    assert_eq!(refusal(store.append(with(0, last("w1"), "w1")).await), claimed(&[]));
    store.append(with(0, exactly(&[]), "w1")).await.unwrap();
    assert_eq!(refusal(store.append(with(1, exactly(&[]), "w2")).await), claimed(&["w1"]));
    store.append(with(1, last("w1"), "w2")).await.unwrap();
    assert_eq!(refusal(store.append(with(2, last("w1"), "w3")).await), claimed(&["w1", "w2"]));
    store.append(with(2, exactly(&["w2", "w1"]), "w3")).await.unwrap();
}

pub(in crate::store) async fn a_request_is_remembered_once_until_it_expires(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let request =
        RequestRow { key: "alice/r1".to_owned(), body: b"answer".to_vec(), expires_ms: 100 };
    let start = |workflow: &str| {
        let mut append = write(fence, workflow, 0, &["a"]);
        append.requests = vec![request.clone()];
        append
    };
    store.append(start("w1")).await.unwrap();
    let known = Refusal::RequestKnown { key: "alice/r1".to_owned() };
    assert_eq!(refusal(store.append(start("w2")).await), known);
    let mut asking = write(fence, "w2", 0, &["a"]);
    asking.conditions = vec![Condition::RequestAbsent { key: "alice/r1".to_owned() }];
    assert_eq!(refusal(store.append(asking).await), known);
    assert_eq!(store.request("alice/r1").await.unwrap(), Some(request.clone()));
    assert_eq!(store.forget_requests(99).await.unwrap(), 0);
    assert_eq!(store.forget_requests(100).await.unwrap(), 1);
    assert_eq!(store.request("alice/r1").await.unwrap(), None);
    store.append(start("w2")).await.unwrap();
}

pub(in crate::store) async fn cluster_records_have_versions(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let put = |expected: u64, at: Option<u64>, body: &str| {
        let mut append = write(fence, "w1", expected, &["a"]);
        append.conditions = vec![Condition::ClusterAt { name: "dc1".to_owned(), version: at }];
        append.clusters = vec![ClusterWrite {
            name: "dc1".to_owned(),
            cluster_id: "c1".to_owned(),
            body: body.as_bytes().to_vec(),
            blob: None,
        }];
        append
    };
    store.append(put(0, None, "one")).await.unwrap();
    let refused = refusal(store.append(put(1, None, "two")).await);
    assert_eq!(refused, Refusal::ClusterVersion { name: "dc1".to_owned(), found: Some(1) });
    store.append(put(1, Some(1), "two")).await.unwrap();
    let row = store.cluster("dc1").await.unwrap().unwrap();
    assert_eq!((row.version, row.body.as_slice()), (2, &b"two"[..]));
}

/// A record at the end of `workflow`, whose body is the blob.
fn in_blob(fence: Fence, workflow: &str, blob: &BlobId) -> Append {
    let mut append = write(fence, workflow, 0, &["a"]);
    append.live = false;
    append.clusters = vec![ClusterWrite {
        name: "dc1".to_owned(),
        cluster_id: "c1".to_owned(),
        body: Vec::new(),
        blob: Some(blob.clone()),
    }];
    append
}

pub(in crate::store) async fn a_long_cluster_record_is_a_blob_that_outlives_its_workflow(
    place: &impl Place,
) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let (one, two) = (BlobId::new("one"), BlobId::new("two"));
    let missing = refusal(store.append(in_blob(fence, "w1", &one)).await);
    assert_eq!(missing, Refusal::BlobMissing { blob: one.clone() });
    store.put_blob(&one, vec![1; 200_000]).await.unwrap();
    store.append(in_blob(fence, "w1", &one)).await.unwrap();
    store
        .remove(Removal {
            fence,
            workflow: "w1".to_owned(),
            expected: 1,
            at_ms: 7,
            sealed: true,
            requests: Vec::new(),
            audit: Vec::new(),
        })
        .await
        .unwrap();
    assert_eq!(store.collect_blobs().await.unwrap(), 0);
    drop(store);
    let store = place.open();
    let row = store.cluster("dc1").await.unwrap().unwrap();
    assert_eq!((row.version, row.body), (1, vec![1; 200_000]));
    let fence = store.own(0).await.unwrap();
    store.put_blob(&two, vec![2; 100_000]).await.unwrap();
    store.append(in_blob(fence, "w2", &two)).await.unwrap();
    assert_eq!(store.collect_blobs().await.unwrap(), 1, "the record names another one by now");
    let by_id = store.cluster_of("c1").await.unwrap().unwrap();
    assert_eq!((by_id.version, by_id.body), (2, vec![2; 100_000]));
    assert_eq!(store.clusters(None, 9).await.unwrap()[0].body.len(), 100_000);
}

pub(in crate::store) async fn sealed_values_are_kept_replaced_and_removed(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let mut append = write(fence, "w1", 0, &["a"]);
    append.sealed = vec![("w1/key".to_owned(), b"one".to_vec())];
    store.append(append).await.unwrap();
    assert_eq!(store.sealed("w1/key").await.unwrap().as_deref(), Some(&b"one"[..]));
    let mut append = write(fence, "w1", 1, &["b"]);
    append.sealed = vec![("w1/key".to_owned(), b"two".to_vec())];
    store.append(append).await.unwrap();
    assert_eq!(store.sealed("w1/key").await.unwrap().as_deref(), Some(&b"two"[..]));
    let mut append = write(fence, "w1", 2, &["c"]);
    append.unsealed = vec!["w1/key".to_owned()];
    store.append(append).await.unwrap();
    assert_eq!(store.sealed("w1/key").await.unwrap(), None);
}

/// Refers to a blob in a workflow's first append.
async fn refer(
    store: &dyn Store,
    fence: Fence,
    workflow: &str,
    blob: &BlobId,
) -> Result<(), Error> {
    let mut append = write(fence, workflow, 0, &["a"]);
    append.blobs = vec![blob.clone()];
    store.append(append).await.map(|_| ())
}

pub(in crate::store) async fn blobs_must_be_there_to_be_referred_to(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let blob = BlobId::new("abc");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
    let refused = refusal(refer(&*store, fence, "w1", &blob).await);
    assert_eq!(refused, Refusal::BlobMissing { blob: blob.clone() });
    store.put_blob(&blob, bytes.clone()).await.unwrap();
    store.put_blob(&blob, bytes.clone()).await.unwrap();
    refer(&*store, fence, "w1", &blob).await.unwrap();
    drop(store);
    let store = place.open();
    assert!(store.blob(&blob).await.unwrap() == Some(bytes), "a blob comes back byte for byte");
    assert_eq!(store.blob(&BlobId::new("other")).await.unwrap(), None);
    store.put_blob(&BlobId::new("empty"), Vec::new()).await.unwrap();
    assert_eq!(store.blob(&BlobId::new("empty")).await.unwrap(), Some(Vec::new()));
}

pub(in crate::store) async fn unreferred_blobs_are_collected(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    let (kept, dropped) = (BlobId::new("kept"), BlobId::new("dropped"));
    store.put_blob(&kept, vec![1; 200_000]).await.unwrap();
    store.put_blob(&dropped, vec![2; 200_000]).await.unwrap();
    refer(&*store, fence, "w1", &kept).await.unwrap();
    assert_eq!(store.collect_blobs().await.unwrap(), 1);
    assert_eq!(store.blob(&dropped).await.unwrap(), None);
    assert_eq!(store.blob(&kept).await.unwrap().map(|bytes| bytes.len()), Some(200_000));
    assert_eq!(store.collect_blobs().await.unwrap(), 0);
}

pub(in crate::store) async fn audit_rows_come_in_order(place: &impl Place) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    for (workflow, audit) in [("w1", &["1a", "1b", "1c"][..]), ("w2", &["2a"])] {
        let mut append = write(fence, workflow, 0, &["a"]);
        append.audit = audit.iter().map(|row| row.as_bytes().to_vec()).collect();
        store.append(append).await.unwrap();
    }
    let all = store.audit(0, 0, 10).await.unwrap();
    let rows: Vec<_> = all.iter().map(|(position, row)| (*position, row.as_slice())).collect();
    assert_eq!(rows, [(1, &b"1a"[..]), (1, b"1b"), (1, b"1c"), (2, b"2a")]);
    assert_eq!(store.audit(0, 0, 2).await.unwrap().len(), 3, "a batch's rows come together");
    assert_eq!(store.audit(0, 1, 10).await.unwrap().len(), 1);
}

pub(in crate::store) async fn a_note_is_remembered_and_audited_and_is_about_no_workflow(
    place: &impl Place,
) {
    let store = place.open();
    let fence = store.own(0).await.unwrap();
    store.append(write(fence, "w1", 0, &["a"])).await.unwrap();
    let request = |key: &str| RequestRow { key: key.into(), body: b"b".to_vec(), expires_ms: 9 };
    let note =
        |key: &str| Note { fence, requests: vec![request(key)], audit: vec![b"who".to_vec()] };
    assert_eq!(store.note(note("r1")).await.unwrap().number, 2);
    let known = Refusal::RequestKnown { key: "r1".to_owned() };
    assert_eq!(refusal(store.note(note("r1")).await), known);
    drop(store);
    let store = place.open();
    let newer = store.own(0).await.unwrap();
    assert!(matches!(store.note(note("r2")).await, Err(Error::Fenced { .. })));
    let other = Note { fence: newer, requests: vec![request("r3")], audit: vec![] };
    assert_eq!(store.note(other).await.unwrap().number, 3);
    assert_eq!(store.request("r1").await.unwrap(), Some(request("r1")));
    let feed = store.feed(0, 1, 9).await.unwrap();
    assert_eq!((feed[0].workflow.as_str(), feed[0].is_removal()), ("", false));
    assert_eq!(store.audit(0, 1, 1).await.unwrap(), [(2, b"who".to_vec())]);
}
