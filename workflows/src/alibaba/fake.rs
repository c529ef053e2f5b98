//! A small server for the tests of the client and of steps: it hands each request to a function, and can cut connections.
//! It verifies no signature and shares nothing with the sandbox, which does.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as the server saw it.
pub(crate) struct Seen {
    /// The whole text.
    pub(crate) text: String,
}

impl Seen {
    /// The API's name, from the header.
    pub(crate) fn action(&self) -> &str {
        self.header("x-acs-action")
    }

    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    }

    /// The parameters of the query, decoded.
    pub(crate) fn query(&self) -> BTreeMap<String, String> {
        let target = self.text.split(' ').nth(1).unwrap_or_default();
        let pairs = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        pairs
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect()
    }

    /// Id of the AccessKey that signed.
    pub(crate) fn key_id(&self) -> &str {
        let header = self.header("authorization");
        header
            .split("Credential=")
            .nth(1)
            .and_then(|rest| rest.split([',', '/']).next())
            .unwrap_or_default()
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers with these bytes.
    Text(String),
    /// Closes the connection.
    Cut,
    /// Says nothing.
    Silence,
}

impl Reply {
    /// An answer with status line, further header lines (each with its line end) and body.
    pub(crate) fn of(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Text(format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }
}

/// The running server; it ends when dropped.
pub(crate) struct FakeCloud {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    _tasks: JoinSet<()>,
}

impl FakeCloud {
    /// Starts it on a free port.
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let handler = Arc::new(handler);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                open.spawn(async move {
                    let seen = Seen { text: read_request(&mut socket).await };
                    match handler(&seen) {
                        // A client that has gone away is none of the server's business.
                        Reply::Text(text) => drop(socket.write_all(text.as_bytes()).await),
                        Reply::Cut => {}
                        Reply::Silence => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = vec![];
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ").map(|n| n.parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if count == 0 {
            return text;
        }
    }
}
