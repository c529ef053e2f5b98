//! WatchWorkflows: snapshots of all that match, as of one place in commit order, then every commit after that place. Whether a
//! workflow matched before a commit is asked of the journal, so that nothing has to be remembered of any: a watch costs the same
//! whatever the number of workflows, and goes on from its cursor as if it had never ended.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use causeway_engine::{Workflow, WorkflowId};
use causeway_proto::{
    names,
    v1::{self as pb, watch_workflows_response::Message},
};
use tokio::time::Instant;

use super::{
    super::{
        convert,
        filter::Filter,
        status::Error,
        workflows::{Fold, Workflows},
    },
    Source, Stream,
    cursor::{Cursor, Scope, Stage},
    place, stream,
};
use crate::runtime::{self, Change, Commits, ListToken, Listed, Summary};

/// Commits that are read at once.
const COMMITS: usize = 100;
/// Lines of the list that are read at once.
const LINES: usize = 50;
/// Most workflows that may change while the first snapshots are taken; with more the watch has to begin again.
const CHANGED_MAX: usize = 100_000;

/// Begins a watch of all workflows that match.
pub(in crate::api) async fn many(
    service: Workflows,
    request: &pb::WatchWorkflowsRequest,
) -> Result<Stream<pb::WatchWorkflowsResponse>, Error> {
    let filter =
        Filter::parse(&request.filter).map_err(|message| Error::field("filter", message))?;
    let (shared, place) = (service.shared.clone(), place(&service.shared)?);
    let handle = &shared.handle;
    let scope = Scope::new(&handle.info(), &request.filter);
    let shard = handle.shard();
    let at = if request.cursor.is_empty() {
        Cursor { position: handle.position(), stage: Stage::Snapshots(None) }
    } else {
        scope.decode(shard, &request.cursor).ok_or(Error::CursorExpired)?
    };
    // That the place is still there is said at once, and not only when something happens.
    handle.changes(at.position, 1).await?.ok_or(Error::CursorExpired)?;
    let watch = Watch {
        commits: handle.commits(),
        filter,
        scope,
        shard,
        at,
        lines: VecDeque::new(),
        changed: HashMap::new(),
        read_to: at.position,
        changes: VecDeque::new(),
        ready: VecDeque::new(),
        quiet_since: Instant::now(),
        service,
    };
    Ok(stream(&shared, watch, place))
}

struct Watch {
    service: Workflows,
    commits: Commits,
    filter: Filter,
    scope: Scope,
    shard: u32,
    /// After the last message.
    at: Cursor,
    /// Of which snapshots are still to be sent.
    lines: VecDeque<Listed>,
    /// While snapshots are sent: how many records those workflows had at the position that have got more since.
    changed: HashMap<WorkflowId, u64>,
    /// Up to where commits were read, for `changed`.
    read_to: u64,
    /// Commits that are still to be told.
    changes: VecDeque<Change>,
    /// The messages of one commit that are still to be sent.
    ready: VecDeque<Message>,
    quiet_since: Instant,
}

impl Source for Watch {
    type Message = pb::WatchWorkflowsResponse;

    async fn next(&mut self) -> Result<Option<Self::Message>, Error> {
        let message = loop {
            if self.service.shared.stopping.is_cancelled() {
                return Err(Error::ShuttingDown);
            }
            if self.quiet_since.elapsed() >= self.service.shared.heartbeat {
                break self.beat();
            }
            let found = match self.at.stage {
                Stage::Snapshots(_) => self.snapshot().await?,
                Stage::Commits(sent) => self.change(sent).await?,
            };
            if let Some(message) = found {
                break message;
            }
        };
        self.quiet_since = Instant::now();
        let cursor = self.scope.encode(self.shard, self.at);
        Ok(Some(pb::WatchWorkflowsResponse { cursor, message: Some(message) }))
    }
}

impl Watch {
    /// The next snapshot; none where the next workflow does not match, or after the last one.
    async fn snapshot(&mut self) -> Result<Option<Message>, Error> {
        if self.lines.is_empty() {
            self.list().await?;
        }
        let Some(line) = self.lines.pop_front() else {
            (self.lines, self.changed) = Default::default();
            self.at.stage = Stage::Commits(0);
            return Ok(None);
        };
        self.at.stage = Stage::Snapshots(Some(line.token.0));
        let Some(summary) = line.summary else { return Ok(None) };
        let id = WorkflowId::from(summary.id.as_str());
        let seq = self.changed.get(&id).copied().unwrap_or(summary.seq);
        if seq == 0 {
            // It was started after the position: its first commit tells of it.
            return Ok(None);
        }
        let shared = &self.service.shared;
        let shown = match shared.states.at(&shared.handle, &id, seq).await {
            Ok(None) => return Ok(None),
            Ok(Some(state)) if self.matches(&state) => self.service.shown(&state).await,
            Ok(Some(_)) => return Ok(None),
            Err(runtime::Error::Corrupt { .. }) => match self.unreadable(&id).await {
                Some(shown) => shown,
                None => return Ok(None),
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Message::Snapshot(shown)))
    }

    /// Reads on in the list, and then which of its workflows have changed since the position: so a state of that time is sent
    /// of each.
    async fn list(&mut self) -> Result<(), Error> {
        let Stage::Snapshots(before) = self.at.stage else { return Ok(()) };
        let handle = &self.service.shared.handle;
        self.lines = handle.lines(before.map(ListToken), LINES).await?.into();
        loop {
            let changes = handle.changes(self.read_to, COMMITS).await?;
            let changes = changes.ok_or(Error::CursorExpired)?;
            let Some(last) = changes.last() else { return Ok(()) };
            self.read_to = last.position;
            for change in changes {
                self.changed.entry(change.workflow).or_insert(change.before);
            }
            if self.changed.len() > CHANGED_MAX {
                return Err(Error::CursorExpired);
            }
        }
    }

    /// The next message about a commit, or a heartbeat; none where the next commit is about nothing that matches.
    async fn change(&mut self, sent: usize) -> Result<Option<Message>, Error> {
        if self.ready.is_empty() {
            let Some(change) = self.changes.front() else { return self.read().await };
            let messages = self.told(&change.clone()).await?;
            self.ready = messages.into_iter().skip(sent).collect();
            if self.ready.is_empty() {
                self.passed();
                return Ok(None);
            }
        }
        let message = self.ready.pop_front();
        self.at.stage = Stage::Commits(sent + 1);
        if self.ready.is_empty() {
            self.passed();
        }
        Ok(message)
    }

    /// All has been said about the next commit.
    fn passed(&mut self) {
        self.changes.pop_front();
        self.at = Cursor { position: self.at.position + 1, stage: Stage::Commits(0) };
    }

    /// Reads on in the commits; where there are none, waits for one, or until it is time for a heartbeat.
    async fn read(&mut self) -> Result<Option<Message>, Error> {
        // Marked before it is read: what is written in between is not missed.
        self.commits.mark();
        let shared = &self.service.shared;
        let changes = shared.handle.changes(self.at.position, COMMITS).await?;
        self.changes = changes.ok_or(Error::CursorExpired)?.into();
        if self.changes.is_empty() {
            let beat = self.quiet_since + shared.heartbeat;
            tokio::select! {
                () = self.commits.next() => {}
                () = tokio::time::sleep_until(beat) => return Ok(Some(self.beat())),
                () = shared.stopping.cancelled() => return Err(Error::ShuttingDown),
            }
        }
        Ok(None)
    }

    /// What is to be said about a commit: always the same, whoever asks, and whenever, as long as the workflow is there.
    async fn told(&self, change: &Change) -> Result<Vec<Message>, Error> {
        let (shared, id) = (&self.service.shared, &change.workflow);
        if change.deleted {
            let time = shared.handle.deleted_at(id).await?.map(convert::time);
            let name = names::workflow(id.as_str());
            return Ok(vec![Message::Deleted(pb::Tombstone { name, time })]);
        }
        if change.after == change.before {
            return Ok(Vec::new());
        }
        // Nobody is told of what a call that comes right after would not show yet.
        tokio::select! {
            () = shared.handle.seen(id, change.after) => {}
            () = shared.stopping.cancelled() => return Err(Error::ShuttingDown),
        }
        match self.events(change).await {
            Err(Error::Corrupt { .. }) => {
                Ok(self.unreadable(id).await.map(Message::Snapshot).into_iter().collect())
            }
            told => told,
        }
    }

    async fn events(&self, change: &Change) -> Result<Vec<Message>, Error> {
        let (shared, id) = (&self.service.shared, &change.workflow);
        let mut fold = Fold::default();
        // Whether whoever watches knows it, and so is to be told.
        let mut knows = false;
        if change.before > 0 {
            let before = shared.states.at(&shared.handle, id, change.before).await?;
            let Some(before) = before else { return Ok(Vec::new()) };
            knows = self.matches(&before);
            fold = Fold::from((*before).clone());
        }
        let records = shared.handle.written(id, change.before, change.after).await?;
        let mut messages = Vec::new();
        for record in records.unwrap_or_default() {
            let after = fold.take(id, &record)?;
            if knows {
                messages.push(Message::Event(convert::event(&record, after)));
                knows = self.matches(after);
            }
        }
        let Some(after) = fold.into_state().filter(|state| state.seq == change.after) else {
            return Ok(Vec::new());
        };
        let after = Arc::new(after);
        shared.states.keep(&after);
        // A commit is seen whole or not at all: what matched only amid it never did.
        if !knows && self.matches(&after) {
            messages.push(Message::Snapshot(self.service.shown(&after).await));
        }
        Ok(messages)
    }

    fn matches(&self, state: &Workflow) -> bool {
        self.filter.matches(&convert::listed(&Summary::of(state)))
    }

    /// A workflow whose records can't all be read, as far as it can be shown: what it was at a time can't be told, so it is
    /// shown as it is now, where it matches now or did so while it was quarantined.
    async fn unreadable(&self, id: &WorkflowId) -> Option<pb::Workflow> {
        let state = self.service.shared.handle.get(id).await.ok()?;
        let now = convert::listed(&Summary::of(&state));
        let kept = pb::Workflow { state: pb::workflow::State::Quarantined.into(), ..now.clone() };
        let matches = self.filter.matches(&now) || self.filter.matches(&kept);
        if matches { Some(self.service.shown(&state).await) } else { None }
    }

    fn beat(&self) -> Message {
        let now = (self.service.shared.clock)();
        Message::Heartbeat(pb::Heartbeat { time: Some(convert::time(now)) })
    }
}
