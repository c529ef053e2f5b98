//! Paths into an input: `spec.vpc.pod_vswitches[0].id`, `metadata.labels["example.com/team"]`.

/// Path of a field.
pub fn field(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// Path of an element of a list, counted from 0.
pub fn index(at: &str, index: usize) -> String {
    format!("{at}[{index}]")
}

/// Path of an entry of a map. Keys that are no plain words are quoted.
pub fn key(at: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) {
        field(at, key)
    } else {
        format!("{at}[{key:?}]")
    }
}
