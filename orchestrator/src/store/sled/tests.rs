//! The contract on sled, and what is sled's alone: its directory and its failures.

use std::sync::atomic::Ordering;

use tempfile::TempDir;

use super::*;
use crate::store::contract::{Place, contract_suite};
use crate::store::keys::{self, Family};
use crate::store::{Append, Fence, Store, codec, table};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self) -> Options {
        Options { path: self.0.path().join("store"), cache_bytes: 8 << 20 }
    }

    /// The database itself, with no store on it.
    fn raw(&self) -> sled::Db {
        sled::Config::new()
            .path(self.options().path.join("sled"))
            .segment_size(16 << 20)
            .open()
            .unwrap()
    }

    fn damage(&self, key: &[u8]) {
        let raw = self.raw();
        let mut value = raw.get(key).unwrap().expect("the row is there").to_vec();
        *value.last_mut().unwrap() ^= 0x55;
        raw.insert(key, value).unwrap();
        raw.flush().unwrap();
    }
}

impl Place for Folder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SledStore::open(&self.options()).unwrap())
    }

    fn damage_record(&self, workflow: &str, record: u64) {
        self.damage(&keys::records(workflow, record));
    }

    fn damage_head(&self, workflow: &str) {
        self.damage(&keys::named(Family::Head, workflow));
    }
}

contract_suite!(Folder::new());

fn append(fence: Fence, workflow: &str, expected: u64) -> Append {
    let mut append = Append::new(fence, workflow, expected);
    append.events = vec![format!("{workflow} {expected}").into_bytes()];
    append.timer = Some(expected);
    append
}

#[test]
fn a_second_opener_is_told_so() {
    let folder = Folder::new();
    let first = SledStore::open(&folder.options()).unwrap();
    let error = SledStore::open(&folder.options()).unwrap_err();
    assert_eq!(error, Error::InUse { path: folder.options().path });
    drop(first);
    SledStore::open(&folder.options()).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = Folder::new();
    drop(SledStore::open(&folder.options()).unwrap());
    let key = keys::named(Family::Meta, keys::META_IDENTITY);
    let newer = Identity { store_id: "x".to_owned(), restore_epoch: 0, schema: 9 };
    let value = codec::wrap(&key, &table::encode_identity(&newer));
    {
        let raw = folder.raw();
        raw.insert(key.clone(), value.clone()).unwrap();
        raw.flush().unwrap();
    }
    let error = SledStore::open(&folder.options()).unwrap_err();
    assert_eq!(error, Error::Newer { path: folder.options().path, found: 9, known: 1 });
    assert_eq!(folder.raw().get(key).unwrap().unwrap().to_vec(), value);
}

#[test]
fn a_foreign_database_is_refused_without_removing_anything() {
    let folder = Folder::new();
    {
        let raw = folder.raw();
        raw.insert(b"foreign", b"row").unwrap();
        raw.flush().unwrap();
    }
    let error = SledStore::open(&folder.options()).unwrap_err();
    assert!(error.to_string().contains("no stamp"), "{error}");
    assert_eq!(folder.raw().get(b"foreign").unwrap().as_deref(), Some(&b"row"[..]));
}

#[test]
fn a_database_that_lost_its_rows_is_not_taken_for_a_new_store() {
    let folder = Folder::new();
    let id = SledStore::open(&folder.options()).unwrap().identity().store_id.clone();
    let log = folder.options().path.join("sled/db");
    let length = usize::try_from(std::fs::metadata(&log).unwrap().len()).unwrap();
    std::fs::write(&log, vec![0; length]).unwrap();
    let error = SledStore::open(&folder.options()).unwrap_err().to_string();
    assert!(error.contains("nothing was removed"), "{error}");
    let kept = std::fs::read_to_string(folder.options().path.join("id")).unwrap();
    assert_eq!(kept.trim(), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let folder = Folder::new();
    let store = SledStore::open(&folder.options()).unwrap();
    let fence = store.own(0).await.unwrap();
    store.append(append(fence, "w1", 0)).await.unwrap();
    let mut health = store.health();
    assert_eq!(*health.borrow_and_update(), Health::Serving);
    store.shared.broken.store(true, Ordering::Relaxed);
    assert!(matches!(store.append(append(fence, "w1", 1)).await, Err(Error::Failed { .. })));
    health.changed().await.unwrap();
    assert!(matches!(&*health.borrow(), Health::Failed(why) if why.contains("broke")));
    store.shared.broken.store(false, Ordering::Relaxed);
    assert!(
        matches!(store.append(append(fence, "w1", 1)).await, Err(Error::Failed { .. })),
        "a sync is not tried again"
    );
    assert_eq!(store.position(0).number, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_share_a_group_and_all_become_durable() {
    let folder = Folder::new();
    let store = Arc::new(SledStore::open(&folder.options()).unwrap());
    let fence = store.own(0).await.unwrap();
    let one = |number: u64| {
        let store = Arc::clone(&store);
        async move {
            for expected in 0..5 {
                store.append(append(fence, &format!("w{number}"), expected)).await.unwrap();
            }
        }
    };
    futures::future::join_all((0..40).map(one)).await;
    drop(store);
    let store = SledStore::open(&folder.options()).unwrap();
    assert_eq!(store.position(0).number, 200);
    for number in 0..40 {
        assert_eq!(store.records(&format!("w{number}"), 0, 10).await.unwrap().len(), 5);
    }
}
