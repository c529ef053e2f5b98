//! What administrators ask: a daemon that was drained takes nothing on, answers reads, and is whole again once it is started anew;
//! a backup comes as one file.

use super::*;

fn drain(request_id: &str) -> pb::DrainRequest {
    pb::DrainRequest {
        reason: "maintenance".into(),
        request_id: request_id.into(),
        timeout: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
    }
}

impl Daemon {
    fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    async fn is_draining(&self) -> bool {
        let info = self.admin().get_server_info(pb::GetServerInfoRequest {}).await;
        info.unwrap().into_inner().draining
    }

    async fn serves(&self, service: &str) -> bool {
        let request = HealthCheckRequest { service: service.into() };
        let health = HealthClient::new(self.channel.clone()).check(request).await.unwrap();
        health.into_inner().status == 1
    }
}

fn is_draining(status: &Status) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, reasons::DRAINING));
    assert!(status.get_details_retry_info().is_some());
}

#[tokio::test]
async fn a_drained_daemon_takes_nothing_on_and_answers_reads() {
    let daemon = Daemon::start_beside_a_dead_cloud(&Disk::new()).await;
    let started = daemon.workflows().start_workflow(guide()).await.unwrap().into_inner();
    let noop = daemon.start_noop("r1", false).await.unwrap();
    assert!(!daemon.is_draining().await && daemon.serves("causeway.v1.WorkflowService").await);
    let drained = daemon.admin().drain(drain("d1")).await.unwrap().into_inner();
    assert_eq!(drained, pb::DrainResponse { parked: 1, in_flight: 0 });
    is_draining(&daemon.start_noop("", false).await.unwrap_err());
    let cancel = pb::CancelWorkflowRequest { name: started.name.clone(), ..Default::default() };
    is_draining(&daemon.workflows().cancel_workflow(cancel).await.unwrap_err());
    let delete = pb::DeleteWorkflowRequest { name: noop.name.clone(), ..Default::default() };
    is_draining(&daemon.workflows().delete_workflow(delete).await.unwrap_err());
    // What was answered before is answered again.
    assert_eq!(daemon.start_noop("r1", false).await.unwrap().name, noop.name);
    assert_eq!(daemon.admin().drain(drain("d1")).await.unwrap().into_inner(), drained);
    assert_eq!(daemon.admin().drain(drain("")).await.unwrap().into_inner(), drained);
    let all = daemon.workflows().list_workflows(pb::ListWorkflowsRequest::default()).await;
    assert_eq!(all.unwrap().into_inner().workflows.len(), 2);
    let mut watch = daemon.watch(&started.name, "").await.unwrap();
    for _ in 0..2 {
        assert!(watch.message().await.unwrap().is_some(), "a snapshot, then heartbeats");
    }
    assert!(daemon.is_draining().await && !daemon.serves("causeway.v1.WorkflowService").await);
    assert!(daemon.serves("").await && daemon.serves("causeway.v1.AdminService").await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_drain_ends_with_the_daemon_and_the_same_request_does_not_drain_the_next() {
    let disk = Disk::new();
    let daemon = Daemon::start_beside_a_dead_cloud(&disk).await;
    let started = daemon.workflows().start_workflow(guide()).await.unwrap().into_inner();
    daemon.admin().drain(drain("d1")).await.unwrap();
    daemon.stop().await;
    let daemon = Daemon::start_beside_a_dead_cloud(&disk).await;
    let again = daemon.admin().drain(drain("d1")).await.unwrap().into_inner();
    assert_eq!(again, pb::DrainResponse::default());
    assert!(!daemon.is_draining().await);
    let other = pb::DrainRequest { reason: "another".into(), ..drain("d1") };
    let reused = daemon.admin().drain(other).await.unwrap_err();
    assert_eq!(reused.get_error_details().error_info().unwrap().metadata["field"], "reason");
    let reused = daemon.start_noop("d1", false).await.unwrap_err();
    assert_eq!(reason(&reused), reasons::REQUEST_ID_REUSED);
    // It goes on with what was live, and takes new work on.
    let request = pb::WaitWorkflowRequest { name: started.name, etag: started.etag, timeout: None };
    let mut workflows = daemon.workflows();
    let wait = workflows.wait_workflow(request);
    let moved = tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap().unwrap();
    assert_eq!(moved.into_inner().state(), State::Running);
    assert_eq!(daemon.finished().await.state(), State::Succeeded);
    daemon.stop().await;
}

#[tokio::test]
async fn a_drain_that_makes_no_sense_is_refused_and_drains_nothing() {
    let daemon = Daemon::start(&Disk::new()).await;
    let requests = [
        (
            "timeout",
            pb::DrainRequest {
                timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
                ..drain("")
            },
        ),
        (
            "timeout",
            pb::DrainRequest {
                timeout: Some(prost_types::Duration { seconds: 601, nanos: 0 }),
                ..drain("")
            },
        ),
        ("reason", pb::DrainRequest { reason: "x".repeat(2000), ..drain("") }),
        ("request_id", drain("a b")),
    ];
    for (field, request) in requests {
        let error = daemon.admin().drain(request).await.unwrap_err();
        assert_eq!(
            error.get_error_details().bad_request().unwrap().field_violations[0].field,
            field
        );
    }
    assert!(!daemon.is_draining().await);
    daemon.stop().await;
}

#[tokio::test]
async fn a_backup_comes_in_pieces_one_at_a_time_and_is_audited() {
    let daemon = Daemon::start(&Disk::new()).await;
    // More than is made ready before anything of it is read.
    for _ in 0..30 {
        daemon.finished().await;
    }
    let take = || async { daemon.admin().backup(pb::BackupRequest {}).await };
    // A client that takes next to nothing ahead of what is read.
    let endpoint = Channel::from_shared(daemon.address.clone()).unwrap();
    let narrow = endpoint.initial_stream_window_size(1024).connect().await.unwrap();
    let first = AdminServiceClient::new(narrow).backup(pb::BackupRequest {}).await;
    let mut first = first.unwrap().into_inner();
    let begins = first.message().await.unwrap().unwrap().chunk;
    assert!(begins.starts_with(b"causeway-backup\n"));
    let busy = take().await.unwrap_err();
    assert_eq!(
        (busy.code(), reason(&busy).as_str()),
        (Code::ResourceExhausted, reasons::LIMIT_REACHED)
    );
    let mut bytes = begins.len();
    while let Some(piece) = first.message().await.unwrap() {
        assert!((1..=256 * 1024).contains(&piece.chunk.len()));
        bytes += piece.chunk.len();
    }
    assert!(bytes > 100_000, "{bytes}");
    drop(first);
    let again = async {
        while take().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("there is room for the next");
    daemon.stop().await;
}
