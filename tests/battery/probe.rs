//! Work in place of a step's own: it runs the step twice and looks what that changed, or lets it fail.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use causeway_engine::event::{Resolution, Undone, Verdict};
use causeway_engine::{Failure, ResourceKey};
use causeway_sandbox::world::World;
use causeway_tests::scene::difference;
use causeway_workflows::Work;
use causeway_workflows::preview::Preview;
use causeway_workflows::sdk::{
    Action, Check, Checked, Confirm, Context, GroupDecision, Observed, Revert,
};
use serde_json::Value;

use crate::stage;

/// The code of a failure that the battery injects.
pub(crate) const INJECTED: &str = "INJECTED";

/// What was tried, and what was found amiss.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) applied_twice: Mutex<Vec<String>>,
    pub(crate) reverted_twice: Mutex<Vec<String>>,
    pub(crate) amiss: Mutex<Vec<String>>,
}

/// The world of a probe; none for definitions that need none.
pub(crate) type Place = Option<Arc<World>>;

/// How an action is looked at that is done twice, and undone twice.
struct Twice {
    place: Place,
    findings: Arc<Findings>,
}

impl Twice {
    async fn ledger(&self) -> String {
        match &self.place {
            Some(world) => stage::ledger(world).await,
            None => String::new(),
        }
    }

    fn amiss(&self, context: &Context, what: &str) {
        self.findings.amiss.lock().unwrap().push(format!("{}: {what}", context.step));
    }

    fn compare(&self, context: &Context, what: &str, before: &str, after: &str) {
        if before != after {
            self.amiss(context, &format!("{what}:\n{}", difference(before, after)));
        }
    }

    /// Applies what is done already, and looks at it; the output that counts from now on, none where it failed.
    async fn apply(&self, inner: &dyn Action, context: &Context) -> Option<Value> {
        let before = self.ledger().await;
        let output = match inner.apply(context).await {
            Ok(output) => output,
            Err(failure) => {
                self.amiss(context, &format!("applied twice, it fails: {failure}"));
                return None;
            }
        };
        let after = self.ledger().await;
        self.compare(context, "applied twice, the world is another", &before, &after);
        if self.place.is_none() {
            // Nothing was changed anywhere, so nothing can be seen.
            return Some(output);
        }
        // What this look seals is not the before-image's.
        match inner.observe(&with_output(context, context.output.clone())).await {
            Ok(Observed { verdict: Verdict::Change, .. }) if is_marked(context) => {
                self.amiss(context, "it is done, and observed as to be changed");
            }
            Ok(_) => {}
            Err(failure) => {
                self.amiss(context, &format!("it is done, and can't be observed: {failure}"));
            }
        }
        Some(output)
    }

    /// Undoes what is undone already, and looks at it.
    async fn revert(&self, inner: &dyn Action, context: &Context) {
        let before = self.ledger().await;
        let again = loop {
            match inner.revert(context).await {
                Ok(Revert::NotYet(_)) => tokio::time::sleep(context.timing.poll).await,
                Ok(Revert::Done(again)) => break again,
                Err(failure) => {
                    return self.amiss(context, &format!("undone twice, it fails: {failure}"));
                }
            }
        };
        let after = self.ledger().await;
        self.compare(context, "undone twice, the world is another", &before, &after);
        if !matches!(again, Undone::Reverted | Undone::NothingThere) {
            self.amiss(context, &format!("undone twice, it says {again:?}"));
        }
    }
}

/// Whether what the step makes can carry a marker, by which it is known again. An AccessKey has no room for one: the Secret
/// that the next step puts it into has.
fn is_marked(context: &Context) -> bool {
    context.step.as_str() != "create-access-key"
}

/// The same context, after another answer; what was sealed meanwhile goes with it.
fn with_output(context: &Context, output: Value) -> Context {
    Context {
        workflow: context.workflow.clone(),
        step: context.step.clone(),
        key: context.key.clone(),
        input: Arc::clone(&context.input),
        outputs: Arc::clone(&context.outputs),
        before: context.before.clone(),
        verdict: context.verdict,
        output,
        effects: context.effects.clone(),
        claim: context.claim.clone(),
        attempt: context.attempt,
        token: context.token.clone(),
        deadline: context.deadline,
        since: context.since,
        connection: Arc::clone(&context.connection),
        timing: context.timing,
        now: Arc::clone(&context.now),
        vault: Arc::clone(&context.vault),
        recorder: Arc::clone(&context.recorder),
        sealed: Mutex::new(context.sealed.lock().unwrap().clone()),
    }
}

/// An action with another around it.
struct Probed {
    inner: Arc<dyn Action>,
    twice: Option<Twice>,
    /// Whether it fails for good once it has done its work: its answer is lost, before-image and effects are not.
    fails: bool,
}

#[async_trait]
impl Action for Probed {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        self.inner.observe(context).await
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        self.inner.preview(context).await
    }

    fn evidence(&self, context: &Context, observed: &Observed) -> Value {
        self.inner.evidence(context, observed)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        self.inner.ram_actions()
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let output = self.inner.apply(context).await?;
        if self.fails { Err(injected()) } else { Ok(output) }
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let confirmed = self.inner.confirm(context).await?;
        let Some(twice) = self.twice.as_ref().filter(|_| context.verdict == Some(Verdict::Change))
        else {
            return Ok(confirmed);
        };
        let Confirm::Holds(_) = &confirmed else { return Ok(confirmed) };
        let Some(output) = twice.apply(self.inner.as_ref(), context).await else {
            return Ok(confirmed);
        };
        // What the second answer says is what later steps go by.
        let later = with_output(context, output);
        // The daemon bounds the whole operation.
        loop {
            if let Confirm::Holds(output) = self.inner.confirm(&later).await? {
                twice.findings.applied_twice.lock().unwrap().push(context.step.to_string());
                return Ok(Confirm::Holds(output));
            }
            tokio::time::sleep(context.timing.poll).await;
        }
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        self.inner.resolve(context).await
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let reverted = self.inner.revert(context).await?;
        if let (Some(twice), Revert::Done(_)) = (&self.twice, &reverted) {
            twice.revert(self.inner.as_ref(), context).await;
            twice.findings.reverted_twice.lock().unwrap().push(context.step.to_string());
        }
        Ok(reverted)
    }

    async fn decide_group(&self, context: &Context) -> Result<GroupDecision, Failure> {
        self.inner.decide_group(context).await
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        self.inner.verify_gone(context).await
    }

    async fn claim_key(&self, context: &Context) -> Result<Option<ResourceKey>, Failure> {
        self.inner.claim_key(context).await
    }
}

fn injected() -> Failure {
    Failure::permanent("the battery lets it fail").with_code(INJECTED)
}

/// A check that fails for good once it has passed.
struct FailingCheck(Arc<dyn Check>);

#[async_trait]
impl Check for FailingCheck {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        match self.0.check(context).await? {
            Checked::NotYet(message) => Ok(Checked::NotYet(message)),
            Checked::Passed { .. } => Err(injected()),
        }
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        self.0.ram_actions()
    }
}

/// The same work, which fails once it is done; a gate stays as it is.
pub(crate) fn failing(work: &Work) -> Work {
    match work {
        Work::Check(check) => Work::Check(Arc::new(FailingCheck(Arc::clone(check)))),
        Work::Action(inner) => {
            Work::Action(Arc::new(Probed { inner: Arc::clone(inner), twice: None, fails: true }))
        }
        Work::Gate => Work::Gate,
    }
}

/// The same work, done twice and undone twice; checks and gates stay as they are.
pub(crate) fn twice(work: &Work, place: &Place, findings: &Arc<Findings>) -> Work {
    let twice = Twice { place: place.clone(), findings: Arc::clone(findings) };
    match work {
        Work::Action(inner) => Work::Action(Arc::new(Probed {
            inner: Arc::clone(inner),
            twice: Some(twice),
            fails: false,
        })),
        Work::Check(_) | Work::Gate => work.clone(),
    }
}
