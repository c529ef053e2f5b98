//! Paths into an input: `spec.vpc.pod_vswitches[0].id`, `metadata.labels["example.com/team"]`.

/// Path of a field.
pub fn field(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// Path of an element of a list, counted from 0.
pub fn index(at: &str, index: usize) -> String {
    format!("{at}[{index}]")
}

/// Longest key that stands in a path without quotes: no field's name is longer.
const PLAIN_BYTES_MAX: usize = 80;

/// Path of an entry of a map. Keys that are no plain words are quoted.
pub fn key(at: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.len() <= PLAIN_BYTES_MAX && key.chars().all(plain) {
        field(at, key)
    } else {
        format!("{at}[{}]", super::shown(key))
    }
}
