//! RAM policies and their versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{check_name, marked, no_policy, policy_id, users};
use crate::cloud::{
    answer::ApiError,
    clock,
    gateway::Call,
    iam,
    state::{Policy, State, Version},
};

const POLICIES_MAX: usize = 1500;
const VERSIONS_MAX: usize = 5;
const DOCUMENT_MAX: usize = 6144;
const DESCRIPTION_MAX: usize = 1024;

pub(super) fn create(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let name = call.required("PolicyName")?;
    check_name("PolicyName", name, 128, "-")?;
    let document = document_of(call)?;
    let description = call.param("Description").unwrap_or_default();
    if description.chars().count() > DESCRIPTION_MAX {
        let message = format!("Description is over {DESCRIPTION_MAX}.");
        return Err(ApiError::new(400, "InvalidParameter.Description.Length", message));
    }
    let id = format!("Custom/{name}");
    if state.ram.policies.contains_key(&id) {
        let message = format!("The policy already exists: {name}.");
        return Err(ApiError::new(409, "EntityAlreadyExists.Policy", message));
    }
    if state.ram.policies.values().filter(|policy| policy.kind == "Custom").count() >= POLICIES_MAX
    {
        let message = "The policy count beyond the current limits.";
        return Err(ApiError::new(409, "LimitExceeded.Policy", message));
    }
    let now = clock::utc();
    let tags = call.tags().into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
    let policy = Policy {
        name: name.into(),
        kind: "Custom".into(),
        description: description.into(),
        create_date: now.clone(),
        update_date: now.clone(),
        default_version: 1,
        last_version: 1,
        versions: BTreeMap::from([(1, Version { document, create_date: now })]),
        tags: tags.collect(),
    };
    let answer = json!({"Policy": describe(&policy, None)});
    state.ram.policies.insert(id, policy);
    Ok(answer)
}

pub(super) fn get(state: &State, call: &Call) -> Result<Value, ApiError> {
    let id = policy_id(call)?;
    let policy = state.ram.policies.get(&id).ok_or_else(|| no_policy(&id))?;
    let mut described = describe(policy, Some(attachments(state, &id)));
    let version = describe_version(policy, policy.default_version);
    described["PolicyDocument"] = version["PolicyDocument"].clone();
    Ok(json!({"Policy": described, "DefaultPolicyVersion": version}))
}

pub(super) fn list(state: &State, call: &Call) -> Result<Value, ApiError> {
    let tags = call.tags();
    let fits = |policy: &&Policy| {
        call.param("PolicyType").is_none_or(|kind| kind == policy.kind)
            && tags.iter().all(|(key, value)| {
                let own = policy.tags.get(key);
                own.is_some() && (value.is_none() || own == value.as_ref())
            })
    };
    let policies = state.ram.policies.values().filter(fits).map(|policy| {
        describe(policy, Some(attachments(state, &format!("{}/{}", policy.kind, policy.name))))
    });
    Ok(marked(call, policies.collect(), "Policies", "Policy"))
}

pub(super) fn delete(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let id = custom(call)?;
    let attached = attachments(state, &id);
    let policy = state.ram.policies.get(&id).ok_or_else(|| no_policy(&id))?;
    let conflict = |what: &str| {
        let code = format!("DeleteConflict.Policy.{what}");
        let message = format!("The policy still has: {what}. Remove it before the policy.");
        Err(ApiError::new(409, &code, message))
    };
    if attached > 0 {
        return conflict("User");
    }
    if policy.versions.len() > 1 && !call.flag("CascadingDelete") {
        return conflict("Version");
    }
    state.ram.policies.remove(&id);
    Ok(json!({}))
}

pub(super) fn entities(state: &State, call: &Call) -> Result<Value, ApiError> {
    let id = policy_id(call)?;
    if !state.ram.policies.contains_key(&id) {
        return Err(no_policy(&id));
    }
    let users: Vec<Value> = state
        .ram
        .users
        .values()
        .filter_map(|user| {
            let attachment = user.attachments.get(&id)?;
            let mut described = users::describe(user);
            described["AttachDate"] = json!(attachment.attach_date);
            Some(described)
        })
        .collect();
    Ok(json!({"Users": {"User": users}, "Groups": {"Group": []}, "Roles": {"Role": []}}))
}

pub(super) fn create_version(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let document = document_of(call)?;
    let policy = custom_policy(state, call)?;
    if policy.versions.len() >= VERSIONS_MAX {
        let rotate =
            call.param("RotateStrategy") == Some("DeleteOldestNonDefaultVersionWhenLimitExceeded");
        let default = policy.default_version;
        let oldest = policy.versions.keys().copied().find(|version| *version != default);
        match oldest.filter(|_| rotate) {
            Some(oldest) => policy.versions.remove(&oldest),
            None => {
                let message = "The version count of the policy beyond the current limits.";
                return Err(ApiError::new(409, "LimitExceeded.Policy.Version", message));
            }
        };
    }
    let now = clock::utc();
    policy.last_version += 1;
    let number = policy.last_version;
    policy.versions.insert(number, Version { document, create_date: now.clone() });
    if call.flag("SetAsDefault") {
        policy.default_version = number;
    }
    policy.update_date = now;
    Ok(json!({"PolicyVersion": describe_version(policy, number)}))
}

pub(super) fn get_version(state: &State, call: &Call) -> Result<Value, ApiError> {
    let id = policy_id(call)?;
    let policy = state.ram.policies.get(&id).ok_or_else(|| no_policy(&id))?;
    let number = version_of(policy, call)?;
    Ok(json!({"PolicyVersion": describe_version(policy, number)}))
}

pub(super) fn list_versions(state: &State, call: &Call) -> Result<Value, ApiError> {
    let id = policy_id(call)?;
    let policy = state.ram.policies.get(&id).ok_or_else(|| no_policy(&id))?;
    let versions: Vec<Value> =
        policy.versions.keys().map(|number| describe_version(policy, *number)).collect();
    Ok(json!({"PolicyVersions": {"PolicyVersion": versions}}))
}

pub(super) fn set_default(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let policy = custom_policy(state, call)?;
    policy.default_version = version_of(policy, call)?;
    policy.update_date = clock::utc();
    Ok(json!({}))
}

pub(super) fn delete_version(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let policy = custom_policy(state, call)?;
    let number = version_of(policy, call)?;
    if number == policy.default_version {
        let message = "The default version of a policy can't be deleted.";
        return Err(ApiError::new(409, "DeleteConflict.Policy.Version.Default", message));
    }
    policy.versions.remove(&number);
    Ok(json!({}))
}

/// How many users have the policy.
fn attachments(state: &State, id: &str) -> usize {
    state.ram.users.values().filter(|user| user.attachments.contains_key(id)).count()
}

/// The call's policy, which must be a custom one; `PolicyType` may be left out.
fn custom(call: &Call) -> Result<String, ApiError> {
    Ok(format!("Custom/{}", call.required("PolicyName")?))
}

fn custom_policy<'a>(state: &'a mut State, call: &Call) -> Result<&'a mut Policy, ApiError> {
    let id = custom(call)?;
    state.ram.policies.get_mut(&id).ok_or_else(|| no_policy(&id))
}

fn version_of(policy: &Policy, call: &Call) -> Result<u32, ApiError> {
    let text = call.required("VersionId")?;
    let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
    number.filter(|number| policy.versions.contains_key(number)).ok_or_else(|| {
        let message = format!("The version {text} of the policy does not exist.");
        ApiError::new(404, "EntityNotExist.Policy.Version", message)
    })
}

fn document_of(call: &Call) -> Result<String, ApiError> {
    let document = call.required("PolicyDocument")?;
    if document.len() > DOCUMENT_MAX {
        let message = format!("The policy document is over {DOCUMENT_MAX} characters.");
        return Err(ApiError::new(400, "InvalidParameter.PolicyDocument.Length", message));
    }
    if !iam::is_policy_document(document) {
        let message = "The policy document is not valid.";
        return Err(ApiError::new(400, "MalformedPolicyDocument", message));
    }
    Ok(document.to_owned())
}

fn describe(policy: &Policy, attached: Option<usize>) -> Value {
    let mut answer = json!({
        "PolicyName": policy.name, "PolicyType": policy.kind, "Description": policy.description,
        "DefaultVersion": format!("v{}", policy.default_version), "CreateDate": policy.create_date,
    });
    if let Some(attached) = attached {
        answer["AttachmentCount"] = json!(attached);
        answer["UpdateDate"] = json!(policy.update_date);
    }
    answer
}

fn describe_version(policy: &Policy, number: u32) -> Value {
    let version = policy.versions.get(&number);
    json!({
        "VersionId": format!("v{number}"), "IsDefaultVersion": number == policy.default_version,
        "PolicyDocument": version.map(|version| version.document.as_str()),
        "CreateDate": version.map(|version| version.create_date.as_str()),
    })
}
