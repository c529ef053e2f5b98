//! The walk over a definition's steps, level by level: each is looked at with the outputs that are known, and shown with those
//! that are expected. The connection that it uses can't change anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use causeway_engine::event::{Object, Started, Verdict};
use causeway_engine::input::{Operation, OperationKind, StepOutcome};
use causeway_engine::{
    Failure, FailureClass, Finding, Severity, StepKind, StepName, StepSpec, WorkflowId,
};
use causeway_workflows::alibaba::Trail;
use causeway_workflows::preview::known_after;
use causeway_workflows::sdk::{Context, Effects, Vault, missing_output_of};
use causeway_workflows::{Connection, Definition, Template, Work, dispatch};
use futures::stream::{self, StreamExt as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::Runtime;
use super::{Outlook, PLAN_TIME_MAX, Plan, PlannedStep, STEPS_AT_A_TIME, digest, permissions};

/// The workflow's id in a plan: no id that a workflow can have, so that nothing in the world carries it as a marker.
const WORKFLOW: &str = "(this workflow)";
/// Tries of a look that failed in a way that passes.
const TRIES_MAX: u32 = 3;

/// Everything sealed during a plan: it is never written.
#[derive(Default)]
struct Sealed(Mutex<Vec<(String, SecretString)>>);

impl Sealed {
    fn all(&self) -> Vec<(String, SecretString)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take_from(&self, context: &Context) {
        let mut fresh = context.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(&mut fresh);
    }
}

#[async_trait]
impl Vault for Sealed {
    async fn open(&self, id: &str) -> Result<SecretString, Failure> {
        let found = self.all().into_iter().find(|(known, _)| known == id);
        found.map(|(_, secret)| secret).ok_or_else(|| {
            Failure::permanent("a sealed value is not known to a plan").with_code("SECRET_MISSING")
        })
    }
}

/// A look touches nothing, so there is nothing to write down.
struct NothingTouched;

#[async_trait]
impl Effects for NothingTouched {
    async fn seen(&self, object: Object) -> Result<(), Failure> {
        Err(Failure::permanent(format!(
            "a plan touched {} {}: a fault of the step",
            object.kind, object.id
        ))
        .with_code("PLAN_TOUCHED"))
    }
}

/// One walk.
struct Walk<'a> {
    runtime: &'a Runtime,
    definition: &'a Definition,
    started: &'a Started,
    input: Arc<Value>,
    connection: Arc<Connection>,
    sealed: Arc<Sealed>,
    until: Instant,
    /// Outputs that are as they will be.
    known: Arc<BTreeMap<StepName, Value>>,
    /// Those, and what changing steps are expected to answer.
    expected: Arc<BTreeMap<StepName, Value>>,
    done: BTreeMap<StepName, PlannedStep>,
}

/// Makes the plan of what would be started. It never fails: what can't be looked at stands in it.
pub(super) async fn walk(
    runtime: &Runtime,
    definition: &Definition,
    connection: &Connection,
    started: &Started,
) -> Plan {
    let created_at = (runtime.clock)();
    let trail = Trail::default();
    let mut walk = Walk {
        runtime,
        definition,
        started,
        input: Arc::new(started.input.clone()),
        connection: Arc::new(connection.read_only(&trail)),
        sealed: Arc::default(),
        until: Instant::now() + PLAN_TIME_MAX,
        known: Arc::default(),
        expected: Arc::default(),
        done: BTreeMap::new(),
    };
    walk.run().await;
    let steps: Vec<PlannedStep> =
        started.steps.iter().filter_map(|spec| walk.done.remove(&spec.name)).collect();
    let works = definition.templates.iter().map(|template| (template.name, &template.work));
    let mut permissions = permissions::cloud(works, &trail.seen());
    if let Some(id) = definition.cluster_id.and_then(|pointer| started.input.pointer(pointer)) {
        let id = id.as_str().unwrap_or_default();
        permissions.extend(permissions::cluster(&walk.connection, id, &steps, walk.until).await);
    }
    let parts = parts(runtime, started, &steps);
    let unread = steps.iter().any(|step| matches!(step.outlook, Outlook::Unread(_)));
    Plan {
        digest: (!unread).then(|| digest::whole(&runtime.sealer, &parts)),
        definition: started.definition.clone(),
        findings: queue(runtime, started),
        steps,
        permissions,
        created_at,
        parts,
    }
}

/// Digests by step, and of what would run on what.
pub(super) fn parts(
    runtime: &Runtime,
    started: &Started,
    steps: &[PlannedStep],
) -> BTreeMap<String, String> {
    let of = |value: &Value| digest::part(&runtime.sealer, value, &[]);
    let mut parts: BTreeMap<String, String> =
        steps.iter().map(|step| (step.spec.name.to_string(), step.part.clone())).collect();
    parts.insert("definition".to_owned(), of(&json!(started.definition)));
    let teardown = started.teardown.as_ref();
    let taken_down = teardown.map(|one| json!([one.builder, one.record, one.forget]));
    parts.insert("input".to_owned(), of(&json!([started.input, started.options, taken_down])));
    parts
}

/// A start would have to wait for whoever holds the cluster.
pub(super) fn queue(runtime: &Runtime, started: &Started) -> Vec<Finding> {
    let Some(lock) = &started.lock else { return Vec::new() };
    let holder = runtime
        .slots()
        .values()
        .map(|slot| slot.state())
        .find(|other| other.lock.as_ref() == Some(lock) && other.admitted && !other.is_ended());
    let finding = |other: &causeway_engine::Workflow| Finding {
        severity: Severity::Warning,
        code: "QUEUED_BEHIND".to_owned(),
        subject: lock.to_string(),
        message: format!(
            "workflow {} works on this cluster; a start would wait for its end, and the plan may be another one by then",
            other.id
        ),
        remedy: format!("causeway watch {}", other.id),
    };
    holder.iter().map(|other| finding(other)).collect()
}

impl Walk<'_> {
    async fn run(&mut self) {
        let mut open: Vec<Arc<StepSpec>> =
            self.started.steps.iter().cloned().map(Arc::new).collect();
        while !open.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) = open
                .into_iter()
                .partition(|spec| spec.after.iter().all(|name| self.done.contains_key(name)));
            open = rest;
            let walk = &*self;
            let looked: Vec<_> = stream::iter(ready)
                .map(|spec| async move { walk.look(spec).await })
                .buffer_unordered(STEPS_AT_A_TIME)
                .collect()
                .await;
            if looked.is_empty() {
                // The graph was validated: every step comes up. Should one not, the rest stays out, and no digest covers it.
                return;
            }
            for (step, output) in looked {
                self.settle(step, output);
            }
        }
    }

    /// Keeps a step, and its output for those after it.
    fn settle(&mut self, step: PlannedStep, output: Value) {
        let name = step.spec.name.clone();
        match &step.outlook {
            Outlook::Passes => self.learn(&name, output),
            Outlook::Observed(verdict) if *verdict != Verdict::Change => self.learn(&name, output),
            _ => {
                let expect = step.preview.as_ref().map(|preview| preview.expect.clone());
                if let Some(expect) = expect.filter(|expect| !expect.is_null()) {
                    Arc::make_mut(&mut self.expected).insert(name.clone(), expect);
                }
            }
        }
        self.done.insert(name, step);
    }

    fn learn(&mut self, name: &StepName, output: Value) {
        Arc::make_mut(&mut self.known).insert(name.clone(), output.clone());
        Arc::make_mut(&mut self.expected).insert(name.clone(), output);
    }

    async fn look(&self, spec: Arc<StepSpec>) -> (PlannedStep, Value) {
        let template = self
            .definition
            .template(&spec.template)
            .expect("steps are expanded from the definition's templates");
        match (&template.work, self.behind_change(&spec)) {
            (Work::Gate, _) => {
                let asked = self.started.options.gates.contains_key(&spec.template);
                (self.planned(spec, Outlook::Gate { asked }, &json!({"gate": asked})), Value::Null)
            }
            // What a check would see is not there yet.
            (Work::Check(_), Some(after)) => {
                let seen = json!({"after": after});
                (self.planned(spec, Outlook::KnownAfter(after), &seen), Value::Null)
            }
            _ => self.try_to_look(spec, template).await,
        }
    }

    /// The nearest step before this one that would change something.
    fn behind_change(&self, spec: &StepSpec) -> Option<StepName> {
        let before: Vec<&PlannedStep> =
            spec.after.iter().filter_map(|name| self.done.get(name)).collect();
        let changing = before.iter().find(|step| step.would_change());
        if let Some(step) = changing {
            return Some(step.spec.name.clone());
        }
        before.iter().find_map(|step| match &step.outlook {
            Outlook::KnownAfter(_) => Some(step.spec.name.clone()),
            _ => self.behind_change(&step.spec),
        })
    }

    async fn try_to_look(&self, spec: Arc<StepSpec>, template: &Template) -> (PlannedStep, Value) {
        let mut context = match self.context(&spec, template).await {
            Ok(context) => context,
            Err(failure) => return self.ended(spec, failure),
        };
        let outcome = self.with_patience(&spec, template, &context).await;
        if let StepOutcome::Failed(failure) = &outcome
            && let Some(needed) = missing_output_of(failure)
        {
            let needed = StepName::from(needed);
            return (self.foreseen(spec, template, context, needed).await, Value::Null);
        }
        let seen = dispatch::evidence(template, &context, &outcome).unwrap_or_default();
        match outcome {
            StepOutcome::Passed { output, warnings } => {
                self.sealed.take_from(&context);
                let step = self.planned(spec, Outlook::Passes, &seen);
                (PlannedStep { warnings, ..step }, output)
            }
            StepOutcome::Observed { before, verdict, output, mut warnings, .. } => {
                context.before = before;
                context.verdict = Some(verdict);
                context.output = output.clone();
                context.outputs = Arc::clone(&self.expected);
                let shown = self.preview(template, &context).await;
                self.sealed.take_from(&context);
                match shown {
                    Ok(preview) => {
                        warnings.extend(preview.warnings.iter().cloned());
                        let step = self.planned(spec, Outlook::Observed(verdict), &seen);
                        (PlannedStep { preview: Some(preview), warnings, ..step }, output)
                    }
                    Err(failure) => self.ended(spec, failure),
                }
            }
            StepOutcome::Failed(failure) => self.ended(spec, failure),
            StepOutcome::NotYet { message, .. } => {
                self.ended(spec, Failure::retryable(message).with_code("NOT_YET"))
            }
            other => self.ended(spec, unfit(&other)),
        }
    }

    /// A step that can't be observed yet: what is expected of it, which counts for the digest as it is shown.
    async fn foreseen(
        &self,
        spec: Arc<StepSpec>,
        template: &Template,
        mut context: Context,
        needed: StepName,
    ) -> PlannedStep {
        context.outputs = Arc::clone(&self.expected);
        let preview = match self.preview(template, &context).await {
            Ok(preview) => Some(preview),
            // The output that it hangs on is not even expected.
            Err(failure) if missing_output_of(&failure).is_some() => None,
            Err(failure) => return self.ended(spec, failure).0,
        };
        self.sealed.take_from(&context);
        let changes = preview.iter().flat_map(|preview| &preview.changes);
        let shown: Vec<Value> =
            changes.map(|change| json!([change.kind, change.id, change.diff])).collect();
        let warnings = preview.as_ref().map(|shown| shown.warnings.clone()).unwrap_or_default();
        let said: Vec<Value> =
            warnings.iter().map(|finding| json!([finding.code, finding.subject])).collect();
        let seen = json!({"after": needed, "shown": shown, "said": said});
        let step = self.planned(spec, Outlook::KnownAfter(needed), &seen);
        PlannedStep { preview, warnings, ..step }
    }

    async fn preview(
        &self,
        template: &Template,
        context: &Context,
    ) -> Result<causeway_workflows::preview::Preview, Failure> {
        let Work::Action(action) = &template.work else {
            return Err(Failure::permanent(known_after(context.step.as_str())));
        };
        match tokio::time::timeout_at(self.until, action.preview(context)).await {
            Ok(shown) => shown,
            Err(_) => Err(out_of_time()),
        }
    }

    /// Looks again where the first look failed in a way that passes.
    async fn with_patience(
        &self,
        spec: &StepSpec,
        template: &Template,
        context: &Context,
    ) -> StepOutcome {
        let kind = match spec.kind {
            StepKind::Check => OperationKind::Check,
            _ => OperationKind::Observe,
        };
        let operation =
            Operation { step: spec.name.clone(), kind, attempt: 1, generation: 0, deadline: None };
        let mut attempt = 1;
        loop {
            let look = dispatch::run(template, &operation, context);
            let outcome = match tokio::time::timeout_at(self.until, look).await {
                Ok(outcome) => outcome,
                Err(_) => return StepOutcome::Failed(out_of_time()),
            };
            let passes = match &outcome {
                StepOutcome::Failed(failure) => is_passing(failure),
                StepOutcome::NotYet { .. } => true,
                _ => false,
            };
            let pause = self.runtime.retry.delay(attempt);
            if !passes || attempt >= TRIES_MAX || Instant::now() + pause >= self.until {
                return outcome;
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn context(&self, spec: &StepSpec, template: &Template) -> Result<Context, Failure> {
        let now = (self.runtime.clock)();
        let mut context = Context {
            workflow: WorkflowId::from(WORKFLOW),
            step: spec.name.clone(),
            key: spec.key.clone(),
            input: Arc::clone(&self.input),
            outputs: Arc::clone(&self.known),
            before: Value::Null,
            verdict: None,
            output: Value::Null,
            effects: Vec::new(),
            claim: None,
            attempt: 1,
            // Hex, as that of a workflow; names that come from it are shown as not known yet.
            token: hex::encode(spec.name.as_str()).repeat(40)[..40].to_owned(),
            deadline: None,
            since: now,
            connection: Arc::clone(&self.connection),
            timing: self.runtime.timing,
            now: self.runtime.clock.clone(),
            vault: Arc::clone(&self.sealed) as Arc<dyn Vault>,
            recorder: Arc::new(NothingTouched),
            sealed: Mutex::default(),
        };
        if let Work::Action(action) = &template.work
            && let Some(key) = action.claim_key(&context).await?
        {
            context.claim = self.runtime.read_claim(&key, WORKFLOW).await?;
        }
        Ok(context)
    }

    /// A step that could not be looked at, or would not go well.
    fn ended(&self, spec: Arc<StepSpec>, failure: Failure) -> (PlannedStep, Value) {
        let said: Vec<Value> =
            failure.findings.iter().map(|found| json!([found.code, found.subject])).collect();
        let seen = json!({"failed": failure.code, "said": said});
        let outlook = if failure.code.as_deref() == Some("CONFLICT") {
            Outlook::Conflict(failure)
        } else if is_passing(&failure) {
            Outlook::Unread(failure)
        } else {
            Outlook::Fails(failure)
        };
        (self.planned(spec, outlook, &seen), Value::Null)
    }

    fn planned(&self, spec: Arc<StepSpec>, outlook: Outlook, seen: &Value) -> PlannedStep {
        let part = digest::part(&self.runtime.sealer, seen, &self.sealed.all());
        PlannedStep { spec, outlook, preview: None, warnings: Vec::new(), part }
    }
}

pub(super) fn is_passing(failure: &Failure) -> bool {
    matches!(
        failure.class,
        FailureClass::Retryable
            | FailureClass::Throttled
            | FailureClass::Stale
            | FailureClass::Unknown
    )
}

pub(super) fn out_of_time() -> Failure {
    Failure::retryable(format!("the plan's {} s were over before this", PLAN_TIME_MAX.as_secs()))
        .with_code("PLAN_DEADLINE")
}

pub(in crate::runtime) fn unfit(outcome: &StepOutcome) -> Failure {
    let kind = std::mem::discriminant(outcome);
    Failure::permanent(format!("a look was answered with something else ({kind:?})"))
        .with_code("DEFINITION_UNKNOWN")
}
