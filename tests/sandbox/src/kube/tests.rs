//! The server through its own socket, as clients see it.

use std::{process::Stdio, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{ConfigMap, Node},
};
use kube::{
    Api, Client, Config, Error,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent,
        WatchParams,
    },
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{Server, Who, ledger::ledger};
use crate::{faults::Faults, seed::Seed, time::Pace};

async fn start_with(change: impl FnOnce(&mut crate::seed::Cluster)) -> (Server, Arc<Faults>) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut cluster = Seed::guide().clusters.remove(0);
    change(&mut cluster);
    let faults = Faults::new();
    (Server::start(&cluster, Arc::clone(&faults), Pace::new(1000.0)).await.unwrap(), faults)
}

async fn client(server: &Server, who: Who) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig(who)).unwrap();
    Client::try_from(
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap(),
    )
    .unwrap()
}

async fn request(
    client: &Client,
    method: &str,
    path: &str,
    kind: &str,
    body: &Value,
) -> Result<Value, Error> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.to_string().into_bytes())
        .unwrap();
    client.request(request).await
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> u16 {
    match result.unwrap_err() {
        Error::Api(status) => status.code,
        other => panic!("no answer of the API: {other}"),
    }
}

fn config_map(name: &str, data: Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap()
}

#[tokio::test]
async fn objects_are_created_read_replaced_patched_and_deleted() {
    let (server, _) = start_with(|_| {}).await;
    let maps: Api<ConfigMap> = Api::namespaced(client(&server, Who::Daemon).await, "kube-system");
    let made =
        maps.create(&PostParams::default(), &config_map("c", json!({"a": "1"}))).await.unwrap();
    assert_eq!(code(maps.create(&PostParams::default(), &config_map("c", json!({}))).await), 409);
    assert_eq!(code(maps.get("other").await), 404);
    let patched = maps
        .patch("c", &PatchParams::default(), &Patch::Merge(json!({"data": {"b": "2"}})))
        .await
        .unwrap();
    assert_ne!(patched.metadata.resource_version, made.metadata.resource_version);
    assert_eq!(code(maps.replace("c", &PostParams::default(), &made).await), 409);
    let stale = Patch::Merge(
        json!({"metadata": {"resourceVersion": made.metadata.resource_version}, "data": {"x": "y"}}),
    );
    assert_eq!(code(maps.patch("c", &PatchParams::default(), &stale).await), 409);
    let unchanged = maps
        .patch("c", &PatchParams::default(), &Patch::Merge(json!({"data": {"b": "2"}})))
        .await
        .unwrap();
    assert_eq!(unchanged.metadata.resource_version, patched.metadata.resource_version);
    let tried = PatchParams { dry_run: true, ..PatchParams::default() };
    maps.patch("c", &tried, &Patch::Merge(json!({"data": {"b": "3"}}))).await.unwrap();
    assert_eq!(maps.get("c").await.unwrap().data.unwrap()["b"], "2");
    let other = DeleteParams {
        preconditions: Some(Preconditions { uid: Some("other".into()), resource_version: None }),
        ..DeleteParams::default()
    };
    assert_eq!(code(maps.delete("c", &other).await), 409);
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(maps.get("c").await), 404);
    let elsewhere: Api<ConfigMap> = Api::namespaced(client(&server, Who::Daemon).await, "nowhere");
    assert_eq!(
        code(elsewhere.create(&PostParams::default(), &config_map("c", json!({}))).await),
        404
    );
}

#[tokio::test]
async fn server_side_apply_names_the_manager_in_its_conflicts() {
    let (server, _) = start_with(|_| {}).await;
    let maps: Api<ConfigMap> = Api::namespaced(client(&server, Who::Daemon).await, "kube-system");
    let wanted = |value: &str| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": value}}),
        )
    };
    maps.patch("c", &PatchParams::apply("one"), &wanted("1")).await.unwrap();
    let conflict = maps.patch("c", &PatchParams::apply("two"), &wanted("2")).await.unwrap_err();
    assert!(conflict.to_string().contains("conflict with \"one\": .data.a"), "{conflict}");
    let taken = maps.patch("c", &PatchParams::apply("two").force(), &wanted("2")).await.unwrap();
    assert_eq!(taken.data.unwrap()["a"], "2");
}

#[tokio::test]
async fn a_watch_goes_on_from_its_resource_version_and_honours_its_selector() {
    let (server, _) = start_with(|_| {}).await;
    let maps: Api<ConfigMap> = Api::namespaced(client(&server, Who::Admin).await, "default");
    let from = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    for name in ["a", "b"] {
        maps.create(&PostParams::default(), &config_map(name, json!({}))).await.unwrap();
    }
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    let stream =
        maps.watch(&WatchParams::default().fields("metadata.name=b"), &from).await.unwrap();
    let seen: Vec<&str> = stream
        .take(2)
        .map_ok(|event| match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Deleted(_) => "deleted",
            _ => "other",
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen, ["added", "deleted"]);
}

#[tokio::test]
async fn lists_are_paged_by_limit_and_continue() {
    let (server, _) = start_with(|_| {}).await;
    let maps: Api<ConfigMap> = Api::namespaced(client(&server, Who::Admin).await, "default");
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, json!({}))).await.unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    let rest = maps
        .list(&ListParams::default().limit(2).continue_token(&first.metadata.continue_.unwrap()))
        .await
        .unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    assert_eq!(rest.items[0].metadata.name.as_deref(), Some("c"));
}

#[tokio::test]
async fn a_crd_makes_its_kind_served_and_its_schema_prunes_on_write_and_on_read() {
    let (server, _) = start_with(|_| {}).await;
    let client = client(&server, Who::Admin).await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let wide = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"cidr": {"type": "string"}, "size": {"type": "integer"}}}}});
    let stub = json!({"type": "object", "properties": {"apiVersion": {"type": "string"}}});
    let crd = |schema: &Value| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "pools.example.com"}, "spec": {"group": "example.com", "scope": "Cluster",
        "names": {"kind": "Pool", "plural": "pools"}, "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
    };
    let json_body = "application/json";
    request(&client, "POST", crds, json_body, &crd(&wide)).await.unwrap();
    let pool = json!({"apiVersion": "example.com/v1", "kind": "Pool", "metadata": {"name": "p"}, "spec": {"cidr": "x", "size": 1, "unknown": true}});
    let made =
        request(&client, "POST", "/apis/example.com/v1/pools", json_body, &pool).await.unwrap();
    assert_eq!(made["spec"], json!({"cidr": "x", "size": 1}));
    let bad = json!({"metadata": {"name": "q"}, "spec": {"cidr": 1}});
    assert_eq!(
        code(request(&client, "POST", "/apis/example.com/v1/pools", json_body, &bad).await),
        422
    );
    assert_eq!(
        code(
            request(
                &client,
                "PATCH",
                "/apis/example.com/v1/pools/p",
                "application/strategic-merge-patch+json",
                &json!({})
            )
            .await
        ),
        415
    );
    let swap = |schema: Value| json!({"spec": {"versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    let at = format!("{crds}/pools.example.com");
    request(&client, "PATCH", &at, "application/merge-patch+json", &swap(stub.clone()))
        .await
        .unwrap();
    let read = request(&client, "GET", "/apis/example.com/v1/pools/p", json_body, &json!({}))
        .await
        .unwrap();
    assert!(read.get("spec").is_none());
    request(&client, "PATCH", &at, "application/merge-patch+json", &swap(wide.clone()))
        .await
        .unwrap();
    let back = request(&client, "GET", "/apis/example.com/v1/pools/p", json_body, &json!({}))
        .await
        .unwrap();
    assert_eq!(back["spec"]["cidr"], "x");
    request(&client, "PATCH", &at, "application/merge-patch+json", &swap(stub)).await.unwrap();
    request(&client, "PUT", "/apis/example.com/v1/pools/p", json_body, &read)
        .await
        .map(|_| ())
        .unwrap_or_default();
    let fresh = request(&client, "GET", "/apis/example.com/v1/pools/p", json_body, &json!({}))
        .await
        .unwrap();
    request(&client, "PUT", "/apis/example.com/v1/pools/p", json_body, &fresh).await.unwrap();
    request(&client, "PATCH", &at, "application/merge-patch+json", &swap(wide)).await.unwrap();
    let lost = request(&client, "GET", "/apis/example.com/v1/pools/p", json_body, &json!({}))
        .await
        .unwrap();
    assert!(lost.get("spec").is_none(), "{lost}");
    request(&client, "DELETE", &at, json_body, &json!({})).await.unwrap();
    assert_eq!(
        code(request(&client, "GET", "/apis/example.com/v1/pools", json_body, &json!({})).await),
        404
    );
}

#[tokio::test]
async fn the_daemon_lacks_what_the_seed_denies_and_can_ask_for_it_before() {
    let (server, _) = start_with(|cluster| {
        cluster.data_center.denied = vec![("patch".into(), "daemonsets".into())]
    })
    .await;
    let daemon = client(&server, Who::Daemon).await;
    let sets: Api<DaemonSet> = Api::namespaced(daemon.clone(), "kube-system");
    assert_eq!(code(sets.patch("d", &PatchParams::default(), &Patch::Merge(json!({}))).await), 403);
    for (verb, allowed) in [("patch", false), ("get", true)] {
        let review = json!({"spec": {"resourceAttributes": {"verb": verb, "group": "apps", "resource": "daemonsets", "namespace": "kube-system"}}});
        let review: SelfSubjectAccessReview = serde_json::from_value(review).unwrap();
        let answer =
            Api::all(daemon.clone()).create(&PostParams::default(), &review).await.unwrap();
        assert_eq!(answer.status.unwrap().allowed, allowed, "{verb}");
    }
    let mut config = Config::from_custom_kubeconfig(
        Kubeconfig::from_yaml(&server.kubeconfig(Who::Daemon)).unwrap(),
        &KubeConfigOptions::default(),
    )
    .await
    .unwrap();
    config.auth_info = kube::config::AuthInfo::default();
    let anonymous = Client::try_from(config.clone()).unwrap();
    assert!(anonymous.apiserver_version().await.is_ok());
    assert_eq!(code(Api::<Node>::all(anonymous).list(&ListParams::default()).await), 403);
    config.auth_info.token = Some("wrong".to_owned().into());
    assert_eq!(
        code(
            Api::<Node>::all(Client::try_from(config).unwrap()).list(&ListParams::default()).await
        ),
        401
    );
}

#[tokio::test]
async fn faults_meet_the_daemon_only_and_a_cut_after_has_its_effect() {
    let (server, faults) = start_with(|_| {}).await;
    let daemon: Api<ConfigMap> = Api::namespaced(client(&server, Who::Daemon).await, "default");
    let admin: Api<ConfigMap> = Api::namespaced(client(&server, Who::Admin).await, "default");
    faults.add("k8s:write-configmaps@default/c:error=403").unwrap();
    admin.create(&PostParams::default(), &config_map("c", json!({}))).await.unwrap();
    let patch = |value: &str| Patch::Merge(json!({"data": {"a": value}}));
    assert_eq!(code(daemon.patch("c", &PatchParams::default(), &patch("1")).await), 403);
    faults.add("k8s:create-configmaps:cut-before").unwrap();
    faults.add("k8s:patch-configmaps:cut-after").unwrap();
    assert!(
        matches!(daemon.create(&PostParams::default(), &config_map("d", json!({}))).await, Err(error) if !matches!(error, Error::Api(_)))
    );
    assert_eq!(code(admin.get("d").await), 404);
    assert!(
        matches!(daemon.patch("c", &PatchParams::default(), &patch("2")).await, Err(error) if !matches!(error, Error::Api(_)))
    );
    assert_eq!(admin.get("c").await.unwrap().data.unwrap()["a"], "2");
    faults.add("k8s:patch-configmaps:late").unwrap();
    assert!(daemon.patch("c", &PatchParams::default(), &patch("3")).await.is_err());
    assert_eq!(admin.get("c").await.unwrap().data.unwrap()["a"], "2");
    let boundaries = faults.boundaries().passed();
    let actions: Vec<String> =
        boundaries.iter().map(|one| format!("{} {:?}", one.action, one.side)).collect();
    assert!(
        actions.contains(&"patch-configmaps After".to_owned())
            && !actions.iter().any(|one| one.starts_with("get-")),
        "{actions:?}"
    );
}

#[tokio::test]
async fn an_object_with_a_finalizer_ends_when_the_finalizer_goes_and_a_namespace_takes_its_objects_along()
 {
    let (server, _) = start_with(|_| {}).await;
    let client = client(&server, Who::Admin).await;
    let (maps, json_body, merge) =
        ("/api/v1/namespaces/n/configmaps", "application/json", "application/merge-patch+json");
    request(&client, "POST", "/api/v1/namespaces", json_body, &json!({"metadata": {"name": "n"}}))
        .await
        .unwrap();
    request(
        &client,
        "POST",
        maps,
        json_body,
        &json!({"metadata": {"name": "held", "finalizers": ["a.b/c"]}, "data": null}),
    )
    .await
    .unwrap();
    let held = format!("{maps}/held");
    let ending = request(&client, "DELETE", &held, json_body, &json!({})).await.unwrap();
    assert!(
        ending["metadata"]["deletionTimestamp"].is_string() && ending.get("data").is_none(),
        "{ending}"
    );
    request(&client, "PATCH", &held, merge, &json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    assert_eq!(code(request(&client, "GET", &held, json_body, &json!({})).await), 404);
    request(&client, "POST", maps, json_body, &json!({"metadata": {"name": "inside"}}))
        .await
        .unwrap();
    request(&client, "DELETE", "/api/v1/namespaces/n", json_body, &json!({})).await.unwrap();
    assert_eq!(
        code(request(&client, "GET", &format!("{maps}/inside"), json_body, &json!({})).await),
        404
    );
}

#[tokio::test]
async fn a_kubelet_writes_its_own_node_only_and_no_reserved_label() {
    let (server, _) = start_with(|_| {}).await;
    let mut config = Config::from_custom_kubeconfig(
        Kubeconfig::from_yaml(&server.kubeconfig(Who::Admin)).unwrap(),
        &KubeConfigOptions::default(),
    )
    .await
    .unwrap();
    config.auth_info.impersonate = Some("system:node:a".into());
    config.auth_info.impersonate_groups = Some(vec!["system:nodes".into()]);
    let kubelet = Client::try_from(config).unwrap();
    let create = async |name: &str, label: &str| {
        request(
            &kubelet,
            "POST",
            "/api/v1/nodes",
            "application/json",
            &json!({"metadata": {"name": name, "labels": {label: "x"}}}),
        )
        .await
    };
    assert_eq!(code(create("b", "workload").await), 403);
    assert_eq!(code(create("a", "node-role.kubernetes.io/worker").await), 403);
    create("a", "workload").await.unwrap();
    assert_eq!(
        code(request(&kubelet, "DELETE", "/api/v1/nodes/a", "application/json", &json!({})).await),
        403
    );
    assert_eq!(
        code(
            request(&kubelet, "GET", "/apis/apps/v1/daemonsets", "application/json", &json!({}))
                .await
        ),
        403
    );
}

#[tokio::test]
async fn one_foreign_field_in_an_object_of_any_kind_shows_in_the_ledger() {
    let (server, _) = start_with(|_| {}).await;
    let client = client(&server, Who::Admin).await;
    let before = ledger(&client).await.unwrap();
    assert_eq!(before, ledger(&client).await.unwrap());
    let places = [
        ("/api/v1/namespaces", "default"),
        ("/api/v1/namespaces/default/services", "kubernetes"),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "view"),
    ];
    for (list, name) in places {
        let patch = |value: Value| json!({"metadata": {"labels": {"foreign": value}}});
        let at = format!("{list}/{name}");
        request(&client, "PATCH", &at, "application/merge-patch+json", &patch(json!("x")))
            .await
            .unwrap();
        assert_ne!(before, ledger(&client).await.unwrap(), "{at}");
        request(&client, "PATCH", &at, "application/merge-patch+json", &patch(Value::Null))
            .await
            .unwrap();
        assert_eq!(before, ledger(&client).await.unwrap(), "{at}");
    }
}

#[tokio::test]
async fn kubectl_gets_applies_patches_and_deletes() {
    let (server, _) = start_with(|_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig(Who::Daemon)).unwrap();
    let run = async |args: &[&str], input: &str| -> Option<String> {
        let mut command = tokio::process::Command::new("kubectl");
        command.env("HOME", folder.path()).arg("--kubeconfig").arg(&kubeconfig).args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        tokio::io::AsyncWriteExt::write_all(&mut child.stdin.take()?, input.as_bytes())
            .await
            .ok()?;
        let output = child.wait_with_output().await.ok()?;
        assert!(
            output.status.success(),
            "kubectl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(version) = run(&["version"], "").await else {
        eprintln!("skipped: there is no kubectl on this machine");
        return;
    };
    assert!(version.contains("v1.30.4"), "{version}");
    let manifest = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: default}\nspec:\n  selector: {matchLabels: {app: d}}\n  template:\n    metadata: {labels: {app: d}}\n    spec: {containers: [{name: a, image: x}], nodeSelector: {alibabacloud.com/external: \"true\"}}\n";
    assert!(run(&["apply", "-f", "-"], manifest).await.unwrap().contains("created"));
    assert!(run(&["apply", "-f", "-"], manifest).await.unwrap().contains("unchanged"));
    assert!(
        run(&["apply", "-f", "-"], &manifest.replace("image: x", "image: y"))
            .await
            .unwrap()
            .contains("configured")
    );
    assert!(
        run(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifest)
            .await
            .unwrap()
            .contains("serverside-applied")
    );
    run(&["patch", "ds", "d", "-p", "{\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"name\": \"a\", \"image\": \"z\"}]}}}}"], "").await.unwrap();
    assert!(
        run(&["get", "ds", "d", "-o", "jsonpath={.spec.template.spec.containers[*].image}"], "")
            .await
            .unwrap()
            .contains('z')
    );
    assert!(run(&["get", "ds"], "").await.unwrap().contains("alibabacloud.com/external=true"));
    assert!(run(&["delete", "ds", "d"], "").await.unwrap().contains("deleted"));
    assert!(run(&["auth", "can-i", "create", "nodes"], "").await.unwrap().contains("yes"));
    assert!(run(&["api-resources"], "").await.unwrap().contains("daemonsets"));
}
