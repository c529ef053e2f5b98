//! Workflows whose records are corrupt, as callers see them.

use causeway_proto::v1::waiting::Reason;
use causeway_workflows::{Definition, Template, Work};

use super::*;

/// A daemon whose self-test is a gate and nothing else.
async fn start(disk: &Disk) -> Daemon {
    let gate = Template::new("approve-spend", Work::Gate);
    let saga = Definition {
        name: "saga-10",
        revision: 1,
        templates: vec![gate],
        cluster_id: None,
        undoes: None,
    };
    let heartbeat = |options: &mut Options| options.heartbeat = Duration::from_millis(20);
    Daemon::start_knowing(disk, heartbeat, BTreeMap::new(), vec![saga]).await
}

/// The id of a workflow that waited for approval when its record was damaged.
async fn damaged(disk: &Disk) -> String {
    let daemon = start(disk).await;
    let id = daemon.workflows().start_workflow(gated()).await.unwrap().into_inner().id;
    daemon.stop().await;
    MemoryStore::open(disk).unwrap().damage_record(&id, 0).unwrap();
    id
}

#[tokio::test]
async fn a_corrupt_workflow_is_shown_listed_and_watched_as_quarantined() {
    let disk = Disk::new();
    let id = damaged(&disk).await;
    let daemon = start(&disk).await;
    let (mut workflows, name) = (daemon.workflows(), format!("workflows/{id}"));
    let request = pb::GetWorkflowRequest { name: name.clone() };
    let shown = workflows.get_workflow(request).await.unwrap().into_inner();
    assert_eq!((shown.state(), shown.definition.as_str()), (State::Quarantined, "saga-10"));
    let waiting = shown.waiting.unwrap();
    assert_eq!(waiting.reason(), Reason::Quarantined);
    assert!(waiting.on.contains(&format!("records of workflow {id} from 0")), "{}", waiting.on);
    assert!(waiting.next_commands[0].starts_with(&format!("causeway abandon {id}")));
    let filter = "state=QUARANTINED AND waiting.reason=QUARANTINED".to_owned();
    let request = pb::ListWorkflowsRequest { filter, ..Default::default() };
    let page = workflows.list_workflows(request).await.unwrap().into_inner();
    assert_eq!(page.workflows[0].name, name);
    let request = pb::WaitWorkflowRequest { name: name.clone(), ..Default::default() };
    assert_eq!(
        workflows.wait_workflow(request).await.unwrap().into_inner().state(),
        State::Quarantined
    );
    let mut admin = AdminServiceClient::new(daemon.channel.clone());
    let info = admin.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.workflows, [("QUARANTINED".to_owned(), 1)].into());

    let mut watch = daemon.watch(&name, "").await.unwrap();
    let first = watch.message().await.unwrap().unwrap();
    assert!(
        matches!(first.message, Some(Message::Snapshot(seen)) if seen.state() == State::Quarantined)
    );
    let beat = watch.message().await.unwrap().unwrap();
    assert!(
        matches!(beat.message, Some(Message::Heartbeat(_))),
        "it goes on until it is abandoned"
    );
    let again = daemon.watch(&name, &first.cursor).await.unwrap_err();
    assert_eq!(reason(&again), reasons::CURSOR_EXPIRED, "a new snapshot is all there is");
    assert_eq!(abandon(&daemon, &name).await.state(), State::Abandoned);
    let ended = loop {
        match watch.message().await.unwrap().unwrap().message.unwrap() {
            Message::Event(event) if event.r#type == "ENDED" => break event,
            _ => {}
        }
    };
    assert_eq!(ended.state(), State::Abandoned);
    assert!(watch.message().await.unwrap().is_none());
    let request = pb::GetWorkflowRequest { name };
    let shown = workflows.get_workflow(request).await.unwrap().into_inner();
    assert_eq!((shown.state(), shown.waiting), (State::Abandoned, None));
    daemon.stop().await;
}

async fn abandon(daemon: &Daemon, name: &str) -> pb::Workflow {
    let request = pb::AbandonWorkflowRequest {
        name: name.to_owned(),
        reason: "the disk was bad".into(),
        ..Default::default()
    };
    daemon.workflows().abandon_workflow(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn verbs_on_a_corrupt_workflow_and_its_history_say_why_they_are_refused() {
    let disk = Disk::new();
    let id = damaged(&disk).await;
    let daemon = start(&disk).await;
    let (mut workflows, name) = (daemon.workflows(), format!("workflows/{id}"));
    let request = pb::CancelWorkflowRequest { name: name.clone(), ..Default::default() };
    let refused = workflows.cancel_workflow(request).await.unwrap_err();
    let request = pb::DeleteWorkflowRequest { name: name.clone(), ..Default::default() };
    let kept = workflows.delete_workflow(request).await.unwrap_err();
    for refused in [&refused, &kept] {
        assert_eq!(
            (refused.code(), reason(refused).as_str()),
            (Code::FailedPrecondition, reasons::QUARANTINED)
        );
    }
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["state"], "QUARANTINED");
    assert!(refused.message().contains("abandon"), "{}", refused.message());
    let request = pb::ListWorkflowEventsRequest { parent: name, ..Default::default() };
    let corrupt = workflows.list_workflow_events(request).await.unwrap_err();
    assert_eq!(
        (corrupt.code(), reason(&corrupt).as_str()),
        (Code::DataLoss, reasons::RECORD_CORRUPT)
    );
    assert!(corrupt.message().contains("records of workflow"), "{}", corrupt.message());
    daemon.stop().await;
}
