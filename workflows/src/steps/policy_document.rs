//! RAM policy documents: what Terway needs, whether a document grants it, and how to add it to a document of somebody
//! else's. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::spec::document::Policy;

/// Most characters of a document.
pub(super) const DOCUMENT_CHARS_MAX: usize = 6144;

/// The guide's ten actions on ECS.
const GUIDE_ECS: [&str; 10] = [
    "ecs:CreateNetworkInterface",
    "ecs:DescribeNetworkInterfaces",
    "ecs:AttachNetworkInterface",
    "ecs:DetachNetworkInterface",
    "ecs:DeleteNetworkInterface",
    "ecs:DescribeInstanceAttribute",
    "ecs:AssignPrivateIpAddresses",
    "ecs:UnassignPrivateIpAddresses",
    "ecs:DescribeInstances",
    "ecs:ModifyNetworkInterfaceAttribute",
];
/// What current Terway versions call beyond the guide's.
const EXTENDED_ECS: [&str; 3] =
    ["ecs:DescribeInstanceTypes", "ecs:AssignIpv6Addresses", "ecs:UnassignIpv6Addresses"];
/// The guide's one action on VPC.
const GUIDE_VPC: [&str; 1] = ["vpc:DescribeVSwitches"];

/// The wanted actions, by product.
fn wanted(policy: Policy) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut ecs = GUIDE_ECS.to_vec();
    if policy == Policy::Extended {
        ecs.extend(EXTENDED_ECS);
    }
    (ecs, GUIDE_VPC.to_vec())
}

fn statements(policy: Policy) -> Vec<Value> {
    let (ecs, vpc) = wanted(policy);
    let allow =
        |actions: Vec<&str>| json!({"Action": actions, "Resource": ["*"], "Effect": "Allow"});
    vec![allow(ecs), allow(vpc)]
}

/// The document that grants what Terway needs.
pub(super) fn document(policy: Policy) -> String {
    json!({"Version": "1", "Statement": statements(policy)}).to_string()
}

/// Whether `document` grants all that Terway needs, everywhere and without a condition.
pub(super) fn grants(document: &str, policy: Policy) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return false };
    let (ecs, vpc) = wanted(policy);
    let all = || statements_of(&document);
    ecs.iter().chain(&vpc).all(|action| {
        let denied = all()
            .any(|statement| statement["Effect"] == "Deny" && names(&statement["Action"], action));
        let allowed = all().any(|statement| {
            statement["Effect"] == "Allow"
                && statement["Condition"].is_null()
                && texts(&statement["Resource"]).any(|resource| resource == "*")
                && names(&statement["Action"], action)
        });
        allowed && !denied
    })
}

/// Whether two documents say the same: their statements as sets, with the order of lists aside.
pub(super) fn same(a: &str, b: &str) -> bool {
    let canonical = |text: &str| {
        let document: Value = serde_json::from_str(text).ok()?;
        let statements: BTreeSet<String> =
            statements_of(&document).map(|statement| sorted(statement).to_string()).collect();
        Some(statements)
    };
    canonical(a).is_some_and(|a| Some(a) == canonical(b))
}

/// `document` with our statements added; `None` where it is no policy document.
pub(super) fn extended(document: &str, policy: Policy) -> Option<String> {
    let mut document: Value = serde_json::from_str(document).ok()?;
    document.as_object()?;
    let mut all: Vec<Value> = statements_of(&document).cloned().collect();
    all.extend(statements(policy));
    document["Statement"] = all.into();
    Some(document.to_string())
}

/// A lone statement may stand without its list.
fn statements_of(document: &Value) -> impl Iterator<Item = &Value> {
    let statement = &document["Statement"];
    statement
        .as_array()
        .map_or_else(|| std::slice::from_ref(statement), Vec::as_slice)
        .iter()
        .filter(|statement| statement.is_object())
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
        .iter()
        .filter_map(Value::as_str)
}

/// Whether a list of patterns names an action; `*` stands for anything, case aside.
fn names(patterns: &Value, action: &str) -> bool {
    let action = action.to_lowercase();
    texts(patterns).any(|pattern| matches(&pattern.to_lowercase(), &action))
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| matches(tail, &rest[at..]))
        }),
    }
}

fn sorted(statement: &Value) -> Value {
    let mut statement = statement.clone();
    for field in ["Action", "Resource"] {
        let list: BTreeSet<&str> = texts(&statement[field]).collect();
        statement[field] = json!(list);
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_document_has_its_eleven_actions() {
        let text = document(Policy::Guide);
        let document: Value = serde_json::from_str(&text).unwrap();
        let count: usize = statements_of(&document)
            .map(|statement| statement["Action"].as_array().unwrap().len())
            .sum();
        assert_eq!((count, document["Version"].as_str()), (11, Some("1")));
        assert!(grants(&text, Policy::Guide) && !grants(&text, Policy::Extended));
        assert!(super::document(Policy::Extended).contains("ecs:DescribeInstanceTypes"));
    }

    #[test]
    fn wildcards_grant_and_conditions_resources_and_denials_do_not() {
        let grants = |statement: &str| {
            grants(&format!(r#"{{"Version":"1","Statement":{statement}}}"#), Policy::Guide)
        };
        assert!(grants(
            r#"[{"Action":["ecs:*","vpc:Describe*"],"Resource":"*","Effect":"Allow"}]"#
        ));
        assert!(grants(r#"{"Action":"*","Resource":["*"],"Effect":"Allow"}"#));
        assert!(!grants(r#"[{"Action":"*","Resource":"acs:ecs:*","Effect":"Allow"}]"#));
        assert!(!grants(
            r#"[{"Action":"*","Resource":"*","Effect":"Allow","Condition":{"StringEquals":{}}}]"#
        ));
        assert!(!grants(
            r#"[{"Action":"*","Resource":"*","Effect":"Allow"},{"Action":"ecs:Attach*","Resource":"*","Effect":"Deny"}]"#
        ));
    }

    #[test]
    fn adding_keeps_what_is_there() {
        let theirs = r#"{"Version":"1","Statement":[{"Action":"oss:GetObject","Resource":"*","Effect":"Allow"}]}"#;
        let both = extended(theirs, Policy::Guide).unwrap();
        assert!(both.contains("oss:GetObject") && grants(&both, Policy::Guide));
        assert_eq!(extended("[]", Policy::Guide), None);
        assert_eq!(extended("nonsense", Policy::Guide), None);
    }

    #[test]
    fn documents_are_compared_by_meaning() {
        let a =
            r#"{"Version":"1","Statement":[{"Action":["a","b"],"Resource":"*","Effect":"Allow"}]}"#;
        let b = r#"{ "Statement": {"Effect":"Allow", "Resource":["*"], "Action":["b","a"]}, "Version":"1"}"#;
        assert!(same(a, b));
        assert!(!same(a, r#"{"Statement":[{"Action":["a"],"Resource":"*","Effect":"Allow"}]}"#));
        assert!(!same("x", "x"));
    }
}
