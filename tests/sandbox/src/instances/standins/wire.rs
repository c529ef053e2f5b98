//! HTTP as the stand-ins speak it: one request over the relay's socket, one answer, then the connection ends.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use super::super::{relay, rootfs};

/// What the relay answered.
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The head as it was sent.
    pub(super) head: String,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Why there was no answer.
pub(super) enum Failure {
    /// There is no such host.
    Unresolved,
    /// The URL has no host.
    BadUrl,
    /// The connection failed.
    Broken(String),
}

/// A request.
pub(super) struct Ask<'a> {
    /// `GET`, …
    pub(super) method: &'a str,
    /// `https://HOST/PATH`; without a scheme http is meant.
    pub(super) url: &'a str,
    /// `Name: value`.
    pub(super) headers: &'a [String],
    /// May be empty.
    pub(super) body: &'a [u8],
    /// How long to wait for each part of the answer.
    pub(super) patience: Duration,
}

/// Sends a request and reads the whole answer.
pub(super) fn ask(ask: &Ask<'_>) -> Result<Answer, Failure> {
    let (authority, target) = split(ask.url).ok_or(Failure::BadUrl)?;
    let broken = |error: std::io::Error| Failure::Broken(error.to_string());
    let mut stream = UnixStream::connect(rootfs::RELAY).map_err(broken)?;
    stream.set_read_timeout(Some(ask.patience)).map_err(broken)?;
    let mut head = format!(
        "{} {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {}\r\n",
        ask.method,
        ask.body.len()
    );
    for header in ask.headers {
        head.push_str(&format!("{}\r\n", header.replace(['\r', '\n'], " ")));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(ask.body);
    // An answer may come, and the connection end, before all was sent: what counts is the answer.
    let sent = stream.write_all(&bytes).map_err(broken);
    bytes.clear();
    let read = stream.read_to_end(&mut bytes).map_err(broken);
    if bytes.is_empty() {
        sent?;
    }
    read?;
    let answer = parse(&bytes).ok_or_else(|| Failure::Broken("the answer is no HTTP".into()))?;
    if answer.head.to_ascii_lowercase().contains(relay::UNRESOLVED) {
        Err(Failure::Unresolved)
    } else {
        Ok(answer)
    }
}

/// The host (without the scheme's own port) and the path with its query.
fn split(url: &str) -> Option<(String, String)> {
    let (rest, own_port) = match url.split_once("://") {
        Some(("https", rest)) => (rest, ":443"),
        Some(("http", rest)) => (rest, ":80"),
        Some(_) => return None,
        None => (url, ":80"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let authority = authority.strip_suffix(own_port).unwrap_or(authority);
    (!authority.is_empty()).then(|| (authority.to_owned(), target))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let raw = &bytes[end + 4..];
    let lower = head.to_ascii_lowercase();
    let body =
        if lower.contains("\r\ntransfer-encoding: chunked") { unchunk(raw)? } else { raw.to_vec() };
    Some(Answer { status, head, body })
}

fn unchunk(mut raw: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = raw.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&raw[..end]).ok()?.split(';').next()?.trim().to_owned();
        let size = usize::from_str_radix(&size, 16).ok()?;
        let from = end + 2;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(raw.get(from..from.checked_add(size)?)?);
        raw = raw.get(from + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{split, unchunk};

    #[test]
    fn urls_fall_into_host_and_target() {
        let parts =
            |url| split(url).map(|(host, target)| format!("{host} {target}")).unwrap_or_default();
        assert_eq!(
            parts("https://b.oss-cn-hangzhou-internal.aliyuncs.com:443/a/b?c=d#e"),
            "b.oss-cn-hangzhou-internal.aliyuncs.com /a/b?c=d"
        );
        assert_eq!(parts("http://100.100.100.200"), "100.100.100.200 /");
        assert_eq!(parts("http://h:8080?q"), "h:8080 /?q");
        assert!(split("ftp://h/").is_none());
        assert!(split("http:///x").is_none());
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(
            unchunk(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").as_deref(),
            Some(&b"abcde"[..])
        );
        assert!(unchunk(b"9\r\nabc").is_none());
    }
}
