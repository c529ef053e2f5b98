//! The calls that steer a workflow. Each carries a `request_id`, a new one where the caller gives none, so that all of them may be
//! repeated while the daemon can't be reached.

use causeway_proto::v1::workflow_service_client::WorkflowServiceClient;
use causeway_proto::v1::{
    AbandonWorkflowRequest, ApproveStepRequest, CancelWorkflowRequest, DeleteWorkflowRequest,
    DenyStepRequest, PauseWorkflowRequest, ResumeWorkflowRequest, RetryWorkflowRequest,
    SkipStepRequest, Workflow,
};
use tonic::{Request, Response, Status};

use crate::client::{CALL_TIMEOUT, Client, new_request_id, timed, workflow_name};
use crate::connect::Wire;
use crate::error::Error;

/// What comes with a verb.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// Why; kept in the history. Required for abandon and skip.
    pub reason: String,
    /// Only if the workflow still has this etag; required for skip, approve and deny, which are decisions on what was seen.
    pub etag: String,
    /// The same id and input has the same answer; empty: a new one. Who wants to repeat the call itself has to choose it.
    pub request_id: String,
}

impl Ask {
    /// With a `request_id`.
    fn repeatable(mut self) -> Self {
        if self.request_id.is_empty() {
            self.request_id = new_request_id();
        }
        self
    }
}

impl From<&str> for Ask {
    /// Just a reason.
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..Self::default() }
    }
}

/// The verbs that are about a workflow as a whole: method, request, rpc.
macro_rules! verbs {
    ($($(#[$doc:meta])+ $method:ident $request:ident $rpc:ident;)+) => {
        impl Client {
            $(
                $(#[$doc])+
                pub async fn $method(
                    &self,
                    id: &str,
                    ask: impl Into<Ask>,
                ) -> Result<Workflow, Error> {
                    let Ask { reason, etag, request_id } = ask.into().repeatable();
                    let request = $request { name: workflow_name(id), reason, etag, request_id };
                    self.send(request, |mut service, request| async move {
                        service.$rpc(request).await
                    })
                    .await
                }
            )+
        }
    };
}

verbs! {
    /// Turns a workflow to its undo, and answers with it as it then is.
    ///
    /// # Errors
    /// [`Error::Api`] with `PAST_PIVOT` or `WORKFLOW_ENDED`, and all others.
    cancel CancelWorkflowRequest cancel_workflow;
    /// Ends a workflow with whatever is left in the world; its field `left` lists it once it has ended.
    ///
    /// # Errors
    /// [`Error::Api`] with `WORKFLOW_ENDED`, and all others.
    abandon AbandonWorkflowRequest abandon_workflow;
    /// Stops a workflow at its next safe point.
    ///
    /// # Errors
    /// [`Error::Api`] with `USE_RETRY` where it is stuck, `WORKFLOW_ENDED`, and all others.
    pause PauseWorkflowRequest pause_workflow;
    /// Lets a paused workflow go on.
    ///
    /// # Errors
    /// [`Error::Api`] with `USE_RETRY` where a step is held or stuck, `WORKFLOW_ENDED`, and all others.
    resume ResumeWorkflowRequest resume_workflow;
    /// Tries what waits, is held or is stuck now.
    ///
    /// # Errors
    /// [`Error::Api`] with `NOT_STARTED`, `WORKFLOW_ENDED`, and all others.
    retry RetryWorkflowRequest retry_workflow;
}

impl Client {
    /// Deletes an ended workflow and its history; the record of the cluster that it built stays.
    ///
    /// # Errors
    /// [`Error::Api`] with `WORKFLOW_NOT_ENDED`, `WORKFLOW_NOT_FOUND`, and all others.
    pub async fn delete(&self, id: &str, ask: impl Into<Ask>) -> Result<(), Error> {
        let Ask { reason, etag, request_id } = ask.into().repeatable();
        let request = DeleteWorkflowRequest { name: workflow_name(id), reason, etag, request_id };
        let deleted = self.send(request, |mut service, request| async move {
            service.delete_workflow(request).await
        });
        deleted.await.map(|_| ())
    }

    /// Passes over a step that waits, is held or is stuck, after the daemon has looked at the world.
    ///
    /// # Errors
    /// [`Error::Api`] with `ETAG_MISMATCH` where it has moved on since, `STEP_NOT_FOUND`, `STEP_NOT_SKIPPABLE`, and all others.
    pub async fn skip(&self, id: &str, step: &str, ask: impl Into<Ask>) -> Result<Workflow, Error> {
        let Ask { reason, etag, request_id } = ask.into().repeatable();
        let (name, step) = (workflow_name(id), step.to_owned());
        let request = SkipStepRequest { name, step, reason, etag, request_id };
        self.send(request, |mut service, request| async move { service.skip_step(request).await })
            .await
    }

    /// Opens a gate.
    ///
    /// # Errors
    /// [`Error::Api`] with `ETAG_MISMATCH` where it has moved on since, `STEP_NOT_FOUND`, `GATE_NOT_OPEN`, and all others.
    pub async fn approve(
        &self,
        id: &str,
        step: &str,
        ask: impl Into<Ask>,
    ) -> Result<Workflow, Error> {
        let Ask { reason, etag, request_id } = ask.into();
        let (name, step) = (workflow_name(id), step.to_owned());
        let plan_digest = String::new();
        self.approve_step(ApproveStepRequest { name, step, reason, etag, plan_digest, request_id })
            .await
    }

    /// Opens a gate of a workflow that was started by a plan: with the digest that it shows. Without a `request_id` a new one
    /// is made.
    ///
    /// # Errors
    /// As [`Client::approve`]; [`Error::Api`] with `PLAN_STALE` where the workflow is held to another plan.
    pub async fn approve_step(&self, mut request: ApproveStepRequest) -> Result<Workflow, Error> {
        if request.request_id.is_empty() {
            request.request_id = new_request_id();
        }
        self.send(
            request,
            |mut service, request| async move { service.approve_step(request).await },
        )
        .await
    }

    /// Closes a gate for good: the workflow turns to its undo.
    ///
    /// # Errors
    /// As [`Client::approve`].
    pub async fn deny(&self, id: &str, step: &str, ask: impl Into<Ask>) -> Result<Workflow, Error> {
        let Ask { reason, etag, request_id } = ask.into().repeatable();
        let (name, step) = (workflow_name(id), step.to_owned());
        let request = DenyStepRequest { name, step, reason, etag, request_id };
        self.send(request, |mut service, request| async move { service.deny_step(request).await })
            .await
    }

    async fn send<R, T, F>(
        &self,
        request: R,
        call: impl Fn(WorkflowServiceClient<Wire>, Request<R>) -> F,
    ) -> Result<T, Error>
    where
        R: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.call(|| call(self.workflows(), timed(request.clone(), CALL_TIMEOUT))).await
    }
}
