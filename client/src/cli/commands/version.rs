//! `causeway version`: of this program, and of the daemon if there is one.

use super::CommandError;
use crate::cli::{Exit, Session};
use crate::retry::Patience;
use crate::{Client, Error};

pub(crate) async fn run(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let own = env!("CARGO_PKG_VERSION");
    // Nobody waits for a daemon to learn the version of the program at hand.
    let mut options = session.context.options()?;
    options.patience = Patience::NONE;
    let daemon = match Client::new(&options)?.server_info().await {
        Ok(info) => Some(info.version),
        Err(Error::Unreachable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let document = serde_json::json!({ "client": own, "daemon": daemon });
    let daemon = daemon.as_deref().unwrap_or("not reached");
    session.print_document(&document, own, |_| format!("causeway {own}\ncausewayd {daemon}"))?;
    Ok(Exit::Done)
}
