//! The table of states and verbs, each cell asked of the real API and runtime.

use causeway_client::{Ask, Client, Error};
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Workflow, step};
use causeway_tests::scripted::{ACTION, CHECK, GATE, Mode, Scripted, Setup, Switches};
use futures::StreamExt as _;
use serde_json::json;

/// Daemons that run beside each other: bounds what the machine has to do at once.
const AT_A_TIME: usize = 8;

/// The states of the table, and some that share a name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Queued,
    /// RUNNING, with a check that waits to be tried again.
    Running,
    /// RUNNING, with an action that waits to be tried again.
    Retrying,
    /// RUNNING, where the only way is forward.
    PastPivot,
    AwaitingApproval,
    /// PAUSED by a person.
    Paused,
    /// PAUSED, as a failed step is held.
    Held,
    /// PAUSED, as a step failed past a pivot.
    HeldPastPivot,
    Compensating,
    Stuck,
    Terminal,
}

use Row::{
    AwaitingApproval, Compensating, Held, HeldPastPivot, PastPivot, Paused, Queued, Retrying,
    Running, Stuck, Terminal,
};

impl Row {
    const ALL: [Self; 11] = [
        Queued,
        Running,
        Retrying,
        PastPivot,
        AwaitingApproval,
        Paused,
        Held,
        HeldPastPivot,
        Compensating,
        Stuck,
        Terminal,
    ];

    /// A daemon with a workflow in this state.
    async fn reach(self) -> (Scripted, String) {
        let world = Switches::default();
        let pivot = matches!(self, PastPivot | HeldPastPivot);
        match self {
            Queued | Running | PastPivot | Paused => world.check(Mode::Later),
            Retrying => world.apply(Mode::Later),
            Held => world.apply(Mode::Never),
            HeldPastPivot => world.check(Mode::Never),
            Compensating => {
                world.check(Mode::Never);
                world.revert(Mode::Later);
            }
            Stuck => {
                world.check(Mode::Never);
                world.revert(Mode::Never);
            }
            AwaitingApproval | Terminal => {}
        }
        let daemon = Scripted::start(world, &Setup { pivot, ..Setup::default() }).await;
        let run = match self {
            AwaitingApproval => json!({"gates": {"spend": {"required": true}}}),
            Held => json!({"on_failure": "HOLD"}),
            _ => json!({}),
        };
        let mut id = daemon.build(run.clone()).await;
        if self == Queued {
            id = daemon.build(run).await;
        }
        self.settle(&daemon, &id).await;
        (daemon, id)
    }

    /// Waits until the workflow rests in this state.
    async fn settle(self, daemon: &Scripted, id: &str) {
        let step_is = |workflow: &Workflow, name: &str, state: step::State| {
            workflow.steps.iter().any(|step| step.name == name && step.state() == state)
        };
        let waits = |name: &'static str, state: step::State| {
            daemon.until(id, move |workflow| step_is(workflow, name, state))
        };
        match self {
            Running | PastPivot => drop(waits(CHECK, step::State::RetryWait).await),
            Retrying => drop(waits(ACTION, step::State::RetryWait).await),
            Compensating => drop(waits(ACTION, step::State::UndoRetryWait).await),
            Paused => {
                waits(CHECK, step::State::RetryWait).await;
                daemon.client().pause(id, "a look first").await.unwrap();
            }
            Queued | AwaitingApproval | Held | HeldPastPivot | Stuck | Terminal => {}
        }
        daemon.becomes(id, self.state()).await;
    }

    fn state(self) -> State {
        match self {
            Queued => State::Queued,
            Running | Retrying | PastPivot => State::Running,
            AwaitingApproval => State::AwaitingApproval,
            Paused | Held | HeldPastPivot => State::Paused,
            Compensating => State::Compensating,
            Stuck => State::Stuck,
            Terminal => State::Succeeded,
        }
    }
}

/// What somebody does to the world before the verb.
#[derive(Debug, Clone, Copy)]
enum Mend {
    Nothing,
    /// Everything works again.
    All,
    /// The thing is put there by another's hand.
    There,
    /// The thing is taken away by another's hand.
    Gone,
    /// Nobody can tell any more.
    Blind,
}

impl Mend {
    fn apply(self, world: &Switches) {
        match self {
            Self::Nothing => {}
            Self::All => {
                world.apply(Mode::Works);
                world.check(Mode::Works);
                world.revert(Mode::Works);
            }
            Self::There => world.put(true),
            Self::Gone => world.put(false),
            Self::Blind => world.blind(),
        }
    }
}

/// Asks with the etag that the workflow has now.
async fn ask(client: &Client, id: &str, verb: &str) -> Result<Workflow, Error> {
    let seen = client.get(id).await?;
    let ask = Ask { reason: "a test".into(), etag: seen.etag.clone(), ..Ask::default() };
    match verb {
        "cancel" => client.cancel(id, ask).await,
        "abandon" => client.abandon(id, ask).await,
        "pause" => client.pause(id, ask).await,
        "resume" => client.resume(id, ask).await,
        "retry" => client.retry(id, ask).await,
        "skip" => client.skip(id, ACTION, ask).await,
        "skip the check" => client.skip(id, CHECK, ask).await,
        "approve" => client.approve(id, GATE, ask).await,
        "deny" => client.deny(id, GATE, ask).await,
        "delete" => client.delete(id, ask).await.map(|()| seen),
        other => panic!("{other} is no verb"),
    }
}

fn reason(error: &Error) -> &str {
    match error {
        Error::Api(error) => &error.reason,
        other => panic!("the daemon does not refuse: {other}"),
    }
}

/// A cell: the state, what is done to the world, and where the workflow comes to rest, or why it is refused.
type Cell = (Row, Mend, Result<State, &'static str>);

/// Runs each cell of a verb on a daemon of its own.
async fn column(verb: &'static str, cells: &[Cell]) {
    let runs = cells.iter().map(|&(row, mend, expected)| async move {
        let (daemon, id) = row.reach().await;
        mend.apply(&daemon.world);
        let before = daemon.client().get(&id).await.unwrap();
        match (ask(&daemon.client(), &id, verb).await, expected) {
            (Ok(_), Ok(state)) => {
                let rests = daemon.becomes(&id, state);
                let rests = tokio::time::timeout(std::time::Duration::from_secs(60), rests).await;
                assert!(rests.is_ok(), "{verb} in {row:?} with {mend:?}");
            }
            (Err(error), Err(expected)) => {
                assert_eq!(reason(&error), expected, "{verb} in {row:?}: {error}");
                let Error::Api(error) = error else { unreachable!("it was looked at") };
                assert_eq!(error.code, tonic::Code::FailedPrecondition);
                assert_eq!(error.metadata["state"], row.state().as_str_name());
                let after = daemon.client().get(&id).await.unwrap();
                assert_eq!(after.etag, before.etag, "a refusal changes nothing");
            }
            (found, expected) => {
                panic!("{verb} in {row:?} with {mend:?}: {expected:?} expected, got {found:#?}")
            }
        }
        daemon.stop().await;
    });
    futures::stream::iter(runs).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
}

const ENDED: Result<State, &str> = Err("WORKFLOW_ENDED");

#[tokio::test(flavor = "multi_thread")]
async fn cancel() {
    let cancelled = Ok(State::Cancelled);
    let cells = [
        (Queued, Mend::Nothing, cancelled),
        (Running, Mend::Nothing, cancelled),
        (PastPivot, Mend::Nothing, Err("PAST_PIVOT")),
        (AwaitingApproval, Mend::Nothing, cancelled),
        (Paused, Mend::Nothing, cancelled),
        (Held, Mend::Nothing, cancelled),
        (HeldPastPivot, Mend::Nothing, Err("PAST_PIVOT")),
        (Compensating, Mend::Nothing, Ok(State::Compensating)),
        (Stuck, Mend::Nothing, Ok(State::Stuck)),
        (Terminal, Mend::Nothing, ENDED),
    ];
    column("cancel", &cells).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abandon() {
    let abandoned = Ok(State::Abandoned);
    let mut cells: Vec<Cell> =
        [Running, PastPivot, AwaitingApproval, Paused, Held, HeldPastPivot, Compensating, Stuck]
            .map(|row| (row, Mend::Nothing, abandoned))
            .into();
    cells.push((Queued, Mend::Nothing, Ok(State::Cancelled)));
    cells.push((Terminal, Mend::Nothing, ENDED));
    column("abandon", &cells).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pause() {
    let paused = Ok(State::Paused);
    let mut cells: Vec<Cell> =
        [Queued, Running, PastPivot, AwaitingApproval, Paused, Held, Compensating]
            .map(|row| (row, Mend::Nothing, paused))
            .into();
    cells.push((Stuck, Mend::Nothing, Err("USE_RETRY")));
    cells.push((Terminal, Mend::Nothing, ENDED));
    column("pause", &cells).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume() {
    let mut cells: Vec<Cell> = [Queued, Running, AwaitingApproval, Compensating]
        .map(|row| (row, Mend::Nothing, Ok(row.state())))
        .into();
    cells.push((Paused, Mend::Nothing, Ok(State::Running)));
    cells.push((Held, Mend::Nothing, Err("USE_RETRY")));
    cells.push((Stuck, Mend::Nothing, Err("USE_RETRY")));
    cells.push((Terminal, Mend::Nothing, ENDED));
    column("resume", &cells).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry() {
    let cells = [
        (Queued, Mend::Nothing, Err("NOT_STARTED")),
        (Running, Mend::All, Ok(State::Succeeded)),
        (Retrying, Mend::All, Ok(State::Succeeded)),
        (Retrying, Mend::Nothing, Ok(State::Running)),
        (AwaitingApproval, Mend::Nothing, Ok(State::AwaitingApproval)),
        (Held, Mend::All, Ok(State::Succeeded)),
        (Held, Mend::Nothing, Ok(State::Paused)),
        (HeldPastPivot, Mend::All, Ok(State::Succeeded)),
        (Compensating, Mend::All, Ok(State::Compensated)),
        (Stuck, Mend::All, Ok(State::Compensated)),
        (Stuck, Mend::Nothing, Ok(State::Stuck)),
        (Terminal, Mend::Nothing, ENDED),
    ];
    column("retry", &cells).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skip() {
    let nothing_to_skip = Err("STEP_NOT_SKIPPABLE");
    let cells = [
        (Queued, Mend::Nothing, Err("WRONG_STATE")),
        (Running, Mend::Nothing, nothing_to_skip),
        (Retrying, Mend::There, Ok(State::Succeeded)),
        (Retrying, Mend::Nothing, Ok(State::Paused)),
        (AwaitingApproval, Mend::Nothing, nothing_to_skip),
        (Paused, Mend::Nothing, nothing_to_skip),
        (Held, Mend::There, Ok(State::Succeeded)),
        (Held, Mend::Nothing, Ok(State::Paused)),
        (Compensating, Mend::Nothing, Err("WRONG_STATE")),
        (Stuck, Mend::Gone, Ok(State::Compensated)),
        (Stuck, Mend::Nothing, Ok(State::Abandoned)),
        (Stuck, Mend::Blind, Ok(State::Abandoned)),
        (Terminal, Mend::Nothing, ENDED),
    ];
    column("skip", &cells).await;
    column("skip the check", &[(Running, Mend::Nothing, nothing_to_skip)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approve_and_deny() {
    let refused = |verb: &'static str| async move {
        let closed = Err("GATE_NOT_OPEN");
        let mut cells: Vec<Cell> = [Queued, Running, Paused, Held, Compensating, Stuck]
            .map(|row| (row, Mend::Nothing, closed))
            .into();
        cells.push((Terminal, Mend::Nothing, ENDED));
        let decided = if verb == "approve" { State::Succeeded } else { State::Rejected };
        cells.push((AwaitingApproval, Mend::Nothing, Ok(decided)));
        column(verb, &cells).await;
    };
    refused("approve").await;
    refused("deny").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_is_refused_before_the_end() {
    let cells: Vec<Cell> = Row::ALL
        .into_iter()
        .filter(|row| *row != Terminal)
        .map(|row| (row, Mend::Nothing, Err("WORKFLOW_NOT_ENDED")))
        .collect();
    column("delete", &cells).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_gate_of_a_paused_workflow_may_be_decided_on() {
    let (daemon, id) = AwaitingApproval.reach().await;
    daemon.client().pause(&id, "lunch").await.unwrap();
    ask(&daemon.client(), &id, "approve").await.unwrap();
    assert_eq!(daemon.client().get(&id).await.unwrap().state(), State::Paused);
    daemon.client().resume(&id, "back").await.unwrap();
    daemon.becomes(&id, State::Succeeded).await;
    daemon.stop().await;
}
