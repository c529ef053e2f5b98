//! What people ask of a workflow: the form of the request is checked here, in one way for all verbs; the engine decides. It
//! starts and follows nothing.

use std::collections::BTreeMap;

use causeway_engine::{Reason, StepName, Verb, Workflow, WorkflowId, state::Phase};
use causeway_proto::{json::Violation, limits::STEP_LEN_MAX, names, v1 as pb};
use prost::Name;
use tonic::Request;

use super::{
    caller::{admit, by},
    convert, request,
    status::{Error, Resource},
    workflows::{Workflows, workflow_id},
};
use crate::{
    config::Role,
    runtime::{self, Ask, Repeatable},
};

/// What a verb's request says.
pub(super) trait Asks: Name {
    /// Who may ask.
    const ROLE: Role;
    /// Whether a person has to say why.
    const NEEDS_REASON: bool = false;

    /// What every request says.
    fn common(&self) -> Common<'_>;

    /// What is asked of the engine; none where the workflow is to be deleted.
    fn verb(&self) -> Option<Verb>;

    /// The step that it is about, where it is about one: a decision on what a person saw, so that it needs the etag.
    fn step(&self) -> Option<&str> {
        None
    }

    /// The plan that the person saw.
    fn plan_digest(&self) -> &str {
        ""
    }
}

/// What every verb says.
pub(super) struct Common<'r> {
    name: &'r str,
    reason: &'r str,
    etag: &'r str,
    request_id: &'r str,
}

/// The requests of the contract, as what they ask.
macro_rules! asks {
    ($($request:ident($role:ident) => $verb:expr, { $($more:item)* })*) => {
        $(
            impl Asks for pb::$request {
                const ROLE: Role = Role::$role;

                fn common(&self) -> Common<'_> {
                    Common {
                        name: &self.name,
                        reason: &self.reason,
                        etag: &self.etag,
                        request_id: &self.request_id,
                    }
                }

                fn verb(&self) -> Option<Verb> {
                    let verb: fn(&Self) -> Option<Verb> = $verb;
                    verb(self)
                }

                $($more)*
            }
        )*
    };
}

asks! {
    CancelWorkflowRequest(Operator) => |_| Some(Verb::Cancel), {}
    AbandonWorkflowRequest(Operator) => |_| Some(Verb::Abandon), {
        const NEEDS_REASON: bool = true;
    }
    PauseWorkflowRequest(Operator) => |_| Some(Verb::Pause), {}
    ResumeWorkflowRequest(Operator) => |_| Some(Verb::Resume), {}
    RetryWorkflowRequest(Operator) => |_| Some(Verb::Retry), {}
    DeleteWorkflowRequest(Operator) => |_| None, {}
    SkipStepRequest(Operator) => |request| Some(Verb::Skip { step: name_of(&request.step) }), {
        const NEEDS_REASON: bool = true;

        fn step(&self) -> Option<&str> {
            Some(&self.step)
        }
    }
    ApproveStepRequest(Approver) => |request| {
        let digest = request.plan_digest.clone();
        Some(Verb::Approve { step: name_of(&request.step), digest })
    }, {
        fn step(&self) -> Option<&str> {
            Some(&self.step)
        }

        fn plan_digest(&self) -> &str {
            &self.plan_digest
        }
    }
    DenyStepRequest(Approver) => |request| Some(Verb::Deny { step: name_of(&request.step) }), {
        fn step(&self) -> Option<&str> {
            Some(&self.step)
        }
    }
}

fn name_of(step: &str) -> StepName {
    StepName::from(step)
}

/// Everything that is wrong with a request's form.
fn check<R: Asks>(request: &R) -> Result<(), Error> {
    let common = request.common();
    let mut violations: Vec<Violation> =
        [request::request_id(common.request_id), request::reason(common.reason)]
            .into_iter()
            .filter_map(Result::err)
            .collect();
    if R::NEEDS_REASON && common.reason.trim().is_empty() {
        let message = "is missing; say why: it is kept in the history";
        violations.push(Violation::new("reason", message));
    }
    match request.step().map(str::len) {
        Some(0) => violations.push(Violation::new("step", "is missing; give the name of the step")),
        Some(length) if length > STEP_LEN_MAX => {
            let message =
                format!("has {length} bytes, and no step's name has more than {STEP_LEN_MAX}");
            violations.push(Violation::new("step", message));
        }
        _ => {}
    }
    if request.step().is_some() && common.etag.is_empty() {
        let message = "is missing; give the etag of the workflow that the decision was taken on";
        violations.push(Violation::new("etag", message));
    }
    violations.extend(request::plan_digest(request.plan_digest()).err());
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    Ok(())
}

/// What makes it repeatable: all of its input. The etag says what the caller saw, and a repeat has seen more.
fn repeatable<R: Asks>(request: &R, id: &WorkflowId) -> Repeatable {
    let common = request.common();
    let rpc = R::NAME.strip_suffix("Request").unwrap_or(R::NAME);
    let mut fields = BTreeMap::from([
        ("name".to_owned(), id.to_string()),
        ("reason".to_owned(), common.reason.to_owned()),
    ]);
    if let Some(step) = request.step() {
        fields.insert("step".to_owned(), step.to_owned());
        fields.insert("plan_digest".to_owned(), request.plan_digest().to_owned());
    }
    Repeatable { id: common.request_id.to_owned(), rpc, fields }
}

impl Workflows {
    /// The one way of every verb but delete: who asks, the form, the runtime's answer.
    pub(super) async fn steer<R: Asks>(&self, request: Request<R>) -> Result<pb::Workflow, Error> {
        let (id, ask, request) = self.opened(request)?;
        let verb = request
            .verb()
            .ok_or_else(|| Error::Internal(format!("{} asks nothing of the engine", R::NAME)))?;
        let error = match self.shared.handle.ask(&id, verb.clone(), ask).await {
            Ok(state) => return Ok(self.shown(&state).await),
            Err(error) => error,
        };
        // A decision that is repeated without a request id finds the etag moved on, or the workflow ended, by its own effect.
        let refused =
            matches!(error, runtime::Error::EtagMismatch { .. } | runtime::Error::Rejected { .. });
        if refused
            && let Ok(state) = self.shared.handle.get(&id).await
            && stands(&state, &verb)
        {
            return Ok(self.shown(&state).await);
        }
        Err(self.refusal(error, &id, request.step()).await)
    }

    /// Deletes an ended workflow.
    pub(super) async fn delete(
        &self,
        request: Request<pb::DeleteWorkflowRequest>,
    ) -> Result<pb::DeleteWorkflowResponse, Error> {
        let (id, ask, _) = self.opened(request)?;
        match self.shared.handle.delete(&id, &ask).await {
            Ok(()) => Ok(pb::DeleteWorkflowResponse {}),
            Err(error) => Err(self.refusal(error, &id, None).await),
        }
    }

    /// Who asks, about which workflow, in a form that makes sense.
    fn opened<R: Asks>(&self, request: Request<R>) -> Result<(WorkflowId, Ask, R), Error> {
        let principal = admit(&self.shared.authenticator, &request, R::ROLE)?;
        let request = request.into_inner();
        let common = request.common();
        let id = workflow_id("name", common.name)?;
        check(&request)?;
        let ask = Ask {
            by: by(&principal, common.reason),
            etag: etag_position(common.etag)?,
            request: repeatable(&request, &id),
        };
        Ok((id, ask, request))
    }

    /// The runtime's refusal, with what only the API knows: the present etag, and the step's full name.
    async fn refusal(&self, error: runtime::Error, id: &WorkflowId, step: Option<&str>) -> Error {
        match error {
            runtime::Error::Rejected { rejection, .. }
                if rejection.reason == Reason::UnknownStep =>
            {
                let step = step.unwrap_or_default().to_owned();
                Error::NotFound(Resource::Step(names::workflow(id.as_str()), step))
            }
            runtime::Error::EtagMismatch { .. } => {
                let state = self.shared.handle.get(id).await.ok();
                let etag = state.map(|state| convert::etag(&state)).unwrap_or_default();
                Error::EtagMismatch { name: names::workflow(id.as_str()), etag }
            }
            error => Error::of(error, id),
        }
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
pub(super) fn etag_position(etag: &str) -> Result<Option<u64>, Error> {
    if etag.is_empty() {
        return Ok(None);
    }
    let position = etag.split('-').next().unwrap_or_default();
    position.parse().map(Some).map_err(|_| Error::field("etag", "was not made by this daemon"))
}
