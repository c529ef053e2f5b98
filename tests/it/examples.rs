//! The examples of `deploy/` are good ones: each is accepted by the command line and by a daemon, and the full one leaves out no field
//! that can be given.

use std::path::{Path, PathBuf};

use causeway_client::Client;
use causeway_sandbox::instances::companion;
use causeway_tests::Scripted;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;
use tokio::process::Command;

const FULL: &str = include_str!("../../deploy/examples/hybrid-cluster-full.yaml");

/// What is understood, and refused as NOT_SUPPORTED_YET: no example shows it.
const NOT_YET: [&str; 6] = [
    "spec.init_script.inline",
    "spec.init_script.url",
    "spec.init_script.publish.server",
    "spec.node_pools.charge.spot",
    "spec.node_pools.data_disks",
    "spec.node_pools.existing",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples")
}

fn examples(kind: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().flatten().map(|file| file.path());
    files.filter(|path| path.extension().is_some_and(|found| found == kind)).collect()
}

async fn start(client: &Client, path: &Path) {
    let document: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let request = causeway_proto::input::decode(&document).unwrap();
    client.start(request).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_cluster_is_accepted() {
    let examples = examples("yaml");
    assert!(examples.len() >= 2, "{examples:?}");
    for path in examples {
        // A daemon each: they are examples of the same cluster.
        let daemon = Scripted::new().await;
        start(&daemon.client(), &path).await;
        let line = format!("causeway validate -f {}", path.display());
        let output = daemon.shell(&line).await;
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_configuration_is_accepted() {
    for path in examples("toml") {
        let mut command = Command::new(companion::daemon_binary().await.unwrap());
        command.arg("--config").arg(&path).args(["config", "show"]);
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}", path.display());
        assert!(String::from_utf8_lossy(&output.stdout).contains("connections.prod"));
    }
}

/// Whether a document has a field, in some element where it is a list's.
fn has(document: &Value, path: &[&str]) -> bool {
    match (document, path) {
        (_, []) => true,
        (Value::Array(items), path) => items.iter().any(|item| has(item, path)),
        (document, [first, rest @ ..]) => document.get(first).is_some_and(|next| has(next, rest)),
    }
}

fn absent(message: &MessageDescriptor, at: &str, document: &Value, found: &mut Vec<String>) {
    for field in message.fields() {
        let path =
            if at.is_empty() { field.name().to_owned() } else { format!("{at}.{}", field.name()) };
        if NOT_YET.contains(&path.as_str()) {
            continue;
        }
        let parts: Vec<&str> = path.split('.').collect();
        if !has(document, &parts) {
            if !is_named_in_a_comment(&field) {
                found.push(path);
            }
            continue;
        }
        if let Kind::Message(inner) = field.kind()
            && !field.is_map()
            && !inner.full_name().starts_with("google.")
        {
            absent(&inner, &path, document, found);
        }
    }
}

/// Of a union one member stands there; the others stand behind it, as `or NAME`.
fn is_named_in_a_comment(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some() && FULL.contains(&format!("{}:", field.name()))
}

#[test]
fn the_full_example_has_every_field() {
    let pool = DescriptorPool::decode(causeway_proto::v1::FILE_DESCRIPTOR_SET).unwrap();
    let input = pool.get_message_by_name("causeway.v1.HybridClusterInput").unwrap();
    let mut document: Value = serde_saphyr::from_str(FULL).unwrap();
    document["api_version"] = document["apiVersion"].take();
    let mut found = Vec::new();
    absent(&input, "", &document, &mut found);
    assert!(found.is_empty(), "hybrid-cluster-full.yaml does not show {found:?}");
}
