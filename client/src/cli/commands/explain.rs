//! `causeway explain`: what a code means, and what to do about it. It asks no daemon.

use causeway_proto::codes::{self, Code};
use causeway_proto::json::shown;
use clap::Args;
use serde_json::{Value, json};

use super::CommandError;
use crate::cli::{Exit, Session, render};

/// Which code.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A code, state, reason or class, as it is printed [default: all of them]
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(crate) fn run(session: &mut Session<'_>, arguments: &Arguments) -> Result<Exit, CommandError> {
    let Some(code) = arguments.code.as_deref() else {
        let all: Vec<_> = codes::all().collect();
        session.print_documents(&documents(&all), |style| render::code::list(&all, style))?;
        return Ok(Exit::Done);
    };
    let found = codes::lookup(code);
    if found.is_empty() {
        return Err(CommandError::NotFound(unknown(code)));
    }
    session.print_documents(&documents(&found), |_| render::code::explain(code, &found))?;
    Ok(Exit::Done)
}

fn documents(codes: &[&Code]) -> Vec<(String, Value)> {
    let document = |code: &&Code| {
        let Code { code: name, kind, class, meaning, advice } = **code;
        let kind = kind.as_str();
        let document = json!({"code": name, "kind": kind, "class": class.as_str(), "meaning": meaning, "advice": advice});
        (name.to_owned(), document)
    };
    codes.iter().map(document).collect()
}

fn unknown(code: &str) -> String {
    let near = codes::suggest(code);
    let meant = if near.is_empty() {
        "causeway explain lists those that are".to_owned()
    } else {
        format!("did you mean {}? (causeway explain lists all)", near.join(", "))
    };
    format!("the code {} is not known; {meant}", shown(code))
}
