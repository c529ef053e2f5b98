//! Questions about identities and permissions, asked as creates that store nothing.

use serde_json::{Value, json};

use super::{
    api::{Api, Call},
    identity::{Attributes, Identity},
    status::Outcome,
};

/// One kind of question.
pub(super) struct Review {
    pub(super) group: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
}

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// All of them; each is served as `v1`.
pub(super) const KINDS: &[Review] = &[
    Review {
        group: AUTHORIZATION,
        plural: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
    },
    Review { group: AUTHORIZATION, plural: "subjectaccessreviews", kind: "SubjectAccessReview" },
    Review {
        group: AUTHORIZATION,
        plural: "selfsubjectrulesreviews",
        kind: "SelfSubjectRulesReview",
    },
    Review { group: AUTHENTICATION, plural: "tokenreviews", kind: "TokenReview" },
    Review { group: AUTHENTICATION, plural: "selfsubjectreviews", kind: "SelfSubjectReview" },
];

/// The answer, if the call is such a question.
pub(super) fn answer(api: &Api, call: &Call) -> Option<Outcome<Value>> {
    let wanted = &call.request.wanted;
    let review = KINDS.iter().find(|review| {
        review.group == wanted.group && review.plural == wanted.resource && wanted.verb == "create"
    })?;
    let spec = &call.body["spec"];
    let status = match review.plural {
        "selfsubjectaccessreviews" => access(api, &call.identity, spec),
        "subjectaccessreviews" => access(api, &subject(spec), spec),
        "selfsubjectrulesreviews" => rules(api, &call.identity, spec),
        "tokenreviews" => token(api, spec),
        _ => json!({"userInfo": call.identity.user_info()}),
    };
    let metadata = json!({"creationTimestamp": null});
    Some(Ok(
        json!({"kind": review.kind, "apiVersion": format!("{}/v1", review.group), "metadata": metadata, "spec": spec, "status": status}),
    ))
}

fn access(api: &Api, identity: &Identity, spec: &Value) -> Value {
    let text = |part: &str, field: &str| spec[part][field].as_str().unwrap_or_default().to_owned();
    let resource = |field: &str| text("resourceAttributes", field);
    let wanted = if spec["resourceAttributes"].is_object() {
        Attributes {
            verb: resource("verb"),
            group: resource("group"),
            resource: resource("resource"),
            subresource: resource("subresource"),
            namespace: resource("namespace"),
            name: resource("name"),
            path: String::new(),
        }
    } else {
        Attributes {
            verb: text("nonResourceAttributes", "verb"),
            path: text("nonResourceAttributes", "path"),
            ..Attributes::default()
        }
    };
    match api.credentials.authorize(identity, &wanted, &api.store.read()) {
        Ok(()) => json!({"allowed": true, "reason": "allowed by the sandbox"}),
        Err(why) => json!({"allowed": false, "reason": why}),
    }
}

fn subject(spec: &Value) -> Identity {
    let groups: Vec<&str> =
        spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Identity::new(spec["user"].as_str().unwrap_or_default(), &groups)
}

fn rules(api: &Api, identity: &Identity, spec: &Value) -> Value {
    let everything = Attributes {
        verb: "*".into(),
        group: "*".into(),
        resource: "*".into(),
        namespace: spec["namespace"].as_str().unwrap_or_default().into(),
        ..Attributes::default()
    };
    let all = api.credentials.authorize(identity, &everything, &api.store.read()).is_ok();
    let resources = if all {
        json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}])
    } else {
        json!([])
    };
    json!({"resourceRules": resources, "nonResourceRules": [], "incomplete": !all})
}

fn token(api: &Api, spec: &Value) -> Value {
    match api.credentials.token(spec["token"].as_str().unwrap_or_default(), &api.store.read()) {
        Some(identity) => json!({"authenticated": true, "user": identity.user_info()}),
        None => json!({"authenticated": false, "error": "invalid bearer token"}),
    }
}
