//! Values on the command line that have a form: what is malformed or too long is refused before anything is sent.

use causeway_proto::json::shown;
use causeway_proto::limits::{
    FILTER_BYTES_MAX, REASON_BYTES_MAX, REQUEST_ID_LEN_MAX, STRING_BYTES_MAX,
};
use causeway_proto::names;

/// Longest name of a step: a template's and a node pool's.
const STEP_BYTES_MAX: usize = 128;

fn at_most(text: &str, bytes: usize) -> Result<String, String> {
    if text.len() > bytes {
        return Err(format!("it has {} bytes; at most {bytes} are allowed", text.len()));
    }
    Ok(text.to_owned())
}

fn some(text: &str, bytes: usize) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    at_most(text, bytes)
}

/// Why somebody does something.
pub(super) fn reason(text: &str) -> Result<String, String> {
    at_most(text, REASON_BYTES_MAX)
}

/// Which workflows a list shows.
pub(super) fn filter(text: &str) -> Result<String, String> {
    at_most(text, FILTER_BYTES_MAX)
}

/// The id by which a call is repeated.
pub(super) fn request_id(text: &str) -> Result<String, String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has characters that are no printable ASCII".to_owned());
    }
    some(text, REQUEST_ID_LEN_MAX)
}

/// The id of a workflow that is to be started.
pub(super) fn workflow_id(text: &str) -> Result<String, String> {
    if names::is_id(text) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is no id: 1 to 40 of a-z, 0-9 and -, with no - at the ends", shown(text)))
}

/// The name of a step.
pub(super) fn step(text: &str) -> Result<String, String> {
    some(text, STEP_BYTES_MAX)
}

/// Something opaque that a command has printed: a digest, an etag, a page token.
pub(super) fn opaque(text: &str) -> Result<String, String> {
    some(text, STRING_BYTES_MAX)
}

/// A label.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((some(key, STRING_BYTES_MAX)?, at_most(value, STRING_BYTES_MAX)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_the_form_is_refused() {
        let long = "x".repeat(5000);
        for refused in [
            reason(&long).is_err(),
            filter(&long).is_err(),
            request_id(&long).is_err(),
            request_id("").is_err(),
            request_id("a b").is_err(),
            workflow_id("A").is_err(),
            workflow_id("").is_err(),
            step(" ").is_err(),
            step(&long).is_err(),
            opaque("").is_err(),
            label("team").is_err(),
            label("=edge").is_err(),
        ] {
            assert!(refused);
        }
        assert_eq!(label("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(step("make[a]").unwrap(), "make[a]");
    }
}
