//! The sandbox's own endpoint, for its commands: the ledger, and the faults in force. It is not part of the simulated
//! world, and the daemon does not know it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::faults::Faults;

/// Whoever can dump the world.
#[async_trait]
pub trait Dump: Send + Sync {
    /// The ledger as text.
    async fn ledger(&self) -> anyhow::Result<String>;
}

#[derive(Clone)]
struct Control {
    dump: Arc<dyn Dump>,
    faults: Arc<Faults>,
}

/// `GET /ledger`, `GET | POST | DELETE /faults`, `GET /health`.
pub fn router(dump: Arc<dyn Dump>, faults: Arc<Faults>) -> Router {
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ledger", get(ledger))
        .route("/faults", get(list).post(add).delete(clear))
        .with_state(Control { dump, faults })
}

async fn ledger(State(control): State<Control>) -> Response {
    match control.dump.ledger().await {
        Ok(text) => text.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn list(State(control): State<Control>) -> String {
    control.faults.list().iter().map(|rule| format!("{rule}\n")).collect()
}

async fn add(State(control): State<Control>, rule: String) -> Response {
    match control.faults.add(rule.trim()) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn clear(State(control): State<Control>) -> StatusCode {
    control.faults.clear();
    StatusCode::NO_CONTENT
}
