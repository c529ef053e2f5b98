//! The commands, one file each.

pub mod clusters;
pub mod completion;
pub mod connections;
pub mod decide;
pub mod describe;
pub mod example;
pub mod explain;
pub mod get;
pub mod history;
pub mod list;
pub mod manual;
pub mod plan;
pub mod server;
pub mod start;
pub mod steer;
pub mod stuck;
pub mod teardown;
pub mod validate;
pub mod version;
pub mod watch;
pub mod whoami;

use std::path::{Path, PathBuf};

use causeway_proto::codes;
use causeway_proto::json::Violation;
use clap::Args;

use crate::error::Error;

/// A workflow, as a person names it.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// An id, the beginning of one, workflows/ID, or @last
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It was asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The input file is wrong.
    #[error("the input can't be used{}", violations.iter().map(|violation| format!("\n  {violation}")).collect::<String>())]
    Input {
        /// Everything that is.
        violations: Vec<Violation>,
    },
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The person said no.
    #[error("nothing was changed")]
    Declined,
    /// A file that was named can't be read or used.
    #[error("{}: {why}", brief(path))]
    File {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// A file can't be written.
    #[error("{} can't be written: {why}", brief(path))]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The result can't be printed.
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
    /// The daemon refused, or can't be reached.
    #[error(transparent)]
    Client(#[from] Error),
}

/// A path as it was given; what is too long for a path is cut.
fn brief(path: &Path) -> String {
    let text = path.display().to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

impl CommandError {
    pub(super) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.to_path_buf(), why: error.to_string() }
    }

    pub(super) fn write(path: &Path, error: &std::io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), why: error.to_string() }
    }

    /// What is known besides, and what to type next.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Input { .. } => Some("see: causeway example --full".to_owned()),
            Self::Client(Error::Api(error)) => {
                let state = error.metadata.get("state").map(|state| format!("state: {state}"));
                let reason =
                    (!error.reason.is_empty()).then(|| format!("reason: {}", error.reason));
                let said: Vec<_> = reason.into_iter().chain(state).collect();
                let explain = explain_of(&error.reason);
                let lines = [said.join(", "), explain.unwrap_or_default()];
                let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
                (!lines.is_empty()).then(|| lines.join("\n"))
            }
            _ => None,
        }
    }
}

/// What to type to learn more about a code; `None` where no more is known.
pub(crate) fn explain_of(code: &str) -> Option<String> {
    (!codes::lookup(code).is_empty()).then(|| format!("more: causeway explain {code}"))
}
