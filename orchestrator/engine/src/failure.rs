//! Failures as the engine knows them: a class that decides what happens next, and words for the person who reads them.

use serde::{Deserialize, Serialize};

/// What a failure means for the step that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Answered, and worth another try: 503, a conflict that passes, something not ready yet.
    Retryable,
    /// Flow control; tried again no sooner than the answer allows.
    Throttled,
    /// The input or a permission: trying again can't help.
    Permanent,
    /// What the call was about does not exist (any more).
    Gone,
    /// The condition on the before-image failed; the call had no effect.
    Stale,
    /// The answer was lost: the call may have had its effect, or still have it.
    Unknown,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Stops the workflow.
    Error,
    /// Is said, and does not stop it.
    Warning,
}

/// One thing that a check found in the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether it stops the workflow.
    pub severity: Severity,
    /// Stable, UPPER_SNAKE: `VSWITCH_OVERLAP`.
    pub code: String,
    /// The resource or field that it is about: `vsw-bp1nodes (10.10.24.0/24)`.
    pub subject: String,
    /// What is wrong, and why that matters.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// A failure, classified where it arose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What it means for the step.
    pub class: FailureClass,
    /// What, where, why, what to do next. Never a secret.
    pub message: String,
    /// The code of the cloud or of Kubernetes, else one of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The request id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Not to be tried again sooner than this, in milliseconds from the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// All that a check found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Failure {
    /// A failure of `class` with a message and nothing else.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            code: None,
            request_id: None,
            retry_after_ms: None,
            findings: Vec::new(),
        }
    }

    /// A [`FailureClass::Permanent`] failure.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, message)
    }

    /// A [`FailureClass::Retryable`] failure.
    #[must_use]
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, message)
    }

    /// The same failure with a code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// A check that failed with these findings.
    #[must_use]
    pub fn findings(message: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::permanent(message) }
    }
}
