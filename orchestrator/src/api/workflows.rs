//! WorkflowService: starting, following and steering workflows.

use std::{sync::Arc, time::Duration};

use causeway_engine::{PublicState, Record, Workflow, WorkflowId, event::Event};
use causeway_proto::{
    json, limits, names,
    v1::{self as pb, workflow_service_server::WorkflowService},
};
use prost::{Message, Name};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};

use super::{
    caller::{admit, by, recognise, traceparent},
    convert,
    filter::Filter,
    request,
    server::Shared,
    status::{Error, Resource},
    token,
    verbs::etag_position,
    watch::{self, Stream},
};
use crate::{config::Role, runtime::ListToken};

/// Entries of a page of events, where the request says nothing.
const EVENTS_PAGE_DEFAULT: usize = 100;
/// Most summaries that one page of a filtered list looks at; then it ends early, with a token to go on.
const SCAN_MAX: usize = 20_000;
/// Records that are read at once.
const RECORDS_CHUNK: usize = 500;

/// The service.
#[derive(Clone)]
pub(super) struct Workflows {
    pub(super) shared: Arc<Shared>,
}

impl Workflows {
    /// The workflow as callers see it, with what it built if it has built something.
    pub(super) async fn shown(&self, state: &Workflow) -> pb::Workflow {
        let mut shown = convert::workflow(state);
        if state.public_state() == PublicState::Succeeded {
            shown.result = self.result(state).await;
        }
        shown
    }

    async fn result(&self, state: &Workflow) -> Option<pb::WorkflowResult> {
        use pb::workflow_result::Result as Built;
        if state.cluster.is_empty() {
            let steps = u32::try_from(state.steps.len()).unwrap_or(u32::MAX);
            return Some(pb::WorkflowResult {
                result: Some(Built::Noop(pb::NoopResult { steps })),
            });
        }
        let record = self.shared.handle.cluster(&state.cluster).await.ok()?;
        let built = (record.workflow == state.id.as_str()).then(|| convert::result(&record))??;
        Some(pb::WorkflowResult { result: Some(Built::HybridCluster(built)) })
    }

    async fn get(&self, name: &str) -> Result<pb::Workflow, Error> {
        let id = workflow_id("name", name)?;
        Ok(self.shown(&*self.shared.handle.get(&id).await?).await)
    }

    async fn start(
        &self,
        request: Request<pb::StartWorkflowRequest>,
    ) -> Result<pb::Workflow, Error> {
        let principal = recognise(&self.shared.authenticator, &request, Role::Operator)?;
        let traceparent = traceparent(request.metadata());
        let request = request.into_inner();
        let mut start = request::start(&request)?;
        start.by = by(&principal, "");
        start.traceparent = traceparent;
        let id = self.shared.handle.start(start).await?;
        let state = self.shared.handle.get(&id).await?;
        Ok(pb::Workflow { request_id: request.request_id, ..self.shown(&state).await })
    }

    async fn list(
        &self,
        request: pb::ListWorkflowsRequest,
    ) -> Result<pb::ListWorkflowsResponse, Error> {
        let filter =
            Filter::parse(&request.filter).map_err(|message| Error::field("filter", message))?;
        let size = page_size(request.page_size, limits::PAGE_SIZE_DEFAULT)?;
        let scope = [request.filter.as_str()];
        let mut after = number("workflows", &scope, &request.page_token)?.map(ListToken);
        let mut workflows = Vec::new();
        let mut looked_at = 0;
        let next = loop {
            // Never more than the page still takes: so the runtime's token is the page's.
            let (found, next) = self.shared.handle.list(after, size - workflows.len()).await?;
            looked_at += found.len();
            workflows.extend(
                found.iter().map(convert::listed).filter(|workflow| filter.matches(workflow)),
            );
            match next {
                Some(token) if workflows.len() < size && looked_at < SCAN_MAX => {
                    after = Some(token)
                }
                next => break next,
            }
        };
        let next_page_token = next
            .map(|ListToken(start)| token::encode("workflows", &scope, &start.to_string()))
            .unwrap_or_default();
        Ok(pb::ListWorkflowsResponse { workflows, next_page_token })
    }

    async fn wait(&self, request: pb::WaitWorkflowRequest) -> Result<pb::Workflow, Error> {
        let id = workflow_id("name", &request.name)?;
        etag_position(&request.etag)?;
        let longest = Duration::from_secs(limits::WAIT_SECONDS_MAX);
        let patience = match request.timeout {
            None => longest,
            Some(timeout) => Duration::try_from(timeout)
                .map_err(|_| Error::field("timeout", "must not be negative"))?
                .min(longest),
        };
        let until = Instant::now() + patience;
        let over = |state: &Arc<Workflow>| state.is_ended() || has_changed(state, &request.etag);
        if let Some(mut changes) = self.shared.handle.subscribe(&id) {
            tokio::select! {
                // Neither the time's end nor the owner's letting go is a fault: what there is then is the answer.
                _ = timeout_at(until, changes.wait_for(over)) => {}
                () = self.shared.stopping.cancelled() => return Err(Error::ShuttingDown),
            }
            let state = changes.borrow().clone();
            return Ok(self.shown(&state).await);
        }
        Ok(self.shown(&*self.shared.handle.get(&id).await?).await)
    }

    async fn events(
        &self,
        request: pb::ListWorkflowEventsRequest,
    ) -> Result<pb::ListWorkflowEventsResponse, Error> {
        let id = workflow_id("parent", &request.parent)?;
        let size = page_size(request.page_size, EVENTS_PAGE_DEFAULT)?;
        let scope = [id.as_str()];
        let after = number("events", &scope, &request.page_token)?.unwrap_or(0);
        let mut fold = Fold::default();
        let mut events = Vec::new();
        let mut more = true;
        while more && events.len() < size {
            let records = self.shared.handle.records(&id, fold.seq(), RECORDS_CHUNK).await?;
            more = !records.is_empty();
            for record in &records {
                let state = fold.take(&id, record)?;
                if record.seq > after && events.len() < size {
                    events.push(convert::event(record, state));
                }
            }
        }
        if fold.seq() == 0 {
            return Err(Error::NotFound(Resource::Workflow(names::workflow(id.as_str()))));
        }
        let last = events.last().map_or(0, |event| event.sequence);
        let next_page_token = if events.len() == size {
            token::encode("events", &scope, &last.to_string())
        } else {
            String::new()
        };
        Ok(pb::ListWorkflowEventsResponse { events, next_page_token })
    }

    fn viewer<T: Message + Name>(&self, request: Request<T>) -> Result<T, Error> {
        admit(&self.shared.authenticator, &request, Role::Viewer)?;
        Ok(request.into_inner())
    }
}

/// The id in a resource name.
pub(super) fn workflow_id(field: &str, name: &str) -> Result<WorkflowId, Error> {
    let wrong = || {
        Error::field(
            field,
            format!("{} is no name of a workflow; expected workflows/ID", json::shown(name)),
        )
    };
    names::workflow_id(name).map(WorkflowId::from).ok_or_else(wrong)
}

/// How many entries a page gets.
pub(super) fn page_size(asked: i32, default: usize) -> Result<usize, Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(limits::PAGE_SIZE_MAX)),
        Err(_) => Err(Error::field("page_size", "must not be negative")),
    }
}

fn number(kind: &str, scope: &[&str], page_token: &str) -> Result<Option<u64>, Error> {
    if page_token.is_empty() {
        return Ok(None);
    }
    let position =
        token::decode(kind, scope, page_token).and_then(|position| position.parse().ok());
    position.map(Some).ok_or(Error::PageToken)
}

/// Whether a wait is over: the public state is another one, or (without an etag) it ended or waits for a person.
fn has_changed(state: &Workflow, etag: &str) -> bool {
    if let Some((_, known)) = etag.split_once('-') {
        return convert::etag(state).split_once('-').is_some_and(|(_, now)| now != known);
    }
    let public = state.public_state();
    public.is_terminal()
        || matches!(
            public,
            PublicState::Paused
                | PublicState::AwaitingApproval
                | PublicState::Stuck
                | PublicState::Quarantined
        )
}

/// The state, record by record.
#[derive(Default)]
pub(super) struct Fold(Option<Workflow>);

impl Fold {
    /// Goes on from a state.
    pub(super) fn from(state: Workflow) -> Self {
        Self(Some(state))
    }

    /// Number of the last record taken.
    pub(super) fn seq(&self) -> u64 {
        self.0.as_ref().map_or(0, |state| state.seq)
    }

    /// Whether the workflow has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.0.as_ref().is_some_and(Workflow::is_ended)
    }

    /// The state, after what was taken.
    pub(super) fn into_state(self) -> Option<Workflow> {
        self.0
    }

    /// Takes the next record; answers the state after it.
    pub(super) fn take(&mut self, id: &WorkflowId, record: &Record) -> Result<&Workflow, Error> {
        let expected = self.seq() + 1;
        let corrupt = |why: String| Error::Corrupt { subject: names::workflow(id.as_str()), why };
        if record.seq != expected {
            return Err(corrupt(format!("record {} follows record {}", record.seq, expected - 1)));
        }
        match (&mut self.0, &record.event) {
            (Some(state), event) => state.apply(event, record.at),
            (state @ None, Event::Started(started)) => {
                *state = Some(Workflow::begin(started, record.at))
            }
            (None, _) => return Err(corrupt("it does not begin with its start".to_owned())),
        }
        Ok(self.0.as_ref().expect("either arm has set it"))
    }
}

#[tonic::async_trait]
impl WorkflowService for Workflows {
    type WatchWorkflowStream = Stream<pb::WatchWorkflowResponse>;
    type WatchWorkflowsStream = Stream<pb::WatchWorkflowsResponse>;

    async fn plan_workflow(
        &self,
        request: Request<pb::PlanWorkflowRequest>,
    ) -> Result<Response<pb::Plan>, Status> {
        Ok(Response::new(self.plan(request).await?))
    }

    async fn start_workflow(
        &self,
        request: Request<pb::StartWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.start(request).await?))
    }

    async fn get_workflow(
        &self,
        request: Request<pb::GetWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.get(&request.name).await?))
    }

    async fn list_workflows(
        &self,
        request: Request<pb::ListWorkflowsRequest>,
    ) -> Result<Response<pb::ListWorkflowsResponse>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.list(request).await?))
    }

    async fn wait_workflow(
        &self,
        request: Request<pb::WaitWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.wait(request).await?))
    }

    async fn watch_workflow(
        &self,
        request: Request<pb::WatchWorkflowRequest>,
    ) -> Result<Response<Self::WatchWorkflowStream>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(watch::one(self.clone(), &request).await?))
    }

    async fn watch_workflows(
        &self,
        request: Request<pb::WatchWorkflowsRequest>,
    ) -> Result<Response<Self::WatchWorkflowsStream>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(watch::many(self.clone(), &request).await?))
    }

    async fn list_workflow_events(
        &self,
        request: Request<pb::ListWorkflowEventsRequest>,
    ) -> Result<Response<pb::ListWorkflowEventsResponse>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.events(request).await?))
    }

    async fn cancel_workflow(
        &self,
        request: Request<pb::CancelWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn abandon_workflow(
        &self,
        request: Request<pb::AbandonWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn pause_workflow(
        &self,
        request: Request<pb::PauseWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn resume_workflow(
        &self,
        request: Request<pb::ResumeWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn retry_workflow(
        &self,
        request: Request<pb::RetryWorkflowRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn skip_step(
        &self,
        request: Request<pb::SkipStepRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn approve_step(
        &self,
        request: Request<pb::ApproveStepRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn deny_step(
        &self,
        request: Request<pb::DenyStepRequest>,
    ) -> Result<Response<pb::Workflow>, Status> {
        Ok(Response::new(self.steer(request).await?))
    }

    async fn delete_workflow(
        &self,
        request: Request<pb::DeleteWorkflowRequest>,
    ) -> Result<Response<pb::DeleteWorkflowResponse>, Status> {
        Ok(Response::new(self.delete(request).await?))
    }
}
