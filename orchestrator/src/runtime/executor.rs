//! Runs operations: builds what a step sees from the state, bounds it in time, and brings back what it says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use causeway_engine::event::{Claim, Object};
use causeway_engine::input::{Operation, OperationKind, StepOutcome};
use causeway_engine::state::{Step, UndoPhase};
use causeway_engine::{
    DefinitionRef, Failure, FailureClass, Input, ResourceKey, Workflow, WorkflowId,
};
use causeway_workflows::sdk::{ClaimRow, Context, Effects, Vault};
use causeway_workflows::{Template, Work, dispatch};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::owner::{Mail, Slot, Start};
use super::{Runtime, plan};
use crate::store::VALUE_BYTES_MAX;

/// The longest secret that a step may seal, in bytes: with its envelope it still fits a row of the store.
const SEALED_BYTES_MAX: usize = VALUE_BYTES_MAX - 1024;

/// Past an attempt's deadline, for the answer to come in.
const GRACE: Duration = Duration::from_millis(500);

/// The code of a failure to recognise the account or cluster that the checks saw.
const CONNECTION_MOVED: &str = "CONNECTION_MOVED";

/// The code where this daemon does not know what the workflow was started with.
const DEFINITION_UNKNOWN: &str = "DEFINITION_UNKNOWN";

/// What an operation came to, and what it sealed.
struct Report {
    outcome: StepOutcome,
    sealed: Vec<(String, SecretString)>,
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        Self { outcome: StepOutcome::Failed(failure), sealed: Vec::new() }
    }
}

impl Runtime {
    /// Runs an operation; answers what the workflow is to be told of it.
    pub(super) async fn perform(self: &Arc<Self>, slot: &Arc<Slot>, start: Start) -> Vec<Mail> {
        let Start { operation, state } = start;
        let permit = self.permits.acquire().await;
        let mut report = self.operate(slot, &operation, &state).await;
        drop(permit);
        let now = (self.clock)();
        let tries = state.step(&operation.step).map_or(1, |step| tries_of(step, operation.kind));
        let retry_at = now.plus_ms(causeway_workflows::timing::millis(self.retry.delay(tries)));
        let park = parks(&mut report.outcome);
        let input = Input::Finished { operation, outcome: report.outcome, retry_at };
        let finished = Mail { sealed: report.sealed, ..Mail::from(input) };
        let park = park.map(|(reason, message)| Input::Park { reason, message }.into());
        std::iter::once(finished).chain(park).collect()
    }

    async fn operate(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        operation: &Operation,
        state: &Arc<Workflow>,
    ) -> Report {
        let Some(step) = state.step(&operation.step) else {
            return Failure::permanent(format!(
                "workflow {} has no step {}",
                state.id, operation.step
            ))
            .into();
        };
        let template = match self.template(state, step) {
            Ok(template) => template,
            Err(failure) => return failure.into(),
        };
        let context = match self.context(slot, operation, state, step, template).await {
            Ok(context) => context,
            Err(failure) => return failure.into(),
        };
        let plan = state.plan.as_ref().filter(|_| step.skip_asked.is_none());
        let planned = plan.and_then(|plan| plan.parts.get(&step.spec.name));
        let span = self.observer.operation(&state.id, operation);
        let run = self.run_bounded(template, operation, context, planned.map(String::as_str));
        tracing::Instrument::instrument(run, span).await
    }

    /// A mutating operation that outlives its deadline has an unknown outcome; a read can be made again.
    async fn run_bounded(
        &self,
        template: &Template,
        operation: &Operation,
        context: Context,
        planned: Option<&str>,
    ) -> Report {
        let now = (self.clock)();
        let bound = match operation.deadline {
            Some(deadline) => Duration::from_millis(deadline.ms_since(now)) + GRACE,
            None => self.timing.attempt_deadline + GRACE,
        };
        let work = dispatch::run(template, operation, &context);
        let outcome = tokio::time::timeout(bound, work).await.unwrap_or_else(|_| {
            let mutating = matches!(operation.kind, OperationKind::Apply | OperationKind::Revert);
            let class = if mutating { FailureClass::Unknown } else { FailureClass::Retryable };
            let message = format!("step {}: no answer within {bound:?}", operation.step);
            StepOutcome::Failed(Failure::new(class, message).with_code("ATTEMPT_DEADLINE"))
        });
        let outcome = match planned {
            Some(planned) => plan::hold(&self.sealer, planned, template, &context, outcome),
            None => outcome,
        };
        let sealed =
            std::mem::take(&mut *context.sealed.lock().unwrap_or_else(PoisonError::into_inner));
        match sealed.iter().find(|(_, secret)| secret.expose_secret().len() > SEALED_BYTES_MAX) {
            Some((id, secret)) => too_long_to_seal(id, secret).into(),
            None => Report { outcome, sealed },
        }
    }

    /// The template that the workflow was started with; another digest under its name and revision is another definition.
    fn template(&self, state: &Workflow, step: &Step) -> Result<&Template, Failure> {
        let unknown = |what: &str| {
            let DefinitionRef { name, revision, .. } = &state.definition;
            let message = format!(
                "{what} {name}/{revision}, which workflow {} was started with; use a daemon that does",
                state.id
            );
            Failure::permanent(message).with_code(DEFINITION_UNKNOWN)
        };
        let known = self
            .definition(&state.definition.name)
            .ok_or_else(|| unknown("this daemon does not know"))?;
        if !self.references.contains(&state.definition) {
            return Err(unknown("this daemon has another version of"));
        }
        known
            .template(&step.spec.template)
            .ok_or_else(|| unknown("this daemon misses a template of"))
    }

    async fn context(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        operation: &Operation,
        state: &Arc<Workflow>,
        step: &Step,
        template: &Template,
    ) -> Result<Context, Failure> {
        let connection = self.connection(&state.connection).ok_or_else(|| {
            Failure::permanent(format!(
                "connection {} is not configured any more",
                state.connection
            ))
            .with_code(CONNECTION_MOVED)
        })?;
        let undoing = matches!(
            operation.kind,
            OperationKind::Revert | OperationKind::Decide | OperationKind::VerifyGone
        );
        let since = if undoing { step.undo_started_at } else { step.confirming_since };
        let mut context = Context {
            workflow: state.acts_as().clone(),
            step: step.spec.name.clone(),
            key: step.spec.key.clone(),
            input: state.input.clone(),
            outputs: Arc::new(state.outputs()),
            before: step.before.clone(),
            verdict: step.verdict,
            output: step.output.clone(),
            effects: step.effects.clone(),
            claim: None,
            attempt: operation.attempt,
            token: token(state.acts_as(), step, operation.generation),
            deadline: operation.deadline,
            since: since.unwrap_or_else(|| (self.clock)()),
            timing: self.timing,
            now: self.clock.clone(),
            vault: self.vault(),
            recorder: Arc::new(Recorder {
                runtime: self.clone(),
                slot: slot.clone(),
                step: step.spec.name.clone(),
            }),
            sealed: Mutex::new(Vec::new()),
            connection,
        };
        if let Work::Action(action) = &template.work {
            let key = match &step.claim {
                Some(claim) => Some(claim.key.clone()),
                None if operation.kind == OperationKind::Observe => {
                    action.claim_key(&context).await?
                }
                None => None,
            };
            context.claim = self.claim_row(state, key).await?;
        }
        Ok(context)
    }

    /// Opens what was sealed, by its reference.
    pub(super) fn vault(self: &Arc<Self>) -> Arc<dyn Vault> {
        Arc::new(StoreVault { runtime: self.clone() })
    }

    async fn claim_row(
        &self,
        state: &Workflow,
        key: Option<ResourceKey>,
    ) -> Result<Option<ClaimRow>, Failure> {
        let Some(key) = key else { return Ok(None) };
        self.read_claim(&key, state.acts_as().as_str()).await
    }

    /// The row of a shareable object, as `reader` sees it.
    pub(super) async fn read_claim(
        &self,
        key: &ResourceKey,
        reader: &str,
    ) -> Result<Option<ClaimRow>, Failure> {
        let row = self.store.claim(key.as_str()).await.map_err(|error| {
            Failure::retryable(format!("the claim on {key} can't be read: {error}"))
        })?;
        let Some(row) = row else { return Ok(None) };
        let claim: Claim = serde_json::from_slice(&row.body).map_err(|error| {
            Failure::permanent(format!("the claim on {key} can't be read: {error}"))
        })?;
        let others = row.claimants.into_iter().filter(|claimant| claimant != reader).collect();
        Ok(Some(ClaimRow { claim, others }))
    }
}

/// A step that seals more than the store takes fails by itself; written, it would end the daemon at every start.
fn too_long_to_seal(id: &str, secret: &SecretString) -> Failure {
    let bytes = secret.expose_secret().len();
    Failure::permanent(format!(
        "the secret {id} has {bytes} bytes, at most {SEALED_BYTES_MAX} can be kept; shorten what it was read from"
    ))
    .with_code("TOO_LARGE")
}

/// Derived from workflow, step and generation, never from time or chance: the same call keeps its token until it is known to have
/// had no effect.
pub(super) fn token(workflow: &WorkflowId, step: &Step, generation: u32) -> String {
    let text = format!("{workflow}/{}/{generation}", step.spec.name);
    let mut digest = hex::encode(Sha256::digest(text.as_bytes()));
    digest.truncate(40);
    digest
}

fn tries_of(step: &Step, kind: OperationKind) -> u32 {
    match kind {
        OperationKind::Revert | OperationKind::Decide | OperationKind::VerifyGone => {
            match step.undo {
                UndoPhase::Idle => 1,
                _ => step.undo_attempts.max(1),
            }
        }
        _ => step.attempts.max(1),
    }
}

/// A connection that points elsewhere, or a definition that is not the one it started with, parks the workflow: nothing is called.
/// For the step itself that passes, as soon as it is mended.
fn parks(outcome: &mut StepOutcome) -> Option<(String, String)> {
    let StepOutcome::Failed(failure) = outcome else { return None };
    let code = failure
        .code
        .clone()
        .filter(|code| code == CONNECTION_MOVED || code == DEFINITION_UNKNOWN)?;
    failure.class = FailureClass::Retryable;
    Some((code, failure.message.clone()))
}

/// Opens sealed values from the store.
struct StoreVault {
    runtime: Arc<Runtime>,
}

#[async_trait]
impl Vault for StoreVault {
    async fn open(&self, id: &str) -> Result<SecretString, Failure> {
        let sealed = self.runtime.store.sealed(id).await.map_err(|error| {
            Failure::retryable(format!("a sealed value can't be read: {error}"))
        })?;
        let sealed = sealed.ok_or_else(|| {
            Failure::permanent("a sealed value is missing from the store")
                .with_code("SECRET_MISSING")
        })?;
        let plain = self
            .runtime
            .sealer
            .open(id, &sealed)
            .map_err(|error| Failure::permanent(error.to_string()).with_code("SEALING_KEY"))?;
        let text = std::str::from_utf8(&plain).map_err(|_| {
            Failure::permanent("a sealed value is no text").with_code("SEALING_KEY")
        })?;
        Ok(SecretString::from(text))
    }
}

/// Journals external objects while an operation runs.
struct Recorder {
    runtime: Arc<Runtime>,
    slot: Arc<Slot>,
    step: causeway_engine::StepName,
}

#[async_trait]
impl Effects for Recorder {
    async fn seen(&self, object: Object) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Seen { step: self.step.clone(), object };
        self.runtime.deliver(&self.slot, Mail { reply: Some(reply), ..Mail::from(input) });
        match answer.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                Err(Failure::retryable(format!("an effect could not be recorded: {error}")))
            }
            Err(_) => {
                Err(Failure::retryable("the daemon is stopping: an effect could not be recorded"))
            }
        }
    }
}
