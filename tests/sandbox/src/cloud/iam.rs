//! Who signs, and what they may do: AccessKeys, attached policies by action name, and grants that take effect late.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    answer::ApiError,
    state::{AccessKey, State, User},
};
use crate::faults::glob;

/// How long RAM's writes take to reach the other services, in reality.
pub(crate) const PROPAGATION: Duration = Duration::from_secs(3);

/// The RAM user behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) access_key_id: String,
}

/// The user and the key with this id, if the services know it yet and it is not disabled.
pub(crate) fn find_key<'a>(
    state: &'a State,
    access_key_id: &str,
) -> Result<(&'a User, &'a AccessKey), ApiError> {
    let found =
        state.ram.users.values().find_map(|user| Some((user, user.keys.get(access_key_id)?)));
    let known = found.filter(|(_, key)| key.works_from <= Instant::now());
    let Some((user, key)) = known else {
        let message = "Specified access key is not found.";
        return Err(ApiError::gateway(404, "InvalidAccessKeyId.NotFound", message));
    };
    if key.status != "Active" {
        let message = "Specified access key is disabled.";
        return Err(ApiError::gateway(403, "InvalidAccessKeyId.Inactive", message));
    }
    Ok((user, key))
}

/// Whether a user may do `PRODUCT:ACTION`: some policy that has taken effect allows it, and none denies it.
pub(crate) fn allowed(state: &State, user: &str, action: &str) -> bool {
    let Some(user) = state.ram.users.get(user) else {
        return false;
    };
    let now = Instant::now();
    let effective = user.attachments.iter().filter(|(_, attachment)| attachment.works_from <= now);
    let mut allow = false;
    for (name, _) in effective {
        let policy = state.ram.policies.get(name);
        let document = policy.and_then(|policy| policy.versions.get(&policy.default_version));
        match document.and_then(|version| effect(&version.document, action)) {
            Some(true) => allow = true,
            Some(false) => return false,
            None => {}
        }
    }
    allow
}

/// What a policy document says about an action: allowed, denied, or nothing.
fn effect(document: &str, action: &str) -> Option<bool> {
    let document: Value = serde_json::from_str(document).ok()?;
    let mut verdict = None;
    for statement in listed(&document["Statement"]) {
        let named = listed(&statement["Action"]).into_iter().any(|pattern| {
            let pattern = pattern.as_str().unwrap_or_default();
            glob(&pattern.to_lowercase(), &action.to_lowercase())
        });
        if named {
            match statement["Effect"].as_str() {
                Some("Deny") => return Some(false),
                Some("Allow") => verdict = Some(true),
                _ => {}
            }
        }
    }
    verdict
}

/// A value that may be one thing or a list of them.
pub(crate) fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Whether a text is a policy document: JSON with version 1 and well-formed statements.
pub(crate) fn is_policy_document(text: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    let statements = listed(&document["Statement"]);
    let well_formed = |statement: &&Value| {
        let effect = statement["Effect"].as_str();
        ["Allow", "Deny"].map(Some).contains(&effect)
            && ["Action", "NotAction"].iter().any(|field| !statement[*field].is_null())
            && ["Resource", "NotResource"].iter().any(|field| !statement[*field].is_null())
    };
    document["Version"] == "1" && !statements.is_empty() && statements.iter().all(well_formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_and_silence_is_neither() {
        let document = r#"{"Version":"1","Statement":[
            {"Effect":"Allow","Action":["ecs:Describe*","vpc:DescribeVSwitches"],"Resource":"*"},
            {"Effect":"Deny","Action":"ecs:DescribeInstances","Resource":"*"}]}"#;
        assert_eq!(effect(document, "ecs:DescribeKeyPairs"), Some(true));
        assert_eq!(effect(document, "ecs:DescribeInstances"), Some(false));
        assert_eq!(effect(document, "ecs:DeleteInstances"), None);
        assert_eq!(effect(document, "vpc:describevswitches"), Some(true));
    }

    #[test]
    fn only_well_formed_documents_are_policies() {
        let good =
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        assert!(is_policy_document(good));
        for bad in [
            "",
            "{}",
            r#"{"Version":"2","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Maybe","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[]}"#,
        ] {
            assert!(!is_policy_document(bad), "{bad}");
        }
    }
}
