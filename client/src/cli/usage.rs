//! What was typed, read; and what is wrong with it, said without repeating all of it.

use std::ffi::OsString;

use clap::Parser as _;

use super::{Cli, Exit};

/// What stands below the help of the whole program, and in its manual.
pub(super) const HELP: &str = "\
Exit codes:
    0  done, accepted, or (waiting) SUCCEEDED
    1  another error
    2  wrong usage or input, or REJECTED: nothing was touched
    3  COMPENSATED: it failed, and everything was undone
    4  CANCELLED: everything was undone
    5  STUCK: an undo needs a person
    6  the time for waiting (--timeout) is over
    7  the daemon can't be reached, or can't serve now
    8  permission denied
    9  not found
   10  conflict, refused in this state, or not agreed to
   11  there are differences (plan --detailed-exitcode, clusters verify)
   12  ABANDONED: something is left
   13  waits for a person: PAUSED, AWAITING_APPROVAL, QUARANTINED
  130  detached by Ctrl-C; the workflow goes on

Contexts:
  causeway/contexts.toml in $XDG_CONFIG_HOME, else in ~/.config, with a table per context:

    [prod]
    address = \"https://causeway.example.com:7443\"
    ca_file = \"ca.pem\"            # who may have signed the daemon's certificate
    cert_file = \"me.pem\"          # one's own certificate, if it asks for one
    key_file = \"me.key\"
    token_file = \"token\"          # or: token_command = \"a command that prints the token\"

  Paths begin at the file's folder. Chosen by --context NAME or CAUSEWAY_CONTEXT. CAUSEWAY_TOKEN, if set, is the token.

A workflow is named by its id, an unambiguous beginning of it, workflows/ID, or @last: the last that was started here.
NO_COLOR leaves the colours out.";

/// Longest argument that an error repeats whole, in characters.
const SHOWN_CHARS_MAX: usize = 80;
/// Longest line of an error, in characters: what is longer helps nobody.
const LINE_CHARS_MAX: usize = 2000;

/// Reads a command line, the program's name first. Where there is nothing to run, it says so, or shows the help that was asked
/// for.
///
/// # Errors
/// The code to end with.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => Ok(cli),
        Err(error) if !error.use_stderr() => {
            // Where standard output is closed, nobody wants to know.
            error.print().ok();
            Err(Exit::Done)
        }
        Err(error) => {
            let console = super::Console::standard();
            let text = error.render();
            let text = if console.err_color { text.ansi().to_string() } else { text.to_string() };
            let text = shortened(text, &arguments);
            eprintln!("{}", clipped(text.trim_end()));
            Err(Exit::Input)
        }
    }
}

/// The text with each long argument cut.
fn shortened(mut text: String, arguments: &[OsString]) -> String {
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let value = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => value,
            _ => &argument,
        };
        if let Some((end, _)) = value.char_indices().nth(SHOWN_CHARS_MAX) {
            let short = format!("{}… ({} bytes)", &value[..end], value.len());
            text = text.replace(value, &short);
        }
    }
    text
}

/// The text with each line cut to what a person may read.
pub(super) fn clipped(text: &str) -> String {
    let clip = |line: &str| match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &line[..end], line.len()),
        None => line.to_owned(),
    };
    text.lines().map(clip).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_repeated_in_short() {
        let long = "y".repeat(100_000);
        for line in [
            vec!["causeway", "watch", "w1", "--timeout", &long],
            vec!["causeway", "watch", "w1", &format!("--timeout={long}")],
            vec!["causeway", &long],
            vec!["causeway", "get", "w1", "-o", &long],
        ] {
            let line: Vec<OsString> = line.into_iter().map(OsString::from).collect();
            let error = Cli::try_parse_from(&line).unwrap_err().to_string();
            let said = clipped(&shortened(error, &line));
            assert!(said.contains("bytes)") && said.len() < 1500, "{said:.600}");
        }
    }
}
