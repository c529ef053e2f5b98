//! `causewayd policy`: the least that the daemon must be allowed, as documents to attach and to apply. They are made of what the
//! steps say they need; nobody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use causeway_workflows::permissions::{self, ClusterNeed, NAMESPACE};
use serde_json::json;

/// The name of everything that the documents make.
const NAME: &str = "causewayd";

/// The RAM policy: one statement for each product, the actions in order. Ends with a line break.
#[must_use]
pub fn ram() -> String {
    ram_of(permissions::ram().keys().copied())
}

/// A policy that allows just these actions. Ends with a line break.
#[must_use]
pub fn ram_of<'a>(actions: impl IntoIterator<Item = &'a str>) -> String {
    let mut products: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for action in actions {
        products.entry(action.split(':').next().unwrap_or_default()).or_default().insert(action);
    }
    let statement =
        |actions: &BTreeSet<&str>| json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    let statements: Vec<_> = products.values().map(statement).collect();
    let document = json!({"Version": "1", "Statement": statements});
    format!("{document:#}\n")
}

/// The roles of the data center's cluster, and a service account that has them, as YAML for `kubectl apply`.
#[must_use]
pub fn rbac() -> String {
    let needs = permissions::kubernetes();
    let mut namespaces: BTreeMap<&str, Vec<&ClusterNeed>> = BTreeMap::new();
    for need in &needs {
        namespaces
            .entry(need.verb.namespace.as_deref().unwrap_or_default())
            .or_default()
            .push(need);
    }
    let mut text = String::from(
        "# What causewayd must be allowed in the data center's cluster, and no more.\n\
         # Made by `causewayd policy rbac` from what the steps say they need; a test compares the two.\n\
         apiVersion: v1\nkind: ServiceAccount\n",
    );
    // Writing to a String does not fail.
    let mut line = |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").unwrap_or_default();
    line(format_args!("metadata: {{name: {NAME}, namespace: {NAMESPACE}}}"));
    for (namespace, needs) in &namespaces {
        let (prefix, place) = match *namespace {
            "" => ("Cluster", String::new()),
            namespace => ("", format!(", namespace: {namespace}")),
        };
        line(format_args!("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {prefix}Role"));
        line(format_args!("metadata: {{name: {NAME}{place}}}\nrules:"));
        for rule in rules(needs) {
            line(format_args!("{rule}"));
        }
        line(format_args!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {prefix}RoleBinding"
        ));
        line(format_args!("metadata: {{name: {NAME}{place}}}"));
        line(format_args!(
            "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {prefix}Role, name: {NAME}}}"
        ));
        line(format_args!(
            "subjects:\n- {{kind: ServiceAccount, name: {NAME}, namespace: {NAMESPACE}}}"
        ));
    }
    text
}

/// All of a rule but its resources.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rule<'n> {
    group: &'n str,
    verbs: Vec<&'n str>,
    only: Option<&'n str>,
}

/// One rule for each group, set of verbs, and condition; its resources together.
fn rules(needs: &[&ClusterNeed]) -> Vec<String> {
    let mut verbs: BTreeMap<(&str, String, Option<&str>), BTreeSet<&str>> = BTreeMap::new();
    for need in needs {
        let part = need.verb.subresource.map(|part| format!("/{part}")).unwrap_or_default();
        let resource = format!("{}{part}", need.verb.resource.plural());
        verbs
            .entry((need.verb.resource.group(), resource, need.only))
            .or_default()
            .insert(need.verb.verb);
    }
    let mut rules: BTreeMap<Rule<'_>, Vec<String>> = BTreeMap::new();
    for ((group, resource, only), verbs) in verbs {
        let rule = Rule { group, verbs: verbs.into_iter().collect(), only };
        rules.entry(rule).or_default().push(resource);
    }
    let rule = |(rule, resources): (Rule<'_>, Vec<String>)| {
        let only = rule.only.map(|only| format!("# Only for {only}.\n")).unwrap_or_default();
        let (resources, verbs) = (resources.join(", "), rule.verbs.join(", "));
        format!(
            "{only}- apiGroups: [{:?}]\n  resources: [{resources}]\n  verbs: [{verbs}]",
            rule.group
        )
    };
    rules.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_fits_what_ram_takes() {
        let text = ram();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["Version"], "1");
        // Spaces count.
        assert!(text.len() <= 6144, "{} characters", text.len());
    }

    #[test]
    fn a_rule_says_in_which_clusters_it_is_needed() {
        let text = rbac();
        let (_, rule) = text.split_once("# Only for clusters whose Calico").unwrap();
        assert!(rule.contains("operator.tigera.io"), "{text}");
        assert!(text.contains("kind: Role\nmetadata: {name: causewayd, namespace: kube-system}"));
    }
}
