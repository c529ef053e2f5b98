//! `causeway describe`: one workflow in full.

use super::{CommandError, Named};
use crate::cli::{Exit, Session, render, resolve};

pub(crate) async fn run(session: &mut Session<'_>, named: &Named) -> Result<Exit, CommandError> {
    let client = session.client()?;
    let workflow = resolve::workflow(&client, &session.context, &named.id).await?;
    session.print_one(&workflow, &workflow.name, |style| {
        render::workflow::describe(&workflow, style)
    })?;
    Ok(Exit::Done)
}
