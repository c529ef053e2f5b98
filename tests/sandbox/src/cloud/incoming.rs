//! A request as it came over the wire, with what all signature schemes need of it. It knows no product.

use bytes::Bytes;
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A request with its body read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incoming {
    /// Upper case.
    pub(crate) method: String,
    /// The path as sent, still encoded.
    pub(crate) path: String,
    /// The query's pairs, decoded, in the order sent; a key without `=` has no value.
    pub(crate) query: Vec<(String, Option<String>)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The VPC that the request comes from; only the relay inside this process can say so.
    pub(crate) vpc: Option<String>,
}

impl Incoming {
    pub(crate) fn new(parts: &http::request::Parts, body: Bytes, vpc: Option<String>) -> Self {
        let mut headers = parts.headers.clone();
        // HTTP/2 and absolute-form requests carry the host in the URI.
        if let (None, Some(authority)) = (headers.get("host"), parts.uri.authority())
            && let Ok(value) = authority.as_str().parse()
        {
            headers.insert("host", value);
        }
        let query = parts.uri.query().unwrap_or_default();
        // The official clients of the signed APIs write blanks as in forms, and sign them as %20.
        let signed_api = headers.keys().any(|name| name.as_str().starts_with("x-acs-"));
        let query = if signed_api { query.replace('+', "%20") } else { query.to_owned() };
        Self {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parse_query(&query),
            headers,
            body,
            vpc,
        }
    }

    /// A header's text without blanks around it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().ok()?.trim())
    }

    /// A query parameter that has a value.
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name)?.1.as_deref()
    }

    /// Whether the query has this key, with or without a value.
    pub(crate) fn has_query(&self, name: &str) -> bool {
        self.query.iter().any(|(key, _)| key == name)
    }

    pub(crate) fn host(&self) -> &str {
        self.header("host").unwrap_or_default()
    }
}

/// The pairs of a query string. A `+` stays one.
pub(crate) fn parse_query(query: &str) -> Vec<(String, Option<String>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => (decode(key), Some(decode(value))),
            None => (decode(pair), None),
        })
        .collect()
}

/// The pairs of a form body.
pub(crate) fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body).replace('+', " ");
    let pairs = parse_query(&text);
    pairs.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}

/// RFC 3986 percent-encoding of everything that is not unreserved.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// As [`encode`], with slashes kept.
pub(crate) fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, RESERVED_IN_PATH).to_string()
}

pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
