//! A verb on a resource: what a kubeconfig's user must be allowed. Asks nobody.

use std::fmt;

use super::resource::Resource;

/// A verb that the kubeconfig's user needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb {
    /// `get`, `patch`, …
    pub verb: &'static str,
    /// Of what.
    pub resource: Resource,
    /// Where; none: in all namespaces, or none.
    pub namespace: Option<String>,
    /// `eviction` of pods, for example.
    pub subresource: Option<&'static str>,
}

/// Verbs on one resource; `create eviction` stands for the verb on the subresource.
#[must_use]
pub fn verbs(resource: &Resource, namespace: Option<&str>, verbs: &[&'static str]) -> Vec<Verb> {
    let one = |verb: &&'static str| {
        let (verb, subresource) =
            verb.split_once(' ').map_or((*verb, None), |(verb, part)| (verb, Some(part)));
        Verb {
            verb,
            resource: resource.clone(),
            namespace: namespace.map(str::to_owned),
            subresource,
        }
    };
    verbs.iter().map(one).collect()
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource.plural())?;
        if let Some(part) = self.subresource {
            write!(f, "/{part}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_may_be_on_a_part_of_the_resource() {
        let found = verbs(&Resource::PODS, Some("a"), &["list", "create eviction"]);
        assert_eq!(found[0].to_string(), "list pods in a");
        assert_eq!(found[1].to_string(), "create pods/eviction in a");
        assert_eq!((found[1].verb, found[1].subresource), ("create", Some("eviction")));
    }
}
