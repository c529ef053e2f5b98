//! Watches: a stream of JSON lines that follows the store's log.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{Response, header};
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    api::{Api, Call},
    registry::Kind,
    selector::Selector,
    status::{Failure, Outcome},
    store::{Change, Event, Store},
    table,
    write::render,
};

/// How often an idle watch that wants bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(15);
/// How long a watch lasts that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

struct Watching {
    store: Arc<Store>,
    kind: Kind,
    namespace: String,
    selector: Selector,
    cursor: u64,
    lines: VecDeque<Bytes>,
    changes: Receiver<u64>,
    deadline: Instant,
    bookmarks: bool,
    tables: bool,
    stop: CancellationToken,
    ended: bool,
}

/// Starts a watch.
pub(super) fn answer(api: &Api, call: &Call, kind: &Kind) -> Outcome<Response<Body>> {
    let request = &call.request;
    let timeout =
        request.param("timeoutSeconds").parse().map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let mut watching = Watching {
        changes: api.store.changes(),
        store: Arc::clone(&api.store),
        kind: kind.clone(),
        namespace: request.wanted.namespace.clone(),
        selector: request.selector()?,
        cursor: 0,
        lines: VecDeque::new(),
        deadline: Instant::now() + timeout,
        bookmarks: request.flag("allowWatchBookmarks"),
        tables: table::is_asked_for(&call.headers),
        stop: api.stop.clone(),
        ended: false,
    };
    let from = request.param("resourceVersion");
    if request.flag("sendInitialEvents") || from.is_empty() || from == "0" {
        watching.start_with_everything(request.flag("sendInitialEvents"));
    } else {
        watching.cursor = from
            .parse()
            .map_err(|_| Failure::bad_request(format!("invalid resource version {from:?}")))?;
        if !watching.catch_up() {
            return Err(Failure::expired(format!("too old resource version: {from}")));
        }
    }
    let lines = stream::unfold(watching, |mut watching| async move {
        let line = watching.next().await?;
        Some((Ok::<_, std::io::Error>(line), watching))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            // Marked before reading, so that a change in between is seen in the next round.
            self.changes.mark_unchanged();
            if !self.catch_up() {
                self.push("ERROR", &Failure::expired("too old resource version").status());
                self.ended = true;
                continue;
            }
            if !self.lines.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.deadline) => return None,
                () = tokio::time::sleep(BOOKMARK_INTERVAL), if self.bookmarks => self.bookmark(&json!({})),
                changed = self.changes.changed() => changed.ok()?,
            }
        }
    }

    fn start_with_everything(&mut self, marks_end: bool) {
        let state = self.store.read();
        let objects = state.list(&self.kind.group, &self.kind.plural, &self.namespace);
        self.cursor = state.revision();
        drop(state);
        for (_, object) in objects {
            let shown = render(&self.kind, &object);
            if self.selector.matches(&shown) {
                self.push("ADDED", &shown);
            }
        }
        if marks_end {
            self.bookmark(&json!({"k8s.io/initial-events-end": "true"}));
        }
    }

    /// Reads what is new; false when some of it is no longer kept.
    fn catch_up(&mut self) -> bool {
        let state = self.store.read();
        let Some(events) = state.since(self.cursor, &self.kind.group, &self.kind.plural) else {
            return false;
        };
        self.cursor = state.revision().max(self.cursor);
        // A CRD may have another schema by now, or be gone.
        match state.kind(&self.kind.group, &self.kind.version, &self.kind.plural) {
            Some(kind) => self.kind = kind,
            None => self.ended = true,
        }
        drop(state);
        for event in events {
            self.tell(&event);
        }
        true
    }

    fn tell(&mut self, event: &Event) {
        if !self.namespace.is_empty() && event.key.namespace != self.namespace {
            return;
        }
        let object = render(&self.kind, &event.object);
        let selected = event.change != Change::Deleted && self.selector.matches(&object);
        let was = event.previous.as_ref().is_some_and(|previous| self.selector.matches(previous));
        match (was, selected) {
            (false, true) => self.push("ADDED", &object),
            (true, true) => self.push("MODIFIED", &object),
            (true, false) => self.push("DELETED", &object),
            (false, false) => {}
        }
    }

    fn bookmark(&mut self, annotations: &Value) {
        let mut metadata =
            json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if annotations.as_object().is_some_and(|map| !map.is_empty()) {
            metadata["annotations"] = annotations.clone();
        }
        let object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata});
        self.lines.push_back(line("BOOKMARK", &object));
    }

    fn push(&mut self, kind: &str, object: &Value) {
        let line = match kind {
            "ERROR" => line(kind, object),
            _ if self.tables => {
                line(kind, &table::of(&self.kind, std::slice::from_ref(object), &json!({})))
            }
            _ => line(kind, object),
        };
        self.lines.push_back(line);
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}
