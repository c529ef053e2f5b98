//! STS: who am I. Roles are not simulated, so none can be assumed.

use serde_json::{Value, json};

use super::{Cloud, answer::ApiError, gateway::Call};

pub(crate) fn answer(cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    match call.action.as_str() {
        "GetCallerIdentity" => {
            let state = cloud.state();
            let user = &call.caller.user;
            let id = state.ram.users.get(user).map_or("", |user| &user.user_id);
            Ok(json!({
                "AccountId": cloud.account.id, "UserId": id, "PrincipalId": id,
                "IdentityType": "RAMUser", "Arn": format!("acs:ram::{}:user/{user}", cloud.account.id),
            }))
        }
        "AssumeRole" => {
            let role = call.required("RoleArn")?;
            call.required("RoleSessionName")?;
            let message = format!("The specified role not exists: {role}.");
            Err(ApiError::new(404, "EntityNotExist.Role", message))
        }
        other => Err(ApiError::unknown_action(other)),
    }
}
