//! What people ask of a workflow: the form of the request is checked here, the engine decides. It starts and follows nothing.

use causeway_engine::{Reason, StepName, Verb, Workflow, WorkflowId, state::Phase};
use causeway_proto::{json::Violation, names, v1 as pb};
use tonic::Request;

use super::{
    caller::{admit, by},
    request,
    status::{Error, Resource},
    workflows::{Workflows, workflow_id},
};
use crate::{auth::Principal, config::Role, runtime};

/// What every verb says.
struct Asked<'r> {
    name: &'r str,
    reason: &'r str,
    etag: &'r str,
    request_id: &'r str,
}

impl Asked<'_> {
    /// What is wrong with its form.
    fn violations(&self) -> Vec<Violation> {
        let wrong = [request::request_id(self.request_id), request::reason(self.reason)];
        wrong.into_iter().filter_map(Result::err).collect()
    }
}

/// A decision about a gate, taken by a person on what they saw.
struct Decision<'r> {
    asked: Asked<'r>,
    step: &'r str,
    /// The plan that the gate showed; approvals only.
    plan_digest: &'r str,
}

impl Decision<'_> {
    fn check(&self) -> Result<(), Error> {
        let mut violations = self.asked.violations();
        if self.step.is_empty() {
            violations.push(Violation::new("step", "is missing; give the name of the gate"));
        }
        if self.asked.etag.is_empty() {
            let message =
                "is missing; give the etag of the workflow that the decision was taken on";
            violations.push(Violation::new("etag", message));
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        if !self.plan_digest.is_empty() {
            let message = "no gate shows a plan yet; approve without a digest, by the etag";
            return Err(Error::NotSupportedYet(vec![Violation::new("plan_digest", message)]));
        }
        Ok(())
    }
}

impl Workflows {
    pub(super) async fn cancel(
        &self,
        request: Request<pb::CancelWorkflowRequest>,
    ) -> Result<pb::Workflow, Error> {
        let principal = admit(&self.shared.authenticator, &request, Role::Operator)?;
        let request = request.into_inner();
        let asked = Asked {
            name: &request.name,
            reason: &request.reason,
            etag: &request.etag,
            request_id: &request.request_id,
        };
        let id = workflow_id("name", asked.name)?;
        let violations = asked.violations();
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        let state = self.ask(&principal, &id, &asked, Verb::Cancel).await;
        Ok(self.shown(&*state?.map_err(|error| Error::of(error, &id))?).await)
    }

    pub(super) async fn approve(
        &self,
        request: Request<pb::ApproveStepRequest>,
    ) -> Result<pb::Workflow, Error> {
        let principal = admit(&self.shared.authenticator, &request, Role::Approver)?;
        let request = request.into_inner();
        let asked = Asked {
            name: &request.name,
            reason: &request.reason,
            etag: &request.etag,
            request_id: &request.request_id,
        };
        let digest = request.plan_digest.clone();
        let verb = Verb::Approve { step: StepName::from(request.step.as_str()), digest };
        let decision = Decision { asked, step: &request.step, plan_digest: &request.plan_digest };
        self.decide(&principal, &decision, verb).await
    }

    pub(super) async fn deny(
        &self,
        request: Request<pb::DenyStepRequest>,
    ) -> Result<pb::Workflow, Error> {
        let principal = admit(&self.shared.authenticator, &request, Role::Approver)?;
        let request = request.into_inner();
        let asked = Asked {
            name: &request.name,
            reason: &request.reason,
            etag: &request.etag,
            request_id: &request.request_id,
        };
        let verb = Verb::Deny { step: StepName::from(request.step.as_str()) };
        let decision = Decision { asked, step: &request.step, plan_digest: "" };
        self.decide(&principal, &decision, verb).await
    }

    async fn decide(
        &self,
        principal: &Principal,
        decision: &Decision<'_>,
        verb: Verb,
    ) -> Result<pb::Workflow, Error> {
        let id = workflow_id("name", decision.asked.name)?;
        decision.check()?;
        let error = match self.ask(principal, &id, &decision.asked, verb.clone()).await? {
            Ok(state) => return Ok(self.shown(&state).await),
            Err(error) => error,
        };
        // A call that is repeated because its answer was lost finds the etag moved on, or the workflow ended, by its own effect.
        let refused =
            matches!(error, runtime::Error::EtagMismatch { .. } | runtime::Error::Rejected { .. });
        if refused
            && let Ok(state) = self.shared.handle.get(&id).await
            && stands(&state, &verb)
        {
            return Ok(self.shown(&state).await);
        }
        match error {
            runtime::Error::Rejected { rejection, .. } if rejection.reason == Reason::UnknownStep => {
                let step = decision.step.to_owned();
                Err(Error::NotFound(Resource::Step(names::workflow(id.as_str()), step)))
            }
            error => Err(Error::of(error, &id)),
        }
    }

    /// The runtime's answer; the outer error is about the form of the etag.
    async fn ask(
        &self,
        principal: &Principal,
        id: &WorkflowId,
        asked: &Asked<'_>,
        verb: Verb,
    ) -> Result<Result<std::sync::Arc<Workflow>, runtime::Error>, Error> {
        let etag = etag_position(asked.etag)?;
        let by = by(principal, asked.reason);
        Ok(self.shared.handle.ask(id, verb, by, etag.as_deref()).await)
    }
}

/// Whether a person has decided just this already.
fn stands(state: &Workflow, verb: &Verb) -> bool {
    let (Verb::Approve { step, .. } | Verb::Deny { step }) = verb else { return false };
    let Some(step) = state.step(step) else { return false };
    let asked_for = state.options.gates.contains_key(&step.spec.template);
    match (&step.phase, verb) {
        (Phase::Done, Verb::Approve { .. }) => asked_for,
        (Phase::Failed { failure }, Verb::Deny { .. }) => {
            failure.code.as_deref() == Some("GATE_DENIED")
        }
        _ => false,
    }
}

/// The runtime compares the number of records; the rest of an etag is for WaitWorkflow.
fn etag_position(etag: &str) -> Result<Option<String>, Error> {
    if etag.is_empty() {
        return Ok(None);
    }
    let position = etag.split('-').next().unwrap_or_default();
    position.parse::<u64>().map_err(|_| Error::field("etag", "was not made by this daemon"))?;
    Ok(Some(position.to_owned()))
}
