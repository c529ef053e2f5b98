//! Backups of stores that are written to meanwhile, and what becomes of their files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;
use crate::store::memory::Disk;
use crate::store::rows::{Found, Rows};
use crate::store::{
    Append, BackupError, BlobId, Fence, Hold, MemoryStore, Note, Removal, RequestRow, Store,
};

/// The `k`th of a row of writes that make every kind of row, and take some away again.
async fn write(store: &dyn Store, fence: Fence, k: u64) {
    let (group, place) = (k / 10, k % 10);
    let workflow = format!("w{group}");
    let request = RequestRow { key: format!("r{k}"), body: vec![1], expires_ms: k };
    let hold = Hold { key: format!("k{}", group % 3), step: None };
    match place {
        0..=8 => {
            let mut append = Append::new(fence, workflow, place);
            append.events = vec![vec![b'x'; 50 + usize::try_from(k % 7).unwrap() * 900]];
            append.summary = Some(k.to_le_bytes().to_vec());
            append.timer = (place < 8).then_some(k);
            append.live = place < 8;
            if place == 0 {
                append.acquire = vec![hold];
            } else if place == 8 {
                append.release = vec![hold];
                append.requests = vec![request];
            }
            append.sealed = vec![(format!("w{group}/s{place}"), vec![2; 40])];
            append.audit = vec![k.to_le_bytes().to_vec()];
            store.append(append).await.unwrap();
        }
        _ if group % 2 == 0 => {
            let (requests, audit) = (Vec::new(), Vec::new());
            let removal =
                Removal { fence, workflow, expected: 9, at_ms: k, sealed: true, requests, audit };
            store.remove(removal).await.unwrap();
        }
        _ => {
            store.note(Note { fence, requests: vec![request], audit: Vec::new() }).await.unwrap();
        }
    }
}

/// All rows but those about the store itself.
async fn rows<B: Backend>(store: &B) -> Found {
    let all = |rows: &dyn Rows| rows.scan(vec![0]..vec![u8::MAX], false, usize::MAX);
    let all = store.read(all).await.unwrap();
    all.into_iter().filter(|(key, _)| key[0] != Family::Meta as u8).collect()
}

/// A backup's bytes; others have their turn after each piece.
async fn backup<B: Backend>(store: &Arc<B>) -> Vec<u8> {
    let mut pieces = Store::backup(store.clone()).unwrap();
    let mut file = Vec::new();
    while let Some(piece) = pieces.next().await.unwrap() {
        file.extend(piece);
        tokio::task::yield_now().await;
    }
    file
}

/// A store that is written to by one writer while a backup is taken is, restored, what it was after some write, exactly.
async fn is_what_it_was_after_some_write<B: Backend>(store: B) {
    const BEFORE: u64 = 400;
    let store = Arc::new(store);
    let fence = store.own(0).await.unwrap();
    for k in 0..BEFORE {
        write(&*store, fence, k).await;
    }
    let done = AtomicBool::new(false);
    let writer = async {
        let mut k = BEFORE;
        while !done.load(Ordering::Relaxed) {
            write(&*store, fence, k).await;
            tokio::task::yield_now().await;
            k += 1;
        }
        k
    };
    let taken = async {
        let file = backup(&store).await;
        done.store(true, Ordering::Relaxed);
        file
    };
    let (written, file) = tokio::join!(writer, taken);
    let folder = TempDir::new().unwrap();
    let (from, to) = (folder.path().join("b"), folder.path().join("data/store"));
    fs::write(&from, file).unwrap();
    let identity = restore(&from, &to).await.unwrap();
    assert_eq!(identity.store_id, store.identity().store_id);
    assert_eq!(identity.restore_epoch, 1);
    let restored = SledStore::open(&Options::new(&to)).unwrap();
    assert_eq!(restored.identity(), &identity);
    let position = restored.position(0).number;
    assert!((BEFORE + 1..=written).contains(&position), "{position} of {written}");
    let same = MemoryStore::open(&Disk::new()).unwrap();
    let fence = same.own(0).await.unwrap();
    for k in 0..position {
        write(&same, fence, k).await;
    }
    assert!(
        rows(&restored).await == rows(&same).await,
        "another state than after write {position}"
    );
    // It goes on from there.
    let fence = restored.own(0).await.unwrap();
    write(&restored, fence, position).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_the_store_as_of_one_commit() {
    is_what_it_was_after_some_write(MemoryStore::open(&Disk::new()).unwrap()).await;
    let folder = TempDir::new().unwrap();
    is_what_it_was_after_some_write(SledStore::open(&Options::new(folder.path())).unwrap()).await;
}

/// A small store with a blob, and its backup in a file.
async fn small(folder: &TempDir) -> (Arc<MemoryStore>, PathBuf) {
    let store = Arc::new(MemoryStore::open(&Disk::new()).unwrap());
    let fence = store.own(0).await.unwrap();
    let blob = BlobId::new("b1");
    store.put_blob(&blob, vec![9; 300_000]).await.unwrap();
    let append = Append { blobs: vec![blob], ..Append::new(fence, "w9", 0) };
    store.append(append).await.unwrap();
    let from = folder.path().join("b");
    fs::write(&from, backup(&store).await).unwrap();
    (store, from)
}

#[tokio::test]
async fn a_restored_store_says_so_until_it_is_noted_and_may_be_restored_again() {
    let folder = TempDir::new().unwrap();
    let (store, from) = small(&folder).await;
    assert!(!store.is_restored().await.unwrap());
    let to = folder.path().join("one/store");
    restore(&from, &to).await.unwrap();
    let restored = Arc::new(SledStore::open(&Options::new(&to)).unwrap());
    assert!(restored.is_restored().await.unwrap());
    restored.note_restore().await.unwrap();
    assert!(!restored.is_restored().await.unwrap());
    let blob = restored.blob(&BlobId::new("b1")).await.unwrap();
    assert_eq!(blob.map(|bytes| bytes.len()), Some(300_000));
    fs::write(&from, backup(&restored).await).unwrap();
    let again = restore(&from, &folder.path().join("two/store")).await.unwrap();
    assert_eq!(again, Identity { restore_epoch: 2, ..store.identity().clone() });
}

#[tokio::test]
async fn one_backup_is_taken_at_a_time() {
    let folder = TempDir::new().unwrap();
    let (store, _) = small(&folder).await;
    let first = Store::backup(store.clone()).unwrap();
    assert!(matches!(Store::backup(store.clone()), Err(BackupError::Busy)));
    drop(first);
    assert!(Store::backup(store).is_ok());
}

#[tokio::test]
async fn what_is_not_whole_is_not_restored_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let (_, from) = small(&folder).await;
    let (whole, to) = (fs::read(&from).unwrap(), folder.path().join("data/store"));
    let half = &whole[..whole.len() / 2];
    let mut turned = whole.clone();
    turned[whole.len() / 3] ^= 4;
    for (bytes, expected) in [
        (half, "cut off"),
        (&turned[..], "damaged"),
        (b"{}".as_slice(), "cut off"),
        (b"something else, and more of it".as_slice(), "no backup"),
    ] {
        fs::write(&from, bytes).unwrap();
        let Err(RestoreError::File { damage, .. }) = restore(&from, &to).await else {
            panic!("{expected}: it is no whole file")
        };
        assert!(damage.to_string().contains(expected), "{damage}");
        assert!(!to.exists() && !to.with_extension(UNFINISHED).exists());
    }
    let missing = restore(&folder.path().join("none"), &to).await;
    assert!(matches!(missing, Err(RestoreError::File { damage: Damage::Unreadable(_), .. })));
    fs::write(&from, &whole).unwrap();
    fs::create_dir_all(to.join("sled")).unwrap();
    assert!(matches!(restore(&from, &to).await, Err(RestoreError::NotEmpty { .. })));
    fs::remove_dir(to.join("sled")).unwrap();
    fs::create_dir(to.with_extension(UNFINISHED)).unwrap();
    assert!(matches!(restore(&from, &to).await, Err(RestoreError::Unfinished { .. })));
    fs::remove_dir(to.with_extension(UNFINISHED)).unwrap();
    restore(&from, &to).await.unwrap();
}
