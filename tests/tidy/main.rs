//! What the tree must look like: who may depend on whom, and under which licences.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

mod defaults;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> BTreeMap<String, String> {
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            (
                package["id"].as_str().unwrap().to_owned(),
                package["name"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

/// The names of all packages that `name` links, dev-dependencies left out.
fn linked_by(metadata: &Value, name: &str) -> BTreeSet<String> {
    let names = packages(metadata);
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let start = names.iter().find(|(_, found)| *found == name).unwrap().0;
    let mut seen = BTreeSet::new();
    let mut open = vec![start.as_str()];
    while let Some(id) = open.pop() {
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let links = dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind["kind"] != "dev");
            let id = dependency["pkg"].as_str().unwrap();
            if links && seen.insert(names[id].clone()) {
                open.push(id);
            }
        }
    }
    seen
}

fn assert_links_none_of(linked: &BTreeSet<String>, who: &str, forbidden: &[&str]) {
    let found: Vec<_> = forbidden.iter().filter(|name| linked.contains(**name)).collect();
    assert!(found.is_empty(), "{who} links {found:?}");
}

#[test]
fn the_sandbox_shares_nothing_with_what_it_judges() {
    let product = ["causeway-engine", "causeway-workflows", "causeway-orchestrator"];
    assert_links_none_of(&linked_by(&metadata(), "causeway-sandbox"), "causeway-sandbox", &product);
}

#[test]
fn the_engine_is_pure() {
    let impure = [
        "tokio",
        "tonic",
        "sled",
        "kube",
        "reqwest",
        "rand",
        "opentelemetry",
        "causeway-proto",
        "causeway-workflows",
    ];
    assert_links_none_of(&linked_by(&metadata(), "causeway-engine"), "causeway-engine", &impure);
}

#[test]
fn workflows_and_client_know_no_daemon() {
    let metadata = metadata();
    assert_links_none_of(
        &linked_by(&metadata, "causeway-workflows"),
        "causeway-workflows",
        &["causeway-proto", "causeway-orchestrator", "sled"],
    );
    let inner = ["causeway-engine", "causeway-workflows", "causeway-orchestrator", "kube", "sled"];
    assert_links_none_of(&linked_by(&metadata, "causeway-client"), "causeway-client", &inner);
}

#[test]
fn there_is_one_tonic_and_one_tls_provider() {
    let metadata = metadata();
    let names: Vec<String> = packages(&metadata).into_values().collect();
    for name in ["tonic", "rustls", "ring", "prost"] {
        assert_eq!(names.iter().filter(|found| *found == name).count(), 1, "{name}");
    }
    let linked = linked_by(&metadata, "causeway-orchestrator");
    assert_links_none_of(
        &linked,
        "causeway-orchestrator",
        &["aws-lc-rs", "openssl-sys", "native-tls"],
    );
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let deny = std::fs::read_to_string(root().join(".deny.toml")).unwrap();
    let list = deny.split_once("[licenses]").unwrap().1.split_once(']').unwrap().0;
    let allowed: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect();
    let metadata = metadata();
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("");
        let fits = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            choice.split(" AND ").all(|part| allowed.contains(part.trim().trim_matches(['(', ')'])))
        });
        if !fits {
            refused.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// The only places that may name these crates.
const CONFINED: [(&str, &[&str]); 5] = [
    ("sled::", &["orchestrator/src/store/"]),
    ("reqwest::", &["workflows/src/alibaba/", "tests/"]),
    ("kube::", &["workflows/src/kubernetes/", "tests/"]),
    ("backoff::", &["orchestrator/src/runtime/retry.rs"]),
    ("opentelemetry", &["orchestrator/src/telemetry", "orchestrator/tests/", "tests/"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    for part in ["proto/src", "orchestrator", "workflows", "client", "tests"] {
        sources(&root.join(part), &mut paths);
    }
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn confined_crates_are_named_only_where_they_may_be() {
    let mut breaches = Vec::new();
    for (name, text) in all_sources() {
        for (what, places) in CONFINED {
            let word = |line: &str| {
                line.contains(&format!("use {what}"))
                    || line.contains(&format!(" {what}"))
                    || line.contains(&format!("({what}"))
            };
            let used = text.lines().any(|line| {
                !line.trim_start().starts_with("//")
                    && word(line)
                    && !line.contains("crate::")
                    && !line.contains("super::")
            });
            if used && !places.iter().any(|place| name.starts_with(place)) {
                breaches.push(format!("{name} uses {what}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn every_file_opens_with_what_it_is_and_stays_readable() {
    let mut breaches = Vec::new();
    for (name, text) in all_sources() {
        if !text.starts_with("//!") {
            breaches.push(format!("{name} does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > 550 {
            breaches.push(format!("{name} has {lines} lines"));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}
