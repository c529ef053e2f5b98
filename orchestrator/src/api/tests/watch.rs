//! Watches: from the beginning and from cursors, over restarts, to the end.

use super::*;

/// All that a watch says, with the cursor after each message.
async fn all(mut stream: tonic::Streaming<pb::WatchWorkflowResponse>) -> Vec<(String, Message)> {
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        messages.push((message.cursor, message.message.unwrap()));
    }
    messages
}

fn sequences(messages: &[(String, Message)]) -> Vec<u64> {
    let sequence = |message: &Message| match message {
        Message::Event(event) => Some(event.sequence),
        _ => None,
    };
    messages.iter().filter_map(|(_, message)| sequence(message)).collect()
}

#[tokio::test]
async fn a_watch_follows_a_running_workflow_to_its_end() {
    let daemon = Daemon::start(&Disk::new()).await;
    let started = daemon.start_noop("", true).await.unwrap();
    // From the first record on: so it does not matter how fast the workflow is.
    let cursor = daemon.cursor(&started, 1).await;
    let messages = all(daemon.watch(&started.name, &cursor).await.unwrap()).await;
    let seen = sequences(&messages);
    assert_eq!(seen, (2..).take(seen.len()).collect::<Vec<_>>());
    let Message::Event(last) = &messages.last().unwrap().1 else { panic!("ends with an event") };
    assert_eq!((last.r#type.as_str(), last.state()), ("ENDED", State::Succeeded));
    daemon.stop().await;
}

#[tokio::test]
async fn a_watch_goes_on_from_any_cursor_after_a_restart() {
    let disk = Disk::new();
    let daemon = Daemon::start(&disk).await;
    let done = daemon.finished().await;
    let request = pb::ListWorkflowEventsRequest {
        parent: done.name.clone(),
        page_size: 1000,
        ..Default::default()
    };
    let history =
        daemon.workflows().list_workflow_events(request).await.unwrap().into_inner().events;
    let snapshot = all(daemon.watch(&done.name, "").await.unwrap()).await;
    assert_eq!(snapshot.len(), 1, "an ended workflow is a snapshot, and nothing after it");
    daemon.stop().await;
    let daemon = Daemon::start(&disk).await;
    for position in 1..=history.len() as u64 {
        let cursor = daemon.cursor(&done, position).await;
        let messages = all(daemon.watch(&done.name, &cursor).await.unwrap()).await;
        assert_eq!(sequences(&messages), (position + 1..=history.len() as u64).collect::<Vec<_>>());
    }
    assert_eq!(snapshot[0].0, daemon.cursor(&done, history.len() as u64).await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_foreign_cursor_is_out_of_range() {
    let daemon = Daemon::start(&Disk::new()).await;
    let done = daemon.finished().await;
    let other = Daemon::start(&Disk::new()).await;
    let foreign =
        all(other.watch(&other.finished().await.name, "").await.unwrap()).await.remove(0).0;
    let error = daemon.watch(&done.name, &foreign).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::OutOfRange, reasons::CURSOR_EXPIRED)
    );
    daemon.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn watches_and_waits_end_with_the_daemon_and_go_on_with_the_next() {
    let disk = Disk::new();
    let daemon = Daemon::start_beside_a_dead_cloud(&disk).await;
    let started = daemon.workflows().start_workflow(guide()).await.unwrap().into_inner();
    let mut watch = daemon.watch(&started.name, "").await.unwrap();
    let cursor = watch.message().await.unwrap().unwrap().cursor;
    let mut workflows = daemon.workflows();
    let request = pb::WaitWorkflowRequest { name: started.name.clone(), ..Default::default() };
    let wait = async move { workflows.wait_workflow(request).await };
    let stop = daemon.stop();
    let (waited, ()) = tokio::join!(wait, stop);
    let waited = waited.unwrap_err();
    assert_eq!(
        (waited.code(), reason(&waited).as_str()),
        (Code::Unavailable, reasons::SHUTTING_DOWN)
    );
    let ended = loop {
        if let Err(error) = watch.message().await {
            break error;
        }
    };
    assert_eq!(ended.code(), Code::Unavailable);
    let daemon = Daemon::start_beside_a_dead_cloud(&disk).await;
    let mut watch = daemon.watch(&started.name, &cursor).await.unwrap();
    let first = loop {
        match watch.message().await.unwrap().unwrap().message.unwrap() {
            Message::Event(event) => break event,
            Message::Heartbeat(_) => {}
            other => panic!("no second snapshot: {other:?}"),
        }
    };
    let before = daemon.cursor(&started, first.sequence - 1).await;
    assert_eq!(before, cursor, "the first event is the one after the snapshot");
    daemon.stop().await;
}
