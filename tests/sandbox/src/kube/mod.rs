//! A simulated Kubernetes API server: the real protocol over TLS on loopback, over objects in memory. It plays
//! kube-apiserver and nothing else; what controllers and kubelets do is done by `controllers`, through the API.

mod admission;
mod api;
mod apply;
mod bootstrap;
mod clock;
mod delete;
mod discovery;
mod faulty;
mod identity;
pub mod ledger;
mod names;
mod patch;
mod registry;
mod request;
mod reviews;
mod schema;
mod selector;
mod status;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod watch;
mod write;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::Response;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    api::Api,
    identity::Credentials,
    status::Failure,
    store::Store,
    tls::{Certificates, TlsListener},
};
use crate::{faults::Faults, seed, time::Pace};

pub use self::{
    bootstrap::nth_address,
    clock::{now, stamp},
    faulty::Stalls,
    identity::kubelet_may_set,
    selector::{expression_matches, label_selector_matches},
};

/// The largest body that the server reads, as the real one.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// Whose credentials a kubeconfig holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The daemon under test, through the registered cluster: faults and boundaries apply.
    Daemon,
    /// cluster-admin: the controllers, and people with kubectl.
    Admin,
}

/// A running API server; it ends when dropped.
pub struct Server {
    api: Arc<Api>,
    address: SocketAddr,
    ca_pem: String,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts the API server of a cluster's data center on a free port of 127.0.0.1. It holds what a kube-apiserver
    /// creates by itself, and nothing else.
    pub async fn start(
        cluster: &seed::Cluster,
        faults: Arc<Faults>,
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let data_center = &cluster.data_center;
        let own_address = data_center.api_server.split(':').next().unwrap_or_default().to_owned();
        let names =
            ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"].map(str::to_owned);
        let names =
            names.into_iter().chain([own_address]).filter(|name| !name.is_empty()).collect();
        let certificates = Certificates::new(names)?;
        let mut tasks = JoinSet::new();
        let listener = TlsListener::bind(certificates.config, &mut tasks).await?;
        let address = listener.address();
        let stop = CancellationToken::new();
        let api = Arc::new(Api {
            store: Arc::new(Store::default()),
            credentials: Credentials::random(data_center),
            version: data_center.kubernetes_version.clone(),
            faults,
            pace,
            stalls: Stalls::default(),
            stop: stop.clone(),
            late: TaskTracker::new(),
        });
        bootstrap::create_objects(&api.store, &data_center.service_cidr);
        for object in &data_center.daemon_rbac {
            bootstrap::create_rbac(&api.store, object)?;
        }
        let router = Router::new().fallback(handle).with_state(Arc::clone(&api));
        let stopped = stop.clone();
        tasks.spawn(async move {
            let served = axum::serve(listener, router)
                .with_graceful_shutdown(async move { stopped.cancelled().await })
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "The simulated API server stopped");
            }
        });
        Ok(Self { api, address, ca_pem: certificates.ca_pem, stop, tasks })
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where it listens; the relay leads the data center's own address here.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the cluster's authority.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A kubeconfig, as YAML.
    #[must_use]
    pub fn kubeconfig(&self, who: Who) -> String {
        let (user, token) = match who {
            Who::Daemon => ("causewayd", &self.api.credentials.daemon),
            Who::Admin => ("kubernetes-admin", &self.api.credentials.admin),
        };
        let (url, ca) = (self.url(), BASE64.encode(&self.ca_pem));
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n    server: {url}\n    certificate-authority-data: {ca}\n\
             users:\n- name: {user}\n  user:\n    token: {token}\ncontexts:\n- name: {user}@sandbox\n  context:\n    cluster: sandbox\n    user: {user}\n\
             current-context: {user}@sandbox\n"
        )
    }

    /// Every token that the server itself has given out; those in Secrets are the world's.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        vec![self.api.credentials.daemon.clone(), self.api.credentials.admin.clone()]
    }

    /// What fault rules keep from becoming ready.
    #[must_use]
    pub fn stalls(&self) -> Stalls {
        self.api.stalls.clone()
    }

    /// Stops listening, ends watches and connections.
    pub fn stop(&mut self) {
        self.stop.cancel();
        self.tasks.abort_all();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response<axum::body::Body> {
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, BODY_LIMIT).await {
        Ok(body) => api.serve(parts, body).await,
        Err(_) => Failure::injected(413, None).response(),
    }
}
