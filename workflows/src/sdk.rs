//! What a step is written against: what it sees ([`Context`]), what it answers, and how a definition is put together.
//! A step knows no journal, store or engine state: it reads the world, changes it, and says what it found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use causeway_engine::event::{Claim, Object, Resolution, Undone, Verdict};
use causeway_engine::ids::ResourceKey;
use causeway_engine::{Failure, Finding, Severity, StepName, Time, WorkflowId};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::preview::Preview;
use crate::timing::Timing;

/// Code of a failure to read the output of a step that has none yet.
const MISSING_OUTPUT: &str = "MISSING_OUTPUT";

/// Reads the clock that the daemon was given.
pub type Now = Arc<dyn Fn() -> Time + Send + Sync>;

/// Opens sealed values: implemented by the daemon over its store.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The plaintext of a reference made by [`Context::seal`].
    ///
    /// # Errors
    /// Permanent where it is unknown or the key does not fit.
    async fn open(&self, id: &str) -> Result<SecretString, Failure>;
}

/// Takes external objects as soon as they are known: durable when it returns.
#[async_trait]
pub trait Effects: Send + Sync {
    /// Records the object (the same kind and id again replaces the entry).
    ///
    /// # Errors
    /// Where the daemon is stopping: the step must not go on mutating.
    async fn seen(&self, object: Object) -> Result<(), Failure>;
}

/// The row of a shareable object, with its other claimants.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRow {
    /// How the first claimant got it, and what was there before.
    pub claim: Claim,
    /// Other workflows, or records of hybrid clusters, that rely on it.
    pub others: Vec<String>,
}

/// What a step sees.
pub struct Context {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The step.
    pub step: StepName,
    /// What it fans out over: `burst` of `create-node-pool[burst]`.
    pub key: Option<String>,
    /// The input document: apiVersion, kind, metadata, spec, run, with defaults filled in.
    pub input: Arc<Value>,
    /// Outputs of all steps that are done, by step name.
    pub outputs: Arc<BTreeMap<StepName, Value>>,
    /// The before-image; null until observed.
    pub before: Value,
    /// The verdict of `observe`.
    pub verdict: Option<Verdict>,
    /// What `apply` answered; null before that, or where it was lost.
    pub output: Value,
    /// What this step has touched or caused so far.
    pub effects: Vec<Object>,
    /// The row of the step's claim, or, in `observe`, of the key in question (see [`Action::claim_key`]).
    pub claim: Option<ClaimRow>,
    /// From 1.
    pub attempt: u32,
    /// Stable over attempts, until a call is known to have had no effect: derived from workflow, step and generation, 40 hex digits.
    pub token: String,
    /// No mutating call starts, or may be waited for, after this.
    pub deadline: Option<Time>,
    /// Since when `confirm` (or the undo) has been waiting.
    pub since: Time,
    /// The account and its clients.
    pub connection: Arc<Connection>,
    /// Durations.
    pub timing: Timing,
    /// The clock.
    pub now: Now,
    /// Opens sealed values.
    pub vault: Arc<dyn Vault>,
    /// Takes effects.
    pub recorder: Arc<dyn Effects>,
    /// What was sealed during this operation: written in the same append as its outcome.
    pub sealed: Mutex<Vec<(String, SecretString)>>,
}

impl Context {
    /// The output of a step that is done.
    ///
    /// # Errors
    /// Permanent where the step has none, or one of another shape: a fault of the definition.
    pub fn output_of<T: DeserializeOwned>(&self, step: &str) -> Result<T, Failure> {
        let value = self
            .outputs
            .get(&StepName::from(step))
            .ok_or_else(|| missing_output(&self.step, step))?;
        decode(value, &format!("output of step {step}"))
    }

    /// Like [`Self::output_of`], for a step that fans out over the same list.
    ///
    /// # Errors
    /// As there.
    pub fn output_of_sibling<T: DeserializeOwned>(&self, template: &str) -> Result<T, Failure> {
        match &self.key {
            Some(key) => self.output_of(&format!("{template}[{key}]")),
            None => self.output_of(template),
        }
    }

    /// The before-image as a type.
    ///
    /// # Errors
    /// Permanent where it has another shape.
    pub fn before_image<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        decode(&self.before, "before-image")
    }

    /// The input document as a type.
    ///
    /// # Errors
    /// Permanent where it has another shape: it was validated at the start.
    pub fn document<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        decode(&self.input, "input")
    }

    /// Seals a value: answers the reference to put into an output or before-image. The name is unique within the step.
    pub fn seal(&self, name: &str, plaintext: SecretString) -> Value {
        let id = format!("{}/{}/{name}/{}", self.workflow, self.step, self.token);
        let mut sealed = self.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sealed.retain(|(known, _)| *known != id);
        sealed.push((id.clone(), plaintext));
        json!({ "$secret": id })
    }

    /// Opens a reference made by [`Self::seal`], in this operation or before.
    ///
    /// # Errors
    /// Permanent where the value is no reference or is unknown.
    pub async fn open(&self, reference: &Value) -> Result<SecretString, Failure> {
        let id = reference.get("$secret").and_then(Value::as_str).ok_or_else(|| {
            Failure::permanent(format!("step {}: a secret is missing from the record", self.step))
                .with_code("SECRET_MISSING")
        })?;
        {
            let sealed = self.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some((_, secret)) = sealed.iter().find(|(known, _)| known == id) {
                return Ok(secret.clone());
            }
        }
        self.vault.open(id).await
    }

    /// Whether another mutating call may start.
    ///
    /// # Errors
    /// Retryable once the attempt's deadline has passed.
    pub fn still_time(&self) -> Result<(), Failure> {
        match self.deadline {
            Some(deadline) if (self.now)() >= deadline => Err(Failure::retryable(format!(
                "step {}: the attempt's deadline has passed",
                self.step
            ))
            .with_code("ATTEMPT_DEADLINE")),
            _ => Ok(()),
        }
    }
}

fn missing_output(step: &StepName, needed: &str) -> Failure {
    let message = format!("step {step} needs the output of step {needed}, which has none");
    // The finding carries the name, for whoever has to say after which step more is known.
    let finding = Finding {
        severity: Severity::Error,
        code: MISSING_OUTPUT.to_owned(),
        subject: needed.to_owned(),
        message: message.clone(),
        remedy: String::new(),
    };
    Failure::findings(message, vec![finding]).with_code(MISSING_OUTPUT)
}

/// The step whose output was missing, where that is what a failure is about.
#[must_use]
pub fn missing_output_of(failure: &Failure) -> Option<&str> {
    let missing = failure.code.as_deref() == Some(MISSING_OUTPUT);
    failure.findings.first().filter(|_| missing).map(|finding| finding.subject.as_str())
}

fn decode<T: DeserializeOwned>(value: &Value, what: &str) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| {
        Failure::permanent(format!("{what} can't be read: {error}")).with_code("RECORD_SHAPE")
    })
}

/// A value as JSON.
///
/// # Panics
/// Never for the plain structs of steps, which have string keys only.
#[must_use]
pub fn value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("structs with string keys always become JSON")
}

/// What a check found; failing ones answer a [`Failure`] with all findings.
#[derive(Debug)]
pub enum Checked {
    /// It holds.
    Passed {
        /// For later steps.
        output: Value,
        /// Said, and not stopping.
        warnings: Vec<Finding>,
    },
    /// Not yet; look again after [`Timing::poll`].
    NotYet(String),
}

/// What `observe` found. A conflict (there, and neither wanted nor ours) is a permanent [`Failure`] with code `CONFLICT`.
#[derive(Debug)]
pub struct Observed {
    /// What undo restores. Secrets in it are references.
    pub before: Value,
    /// What follows.
    pub verdict: Verdict,
    /// The output, where the verdict is not `Change`.
    pub output: Value,
    /// A claim on a shareable object.
    pub claim: Option<Claim>,
    /// Said, and not stopping.
    pub warnings: Vec<Finding>,
}

impl Observed {
    /// The world is to be changed.
    #[must_use]
    pub fn change(before: Value) -> Self {
        Self {
            before,
            verdict: Verdict::Change,
            output: Value::Null,
            claim: None,
            warnings: Vec::new(),
        }
    }

    /// The world is as wanted already.
    #[must_use]
    pub fn as_wanted(verdict: Verdict, before: Value, output: Value) -> Self {
        Self { before, verdict, output, claim: None, warnings: Vec::new() }
    }

    /// The same, with a claim.
    #[must_use]
    pub fn claiming(mut self, claim: Claim) -> Self {
        self.claim = Some(claim);
        self
    }
}

/// Whether a change holds.
#[derive(Debug)]
pub enum Confirm {
    /// It does; the output that later steps see.
    Holds(Value),
    /// Not yet: what it waits for.
    NotYet(String),
}

/// How far an undo is.
#[derive(Debug)]
pub enum Revert {
    /// It ended.
    Done(Undone),
    /// Not yet: what it waits for; called again after [`Timing::poll`].
    NotYet(String),
}

/// An undo group's decision.
#[derive(Debug)]
pub struct GroupDecision {
    /// The reason to keep all of it; none: it is removed.
    pub keep: Option<String>,
    /// What was read.
    pub evidence: Value,
}

/// A step that only reads.
#[async_trait]
pub trait Check: Send + Sync {
    /// Reads the world, and judges it: all findings, not the first.
    ///
    /// # Errors
    /// Permanent with findings where the world is not fit; others as the calls failed.
    async fn check(&self, context: &Context) -> Result<Checked, Failure>;

    /// The RAM actions that it may call, such as `vpc:DescribeVSwitches`.
    fn ram_actions(&self) -> &'static [&'static str];
}

/// A step that changes the world. Every method is safe to repeat.
#[async_trait]
pub trait Action: Send + Sync {
    /// Reads the world: before-image and verdict.
    ///
    /// # Errors
    /// As the calls failed; `CONFLICT` where something stands in the way.
    async fn observe(&self, context: &Context) -> Result<Observed, Failure>;

    /// What `apply` would do, for a plan: made of the before-image by the same functions that `apply` uses, so that a plan
    /// can't lie. Called right after `observe`, with its before-image and verdict; and with neither where `observe` can't be
    /// called yet, as outputs of earlier steps are missing: then the context's outputs hold what those steps are expected
    /// to answer. No secret goes into it.
    ///
    /// # Errors
    /// As the calls failed; where an output is missing.
    async fn preview(&self, context: &Context) -> Result<Preview, Failure>;

    /// What of an observation must not have changed between a plan and the start: without anything that comes from the
    /// clock, from chance or from the workflow's id. Sealed references in it count by their plaintext.
    fn evidence(&self, _context: &Context, observed: &Observed) -> Value {
        observed.before.clone()
    }

    /// The RAM actions that it may call, its undo included, such as `ram:CreateUser`.
    fn ram_actions(&self) -> &'static [&'static str];

    /// Changes the world, conditionally on the before-image; idempotent given before-image and token. Answers the output.
    ///
    /// # Errors
    /// Class `Unknown` wherever the answer to a mutating call was lost.
    async fn apply(&self, context: &Context) -> Result<Value, Failure>;

    /// Reads whether the change holds.
    ///
    /// # Errors
    /// As the calls failed; permanent where it will never hold.
    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        Ok(Confirm::Holds(context.output.clone()))
    }

    /// Whether an answered `apply` always holds: then no `confirm` follows, and both records share one append.
    fn holds_at_once(&self) -> bool {
        false
    }

    /// Reads what became of a lost call: `Done` with the output of `apply`, `NoEffect` or `Partial`.
    ///
    /// # Errors
    /// As the calls failed.
    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure>;

    /// Puts back what this step changed, and nothing else; tolerates "never happened", keeps what others changed.
    ///
    /// # Errors
    /// As the calls failed.
    async fn revert(&self, context: &Context) -> Result<Revert, Failure>;

    /// The decision of the step's undo group; asked of the group's last step.
    ///
    /// # Errors
    /// As the calls failed.
    async fn decide_group(&self, _context: &Context) -> Result<GroupDecision, Failure> {
        Ok(GroupDecision { keep: None, evidence: Value::Null })
    }

    /// Whether what a stuck undo should have removed is gone; `None`: it can't be read.
    ///
    /// # Errors
    /// As the calls failed.
    async fn verify_gone(&self, _context: &Context) -> Result<Option<bool>, Failure> {
        Ok(None)
    }

    /// The key of the claim row that `observe` needs to see, for a shareable object; none where it can't be told yet: then
    /// `observe` says why.
    ///
    /// # Errors
    /// What passes: without the row `observe` would take another claimant's object for nobody's.
    async fn claim_key(&self, _context: &Context) -> Result<Option<ResourceKey>, Failure> {
        Ok(None)
    }
}

/// What is known before anything runs: for the keys of locks.
pub struct Facts<'a> {
    /// The input document.
    pub input: &'a Value,
    /// The connection's account.
    pub account_id: &'a str,
    /// What the step fans out over.
    pub key: Option<&'a str>,
}

impl Facts<'_> {
    /// A text in the input, by JSON pointer; empty where there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.input.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}
