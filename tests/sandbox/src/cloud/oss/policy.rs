//! The bucket policy: one document per bucket, and what it says about a request.

use serde_json::Value;

use super::{OssError, Reply};
use crate::{
    cloud::{iam::listed, incoming::Incoming, state::Bucket},
    faults::glob,
};

pub(super) fn get(bucket: &Bucket) -> Result<Reply, OssError> {
    match &bucket.policy {
        Some(policy) => {
            Ok(Reply::new(200, policy.clone()).with("content-type", "application/json"))
        }
        None => {
            let message = "The bucket policy does not exist.";
            Err(OssError::new(404, "NoSuchBucketPolicy", message))
        }
    }
}

pub(super) fn put(bucket: &mut Bucket, request: &Incoming) -> Result<Reply, OssError> {
    let malformed = |why: String| OssError::new(400, "MalformedPolicy", why);
    let document: Value =
        serde_json::from_slice(&request.body).map_err(|error| malformed(error.to_string()))?;
    let statements = listed(&document["Statement"]);
    if document["Version"] != "1" || statements.is_empty() {
        return Err(malformed("Version must be 1 and there must be a Statement".into()));
    }
    for statement in statements {
        let whole = ["Effect", "Action", "Principal", "Resource"];
        if let Some(missing) = whole.iter().find(|field| statement[**field].is_null()) {
            return Err(malformed(format!("a statement lacks {missing}")));
        }
        let condition = &statement["Condition"];
        let text = condition.to_string();
        if text.contains("acs:SourceIp") && !text.contains("acs:SourceVpc") {
            return Err(malformed("acs:SourceIp needs acs:SourceVpc beside it".into()));
        }
        let everybody = listed(&statement["Principal"]).iter().any(|who| **who == "*");
        let public = everybody && condition.is_null() && statement["Effect"] == "Allow";
        if public && bucket.block_public_access {
            return Err(OssError::denied("Put public bucket policy is not allowed."));
        }
    }
    bucket.policy = Some(String::from_utf8_lossy(&request.body).into_owned());
    Ok(Reply::new(200, ""))
}

pub(super) fn delete(bucket: &mut Bucket) -> Reply {
    bucket.policy = None;
    Reply::new(204, "")
}

/// Allowed, denied, or nothing said. Only statements for everybody are looked at: this account's users have their
/// rights from RAM.
pub(super) fn verdict(
    bucket: &Bucket,
    permission: &str,
    key: &str,
    vpc: Option<&str>,
) -> Option<bool> {
    let document: Value = serde_json::from_str(bucket.policy.as_deref()?).ok()?;
    let path = if key.is_empty() { bucket.name.clone() } else { format!("{}/{key}", bucket.name) };
    let mut verdict = None;
    for statement in listed(&document["Statement"]) {
        let everybody = listed(&statement["Principal"]).iter().any(|who| **who == "*");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let action = listed(&statement["Action"])
            .iter()
            .any(|pattern| glob(&text(pattern).to_lowercase(), &permission.to_lowercase()));
        let resource = listed(&statement["Resource"]).iter().any(|pattern| {
            let pattern = text(pattern);
            // acs:oss:REGION:ACCOUNT:PATH
            pattern.splitn(5, ':').nth(4).is_some_and(|pattern| glob(pattern, &path))
        });
        if everybody && action && resource && holds(&statement["Condition"], vpc) {
            match statement["Effect"].as_str() {
                Some("Deny") => return Some(false),
                Some("Allow") => verdict = Some(true),
                _ => {}
            }
        }
    }
    verdict
}

/// Whether a condition holds; of the operators and keys of the real one, those about the VPC are known, and any
/// other holds for nobody.
fn holds(condition: &Value, vpc: Option<&str>) -> bool {
    let Some(operators) = condition.as_object() else {
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        keys.as_object().into_iter().flatten().all(|(key, wanted)| {
            let named =
                listed(wanted).iter().any(|it| it.as_str().is_some_and(|it| vpc == Some(it)));
            match (operator.as_str(), key.as_str()) {
                ("StringEquals", "acs:SourceVpc") => named,
                ("StringNotEquals", "acs:SourceVpc") => !named,
                _ => false,
            }
        })
    })
}
