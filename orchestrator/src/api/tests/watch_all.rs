//! Watches over many workflows: whatever happens, and however often a watch breaks, what it has told adds up to what there is.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_workflows::{Definition, Template, Work};
use pb::watch_workflows_response::Message as Told;
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const GATE: &str = "approve-spend";
const SOON: Duration = Duration::from_millis(20);

/// A daemon whose self-test rests at its gate, and whose watches say soon that there is nothing more.
async fn start(disk: &Disk) -> Daemon {
    let gate = Template::new(GATE, Work::Gate);
    let saga = Definition {
        name: "saga-10",
        revision: 1,
        templates: vec![gate],
        cluster_id: None,
        undoes: None,
    };
    let soon = |options: &mut Options| options.heartbeat = SOON;
    Daemon::start_knowing(disk, soon, BTreeMap::new(), vec![saga]).await
}

impl Daemon {
    async fn at_the_gate(&self, team: &str) -> String {
        let labels = [("team".to_owned(), team.to_owned())].into();
        let request = pb::StartWorkflowRequest { labels, ..gated() };
        self.workflows().start_workflow(request).await.unwrap().into_inner().name
    }

    async fn verb(&self, name: &str, verb: u32) {
        let (name, mut to) = (name.to_owned(), self.workflows());
        let etag = |workflow: pb::Workflow| workflow.etag;
        let seen = to.get_workflow(pb::GetWorkflowRequest { name: name.clone() }).await;
        let Ok(seen) = seen.map(tonic::Response::into_inner) else { return };
        // What the state does not allow is refused, and nobody is told anything.
        match verb {
            0 => drop(
                to.pause_workflow(pb::PauseWorkflowRequest { name, ..Default::default() }).await,
            ),
            1 => drop(
                to.resume_workflow(pb::ResumeWorkflowRequest { name, ..Default::default() }).await,
            ),
            2 => drop(
                to.cancel_workflow(pb::CancelWorkflowRequest { name, ..Default::default() }).await,
            ),
            3 => {
                let (step, etag) = (GATE.to_owned(), etag(seen));
                let request = pb::ApproveStepRequest { name, step, etag, ..Default::default() };
                drop(to.approve_step(request).await);
            }
            _ => drop(
                to.delete_workflow(pb::DeleteWorkflowRequest { name, ..Default::default() }).await,
            ),
        }
    }

    async fn watch_all(
        &self,
        filter: &str,
        cursor: &str,
    ) -> Result<tonic::Streaming<pb::WatchWorkflowsResponse>, Status> {
        let request = pb::WatchWorkflowsRequest { filter: filter.into(), cursor: cursor.into() };
        Ok(self.workflows().watch_workflows(request).await?.into_inner())
    }

    /// Ids and numbers of records of all that match.
    async fn listed(&self, filter: &str) -> BTreeMap<String, u64> {
        let request = pb::ListWorkflowsRequest {
            filter: filter.into(),
            page_size: 1000,
            ..Default::default()
        };
        let listed = self.workflows().list_workflows(request).await.unwrap().into_inner();
        let mut found = BTreeMap::new();
        for workflow in listed.workflows {
            let request = pb::GetWorkflowRequest { name: workflow.name.clone() };
            let whole = self.workflows().get_workflow(request).await.unwrap().into_inner();
            found.insert(workflow.name, known(&whole));
        }
        found
    }
}

/// The number of the last record that a snapshot knows.
fn known(workflow: &pb::Workflow) -> u64 {
    workflow.etag.split('-').next().unwrap().parse().unwrap()
}

/// Whoever watches: what it knows is only what it was told.
struct Watcher {
    filter: &'static str,
    keeps: fn(State) -> bool,
    cursor: String,
    known: BTreeMap<String, u64>,
    snapshots: BTreeSet<String>,
}

impl Watcher {
    fn new(filter: &'static str, keeps: fn(State) -> bool) -> Self {
        Self {
            filter,
            keeps,
            cursor: String::new(),
            known: BTreeMap::new(),
            snapshots: BTreeSet::new(),
        }
    }

    /// Reads up to so many messages from where it is, or until nothing more comes; then it lets go of the stream.
    async fn read(&mut self, daemon: &Daemon, most: usize) {
        let mut stream = daemon.watch_all(self.filter, &self.cursor).await.unwrap();
        for _ in 0..most {
            let response = stream.message().await.unwrap().unwrap();
            assert!(response.cursor.len() < 200);
            self.cursor = response.cursor;
            match response.message.unwrap() {
                Told::Snapshot(workflow) => {
                    assert!((self.keeps)(workflow.state()), "{workflow:?}");
                    assert!(!self.known.contains_key(&workflow.name), "it was known: {workflow:?}");
                    self.snapshots.insert(workflow.name.clone());
                    self.known.insert(workflow.name.clone(), known(&workflow));
                }
                Told::Event(event) => {
                    let known =
                        self.known.get_mut(&event.workflow).expect("a snapshot comes first");
                    *known += 1;
                    assert_eq!(event.sequence, *known, "a gap or a repetition: {event:?}");
                    if !(self.keeps)(event.state()) {
                        self.known.remove(&event.workflow);
                    }
                }
                Told::Deleted(tombstone) => drop(self.known.remove(&tombstone.name)),
                // On a busy machine one may come while there is more to be read.
                Told::Heartbeat(_) if is_up_to_date(daemon, &self.cursor) => return,
                Told::Heartbeat(_) => {}
            }
        }
    }
}

/// Whether a cursor has come as far as the daemon.
fn is_up_to_date(daemon: &Daemon, cursor: &str) -> bool {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    let place = format!("0:{}:sent-0", daemon.runtime.handle().position());
    text.lines().last() == Some(&place)
}

/// Anything, in any order, with breaks and restarts in between.
async fn anything(seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let disk = Disk::new();
    let mut daemon = start(&disk).await;
    let mut names: Vec<String> = Vec::new();
    let resting = |state| matches!(state, State::AwaitingApproval | State::Running);
    let mut watchers = [
        Watcher::new("", |_| true),
        Watcher::new("state=RUNNING OR state=awaiting-approval", resting),
    ];
    for _ in 0..60 {
        match chance.random_range(0..12) {
            0..=2 => names.push(daemon.at_the_gate("edge").await),
            3..=7 if !names.is_empty() => {
                let name = names[chance.random_range(0..names.len())].clone();
                daemon.verb(&name, chance.random_range(0..5)).await;
            }
            8 => {
                daemon.stop().await;
                daemon = start(&disk).await;
            }
            _ => {
                let watcher = &mut watchers[chance.random_range(0..2)];
                watcher.read(&daemon, chance.random_range(0..6)).await;
            }
        }
    }
    for watcher in &mut watchers {
        watcher.read(&daemon, usize::MAX).await;
        assert_eq!(watcher.known, daemon.listed(watcher.filter).await, "{}", watcher.filter);
    }
    daemon.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10) })]

    #[test]
    fn what_a_watch_has_told_adds_up_to_what_there_is(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(anything(seed));
    }
}

#[tokio::test]
async fn snapshots_come_first_then_events_and_what_comes_to_match_appears_by_a_snapshot() {
    let daemon = start(&Disk::new()).await;
    let first = daemon.at_the_gate("edge").await;
    let mut watcher = Watcher::new("labels.team=edge AND state=AWAITING_APPROVAL", |state| {
        state == State::AwaitingApproval
    });
    watcher.read(&daemon, usize::MAX).await;
    assert_eq!(watcher.snapshots, BTreeSet::from([first.clone()]));
    let (second, other) = (daemon.at_the_gate("edge").await, daemon.at_the_gate("core").await);
    daemon.verb(&first, 0).await;
    watcher.read(&daemon, usize::MAX).await;
    assert_eq!(
        watcher.known.keys().collect::<Vec<_>>(),
        [&second],
        "{other} is another team's, {first} is paused"
    );
    daemon.verb(&first, 1).await;
    watcher.snapshots.clear();
    watcher.read(&daemon, usize::MAX).await;
    assert_eq!(watcher.snapshots, BTreeSet::from([first.clone()]), "it matches again");
    for name in [&first, &other] {
        daemon.verb(name, 2).await;
        daemon.verb(name, 4).await;
    }
    let mut stream = daemon.watch_all(watcher.filter, &watcher.cursor).await.unwrap();
    let mut gone = Vec::new();
    loop {
        match stream.message().await.unwrap().unwrap().message.unwrap() {
            Told::Deleted(tombstone) => {
                assert!(tombstone.time.is_some());
                gone.push(tombstone.name);
            }
            Told::Heartbeat(_) if gone.len() < 2 => {}
            Told::Heartbeat(_) => break,
            other => panic!("{other:?} of a workflow that is not there any more"),
        }
    }
    assert_eq!(gone, [first, other], "whether it matched can't be told any more");
    daemon.stop().await;
}

#[tokio::test]
async fn a_watch_that_is_broken_off_amid_its_snapshots_goes_on_with_the_others_as_they_were() {
    let daemon = start(&Disk::new()).await;
    let mut names = Vec::new();
    for _ in 0..5 {
        names.push(daemon.at_the_gate("edge").await);
    }
    let mut watcher = Watcher::new("", |_| true);
    watcher.read(&daemon, 2).await;
    assert_eq!(watcher.known.len(), 2);
    // Of those that have been sent, and of those that have not: one moves on, one goes. And a new one comes.
    for (name, verb) in [
        (&names[4], 0),
        (&names[0], 0),
        (&names[3], 2),
        (&names[3], 4),
        (&names[1], 2),
        (&names[1], 4),
    ] {
        daemon.verb(name, verb).await;
    }
    daemon.at_the_gate("edge").await;
    let mut stream = daemon.watch_all("", &watcher.cursor).await.unwrap();
    let Told::Snapshot(next) = stream.message().await.unwrap().unwrap().message.unwrap() else {
        panic!("the snapshots go on")
    };
    assert_eq!(next.name, names[2]);
    let Told::Snapshot(next) = stream.message().await.unwrap().unwrap().message.unwrap() else {
        panic!("the snapshots go on")
    };
    assert_eq!(
        (next.name.clone(), next.state()),
        (names[0].clone(), State::AwaitingApproval),
        "as it was, before it was paused"
    );
    watcher.read(&daemon, usize::MAX).await;
    assert_eq!(watcher.known, daemon.listed("").await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_store_filter_or_time_is_out_of_range_at_once() {
    let disk = Disk::new();
    let daemon = start(&disk).await;
    daemon.at_the_gate("edge").await;
    let mut stream = daemon.watch_all("", "").await.unwrap();
    let cursor = stream.message().await.unwrap().unwrap().cursor;
    daemon.watch_all(" ", &cursor).await.unwrap();
    let store = daemon.runtime.handle().info();
    let at = |store: &str, epoch: u64, place: &str| {
        super::super::token::encode("watch-all", &[store, &epoch.to_string(), ""], place)
    };
    daemon.watch_all("", &at(&store.store_id, 0, "0:1:sent-0")).await.unwrap();
    let mut cursors =
        vec![("state=RUNNING", cursor.clone()), ("", "forged".to_owned()), ("", "x".repeat(4000))];
    cursors.push(("", at("another", 0, "0:1:sent-0")));
    cursors.push(("", at(&store.store_id, 1, "0:1:sent-0")));
    cursors.push(("", at(&store.store_id, 0, "0:1000:sent-0")));
    for (filter, cursor) in cursors {
        let error = daemon.watch_all(filter, &cursor).await.unwrap_err();
        assert_eq!(
            (error.code(), reason(&error).as_str()),
            (Code::OutOfRange, reasons::CURSOR_EXPIRED),
            "{filter} {cursor}"
        );
    }
    let error = daemon.watch_all("stat=x", "").await.unwrap_err();
    assert_eq!(
        error.get_error_details().bad_request().unwrap().field_violations[0].field,
        "filter"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn heartbeats_move_the_cursor_over_what_does_not_match() {
    let daemon = start(&Disk::new()).await;
    let mut watcher = Watcher::new("labels.team=core", |_| true);
    watcher.read(&daemon, usize::MAX).await;
    let before = watcher.cursor.clone();
    daemon.at_the_gate("edge").await;
    watcher.read(&daemon, usize::MAX).await;
    assert_ne!(watcher.cursor, before);
    assert!(watcher.known.is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_cut_off_with_a_cursor_and_frees_its_place() {
    let disk = Disk::new();
    let gate = Template::new(GATE, Work::Gate);
    let saga = Definition {
        name: "saga-10",
        revision: 1,
        templates: vec![gate],
        cluster_id: None,
        undoes: None,
    };
    let hasty = |options: &mut Options| {
        (options.heartbeat, options.stall) = (SOON, Duration::from_millis(300));
    };
    let daemon = Daemon::start_knowing(&disk, hasty, BTreeMap::new(), vec![saga]).await;
    for _ in 0..40 {
        daemon.at_the_gate("edge").await;
    }
    // A client that takes next to nothing ahead of what is read.
    let endpoint = Channel::from_shared(daemon.address.clone()).unwrap();
    let narrow = endpoint.initial_stream_window_size(1024).connect().await.unwrap();
    let request = pb::WatchWorkflowsRequest::default();
    let mut slow =
        WorkflowServiceClient::new(narrow).watch_workflows(request).await.unwrap().into_inner();
    // Nobody else notices anything.
    let mut quick = Watcher::new("", |_| true);
    quick.read(&daemon, usize::MAX).await;
    assert_eq!(quick.known.len(), 40);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut watcher = Watcher::new("", |_| true);
    let error = loop {
        match slow.message().await {
            Ok(response) => {
                let response = response.unwrap();
                watcher.cursor = response.cursor;
                if let Told::Snapshot(workflow) = response.message.unwrap() {
                    watcher.known.insert(workflow.name.clone(), known(&workflow));
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::Aborted, reasons::WATCH_TOO_SLOW),
        "{error}"
    );
    assert!(error.message().contains("cursor"), "{error}");
    assert!(
        (1..40).contains(&watcher.known.len()),
        "it was cut off before the end: {}",
        watcher.known.len()
    );
    watcher.read(&daemon, usize::MAX).await;
    assert_eq!(watcher.known, quick.known, "and goes on where it was");
    daemon.stop().await;
}
