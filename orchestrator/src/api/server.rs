//! The server: all services on one listener, with health, reflection and limits.

use std::{sync::Arc, time::Duration};

use causeway_proto::{
    limits::{
        REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, STREAMS_PER_CONNECTION_MAX, WATCH_STALL_SECONDS_MAX,
        WATCHES_MAX,
    },
    v1::{
        FILE_DESCRIPTOR_SET, admin_service_server::AdminServiceServer,
        hybrid_cluster_service_server::HybridClusterServiceServer,
        workflow_service_server::WorkflowServiceServer,
    },
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::server::TcpIncoming};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::util::MapResponseLayer;

use super::{admin::Admin, clusters::Clusters, foreign, watch::States, workflows::Workflows};
use crate::{
    auth::Authenticator,
    clock::{self, Clock},
    config::Config,
    runtime::Handle,
};

/// Between two signs of life of a watch that has nothing to say.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a watch may leave a message untaken.
const STALL: Duration = Duration::from_secs(WATCH_STALL_SECONDS_MAX);
/// Dead connections are found by pings, so that their streams don't count for ever.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The service that takes work on.
const WORKFLOWS: &str = "causeway.v1.WorkflowService";

/// What the API needs besides the runtime.
pub struct Options {
    /// Who may call.
    pub authenticator: Authenticator,
    /// The clock.
    pub clock: Clock,
    /// What keeps the journal: `sled` or `memory`.
    pub store_kind: &'static str,
    /// Between two signs of life of a watch that has nothing to say.
    pub heartbeat: Duration,
    /// How long a watch may leave a message untaken before it is cut off.
    pub stall: Duration,
}

impl Options {
    /// Those of the daemon.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            authenticator: Authenticator::new(config),
            clock: clock::system(),
            store_kind: "sled",
            heartbeat: HEARTBEAT,
            stall: STALL,
        }
    }
}

/// What all services share.
pub(super) struct Shared {
    pub(super) handle: Handle,
    pub(super) authenticator: Authenticator,
    pub(super) clock: Clock,
    pub(super) store_kind: &'static str,
    pub(super) stopping: CancellationToken,
    pub(super) watches: Arc<Semaphore>,
    pub(super) heartbeat: Duration,
    pub(super) stall: Duration,
    /// States that watches need, as they were.
    pub(super) states: States,
    /// What runs for as long as a caller reads.
    pub(super) tasks: TaskTracker,
}

/// Why the server can't be, or has ended.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The embedded descriptors can't be served: a fault of the build.
    #[error("the reflection service can't be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener broke.
    #[error("the listener of the API broke")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `stopping` is cancelled; then streams and waits end, and calls in flight are answered.
///
/// # Errors
/// Where the listener breaks.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    options: Options,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared {
        handle: handle.clone(),
        authenticator: options.authenticator,
        clock: options.clock,
        store_kind: options.store_kind,
        stopping: stopping.clone(),
        watches: Arc::new(Semaphore::new(WATCHES_MAX)),
        heartbeat: options.heartbeat,
        stall: options.stall,
        states: States::default(),
        tasks: TaskTracker::new(),
    });
    let tasks = shared.tasks.clone();
    let authentication = shared.authenticator.kind();
    let (health, health_service) = tonic_health::server::health_reporter();
    let routes = routes(shared)?.add_service(health_service);
    set_serving(&health, true).await;
    tracing::info!(%address, authentication, "The API listens");
    if authentication == "none" {
        tracing::warn!(
            "No authentication is configured: whoever can connect from this machine may do everything"
        );
    }
    let drained = (health.clone(), stopping.clone());
    tasks.spawn(async move {
        let (health, stopping) = drained;
        tokio::select! {
            // It lives, and answers reads: only new work goes elsewhere.
            () = handle.drained() => health.set_service_status(WORKFLOWS, ServingStatus::NotServing).await,
            () = stopping.cancelled() => {}
        }
    });
    let stopped = async move {
        stopping.cancelled().await;
        set_serving(&health, false).await;
    };
    let served = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .layer(MapResponseLayer::new(foreign::in_our_words))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped)
        .await;
    served.map_err(Error::from)?;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn routes(shared: Arc<Shared>) -> Result<Routes, Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let workflows = WorkflowServiceServer::new(Workflows { shared: shared.clone() })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(RESPONSE_BYTES_MAX);
    let clusters = HybridClusterServiceServer::new(Clusters { shared: shared.clone() })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(RESPONSE_BYTES_MAX);
    let admin = AdminServiceServer::new(Admin { shared })
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(RESPONSE_BYTES_MAX);
    Ok(Routes::new(workflows)
        .add_service(clusters)
        .add_service(admin)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// Says of every service, and of the daemon as a whole (the empty name), whether it serves.
async fn set_serving(health: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    let services = ["", WORKFLOWS, "causeway.v1.HybridClusterService", "causeway.v1.AdminService"];
    for service in services {
        health.set_service_status(service, status).await;
    }
}
