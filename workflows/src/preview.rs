//! What a plan shows of a step: the changes that `apply` would make, how they would be undone, and what the daemon needs to
//! be allowed. Rendering is pure, and prints no secret: what is sensitive only shows whether it changes.

use causeway_engine::Finding;
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use crate::kubernetes::Verb;

/// Lines around a difference: enough to see under which fields it stands, as objects are reduced to what is touched.
const CONTEXT_LINES: usize = 10;
/// Longest difference of one object, in bytes; beyond it only the number of lines is told.
pub const DIFF_BYTES_MAX: usize = 32 * 1024;
/// Stands for a value that is never shown.
pub const SENSITIVE: &str = "(sensitive)";
/// Stands for a value that is never shown, and becomes another one.
pub const SENSITIVE_CHANGED: &str = "(sensitive, changed)";

/// What a step would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preview {
    /// What would become of each object; empty where nothing is touched.
    pub changes: Vec<Change>,
    /// In words: how the step would be undone.
    pub undo: String,
    /// The output that the step will have, as far as that is known: what is not stands as [`known_after`]. For the
    /// previews of later steps.
    pub expect: Value,
    /// What the kubeconfig's user must be allowed for it, its undo included.
    pub kubernetes: Vec<Verb>,
    /// Nodes that would be paid for.
    pub nodes: Vec<PaidNodes>,
    /// What is worth saying beyond what `observe` said, or before it can be called.
    pub warnings: Vec<Finding>,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `daemonset`, `ram-policy`: as in the ledger.
    pub kind: String,
    /// What identifies it: as in the ledger.
    pub id: String,
    /// What happens to it.
    pub kind_of_change: ChangeKind,
    /// The readable difference; empty where there is nothing more to say.
    pub diff: String,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is made.
    Create,
    /// It is there, and becomes another.
    Modify,
    /// It stays as it is.
    Keep,
    /// It goes.
    Remove,
    /// It becomes again what it was before the build.
    Restore,
}

/// Nodes that would be paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidNodes {
    /// The node pool.
    pub pool: String,
    /// How many.
    pub count: u32,
    /// Of which types, in order of preference.
    pub instance_types: Vec<String>,
    /// How they are paid for, in words.
    pub charge: &'static str,
}

impl Preview {
    /// A preview of nothing but the way back.
    #[must_use]
    pub fn undone_by(undo: impl Into<String>) -> Self {
        Self { undo: undo.into(), ..Self::default() }
    }

    /// With another change.
    #[must_use]
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// With the output that is expected.
    #[must_use]
    pub fn expecting(mut self, output: Value) -> Self {
        self.expect = output;
        self
    }

    /// With the verbs that are needed.
    #[must_use]
    pub fn needing(mut self, verbs: Vec<Verb>) -> Self {
        self.kubernetes = verbs;
        self
    }
}

impl Change {
    /// An object that is made; `content` is shown whole.
    #[must_use]
    pub fn create(kind: &str, id: impl Into<String>, content: &Value) -> Self {
        Self::of(kind, id, ChangeKind::Create, diff(&Value::Null, content))
    }

    /// An object that becomes another.
    #[must_use]
    pub fn modify(kind: &str, id: impl Into<String>, before: &Value, after: &Value) -> Self {
        Self::of(kind, id, ChangeKind::Modify, diff(before, after))
    }

    /// An object that stays as it is.
    #[must_use]
    pub fn keep(kind: &str, id: impl Into<String>) -> Self {
        Self::of(kind, id, ChangeKind::Keep, String::new())
    }

    /// An object that goes.
    #[must_use]
    pub fn remove(kind: &str, id: impl Into<String>) -> Self {
        Self::of(kind, id, ChangeKind::Remove, String::new())
    }

    /// An object that becomes again what it was.
    #[must_use]
    pub fn restore(kind: &str, id: impl Into<String>) -> Self {
        Self::of(kind, id, ChangeKind::Restore, String::new())
    }

    fn of(kind: &str, id: impl Into<String>, kind_of_change: ChangeKind, diff: String) -> Self {
        Self { kind: kind.to_owned(), id: id.into(), kind_of_change, diff }
    }
}

/// Stands for what a step has yet to make.
#[must_use]
pub fn known_after(step: &str) -> String {
    format!("(known after {step})")
}

/// The difference of two objects, as lines of YAML with a `-`, `+` or blank before each. Null is nothing at all. Values
/// whose names say that they are secret are masked first.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> String {
    let (mut before, mut after) = (before.clone(), after.clone());
    mask(Some(&mut before), Some(&mut after));
    let (before, after) = (lines(&before), lines(&after));
    let compared = TextDiff::from_lines(&before, &after);
    let mut text = String::new();
    for (index, group) in compared.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if index > 0 {
            text.push_str("  ...\n");
        }
        for change in group.iter().flat_map(|op| compared.iter_changes(op)) {
            text.push_str(match change.tag() {
                ChangeTag::Delete => "- ",
                ChangeTag::Insert => "+ ",
                ChangeTag::Equal => "  ",
            });
            text.push_str(change.value().trim_end_matches('\n'));
            text.push('\n');
        }
    }
    bounded(text)
}

fn lines(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{}\n", text.trim_end_matches('\n')),
        other => {
            // A long text stays on its line, so that a difference shows it whole.
            let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
            let yaml = serde_saphyr::to_string_with_options(other, options)
                .expect("JSON values with string keys always become YAML");
            format!("{}\n", yaml.trim_end_matches('\n'))
        }
    }
}

/// Cut at a line's end where it is too long.
fn bounded(text: String) -> String {
    if text.len() <= DIFF_BYTES_MAX {
        return text;
    }
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if end + line.len() > DIFF_BYTES_MAX {
            break;
        }
        end += line.len();
    }
    let left = text[end..].lines().count();
    format!("{}  ... ({left} more lines)\n", &text[..end])
}

/// Whether a field of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["secret", "password", "passwd", "token", "credential", "private_key", "kubeconfig"]
        .iter()
        .any(|word| name.contains(word))
        // Names of Secrets, and of what is in them, are none.
        && !["name", "namespace", "id"].iter().any(|end| name.ends_with(end))
}

/// Masks what is secret in both, so that only whether it changes is left.
fn mask(before: Option<&mut Value>, after: Option<&mut Value>) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => mask_fields(before, after),
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            let mut after = after.iter_mut();
            for value in before {
                mask(Some(value), after.next());
            }
            after.for_each(|value| mask(None, Some(value)));
        }
        (before, after) => {
            for value in before.into_iter().chain(after) {
                mask_alone(value);
            }
        }
    }
}

fn mask_fields(before: &mut Map<String, Value>, after: &mut Map<String, Value>) {
    for (name, value) in before.iter_mut() {
        let other = after.get_mut(name);
        if !is_secret(name) || is_blank(value) && other.as_deref().is_none_or(is_blank) {
            mask(Some(value), other);
            continue;
        }
        if let Some(other) = other {
            let masked = if *other == *value { SENSITIVE } else { SENSITIVE_CHANGED };
            if !is_blank(other) {
                *other = masked.into();
            }
        }
        if !is_blank(value) {
            *value = SENSITIVE.into();
        }
    }
    for (name, value) in after.iter_mut().filter(|(name, _)| !before.contains_key(*name)) {
        if is_secret(name) && !is_blank(value) {
            *value = SENSITIVE.into();
        } else {
            mask_alone(value);
        }
    }
}

fn mask_alone(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_secret(name) && !is_blank(value) {
                    *value = SENSITIVE.into();
                } else {
                    mask_alone(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_alone),
        _ => {}
    }
}

/// What tells nothing: no text, or one of the words that stand for what is not known or not shown.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            text.is_empty() || text.starts_with("(known after ") || text == SENSITIVE
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_shows_what_goes_and_what_comes_with_its_surroundings() {
        let before = json!({"a": 1, "b": {"c": [1, 2]}, "d": "x"});
        let after = json!({"a": 1, "b": {"c": [1, 3]}, "d": "x"});
        assert_eq!(
            diff(&before, &after),
            "  a: 1\n  b:\n    c:\n    - 1\n-   - 2\n+   - 3\n  d: x\n"
        );
        assert_eq!(diff(&Value::Null, &json!({"a": 1})), "+ a: 1\n");
        assert_eq!(diff(&before, &before), "");
    }

    #[test]
    fn what_is_secret_only_shows_whether_it_changes() {
        let before = json!({"access_key": "LTAI1", "access_secret": "hunter2", "list": [{"password": "one"}]});
        let mut after = before.clone();
        after["access_secret"] = "hunter3".into();
        after["list"][0]["password"] = "two".into();
        after["token"] = "abc.def".into();
        let text = diff(&before, &after);
        for secret in ["hunter", "one", "two", "abc"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("+ access_secret: (sensitive, changed)"), "{text}");
        assert!(text.contains("+ token: (sensitive)"), "{text}");
        assert_eq!(diff(&json!({"token": "a"}), &json!({"token": "a"})), "");
        assert!(
            diff(&json!({"token": "a"}), &json!({"token": ""})).contains("- token: (sensitive)")
        );
        assert!(diff(&json!({}), &json!({"secret_name": "s"})).contains("secret_name: s"));
    }

    #[test]
    fn a_difference_that_is_too_long_is_cut_with_a_word() {
        let long: Vec<String> = (0..4000).map(|n| format!("line-{n}")).collect();
        let text = diff(&Value::Null, &json!(long));
        assert!(text.len() <= DIFF_BYTES_MAX + 100, "{}", text.len());
        assert!(text.ends_with(" more lines)\n"));
    }
}
