//! What a request asks for, read from its method, path and query alone.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use super::{
    identity::Attributes,
    selector::Selector,
    status::{Failure, Outcome},
};

/// A parsed request line.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// What is wanted, as authorization sees it.
    pub wanted: Attributes,
    /// Version of the group.
    pub version: String,
    /// The query, last value wins.
    pub query: BTreeMap<String, String>,
}

impl Request {
    /// Reads method, path and query.
    #[must_use]
    pub(super) fn parse(method: &Method, path: &str, query: &str) -> Self {
        let query: BTreeMap<String, String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect();
        let segments: Vec<String> =
            path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
        let (group, version, rest) = match segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
        {
            ["api", version, _, ..] => (String::new(), version.to_owned(), &segments[2..]),
            ["apis", group, version, _, ..] => {
                (group.to_owned(), version.to_owned(), &segments[3..])
            }
            _ => {
                let wanted = Attributes {
                    verb: method.as_str().to_lowercase(),
                    path: path.to_owned(),
                    ..Attributes::default()
                };
                return Self { wanted, query, ..Self::default() };
            }
        };
        let scoped = rest.len() > 2
            && rest[0] == "namespaces"
            && !["status", "finalize"].contains(&rest[2].as_str());
        let (namespace, rest) =
            if scoped { (rest[1].clone(), &rest[2..]) } else { (String::new(), rest) };
        let part = |at: usize| rest.get(at).cloned().unwrap_or_default();
        let (resource, name) = (part(0), part(1));
        let verb = verb(method, &name, &query);
        let wanted = Attributes {
            verb,
            group,
            resource,
            subresource: part(2),
            namespace,
            name,
            path: path.to_owned(),
        };
        Self { wanted, version, query }
    }

    /// A query parameter; empty when absent.
    #[must_use]
    pub(super) fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether a flag is set.
    #[must_use]
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.param(name), "true" | "1")
    }

    /// Label and field selector.
    pub(super) fn selector(&self) -> Outcome<Selector> {
        Selector::parse(self.param("labelSelector"), self.param("fieldSelector"))
    }

    /// `dryRun`, which knows `All` only.
    pub(super) fn dry_run(&self) -> Outcome<bool> {
        match self.param("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Failure::bad_request(format!(
                "Invalid value: {other:?}: dryRun must be \"All\""
            ))),
        }
    }
}

fn verb(method: &Method, name: &str, query: &BTreeMap<String, String>) -> String {
    let watches =
        query.get("watch").is_some_and(|value| matches!(value.as_str(), "true" | "1" | ""));
    let verb = match *method {
        Method::GET | Method::HEAD if watches => "watch",
        Method::GET | Method::HEAD if name.is_empty() => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "unknown",
    };
    verb.to_owned()
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &Method, path: &str, query: &str) -> [String; 6] {
        let Attributes { verb, group, resource, subresource, namespace, name, .. } =
            Request::parse(method, path, query).wanted;
        [verb, group, resource, subresource, namespace, name]
    }

    #[test]
    fn paths_and_methods_become_attributes() {
        let get = Method::GET;
        for (method, path, query, expected) in [
            (
                &get,
                "/api/v1/namespaces/kube-system/configmaps/c",
                "",
                ["get", "", "configmaps", "", "kube-system", "c"],
            ),
            (
                &get,
                "/apis/apps/v1/daemonsets",
                "watch=true",
                ["watch", "apps", "daemonsets", "", "", ""],
            ),
            (
                &get,
                "/api/v1/namespaces/kube-system",
                "",
                ["get", "", "namespaces", "", "", "kube-system"],
            ),
            (
                &Method::PUT,
                "/api/v1/namespaces/x/finalize",
                "",
                ["update", "", "namespaces", "finalize", "", "x"],
            ),
            (
                &Method::POST,
                "/api/v1/namespaces/n/pods/p/eviction",
                "",
                ["create", "", "pods", "eviction", "n", "p"],
            ),
            (
                &Method::PATCH,
                "/apis/apps/v1/namespaces/n/daemonsets/d/status",
                "",
                ["patch", "apps", "daemonsets", "status", "n", "d"],
            ),
            (&Method::DELETE, "/api/v1/nodes", "", ["deletecollection", "", "nodes", "", "", ""]),
        ] {
            assert_eq!(parsed(method, path, query), expected, "{path}");
        }
        let version = Request::parse(&get, "/version", "");
        assert_eq!(
            (version.wanted.resource.as_str(), version.wanted.path.as_str()),
            ("", "/version")
        );
        assert_eq!(
            Request::parse(&get, "/api/v1/pods", "labelSelector=a%3Db").param("labelSelector"),
            "a=b"
        );
    }
}
