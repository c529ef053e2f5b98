//! What an administrator asks of a daemon: a backup of its store, and that it drains.

use std::time::Duration;

use causeway_proto::limits::DRAIN_SECONDS_MAX;
use causeway_proto::v1::{BackupRequest, BackupResponse, DrainRequest, DrainResponse};
use tonic::Streaming;

use crate::client::{CALL_TIMEOUT, Client, new_request_id, timed};
use crate::error::Error;

/// A backup on its way. One that breaks off is begun anew: no part of it is good for anything.
#[derive(Debug)]
pub struct Backup {
    address: String,
    pieces: Streaming<BackupResponse>,
}

impl Backup {
    /// The next piece of the file; `None` once it is whole.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let piece = self.pieces.message().await;
        let piece = piece.map_err(|status| Error::from_status(&self.address, &status))?;
        Ok(piece.map(|piece| piece.chunk))
    }
}

impl Client {
    /// A consistent copy of the daemon's store, as one file in pieces.
    ///
    /// # Errors
    /// [`Error::Api`] with `PERMISSION_DENIED`, and all others.
    pub async fn backup(&self) -> Result<Backup, Error> {
        let pieces = self.call(|| {
            let mut service = self.admin();
            async move { service.backup(BackupRequest {}).await }
        });
        Ok(Backup { address: self.address().to_owned(), pieces: pieces.await? })
    }

    /// Has the daemon take nothing on any more, and park what runs at its next safe point; answers when it has. Without a
    /// `request_id` a new one is made.
    ///
    /// # Errors
    /// [`Error::Api`] with `PERMISSION_DENIED`, and all others.
    pub async fn drain(&self, mut request: DrainRequest) -> Result<DrainResponse, Error> {
        if request.request_id.is_empty() {
            request.request_id = new_request_id();
        }
        let timeout = CALL_TIMEOUT + Duration::from_secs(DRAIN_SECONDS_MAX);
        self.call(|| {
            let (mut service, request) = (self.admin(), timed(request.clone(), timeout));
            async move { service.drain(request).await }
        })
        .await
    }
}
