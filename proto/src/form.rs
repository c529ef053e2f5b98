//! The form of requests: what no string, list, map, enumeration or duration may be, whatever it is for.
//!
//! One walk over all fields, so that a field that is added is looked at without being named here. What a value means is
//! for others to judge.

use prost::{Message, Name};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage, Value,
};

use crate::{
    json::{self, Violation, path},
    limits::{DURATION_SECONDS_MAX, LIST_LEN_MAX, MAP_LEN_MAX, SCRIPT_BYTES_MAX, STRING_BYTES_MAX},
};

/// The field that holds a program of the user's.
const SCRIPT: &str = "causeway.v1.InitScript.Inline.script";
/// The union that says what to build: in paths it is named instead of its members, as in the input file.
const SPEC: &str = "spec";
const DURATION: &str = "google.protobuf.Duration";
const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// Finds everything in a request that is wrong in its form. Paths are those of the input file, and nothing of a value is
/// repeated in the words.
pub fn check<M: Message + Name>(message: &M) -> Vec<Violation> {
    let mut violations = Vec::new();
    walk_message(&json::dynamic(message), "", &mut violations);
    violations
}

fn walk_message(message: &DynamicMessage, at: &str, violations: &mut Vec<Violation>) {
    for (field, value) in message.fields() {
        let union = field.containing_oneof().filter(|union| union.name() == SPEC);
        let name = union.map_or_else(|| field.name().to_owned(), |union| union.name().to_owned());
        walk_field(&field, value, &path::field(at, &name), violations);
    }
}

fn walk_field(field: &FieldDescriptor, value: &Value, at: &str, violations: &mut Vec<Violation>) {
    match value {
        Value::List(list) => {
            if let Some(wrong) = too_long(at, list.len(), LIST_LEN_MAX, "elements") {
                violations.push(wrong);
                return;
            }
            for (index, value) in list.iter().enumerate() {
                walk_value(field, value, &path::index(at, index), violations);
            }
        }
        Value::Map(map) => {
            if let Some(wrong) = too_long(at, map.len(), MAP_LEN_MAX, "entries") {
                violations.push(wrong);
                return;
            }
            for (key, value) in map {
                let MapKey::String(key) = key else { continue };
                if text(field, key, at, violations) {
                    walk_value(field, value, &path::key(at, key), violations);
                }
            }
        }
        value => walk_value(field, value, at, violations),
    }
}

fn walk_value(field: &FieldDescriptor, value: &Value, at: &str, violations: &mut Vec<Violation>) {
    match value {
        Value::String(value) => {
            text(field, value, at, violations);
        }
        Value::EnumNumber(number) => {
            if let Kind::Enum(kind) = field.kind()
                && kind.get_value(*number).is_none()
            {
                violations.push(Violation::new(at, unknown(&kind, *number)));
            }
        }
        Value::Message(message) if message.descriptor().full_name() == DURATION => {
            violations.extend(duration(message).map(|wrong| Violation::new(at, wrong)));
        }
        Value::Message(message) if !message.descriptor().full_name().starts_with("google.") => {
            walk_message(message, at, violations);
        }
        _ => {}
    }
}

/// Says whether a text may go on to be looked at.
fn text(field: &FieldDescriptor, text: &str, at: &str, violations: &mut Vec<Violation>) -> bool {
    let script = field.full_name() == SCRIPT;
    let max = if script { SCRIPT_BYTES_MAX } else { STRING_BYTES_MAX };
    // Words of people may have lines. All else is a name, a number, an address: what is invisible in it is there by mistake, or to
    // deceive whoever reads it on a terminal.
    let lines = script || field.name().ends_with("reason");
    let hidden = text.chars().find(|&c| {
        is_hidden(c) && !(lines && matches!(c, '\n' | '\t' | '\r')) && !(script && c == '\u{1b}')
    });
    let wrong = too_long(at, text.len(), max, "bytes").or_else(|| {
        let words =
            |c: char| format!("has the invisible character {}; take it out", c.escape_unicode());
        hidden.map(|c| Violation::new(at, words(c)))
    });
    let fine = wrong.is_none();
    violations.extend(wrong);
    fine
}

/// Control characters, and those that turn the direction of what follows them.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn too_long(at: &str, len: usize, max: usize, what: &str) -> Option<Violation> {
    let words = || format!("has {len} {what}; at most {max} are allowed");
    (len > max).then(|| Violation::new(at, words()))
}

fn unknown(kind: &EnumDescriptor, number: i32) -> String {
    let names: Vec<_> = kind
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| format!("{} ({})", value.name(), value.number()))
        .collect();
    format!("has the unknown value {number}; expected one of {}", names.join(", "))
}

fn duration(message: &DynamicMessage) -> Option<String> {
    let number = |name: &str| message.get_field_by_name(name);
    let seconds = number("seconds").and_then(|value| value.as_i64()).unwrap_or(0);
    let nanos = number("nanos").and_then(|value| value.as_i32()).unwrap_or(0);
    if seconds < 0 || nanos < 0 {
        return Some("must not be negative; give a duration such as 90s".to_owned());
    }
    if nanos >= NANOS_PER_SECOND {
        return Some(format!(
            "has {nanos} nanos; give fewer than {NANOS_PER_SECOND}, and whole seconds as seconds"
        ));
    }
    let longest = i64::try_from(DURATION_SECONDS_MAX).unwrap_or(i64::MAX);
    (seconds > longest).then(|| {
        format!("is {seconds} seconds; at most {DURATION_SECONDS_MAX} (a year) are allowed")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{
        AbandonWorkflowRequest, HybridClusterSpec, InitScript, Metadata, RunOptions,
        StartWorkflowRequest, Terway, init_script, start_workflow_request::Spec,
    };

    fn lines<M: Message + Name>(message: &M) -> Vec<String> {
        check(message).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_strings_lists_and_maps_are_named_by_the_path_of_the_input_file() {
        let spec = HybridClusterSpec {
            region: "r".repeat(STRING_BYTES_MAX + 1),
            node_pools: vec![Default::default(); LIST_LEN_MAX + 1],
            ..Default::default()
        };
        let request =
            StartWorkflowRequest { spec: Some(Spec::HybridCluster(spec)), ..Default::default() };
        let found: Vec<_> = check(&request).into_iter().map(|wrong| wrong.path).collect();
        assert_eq!(found, ["spec.region", "spec.node_pools"]);
        let labels = (0..=MAP_LEN_MAX).map(|n| (n.to_string(), String::new())).collect();
        let found = lines(&Metadata { name: "a".into(), labels });
        assert_eq!(found, ["labels: has 65 entries; at most 64 are allowed"]);
        let labels = [("k".repeat(STRING_BYTES_MAX + 1), String::new())].into();
        let found = lines(&Metadata { name: "a".into(), labels });
        assert_eq!(found, ["labels: has 4097 bytes; at most 4096 are allowed"]);
    }

    #[test]
    fn a_script_may_be_longer_than_other_strings_and_have_lines() {
        let script = |script: String| InitScript {
            source: Some(init_script::Source::Inline(init_script::Inline { script })),
            ..Default::default()
        };
        assert!(check(&script("x\n".repeat(STRING_BYTES_MAX))).is_empty());
        assert_eq!(check(&script("x".repeat(SCRIPT_BYTES_MAX + 1)))[0].path, "inline.script");
        assert_eq!(check(&script("x\0".to_owned()))[0].path, "inline.script");
    }

    #[test]
    fn what_nobody_can_see_is_named_and_not_repeated() {
        for (hidden, code) in
            [('\0', "0"), ('\u{1b}', "1b"), ('\n', "a"), ('\u{202e}', "202e"), ('\u{85}', "85")]
        {
            let request =
                AbandonWorkflowRequest { name: format!("w{hidden}1"), ..Default::default() };
            let expected = format!("name: has the invisible character \\u{{{code}}}; take it out");
            assert_eq!(lines(&request), [expected]);
        }
        let words = AbandonWorkflowRequest { reason: "två\n\trader".into(), ..Default::default() };
        assert_eq!(lines(&words), [] as [String; 0]);
    }

    #[test]
    fn an_unknown_number_of_an_enumeration_is_refused_with_those_that_are_known() {
        let terway = Terway { policy: 7, ..Default::default() };
        assert_eq!(
            lines(&terway),
            ["policy: has the unknown value 7; expected one of GUIDE (1), EXTENDED (2)"]
        );
    }

    #[test]
    fn durations_are_not_negative_and_end_within_a_year() {
        let longest = i64::try_from(DURATION_SECONDS_MAX).unwrap();
        for (seconds, nanos, words) in [
            (0, 0, None),
            (longest, 999_999_999, None),
            (-1, 0, Some("negative")),
            (1, -1, Some("negative")),
            (1, 1_000_000_000, Some("nanos")),
            (longest + 1, 0, Some("a year")),
            (i64::MAX, 0, Some("a year")),
            (i64::MIN, i32::MIN, Some("negative")),
        ] {
            let timeout = Some(prost_types::Duration { seconds, nanos });
            let found = lines(&RunOptions { timeout, ..Default::default() });
            match words {
                Some(words) => {
                    assert!(found[0].starts_with("timeout: ") && found[0].contains(words))
                }
                None => assert!(found.is_empty(), "{found:?}"),
            }
        }
    }
}
