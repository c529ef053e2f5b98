//! What every stream that is taken up again has: its patience, and whether the daemon answers.

use tokio::sync::watch::{Receiver, Sender};
use tokio::time::Instant;
use tonic::{Code, Status};

use causeway_proto::reasons;

use crate::client::Client;
use crate::error::{ApiError, Error};
use crate::retry::Attempts;

/// One side of a stream that breaks now and then.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    attempts: Attempts,
    /// Not to be tried again sooner: also where the one that waited was dropped.
    rests_until: Option<Instant>,
    /// Whether the daemon answers.
    answers: Sender<bool>,
}

/// What the end of a stream means for whoever takes it up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Go on at the last cursor.
    GoOn,
    /// The daemon does not know the cursor any more.
    Expired,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        let attempts = Attempts::new(client.patience());
        Self { client, attempts, rests_until: None, answers: Sender::new(true) }
    }

    pub(crate) fn answers(&self) -> Receiver<bool> {
        self.answers.subscribe()
    }

    /// Waits until it may be tried again. Dropping the future loses nothing.
    pub(crate) async fn rested(&mut self) {
        if let Some(until) = self.rests_until {
            tokio::time::sleep_until(until).await;
            self.rests_until = None;
        }
    }

    /// A message came: patience is whole again.
    pub(crate) fn told(&mut self) {
        self.attempts.succeeded();
        self.answers.send_if_modified(|answers| !std::mem::replace(answers, true));
    }

    /// The stream broke: how to go on, or why not.
    pub(crate) fn broke(&mut self, status: &Status) -> Result<Broken, Error> {
        match (status.code(), ApiError::new(status).reason.as_str()) {
            (Code::OutOfRange, reasons::CURSOR_EXPIRED) => return Ok(Broken::Expired),
            // We were slow, and are here again: nobody has to be given a rest.
            (Code::Aborted, reasons::WATCH_TOO_SLOW) => return Ok(Broken::GoOn),
            _ => {}
        }
        let wait = self.attempts.after(status);
        let wait = wait.ok_or_else(|| Error::from_status(self.client.address(), status))?;
        self.answers.send_if_modified(|answers| std::mem::replace(answers, false));
        self.rests_until = Some(Instant::now() + wait);
        Ok(Broken::GoOn)
    }

    /// The daemon ended a stream that does not end: it is shutting down.
    pub(crate) fn ended(&mut self) -> Result<Broken, Error> {
        self.broke(&Status::unavailable("the daemon ended the stream"))
    }
}
