//! Label and field selectors, as query text and as the `LabelSelector` of a spec.

use serde_json::{Map, Value};

use super::status::{Failure, Outcome};

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// Which objects a list or watch is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    pub(super) fn parse(labels: &str, fields: &str) -> Outcome<Self> {
        let labels = split_outside_parentheses(labels)
            .into_iter()
            .map(requirement)
            .collect::<Outcome<_>>()?;
        let fields =
            fields.split(',').filter(|part| !part.is_empty()).map(field).collect::<Outcome<_>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether an object is selected.
    #[must_use]
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = object["metadata"]["labels"].as_object();
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                label(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(key, values) => {
                !label(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
        }) && self
            .fields
            .iter()
            .all(|(path, value, equal)| (field_of(object, path) == *value) == *equal)
    }
}

/// Whether labels satisfy a spec's `LabelSelector` (`matchLabels`, `matchExpressions`).
#[must_use]
pub fn label_selector_matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let wanted = selector["matchLabels"].as_object();
    let equal = wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector["matchExpressions"].as_array();
    equal
        && expressions
            .into_iter()
            .flatten()
            .all(|expression| expression_matches(expression, labels))
}

/// One `{key, operator, values}` against labels; an unknown operator matches nothing.
#[must_use]
pub fn expression_matches(expression: &Value, labels: &Map<String, Value>) -> bool {
    let found = expression["key"].as_str().and_then(|key| labels.get(key));
    let among = |value: &Value| {
        expression["values"].as_array().is_some_and(|values| values.contains(value))
    };
    let number = |value: Option<&Value>| {
        value.and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok())
    };
    let bound = number(expression["values"].get(0));
    match expression["operator"].as_str().unwrap_or_default() {
        "In" => found.is_some_and(among),
        "NotIn" => !found.is_some_and(among),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => matches!((number(found), bound), (Some(value), Some(bound)) if value > bound),
        "Lt" => matches!((number(found), bound), (Some(value), Some(bound)) if value < bound),
        _ => false,
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn requirement(text: &str) -> Outcome<Requirement> {
    let set = |values: &str| -> Vec<String> {
        values
            .trim()
            .trim_start_matches('(')
            .trim_end_matches(')')
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect()
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    let key = |key: &str| key.trim().to_owned();
    if let Some((name, values)) = text.split_once(" notin ") {
        return Ok(Requirement::NotIn(key(name), set(values)));
    }
    if let Some((name, values)) = text.split_once(" in ") {
        return Ok(Requirement::In(key(name), set(values)));
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(key(name), one(value)));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(key(name), one(value)));
    }
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::Missing(key(name)));
    }
    if text.contains(char::is_whitespace) || text.contains('(') {
        return Err(Failure::bad_request(format!("unable to parse requirement: {text:?}")));
    }
    Ok(Requirement::Exists(key(text)))
}

fn field(text: &str) -> Outcome<(String, String, bool)> {
    let (path, value, equal) = if let Some((path, value)) = text.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (path, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid field selector: {text:?}: no operator")));
    };
    const KNOWN: &[&str] = &[
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "spec.unschedulable",
        "status.phase",
        "type",
        "reason",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.kind",
        "involvedObject.uid",
    ];
    if KNOWN.contains(&path) {
        Ok((path.to_owned(), value.to_owned(), equal))
    } else {
        Err(Failure::bad_request(format!("field label not supported: {path}")))
    }
}

fn field_of(object: &Value, path: &str) -> String {
    let value = path.split('.').fold(object, |value, part| &value[part]);
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null if path == "spec.unschedulable" => "false".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_requirements_of_every_form_are_honoured() {
        let node = json!({"metadata": {"name": "n", "labels": {"zone": "h", "external": "true"}}});
        for (text, expected) in [
            ("", true),
            ("zone=h,external==true", true),
            ("zone!=h", false),
            ("other!=x", true),
            ("zone in (g, h)", true),
            ("zone notin (g,h),external", false),
            ("!other,external", true),
            ("other", false),
        ] {
            assert_eq!(Selector::parse(text, "").unwrap().matches(&node), expected, "{text}");
        }
        assert!(Selector::parse("a b", "").is_err());
    }

    #[test]
    fn field_selectors_take_the_known_paths_only() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}});
        assert!(Selector::parse("", "spec.nodeName=n,metadata.name!=q").unwrap().matches(&pod));
        assert!(!Selector::parse("", "spec.nodeName=m").unwrap().matches(&pod));
        assert_eq!(Selector::parse("", "spec.image=x").unwrap_err().code, 400);
    }
}
