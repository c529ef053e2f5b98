//! Whether a connection's identity may do all that the steps do, as far as reading tells: in RAM the policies of a user are read and
//! judged by action; a cluster is asked for each verb. What can't be told is said.

use std::collections::BTreeSet;

use causeway_workflows::alibaba::sts::CallerIdentity;
use causeway_workflows::alibaba::{Client, ram};
use causeway_workflows::kubernetes::Cluster;
use causeway_workflows::permissions;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use super::{Finding, Verdict, chain};
use crate::policy;

/// Questions to a cluster at once.
const QUESTIONS_AT_A_TIME: usize = 8;

/// What the caller may do in the cloud.
pub(super) async fn cloud(client: &Client, caller: &CallerIdentity, subject: &str) -> Finding {
    let untold = |why: String| {
        let message = format!(
            "{why}, so whether it may do all that the steps do can't be told; `causewayd policy ram` prints what it needs"
        );
        Finding::new(Verdict::Note, subject, message)
    };
    if caller.arn.ends_with(":root") {
        let message = "it is the account itself, which may do everything: better use a RAM user with the policy that `causewayd policy ram` prints";
        return Finding::new(Verdict::Note, subject, message);
    }
    let Some(user) = caller.user_name() else {
        return untold(format!("{} is a role, whose policies it may not read", caller.arn));
    };
    let documents = match documents(client, user).await {
        Ok(documents) => documents,
        Err(error) => return untold(format!("the policies of {user} can't be read: {error}")),
    };
    let needed = permissions::ram();
    let missing: Vec<&str> =
        needed.keys().copied().filter(|action| !allows(&documents, action)).collect();
    if missing.is_empty() {
        let message = format!("{user} may do all {} actions that the steps need", needed.len());
        return Finding::new(Verdict::Good, subject, message);
    }
    match ram::list_groups_for_user(client, user).await {
        Ok(groups) if groups.as_ref().is_none_or(Vec::is_empty) => {}
        _ => {
            let why = format!(
                "{user} is in groups, whose policies are not read; its own do not allow {}",
                missing.join(", ")
            );
            return untold(why);
        }
    }
    let policy: Value =
        serde_json::from_str(&policy::ram_of(missing.iter().copied())).unwrap_or_default();
    let message = format!(
        "{user} may not do {} of the {} actions that the steps need; attach a policy such as {policy}",
        missing.len(),
        needed.len()
    );
    Finding::new(Verdict::Fault, subject, message)
}

/// The documents of all policies that a user has itself.
async fn documents(client: &Client, user: &str) -> Result<Vec<Value>, String> {
    let attached =
        ram::list_policies_for_user(client, user).await.map_err(|error| chain(&error))?;
    let mut documents = Vec::new();
    for policy in attached.unwrap_or_default() {
        let found = ram::get_policy_of(client, &policy.policy_name, &policy.policy_type).await;
        let text = found
            .map_err(|error| chain(&error))?
            .map(|found| found.default_policy_version.policy_document)
            .unwrap_or_default();
        documents.push(serde_json::from_str(&text).unwrap_or_default());
    }
    Ok(documents)
}

/// Whether the documents allow an action somewhere, and none denies it everywhere. Conditions and resources are not judged.
fn allows(documents: &[Value], action: &str) -> bool {
    let listed = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let named = |statement: &Value| {
        let patterns = listed(&statement["Action"]);
        patterns.iter().filter_map(Value::as_str).any(|pattern| fits(pattern, action))
    };
    let statements: Vec<Value> =
        documents.iter().flat_map(|document| listed(&document["Statement"])).collect();
    let says = |effect: &str| statements.iter().any(|one| one["Effect"] == effect && named(one));
    let denied = statements.iter().any(|one| {
        one["Effect"] == "Deny"
            && one["Resource"] == "*"
            && one["Condition"].is_null()
            && named(one)
    });
    says("Allow") && !denied
}

/// Whether an action, without regard to case, fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == action };
    let Some(mut left) = action.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let (last, middle) = parts.split_last().unwrap_or((&"", &[]));
    for part in middle {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

/// What the kubeconfig's user may do in a cluster.
pub(super) async fn cluster(cluster: &Cluster, subject: &str) -> Finding {
    let needs = permissions::kubernetes();
    let total = needs.len();
    let asked: Vec<_> = stream::iter(needs)
        .map(|need| async move { (cluster.allowed(&need.verb).await, need) })
        .buffered(QUESTIONS_AT_A_TIME)
        .collect()
        .await;
    let (mut missing, mut only) = (Vec::new(), BTreeSet::new());
    for (allowed, need) in asked {
        match allowed {
            Ok(true) => {}
            Ok(false) => match need.only {
                Some(clusters) => {
                    only.insert(clusters);
                }
                None => missing.push(need.verb.to_string()),
            },
            Err(failure) => {
                let message = format!("the cluster does not say what its user may do: {failure}");
                return Finding::new(Verdict::Note, subject, message);
            }
        }
    }
    if !missing.is_empty() {
        let message = format!(
            "the kubeconfig's user may not {}; apply the roles that `causewayd policy rbac` prints",
            missing.join(", ")
        );
        return Finding::new(Verdict::Fault, subject, message);
    }
    let but = only.iter().map(|clusters| format!(", but for {clusters}")).collect::<String>();
    let message =
        format!("the kubeconfig's user may do all {total} things that the steps need{but}");
    Finding::new(Verdict::Good, subject, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stars_stand_for_anything_and_case_does_not_count() {
        for (pattern, action, fit) in [
            ("*", "ram:GetUser", true),
            ("ram:*", "ram:GetUser", true),
            ("RAM:get*", "ram:GetUser", true),
            ("cs:*NodePool*", "cs:DescribeClusterNodePools", true),
            ("cs:*Pool", "cs:DescribeClusterNodePools", false),
            ("ram:GetUser", "ram:GetUsers", false),
            ("ecs:*", "cs:X", false),
        ] {
            assert_eq!(fits(pattern, action), fit, "{pattern} {action}");
        }
    }

    #[test]
    fn an_allow_counts_unless_everything_is_denied() {
        let allow = json!({"Statement": {"Effect": "Allow", "Action": ["ram:*"], "Resource": "*"}});
        let deny = |resource: &str| json!({"Statement": [{"Effect": "Deny", "Action": "ram:DeleteUser", "Resource": resource}]});
        assert!(allows(std::slice::from_ref(&allow), "ram:DeleteUser"));
        assert!(allows(&[allow.clone(), deny("acs:ram:*:*:user/root")], "ram:DeleteUser"));
        assert!(!allows(&[allow.clone(), deny("*")], "ram:DeleteUser"));
        assert!(!allows(&[allow], "ecs:DescribeInstances"));
    }
}
