//! Every code that a person may meet, with its class, what it means and what to do: reasons of errors, states, what a workflow waits
//! for, the codes of the engine, of the steps, of the cloud and of Kubernetes. It is a table for people: nothing is decided by it.
//! Tests compare it with the code that classifies.

mod cloud;
mod contract;
mod kubernetes;
mod own;
mod steps;

/// Where a code stands, and so whose word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `ErrorInfo.reason` of an answer of the daemon.
    Reason,
    /// `Workflow.state`.
    State,
    /// `Step.state`.
    StepState,
    /// `Waiting.reason`.
    Waiting,
    /// `Failure.class`.
    Class,
    /// `Workflow.cause`.
    Cause,
    /// What an action found: `Step.verdict`.
    Verdict,
    /// How an undo ended: `UndoOutcome.kind`, and why something was kept: `UndoOutcome.reason`.
    Undo,
    /// `Failure.code` of Causeway's own, from the engine and the runtime.
    Engine,
    /// `Failure.code` or `Finding.code` of a step.
    Step,
    /// What is wrong with an input, as the daemon's checks of it say.
    Input,
    /// `Failure.code` in the cloud's own words.
    Cloud,
    /// `Failure.code` in Kubernetes' own words.
    Kubernetes,
}

impl Kind {
    /// In words, as `causeway explain` shows it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Reason => "reason of an error of the API",
            Self::State => "state of a workflow",
            Self::StepState => "state of a step",
            Self::Waiting => "what a workflow or step waits for",
            Self::Class => "class of a failure",
            Self::Cause => "why a workflow turned to its undo",
            Self::Verdict => "what an action found before it changed anything",
            Self::Undo => "how an undo ended",
            Self::Engine => "failure, found by the daemon",
            Self::Step => "failure or finding of a step",
            Self::Input => "what is wrong with an input",
            Self::Cloud => "code of Alibaba Cloud",
            Self::Kubernetes => "reason of Kubernetes",
        }
    }

    /// One word, for tables and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reason => "REASON",
            Self::State => "STATE",
            Self::StepState => "STEP_STATE",
            Self::Waiting => "WAITING",
            Self::Class => "CLASS",
            Self::Cause => "CAUSE",
            Self::Verdict => "VERDICT",
            Self::Undo => "UNDO",
            Self::Engine => "ENGINE",
            Self::Step => "STEP",
            Self::Input => "INPUT",
            Self::Cloud => "CLOUD",
            Self::Kubernetes => "KUBERNETES",
        }
    }
}

/// What a failure means for the step that met it, as `Failure.class` says it, and what stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself; is tried again.
    Retryable,
    /// Too many calls; is tried again later.
    Throttled,
    /// The input or a permission: trying again can't help.
    Permanent,
    /// What the step needs is no longer there.
    Gone,
    /// Somebody changed the object in between.
    Stale,
    /// A call's answer was lost.
    Unknown,
    /// Harmless for a call that reads; of a call that changes something the outcome is unknown.
    Lost,
    /// Is said, and stops nothing.
    Warning,
    /// Either said or refused, by where it is found.
    Mixed,
    /// As the status says.
    ByStatus,
    /// No failure.
    None,
}

impl Class {
    /// In words; empty for what is no failure.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "RETRYABLE",
            Self::Throttled => "THROTTLED",
            Self::Permanent => "PERMANENT",
            Self::Gone => "GONE",
            Self::Stale => "STALE",
            Self::Unknown => "UNKNOWN",
            Self::Lost => "RETRYABLE for a read, UNKNOWN for a change",
            Self::Warning => "warning",
            Self::Mixed => "PERMANENT, or a warning",
            Self::ByStatus => "as the status says",
            Self::None => "",
        }
    }
}

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, as it is printed. The cloud's stand for all that go on after it with a dot.
    pub code: &'static str,
    /// Where it stands.
    pub kind: Kind,
    /// What it means for the step.
    pub class: Class,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// The entries of one kind.
macro_rules! codes {
    ($($kind:ident { $($code:literal $class:ident $meaning:literal $advice:literal;)+ })+) => {
        &[$($($crate::codes::Code {
            code: $code,
            kind: $crate::codes::Kind::$kind,
            class: $crate::codes::Class::$class,
            meaning: $meaning,
            advice: $advice,
        }),+),+]
    };
}
use codes;

/// Every code. What an API error's reason means is said by [`crate::reasons::ALL`], and here once more with what to do.
pub fn all() -> impl Iterator<Item = &'static Code> {
    let tables = [
        contract::REASONS,
        contract::STATES,
        contract::WORDS,
        own::ENGINE,
        own::INPUT,
        steps::CODES,
        cloud::CODES,
        kubernetes::CODES,
    ];
    tables.into_iter().flatten()
}

/// All entries for a code, in any case and with `-` for `_`; empty where it is not known. A code of the cloud that is not known
/// itself is found by what stands before its last dot that is known: `Throttling.User` by `Throttling`.
#[must_use]
pub fn lookup(text: &str) -> Vec<&'static Code> {
    let wanted = normal(text.trim());
    let found: Vec<_> = all().filter(|code| normal(code.code) == wanted).collect();
    if !found.is_empty() {
        return found;
    }
    if is_bare_status(&wanted) {
        return all().filter(|code| code.code == HTTP).collect();
    }
    let mut family = wanted.as_str();
    while let Some((before, _)) = family.rsplit_once('.') {
        let found: Vec<_> =
            all().filter(|code| code.kind == Kind::Cloud && normal(code.code) == before).collect();
        if !found.is_empty() {
            return found;
        }
        family = before;
    }
    Vec::new()
}

/// Known codes that may have been meant, the likeliest first.
#[must_use]
pub fn suggest(text: &str) -> Vec<&'static str> {
    let wanted = normal(text.trim());
    let mut near: Vec<(f64, &str)> = all()
        .map(|code| {
            let known = normal(code.code);
            let likeness = strsim::jaro_winkler(&wanted, &known);
            let within = wanted.len() > 3 && known.contains(&wanted);
            (if within { likeness.max(0.9) } else { likeness }, code.code)
        })
        .filter(|(likeness, _)| *likeness > LIKELY)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    near.dedup_by_key(|(_, code)| *code);
    near.truncate(SUGGESTIONS_MAX);
    near.into_iter().map(|(_, code)| code).collect()
}

/// The entry for an answer that had a status and nothing else: `Http503` and its like.
const HTTP: &str = "HttpNNN";
/// How alike two codes must be for one to be suggested for the other.
const LIKELY: f64 = 0.82;
/// More suggestions help nobody.
const SUGGESTIONS_MAX: usize = 5;

fn normal(text: &str) -> String {
    text.to_ascii_lowercase().replace('-', "_")
}

fn is_bare_status(normal: &str) -> bool {
    normal.strip_prefix("http").is_some_and(|rest| rest.len() == 3 && rest.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasons;

    #[test]
    fn every_reason_of_the_api_is_known() {
        let known: Vec<_> =
            all().filter(|code| code.kind == Kind::Reason).map(|code| code.code).collect();
        for (reason, _) in reasons::ALL {
            assert!(known.contains(reason), "proto/src/codes/contract.rs misses {reason}");
        }
    }

    #[test]
    fn every_word_of_the_contract_is_known() {
        for (name, kind) in [
            ("causeway.v1.Workflow.State", Kind::State),
            ("causeway.v1.Workflow.Cause", Kind::Cause),
            ("causeway.v1.Waiting.Reason", Kind::Waiting),
            ("causeway.v1.Step.State", Kind::StepState),
            ("causeway.v1.VerifiedStep.State", Kind::StepState),
            ("causeway.v1.Step.Verdict", Kind::Verdict),
            ("causeway.v1.Failure.Class", Kind::Class),
            ("causeway.v1.UndoOutcome.Kind", Kind::Undo),
            ("causeway.v1.UndoOutcome.Reason", Kind::Undo),
        ] {
            let words = crate::json::enumeration(name);
            assert!(words.len() > 2, "{name}");
            for word in words {
                let found = lookup(&word);
                assert!(found.iter().any(|code| code.kind == kind), "{name} {word} is not known");
            }
        }
    }

    #[test]
    fn each_entry_stands_once_and_says_something() {
        let mut seen = std::collections::BTreeSet::new();
        for code in all() {
            assert!(seen.insert((code.kind, code.code)), "{code:?} stands twice");
            assert!(code.meaning.len() > 10 && code.advice.len() > 5, "{code:?}");
            assert!(!code.meaning.ends_with('.') && !code.advice.ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn a_code_is_found_in_any_case_and_by_its_family() {
        for (typed, code) in [
            ("PAST_PIVOT", "PAST_PIVOT"),
            ("past-pivot", "PAST_PIVOT"),
            ("Throttling.User", "Throttling"),
            ("entitynotexist.user.policy", "EntityNotExist"),
            ("Http503", "HttpNNN"),
        ] {
            assert_eq!(lookup(typed).first().map(|found| found.code), Some(code), "{typed}");
        }
        assert!(lookup("FORBIDDEN").len() > 1, "the cloud and Kubernetes both say so");
        assert!(lookup("Http99").is_empty() && lookup("").is_empty() && lookup(".").is_empty());
    }

    #[test]
    fn what_was_probably_meant_is_suggested() {
        assert_eq!(suggest("PAST_PIVOTT")[0], "PAST_PIVOT");
        assert!(suggest("OVERLAP").contains(&"VSWITCH_OVERLAP"));
        assert!(suggest("qqqqqqqq").is_empty());
    }
}
