//! What is wrong, unknown or not allowed: refused with its code, its reason and its place, and nothing is changed.

use super::*;

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_reason() {
    let daemon = Daemon::start(&Disk::new()).await;
    let mut workflows = daemon.workflows();
    let missing = workflows
        .get_workflow(pb::GetWorkflowRequest { name: "workflows/none".into() })
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing).as_str()),
        (Code::NotFound, reasons::WORKFLOW_NOT_FOUND)
    );
    let bad =
        workflows.get_workflow(pb::GetWorkflowRequest { name: "x/y/z".into() }).await.unwrap_err();
    assert_eq!(bad.get_error_details().bad_request().unwrap().field_violations[0].field, "name");
    let request = pb::ListWorkflowsRequest { page_token: "x".into(), ..Default::default() };
    let token = workflows.list_workflows(request).await.unwrap_err();
    assert_eq!(
        (token.code(), reason(&token).as_str()),
        (Code::InvalidArgument, reasons::PAGE_TOKEN_INVALID)
    );
    let done = daemon.finished().await;
    let request = pb::CancelWorkflowRequest { name: done.name.clone(), ..Default::default() };
    let late = workflows.cancel_workflow(request).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    let details = late.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["state"], "SUCCEEDED");
    assert_eq!(details.precondition_failure().unwrap().violations[0].subject, done.name);
    let mut clusters = HybridClusterServiceClient::new(daemon.channel.clone());
    let request = pb::GetHybridClusterRequest { name: "hybridClusters/dc1".into() };
    let missing = clusters.get_hybrid_cluster(request).await.unwrap_err();
    assert_eq!(reason(&missing), reasons::HYBRID_CLUSTER_NOT_FOUND);
    daemon.stop().await;
}

#[tokio::test]
async fn a_bad_cluster_is_refused_with_paths_before_anything_is_journaled() {
    let daemon = Daemon::start(&Disk::new()).await;
    let spec = pb::HybridClusterSpec { connection: "nowhere".into(), ..Default::default() };
    let request =
        pb::StartWorkflowRequest { spec: Some(Spec::HybridCluster(spec)), ..Default::default() };
    let error = daemon.workflows().start_workflow(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let details = error.get_error_details();
    let paths: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|v| v.field.as_str()).collect();
    assert!(paths.contains(&"spec.connection") && paths.contains(&"metadata.name"), "{paths:?}");
    let all = daemon
        .workflows()
        .list_workflows(pb::ListWorkflowsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(all.workflows.is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn whoever_has_no_token_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"; // of "test"
    std::fs::write(&file, format!("[auth.tokens.eve]\nsha256 = \"{hash}\"\nrole = \"viewer\""))
        .unwrap();
    let config =
        config::load(&Flags { config: Some(file), ..Flags::default() }, &|_| None).unwrap();
    let daemon = Daemon::start_with(&Disk::new(), |options| {
        options.authenticator = Authenticator::new(&config)
    })
    .await;
    let stranger = daemon.start_noop("", false).await.unwrap_err();
    assert_eq!(
        (stranger.code(), reason(&stranger).as_str()),
        (Code::Unauthenticated, reasons::UNAUTHENTICATED)
    );
    let token: tonic::metadata::MetadataValue<_> = "Bearer test".parse().unwrap();
    let mut viewer = WorkflowServiceClient::with_interceptor(
        daemon.channel.clone(),
        move |mut request: tonic::Request<()>| {
            request.metadata_mut().insert("authorization", token.clone());
            Ok(request)
        },
    );
    viewer.list_workflows(pb::ListWorkflowsRequest::default()).await.unwrap();
    let refused = viewer.start_workflow(pb::StartWorkflowRequest::default()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, reasons::PERMISSION_DENIED)
    );
    daemon.stop().await;
}
