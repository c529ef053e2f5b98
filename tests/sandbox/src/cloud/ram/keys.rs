//! AccessKeys: two per user, the secret shown once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{find_user, see_user};
use crate::cloud::{
    answer::ApiError,
    clock,
    gateway::Call,
    state::{AccessKey, State, random_id},
};

const KEYS_MAX: usize = 2;

pub(super) fn create(state: &mut State, call: &Call, grace: Duration) -> Result<Value, ApiError> {
    let user = find_user(state, call)?;
    if user.keys.len() >= KEYS_MAX {
        let message = "The access key count of the user access keys beyond the current limits.";
        return Err(ApiError::new(409, "LimitExceeded.User.AccessKey", message));
    }
    let key = AccessKey {
        id: random_id("LTAI5t", 18),
        secret: random_id("", 30),
        status: "Active".into(),
        create_date: clock::utc(),
        works_from: Instant::now() + grace,
    };
    let answer = json!({"AccessKey": {
        "AccessKeyId": key.id, "AccessKeySecret": key.secret, "Status": key.status,
        "CreateDate": key.create_date,
    }});
    let secret = key.secret.clone();
    user.keys.insert(key.id.clone(), key);
    state.history.secrets.insert(secret);
    Ok(answer)
}

pub(super) fn list(state: &State, call: &Call) -> Result<Value, ApiError> {
    let keys: Vec<Value> = see_user(state, call)?
        .keys
        .values()
        .map(|key| {
            json!({"AccessKeyId": key.id, "Status": key.status, "CreateDate": key.create_date})
        })
        .collect();
    Ok(json!({"AccessKeys": {"AccessKey": keys}}))
}

pub(super) fn update(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let status = call.required("Status")?;
    if !["Active", "Inactive"].contains(&status) {
        return Err(ApiError::invalid("Status", status));
    }
    let id = call.required("UserAccessKeyId")?;
    let key = find_user(state, call)?.keys.get_mut(id).ok_or_else(|| no_key(id))?;
    status.clone_into(&mut key.status);
    Ok(json!({}))
}

pub(super) fn delete(state: &mut State, call: &Call) -> Result<Value, ApiError> {
    let id = call.required("UserAccessKeyId")?;
    find_user(state, call)?.keys.remove(id).ok_or_else(|| no_key(id))?;
    Ok(json!({}))
}

pub(super) fn last_used(state: &State, call: &Call) -> Result<Value, ApiError> {
    let id = call.required("UserAccessKeyId")?;
    see_user(state, call)?.keys.get(id).ok_or_else(|| no_key(id))?;
    Ok(json!({"AccessKeyLastUsed": {"LastUsedDate": ""}}))
}

fn no_key(id: &str) -> ApiError {
    let message = format!("The access key of the user does not exist: {id}.");
    ApiError::new(404, "EntityNotExist.User.AccessKey", message)
}
