//! Where a daemon is: `http(s)://HOST:PORT`, or `HOST:PORT` (https, but http on loopback).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a daemon listens unless it is told otherwise.
pub const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7443";

/// An address whose scheme is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    /// As it stands in a URL: IPv6 in brackets.
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address {} {why}; expected https://HOST:PORT, or http://HOST:PORT",
    causeway_proto::json::shown(text)
)]
pub struct AddressError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Address {
    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the daemon is on this very machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The host, as a certificate names it.
    #[must_use]
    pub fn host(&self) -> &str {
        bare(&self.host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |why| AddressError { text: text.to_owned(), why };
        let (scheme, rest) = match text.trim().split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return Err(refuse("has a scheme that is neither http nor https")),
            None => (None, text.trim()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| refuse("has no port"))?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.contains(':') && !bracketed {
            return Err(refuse("has an IPv6 host without brackets"));
        }
        let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let sound = if bracketed {
            bare(host).parse::<IpAddr>().is_ok()
        } else {
            !host.is_empty() && host.bytes().all(in_a_name)
        };
        if !sound {
            return Err(refuse("has no host in it"));
        }
        let port = port.parse().map_err(|_| refuse("has a port that is no number up to 65535"))?;
        let secure = scheme.unwrap_or_else(|| !is_loopback(host));
        Ok(Self { secure, host: host.to_owned(), port })
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_loopback(host: &str) -> bool {
    let host = bare(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_https_except_on_loopback() {
        for (text, url) in [
            (DEFAULT_ADDRESS, "http://127.0.0.1:7443"),
            ("127.0.0.1:7443", "http://127.0.0.1:7443"),
            ("localhost:7443", "http://localhost:7443"),
            ("[::1]:7443", "http://[::1]:7443"),
            ("https://127.0.0.1:7443/", "https://127.0.0.1:7443"),
            ("causeway.example.com:443", "https://causeway.example.com:443"),
            ("10.0.0.7:7443", "https://10.0.0.7:7443"),
            ("http://10.0.0.7:7443", "http://10.0.0.7:7443"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (text, why) in [
            ("localhost", "has no port"),
            ("ftp://localhost:1", "neither http nor https"),
            ("::1:7443", "without brackets"),
            ("localhost:99999", "65535"),
            ("http://:80", "no host"),
            ("http://a/b:80", "no host"),
            ("http://user@host:80", "no host"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
