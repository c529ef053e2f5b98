//! `deploy/defaults.md` is what the code says: every deadline, retry and limit of the product, with its reason. A constant that is
//! added shows up by itself. `UPDATE_DOCS=1` writes the file anew.

use std::collections::BTreeMap;

use causeway_workflows::Timing;

use super::{all_sources, root};

/// How names of constants end that limit something, or say how long something takes.
const ENDS: [&str; 9] = [
    "_MAX",
    "_MIN",
    "_DEFAULT",
    "_EVERY",
    "_TIMEOUT_MS",
    "_MINUTES",
    "_PATIENCE",
    "_AFTER",
    "_AT_A_TIME",
];
/// Where they stand, and what that is called.
const PARTS: [(&str, &str); 8] = [
    ("proto/src/limits.rs", "The API's contract"),
    ("orchestrator/src/api", "The API inside the daemon"),
    ("workflows/src/spec", "The input"),
    ("orchestrator/engine/src", "The engine"),
    ("orchestrator/src/store", "The store"),
    ("orchestrator/src", "The daemon"),
    ("workflows/src", "Steps, and calls to the cloud and the cluster"),
    ("client/src", "The client and the command line"),
];

const HEAD: &str = "# Defaults and limits\n\n\
    All deadlines, retries and limits of Causeway, with what they are for. Made of the code: a test compares the two, and\n\
    `UPDATE_DOCS=1 cargo test -p causeway-tests --test tidy defaults` writes this file anew.\n\n\
    Those of `[timing]` can be set in `causewayd.toml`; `causewayd config show` prints what holds. The others are constants: they bound\n\
    what one caller, one answer or one workflow can make the daemon hold, so that nothing grows without end.\n\n\
    Retries: the delay doubles from `retry_initial` up to `retry_max`, a tenth up or down by chance, so that what failed together does\n\
    not come back together; a time that the cloud names is kept. Going forward a step gives up after `retry_give_up`, and the workflow turns to its\n\
    undo; an undo is tried for `undo_give_up`, longer, as nothing comes after it but a person. The client repeats what is safe, with the same `request_id`.\n";

/// A constant.
struct Constant {
    name: String,
    value: String,
    meaning: String,
}

/// The constants of a file that limit something. Those of tests are left out: they begin with the file's `mod tests`.
fn constants(text: &str) -> Vec<Constant> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let (mut found, mut comment) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            comment.push(words);
            continue;
        }
        let constant = ["pub const ", "pub(crate) const ", "pub(super) const ", "const "];
        let constant = constant.iter().find_map(|start| line.strip_prefix(start));
        let parts = constant.and_then(|rest| rest.strip_suffix(';')?.split_once(": "));
        if let Some((name, rest)) = parts
            && let Some((kind, value)) = rest.split_once(" = ")
            && (kind == "Duration" || ENDS.iter().any(|end| name.ends_with(end)))
        {
            let value = value.trim_start_matches("Duration::").to_owned();
            // One comment may be about several that follow each other.
            let meaning = match found.last() {
                Some(Constant { meaning, .. }) if comment.is_empty() => meaning.clone(),
                _ => comment.join(" "),
            };
            found.push(Constant { name: name.to_owned(), value, meaning });
        }
        comment.clear();
    }
    found
}

/// What the fields of `[timing]` are for, by name.
fn timing_words(text: &str) -> BTreeMap<String, String> {
    let (mut words, mut comment) = (BTreeMap::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("/// ") {
            comment = more.to_owned();
        } else if let Some((name, "Duration,")) =
            line.strip_prefix("pub ").and_then(|field| field.split_once(": "))
        {
            words.insert(name.to_owned(), comment.clone());
        }
    }
    words
}

fn made() -> String {
    let sources = all_sources();
    let timing = sources.iter().find(|(name, _)| name == "workflows/src/timing.rs").unwrap();
    let words = timing_words(&timing.1);
    let mut text =
        format!("{HEAD}\n## `[timing]`\n\n| setting | default | what for |\n| --- | --- | --- |\n");
    let shown = format!("{:?}", Timing::default());
    let fields = shown.trim_start_matches("Timing { ").trim_end_matches(" }").split(", ");
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        let what = words.get(name).unwrap_or_else(|| panic!("{name} says not what it is for"));
        text += &format!("| `{name}` | {value} | {what} |\n");
    }
    let mut parts: BTreeMap<usize, String> = BTreeMap::new();
    let mut sources: Vec<_> = sources.iter().collect();
    sources.sort();
    for (file, source) in sources {
        let inner = |part: &str| file.contains(part) || file.ends_with("tests.rs");
        if inner("/tests/") || inner("/fake") || inner("/fixture") || inner("_tests.rs") {
            continue;
        }
        let Some(part) = PARTS.iter().position(|(start, _)| file.starts_with(start)) else {
            continue;
        };
        for one in constants(source) {
            assert!(!one.meaning.is_empty(), "{file}: {} says not what it is for", one.name);
            let place = file.replace("/src/", ": ");
            *parts.entry(part).or_default() +=
                &format!("| `{}` | {} | {} | {place} |\n", one.name, one.value, one.meaning);
        }
    }
    for (part, rows) in parts {
        text += &format!(
            "\n## {}\n\n| constant | value | what for | where |\n| --- | --- | --- | --- |\n{rows}",
            PARTS[part].1
        );
    }
    text
}

#[test]
fn the_table_of_defaults_is_what_the_code_says() {
    let file = root().join("deploy/defaults.md");
    let made = made();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let how = "run `UPDATE_DOCS=1 cargo test -p causeway-tests --test tidy defaults`";
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == made, "deploy/defaults.md is out of date: {how}");
}
