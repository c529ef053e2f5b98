//! `causeway man`: the manual, made from the command line's own definition.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use serde_json::json;

use super::CommandError;
use crate::cli::{Cli, Exit, Session};

/// Where the pages go.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder for a page of each command [default: the first page only, on standard output]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(crate) fn run(session: &mut Session<'_>, arguments: &Arguments) -> Result<Exit, CommandError> {
    let Some(folder) = &arguments.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        let page = String::from_utf8_lossy(&page).into_owned();
        let document = json!({"page": "causeway.1", "text": page});
        session.print_document(&document, "causeway.1", |_| page.clone())?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder).map_err(|error| CommandError::write(folder, &error))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives each command below the name of its page.
    command.build();
    let mut pages = pages(&command);
    pages.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, page) in &pages {
        let path = folder.join(name);
        std::fs::write(&path, page).map_err(|error| CommandError::write(&path, &error))?;
    }
    let written: Vec<_> = pages
        .iter()
        .map(|(name, _)| (folder.join(name).display().to_string(), json!({"page": name})))
        .collect();
    let list = written.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join("\n");
    session.print_documents(&written, |_| list.clone())?;
    Ok(Exit::Done)
}

/// A page for a command, and for each below it; named as `man` finds them: `causeway-clusters-get.1`.
fn pages(command: &clap::Command) -> Vec<(String, Vec<u8>)> {
    let manual = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    // Writing into memory does not fail.
    manual.render(&mut page).ok();
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).flat_map(pages);
    std::iter::once((manual.get_filename(), page)).chain(below).collect()
}
