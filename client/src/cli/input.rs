//! Input files: YAML or JSON, from a path or (`-`) from standard input, into the request that they stand for.

use std::io::Read as _;
use std::path::Path;

use causeway_proto::json::Violation;
use causeway_proto::v1::StartWorkflowRequest;
use causeway_proto::{form, input, limits};
use clap::Args;

use super::commands::CommandError;

/// The longest file that is read, in bytes: no request may be longer.
const BYTES_MAX: u64 = limits::REQUEST_BYTES_MAX as u64;

/// Which file.
#[derive(Debug, Clone, Args)]
pub(crate) struct File {
    /// The input file, YAML or JSON; - for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    path: std::path::PathBuf,
}

impl File {
    /// As it is typed again.
    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where it can't be read, or with everything in it that is wrong as far as that can be told without a daemon.
    pub(super) fn read(&self) -> Result<StartWorkflowRequest, CommandError> {
        let text = read_text(&self.path).map_err(|error| CommandError::file(&self.path, &error))?;
        decode(&text)
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let source: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    let mut text = String::new();
    let read = source.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The request in a file's text.
pub(super) fn decode(text: &str) -> Result<StartWorkflowRequest, CommandError> {
    // The place is named and not shown: there may be a script with a token in it.
    let options = serde_saphyr::options! { with_snippet: false };
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            CommandError::Input { violations: vec![Violation::new("", error.to_string())] }
        })?;
    let request = input::decode(&value).map_err(|violations| CommandError::Input { violations })?;
    let violations = form::check(&request);
    if violations.is_empty() { Ok(request) } else { Err(CommandError::Input { violations }) }
}
