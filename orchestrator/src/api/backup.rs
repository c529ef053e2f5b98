//! Backup: the pieces of the store's file, as they are asked for. Whoever does not read them keeps nobody waiting: what is written
//! meanwhile waits for a while, and then the backup is given up.

use std::collections::VecDeque;

use causeway_proto::v1 as pb;
use futures::stream;

use super::{caller::by, server::Shared, status::Error, watch::Stream};
use crate::{auth::Principal, runtime::Backup};

/// Longest piece that is sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Begins a backup.
pub(super) async fn taken(
    shared: &Shared,
    principal: &Principal,
) -> Result<Stream<pb::BackupResponse>, Error> {
    let backup = shared.handle.backup(by(principal, "")).await?;
    tracing::info!(principal = %principal.name, "A backup is taken");
    let pieces = stream::try_unfold((backup, VecDeque::new()), |(mut backup, mut ready)| async {
        while ready.is_empty() {
            let Some(piece) = next(&mut backup).await? else { return Ok(None) };
            ready.extend(piece.chunks(CHUNK_BYTES).map(<[u8]>::to_vec));
        }
        let chunk = ready.pop_front().unwrap_or_default();
        Ok(Some((pb::BackupResponse { chunk }, (backup, ready))))
    });
    Ok(Box::pin(pieces))
}

async fn next(backup: &mut Backup) -> Result<Option<Vec<u8>>, Error> {
    backup.next().await.map_err(Error::from)
}
