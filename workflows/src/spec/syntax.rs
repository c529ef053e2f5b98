//! Spellings that Kubernetes and the cloud demand. Pure text; knows no field of the document.

/// Most characters of a label's name and of its value, in Kubernetes.
pub(super) const LABEL_CHARS_MAX: usize = 63;
/// Most characters of a label's whole key that the cloud takes.
const LABEL_KEY_CHARS_MAX: usize = 64;
/// Most characters of a tag's key and of its value.
const TAG_CHARS_MAX: usize = 128;

/// Prefixes under `kubernetes.io` and `k8s.io` that kubelet may set on itself, with all that is below them.
const KUBELET_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Single keys under `kubernetes.io` that kubelet may set on itself.
const KUBELET_KEYS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];
/// Labels that the registered cluster sets on each node itself.
const CLUSTER_KEYS: [&str; 4] = [
    "alibabacloud.com/external",
    "alibabacloud.com/instance-id",
    "alibabacloud.com/nodepool-id",
    "ack.aliyun.com",
];

/// Whether it is letters, digits, `-`, `_`, `.`, with a letter or digit at both ends, at most 63.
pub(super) fn is_label_word(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= LABEL_CHARS_MAX
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether it is a DNS name of lower-case labels (RFC 1123), at most `max` characters.
pub(super) fn is_dns_name(text: &str, max: usize) -> bool {
    text.len() <= max && text.split('.').all(is_dns_label)
}

/// Whether it is one lower-case DNS label (RFC 1123).
pub(super) fn is_dns_label(text: &str) -> bool {
    let end = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    text.len() <= LABEL_CHARS_MAX
        && end(bytes.first())
        && end(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// What is wrong with a qualified name (`prefix/name`) as Kubernetes wants it; none: it is right.
pub(super) fn qualified_name_fault(key: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(|prefix| !is_dns_name(prefix, 253)) {
        return Some("what stands before the slash must be a DNS name in lower case");
    }
    if !is_label_word(name) {
        return Some(
            "the name must be 1 to 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends",
        );
    }
    None
}

/// What a node's label may not be, beyond its spelling; none: it may.
pub(super) fn node_label_fault(key: &str) -> Option<String> {
    if CLUSTER_KEYS.contains(&key) {
        return Some(
            "the registered cluster sets this label itself on each cloud node; leave it out"
                .to_owned(),
        );
    }
    if let Some((prefix, _)) = key.split_once('/') {
        let below = |domain: &str| {
            prefix == domain || prefix.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        };
        let restricted = below("kubernetes.io") || below("k8s.io");
        if restricted
            && !KUBELET_PREFIXES.iter().any(|prefix| below(prefix))
            && !KUBELET_KEYS.contains(&key)
        {
            return Some(format!(
                "kubelet refuses to start with labels under `{prefix}` that it may not set on itself, so the node would never join; \
                 use a prefix of your own, or set the label with kubectl once the node has joined"
            ));
        }
    }
    if key.chars().count() > LABEL_KEY_CHARS_MAX {
        return Some(format!(
            "the cloud takes at most {LABEL_KEY_CHARS_MAX} characters in a node label's key; shorten it"
        ));
    }
    cloud_prefix_fault(key)
}

/// What is wrong with a tag's key; none: it is right.
pub(super) fn tag_key_fault(key: &str) -> Option<String> {
    if key.is_empty() || key.chars().count() > TAG_CHARS_MAX {
        return Some(format!("a tag's key has 1 to {TAG_CHARS_MAX} characters"));
    }
    if key.starts_with("causeway.") {
        return Some(
            "keys that begin with `causeway.` are how Causeway knows its own; use another"
                .to_owned(),
        );
    }
    cloud_prefix_fault(key)
}

/// What is wrong with a tag's value; none: it is right.
pub(super) fn tag_value_fault(value: &str) -> Option<String> {
    if value.chars().count() > TAG_CHARS_MAX {
        return Some(format!("a tag's value has at most {TAG_CHARS_MAX} characters"));
    }
    cloud_prefix_fault(value)
}

fn cloud_prefix_fault(text: &str) -> Option<String> {
    if text.starts_with("aliyun") || text.starts_with("acs:") {
        return Some(
            "the cloud keeps names that begin with `aliyun` or `acs:` to itself; use another"
                .to_owned(),
        );
    }
    if text.contains("http://") || text.contains("https://") {
        return Some("the cloud refuses `http://` and `https://` in it; leave that out".to_owned());
    }
    None
}

/// Whether it is an id of the cloud: `PREFIX-` and letters, digits, hyphens.
pub(super) fn is_cloud_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() <= 64
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Whether it is a plain word: 1 to `max` letters, digits, and what `more` holds. Safe in paths, file names and shell words.
pub(super) fn is_word(text: &str, max: usize, more: &[u8]) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

/// The three numbers of a version, with or without a leading `v`.
pub(super) fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(|part| {
        let plain =
            !part.is_empty() && part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    });
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_takes_its_own_labels_and_refuses_the_rest_of_its_domains() {
        for key in [
            "workload",
            "example.com/team",
            "node.kubernetes.io/pool",
            "x.kubelet.kubernetes.io/y",
            "topology.kubernetes.io/zone",
        ] {
            assert_eq!(node_label_fault(key), None, "{key}");
        }
        for key in [
            "node-role.kubernetes.io/worker",
            "kubernetes.io/x",
            "a.k8s.io/b",
            "node-restriction.kubernetes.io/x",
        ] {
            assert!(node_label_fault(key).unwrap().contains("kubelet refuses"), "{key}");
        }
        assert_eq!(node_label_fault("notkubernetes.io/x"), None);
        assert!(node_label_fault("alibabacloud.com/external").unwrap().contains("itself"));
        assert!(node_label_fault("aliyun.com/x").is_some());
    }

    #[test]
    fn versions_have_three_numbers() {
        assert_eq!(version("v1.14.5"), Some([1, 14, 5]));
        assert_eq!(version("1.30.4"), Some([1, 30, 4]));
        for bad in ["", "1.30", "1.30.4.1", "1.30.x", "1..3", "1.30.4-1"] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_judged_as_kubernetes_does() {
        assert_eq!(qualified_name_fault("a.b/c_d"), None);
        for bad in ["", "/a", "A.b/c", "a/b/c", "-a", "a.", "ä", &"a".repeat(64)] {
            assert!(qualified_name_fault(bad).is_some(), "{bad}");
        }
    }
}
