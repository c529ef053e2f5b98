//! What ends or rests by itself: the times and the choices of a run's options, through the daemon.

use std::time::Duration;

use causeway_proto::v1::workflow::{Cause, State};
use causeway_tests::scripted::{Mode, Scripted};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_undone() {
    let daemon = Scripted::new().await;
    daemon.world.check(Mode::Later);
    let id = daemon.build(json!({"timeout": "1s"})).await;
    let ended = daemon.becomes(&id, State::Compensated).await;
    assert_eq!(ended.cause(), Cause::Timeout);
    assert!(!daemon.world.there());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_run_stands_still_while_it_is_paused() {
    let daemon = Scripted::new().await;
    daemon.world.check(Mode::Later);
    let id = daemon.build(json!({"timeout": "1s"})).await;
    daemon.client().pause(&id, "lunch").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(daemon.client().get(&id).await.unwrap().state(), State::Paused);
    daemon.client().resume(&id, "back").await.unwrap();
    daemon.becomes(&id, State::Compensated).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_in_the_queue_is_cancelled() {
    let daemon = Scripted::new().await;
    daemon.world.check(Mode::Later);
    let first = daemon.build(json!({})).await;
    let second = daemon.build(json!({"queue_timeout": "1s"})).await;
    daemon.becomes(&second, State::Queued).await;
    daemon.becomes(&second, State::Cancelled).await;
    assert_eq!(daemon.client().get(&first).await.unwrap().state(), State::Running);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_lapses_in_its_own_time() {
    let daemon = Scripted::new().await;
    let id = daemon.build(json!({"gates": {"spend": {"required": true, "timeout": "1s"}}})).await;
    daemon.becomes(&id, State::AwaitingApproval).await;
    let ended = daemon.becomes(&id, State::Rejected).await;
    assert_eq!(ended.cause(), Cause::Denied);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_holds_only_where_it_was_asked_for() {
    for (choice, rests) in [("HOLD", State::Paused), ("COMPENSATE", State::Compensated)] {
        let daemon = Scripted::new().await;
        daemon.world.check(Mode::Never);
        let id = daemon.build(json!({"on_failure": choice})).await;
        daemon.becomes(&id, rests).await;
        assert_eq!(daemon.world.there(), choice == "HOLD");
        daemon.stop().await;
    }
}
