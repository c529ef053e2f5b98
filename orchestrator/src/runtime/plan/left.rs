//! Looking at what a finished build left, step by step, in its own name and without changing anything: for the plan of its
//! teardown, and for its verification.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use causeway_engine::event::Object;
use causeway_engine::input::{Operation, OperationKind, StepOutcome};
use causeway_engine::{Failure, Step, Workflow};
use causeway_workflows::alibaba::Trail;
use causeway_workflows::sdk::{Context, Effects};
use causeway_workflows::{Connection, Template, Work, dispatch};
use tokio::time::Instant;

use super::super::Runtime;
use super::PLAN_TIME_MAX;
use super::walk::{is_passing, out_of_time};

/// Tries of a look that failed in a way that passes.
const TRIES_MAX: u32 = 3;

/// An undo says what it finds before it changes it; of a look nothing is written.
struct Unwritten;

#[async_trait]
impl Effects for Unwritten {
    async fn seen(&self, _object: Object) -> Result<(), Failure> {
        Ok(())
    }
}

/// What a build left, and the way to look at it.
pub(in crate::runtime) struct Remains<'a> {
    runtime: &'a Arc<Runtime>,
    /// The teardown that could begin now: its steps are as the build left them.
    pub(in crate::runtime) state: Workflow,
    connection: Arc<Connection>,
    pub(super) trail: Trail,
    pub(in crate::runtime) until: Instant,
}

impl<'a> Remains<'a> {
    /// Begins to look through `connection`, which is made one for looking only.
    pub(in crate::runtime) fn new(
        runtime: &'a Arc<Runtime>,
        state: Workflow,
        connection: &Connection,
    ) -> Self {
        let trail = Trail::default();
        let connection = Arc::new(connection.read_only(&trail));
        Self { runtime, state, connection, trail, until: Instant::now() + PLAN_TIME_MAX }
    }

    /// Runs one operation of a step, and again where it failed in a way that passes.
    pub(in crate::runtime) async fn run(
        &self,
        step: &Step,
        template: &Template,
        kind: OperationKind,
    ) -> (StepOutcome, Option<Context>) {
        let context = match self.context(step, template, kind).await {
            Ok(context) => context,
            Err(failure) => return (StepOutcome::Failed(failure), None),
        };
        let operation = Operation {
            step: step.spec.name.clone(),
            kind,
            attempt: 1,
            generation: 0,
            deadline: None,
        };
        let mut attempt = 1;
        loop {
            let work = dispatch::run(template, &operation, &context);
            let outcome = match tokio::time::timeout_at(self.until, work).await {
                Ok(outcome) => outcome,
                Err(_) => return (StepOutcome::Failed(out_of_time()), Some(context)),
            };
            let passes = matches!(&outcome, StepOutcome::Failed(failure) if is_passing(failure));
            let pause = self.runtime.retry.delay(attempt);
            if !passes || attempt >= TRIES_MAX || Instant::now() + pause >= self.until {
                return (outcome, Some(context));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn context(
        &self,
        step: &Step,
        template: &Template,
        kind: OperationKind,
    ) -> Result<Context, Failure> {
        let state = &self.state;
        let now = (self.runtime.clock)();
        let mut context = Context {
            workflow: state.acts_as().clone(),
            step: step.spec.name.clone(),
            key: step.spec.key.clone(),
            input: Arc::clone(&state.input),
            outputs: Arc::new(state.outputs()),
            before: step.before.clone(),
            verdict: step.verdict,
            output: step.output.clone(),
            effects: step.effects.clone(),
            claim: None,
            attempt: 1,
            token: super::super::executor::token(state.acts_as(), step, step.generation),
            deadline: None,
            since: now,
            connection: Arc::clone(&self.connection),
            timing: self.runtime.timing,
            now: self.runtime.clock.clone(),
            vault: self.runtime.vault(),
            recorder: Arc::new(Unwritten),
            sealed: Mutex::default(),
        };
        if let Work::Action(action) = &template.work {
            let key = match &step.claim {
                Some(claim) => Some(claim.key.clone()),
                None if kind == OperationKind::Observe => action.claim_key(&context).await?,
                None => None,
            };
            if let Some(key) = key {
                context.claim = self.runtime.read_claim(&key, state.acts_as().as_str()).await?;
            }
        }
        Ok(context)
    }
}
