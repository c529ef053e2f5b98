//! The services over a real socket, with the real runtime on the memory store, and daemons that end and come back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_proto::{
    reasons,
    v1::{
        self as pb, admin_service_client::AdminServiceClient,
        hybrid_cluster_service_client::HybridClusterServiceClient, start_workflow_request::Spec,
        watch_workflow_response::Message, workflow::State,
        workflow_service_client::WorkflowServiceClient,
    },
};
use causeway_workflows::{Connection, Timing};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

mod admin;
mod gates;
mod quarantine;
mod refusals;
mod watch;
mod watch_all;

use super::{Options, serve};
use crate::{
    auth::Authenticator,
    clock,
    config::{self, Flags},
    runtime::{Parts, Runtime},
    store::{MemoryStore, Store, memory::Disk, seal::Sealer},
    telemetry::{self, Journal},
};

/// A start of the self-test that must be approved.
fn gated() -> pb::StartWorkflowRequest {
    let spend = pb::run_options::Gate { required: true, timeout: None };
    let gates = pb::run_options::Gates { spend: Some(spend) };
    pb::StartWorkflowRequest {
        spec: Some(Spec::Noop(pb::NoopSpec::default())),
        run: Some(pb::RunOptions { gates: Some(gates), ..Default::default() }),
        ..Default::default()
    }
}

/// A daemon without a process.
struct Daemon {
    stopping: CancellationToken,
    runtime: Arc<Runtime>,
    tasks: JoinSet<anyhow::Result<()>>,
    address: String,
    channel: Channel,
}

impl Daemon {
    async fn start(disk: &Disk) -> Self {
        Self::start_with(disk, |_| {}).await
    }

    /// One with a connection to a cloud that does not answer: its workflows go on trying.
    async fn start_beside_a_dead_cloud(disk: &Disk) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(
            dir.path().join("c.ini"),
            "[default]\ntype = access_key\naccess_key_id = k\naccess_key_secret = s\n",
        )
        .unwrap();
        let text = "[connections.prod]\ncredentials = \"shared-file\"\ncredentials_file = \"c.ini\"\naccount_id = \"1\"\n\
                    regions = [\"cn-hangzhou\"]\nclusters = [\"*\"]\n\
                    [connections.prod.endpoints]\nall = \"http://127.0.0.1:1\"\n";
        std::fs::write(&file, text).unwrap();
        let config =
            config::load(&Flags { config: Some(file), ..Flags::default() }, &|_| None).unwrap();
        let prod = Connection::new(config.connections["prod"].clone(), &config.timing).unwrap();
        let heartbeat = |options: &mut Options| options.heartbeat = Duration::from_millis(20);
        Self::start_full(disk, heartbeat, BTreeMap::from([("prod".to_owned(), Arc::new(prod))]))
            .await
    }

    async fn start_with(disk: &Disk, change: impl FnOnce(&mut Options)) -> Self {
        Self::start_full(disk, change, BTreeMap::new()).await
    }

    async fn start_full(
        disk: &Disk,
        change: impl FnOnce(&mut Options),
        connections: BTreeMap<String, Arc<Connection>>,
    ) -> Self {
        Self::start_knowing(disk, change, connections, causeway_workflows::registry()).await
    }

    async fn start_knowing(
        disk: &Disk,
        change: impl FnOnce(&mut Options),
        mut connections: BTreeMap<String, Arc<Connection>>,
        definitions: Vec<causeway_workflows::Definition>,
    ) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(disk).unwrap());
        let timing = Timing::default();
        connections.insert(String::new(), Arc::new(Connection::none(&timing).unwrap()));
        let runtime = Runtime::new(Parts {
            fence: store.own(0).await.unwrap(),
            store,
            sealer: Arc::new(Sealer::from_hex(&"ab".repeat(32), "test").unwrap()),
            definitions,
            connections,
            timing,
            clock: clock::system(),
            observer: Arc::new(Journal::new(telemetry::Traces::off())),
        });
        runtime.recover().await.unwrap();
        let mut options = Options {
            authenticator: Authenticator::new(&config::load(&Flags::default(), &|_| None).unwrap()),
            clock: clock::system(),
            store_kind: "memory",
            heartbeat: Duration::from_secs(15),
            stall: Duration::from_secs(60),
        };
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, runtime.handle(), options, stopping.clone()));
        let timers = runtime.clone();
        tasks.spawn(async move {
            timers.run_timers().await;
            Ok(())
        });
        let channel = Channel::from_shared(address.clone()).unwrap().connect().await.unwrap();
        Self { stopping, runtime, tasks, address, channel }
    }

    fn workflows(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::new(self.channel.clone())
    }

    async fn stop(mut self) {
        self.runtime.drain(Duration::from_secs(5)).await;
        self.stopping.cancel();
        drop(self.channel);
        while self.tasks.join_next().await.is_some() {}
    }

    async fn start_noop(&self, request_id: &str, undo: bool) -> Result<pb::Workflow, Status> {
        let spec = Some(Spec::Noop(pb::NoopSpec { steps: 0, undo }));
        let request =
            pb::StartWorkflowRequest { request_id: request_id.into(), spec, ..Default::default() };
        Ok(self.workflows().start_workflow(request).await?.into_inner())
    }

    /// The cursor after the given record.
    async fn cursor(&self, workflow: &pb::Workflow, record: u64) -> String {
        let mut admin = AdminServiceClient::new(self.channel.clone());
        let store = admin
            .get_server_info(pb::GetServerInfoRequest {})
            .await
            .unwrap()
            .into_inner()
            .store
            .unwrap();
        let scope = [store.id.as_str(), &store.epoch.to_string(), &workflow.id];
        super::token::encode("watch", &scope, &record.to_string())
    }

    /// A finished self-test.
    async fn finished(&self) -> pb::Workflow {
        let started = self.start_noop("", true).await.unwrap();
        let request = pb::WaitWorkflowRequest { name: started.name, ..Default::default() };
        self.workflows().wait_workflow(request).await.unwrap().into_inner()
    }

    async fn watch(
        &self,
        name: &str,
        cursor: &str,
    ) -> Result<tonic::Streaming<pb::WatchWorkflowResponse>, Status> {
        let request = pb::WatchWorkflowRequest { name: name.into(), cursor: cursor.into() };
        Ok(self.workflows().watch_workflow(request).await?.into_inner())
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_workflow_is_started_waited_for_and_shown() {
    let daemon = Daemon::start(&Disk::new()).await;
    let done = daemon.finished().await;
    assert_eq!(done.state(), State::Succeeded);
    assert_eq!(done.steps.len(), 10);
    assert!(
        matches!(done.result.unwrap().result, Some(pb::workflow_result::Result::Noop(result)) if result.steps == 10)
    );
    let shown = daemon
        .workflows()
        .get_workflow(pb::GetWorkflowRequest { name: done.name })
        .await
        .unwrap()
        .into_inner();
    assert_eq!((shown.state(), shown.etag), (State::Succeeded, done.etag));
    daemon.stop().await;
}

#[tokio::test]
async fn the_same_request_has_the_same_answer_also_after_a_restart() {
    let disk = Disk::new();
    let daemon = Daemon::start(&disk).await;
    let first = daemon.start_noop("r1", false).await.unwrap();
    assert_eq!(daemon.start_noop("r1", false).await.unwrap().name, first.name);
    daemon.stop().await;
    let daemon = Daemon::start(&disk).await;
    assert_eq!(daemon.start_noop("r1", false).await.unwrap().name, first.name);
    let other = daemon.start_noop("r1", true).await.unwrap_err();
    assert_eq!(
        (other.code(), reason(&other).as_str()),
        (Code::AlreadyExists, reasons::REQUEST_ID_REUSED)
    );
    assert_eq!(other.get_error_details().error_info().unwrap().metadata["field"], "spec");
    daemon.stop().await;
}

#[tokio::test]
async fn history_and_lists_come_in_pages_that_show_everything_once() {
    let daemon = Daemon::start(&Disk::new()).await;
    let mut names = Vec::new();
    for _ in 0..5 {
        names.push(daemon.finished().await.name);
    }
    names.reverse();
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListWorkflowsRequest { page_size: 2, page_token, filter: "state=succeeded".into() };
        let page = daemon.workflows().list_workflows(request).await.unwrap().into_inner();
        listed.extend(page.workflows.into_iter().map(|workflow| workflow.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, names, "newest first");
    let (mut sequences, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListWorkflowEventsRequest { parent: names[0].clone(), page_size: 7, page_token };
        let page = daemon.workflows().list_workflow_events(request).await.unwrap().into_inner();
        sequences.extend(page.events.into_iter().map(|event| event.sequence));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    let none = pb::ListWorkflowsRequest { filter: "state=STUCK".into(), ..Default::default() };
    assert!(
        daemon.workflows().list_workflows(none).await.unwrap().into_inner().workflows.is_empty()
    );
    daemon.stop().await;
}

#[tokio::test]
async fn pages_show_each_once_while_workflows_come_and_go() {
    let daemon = Daemon::start(&Disk::new()).await;
    let mut names = Vec::new();
    for _ in 0..9 {
        names.push(daemon.finished().await.name);
    }
    names.reverse();
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListWorkflowsRequest { page_size: 2, page_token, ..Default::default() };
        let page = daemon.workflows().list_workflows(request).await.unwrap().into_inner();
        listed.extend(page.workflows.into_iter().map(|workflow| workflow.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        daemon.finished().await;
        if listed.len() == 4 {
            // Of those that were shown, the one at which the page ended among them, and of those that were not.
            for name in [&names[2], &names[3], &names[4], &names[7]] {
                let request =
                    pb::DeleteWorkflowRequest { name: name.clone(), ..Default::default() };
                daemon.workflows().delete_workflow(request).await.unwrap();
            }
        }
    }
    let expected = names.iter().enumerate().filter(|(n, _)| ![4, 7].contains(n));
    let expected: Vec<_> = expected.map(|(_, name)| name).collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
    daemon.stop().await;
}

/// The guide's cluster, as a request.
fn guide() -> pb::StartWorkflowRequest {
    let document: serde_json::Value =
        serde_saphyr::from_str(causeway_workflows::spec::EXAMPLE).unwrap();
    causeway_proto::input::decode(&document).unwrap()
}

#[tokio::test]
async fn a_workflow_that_waits_says_why_and_can_be_cancelled() {
    let daemon = Daemon::start_beside_a_dead_cloud(&Disk::new()).await;
    let mut workflows = daemon.workflows();
    let started = workflows.start_workflow(guide()).await.unwrap().into_inner();
    assert_eq!(started.state(), State::Running);
    let mut watch = daemon.watch(&started.name, "").await.unwrap();
    while !matches!(watch.message().await.unwrap().unwrap().message.unwrap(), Message::Heartbeat(_))
    {
    }
    let request = pb::WaitWorkflowRequest {
        name: started.name.clone(),
        etag: String::new(),
        timeout: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
    };
    let waiting = workflows.wait_workflow(request).await.unwrap().into_inner();
    assert_eq!(waiting.state(), State::Running, "the wait is over, the workflow is not");
    let filter = format!("state=RUNNING AND cluster_id={}", started.cluster_id);
    let request = pb::ListWorkflowsRequest { filter, ..Default::default() };
    assert_eq!(
        workflows.list_workflows(request).await.unwrap().into_inner().workflows[0].name,
        started.name
    );
    let cancel = |etag: &str| pb::CancelWorkflowRequest {
        name: started.name.clone(),
        reason: "enough".into(),
        etag: etag.into(),
        ..Default::default()
    };
    let stale = workflows.cancel_workflow(cancel("1-0")).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, reasons::ETAG_MISMATCH));
    workflows.cancel_workflow(cancel("")).await.unwrap();
    let last = loop {
        match watch.message().await.unwrap() {
            Some(message) => match message.message.unwrap() {
                Message::Event(event) if event.r#type == "ENDED" => break event,
                _ => {}
            },
            None => panic!("the watch ends with the end of the workflow"),
        }
    };
    assert_eq!(last.state(), State::Cancelled);
    assert!(watch.message().await.unwrap().is_none());
    daemon.stop().await;
}

#[tokio::test]
async fn health_and_server_info_are_answered() {
    let daemon = Daemon::start(&Disk::new()).await;
    daemon.finished().await;
    for service in ["", "causeway.v1.WorkflowService"] {
        let request = HealthCheckRequest { service: service.into() };
        let health =
            HealthClient::new(daemon.channel.clone()).check(request).await.unwrap().into_inner();
        assert_eq!(health.status, 1, "{service:?} serves");
    }
    let mut admin = AdminServiceClient::new(daemon.channel.clone());
    let info = admin.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.workflows["SUCCEEDED"], 1);
    assert_eq!((info.authentication.as_str(), info.draining), ("none", false));
    let caller = info.caller.unwrap();
    assert_eq!((caller.principal.as_str(), caller.authentication.as_str()), ("loopback", "none"));
    assert_eq!(caller.role(), pb::server_info::caller::Role::Admin);
    assert!(info.definitions.iter().any(|definition| definition.name == "saga-10"));
    daemon.stop().await;
}
