//! `causeway server`: the daemon itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_proto::json::parse_duration;
use causeway_proto::v1::DrainRequest;
use clap::{Args, Subcommand};
use serde_json::json;

use super::CommandError;
use crate::admin::Backup as Pieces;
use crate::cli::{Exit, Session, render, values};
use crate::retry::Patience;

/// What can be asked of the daemon.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Version, store, definitions and load
    Info,
    /// Copy its store, consistently and while it works, into one checksummed file
    Backup(Backup),
    /// Have it take nothing on any more, and park what runs at its next safe point
    Drain(Drain),
}

/// Where a backup goes.
#[derive(Debug, Args)]
pub struct Backup {
    /// A file that does not exist yet; it is there once it is whole [default: standard output, if that is no terminal]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How to drain.
#[derive(Debug, Args)]
pub struct Drain {
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = values::reason)]
    reason: String,
    /// How long calls in flight may take, such as 1m [default: the daemon's]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Repeat a call whose answer was lost: the request id that it printed
    #[arg(long, value_name = "ID", value_parser = values::request_id)]
    request_id: Option<String>,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, CommandError> {
    match verb {
        Verb::Info => {
            let client = session.client()?;
            let info = client.server_info().await?;
            session
                .print_one(&info, client.address(), |style| render::server::info(&info, style))?;
        }
        Verb::Backup(Backup { file: Some(file) }) => to_file(session, &file).await?,
        Verb::Backup(Backup { file: None }) => to_output(session).await?,
        Verb::Drain(arguments) => drain(session, arguments).await?,
    }
    Ok(Exit::Done)
}

/// Writes the pieces where they belong; how many bytes.
async fn copy(
    pieces: &mut Pieces,
    to: &mut dyn Write,
) -> Result<Result<u64, std::io::Error>, CommandError> {
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await? {
        bytes += piece.len() as u64;
        if let Err(error) = to.write_all(&piece) {
            return Ok(Err(error));
        }
    }
    Ok(to.flush().map(|()| bytes))
}

/// A file under that name is a whole backup, or there is none: it is written beside it, and then named.
async fn to_file(session: &mut Session<'_>, file: &Path) -> Result<(), CommandError> {
    let cannot = |error: &std::io::Error| CommandError::write(file, error);
    if file.exists() {
        let why = "it exists already; name another".to_owned();
        return Err(CommandError::Write { path: file.to_path_buf(), why });
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut written = tempfile::NamedTempFile::new_in(folder).map_err(|error| cannot(&error))?;
    let mut pieces = session.client()?.backup().await?;
    let bytes = copy(&mut pieces, &mut written).await?.map_err(|error| cannot(&error))?;
    written.as_file().sync_all().map_err(|error| cannot(&error))?;
    written.persist_noclobber(file).map_err(|error| cannot(&error.error))?;
    // The name is kept by the folder.
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| cannot(&error))?;
    let name = file.display().to_string();
    let document = json!({"file": name, "bytes": bytes});
    session.print_document(&document, &name, |_| format!("{name}: {bytes} bytes"))
}

async fn to_output(session: &mut Session<'_>) -> Result<(), CommandError> {
    if session.console.out_terminal {
        let why = "a backup is no text for a terminal: give --file FILE, or redirect the output";
        return Err(CommandError::Usage(why.to_owned()));
    }
    let mut pieces = session.client()?.backup().await?;
    copy(&mut pieces, session.console.raw()).await??;
    Ok(())
}

async fn drain(session: &mut Session<'_>, arguments: Drain) -> Result<(), CommandError> {
    let question = "It takes nothing on any more until it is started anew. Drain it?";
    if session.console.interactive && !arguments.yes && !session.console.agrees(question) {
        return Err(CommandError::Declined);
    }
    let client = session.client()?.with_patience(Patience::default());
    let timeout = arguments.timeout.map(prost_types::Duration::try_from).transpose();
    let timeout = timeout.map_err(|error| CommandError::Usage(format!("--timeout: {error}")))?;
    let request_id = arguments.request_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    session.console.say(&format!("request id: {request_id}"));
    let request = DrainRequest { reason: arguments.reason, timeout, request_id };
    let drained = client.drain(request).await?;
    let words = |_| {
        format!(
            "drained: {} workflows are parked, {} calls were still in flight",
            drained.parked, drained.in_flight
        )
    };
    session.print_one(&drained, client.address(), words)
}
