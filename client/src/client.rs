//! The typed calls. Reads, and writes with a `request_id`, are repeated while the daemon can't be reached; a write without
//! one gets one here, so that all of them may be.

use std::time::Duration;

use causeway_proto::limits::RESPONSE_BYTES_MAX;
use causeway_proto::names;
use causeway_proto::v1::admin_service_client::AdminServiceClient;
use causeway_proto::v1::hybrid_cluster_service_client::HybridClusterServiceClient;
use causeway_proto::v1::workflow_service_client::WorkflowServiceClient;
use causeway_proto::v1::{
    Connection, GetHybridClusterRequest, GetServerInfoRequest, GetWorkflowRequest, HybridCluster,
    HybridClusterVerification, ListConnectionsRequest, ListHybridClustersRequest,
    ListWorkflowEventsRequest, ListWorkflowEventsResponse, ListWorkflowsRequest,
    ListWorkflowsResponse, ServerInfo, StartWorkflowRequest, VerifyHybridClusterRequest,
    WaitWorkflowRequest, Workflow,
};
use tonic::{Request, Response, Status};

use crate::connect::{self, Options, Wire};
use crate::error::Error;
use crate::retry::{self, Patience};
use crate::watch::Watch;

/// How long one answer may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    wire: Wire,
    address: String,
    patience: Patience,
}

/// The request with its deadline.
pub(crate) fn timed<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// A new `request_id`.
pub(crate) fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl Client {
    /// A client that connects at its first call.
    ///
    /// # Errors
    /// [`Error::InsecureToken`], or [`Error::Credentials`] where the TLS settings can't be used.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let wire = connect::wire(options)?;
        Ok(Self { wire, address: options.address.to_string(), patience: options.patience })
    }

    /// The daemon's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same client with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    pub(crate) fn workflows(&self) -> WorkflowServiceClient<Wire> {
        WorkflowServiceClient::new(self.wire.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    fn clusters(&self) -> HybridClusterServiceClient<Wire> {
        HybridClusterServiceClient::new(self.wire.clone())
            .max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Wire> {
        AdminServiceClient::new(self.wire.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    pub(crate) async fn call<T, F>(&self, call: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = retry::repeat(self.patience, call).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| Error::from_status(&self.address, &status))
    }

    /// Starts a workflow. Without a `request_id` a new one is made: the call may then be repeated on its way, but a caller
    /// that wants to repeat it itself must choose one.
    ///
    /// # Errors
    /// [`Error::Api`] with the violations of a bad input, and all others.
    pub async fn start(&self, mut request: StartWorkflowRequest) -> Result<Workflow, Error> {
        if request.request_id.is_empty() {
            request.request_id = new_request_id();
        }
        // Held to a plan, it is answered once the plan was made anew.
        let timeout =
            if request.plan_digest.is_empty() { CALL_TIMEOUT } else { crate::plan::PLAN_TIMEOUT };
        self.call(|| {
            let (mut service, request) = (self.workflows(), timed(request.clone(), timeout));
            async move { service.start_workflow(request).await }
        })
        .await
    }

    /// One workflow, by id or resource name.
    ///
    /// # Errors
    /// [`Error::Api`] with `WORKFLOW_NOT_FOUND`, and all others.
    pub async fn get(&self, id: &str) -> Result<Workflow, Error> {
        let request = GetWorkflowRequest { name: workflow_name(id) };
        self.call(|| {
            let (mut service, request) = (self.workflows(), timed(request.clone(), CALL_TIMEOUT));
            async move { service.get_workflow(request).await }
        })
        .await
    }

    /// A page of workflows, newest first.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn list(
        &self,
        request: ListWorkflowsRequest,
    ) -> Result<ListWorkflowsResponse, Error> {
        self.call(|| {
            let (mut service, request) = (self.workflows(), timed(request.clone(), CALL_TIMEOUT));
            async move { service.list_workflows(request).await }
        })
        .await
    }

    /// The workflow once its public state differs from `etag` (empty: once it ends or waits for a person), or at the latest
    /// after `timeout`, which is at most a minute.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn wait(&self, id: &str, etag: &str, timeout: Duration) -> Result<Workflow, Error> {
        let timeout_message = prost_types::Duration::try_from(timeout).ok();
        let request = WaitWorkflowRequest {
            name: workflow_name(id),
            etag: etag.to_owned(),
            timeout: timeout_message,
        };
        self.call(|| {
            let (mut service, request) =
                (self.workflows(), timed(request.clone(), timeout + CALL_TIMEOUT));
            async move { service.wait_workflow(request).await }
        })
        .await
    }

    /// Follows a workflow from a cursor; an empty one begins with a snapshot. Connects at the first [`Watch::next`].
    #[must_use]
    pub fn watch(&self, id: &str, cursor: &str) -> Watch {
        Watch::new(self.clone(), workflow_name(id), cursor.to_owned())
    }

    /// A page of a workflow's history, oldest first.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn events(
        &self,
        id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ListWorkflowEventsResponse, Error> {
        let request = ListWorkflowEventsRequest {
            parent: workflow_name(id),
            page_size,
            page_token: page_token.to_owned(),
        };
        self.call(|| {
            let (mut service, request) = (self.workflows(), timed(request.clone(), CALL_TIMEOUT));
            async move { service.list_workflow_events(request).await }
        })
        .await
    }

    /// The record of a hybrid cluster, by name or by the registered cluster's id.
    ///
    /// # Errors
    /// [`Error::Api`] with `HYBRID_CLUSTER_NOT_FOUND`, and all others.
    pub async fn cluster(&self, name: &str) -> Result<HybridCluster, Error> {
        let name = if name.contains('/') { name.to_owned() } else { names::hybrid_cluster(name) };
        let request = GetHybridClusterRequest { name };
        self.call(|| {
            let (mut service, request) = (self.clusters(), timed(request.clone(), CALL_TIMEOUT));
            async move { service.get_hybrid_cluster(request).await }
        })
        .await
    }

    /// Whether a cluster is still as its record has it. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Api`] with `HYBRID_CLUSTER_NOT_FOUND` or `TEARDOWN_UNFIT`, and all others.
    pub async fn verify_cluster(&self, name: &str) -> Result<HybridClusterVerification, Error> {
        let name = if name.contains('/') { name.to_owned() } else { names::hybrid_cluster(name) };
        let request = VerifyHybridClusterRequest { name };
        self.call(|| {
            let request = timed(request.clone(), crate::plan::PLAN_TIMEOUT);
            let mut service = self.clusters();
            async move { service.verify_hybrid_cluster(request).await }
        })
        .await
    }

    /// All records of hybrid clusters, by name.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn list_clusters(&self) -> Result<Vec<HybridCluster>, Error> {
        let mut request = ListHybridClustersRequest::default();
        let mut clusters = Vec::new();
        loop {
            let page = self.call(|| {
                let (mut service, request) =
                    (self.clusters(), timed(request.clone(), CALL_TIMEOUT));
                async move { service.list_hybrid_clusters(request).await }
            });
            let page = page.await?;
            clusters.extend(page.hybrid_clusters);
            if page.next_page_token.is_empty() {
                return Ok(clusters);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The accounts that the daemon is configured for.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn connections(&self) -> Result<Vec<Connection>, Error> {
        let answer = self.call(|| {
            let mut service = self.clusters();
            let request = timed(ListConnectionsRequest::default(), CALL_TIMEOUT);
            async move { service.list_connections(request).await }
        });
        answer.await.map(|answer| answer.connections)
    }

    /// Version, store, definitions and load of the daemon.
    ///
    /// # Errors
    /// [`Error::Api`], [`Error::Unreachable`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        self.call(|| {
            let (mut service, request) =
                (self.admin(), timed(GetServerInfoRequest {}, CALL_TIMEOUT));
            async move { service.get_server_info(request).await }
        })
        .await
    }
}

/// What is no id travels as it is: the daemon's word about it is better than ours.
pub(crate) fn workflow_name(id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { names::workflow(id) }
}
