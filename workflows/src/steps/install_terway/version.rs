//! Which version of Terway runs on which version of Kubernetes (reference, 5.2). Pure.

/// A version of Kubernetes or of Terway: `v1.30.4-aliyun.1` is 1.30.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

/// The first version of Terway that reads Secret `alibaba-addon-secret` in registered clusters.
const SECRET_SINCE: Version = Version(1, 8, 0);
/// From this version of Terway on, at least that version of Kubernetes; the newest first.
const NEEDS: [(Version, Version); 3] = [
    (Version(1, 10, 0), Version(1, 31, 0)),
    (Version(1, 9, 0), Version(1, 30, 0)),
    (Version(1, 8, 0), Version(1, 24, 0)),
];

impl Version {
    /// Reads `v1.8.0`, `1.30`, `1.30.4-aliyun.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.trim().trim_start_matches('v').split(['-', '+']).next()?;
        let mut parts = plain.split('.').map(str::parse::<u32>);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let patch = parts.next().unwrap_or(Ok(0)).ok()?;
        Some(Self(major, minor, patch))
    }
}

/// Whether this Terway runs on this Kubernetes; what can't be read does not.
#[must_use]
pub fn fits(terway: &str, kubernetes: &str) -> bool {
    let Some((terway, kubernetes)) = Version::parse(terway).zip(Version::parse(kubernetes)) else {
        return false;
    };
    NEEDS.iter().find(|(since, _)| terway >= *since).is_none_or(|(_, needed)| kubernetes >= *needed)
}

/// The newest offered version that fits.
#[must_use]
pub fn choose<'a>(offered: &[&'a str], kubernetes: &str) -> Option<&'a str> {
    let fitting = offered.iter().copied().filter(|version| fits(version, kubernetes));
    fitting.max_by_key(|version| Version::parse(version))
}

/// Whether two spellings are one version: `1.8.0` and `v1.8.0`.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.trim_start_matches('v') == other.trim_start_matches('v')
}

/// Whether this Terway takes its AccessKey from the Secret.
#[must_use]
pub fn reads_secret(terway: &str) -> bool {
    Version::parse(terway).is_some_and(|version| version >= SECRET_SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_need_their_kubernetes() {
        let table = [
            ("v1.7.9", "1.20.0", true),
            ("v1.8.0", "1.23.9", false),
            ("v1.8.0", "1.24.0", true),
            ("v1.9.3", "1.29.7", false),
            ("v1.9.3", "v1.30.1-aliyun.1", true),
            ("v1.10.0", "1.30.4", false),
            ("v1.14.5", "1.31.0", true),
            ("new", "1.31.0", false),
        ];
        for (terway, kubernetes, expected) in table {
            assert_eq!(fits(terway, kubernetes), expected, "{terway} on {kubernetes}");
        }
    }

    #[test]
    fn the_newest_that_fits_is_chosen_by_number() {
        let offered = ["v1.8.3", "v1.14.5", "v1.9.2", "v1.9.16"];
        assert_eq!(choose(&offered, "1.30.4"), Some("v1.9.16"));
        assert_eq!(choose(&offered, "1.32.0"), Some("v1.14.5"));
        assert_eq!(choose(&offered, "1.20.0"), None);
    }

    #[test]
    fn the_secret_is_read_from_1_8_on() {
        assert!(!reads_secret("v1.7.9"));
        assert!(reads_secret("v1.8.0"));
        assert!(reads_secret("1.13.2"));
    }
}
