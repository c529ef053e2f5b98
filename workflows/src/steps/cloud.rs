//! What the cloud's steps share: the client that a step works with, proven to be of the account that the checks saw, and
//! the words for recording what it touched. Knows no step.

use causeway_engine::event::Object;
use causeway_engine::{Failure, FailureClass, Finding, Severity, StepName, WorkflowId};

use crate::alibaba::Client;
use crate::sdk::Context;
use crate::spec::document::{Document, Spec};

/// The account's client for the input's region, bounded by the attempt's deadline.
///
/// # Errors
/// `CONNECTION_MOVED` where the connection's key belongs to another account than the checks saw.
pub async fn cloud_of(context: &Context) -> Result<Client, Failure> {
    let client = unverified(context);
    let found = client.account_id().await?;
    let seen = context
        .outputs
        .get(&StepName::from("check-identity"))
        .and_then(|output| output["account_id"].as_str());
    let wanted = seen.unwrap_or(&context.connection.config.account_id);
    if found != wanted {
        return Err(Failure::permanent(format!(
            "the connection {} now signs for account {found}, the workflow belongs to {wanted}; point it back, then retry",
            context.connection.config.name
        ))
        .with_code("CONNECTION_MOVED"));
    }
    Ok(client)
}

/// The same client for the one check that verifies the account itself.
#[must_use]
pub(super) fn unverified(context: &Context) -> Client {
    let region = context
        .input
        .pointer("/spec/region")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let client = context.connection.cloud.in_region(region);
    match context.deadline.and_then(|deadline| i64::try_from(deadline.0).ok()) {
        Some(deadline) => jiff::Timestamp::from_millisecond(deadline)
            .map_or_else(|_| client.clone(), |deadline| client.until(deadline)),
        None => client,
    }
}

/// The input's spec.
///
/// # Errors
/// Permanent where it can't be read: it was validated at the start.
pub fn spec_of(context: &Context) -> Result<Spec, Failure> {
    Ok(context.document::<Document>()?.spec)
}

/// Records an object that a call has just touched. Where that fails the call's effect is not on disk: an unknown outcome.
///
/// # Errors
/// Class `Unknown` where the record could not be written.
pub async fn touched(context: &Context, object: Object) -> Result<(), Failure> {
    context
        .recorder
        .seen(object)
        .await
        .map_err(|failure| Failure { class: FailureClass::Unknown, ..failure })
}

/// Records that everything this step has touched is gone.
///
/// # Errors
/// As [`touched`].
pub async fn all_gone(context: &Context) -> Result<(), Failure> {
    for object in context.effects.iter().filter(|object| object.present) {
        touched(context, Object { present: false, ..object.clone() }).await?;
    }
    Ok(())
}

/// Something that stands in the way and is neither wanted nor ours.
#[must_use]
pub fn conflict(message: impl Into<String>) -> Failure {
    Failure::permanent(message).with_code("CONFLICT")
}

/// The text by which an object of the cloud names the workflow that made it.
#[must_use]
pub fn marker(workflow: &WorkflowId) -> String {
    format!("causeway:{workflow}")
}

/// Whether `text` (a description, a comment) names this workflow as its maker.
#[must_use]
pub fn is_marked_by(text: &str, workflow: &WorkflowId) -> bool {
    text.split_whitespace().any(|word| word == marker(workflow))
}

/// Whether `text` names any workflow as its maker.
#[must_use]
pub fn is_marked(text: &str) -> bool {
    text.split_whitespace().any(|word| word.starts_with("causeway:"))
}

/// A finding that stops the workflow.
#[must_use]
pub fn error(
    code: &str,
    subject: impl Into<String>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    finding(Severity::Error, code, subject, message, remedy)
}

/// A finding that is said, and does not stop.
#[must_use]
pub fn warning(
    code: &str,
    subject: impl Into<String>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    finding(Severity::Warning, code, subject, message, remedy)
}

fn finding(
    severity: Severity,
    code: &str,
    subject: impl Into<String>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        severity,
        code: code.to_owned(),
        subject: subject.into(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

/// A check's answer: passed with the warnings, or failed with all findings.
///
/// # Errors
/// Permanent, with all findings, where one of them stops the workflow.
pub fn judged(
    what: &str,
    findings: Vec<Finding>,
    output: serde_json::Value,
) -> Result<crate::sdk::Checked, Failure> {
    let errors: Vec<&Finding> =
        findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let Some(first) = errors.first() else {
        return Ok(crate::sdk::Checked::Passed { output, warnings: findings });
    };
    let more =
        if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
    let message = format!("{what}: {}: {}{more}; {}", first.subject, first.message, first.remedy);
    let code = first.code.clone();
    Err(Failure::findings(message, findings).with_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_whole_words() {
        let workflow = WorkflowId::from("w1");
        assert!(is_marked_by("made by causeway:w1 for c1", &workflow));
        assert!(!is_marked_by("made by causeway:w12", &workflow));
        assert!(is_marked("causeway:w12") && !is_marked("Causeway"));
    }

    #[test]
    fn a_check_with_errors_fails_with_all_its_findings() {
        let findings =
            vec![warning("W", "a", "b", "c"), error("E", "s", "m", "r"), error("F", "s", "m", "r")];
        let failure = judged("network", findings, serde_json::Value::Null).unwrap_err();
        assert_eq!((failure.findings.len(), failure.code.as_deref()), (3, Some("E")));
        assert_eq!(failure.message, "network: s: m (and 1 more); r");
    }
}
