//! Holds the guide for other platforms, `proto/README.md`, against the contract: no reason, state, limit or call may be missing
//! there, and none may stand there that does not exist. It knows only texts; whether the guide is well written it can't tell.

use std::collections::BTreeSet;

use prost::Message as _;

use crate::{json::enumeration, reasons, v1::FILE_DESCRIPTOR_SET};

const GUIDE: &str = include_str!("../README.md");
const LIMITS: &str = include_str!("limits.rs");
const WORKFLOW_SERVICE: &str = include_str!("../proto/causeway/v1/workflow_service.proto");

/// The codes of gRPC that errors of the API have.
const CODES: &[&str] = &[
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The rows of the table under a heading, cell by cell; only those that begin with a word in backticks.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = GUIDE
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("proto/README.md misses the section {heading}"));
    let section = section.split("\n## ").next().unwrap_or(section);
    table(section.lines())
}

fn table<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<Vec<&'t str>> {
    lines
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The row of each word, which must be just the words wanted; every cell says something.
fn assert_has_just(heading: &str, wanted: &[&str], columns: usize) {
    let rows = rows(heading);
    let found: Vec<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(
        found.iter().collect::<BTreeSet<_>>().len(),
        found.len(),
        "{heading}: a row stands there twice"
    );
    for word in wanted {
        assert!(found.contains(word), "proto/README.md, {heading}: {word} is missing");
    }
    for word in &found {
        assert!(wanted.contains(word), "proto/README.md, {heading}: there is no {word}");
    }
    for row in rows {
        assert_eq!(row.len(), columns, "{heading}: {row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{heading}: {row:?}");
    }
}

fn words(name: &str) -> Vec<&'static str> {
    enumeration(name).into_iter().map(|word| &*word.leak()).collect()
}

#[test]
fn the_guide_has_every_reason_with_its_code_and_metadata() {
    let wanted: Vec<&str> = reasons::ALL.iter().map(|(reason, _)| *reason).collect();
    assert_has_just("Errors", &wanted, 4);
    let rows = rows("Errors");
    for (reason, meaning) in reasons::ALL {
        let row = rows.iter().find(|row| quoted(row[0]) == [*reason]).expect("it was found above");
        let code = meaning
            .split(|symbol: char| !symbol.is_ascii_uppercase() && symbol != '_')
            .find(|word| CODES.contains(word));
        assert_eq!(code, Some(row[1]), "the code of {reason}, by proto/src/reasons.rs");
        let metadata = meaning.split_once("metadata").map_or("", |(_, metadata)| metadata);
        for name in quoted(metadata) {
            assert!(row[2].contains(name), "{reason}: the guide does not name `{name}`");
        }
    }
}

#[test]
fn the_guide_has_every_state_and_whether_it_is_an_end() {
    assert_has_just("States of a workflow", &words("causeway.v1.Workflow.State"), 4);
    for row in rows("States of a workflow") {
        let state = quoted(row[0])[0];
        let terminal =
            ["SUCCEEDED", "REJECTED", "COMPENSATED", "CANCELLED", "ABANDONED"].contains(&state);
        assert_eq!(row[1], if terminal { "yes" } else { "no" }, "{state}");
    }
}

#[test]
fn the_guide_has_every_reason_to_wait() {
    assert_has_just("Why it waits", &words("causeway.v1.Waiting.Reason"), 3);
}

#[test]
fn the_guide_has_every_limit_with_its_value() {
    let limits: Vec<(&str, u64)> = LIMITS
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
        .map(|line| {
            let (name, rest) = line.split_once(": ").expect("a constant has a type");
            let (_, value) = rest.split_once(" = ").expect("a constant has a value");
            let factors = value.trim_end_matches(';').split(" * ");
            let factors = factors.map(|it| it.replace('_', "").parse::<u64>().expect("a number"));
            (name, factors.product())
        })
        .collect();
    assert!(limits.contains(&("REQUEST_BYTES_MAX", 1024 * 1024)), "{limits:?}");
    let names: Vec<&str> = limits.iter().map(|(name, _)| *name).collect();
    assert_has_just("Limits", &names, 3);
    for (row, (name, value)) in rows("Limits").iter().zip(&limits) {
        assert_eq!(quoted(row[0]), [*name], "the table is in the order of limits.rs");
        assert_eq!(row[1], value.to_string(), "the value of {name}");
    }
}

#[test]
fn the_guide_has_every_field_of_filters() {
    let comment = WORKFLOW_SERVICE.lines().filter_map(|line| line.trim().strip_prefix("// "));
    let known = table(comment);
    let wanted: BTreeSet<&str> = known.iter().flat_map(|row| quoted(row[0])).collect();
    assert!(wanted.len() > 8, "{wanted:?}");
    let rows = rows("List and filter");
    let found: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(found, wanted, "proto/README.md, and the comment of ListWorkflowsRequest.filter");
}

#[test]
fn the_guide_names_every_call() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let ours = set.file.iter().filter(|file| file.package() == "causeway.v1");
    let calls: Vec<&str> = ours
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method)
        .map(|method| method.name())
        .collect();
    assert!(calls.len() > 20, "{calls:?}");
    for call in calls {
        assert!(GUIDE.contains(&format!("`{call}")), "proto/README.md misses `{call}`");
    }
}
