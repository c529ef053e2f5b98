//! The real daemon against an OTLP collector: the spans that arrive, and that they form one trace.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use causeway_proto::v1::{
    self as pb, start_workflow_request::Spec, workflow::State,
    workflow_service_client::WorkflowServiceClient,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Channel};

/// How long the daemon may take for anything here, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let batches = request
            .into_inner()
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(batches.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A daemon of its own process; killed when it is dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Daemon {
    fn start(dir: &Path, listen: SocketAddr, collector: SocketAddr) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_causewayd"))
            .args(["--listen", &listen.to_string(), "--data-dir"])
            .arg(dir)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Asks it to end, as an init system does, and waits for that: then every span was sent.
    async fn terminate(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(ended.await.unwrap().success(), "an orderly stop is no failure");
    }
}

async fn connect(listen: SocketAddr) -> WorkflowServiceClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{listen}")).unwrap();
    let connected = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(channel) = endpoint.connect().await {
                return channel;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    WorkflowServiceClient::new(connected.await.unwrap())
}

#[tokio::test]
async fn a_workflow_arrives_at_the_collector_as_one_trace() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector_address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    let service = TraceServiceServer::new(collector.clone());
    tasks.spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    // Free a moment ago; the daemon itself knows no port 0.
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();

    let daemon = Daemon::start(dir.path(), listen, collector_address);
    let mut client = connect(listen).await;
    let spec = Some(Spec::Noop(pb::NoopSpec { steps: 0, undo: true }));
    let request = pb::StartWorkflowRequest { spec, ..Default::default() };
    let started = client.start_workflow(request).await.unwrap().into_inner();
    let request = pb::WaitWorkflowRequest { name: started.name, ..Default::default() };
    let done = client.wait_workflow(request).await.unwrap().into_inner();
    assert_eq!(done.state(), State::Succeeded);
    drop(client);
    daemon.terminate().await;

    let spans = collector.0.lock().unwrap().clone();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let ours: Vec<_> = spans.iter().filter(|span| hex(&span.trace_id) == done.trace_id).collect();
    let root = ours.iter().find(|span| span.parent_span_id.is_empty()).unwrap();
    assert_eq!(root.name, "saga-10-undo");
    let steps: HashMap<_, _> = ours
        .iter()
        .filter(|span| span.parent_span_id == root.span_id)
        .map(|span| (&span.span_id, &span.name))
        .collect();
    assert_eq!(steps.len(), 10);
    let operations: Vec<_> = ours.iter().filter(|span| span.name == "operation").collect();
    assert!(operations.len() >= 20, "each step observes and applies");
    assert!(
        operations.iter().all(|span| steps.contains_key(&span.parent_span_id)),
        "each is below its step"
    );
}
