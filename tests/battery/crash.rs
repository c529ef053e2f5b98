//! The daemon dies: at the records of its journal, before, in the middle of and after the write; at its calls, before and
//! after their effect. Each life ends at the one or the other, whichever comes first, until the workflow has ended.

use std::sync::Arc;
use std::time::Duration;

use causeway_engine::{PublicState, Workflow, WorkflowId};
use causeway_orchestrator::runtime::StartRequest;
use causeway_orchestrator::store::memory::Loss;
use causeway_sandbox::faults::{At, Side};
use causeway_sandbox::world::World;
use causeway_tests::scene::assert_same;
use causeway_workflows::Definition;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::definitions::{teardowns, with, worldless, worldly};
use crate::host::{Home, Host, rests, story};
use crate::probe::failing;
use crate::stage;

/// Gives the seed.
const SEED: &str = "CAUSEWAY_BATTERY_SEED";
/// Records within which a life ends: few enough that each life comes to it, many enough that all lives come far.
const RECORDS: u64 = 14;
/// The same where there are but few.
const RECORDS_WORLDLESS: u64 = 4;
/// Boundaries of calls within which a life ends.
const CALLS: usize = 6;
/// Lives that are cut short; the one after them may go on to the end.
const LIVES: usize = 16;
/// Runs of each kind, in worlds of their own.
const RUNS: usize = 2;
/// How long all mutating calls of one attempt may take here: what is lost is settled soon after.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// How long a workflow may take, however busy the machine.
const END_LIMIT: Duration = Duration::from_secs(120);
/// Longer than a call that a fault makes late takes to land.
const LANDED: Duration = Duration::from_secs(1);

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().map(|text| text.parse().expect("the seed is a number"));
    let seed = given.unwrap_or_else(rand::random);
    println!("{SEED}={seed}");
    seed
}

/// One workflow over many lives of the daemon.
struct Lives<'a> {
    id: &'static str,
    home: Home,
    world: Option<&'a World>,
    request: StartRequest,
    random: StdRng,
    deaths: Vec<String>,
}

impl Lives<'_> {
    async fn run(&mut self) -> Arc<Workflow> {
        for _ in 0..LIVES {
            if let Some(state) = self.life().await {
                return state;
            }
        }
        self.home.breaks = None;
        let host = Host::start(&self.home).await;
        let id = self.begun(&host).await.expect("nothing breaks any more");
        host.rested(&id).await
    }

    /// The workflow, started where it is not yet; none where the disk broke first.
    async fn begun(&self, host: &Host) -> Option<WorkflowId> {
        let id = WorkflowId::from(self.id);
        match host.get(&id).await {
            Some(_) => Some(id),
            None => host.build(self.id, self.request.clone()).await,
        }
    }

    /// One life, cut short; the workflow, where it has come to rest before.
    async fn life(&mut self) -> Option<Arc<Workflow>> {
        let loss = [Loss::Lost, Loss::Torn, Loss::Kept][self.random.random_range(0..3)];
        let records = if self.world.is_some() { RECORDS } else { RECORDS_WORLDLESS };
        let nth = self.random.random_range(1..=records);
        let at_call = self.world.filter(|_| self.random.random());
        if let Some(world) = at_call {
            let boundaries = world.boundaries();
            let next = boundaries.passed().len();
            boundaries.arm(At::Index(next + self.random.random_range(0..CALLS)));
        }
        self.home.breaks = at_call.is_none().then_some((nth, loss));
        let host = Host::start(&self.home).await;
        let id = self.begun(&host).await;
        let rested = async {
            match &id {
                Some(id) => host.rested(id).await,
                None => std::future::pending().await,
            }
        };
        let reached = async {
            match at_call {
                Some(world) => world.boundaries().reached().await,
                None => std::future::pending().await,
            }
        };
        let death = tokio::select! {
            state = rested => Err(state),
            boundary = reached => Ok(format!("{}:{} {:?}", boundary.product, boundary.action, boundary.side)),
            () = host.broken() => Ok(format!("record {nth}, {loss:?}")),
            () = tokio::time::sleep(END_LIMIT) => panic!("no end after {:?}", self.deaths),
        };
        host.kill().await;
        if let Some(world) = at_call {
            world.boundaries().disarm();
            world.boundaries().drop_call();
        }
        match death {
            Ok(death) => {
                self.deaths.push(death);
                None
            }
            Err(state) => Some(state),
        }
    }
}

/// The definition with its last step failing, so that everything is undone.
fn doomed(definition: Definition) -> Definition {
    let last = definition.templates.last().unwrap().name;
    with(definition, |template| {
        if template.name == last {
            template.work = failing(&template.work);
        }
    })
}

fn lives(definition: Definition, world: Option<&World>, random: StdRng) -> Lives<'_> {
    let request = stage::request(&definition, world);
    let mut home = match world {
        Some(world) => Home::in_world(world, vec![definition]),
        None => Home::empty(vec![definition]),
    };
    hurried(&mut home);
    Lives { id: "battery", home, world, request, random, deaths: Vec::new() }
}

/// What is lost is settled soon.
fn hurried(home: &mut Home) {
    home.timing.attempt_deadline = ATTEMPT;
    home.timing.settle = LANDED / 4;
    home.timing.retry_initial = Duration::from_millis(20);
}

/// Takes down, over many lives, what was built in one.
async fn taken_down(build: &Definition, teardown: &Definition, seed: u64) {
    let world = stage::world(&[]).await;
    let before = stage::ledger(&world).await;
    let mut home = Home::in_world(&world, vec![build.clone(), teardown.clone()]);
    hurried(&mut home);
    let host = Host::start(&home).await;
    let id = host.build("battery", stage::request(build, Some(&world))).await.unwrap();
    let state = host.rested(&id).await;
    assert_eq!(state.public_state(), PublicState::Succeeded, "{}", story(&state));
    host.kill().await;
    let (request, random) = (stage::request(teardown, Some(&world)), StdRng::seed_from_u64(seed));
    let deaths = Vec::new();
    let mut lives = Lives { id: "teardown", home, world: Some(&*world), request, random, deaths };
    let state = lives.run().await;
    println!("{:?} after {} deaths: {:?}", state.public_state(), lives.deaths.len(), lives.deaths);
    assert!(!lives.deaths.is_empty());
    assert_eq!(
        state.public_state(),
        PublicState::Succeeded,
        "{:?}\n{}",
        lives.deaths,
        story(&state)
    );
    assert_same(&before, &stage::ledger(&world).await);
    lives.home.breaks = None;
    let host = Host::start(&lives.home).await;
    assert!(host.clusters().await.is_empty(), "the record is gone with the last undo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_whose_daemon_dies_at_its_records_and_calls_leaves_the_world_as_before() {
    let mut random = StdRng::seed_from_u64(seed());
    for (build, teardown) in teardowns() {
        let seeds: Vec<u64> = (0..2 * RUNS).map(|_| random.random()).collect();
        let runs = seeds.into_iter().map(|seed| taken_down(&build, &teardown, seed));
        futures::stream::iter(runs).buffer_unordered(2 * RUNS).collect::<Vec<()>>().await;
    }
}

/// The world of a build that nobody disturbs.
async fn undisturbed(definition: &Definition) -> String {
    let world = stage::world(&[]).await;
    let host = Host::start(&Home::in_world(&world, vec![definition.clone()])).await;
    let request = stage::request(definition, Some(&world));
    let id = host.build("battery", request).await.unwrap();
    let state = host.rested(&id).await;
    assert_eq!(state.public_state(), PublicState::Succeeded, "{}", story(&state));
    stage::ledger(&world).await
}

/// Builds, or builds and undoes, over many lives.
async fn disturbed(definition: &Definition, undone: bool, seed: u64) -> String {
    let world = stage::world(&[]).await;
    let before = stage::ledger(&world).await;
    let definition = if undone { doomed(definition.clone()) } else { definition.clone() };
    let mut lives = lives(definition, Some(&world), StdRng::seed_from_u64(seed));
    let state = lives.run().await;
    println!("{:?} after {} deaths: {:?}", state.public_state(), lives.deaths.len(), lives.deaths);
    assert!(!lives.deaths.is_empty() && rests(&state));
    let end = if undone { PublicState::Compensated } else { PublicState::Succeeded };
    assert_eq!(state.public_state(), end, "{:?}\n{}", lives.deaths, story(&state));
    let after = stage::ledger(&world).await;
    if undone {
        assert_same(&before, &after);
    }
    after
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_at_its_records_and_calls_ends_as_one_that_lives() {
    let mut random = StdRng::seed_from_u64(seed());
    for definition in worldless() {
        for definition in [definition.clone(), doomed(definition)] {
            let random = StdRng::seed_from_u64(random.random());
            let mut lives = lives(definition, None, random);
            let state = lives.run().await;
            assert!(state.is_ended(), "{:?}\n{}", lives.deaths, story(&state));
            assert!(!lives.deaths.is_empty());
        }
    }
    for definition in worldly() {
        let runs: Vec<(bool, u64)> =
            (0..2 * RUNS).map(|run| (run % 2 == 0, random.random())).collect();
        let runs = runs.into_iter().map(|(undone, seed)| {
            let definition = &definition;
            async move { (undone, disturbed(definition, undone, seed).await) }
        });
        let runs = futures::stream::iter(runs).buffer_unordered(2 * RUNS).collect::<Vec<_>>();
        let (expected, runs) = tokio::join!(undisturbed(&definition), runs);
        for (_, built) in runs.iter().filter(|(undone, _)| !undone) {
            assert_same(&expected, built);
        }
    }
}

/// The call is lost, the daemon dies right then, and the call lands in the next life.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_call_that_lands_in_the_next_life_is_waited_for() {
    /// It can't be told apart from another of its kind, and may not be made twice.
    const CALL: &str = "ram:CreateAccessKey";
    for definition in worldly() {
        let dying = async {
            let world = stage::world(&[&format!("{CALL}:late")]).await;
            world.boundaries().arm(At::call(CALL, Side::Before));
            let home = Home::in_world(&world, vec![definition.clone()]);
            let host = Host::start(&home).await;
            let request = stage::request(&definition, Some(&world));
            let id = host.build("battery", request).await.unwrap();
            let dead = async {
                world.boundaries().reached().await;
                // The next record would say that the answer was lost: the daemon dies before it.
                home.disk.break_at(1, Loss::Lost);
                world.boundaries().release();
                host.broken().await;
            };
            assert!(tokio::time::timeout(END_LIMIT, dead).await.is_ok(), "{CALL} is never made");
            host.kill().await;
            let host = Host::start(&home).await;
            let state = host.rested(&id).await;
            assert_eq!(state.public_state(), PublicState::Succeeded, "{}", story(&state));
            tokio::time::sleep(LANDED).await;
            stage::ledger(&world).await
        };
        let (expected, built) = tokio::join!(undisturbed(&definition), dying);
        assert_same(&expected, &built);
    }
}
