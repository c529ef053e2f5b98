//! `causeway connections`: the cloud accounts that the daemon may work in.

use super::CommandError;
use crate::cli::{Exit, Session, render};

pub(crate) async fn run(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let connections = session.client()?.connections().await?;
    let table = |style| render::cluster::connections(&connections, style);
    session.print_many(&connections, |connection| connection.name.clone(), table)?;
    Ok(Exit::Done)
}
