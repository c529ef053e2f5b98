//! Request parameters and their percent-encoding, shared by both signers. Knows no product and no transport.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same for a whole path, whose slashes stay.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Percent-encodes one query key, query value or path segment.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Percent-encodes a path, keeping its slashes.
pub(crate) fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, RESERVED_IN_PATH).to_string()
}

/// The parameters of a call, in any order; both the wire and the signature use their sorted, encoded form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// No parameter.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds one parameter.
    #[must_use]
    pub(crate) fn with(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.0.push((key.into(), Some(value.to_string())));
        self
    }

    /// Adds one parameter where there is a value that is not empty.
    #[must_use]
    pub(crate) fn with_some(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) if !value.is_empty() => self.with(key, value),
            _ => self,
        }
    }

    /// Adds a list the RPC way: `Key.1`, `Key.2`, ….
    #[must_use]
    pub(crate) fn with_list<S: AsRef<str>>(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        for (index, value) in values.into_iter().enumerate() {
            self = self.with(format!("{key}.{}", index + 1), value.as_ref());
        }
        self
    }

    /// Adds a key that has no value at all, as OSS's sub-resources (`?acl`).
    #[must_use]
    pub(crate) fn with_flag(mut self, key: &str) -> Self {
        self.0.push((key.to_owned(), None));
        self
    }

    /// The sorted, encoded query. A flag is `key`; an empty value is `key=`.
    #[must_use]
    pub(crate) fn canonical(&self) -> String {
        let mut pairs: Vec<(String, Option<String>)> =
            self.0.iter().map(|(key, value)| (encode(key), value.as_deref().map(encode))).collect();
        pairs.sort();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key,
            })
            .collect();
        pairs.join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_characters_are_encoded_as_rfc_3986_says() {
        let query = Params::new()
            .with("UserName", "ack-one-user-ce313528c3")
            .with("DisplayName", "ack one+user *")
            .with("Comments", "混合")
            .canonical();
        assert_eq!(
            query,
            "Comments=%E6%B7%B7%E5%90%88&DisplayName=ack%20one%2Buser%20%2A&UserName=ack-one-user-ce313528c3"
        );
    }

    #[test]
    fn lists_count_from_one_and_empty_values_keep_their_equals_sign() {
        let query =
            Params::new().with_list("Id", ["a", "b"]).with("Z", "").with_flag("acl").canonical();
        assert_eq!(query, "Id.1=a&Id.2=b&Z=&acl");
    }

    #[test]
    fn absent_and_empty_options_are_left_out() {
        assert_eq!(Params::new().with_some("A", None).with_some("B", Some("")).canonical(), "");
    }

    #[test]
    fn a_path_keeps_its_slashes() {
        assert_eq!(encode_path("/b/a b+c.sh"), "/b/a%20b%2Bc.sh");
    }
}
