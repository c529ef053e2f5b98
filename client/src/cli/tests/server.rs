//! What is asked of the daemon itself: backups, draining, and who asks.

use causeway_proto::v1::workflow::State;
use tonic::Status;

use super::fake::Script;
use super::flows::{Place, script};
use crate::cli::Exit;

/// A daemon whose backup comes in these pieces.
async fn place(pieces: Vec<Result<&'static str, Status>>) -> Place {
    Place::new(Script { backup: pieces, ..script(State::Succeeded) }).await
}

/// The names in a folder.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_backup_is_a_file_once_it_is_whole() {
    let place = place(vec![Ok("one "), Ok("two")]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.backup");
    let typed = ["server", "backup", "--file", file.to_str().unwrap(), "-o", "json"];
    let ran = place.run(&typed).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(ran.out.contains("\"bytes\": 7"), "{}", ran.out);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one two");
    assert_eq!(names(folder.path()), ["store.backup"]);

    place.fake.script().backup = vec![Ok("another")];
    let ran = place.run(&typed).await;
    assert_eq!(ran.exit, Exit::Other);
    assert!(ran.err.contains("exists already"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one two", "the older one stays");
}

#[tokio::test]
async fn a_backup_that_breaks_off_leaves_nothing() {
    let place = place(vec![Ok("one "), Err(Status::unavailable("shutting down"))]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.backup");
    let ran = place.run(&["server", "backup", "--file", file.to_str().unwrap()]).await;
    assert_eq!(ran.exit, Exit::Unreachable, "{}", ran.err);
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

#[tokio::test]
async fn a_backup_goes_to_an_output_that_is_no_terminal() {
    let place = place(vec![Ok("one "), Ok("two")]).await;
    let ran = place.run(&["server", "backup"]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "one two"), "{}", ran.err);
}

#[tokio::test]
async fn a_drain_carries_what_is_said_and_tells_what_it_left() {
    let place = place(Vec::new()).await;
    let typed = ["server", "drain", "--reason", "new version", "--timeout", "90s"];
    let ran = place.run(&[&typed[..], &["--request-id", "d1"]].concat()).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(ran.out.contains("3 workflows") && ran.out.contains("1 calls"), "{}", ran.out);
    let drain = place.fake.script().drains[0].clone();
    let seconds = drain.timeout.map(|timeout| timeout.seconds);
    assert_eq!(
        (drain.reason.as_str(), seconds, drain.request_id.as_str()),
        ("new version", Some(90), "d1")
    );
}

#[tokio::test]
async fn whoami_says_name_role_and_connections() {
    let place = place(Vec::new()).await;
    let ran = place.run(&["whoami"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    for said in ["ci", "OPERATOR", "prod", "token"] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
}
