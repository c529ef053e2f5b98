//! `check-identity`: the connection's key is alive, belongs to the connection's account, and may do what a read can tell.
//! It guarantees that no step works in another account by mistake; its output pins the account for the whole workflow.

use async_trait::async_trait;
use causeway_engine::{Failure, FailureClass, Finding};
use futures::future::join_all;
use serde_json::json;

use super::addon_identity::{POLICY_NAME, user_name};
use super::cloud::{error, judged, spec_of, unverified};
use crate::alibaba::{Client, Error, cs, cs_nodes, ecs, oss, ram, sts, vpc};
use crate::sdk::{Check, Checked, Context};
use crate::spec::document::Spec;

/// The step.
pub struct CheckIdentity;

#[async_trait]
impl Check for CheckIdentity {
    async fn check(&self, context: &Context) -> Result<Checked, Failure> {
        let client = unverified(context);
        let spec = spec_of(context)?;
        let config = &context.connection.config;
        let subject = format!("connection {}", config.name);
        let identity = match sts::get_caller_identity(&client).await {
            Ok(identity) => identity,
            Err(error) => return Err(unfit_key(&subject, error)),
        };
        let mut findings = Vec::new();
        if identity.account_id != config.account_id {
            findings.push(error(
                "WRONG_ACCOUNT",
                &subject,
                format!(
                    "its key belongs to account {}, the configuration says {}",
                    identity.account_id, config.account_id
                ),
                "give the connection a key of its own account, or correct its account_id",
            ));
        } else {
            findings.extend(missing_permissions(&client, &spec).await?);
        }
        let output = json!({"account_id": identity.account_id, "arn": identity.arn});
        judged("the daemon's identity", findings, output)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "ram:GetPolicy",
            "ram:GetUser",
            "ram:ListAccessKeys",
            "ram:ListPoliciesForUser",
            "ram:ListGroupsForUser",
            "ram:ListEntitiesForPolicy",
            "cs:DescribeClusterDetail",
            "cs:GetClusterAddonInstance",
            "cs:DescribeClusterTasks",
            "cs:DescribeClusterNodePools",
            "cs:DescribeClusterNodes",
            "vpc:DescribeVpcs",
            "vpc:DescribeVSwitches",
            "vpc:DescribeRouteTableList",
            "ecs:DescribeSecurityGroups",
            "ecs:DescribeInstanceTypes",
            "cs:DescribeUserQuota",
            "oss:GetBucketInfo",
        ]
    }
}

/// Why the key can't sign, as a finding where that is for a person to mend.
fn unfit_key(subject: &str, cause: Error) -> Failure {
    let code = cause.code().unwrap_or_default().to_owned();
    let (name, remedy) = if cause.is_unknown_key() {
        ("KEY_UNKNOWN", "the AccessKey does not exist or is disabled: configure another")
    } else if code.contains("SecurityToken") {
        ("TOKEN_EXPIRED", "the temporary credentials are over: renew them and restart the daemon")
    } else if code.starts_with("InvalidTimeStamp") {
        ("CLOCK_SKEW", "this machine's clock is more than 15 minutes off: set it by NTP")
    } else if code == "SignatureDoesNotMatch" {
        (
            "KEY_MISMATCH",
            "the AccessKey secret does not belong to the AccessKey id: correct the credentials",
        )
    } else {
        return cause.into();
    };
    let request_id = cause.request_id().map(str::to_owned);
    let message = format!("{subject} can't sign: {cause}; {remedy}");
    let findings = vec![error(name, subject, cause.to_string(), remedy)];
    Failure { request_id, ..Failure::findings(message, findings).with_code(name) }
}

/// Every read that the steps need is made once; what is refused is a finding. A missing object is no refusal.
async fn missing_permissions(client: &Client, spec: &Spec) -> Result<Vec<Finding>, Failure> {
    let user = user_name(&spec.cluster_id);
    let types: Vec<&str> =
        spec.node_pools.iter().flat_map(|pool| &pool.instance_types).map(String::as_str).collect();
    let bucket = spec
        .init_script
        .publish
        .as_ref()
        .and_then(|publish| publish.oss.as_ref())
        .map(|oss| oss.bucket.as_str());
    let denied = |error: Error| {
        if error.class() == FailureClass::Permanent && error.is_denied() {
            Some(error)
        } else {
            None
        }
    };
    let probes: Vec<futures::future::BoxFuture<'_, Result<(), Error>>> = vec![
        Box::pin(async { ram::get_policy(client, POLICY_NAME).await.map(drop) }),
        Box::pin(async { ram::get_user(client, &user).await.map(drop) }),
        Box::pin(async { ram::list_access_keys(client, &user).await.map(drop) }),
        Box::pin(async { ram::list_policies_for_user(client, &user).await.map(drop) }),
        Box::pin(async { ram::list_groups_for_user(client, &user).await.map(drop) }),
        Box::pin(async { ram::list_entities_for_policy(client, POLICY_NAME).await.map(drop) }),
        Box::pin(async { cs::describe_cluster(client, &spec.cluster_id).await.map(drop) }),
        Box::pin(async {
            cs::get_addon_instance(client, &spec.cluster_id, "terway-eniip").await.map(drop)
        }),
        Box::pin(async { cs::describe_cluster_tasks(client, &spec.cluster_id).await.map(drop) }),
        Box::pin(async {
            cs_nodes::list_node_pools(client, &spec.cluster_id, None).await.map(drop)
        }),
        Box::pin(async { cs_nodes::list_nodes(client, &spec.cluster_id, None).await.map(drop) }),
        Box::pin(async { vpc::describe_vpc(client, &spec.vpc.id).await.map(drop) }),
        Box::pin(async { vpc::describe_vswitches(client, &spec.vpc.id).await.map(drop) }),
        Box::pin(async { vpc::describe_route_tables(client, &spec.vpc.id).await.map(drop) }),
        Box::pin(async {
            ecs::describe_security_group(client, &spec.vpc.security_group_id).await.map(drop)
        }),
        Box::pin(async { ecs::describe_instance_types(client, &types).await.map(drop) }),
        Box::pin(async { cs::describe_user_quota(client).await.map(drop) }),
        Box::pin(async {
            match bucket {
                Some(bucket) => oss::get_bucket_info(client, bucket).await.map(drop),
                None => Ok(()),
            }
        }),
    ];
    let mut findings = Vec::new();
    for error in join_all(probes).await.into_iter().filter_map(Result::err) {
        // What is not there, or not fit, is for the other checks to say; what may pass is tried again.
        let class = error.class();
        if matches!(class, FailureClass::Retryable | FailureClass::Throttled) {
            return Err(error.into());
        }
        findings.extend(denied(error).map(|error| missing(&error)));
    }
    Ok(findings)
}

fn missing(denied: &Error) -> Finding {
    let action = format!("{}:{}", denied.product.name(), denied.action);
    error(
        "PERMISSION_MISSING",
        action.clone(),
        format!("the daemon's RAM identity may not do this: {denied}"),
        format!("allow {action} for the connection's RAM user or role"),
    )
}
