//! `causeway whoami`: who the daemon takes the caller for, and what they may do.

use causeway_proto::v1::server_info::Caller;

use super::CommandError;
use crate::cli::{Exit, Session, render};

pub(crate) async fn run(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let info = session.client()?.server_info().await?;
    let caller: Caller = info.caller.ok_or_else(|| {
        CommandError::NotFound(format!("causewayd {} is too old to say who asks", info.version))
    })?;
    let name = caller.principal.clone();
    session.print_one(&caller, &name, |_| render::server::caller(&caller))?;
    Ok(Exit::Done)
}
