//! The limits of the API, and the one walk that enforces those on strings and lists.
//!
//! They bound what a caller can make the daemon keep or send. Raising one needs no new contract; lowering one does.

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, MapKey, ReflectMessage, Value};

use crate::json::{self, Violation, path};

/// Largest request that the daemon decodes, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest answer that the daemon sends, and that clients should accept, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest string, in bytes.
pub const STRING_BYTES_MAX: usize = 4096;
/// Longest user script, in bytes: what an init script may have in ECS user data.
pub const SCRIPT_BYTES_MAX: usize = 256 * 1024;
/// Most elements of a list.
pub const LIST_LEN_MAX: usize = 1000;
/// Most entries of a map of labels or tags.
pub const MAP_LEN_MAX: usize = 64;
/// All labels of a workflow together, keys and values, in bytes: every list shows them.
pub const LABELS_BYTES_MAX: usize = 16 * 1024;
/// Longest id of a workflow, and name of a record: fit for tags and labels.
pub const ID_LEN_MAX: usize = 40;
/// Longest `request_id`.
pub const REQUEST_ID_LEN_MAX: usize = 128;
/// Longest reason that a person gives, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;
/// Entries of a page, where the request says nothing.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Most entries of a page.
pub const PAGE_SIZE_MAX: usize = 1000;
/// Most concurrent calls on one connection, streams included.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 200;
/// Most watches of the whole daemon at once.
pub const WATCHES_MAX: usize = 4096;
/// Longest wait of `WaitWorkflow`, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Longest time that `PlanWorkflow`, and a start by a plan, look at the world, in seconds.
pub const PLAN_SECONDS_MAX: u64 = 120;
/// Longest filter of a list or a watch, in bytes: every workflow is held against it.
pub const FILTER_BYTES_MAX: usize = 1000;
/// Most terms of a filter.
pub const FILTER_TERMS_MAX: usize = 50;
/// Most parentheses of a filter that are open at one place.
pub const FILTER_DEPTH_MAX: usize = 16;
/// How long a watch may leave a message untaken, in seconds, before it is cut off: long enough for a client that is busy, short
/// enough that those who have forgotten theirs keep no place from others.
pub const WATCH_STALL_SECONDS_MAX: u64 = 60;
/// Longest time that `Drain` waits for calls in flight, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 600;
/// What `Drain` waits for calls in flight where the request says nothing, in seconds.
pub const DRAIN_SECONDS_DEFAULT: u64 = 10;
/// Longest difference of one object in a plan, in bytes; it is cut with a word, which is not counted.
pub const PLAN_DIFF_BYTES_MAX: usize = 32 * 1024;
/// Steps of the built-in self-test.
pub const NOOP_STEPS: u32 = 10;

/// Finds every string, list and map in `message` that is longer than allowed. Paths are those of the message, below
/// `root` (may be empty).
pub fn check<M: Message + Name>(message: &M, root: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    walk_message(&json::dynamic(message), root, &mut violations);
    violations
}

fn walk_message(message: &DynamicMessage, at: &str, violations: &mut Vec<Violation>) {
    for (field, value) in message.fields() {
        let here = path::field(at, field.name());
        let string_max = if field.full_name() == "causeway.v1.InitScript.Inline.script" {
            SCRIPT_BYTES_MAX
        } else {
            STRING_BYTES_MAX
        };
        walk_value(value, &here, string_max, violations);
    }
}

fn walk_value(value: &Value, at: &str, string_max: usize, violations: &mut Vec<Violation>) {
    let mut too_long = |len: usize, max: usize, what: &str| -> bool {
        if len > max {
            violations
                .push(Violation::new(at, format!("has {len} {what}; at most {max} are allowed")));
        }
        len <= max
    };
    match value {
        Value::String(text) => {
            too_long(text.len(), string_max, "bytes");
        }
        Value::Message(message) if !message.descriptor().full_name().starts_with("google.") => {
            walk_message(message, at, violations);
        }
        Value::List(list) if too_long(list.len(), LIST_LEN_MAX, "elements") => {
            for (index, value) in list.iter().enumerate() {
                walk_value(value, &path::index(at, index), string_max, violations);
            }
        }
        Value::Map(map) if too_long(map.len(), MAP_LEN_MAX, "entries") => {
            for (key, value) in map {
                let MapKey::String(key) = key else { continue };
                walk_value(value, &path::key(at, key), string_max, violations);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{HybridClusterSpec, InitScript, Metadata, init_script};

    #[test]
    fn long_strings_lists_and_maps_are_named_by_path() {
        let spec = HybridClusterSpec {
            region: "r".repeat(STRING_BYTES_MAX + 1),
            node_pools: vec![Default::default(); LIST_LEN_MAX + 1],
            ..Default::default()
        };
        let found: Vec<_> = check(&spec, "spec").into_iter().map(|v| v.path).collect();
        assert_eq!(found, ["spec.region", "spec.node_pools"]);
        let labels = (0..=MAP_LEN_MAX).map(|n| (n.to_string(), String::new())).collect();
        let found = check(&Metadata { name: "a".into(), labels }, "metadata");
        assert_eq!(found[0].to_string(), "metadata.labels: has 65 entries; at most 64 are allowed");
    }

    #[test]
    fn a_script_may_be_longer_than_other_strings() {
        let script = |len| InitScript {
            source: Some(init_script::Source::Inline(init_script::Inline {
                script: "x".repeat(len),
            })),
            ..Default::default()
        };
        assert!(check(&script(STRING_BYTES_MAX + 1), "").is_empty());
        assert_eq!(check(&script(SCRIPT_BYTES_MAX + 1), "")[0].path, "inline.script");
    }
}
