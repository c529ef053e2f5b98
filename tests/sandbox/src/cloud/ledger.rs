//! The account's part of the world's ledger: everything that is serialised of the state, minus one fixed list of
//! fields, with names in place of random ids. It must not pick what it likes: what is stored is in it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::state::State;
use crate::seed::Account;

/// Fields that depend on time or chance only, by path; `*` stands for one step. Everything else that the state
/// serialises is in the ledger.
const UNSTABLE: [&str; 21] = [
    "/ram/users/*/user_id",
    "/ram/users/*/create_date",
    "/ram/users/*/update_date",
    "/ram/users/*/keys/*/create_date",
    "/ram/users/*/attachments/*/attach_date",
    "/ram/policies/*/create_date",
    "/ram/policies/*/update_date",
    "/ram/policies/*/versions/*/create_date",
    // Version numbers only ever rise, so a document that was put back has another.
    "/ram/policies/*/default_version",
    "/ram/policies/*/last_version",
    "/cs/pools/*/created",
    "/cs/pools/*/updated",
    "/cs/pools/*/id",
    "/cs/pools/*/scaling_group_id",
    "/ecs/instances/*/creation_time",
    // Which of a vSwitch's addresses it is depends on who came first.
    "/ecs/instances/*/private_ip",
    "/ecs/interfaces/*/creation_time",
    "/ecs/interfaces/*/private_ip",
    "/ecs/instances/*/id",
    "/ecs/interfaces/*/id",
    "/ram/users/*/keys/*/id",
];

/// Tags, annotations and headers whose value names a workflow.
const WORKFLOW_MARKERS: [&str; 2] = ["causeway.workflow", "x-oss-meta-causeway-workflow"];

/// Runs of lower-case hex digits at least this long are digests of something random.
const DIGEST_MIN: usize = 12;

pub(crate) fn dump(state: &State, account: &Account) -> Value {
    let whole = serde_json::to_value(state).expect("the state is plain data with text keys");
    render(whole, Names::of(state, account))
}

/// What is stored elsewhere, such as in a cluster, in the words of the account's ledger.
pub(crate) fn retell(state: &State, account: &Account, value: Value) -> Value {
    let mut names = Names::of(state, account);
    names.collect_workflows(
        &serde_json::to_value(state).expect("the state is plain data with text keys"),
    );
    names.collect_workflows(&value);
    names.rename(value)
}

/// The ledger of a serialised state.
pub(super) fn render(mut whole: Value, mut names: Names) -> Value {
    versions_by_role(&mut whole);
    let whole = prune(whole, "");
    names.collect_workflows(&whole);
    names.rename(whole)
}

fn prune(value: Value, path: &str) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (format!("{path}/{key}"), key, value))
            .filter(|(path, _, _)| !is_unstable(path))
            .map(|(path, key, value)| (key, prune(value, &path)))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| prune(item, path)).collect(),
        other => other,
    }
}

/// Whether a path is on the list.
pub(super) fn is_unstable(path: &str) -> bool {
    UNSTABLE.iter().any(|pattern| fits(pattern, path))
}

/// Whether a path, whose keys may hold slashes themselves, fits a pattern step by step.
fn fits(pattern: &str, path: &str) -> bool {
    let Some((head, rest)) = pattern.split_once("/*/") else {
        return pattern == path;
    };
    let Some(path) = path.strip_prefix(head).and_then(|path| path.strip_prefix('/')) else {
        return false;
    };
    let rest = format!("/{rest}");
    path.match_indices('/').any(|(at, _)| fits(&rest, &path[at..]))
}

/// Versions of a policy by what they are for, as their numbers only ever rise.
fn versions_by_role(whole: &mut Value) {
    let policies = whole["ram"]["policies"].as_object_mut().into_iter();
    for policy in policies.flat_map(|policies| policies.values_mut()) {
        let number = policy["default_version"].to_string();
        let Some(versions) = policy["versions"].as_object_mut() else {
            continue;
        };
        let default = versions.remove(&number);
        let others: Vec<Value> = std::mem::take(versions).into_iter().map(|(_, it)| it).collect();
        policy["versions"] = json!({"default": default, "others": sorted(others)});
    }
}

fn sorted(mut items: Vec<Value>) -> Vec<Value> {
    items.sort_by_cached_key(Value::to_string);
    items
}

/// Names for random ids.
#[derive(Clone)]
pub(super) struct Names {
    /// Longest first, so that no id is taken for the start of another.
    ids: Vec<(String, String)>,
    /// Texts that look random and are not.
    stable: BTreeSet<String>,
    workflows: BTreeSet<String>,
}

impl Names {
    pub(super) fn of(state: &State, account: &Account) -> Self {
        let mut ids = Vec::new();
        for pool in state.cs.pools.values() {
            let name = format!("{}/{}", pool.cluster_id, pool.name);
            ids.push((pool.id.clone(), format!("[pool {name}]")));
            ids.push((pool.scaling_group_id.clone(), format!("[scaling group {name}]")));
        }
        ids.extend(state.ecs.instances.keys().map(|id| (id.clone(), "[instance]".to_owned())));
        ids.extend(state.ecs.interfaces.keys().map(|id| (id.clone(), "[interface]".to_owned())));
        for user in state.ram.users.values() {
            let keys = user.keys.keys();
            ids.extend(keys.map(|id| (id.clone(), format!("[key of {}]", user.user_name))));
        }
        ids.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        let mut stable: BTreeSet<String> = state.cs.clusters.keys().cloned().collect();
        stable.insert(account.id.clone());
        Self { ids, stable, workflows: BTreeSet::new() }
    }

    /// Finds the workflows that markers name.
    fn collect_workflows(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.collect_from_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.collect_workflows(item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.collect_marked(key, value);
                    self.collect_workflows(value);
                }
                if let (Some(key), Some(id)) = (fields.get("key"), fields.get("value")) {
                    self.collect_marked(key.as_str().unwrap_or_default(), id);
                }
            }
            _ => {}
        }
    }

    /// Takes a marker's value for a workflow, if it can be one.
    fn collect_marked(&mut self, key: &str, value: &Value) {
        let id = value.as_str().filter(|id| !id.is_empty() && id.chars().all(is_id_char));
        if let (true, Some(id)) = (is_marker(key), id) {
            self.workflows.insert(id.to_owned());
        }
    }

    fn collect_from_text(&mut self, text: &str) {
        for (at, mark) in text.match_indices("causeway:") {
            let rest = &text[at + mark.len()..];
            let end = rest.find(|c| !is_id_char(c)).unwrap_or(rest.len());
            if end > 0 {
                self.workflows.insert(rest[..end].to_owned());
            }
        }
    }

    /// The value with names for ids, its objects in the order of their keys; what was keyed by random ids becomes a
    /// sorted list.
    fn rename(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.rename_text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.rename(item)).collect(),
            Value::Object(fields) => {
                let count = fields.len();
                let mut random = false;
                let mut renamed: Vec<(String, Value)> = Vec::with_capacity(count);
                for (key, value) in fields {
                    let name = self.rename_text(&key);
                    random |= name != key;
                    renamed.push((name, self.rename(value)));
                }
                if random {
                    let pairs = renamed.into_iter().map(|(name, value)| json!([name, value]));
                    return Value::Array(sorted(pairs.collect()));
                }
                renamed.sort_by(|(a, _), (b, _)| a.cmp(b));
                Value::Object(renamed.into_iter().collect::<Map<_, _>>())
            }
            other => other,
        }
    }

    fn rename_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.ids {
            if text.contains(id.as_str()) {
                text = text.replace(id.as_str(), name);
            }
        }
        for id in &self.workflows {
            // A short id could be part of anything; its markers are known.
            text = match id.len() {
                8.. => text.replace(id.as_str(), "[workflow]"),
                _ if text == *id => "[workflow]".to_owned(),
                _ => text.replace(&format!("causeway:{id}"), "causeway:[workflow]"),
            };
        }
        self.rename_runs(&text)
    }

    /// Names digests and join tokens.
    fn rename_runs(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if !c.is_ascii_alphanumeric() {
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            match token_secret(run, after) {
                Some(secret) => {
                    out.push_str("[token]");
                    rest = &after[1 + secret..];
                }
                None => {
                    let digest = run.len() >= DIGEST_MIN
                        && run.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                        && !self.stable.contains(run);
                    out.push_str(if digest { "[digest]" } else { run });
                    rest = after;
                }
            }
        }
        out
    }
}

/// What workflow ids consist of.
fn is_id_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn is_marker(key: &str) -> bool {
    WORKFLOW_MARKERS.contains(&key)
}

/// The length of the secret half of a bootstrap token whose first half is `run`.
fn token_secret(run: &str, after: &str) -> Option<usize> {
    let letters = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = after.strip_prefix('.')?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    (run.len() == 6 && end == 16 && letters(run) && letters(&rest[..end])).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            ids: vec![("np0123456789abcdef".into(), "[pool c/p]".into())],
            stable: BTreeSet::from(["c106f377e16f34eb1808d6b9362c9abcd".to_owned()]),
            workflows: BTreeSet::new(),
        }
    }

    #[test]
    fn random_texts_get_names_and_others_stay() {
        for (text, expected) in [
            ("np0123456789abcdef", "[pool c/p]"),
            ("init-node-ecs-0123456789ab.sh", "init-node-ecs-[digest].sh"),
            ("--token abcdef.0123456789abcdef --x", "--token [token] --x"),
            ("c106f377e16f34eb1808d6b9362c9abcd", "c106f377e16f34eb1808d6b9362c9abcd"),
            ("ack-one-user-ce313528c3", "ack-one-user-ce313528c3"),
            ("v1.9.14", "v1.9.14"),
            ("混合", "混合"),
        ] {
            assert_eq!(names().rename_text(text), expected);
        }
    }

    #[test]
    fn workflows_are_found_by_their_markers_and_named_everywhere() {
        let mut names = names();
        let value = json!({
            "description": "made by causeway:w0k3j2h1g4f5d6s7 for dc1",
            "tags": [{"key": "causeway.workflow", "value": "short"}],
        });
        names.collect_workflows(&value);
        let renamed = names.rename(value);
        assert_eq!(renamed["description"], "made by causeway:[workflow] for dc1");
        assert_eq!(renamed["tags"][0]["value"], "[workflow]");
    }

    #[test]
    fn what_is_keyed_by_random_ids_becomes_a_list() {
        let value = json!({"np0123456789abcdef": {"b": 1, "a": 2}});
        assert_eq!(names().rename(value).to_string(), r#"[["[pool c/p]",{"a":2,"b":1}]]"#);
    }

    #[test]
    fn paths_fit_step_by_step() {
        assert!(fits("/ram/users/*/user_id", "/ram/users/u/user_id"));
        assert!(fits(
            "/ram/policies/*/versions/*/create_date",
            "/ram/policies/Custom/p/versions/1/create_date"
        ));
        assert!(!fits("/ram/users/*/user_id", "/ram/users/u/user_name"));
        assert!(!fits("/cs/pools/*/id", "/cs/pools/id"));
    }
}
