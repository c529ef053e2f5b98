//! RAM: users, their keys, policies and attachments, with the service's quotas and its order of deletion.

mod keys;
mod policies;
mod users;

use serde_json::{Value, json};

use super::{
    Cloud,
    answer::ApiError,
    gateway::Call,
    state::{State, User},
};

pub(crate) fn answer(cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    let mut state = cloud.state();
    let grace = cloud.pace.scale(super::iam::PROPAGATION);
    match call.action.as_str() {
        "CreateUser" => users::create(&mut state, call),
        "GetUser" => users::get(&state, call),
        "ListUsers" => users::list(&state, call),
        "DeleteUser" => users::delete(&mut state, call),
        "ListGroupsForUser" => users::groups(&state, call),
        "CreateAccessKey" => keys::create(&mut state, call, grace),
        "ListAccessKeys" => keys::list(&state, call),
        "UpdateAccessKey" => keys::update(&mut state, call),
        "DeleteAccessKey" => keys::delete(&mut state, call),
        "GetAccessKeyLastUsed" => keys::last_used(&state, call),
        "AttachPolicyToUser" => users::attach(&mut state, call, grace),
        "DetachPolicyFromUser" => users::detach(&mut state, call),
        "ListPoliciesForUser" => users::policies(&state, call),
        "CreatePolicy" => policies::create(&mut state, call),
        "GetPolicy" => policies::get(&state, call),
        "ListPolicies" => policies::list(&state, call),
        "DeletePolicy" => policies::delete(&mut state, call),
        "ListEntitiesForPolicy" => policies::entities(&state, call),
        "CreatePolicyVersion" => policies::create_version(&mut state, call),
        "GetPolicyVersion" => policies::get_version(&state, call),
        "ListPolicyVersions" => policies::list_versions(&state, call),
        "SetDefaultPolicyVersion" => policies::set_default(&mut state, call),
        "DeletePolicyVersion" => policies::delete_version(&mut state, call),
        other => Err(ApiError::unknown_action(other)),
    }
}

fn find_user<'a>(state: &'a mut State, call: &Call) -> Result<&'a mut User, ApiError> {
    let name = call.required("UserName")?;
    state.ram.users.get_mut(name).ok_or_else(|| no_user(name))
}

fn see_user<'a>(state: &'a State, call: &Call) -> Result<&'a User, ApiError> {
    let name = call.required("UserName")?;
    state.ram.users.get(name).ok_or_else(|| no_user(name))
}

fn no_user(name: &str) -> ApiError {
    ApiError::new(404, "EntityNotExist.User", format!("The user does not exist: {name}."))
}

/// `TYPE/NAME` of the policy that a call names.
fn policy_id(call: &Call) -> Result<String, ApiError> {
    let kind = call.required("PolicyType")?;
    if !["Custom", "System"].contains(&kind) {
        return Err(ApiError::invalid("PolicyType", kind));
    }
    Ok(format!("{kind}/{}", call.required("PolicyName")?))
}

fn no_policy(name: &str) -> ApiError {
    ApiError::new(404, "EntityNotExist.Policy", format!("The policy does not exist: {name}."))
}

/// Refuses a name that is too long or has other characters than letters, digits and `also`.
fn check_name(parameter: &str, name: &str, length_max: usize, also: &str) -> Result<(), ApiError> {
    if name.len() > length_max {
        let code = format!("InvalidParameter.{parameter}.Length");
        let message = format!("The parameter {parameter} is longer than {length_max}.");
        return Err(ApiError::new(400, &code, message));
    }
    if name.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c)) {
        return Ok(());
    }
    let code = format!("InvalidParameter.{parameter}.InvalidChars");
    Err(ApiError::new(400, &code, format!("The parameter {parameter} has invalid characters.")))
}

/// One page of a list by marker: the position to go on from.
fn marked(call: &Call, items: Vec<Value>, wrap: &str, one: &str) -> Value {
    let start: usize = call.param("Marker").and_then(|it| it.parse().ok()).unwrap_or(0);
    let size: usize = call.param("MaxItems").and_then(|it| it.parse().ok()).unwrap_or(100);
    let end = items.len().min(start + size.clamp(1, 1000));
    let more = end < items.len();
    let page: Vec<Value> = items.into_iter().take(end).skip(start).collect();
    let mut answer = json!({"IsTruncated": more, wrap: {one: page}});
    if more {
        answer["Marker"] = json!(end.to_string());
    }
    answer
}
