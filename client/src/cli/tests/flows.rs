//! Starting, following and finding, over the wire.

use causeway_proto::reasons;
use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use tonic::{Code, Status};

use super::fake::{Fake, Script, event, refusal, workflow};
use super::{Ran, run_at};
use crate::cli::Exit;
use crate::cli::commands::example;
use crate::retry::Patience;
use crate::{Client, Error, Options};

/// A fake daemon, and a home for the command line.
pub(super) struct Place {
    folder: tempfile::TempDir,
    pub(super) fake: Fake,
}

impl Place {
    pub(super) async fn new(script: Script) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fake: Fake::serve(script).await }
    }

    pub(super) async fn run(&self, arguments: &[&str]) -> Ran {
        run_at(&self.fake.address, self.folder.path(), arguments).await
    }

    /// The example as a file.
    fn input(&self) -> String {
        let path = self.folder.path().join("input.yaml");
        std::fs::write(&path, example::SHORT).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn client(&self) -> Client {
        Client::new(&Options::new(self.fake.address.parse().unwrap())).unwrap()
    }
}

/// A build of three events.
pub(super) fn script(end: State) -> Script {
    Script {
        workflow: workflow("w1", State::Running),
        events: vec![
            event(1, "check-identity", "passed", State::Running),
            event(2, "create-ram-policy", "applying", State::Running),
            event(3, "", "the end", end),
        ],
        ..Script::default()
    }
}

#[tokio::test]
async fn start_says_its_request_id_sends_it_and_is_remembered_as_last() {
    let place = Place::new(script(State::Succeeded)).await;
    let ran = place.run(&["start", "-f", &place.input(), "-l", "team=edge", "-o", "name"]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "workflows/w1\n"), "{}", ran.err);
    let request = place.fake.script().starts[0].clone();
    assert!(
        ran.err.contains(&format!("request id: {}", request.request_id))
            && request.request_id.len() > 20
    );
    assert_eq!(request.labels["team"], "edge");
    assert!(
        matches!(request.spec, Some(Spec::HybridCluster(spec)) if spec.region == "cn-hangzhou")
    );
    let ran = place.run(&["get", "@last", "-o", "name"]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "workflows/w1\n"));
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_repeated_with_the_same_request_id() {
    let mut script = script(State::Succeeded);
    script.start_failures =
        [Status::unavailable("restarting"), Status::unavailable("restarting")].into();
    let place = Place::new(script).await;
    let ran = place.run(&["workflows", "start", "-f", &place.input()]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let starts = place.fake.script().starts.clone();
    assert_eq!(starts.len(), 3);
    assert!(starts.iter().all(|start| start.request_id == starts[0].request_id));
}

#[tokio::test]
async fn a_refused_start_names_the_path_and_is_not_repeated() {
    let mut script = script(State::Succeeded);
    script.start_failures =
        [refusal(Code::InvalidArgument, reasons::INVALID_FIELD, "the input has one error")].into();
    let place = Place::new(script).await;
    let ran = place.run(&["start", "-f", &place.input()]).await;
    assert_eq!(ran.exit, Exit::Input);
    assert!(ran.err.contains("spec.region: is missing"), "{}", ran.err);
    assert_eq!(place.fake.script().starts.len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_the_code_of_the_state_and_one_line_per_event() {
    for (state, exit) in [
        (State::Succeeded, Exit::Done),
        (State::Rejected, Exit::Input),
        (State::Compensated, Exit::Compensated),
        (State::Cancelled, Exit::Cancelled),
        (State::Stuck, Exit::Stuck),
        (State::Abandoned, Exit::Abandoned),
        (State::AwaitingApproval, Exit::NeedsPerson),
    ] {
        let place = Place::new(script(state)).await;
        let ran = place.run(&["start", "-f", &place.input(), "--wait", "-o", "json"]).await;
        assert_eq!(ran.exit, exit, "{}", ran.err);
        assert!(
            ran.out.contains(&format!("\"state\": \"{}\"", state.as_str_name())),
            "{}",
            ran.out
        );
        let lines: Vec<_> = ran.err.lines().skip(1).collect();
        assert_eq!(lines.len(), 4, "a snapshot and three events: {}", ran.err);
        assert!(
            lines[2].contains("create-ram-policy") && lines[2].ends_with("applying"),
            "{}",
            ran.err
        );
    }
}

#[tokio::test]
async fn a_watch_goes_on_at_its_cursor_without_gap_or_repetition() {
    let mut script = script(State::Succeeded);
    script.breaks = [
        (2, Status::unavailable("shutting down")),
        (0, Status::unavailable("not up yet")),
        (1, Status::ok("")),
    ]
    .into();
    let place = Place::new(script).await;
    let mut watch = place.client().watch("w1", "");
    let mut seen = Vec::new();
    while let Some(message) = watch.next().await.unwrap() {
        seen.push(match message {
            Message::Snapshot(_) => 0,
            Message::Event(event) => event.sequence,
            other => panic!("not in the script: {other:?}"),
        });
    }
    assert_eq!(seen, [0, 1, 2, 3]);
    assert_eq!(place.fake.script().cursors, ["", "1", "1", "2"]);
    assert_eq!(watch.cursor(), "3");
}

#[tokio::test]
async fn a_cursor_that_expired_begins_with_a_new_snapshot() {
    let mut script = script(State::Succeeded);
    script.breaks = [
        (3, Status::unavailable("shutting down")),
        (0, refusal(Code::OutOfRange, reasons::CURSOR_EXPIRED, "the cursor is another store's")),
    ]
    .into();
    let place = Place::new(script).await;
    let mut watch = place.client().watch("w1", "");
    let mut snapshots = 0;
    while let Some(message) = watch.next().await.unwrap() {
        snapshots += u32::from(matches!(message, Message::Snapshot(_)));
    }
    assert_eq!(snapshots, 2);
    assert_eq!(place.fake.script().cursors, ["", "2", ""]);
}

#[tokio::test]
async fn a_refused_watch_is_an_error_at_once() {
    let mut script = script(State::Succeeded);
    script.breaks =
        [(0, refusal(Code::PermissionDenied, reasons::PERMISSION_DENIED, "not yours"))].into();
    let place = Place::new(script).await;
    let ran = place.run(&["watch", "w1"]).await;
    assert_eq!(ran.exit, Exit::Denied, "{}", ran.err);
}

#[tokio::test]
async fn waiting_stops_at_its_timeout_and_says_how_to_go_on() {
    let mut script = script(State::Succeeded);
    script.events.pop();
    script.breaks = vec![(1, Status::unavailable("x")); 100].into();
    let place = Place::new(script).await;
    let ran = place.run(&["watch", "w1", "--timeout", "300ms"]).await;
    assert_eq!(ran.exit, Exit::TimedOut);
    assert!(ran.err.contains("causeway watch w1"), "{}", ran.err);
}

#[tokio::test]
async fn a_workflow_is_found_by_the_beginning_of_its_id() {
    let mut script = script(State::Succeeded);
    script.others = ["wab1", "wab2", "wcd"].map(|id| workflow(id, State::Queued)).into();
    let place = Place::new(script).await;
    assert_eq!(place.run(&["get", "wc", "-o", "name"]).await.out, "workflows/wcd\n");
    assert_eq!(place.run(&["get", "workflows/wab1", "-o", "name"]).await.out, "workflows/wab1\n");
    let ambiguous = place.run(&["get", "wab"]).await;
    assert_eq!(ambiguous.exit, Exit::Input);
    assert!(ambiguous.err.contains("wab1  QUEUED\n  wab2  QUEUED"), "{}", ambiguous.err);
    assert_eq!(place.run(&["get", "zz"]).await.exit, Exit::NotFound);
    assert_eq!(place.run(&["get", "@last"]).await.exit, Exit::NotFound);
    assert_eq!(place.run(&["get", "Not An Id"]).await.exit, Exit::Input);
}

#[tokio::test]
async fn a_list_is_read_in_pages_up_to_its_limit() {
    let mut script = script(State::Succeeded);
    script.others = ["wa", "wb", "wc", "wd"].map(|id| workflow(id, State::Queued)).into();
    let place = Place::new(script).await;
    let all = place.run(&["list", "-o", "name"]).await.out;
    assert_eq!(all.lines().count(), 5);
    assert_eq!(
        place.run(&["list", "-o", "name", "--limit", "3"]).await.out,
        "workflows/wa\nworkflows/wb\nworkflows/wc\n"
    );
    // The scripted daemon has pages of two, and its tokens count what came before.
    let first = place.run(&["list", "-o", "name", "--limit", "2"]).await;
    assert!(first.err.contains("--page-token 2 goes on"), "{}", first.err);
    let rest = place.run(&["list", "-o", "name", "--page-token", "2"]).await;
    assert_eq!(rest.out, "workflows/wc\nworkflows/wd\nworkflows/w1\n");
    assert_eq!(rest.err, "");
}

#[tokio::test]
async fn no_daemon_is_said_as_such() {
    let mut options = Options::new("http://127.0.0.1:1".parse().unwrap());
    options.patience = Patience::NONE;
    let client = Client::new(&options).unwrap();
    let error = client.server_info().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    let error = client.watch("w1", "").next().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let folder = tempfile::tempdir().unwrap();
    let ran = run_at("http://127.0.0.1:1", folder.path(), &["version"]).await;
    assert_eq!(ran.exit, Exit::Done);
    assert!(ran.out.contains("not reached"), "{}", ran.out);
}
