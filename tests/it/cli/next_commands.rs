//! What a workflow that waits prints to be typed: in every state that waits it is brought there, each printed command is run as it is
//! printed, and the workflow goes where the command says.

use causeway_orchestrator::store::MemoryStore;
use causeway_orchestrator::store::memory::Disk;
use causeway_proto::v1::waiting::Reason;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Waiting, Workflow};
use causeway_tests::scripted::{Mode, Scripted, Setup, Switches};
use futures::StreamExt as _;
use serde_json::{Value, json};

/// Daemons that run beside each other.
const AT_A_TIME: usize = 4;

/// A state that waits, how it is reached, and where each printed command leads, by its first word, once the world is mended.
struct Row {
    reason: Reason,
    apply: Mode,
    check: Mode,
    revert: Mode,
    pivot: bool,
    run: fn() -> Value,
    leads: &'static [(&'static str, State)],
}

fn plain() -> Value {
    json!({})
}

fn held() -> Value {
    json!({"on_failure": "HOLD"})
}

fn gated() -> Value {
    json!({"gates": {"spend": {"required": true}}})
}

const WORKS: Row = Row {
    reason: Reason::Operator,
    apply: Mode::Works,
    check: Mode::Works,
    revert: Mode::Works,
    pivot: false,
    run: plain,
    leads: &[],
};

const ROWS: &[Row] = &[
    Row {
        reason: Reason::Approval,
        run: gated,
        leads: &[("approve", State::Succeeded), ("deny", State::Rejected)],
        ..WORKS
    },
    Row {
        reason: Reason::Retrying,
        check: Mode::Later,
        leads: &[("retry", State::Succeeded)],
        ..WORKS
    },
    Row {
        reason: Reason::Held,
        apply: Mode::Never,
        run: held,
        leads: &[
            ("retry", State::Succeeded),
            // The thing was not made, so there is nothing to pass over it for: it stays held.
            ("skip", State::Paused),
            ("cancel", State::Cancelled),
        ],
        ..WORKS
    },
    // Past the point of no return there is no way back.
    Row {
        reason: Reason::Held,
        check: Mode::Never,
        pivot: true,
        leads: &[("retry", State::Succeeded), ("abandon", State::Abandoned)],
        ..WORKS
    },
    Row {
        reason: Reason::Retrying,
        check: Mode::Never,
        revert: Mode::Later,
        leads: &[("retry", State::Compensated)],
        ..WORKS
    },
    Row {
        reason: Reason::UndoFailed,
        check: Mode::Never,
        revert: Mode::Never,
        leads: &[
            ("retry", State::Compensated),
            ("skip", State::Abandoned),
            ("abandon", State::Abandoned),
        ],
        ..WORKS
    },
    Row {
        reason: Reason::ConnectionMoved,
        apply: Mode::Moved,
        leads: &[("resume", State::Succeeded), ("abandon", State::Abandoned)],
        ..WORKS
    },
    // What passes by itself is looked at: there is nothing to do but to know why.
    Row {
        reason: Reason::Timer,
        check: Mode::NotYet,
        leads: &[("describe", State::Running)],
        ..WORKS
    },
    Row {
        reason: Reason::Confirming,
        apply: Mode::NotYet,
        leads: &[("describe", State::Running)],
        ..WORKS
    },
    Row {
        reason: Reason::Unresolved,
        apply: Mode::Lost,
        leads: &[("describe", State::Running)],
        ..WORKS
    },
];

fn reason(workflow: &Workflow) -> Option<Reason> {
    workflow.waiting.as_ref().map(Waiting::reason)
}

/// The printed command that begins so, which must be there; and no other than those that are known.
fn printed(workflow: &Workflow, verb: &str, known: &[(&str, State)]) -> String {
    let waiting = workflow.waiting.clone().unwrap();
    for command in &waiting.next_commands {
        let begins = |(verb, _): &(&str, State)| command.starts_with(&format!("causeway {verb} "));
        assert!(known.iter().any(begins), "{:?} prints {command}", waiting.reason());
    }
    let begin = format!("causeway {verb} ");
    let found = waiting.next_commands.iter().find(|command| command.starts_with(&begin));
    found.unwrap_or_else(|| panic!("{:?} does not print {verb}", waiting.reason())).clone()
}

async fn run(daemon: &Scripted, command: &str, id: &str) {
    let ran = daemon.shell(command).await;
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command}: {said}");
    assert!(String::from_utf8_lossy(&ran.stdout).contains(id), "{command} is not about {id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_that_is_printed_moves_the_workflow_on() {
    let cells = ROWS.iter().flat_map(|row| row.leads.iter().map(move |lead| (row, lead)));
    let cells = cells.map(|(row, (verb, end))| async move {
        let world = Switches::default();
        world.apply(row.apply);
        world.check(row.check);
        world.revert(row.revert);
        let setup = Setup { pivot: row.pivot, ..Setup::default() };
        let daemon = Scripted::start(world, &setup).await;
        let id = daemon.build((row.run)()).await;
        let waiting = daemon.until(&id, |seen| reason(seen) == Some(row.reason)).await;
        let command = printed(&waiting, verb, row.leads);
        if *verb != "describe" {
            daemon.world.apply(Mode::Works);
            daemon.world.check(Mode::Works);
            daemon.world.revert(Mode::Works);
        }
        run(&daemon, &command, &id).await;
        daemon.becomes(&id, *end).await;
        daemon.stop().await;
    });
    futures::stream::iter(cells).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_workflow_prints_how_it_is_resumed_or_cancelled() {
    for (verb, end) in [("resume", State::Succeeded), ("cancel", State::Cancelled)] {
        let daemon = Scripted::new().await;
        daemon.world.check(Mode::Later);
        let id = daemon.build(plain()).await;
        daemon.until(&id, |seen| reason(seen) == Some(Reason::Retrying)).await;
        daemon.client().pause(&id, "a look").await.unwrap();
        let paused = daemon.until(&id, |seen| reason(seen) == Some(Reason::Operator)).await;
        daemon.world.check(Mode::Works);
        let leads = [("resume", State::Succeeded), ("cancel", State::Cancelled)];
        run(&daemon, &printed(&paused, verb, &leads), &id).await;
        if verb == "resume" {
            daemon.client().retry(&id, "now").await.unwrap();
        }
        daemon.becomes(&id, end).await;
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_workflow_prints_whom_it_waits_for() {
    let daemon = Scripted::new().await;
    daemon.world.check(Mode::Later);
    let first = daemon.build(plain()).await;
    let second = daemon.build(plain()).await;
    let queued = daemon.until(&second, |seen| reason(seen) == Some(Reason::QueuedBehind)).await;
    let leads = [("describe", State::Queued), ("cancel", State::Cancelled)];
    run(&daemon, &printed(&queued, "describe", &leads), &first).await;
    run(&daemon, &printed(&queued, "cancel", &leads), &second).await;
    daemon.becomes(&second, State::Cancelled).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_waits_for_a_key_prints_who_holds_it() {
    let setup = Setup { shared: true, ..Setup::default() };
    let daemon = Scripted::start(Switches::default(), &setup).await;
    daemon.world.apply(Mode::Hangs);
    let first = daemon.build(plain()).await;
    let other = Scripted::request(|input| {
        input["metadata"]["name"] = json!("dc2");
        input["spec"]["cluster_id"] = json!(format!("c{:032}", 2));
    });
    let at_work = |seen: &Workflow| {
        seen.steps.iter().any(|step| step.state() == causeway_proto::v1::step::State::Applying)
    };
    daemon.until(&first, at_work).await;
    let second = daemon.client().start(other).await.unwrap().id;
    let blocked = daemon.until(&second, |seen| reason(seen) == Some(Reason::Lock)).await;
    assert!(blocked.waiting.as_ref().unwrap().on.contains(&first), "{:?}", blocked.waiting);
    let command = printed(&blocked, "describe", &[("describe", State::Running)]);
    run(&daemon, &command, &first).await;
    daemon.world.apply(Mode::Works);
    daemon.becomes(&second, State::Succeeded).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_an_unknown_definition_prints_how_it_goes_on_or_ends() {
    let leads = [("resume", State::Succeeded), ("abandon", State::Abandoned)];
    for (verb, end) in leads {
        let (disk, world) = (Disk::new(), Switches::default());
        world.check(Mode::Later);
        let known = Setup { disk: disk.clone(), ..Setup::default() };
        let unknown = Setup { pivot: true, ..known.clone() };
        let daemon = Scripted::start(world.clone(), &known).await;
        let id = daemon.build(plain()).await;
        daemon.until(&id, |seen| reason(seen) == Some(Reason::Retrying)).await;
        daemon.stop().await;

        // Another definition under the same name and revision: a mistake in a release.
        let daemon = Scripted::start(world.clone(), &unknown).await;
        daemon.client().retry(&id, "now").await.unwrap();
        let parked =
            daemon.until(&id, |seen| reason(seen) == Some(Reason::DefinitionUnknown)).await;
        run(&daemon, &printed(&parked, verb, &leads), &id).await;
        if verb == "abandon" {
            daemon.becomes(&id, end).await;
            daemon.stop().await;
            continue;
        }
        // It is found again at once that nobody knows it; a daemon that does takes it on.
        daemon.until(&id, |seen| reason(seen) == Some(Reason::DefinitionUnknown)).await;
        daemon.stop().await;
        world.check(Mode::Works);
        let daemon = Scripted::start(world, &known).await;
        daemon.becomes(&id, end).await;
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_workflow_prints_how_it_is_ended() {
    let disk = Disk::new();
    let setup = Setup { disk: disk.clone(), ..Setup::default() };
    let world = Switches::default();
    world.check(Mode::Later);
    let daemon = Scripted::start(world.clone(), &setup).await;
    let id = daemon.build(plain()).await;
    daemon.until(&id, |seen| reason(seen) == Some(Reason::Retrying)).await;
    daemon.stop().await;
    MemoryStore::open(&disk).unwrap().damage_record(&id, 2).unwrap();
    let daemon = Scripted::start(world, &setup).await;
    let broken = daemon.becomes(&id, State::Quarantined).await;
    assert_eq!(reason(&broken), Some(Reason::Quarantined));
    let command = printed(&broken, "abandon", &[("abandon", State::Abandoned)]);
    run(&daemon, &command, &id).await;
    daemon.becomes(&id, State::Abandoned).await;
    daemon.stop().await;
}
