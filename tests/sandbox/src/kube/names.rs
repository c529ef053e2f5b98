//! Syntax of names, label keys and label values.

use serde_json::Value;

use super::registry::Kind;

/// What is wrong with an object's name, labels and annotations, as (path, text).
#[must_use]
pub(super) fn metadata_violations(kind: &Kind, object: &Value) -> Vec<(String, String)> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    let name = metadata["name"].as_str().unwrap_or_default();
    let fine = if kind.group == "rbac.authorization.k8s.io" {
        is_path_segment(name)
    } else {
        is_dns_subdomain(name)
    };
    if !fine {
        causes.push((
            "metadata.name".to_owned(),
            format!("Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"),
        ));
    }
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        if !is_qualified_name(key) {
            causes.push(("metadata.labels".to_owned(), format!("Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.'")));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(("metadata.labels".to_owned(), format!("Invalid value: {value}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'")));
        }
    }
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        if !is_qualified_name(key) || !value.is_string() {
            causes.push(("metadata.annotations".to_owned(), format!("Invalid value: {key:?}")));
        }
    }
    causes
}

/// `a.b-c`, at most 253 characters.
#[must_use]
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|part| bounded(part, 63, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), "-"))
}

/// `example.com/Key_1`.
#[must_use]
pub(super) fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) =
        text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_dns_subdomain) && bounded(name, 63, |c| c.is_ascii_alphanumeric(), "-_.")
}

/// Empty, or up to 63 characters.
#[must_use]
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || bounded(text, 63, |c| c.is_ascii_alphanumeric(), "-_.")
}

fn is_path_segment(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '%'])
}

fn bounded(text: &str, longest: usize, ends: impl Fn(char) -> bool, inside: &str) -> bool {
    let all = text.chars().all(|c| ends(c) || inside.contains(c));
    all && text.len() <= longest
        && text.chars().next().is_some_and(&ends)
        && text.chars().next_back().is_some_and(&ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keys_and_values_follow_the_syntax_of_kubernetes() {
        for (text, fine) in [
            ("cn-hangzhou.10.10.24.3", true),
            ("A", false),
            ("-a", false),
            ("a..b", false),
            ("", false),
        ] {
            assert_eq!(is_dns_subdomain(text), fine, "{text}");
        }
        for (text, fine) in [
            ("alibabacloud.com/external", true),
            ("a/b/c", false),
            ("Key_1.x", true),
            ("/x", false),
            ("x/", false),
        ] {
            assert_eq!(is_qualified_name(text), fine, "{text}");
        }
        for (text, fine) in [("", true), ("true", true), ("a b", false), ("-", false)] {
            assert_eq!(is_label_value(text), fine, "{text}");
        }
    }
}
