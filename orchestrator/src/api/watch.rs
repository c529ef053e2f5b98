//! Watches: streams of what becomes of workflows. What is sent is read from the journal when it is asked for, so a cursor is a
//! place in the journal, good after a restart, and a watch keeps nothing back for a slow reader: its next message is not even
//! read before the last one was taken. Whoever leaves a message untaken for too long is cut off, and keeps no place from others.

mod cursor;
mod many;
mod one;
mod states;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, mpsc::error::SendTimeoutError};
use tonic::Status;

pub(super) use many::many;
pub(super) use one::one;
pub(super) use states::States;

use super::{server::Shared, status::Error};

/// What a stream of answers is to tonic.
pub(super) type Stream<T> = Pin<Box<dyn futures::Stream<Item = Result<T, Status>> + Send>>;

/// What a watch reads from.
trait Source: Send + 'static {
    /// What it sends.
    type Message: Send + 'static;

    /// The next message, once there is one; none at the end. Dropping the future is the end of the watch.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Message>, Error>> + Send;
}

/// A place among the watches.
fn place(shared: &Shared) -> Result<OwnedSemaphorePermit, Error> {
    let place = shared.watches.clone().try_acquire_owned();
    place.map_err(|_| Error::Full("concurrent watches"))
}

/// Hands a watch's messages on, one at a time, for as long as they are taken.
fn stream<S: Source>(
    shared: &Arc<Shared>,
    mut source: S,
    place: OwnedSemaphorePermit,
) -> Stream<S::Message> {
    let (sender, receiver) = mpsc::channel(1);
    let last: Last = Arc::default();
    let (stall, words) = (shared.stall, last.clone());
    // A task, as a stream that nobody reads from is not asked for anything: it could not notice.
    shared.tasks.spawn(async move {
        let _place = place;
        loop {
            let next = tokio::select! {
                next = source.next() => next,
                () = sender.closed() => return,
            };
            let error = match next {
                Ok(Some(message)) => match sender.send_timeout(Ok(message), stall).await {
                    Ok(()) => continue,
                    Err(SendTimeoutError::Closed(_)) => return,
                    Err(SendTimeoutError::Timeout(_)) => Error::WatchTooSlow(stall),
                },
                Ok(None) => return,
                Err(error) => error,
            };
            *words.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
            return;
        }
    });
    Box::pin(stream::unfold((receiver, last), |(mut receiver, last)| async move {
        let next = receiver.recv().await;
        let next =
            next.or_else(|| last.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err))?;
        Some((next, (receiver, last)))
    }))
}

/// With which words a watch ended. Apart from the messages, as there may be no room for one more.
type Last = Arc<Mutex<Option<Status>>>;
