//! On a terminal: questions before what can't be taken back, and the live picture.

use causeway_proto::v1::workflow::State;
use causeway_tests::scripted::{Mode, Scripted, Setup, Switches};
use causeway_tests::{Terminal, shell};
use serde_json::json;

const SIZE: (u16, u16) = (24, 80);

async fn terminal(daemon: &Scripted, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let mut command = shell::causeway(daemon.address(), daemon.home()).await.into_std();
    command.args(arguments).envs(environment.iter().copied());
    Terminal::run(command, SIZE)
}

/// A daemon with a build that waits at its check.
async fn waiting() -> (Scripted, String) {
    let world = Switches::default();
    world.check(Mode::Later);
    let daemon = Scripted::start(world, &Setup::default()).await;
    let id = daemon.build(json!({})).await;
    daemon.until(&id, |seen| seen.waiting.is_some()).await;
    (daemon, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_taken_back_shows_its_effect_and_asks() {
    let (daemon, id) = waiting().await;
    for (verb, question) in [
        (&["cancel"][..], "Everything that it did will be undone. Cancel it? [y/N]"),
        (&["abandon", "--reason", "over"], "nobody undoes it any more. Abandon it? [y/N]"),
    ] {
        let mut asked = terminal(&daemon, &[verb, &[id.as_str()]].concat(), &[]).await;
        asked.until(question);
        let shown = asked.written();
        assert!(shown.contains("RUNNING") && shown.contains("created thing thing-1"), "{shown}");
        asked.types("n");
        let (code, said) = asked.ends();
        assert_eq!(code, Some(10), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
    }
    assert_eq!(daemon.client().get(&id).await.unwrap().state(), State::Running);

    let mut asked = terminal(&daemon, &["cancel", &id, "--wait"], &[]).await;
    asked.until("[y/N]");
    asked.types("yes");
    let (code, said) = asked.ends();
    assert_eq!(code, Some(4), "{said}");

    let mut asked = terminal(&daemon, &["delete", &id], &[]).await;
    asked.until("Its history goes for good");
    asked.types("");
    assert_eq!(asked.ends().0, Some(10), "nothing is no");
    let (code, said) = terminal(&daemon, &["delete", &id, "--yes"], &[]).await.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("[y/N]"), "{said}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_shows_what_it_would_undo_and_asks() {
    let daemon = Scripted::new().await;
    let id = daemon.build(json!({})).await;
    daemon.becomes(&id, State::Succeeded).await;
    let mut asked = terminal(&daemon, &["teardown", "dc1"], &[]).await;
    asked.until("Take the cluster down? [y/N]");
    assert!(asked.written().contains("make[burst]"), "{}", asked.written());
    asked.types("no");
    assert_eq!(asked.ends().0, Some(10));
    let begun = daemon.shell("causeway list --filter type=teardown -o name").await;
    assert!(begun.stdout.is_empty(), "{}", String::from_utf8_lossy(&begun.stdout));

    let mut asked = terminal(&daemon, &["clusters", "teardown", "dc1", "--wait"], &[]).await;
    asked.until("[y/N]");
    asked.types("y");
    let (code, said) = asked.ends();
    assert_eq!(code, Some(0), "{said}");
    let record = daemon.shell("causeway clusters get dc1").await;
    assert_eq!(record.status.code(), Some(9), "the record is gone with the cluster");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_that_is_needed_is_asked_for() {
    let (daemon, id) = waiting().await;
    let mut asked = terminal(&daemon, &["abandon", &id, "--yes"], &[]).await;
    asked.until("Why?");
    asked.types("the data center is gone");
    let (code, said) = asked.ends();
    assert_eq!(code, Some(0), "{said}");
    let history = daemon.shell(&format!("causeway history {id} -o json")).await;
    assert!(String::from_utf8_lossy(&history.stdout).contains("the data center is gone"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_without_a_terminal() {
    let (daemon, id) = waiting().await;
    let ran = daemon.shell(&format!("causeway cancel {id} --wait < /dev/null")).await;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(4), "{said}");
    assert!(!said.contains("[y/N]"), "{said}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_picture_ends_whole_and_survives_another_size() {
    let world = Switches::default();
    world.check(Mode::NotYet);
    let daemon = Scripted::start(world, &Setup::default()).await;
    daemon.write_input("in.json", |_| {});
    let start = ["start", "-f", "in.json", "--workflow-id", "seen", "--wait"];
    let live = terminal(&daemon, &start, &[]).await;
    live.until("Ctrl-C detaches");
    live.until("the thing is not ready");
    live.resize((10, 44));
    live.until("waits: the t…");
    live.resize((40, 120));
    daemon.world.check(Mode::Works);
    let (code, said) = live.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\u{1b}[3"), "there are colours: {said}");
    // The last picture is what stands there in the end: whole, and once.
    let last = said.rsplit_once("\u{1b}[J").unwrap().0;
    let last = last.rsplit_once('A').unwrap().1;
    for words in ["seen", "SUCCEEDED", "3 of 3 steps", "approve-spend", "make[burst]", "verify"] {
        assert_eq!(last.matches(words).count(), 1, "{words}: {last}");
    }
    assert!(!last.contains("Ctrl-C"), "{last}");
    let after = said.rsplit_once("\u{1b}[J").unwrap().1;
    assert!(after.contains("Result") || after.contains("SUCCEEDED"), "{after}");
    assert!(!after.contains("make[burst]"), "the steps stand above already: {after}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_left_out_where_nobody_wants_them() {
    let daemon = Scripted::new().await;
    daemon.write_input("in.json", |_| {});
    let start = ["start", "-f", "in.json", "--wait"];
    let (code, said) = terminal(&daemon, &start, &[("NO_COLOR", "1")]).await.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 of 3 steps") && !said.contains("\u{1b}[3"), "{said}");
    let (code, said) = terminal(&daemon, &["list"], &[]).await.ends();
    assert!(code == Some(0) && said.contains("\u{1b}["), "{said}");
    let (_, said) = terminal(&daemon, &["list"], &[("NO_COLOR", "1")]).await.ends();
    assert!(!said.contains('\u{1b}'), "{said}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_never_goes_onto_a_terminal() {
    let daemon = Scripted::new().await;
    let (code, said) = terminal(&daemon, &["server", "backup"], &[]).await.ends();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--file"), "{said}");
    daemon.stop().await;
}
