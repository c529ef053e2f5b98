//! A daemon that follows a script: real gRPC on a port of its own, and nothing behind it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use causeway_proto::reasons;
use causeway_proto::v1::admin_service_server::{AdminService, AdminServiceServer};
use causeway_proto::v1::hybrid_cluster_service_server::{
    HybridClusterService, HybridClusterServiceServer,
};
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::workflow_service_server::{WorkflowService, WorkflowServiceServer};
use causeway_proto::v1::*;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What the daemon does, and what it was asked.
#[derive(Default)]
pub(super) struct Script {
    /// The workflow, as a snapshot shows it.
    pub(super) workflow: Workflow,
    /// Others that a list shows.
    pub(super) others: Vec<Workflow>,
    /// What happens to it, in order; `get` shows the state after the last that was sent.
    pub(super) events: Vec<WorkflowEvent>,
    /// Per watch, in turn: after how many messages it breaks, and how. Those beyond go on to the end.
    pub(super) breaks: VecDeque<(usize, Status)>,
    /// Per call of `start`, in turn: what it fails with.
    pub(super) start_failures: VecDeque<Status>,
    /// The pieces of a backup, the last of which may be how it breaks off.
    pub(super) backup: Vec<Result<&'static str, Status>>,
    /// The record that there is.
    pub(super) cluster: Option<HybridCluster>,

    /// The starts that came.
    pub(super) starts: Vec<StartWorkflowRequest>,
    /// The cursors that watches began with.
    pub(super) cursors: Vec<String>,
    /// The cancellations that came.
    pub(super) cancels: Vec<CancelWorkflowRequest>,
    /// The approvals that came.
    pub(super) approvals: Vec<ApproveStepRequest>,
    /// The denials that came.
    pub(super) denials: Vec<DenyStepRequest>,
    /// The drains that came.
    pub(super) drains: Vec<DrainRequest>,
    /// Everything else that was asked: rpc, reason, etag and request id.
    pub(super) asked: Vec<(&'static str, [String; 3])>,
}

/// The daemon; ends when dropped.
pub(super) struct Fake {
    pub(super) address: String,
    script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Service(Arc<Mutex<Script>>);

impl Fake {
    pub(super) async fn serve(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script));
        let service = Service(Arc::clone(&script));
        let mut tasks = JoinSet::new();
        let server = tonic::transport::Server::builder()
            .add_service(WorkflowServiceServer::new(service.clone()))
            .add_service(HybridClusterServiceServer::new(service.clone()))
            .add_service(AdminServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn(async move { server.await.unwrap() });
        Self { address, script, _tasks: tasks }
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

/// An error as the daemon makes them.
pub(super) fn refusal(code: Code, reason: &str, message: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, reasons::DOMAIN, [("state".to_owned(), "SUCCEEDED".to_owned())]);
    if code == Code::InvalidArgument {
        details.add_bad_request_violation("spec.region", "is missing");
    }
    Status::with_error_details(code, message, details)
}

/// A workflow in a state.
pub(super) fn workflow(id: &str, state: State) -> Workflow {
    Workflow {
        name: format!("workflows/{id}"),
        id: id.to_owned(),
        definition: "hybrid-cluster".to_owned(),
        revision: 1,
        state: state.into(),
        ..Workflow::default()
    }
}

/// An event that leaves the workflow in a state.
pub(super) fn event(sequence: u64, step: &str, text: &str, state: State) -> WorkflowEvent {
    WorkflowEvent {
        workflow: "workflows/w1".to_owned(),
        sequence,
        step: step.to_owned(),
        text: text.to_owned(),
        state: state.into(),
        ..WorkflowEvent::default()
    }
}

impl Service {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

/// The rpcs that only note what they were asked.
macro_rules! noted {
    ($($name:ident($request:ty) -> $answer:ty: $answered:expr;)*) => {
        $(
            // As `async_trait` writes it: it does not look into macros.
            fn $name<'s, 'f>(
                &'s self,
                request: Request<$request>,
            ) -> Pin<Box<dyn Future<Output = Result<Response<$answer>, Status>> + Send + 'f>>
            where
                's: 'f,
                Self: 'f,
            {
                let request = request.into_inner();
                let mut script = self.script();
                let said = [request.reason, request.etag, request.request_id];
                script.asked.push((stringify!($name), said));
                let answer: fn(&Script) -> $answer = $answered;
                let answer = answer(&script);
                Box::pin(std::future::ready(Ok(Response::new(answer))))
            }
        )*
    };
}

/// The rpcs that no command calls.
macro_rules! not_called {
    ($($name:ident($request:ty) -> $answer:ty;)*) => {
        $(
            // As `async_trait` writes it: it does not look into macros.
            fn $name<'s, 'f>(
                &'s self,
                _: Request<$request>,
            ) -> Pin<Box<dyn Future<Output = Result<Response<$answer>, Status>> + Send + 'f>>
            where
                's: 'f,
                Self: 'f,
            {
                Box::pin(std::future::ready(Err(Status::unimplemented(stringify!($name)))))
            }
        )*
    };
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl WorkflowService for Service {
    type WatchWorkflowStream = Messages<WatchWorkflowResponse>;
    type WatchWorkflowsStream = Messages<WatchWorkflowsResponse>;

    async fn start_workflow(
        &self,
        request: Request<StartWorkflowRequest>,
    ) -> Result<Response<Workflow>, Status> {
        let mut script = self.script();
        script.starts.push(request.into_inner());
        match script.start_failures.pop_front() {
            Some(status) => Err(status),
            None => Ok(Response::new(script.workflow.clone())),
        }
    }

    async fn get_workflow(
        &self,
        request: Request<GetWorkflowRequest>,
    ) -> Result<Response<Workflow>, Status> {
        let script = self.script();
        let name = request.into_inner().name;
        if let Some(other) = script.others.iter().find(|other| other.name == name) {
            return Ok(Response::new(other.clone()));
        }
        if name != script.workflow.name {
            return Err(refusal(Code::NotFound, reasons::WORKFLOW_NOT_FOUND, "no such workflow"));
        }
        let mut workflow = script.workflow.clone();
        if let Some(last) = script.events.last() {
            workflow.state = last.state;
        }
        Ok(Response::new(workflow))
    }

    async fn list_workflows(
        &self,
        request: Request<ListWorkflowsRequest>,
    ) -> Result<Response<ListWorkflowsResponse>, Status> {
        let script = self.script();
        let request = request.into_inner();
        let from: usize = request.page_token.parse().unwrap_or(0);
        let wanted = request.filter.strip_prefix("state=").and_then(State::from_str_name);
        let passes = |workflow: &&Workflow| wanted.is_none_or(|state| workflow.state() == state);
        let all = script.others.iter().chain([&script.workflow]).filter(passes).cloned();
        let all: Vec<_> = all.collect();
        let page: Vec<_> = all.iter().skip(from).take(2).cloned().collect();
        let next = from + page.len();
        let next_page_token = if next < all.len() { next.to_string() } else { String::new() };
        Ok(Response::new(ListWorkflowsResponse { workflows: page, next_page_token }))
    }

    async fn watch_workflow(
        &self,
        request: Request<WatchWorkflowRequest>,
    ) -> Result<Response<Self::WatchWorkflowStream>, Status> {
        let mut script = self.script();
        let cursor = request.into_inner().cursor;
        script.cursors.push(cursor.clone());
        let breaks = script.breaks.pop_front();
        if let Some((0, status)) = breaks {
            return Err(status);
        }
        let mut messages = Vec::new();
        if cursor.is_empty() {
            messages.push(("0".to_owned(), Message::Snapshot(script.workflow.clone())));
        }
        let seen: u64 = cursor.parse().unwrap_or(0);
        let after = script.events.iter().filter(|event| event.sequence > seen);
        messages
            .extend(after.map(|event| (event.sequence.to_string(), Message::Event(event.clone()))));
        let mut answers: Vec<_> = (messages.into_iter())
            .map(|(cursor, message)| Ok(WatchWorkflowResponse { cursor, message: Some(message) }))
            .collect();
        if let Some((after, status)) = breaks {
            answers.truncate(after);
            // `OK` stands for a daemon that just ends the stream.
            if status.code() != Code::Ok {
                answers.push(Err(status));
            }
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn list_workflow_events(
        &self,
        _: Request<ListWorkflowEventsRequest>,
    ) -> Result<Response<ListWorkflowEventsResponse>, Status> {
        let events = self.script().events.clone();
        Ok(Response::new(ListWorkflowEventsResponse { events, next_page_token: String::new() }))
    }

    async fn cancel_workflow(
        &self,
        request: Request<CancelWorkflowRequest>,
    ) -> Result<Response<Workflow>, Status> {
        let mut script = self.script();
        script.cancels.push(request.into_inner());
        if script.workflow.state() == State::Succeeded {
            return Err(refusal(
                Code::FailedPrecondition,
                reasons::WRONG_STATE,
                "the workflow has ended",
            ));
        }
        Ok(Response::new(script.workflow.clone()))
    }

    async fn approve_step(
        &self,
        request: Request<ApproveStepRequest>,
    ) -> Result<Response<Workflow>, Status> {
        let mut script = self.script();
        script.approvals.push(request.into_inner());
        Ok(Response::new(script.workflow.clone()))
    }

    async fn deny_step(
        &self,
        request: Request<DenyStepRequest>,
    ) -> Result<Response<Workflow>, Status> {
        let mut script = self.script();
        script.denials.push(request.into_inner());
        Ok(Response::new(script.workflow.clone()))
    }

    async fn watch_workflows(
        &self,
        _: Request<WatchWorkflowsRequest>,
    ) -> Result<Response<Self::WatchWorkflowsStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty().map(Ok))))
    }

    not_called! {
        plan_workflow(PlanWorkflowRequest) -> Plan;
        wait_workflow(WaitWorkflowRequest) -> Workflow;
    }

    noted! {
        abandon_workflow(AbandonWorkflowRequest) -> Workflow: |script| script.workflow.clone();
        pause_workflow(PauseWorkflowRequest) -> Workflow: |script| script.workflow.clone();
        resume_workflow(ResumeWorkflowRequest) -> Workflow: |script| script.workflow.clone();
        retry_workflow(RetryWorkflowRequest) -> Workflow: |script| script.workflow.clone();
        skip_step(SkipStepRequest) -> Workflow: |script| script.workflow.clone();
        delete_workflow(DeleteWorkflowRequest) -> DeleteWorkflowResponse: |_| DeleteWorkflowResponse {};
    }
}

#[tonic::async_trait]
impl HybridClusterService for Service {
    async fn get_hybrid_cluster(
        &self,
        request: Request<GetHybridClusterRequest>,
    ) -> Result<Response<HybridCluster>, Status> {
        let name = request.into_inner().name;
        let cluster = self.script().cluster.clone().filter(|cluster| cluster.name == name);
        let missing =
            || refusal(Code::NotFound, reasons::HYBRID_CLUSTER_NOT_FOUND, "no such record");
        cluster.map(Response::new).ok_or_else(missing)
    }

    async fn list_hybrid_clusters(
        &self,
        _: Request<ListHybridClustersRequest>,
    ) -> Result<Response<ListHybridClustersResponse>, Status> {
        let hybrid_clusters = self.script().cluster.clone().into_iter().collect();
        Ok(Response::new(ListHybridClustersResponse {
            hybrid_clusters,
            next_page_token: String::new(),
        }))
    }

    not_called! {
        list_connections(ListConnectionsRequest) -> ListConnectionsResponse;
        verify_hybrid_cluster(VerifyHybridClusterRequest) -> HybridClusterVerification;
    }
}

#[tonic::async_trait]
impl AdminService for Service {
    type BackupStream = Messages<BackupResponse>;

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<ServerInfo>, Status> {
        let caller = server_info::Caller {
            principal: "ci".to_owned(),
            role: server_info::caller::Role::Operator.into(),
            connections: vec!["prod".to_owned()],
            authentication: "token".to_owned(),
        };
        Ok(Response::new(ServerInfo { caller: Some(caller), ..ServerInfo::default() }))
    }

    async fn backup(
        &self,
        _: Request<BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let piece = |piece: Result<&'static str, Status>| {
            piece.map(|text| BackupResponse { chunk: text.as_bytes().to_vec() })
        };
        let pieces = self.script().backup.clone().into_iter().map(piece).collect::<Vec<_>>();
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn drain(
        &self,
        request: Request<DrainRequest>,
    ) -> Result<Response<DrainResponse>, Status> {
        self.script().drains.push(request.into_inner());
        Ok(Response::new(DrainResponse { parked: 3, in_flight: 1 }))
    }
}
