//! Filters of lists, in the manner of AIP-160: `state=RUNNING AND labels.team=edge`. Conjunctions only; values may be quoted.

use std::cmp::Ordering;

use causeway_proto::v1::{Workflow, waiting, workflow};

/// Longest filter, in bytes.
const LEN_MAX: usize = 1000;
/// Most terms of a filter.
const TERMS_MAX: usize = 20;
const FIELDS: &str = "state, definition, cluster_id, connection, hybrid_cluster, labels.KEY, create_time, waiting.reason";

/// A filter that has been understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Field,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    State,
    Definition,
    ClusterId,
    Connection,
    HybridCluster,
    Label(String),
    CreateTime,
    WaitingReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longer ones first: `<=` is no `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Filter {
    /// Understands a filter; the empty one lets everything through.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if text.len() > LEN_MAX {
            return Err(format!("has {} bytes; at most {LEN_MAX} are allowed", text.len()));
        }
        let terms: Vec<_> =
            split(text).into_iter().map(|term| Term::parse(&term)).collect::<Result<_, _>>()?;
        if terms.len() > TERMS_MAX {
            return Err(format!("has {} terms; at most {TERMS_MAX} are allowed", terms.len()));
        }
        Ok(Self(terms))
    }

    /// Whether a workflow passes.
    pub(super) fn matches(&self, workflow: &Workflow) -> bool {
        self.0.iter().all(|term| term.matches(workflow))
    }
}

/// Splits at `AND` outside of quotes.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut quoted = false;
    for word in text.split_inclusive(char::is_whitespace) {
        if !quoted && word.trim() == "AND" {
            terms.push(String::new());
            continue;
        }
        if word.matches('"').count() % 2 == 1 {
            quoted = !quoted;
        }
        if let Some(last) = terms.last_mut() {
            last.push_str(word);
        }
    }
    terms
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((at, symbol, operator)) = first_operator(text) else {
            return Err(format!("{text:?} is no term; expected FIELD=VALUE, joined by AND"));
        };
        let name = text[..at].trim();
        let mut value = text[at + symbol.len()..].trim();
        if value.len() >= 2 && value.starts_with('"') && value.ends_with('"') {
            value = &value[1..value.len() - 1];
        }
        let field = Field::parse(name)?;
        let mut value = value.to_owned();
        match field {
            Field::State => value = enumerated(&value, workflow::State::from_str_name)?,
            Field::WaitingReason => value = enumerated(&value, waiting::Reason::from_str_name)?,
            Field::CreateTime => {
                value
                    .parse::<jiff::Timestamp>()
                    .map_err(|_| format!("{value:?} is no time such as 2026-01-31T00:00:00Z"))?;
            }
            _ => {}
        }
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && field != Field::CreateTime {
            return Err(format!("{symbol} can't be used with {name}; use = or !="));
        }
        Ok(Self { field, operator, value })
    }

    fn matches(&self, workflow: &Workflow) -> bool {
        let found = match &self.field {
            Field::State => workflow.state().as_str_name().to_owned(),
            Field::Definition => workflow.definition.clone(),
            Field::ClusterId => workflow.cluster_id.clone(),
            Field::Connection => workflow.connection.clone(),
            Field::HybridCluster => workflow.hybrid_cluster.clone(),
            Field::Label(key) => workflow.labels.get(key).cloned().unwrap_or_default(),
            Field::WaitingReason => workflow
                .waiting
                .as_ref()
                .map_or(String::new(), |waiting| waiting.reason().as_str_name().to_owned()),
            Field::CreateTime => return self.time_matches(workflow),
        };
        let bare = found.strip_prefix("hybridClusters/").unwrap_or(&found);
        let equal = found == self.value || bare == self.value;
        equal == (self.operator == Operator::Equal)
    }

    fn time_matches(&self, workflow: &Workflow) -> bool {
        let wanted = self.value.parse::<jiff::Timestamp>().ok();
        let found = workflow
            .create_time
            .as_ref()
            .and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
        let (Some(wanted), Some(found)) = (wanted, found) else { return false };
        let order = found.cmp(&wanted);
        match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

fn first_operator(text: &str) -> Option<(usize, &'static str, Operator)> {
    let found = OPERATORS
        .iter()
        .filter_map(|(symbol, operator)| Some((text.find(symbol)?, *symbol, *operator)));
    // The earliest; of two at one place the longer, which stands first in the table.
    found.min_by_key(|(at, ..)| *at)
}

fn enumerated<E>(value: &str, known: fn(&str) -> Option<E>) -> Result<String, String> {
    let name = value.to_ascii_uppercase().replace('-', "_");
    known(&name).map(|_| name).ok_or_else(|| format!("unknown value {value:?}"))
}

impl Field {
    fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "state" => Self::State,
            "definition" => Self::Definition,
            "cluster_id" => Self::ClusterId,
            "connection" => Self::Connection,
            "hybrid_cluster" => Self::HybridCluster,
            "create_time" => Self::CreateTime,
            "waiting.reason" => Self::WaitingReason,
            _ => match name.strip_prefix("labels.") {
                Some(key) if !key.is_empty() => Self::Label(key.to_owned()),
                _ => return Err(format!("unknown field {name:?}; known: {FIELDS}")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow() -> Workflow {
        Workflow {
            state: workflow::State::Running.into(),
            definition: "hybrid-cluster".into(),
            hybrid_cluster: "hybridClusters/dc1".into(),
            labels: [("team".to_owned(), "edge AND core".to_owned())].into(),
            create_time: Some(prost_types::Timestamp { seconds: 1_000, nanos: 0 }),
            ..Default::default()
        }
    }

    #[test]
    fn terms_are_joined_by_and() {
        for (filter, expected) in [
            ("", true),
            ("state=running", true),
            ("state!=RUNNING", false),
            ("state = RUNNING AND definition=hybrid-cluster", true),
            ("state=RUNNING AND definition=saga-10", false),
            ("labels.team=\"edge AND core\"", true),
            ("labels.other=x", false),
            ("hybrid_cluster=dc1 AND hybrid_cluster=hybridClusters/dc1", true),
            ("create_time>=1970-01-01T00:16:40Z", true),
            ("create_time<1970-01-01T00:16:40Z", false),
            ("waiting.reason=LOCK", false),
        ] {
            assert_eq!(Filter::parse(filter).unwrap().matches(&workflow()), expected, "{filter}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for filter in [
            "state",
            "colour=red",
            "state=NOWHERE",
            "state<RUNNING",
            "create_time>noon",
            "labels.=x",
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
        assert!(Filter::parse(&"x".repeat(LEN_MAX + 1)).is_err());
    }
}
