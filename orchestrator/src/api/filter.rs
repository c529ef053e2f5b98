//! Filters of lists and watches, in the manner of AIP-160: `state=RUNNING AND (labels.team=edge OR labels.team=core)`. Which
//! fields there are and what is asked of them is said here; the grammar stands in `parse`.

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use causeway_proto::v1::{Workflow, waiting, workflow};
use jiff::Timestamp;

/// Every field, as it is written; `labels.KEY` stands for any label. The contract has the same table beside
/// `ListWorkflowsRequest.filter`.
const FIELDS: [&str; 13] = [
    "id",
    "type",
    "definition",
    "state",
    "waiting.reason",
    "cluster",
    "cluster_id",
    "hybrid_cluster",
    "connection",
    "labels.KEY",
    "create_time",
    "update_time",
    "end_time",
];

/// A filter that has been understood. The default one lets everything through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Node);

/// What a filter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// All of them hold; none: true.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// One question.
    Term(Term),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Field,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Id,
    Definition,
    State,
    WaitingReason,
    /// The registered cluster's id, or the record's name.
    Cluster,
    ClusterId,
    HybridCluster,
    Connection,
    Label(String),
    /// All labels: which of them there are.
    Labels,
    Time(Moment),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Create,
    Update,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Has,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    /// `:*`: that there is one.
    Set,
    Text(String),
    Time(Timestamp),
}

impl Default for Filter {
    fn default() -> Self {
        Self(Node::All(Vec::new()))
    }
}

impl Filter {
    /// Understands a filter; the empty one lets everything through.
    ///
    /// # Errors
    /// Where it goes wrong, what stands there, and what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse::filter(text).map(Self)
    }

    /// Whether a workflow passes, as a list shows it.
    pub(super) fn matches(&self, workflow: &Workflow) -> bool {
        self.0.matches(workflow)
    }
}

impl Node {
    fn matches(&self, workflow: &Workflow) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(workflow)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(workflow)),
            Self::Not(node) => !node.matches(workflow),
            Self::Term(term) => term.matches(workflow),
        }
    }
}

impl Term {
    fn matches(&self, workflow: &Workflow) -> bool {
        if let Field::Time(moment) = self.field {
            return self.compares(moment.of(workflow));
        }
        let found = self.field.texts(workflow);
        let equal = match &self.value {
            // A label may be there and be empty.
            Value::Set if matches!(self.field, Field::Label(_)) => !found.is_empty(),
            Value::Set => found.iter().any(|text| !text.is_empty()),
            Value::Text(wanted) => found.contains(&wanted.as_str()),
            Value::Time(_) => false,
        };
        equal == (self.operator != Operator::NotEqual)
    }

    /// A time that is not set is neither before nor after another, and not the same.
    fn compares(&self, found: Option<Timestamp>) -> bool {
        let Value::Time(wanted) = self.value else { return found.is_some() };
        let order = found.map(|found| found.cmp(&wanted));
        match self.operator {
            Operator::Equal | Operator::Has => order == Some(Ordering::Equal),
            Operator::NotEqual => order != Some(Ordering::Equal),
            Operator::Less => order == Some(Ordering::Less),
            Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
            Operator::Greater => order == Some(Ordering::Greater),
            Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Field {
    /// What the field says of a workflow: any of these is its value.
    fn texts<'w>(&'w self, workflow: &'w Workflow) -> Vec<&'w str> {
        let record = || named(&workflow.hybrid_cluster, "hybridClusters/");
        match self {
            Self::Id => named(&workflow.name, "workflows/").to_vec(),
            Self::Definition => vec![workflow.definition.as_str()],
            Self::State => vec![workflow.state().as_str_name()],
            Self::WaitingReason => {
                workflow.waiting.iter().map(|waiting| waiting.reason().as_str_name()).collect()
            }
            Self::Cluster => [workflow.cluster_id.as_str()].into_iter().chain(record()).collect(),
            Self::ClusterId => vec![workflow.cluster_id.as_str()],
            Self::HybridCluster => record().to_vec(),
            Self::Connection => vec![workflow.connection.as_str()],
            Self::Label(key) => workflow.labels.get(key).map(String::as_str).into_iter().collect(),
            Self::Labels => workflow.labels.keys().map(String::as_str).collect(),
            Self::Time(_) => Vec::new(),
        }
    }
}

/// A resource by its name, and without the collection.
fn named<'n>(name: &'n str, collection: &str) -> [&'n str; 2] {
    [name, name.strip_prefix(collection).unwrap_or(name)]
}

impl Moment {
    fn of(self, workflow: &Workflow) -> Option<Timestamp> {
        let time = match self {
            Self::Create => workflow.create_time.as_ref(),
            Self::Update => workflow.update_time.as_ref(),
            Self::End => workflow.end_time.as_ref(),
        };
        time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
    }
}

/// The field of that name.
fn field(name: &str) -> Option<Field> {
    Some(match name {
        "id" => Field::Id,
        "type" | "definition" => Field::Definition,
        "state" => Field::State,
        "waiting.reason" => Field::WaitingReason,
        "cluster" => Field::Cluster,
        "cluster_id" => Field::ClusterId,
        "hybrid_cluster" => Field::HybridCluster,
        "connection" => Field::Connection,
        "labels" => Field::Labels,
        "create_time" => Field::Time(Moment::Create),
        "update_time" => Field::Time(Moment::Update),
        "end_time" => Field::Time(Moment::End),
        _ => return None,
    })
}

/// The value as the field takes it; what is wrong with it.
fn value(field: &Field, text: &str) -> Result<Value, String> {
    match field {
        Field::State => {
            let states = (1..).map_while(|number| workflow::State::try_from(number).ok());
            enumerated(text, "state", states.map(|state| state.as_str_name()))
        }
        Field::WaitingReason => {
            let reasons = (1..).map_while(|number| waiting::Reason::try_from(number).ok());
            enumerated(text, "reason to wait", reasons.map(|reason| reason.as_str_name()))
        }
        Field::Time(_) => text
            .parse()
            .map(Value::Time)
            .map_err(|_| "is no time; expected one such as 2026-01-31T00:00:00Z".to_owned()),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

/// Case does not matter, and `-` stands for `_`.
fn enumerated(
    text: &str,
    what: &str,
    known: impl Iterator<Item = &'static str>,
) -> Result<Value, String> {
    let (name, known) = (text.to_ascii_uppercase().replace('-', "_"), known.collect::<Vec<_>>());
    if known.contains(&name.as_str()) {
        return Ok(Value::Text(name));
    }
    Err(format!("is no {what}{}; known: {}", meant(&name, &known), known.join(", ")))
}

/// A question whether the nearest of the known ones was meant, where one is near.
fn meant(text: &str, known: &[&str]) -> String {
    const NEAR: f64 = 0.8;
    let near = known.iter().map(|name| (strsim::jaro_winkler(text, name), name));
    let nearest = near.filter(|(likeness, _)| *likeness > NEAR);
    let nearest = nearest.max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map(|(_, name)| format!(" (did you mean {name}?)")).unwrap_or_default()
}
