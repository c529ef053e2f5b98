//! Who calls, and what they may do. Without tokens in the configuration everybody who can connect is an admin, which is why
//! the daemon then listens on loopback only (`config` refuses anything else). It knows no transport: it is given the text of
//! the `authorization` header.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::config::{Config, Role};

/// Longest header that is looked at, in bytes.
const HEADER_BYTES_MAX: usize = 4096;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's name in the configuration; `loopback` without authentication.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Why nobody is recognised. The texts say nothing about which tokens exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no `authorization` header.
    #[error(
        "no credentials were sent; send `authorization: Bearer TOKEN` (for the CLI: CAUSEWAY_TOKEN or token_file)"
    )]
    Missing,
    /// It is not `Bearer TOKEN`.
    #[error("the authorization header is not of the form `Bearer TOKEN`")]
    Malformed,
    /// No such token.
    #[error("the token is not known to this daemon; it may have been replaced")]
    Unknown,
}

/// Recognises callers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authenticator {
    tokens: Arc<Vec<Known>>,
}

#[derive(Clone)]
struct Known {
    sha256: [u8; 32],
    principal: Principal,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.principal)
    }
}

impl Authenticator {
    /// Recognises the tokens of the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let known = config.tokens.iter().map(|(name, token)| Known {
            sha256: token.sha256,
            principal: Principal { name: name.clone(), role: token.role },
        });
        Self { tokens: Arc::new(known.collect()) }
    }

    /// How callers are recognised, for people: `none` or `token`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.tokens.is_empty() { "none" } else { "token" }
    }

    /// Who sent this `authorization` header.
    ///
    /// # Errors
    /// Where tokens are configured and this is none of them.
    pub fn recognise(&self, header: Option<&str>) -> Result<Principal, Error> {
        if self.tokens.is_empty() {
            return Ok(Principal { name: "loopback".to_owned(), role: Role::Admin });
        }
        let header = header.ok_or(Error::Missing)?;
        let (scheme, token) = header.split_once(' ').ok_or(Error::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") || header.len() > HEADER_BYTES_MAX {
            return Err(Error::Malformed);
        }
        let sha256: [u8; 32] = Sha256::digest(token.trim()).into();
        // Digests are compared, not tokens: how long a comparison takes says nothing about a token.
        let known = self.tokens.iter().find(|known| known.sha256 == sha256);
        known.map(|known| known.principal.clone()).ok_or(Error::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator(tokens: &[(&str, &str, Role)]) -> Authenticator {
        let known = tokens.iter().map(|(name, token, role)| Known {
            sha256: Sha256::digest(token).into(),
            principal: Principal { name: (*name).to_owned(), role: *role },
        });
        Authenticator { tokens: Arc::new(known.collect()) }
    }

    #[test]
    fn without_tokens_everybody_is_an_admin() {
        assert_eq!(authenticator(&[]).recognise(None).unwrap().role, Role::Admin);
    }

    #[test]
    fn a_token_names_its_holder() {
        let known =
            authenticator(&[("ci", "s3cret", Role::Operator), ("eve", "other", Role::Viewer)]);
        let principal = known.recognise(Some("Bearer s3cret")).unwrap();
        assert_eq!(principal, Principal { name: "ci".into(), role: Role::Operator });
        assert!(principal.role < Role::Admin && principal.role > Role::Viewer);
        assert_eq!(known.recognise(Some("bearer other")).unwrap().name, "eve");
    }

    #[test]
    fn whoever_has_no_known_token_is_nobody() {
        let known = authenticator(&[("ci", "s3cret", Role::Operator)]);
        assert_eq!(known.recognise(None), Err(Error::Missing));
        assert_eq!(known.recognise(Some("s3cret")), Err(Error::Malformed));
        assert_eq!(known.recognise(Some("Basic s3cret")), Err(Error::Malformed));
        assert_eq!(known.recognise(Some("Bearer wrong")), Err(Error::Unknown));
        assert_eq!(known.recognise(Some("Bearer ")), Err(Error::Unknown));
    }
}
