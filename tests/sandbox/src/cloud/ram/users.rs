//! RAM users and what is attached to them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{check_name, find_user, marked, no_policy, policy_id, see_user};
use crate::cloud::{
    answer::ApiError,
    clock,
    gateway::Call,
    state::{Attachment, State, User, random_id},
};

const USERS_MAX: usize = 1000;
const ATTACHED_MAX: usize = 10;
const TEXT_MAX: usize = 128;

pub(super) fn create(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let name = call.required("UserName")?;
    check_name("UserName", name, 64, ".-_")?;
    let text = |parameter: &str| {
        let text = call.param(parameter).unwrap_or_default();
        if text.chars().count() > TEXT_MAX {
            let code = format!("InvalidParameter.{parameter}.Length");
            return Err(ApiError::new(400, &code, format!("{parameter} is over {TEXT_MAX}.")));
        }
        Ok(text.to_owned())
    };
    let now = clock::utc();
    let user = User {
        user_id: random_id("2", 17),
        user_name: name.into(),
        display_name: text("DisplayName")?,
        comments: text("Comments")?,
        email: text("Email")?,
        mobile_phone: text("MobilePhone")?,
        create_date: now.clone(),
        update_date: now,
        ..User::default()
    };
    if state.ram.users.contains_key(name) {
        let message = format!("The user already exists: {name}.");
        return Err(ApiError::new(409, "EntityAlreadyExists.User", message));
    }
    if state.ram.users.len() >= USERS_MAX {
        let message = "The user count beyond the current limits.";
        return Err(ApiError::new(409, "LimitExceeded.User", message));
    }
    let answer = json!({"User": describe(&user)});
    state.ram.users.insert(name.into(), user);
    Ok(answer)
}

pub(super) fn get(state: &State, call: &Call) -> Result<Value, ApiError> {
    let user = see_user(state, call)?;
    let mut answer = describe(user);
    answer["UpdateDate"] = json!(user.update_date);
    answer["LastLoginDate"] = json!("");
    Ok(json!({"User": answer}))
}

pub(super) fn list(state: &State, call: &Call) -> Result<Value, ApiError> {
    let users = state.ram.users.values().map(describe).collect();
    Ok(marked(call, users, "Users", "User"))
}

pub(super) fn delete(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let user = see_user(state, call)?;
    let conflict = |what: &str| {
        let code = format!("DeleteConflict.User.{what}");
        let message = format!("The user still has: {what}. Remove it before the user.");
        Err(ApiError::new(409, &code, message))
    };
    if !user.attachments.is_empty() {
        return conflict("Policy");
    }
    if !user.keys.is_empty() {
        return conflict("AccessKey");
    }
    if !user.groups.is_empty() {
        return conflict("Group");
    }
    let name = user.user_name.clone();
    state.ram.users.remove(&name);
    Ok(json!({}))
}

pub(super) fn groups(state: &State, call: &Call) -> Result<Value, ApiError> {
    let user = see_user(state, call)?;
    let groups: Vec<Value> = user
        .groups
        .iter()
        .map(|name| json!({"GroupName": name, "Comments": "", "JoinDate": user.create_date}))
        .collect();
    Ok(json!({"Groups": {"Group": groups}}))
}

pub(super) fn attach(state: &mut State, call: &Call, grace: Duration) -> Result<Value, ApiError> {
    let policy = policy_id(call)?;
    let known = state.ram.policies.contains_key(&policy);
    let user = find_user(state, call)?;
    if !known {
        return Err(no_policy(&policy));
    }
    if user.attachments.contains_key(&policy) {
        let message = format!("The user already has the policy {policy}.");
        return Err(ApiError::new(409, "EntityAlreadyExists.User.Policy", message));
    }
    if user.attachments.len() >= ATTACHED_MAX {
        let message = "The count of policies of the user beyond the current limits.";
        return Err(ApiError::new(409, "LimitExceeded.User.Policy", message));
    }
    let works_from = Instant::now() + grace;
    user.attachments.insert(policy, Attachment { attach_date: clock::utc(), works_from });
    Ok(json!({}))
}

pub(super) fn detach(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let policy = policy_id(call)?;
    let known = state.ram.policies.contains_key(&policy);
    let user = find_user(state, call)?;
    if !known {
        return Err(no_policy(&policy));
    }
    if user.attachments.remove(&policy).is_none() {
        let message = format!("The user does not have the policy {policy}.");
        return Err(ApiError::new(404, "EntityNotExist.User.Policy", message));
    }
    Ok(json!({}))
}

pub(super) fn policies(state: &State, call: &Call) -> Result<Value, ApiError> {
    let user = see_user(state, call)?;
    let attached: Vec<Value> = user
        .attachments
        .iter()
        .filter_map(|(id, attachment)| {
            let policy = state.ram.policies.get(id)?;
            Some(json!({
                "PolicyName": policy.name, "PolicyType": policy.kind,
                "Description": policy.description,
                "DefaultVersion": format!("v{}", policy.default_version),
                "AttachDate": attachment.attach_date,
            }))
        })
        .collect();
    Ok(json!({"Policies": {"Policy": attached}}))
}

pub(super) fn describe(user: &User) -> Value {
    json!({
        "UserId": user.user_id, "UserName": user.user_name, "DisplayName": user.display_name,
        "Comments": user.comments, "Email": user.email, "MobilePhone": user.mobile_phone,
        "CreateDate": user.create_date,
    })
}
