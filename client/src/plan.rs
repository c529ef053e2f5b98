//! The call that finds out what a start would do. It changes nothing, so it may be repeated.

use std::time::Duration;

use causeway_proto::limits::PLAN_SECONDS_MAX;
use causeway_proto::v1::{
    Plan, PlanWorkflowRequest, StartWorkflowRequest, plan_workflow_request, start_workflow_request,
};

use crate::client::{CALL_TIMEOUT, Client, timed};
use crate::error::Error;

/// How long a plan, or a start that is held to one, may take.
pub(crate) const PLAN_TIMEOUT: Duration =
    Duration::from_secs(PLAN_SECONDS_MAX + CALL_TIMEOUT.as_secs());

impl Client {
    /// What a start would do. Its `digest` may then be given to the start, which is refused where the world has changed since.
    ///
    /// # Errors
    /// [`Error::Api`] with the violations of a bad input or `CLUSTER_EXISTS`, and all others.
    pub async fn plan(&self, request: PlanWorkflowRequest) -> Result<Plan, Error> {
        self.call(|| {
            let (mut service, request) = (self.workflows(), timed(request.clone(), PLAN_TIMEOUT));
            async move { service.plan_workflow(request).await }
        })
        .await
    }
}

/// The plan of a start: what a start carries beyond the input has no part in it.
#[must_use]
pub fn plan_of(start: StartWorkflowRequest) -> PlanWorkflowRequest {
    use plan_workflow_request::Spec as Planned;
    use start_workflow_request::Spec;
    let spec = start.spec.map(|spec| match spec {
        Spec::HybridCluster(spec) => Planned::HybridCluster(spec),
        Spec::Noop(spec) => Planned::Noop(spec),
        Spec::Teardown(spec) => Planned::Teardown(spec),
    });
    PlanWorkflowRequest { metadata: start.metadata, run: start.run, spec }
}
