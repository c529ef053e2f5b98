//! Opaque tokens: page tokens and cursors. A token names a position, and is good for one kind and scope only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Longest token that is looked at, in characters.
const LEN_MAX: usize = 512;
const VERSION: &str = "1";

/// A token for `position`, which holds no line break. `scope` is whatever else must be the same when it comes back.
pub(super) fn encode(kind: &str, scope: &[&str], position: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}\n{kind}\n{}\n{position}", digest(scope)))
}

/// The position in a token; `None` where it was not made for this kind and scope.
pub(super) fn decode(kind: &str, scope: &[&str], token: &str) -> Option<String> {
    if token.len() > LEN_MAX {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let mut parts = text.splitn(4, '\n');
    let fits = parts.next()? == VERSION && parts.next()? == kind && parts.next()? == digest(scope);
    let position = parts.next()?;
    fits.then(|| position.to_owned())
}

fn digest(scope: &[&str]) -> String {
    hex::encode(&Sha256::digest(scope.join("\0"))[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_its_position() {
        let token = encode("workflows", &["state=RUNNING"], "17");
        assert_eq!(decode("workflows", &["state=RUNNING"], &token).as_deref(), Some("17"));
    }

    #[test]
    fn a_token_of_another_kind_or_scope_is_refused() {
        let token = encode("workflows", &["state=RUNNING"], "17");
        assert_eq!(decode("events", &["state=RUNNING"], &token), None);
        assert_eq!(decode("workflows", &[""], &token), None);
        for bad in ["", "x", "%%%", &"A".repeat(600)] {
            assert_eq!(decode("workflows", &["state=RUNNING"], bad), None, "{bad}");
        }
    }
}
