//! Plans over definitions made for it: no network, no disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use causeway_engine::event::{Resolution, Undone, Verdict};
use causeway_engine::{Failure, PublicState};
use causeway_workflows::preview::{Change, Preview, known_after};
use causeway_workflows::sdk::{Action, Check, Checked, Context, Observed, Revert};
use causeway_workflows::{Definition, Template, Timing};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::fixture::{runtime_in_time, runtime_with};
use super::super::tests::ended;
use super::super::{Error, Handle, Outlook, StartRequest};
use crate::store::memory::Disk;
use crate::store::{MemoryStore, Store};

/// A world of one number.
#[derive(Clone, Default)]
struct World {
    number: Arc<AtomicU32>,
    changes: Arc<AtomicU32>,
    looks: Arc<AtomicU32>,
    /// At which look somebody changes the number.
    shaken_at: Arc<AtomicU32>,
}

/// Makes something of the number; its output is the id.
struct Make(World);
/// Needs what the first has made.
struct Use(World);
/// Reads the number, or fails where that is 13.
struct Look(World);

#[async_trait]
impl Check for Look {
    async fn check(&self, _context: &Context) -> Result<Checked, Failure> {
        let look = self.0.looks.fetch_add(1, Ordering::SeqCst) + 1;
        if look == self.0.shaken_at.load(Ordering::SeqCst) {
            self.0.number.store(2, Ordering::SeqCst);
        }
        match self.0.number.load(Ordering::SeqCst) {
            13 => Err(Failure::permanent("unfit").with_code("UNFIT")),
            14 => Err(Failure::retryable("no way there").with_code("NOT_SENT")),
            _ => Ok(Checked::Passed { output: Value::Null, warnings: Vec::new() }),
        }
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &["ram:GetUser"]
    }
}

#[async_trait]
impl Action for Make {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let number = self.0.number.load(Ordering::SeqCst);
        let sealed = context.seal("number", SecretString::from(format!("secret-{number}")));
        let before = json!({"number": sealed});
        Ok(match number {
            7 => Observed::as_wanted(Verdict::Adopted, before, json!({"id": "seven"})),
            9 => return Err(Failure::permanent("in the way").with_code("CONFLICT")),
            _ => Observed::change(before),
        })
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        let id = known_after(context.step.as_str());
        Ok(Preview::undone_by("takes it away")
            .change(Change::create("thing", id.clone(), &Value::Null))
            .expecting(json!({"id": id})))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &["ram:CreateUser", "ram:GetUser"]
    }

    async fn apply(&self, _context: &Context) -> Result<Value, Failure> {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        Ok(json!({"id": "made"}))
    }

    async fn resolve(&self, _context: &Context) -> Result<(Resolution, Value), Failure> {
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, _context: &Context) -> Result<Revert, Failure> {
        Ok(Revert::Done(Undone::Reverted))
    }
}

#[async_trait]
impl Action for Use {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let made: Value = context.output_of("make")?;
        Ok(Observed::change(made))
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        let made: Value = context.output_of("make")?;
        let id = made["id"].as_str().unwrap_or_default();
        Ok(Preview::undone_by("lets go of it").change(Change::create("use", id, &made)))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, _context: &Context) -> Result<Value, Failure> {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        Ok(Value::Null)
    }

    async fn resolve(&self, _context: &Context) -> Result<(Resolution, Value), Failure> {
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, _context: &Context) -> Result<Revert, Failure> {
        Ok(Revert::Done(Undone::Reverted))
    }
}

async fn handle_over(world: &World, store: Arc<dyn Store>) -> Handle {
    let templates = vec![
        Template::check("look", Look(world.clone())),
        Template::action("make", Make(world.clone())).after(&["look"]),
        Template::action("use", Use(world.clone())).after(&["make"]),
        Template::check("verify", Look(world.clone())).after(&["use"]),
    ];
    let definition =
        Definition { name: "made-up", revision: 1, templates, cluster_id: None, undoes: None };
    // What fails in a way that passes is tried again at once.
    let timing = Timing { retry_initial: Duration::from_millis(1), ..Timing::default() };
    runtime_in_time(store, vec![definition], timing).await.handle()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::open(&Disk::new()).unwrap())
}

fn request(plan_digest: &str) -> StartRequest {
    StartRequest {
        definition: "made-up".to_owned(),
        plan_digest: plan_digest.to_owned(),
        ..StartRequest::default()
    }
}

async fn outlooks(handle: &Handle) -> Vec<Outlook> {
    let plan = handle.plan(&request("")).await.unwrap();
    plan.steps.into_iter().map(|step| step.outlook).collect()
}

#[tokio::test]
async fn a_plan_looks_as_far_as_it_can_and_writes_nothing() {
    let (world, store) = (World::default(), memory());
    let handle = handle_over(&world, store.clone()).await;
    let before = store.position(0).number;
    let plan = handle.plan(&request("")).await.unwrap();
    let seen: Vec<_> = plan.steps.iter().map(|step| step.outlook.clone()).collect();
    let after = |step: &str| Outlook::KnownAfter(step.into());
    assert_eq!(
        seen,
        [Outlook::Passes, Outlook::Observed(Verdict::Change), after("make"), after("use")]
    );
    let shown = plan.steps[2].preview.as_ref().unwrap();
    assert_eq!(shown.changes[0].id, "(known after make)");
    assert_eq!(store.position(0).number, before, "something was written");
    assert_eq!(world.changes.load(Ordering::SeqCst), 0);
    let names: Vec<_> =
        plan.permissions.iter().map(|one| (one.name.as_str(), one.steps.len())).collect();
    assert_eq!(names, [("ram:CreateUser", 1), ("ram:GetUser", 3)]);
}

#[tokio::test]
async fn what_is_there_is_known_to_later_steps_and_what_is_in_the_way_is_said() {
    let world = World::default();
    let handle = handle_over(&world, memory()).await;
    world.number.store(7, Ordering::SeqCst);
    let seen = outlooks(&handle).await;
    assert_eq!(
        seen[1..3],
        [Outlook::Observed(Verdict::Adopted), Outlook::Observed(Verdict::Change)]
    );
    world.number.store(9, Ordering::SeqCst);
    let seen = outlooks(&handle).await;
    assert!(matches!(&seen[1], Outlook::Conflict(failure) if failure.message == "in the way"));
    assert_eq!(seen[2], Outlook::KnownAfter("make".into()));
    world.number.store(13, Ordering::SeqCst);
    let seen = outlooks(&handle).await;
    assert!(matches!(&seen[0], Outlook::Fails(_)) && matches!(seen[1], Outlook::Observed(_)));
}

#[tokio::test]
async fn a_start_by_a_plan_is_refused_once_anything_that_was_seen_is_another() {
    let world = World::default();
    let handle = handle_over(&world, memory()).await;
    let digest = handle.plan(&request("")).await.unwrap().digest.unwrap();
    assert_eq!(handle.plan(&request("")).await.unwrap().digest.unwrap(), digest, "the same world");
    // What is sealed counts, too.
    world.number.store(1, Ordering::SeqCst);
    let error = handle.start(request(&digest)).await.unwrap_err();
    let Error::PlanStale { changed, now } = &error else { panic!("{error:?}") };
    assert_eq!(changed.as_deref(), Some(&["make".to_owned()][..]));
    assert!(!format!("{error}").contains("secret-"), "{error}");
    let id = handle.start(request(now)).await.unwrap();
    let state = ended(&handle, &id).await;
    assert_eq!(state.public_state(), PublicState::Succeeded);
    assert_eq!(state.plan.as_ref().unwrap().digest, *now);
    let unknown = format!("plan-{}", "0".repeat(32));
    let error = handle.start(request(&unknown)).await.unwrap_err();
    assert!(matches!(error, Error::PlanStale { changed: None, .. }), "{error:?}");
}

#[tokio::test]
async fn a_workflow_that_is_held_to_a_plan_touches_no_other_world() {
    let world = World::default();
    let handle = handle_over(&world, memory()).await;
    let digest = handle.plan(&request("")).await.unwrap().digest.unwrap();
    // One look for each plan, the start's own included; at the next one, by the workflow itself, the world changes.
    world.shaken_at.store(3, Ordering::SeqCst);
    let id = handle.start(request(&digest)).await.unwrap();
    let state = ended(&handle, &id).await;
    assert_eq!(state.public_state(), PublicState::Rejected);
    let (step, failure) = state.failure().unwrap();
    assert_eq!((step.as_str(), failure.code.as_deref()), ("make", Some("PLAN_STALE")));
    assert_eq!(world.changes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_can_not_be_looked_at_gives_no_digest_and_holds_no_start() {
    let world = World::default();
    let handle = handle_over(&world, memory()).await;
    let digest = handle.plan(&request("")).await.unwrap().digest.unwrap();
    world.number.store(14, Ordering::SeqCst);
    let plan = handle.plan(&request("")).await.unwrap();
    assert!(matches!(&plan.steps[0].outlook, Outlook::Unread(_)) && plan.digest.is_none());
    assert_eq!(world.looks.load(Ordering::SeqCst), 1 + 3, "it is tried again a few times");
    let error = handle.start(request(&digest)).await.unwrap_err();
    assert!(matches!(&error, Error::PlanUnread { why } if why == "no way there"), "{error:?}");
}

#[tokio::test]
async fn the_self_test_can_be_planned_and_started_by_its_plan() {
    let handle = runtime_with(memory(), causeway_workflows::registry()).await.handle();
    let noop = |plan_digest: &str| StartRequest {
        definition: "saga-10-undo".to_owned(),
        plan_digest: plan_digest.to_owned(),
        ..StartRequest::default()
    };
    let plan = handle.plan(&noop("")).await.unwrap();
    assert_eq!(plan.steps.iter().filter(|step| step.would_change()).count(), 10);
    let id = handle.start(noop(&plan.digest.unwrap())).await.unwrap();
    assert_eq!(ended(&handle, &id).await.public_state(), PublicState::Succeeded);
}
