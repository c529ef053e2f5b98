//! WatchWorkflow: a snapshot, then every record after it, without gap or repetition.

use std::{collections::VecDeque, time::Duration};

use causeway_engine::WorkflowId;
use causeway_proto::{
    names,
    v1::{self as pb, watch_workflow_response::Message},
};

use super::{
    super::{
        convert,
        status::Error,
        token,
        workflows::{Fold, Workflows, workflow_id},
    },
    Source, Stream, place, stream,
};
use crate::runtime;

/// Records that are read at once: bounds what a slow reader makes the daemon hold.
const CHUNK: usize = 200;

/// Begins a watch of one workflow.
pub(in crate::api) async fn one(
    service: Workflows,
    request: &pb::WatchWorkflowRequest,
) -> Result<Stream<pb::WatchWorkflowResponse>, Error> {
    let id = workflow_id("name", &request.name)?;
    let (shared, place) = (service.shared.clone(), place(&service.shared)?);
    let info = service.shared.handle.info();
    let scope = [info.store_id, info.restore_epoch.to_string(), id.to_string()];
    let mut watch = Watch {
        id,
        scope,
        fold: Fold::default(),
        ready: VecDeque::new(),
        ended: false,
        heartbeat: service.shared.heartbeat,
        service,
    };
    watch.begin(&request.cursor).await?;
    Ok(stream(&shared, watch, place))
}

struct Watch {
    service: Workflows,
    id: WorkflowId,
    scope: [String; 3],
    fold: Fold,
    ready: VecDeque<pb::WatchWorkflowResponse>,
    ended: bool,
    heartbeat: Duration,
}

impl Source for Watch {
    type Message = pb::WatchWorkflowResponse;

    async fn next(&mut self) -> Result<Option<Self::Message>, Error> {
        self.go_on().await
    }
}

impl Watch {
    /// Without a cursor a snapshot comes first; with one the state is folded up to it.
    async fn begin(&mut self, cursor: &str) -> Result<(), Error> {
        let handle = &self.service.shared.handle;
        if cursor.is_empty() {
            let state = handle.get(&self.id).await.map_err(|error| Error::of(error, &self.id))?;
            let snapshot = self.service.shown(&state).await;
            self.ended = state.is_ended();
            self.fold = Fold::from((*state).clone());
            let message = self.message(Message::Snapshot(snapshot));
            self.ready.push_back(message);
            return Ok(());
        }
        let scope: Vec<_> = self.scope.iter().map(String::as_str).collect();
        let position = token::decode("watch", &scope, cursor)
            .and_then(|position| position.parse::<u64>().ok());
        let position = position.ok_or(Error::CursorExpired)?;
        while self.fold.seq() < position {
            let wanted = usize::try_from(position - self.fold.seq()).unwrap_or(CHUNK).min(CHUNK);
            let records = match handle.records(&self.id, self.fold.seq(), wanted).await {
                // What leads to the cursor can't be read any more: a new snapshot shows what can.
                Err(runtime::Error::Corrupt { .. }) => return Err(Error::CursorExpired),
                records => records?,
            };
            if records.is_empty() {
                // The workflow was deleted, or the store is older than the cursor.
                return if self.bury().await? { Ok(()) } else { Err(Error::CursorExpired) };
            }
            for record in &records {
                self.fold.take(&self.id, record)?;
            }
        }
        self.ended = self.fold.is_ended();
        Ok(())
    }

    /// The next message; none at the end of the workflow.
    async fn go_on(&mut self) -> Result<Option<pb::WatchWorkflowResponse>, Error> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            // Subscribed before the journal is read: what is written in between is not missed.
            let changes = self.service.shared.handle.subscribe(&self.id);
            if self.read().await? {
                continue;
            }
            let Some(mut changes) = changes else {
                if self.bury().await? {
                    continue;
                }
                // Not live, and not ended as far as it can be read. GetWorkflow says why.
                return Ok(None);
            };
            let seen = self.fold.seq();
            tokio::select! {
                // An error means that its owner has let go of it: the journal has its end.
                _ = changes.wait_for(|state| state.seq > seen) => {}
                () = tokio::time::sleep(self.heartbeat) => return Ok(Some(self.beat())),
                () = self.service.shared.stopping.cancelled() => return Err(Error::ShuttingDown),
            }
        }
    }

    /// Reads on in the journal; false where there is nothing new.
    async fn read(&mut self) -> Result<bool, Error> {
        let records = self.service.shared.handle.records(&self.id, self.fold.seq(), CHUNK).await?;
        for record in &records {
            let event = convert::event(record, self.fold.take(&self.id, record)?);
            let message = self.message(Message::Event(event));
            self.ready.push_back(message);
        }
        self.ended = self.fold.is_ended();
        Ok(!records.is_empty())
    }

    /// The last message, where the workflow was deleted; says whether it was.
    async fn bury(&mut self) -> Result<bool, Error> {
        let Some(deleted) = self.service.shared.handle.deleted_at(&self.id).await? else {
            return Ok(false);
        };
        let name = names::workflow(self.id.as_str());
        let tombstone = pb::Tombstone { name, time: Some(convert::time(deleted)) };
        let message = self.message(Message::Deleted(tombstone));
        self.ready.push_back(message);
        self.ended = true;
        Ok(true)
    }

    fn beat(&self) -> pb::WatchWorkflowResponse {
        let now = (self.service.shared.clock)();
        self.message(Message::Heartbeat(pb::Heartbeat { time: Some(convert::time(now)) }))
    }

    fn message(&self, message: Message) -> pb::WatchWorkflowResponse {
        let scope: Vec<_> = self.scope.iter().map(String::as_str).collect();
        let cursor = token::encode("watch", &scope, &self.fold.seq().to_string());
        pb::WatchWorkflowResponse { cursor, message: Some(message) }
    }
}
