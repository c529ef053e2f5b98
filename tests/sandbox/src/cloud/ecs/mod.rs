//! ECS: instances and what they run on, network interfaces, security groups, key pairs.

mod instances;
mod interfaces;
mod offers;
mod security;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{Cloud, answer::ApiError, gateway::Call};

pub(crate) fn answer(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    if call.action.starts_with("Describe") && call.action != "DescribeInstanceTypes" {
        call.required("RegionId").or_else(|missing| match call.action.as_str() {
            // This one finds its instance by id alone.
            "DescribeInstanceAttribute" => Ok(""),
            _ => Err(missing),
        })?;
    }
    match call.action.as_str() {
        "DescribeInstances" => instances::describe(&cloud.state(), cloud, call),
        "DescribeInstanceAttribute" => instances::attribute(&cloud.state(), cloud, call),
        "DescribeInstanceStatus" => instances::status(&cloud.state(), call),
        "DeleteInstance" | "DeleteInstances" => instances::delete(cloud, call),
        "DescribeInstanceTypes" => offers::types(&cloud.state(), call),
        "DescribeAvailableResource" => offers::available(&cloud.state(), cloud, call),
        "DescribeKeyPairs" => offers::key_pairs(&cloud.state(), call),
        "DescribeSecurityGroups" => security::groups(&cloud.state(), call),
        "DescribeSecurityGroupAttribute" => security::attribute(&cloud.state(), cloud, call),
        "DescribeNetworkInterfaces" => interfaces::describe(&cloud.state(), call),
        "DetachNetworkInterface" => interfaces::detach(&mut cloud.state(), call),
        "DeleteNetworkInterface" => interfaces::delete(&mut cloud.state(), call),
        other => Err(ApiError::unknown_action(other)),
    }
}

/// Ids given as JSON text, as ECS takes them for some lists.
fn json_ids(call: &Call, name: &str) -> Result<Vec<String>, ApiError> {
    let Some(text) = call.param(name) else {
        return Ok(Vec::new());
    };
    serde_json::from_str(text).map_err(|_| ApiError::invalid(name, "it must be a JSON list of ids"))
}

/// Whether an object has all the tags that a call asks for.
fn has_tags(call: &Call, tags: &BTreeMap<String, String>) -> bool {
    call.tags().iter().all(|(key, value)| {
        let own = tags.get(key);
        own.is_some() && (value.is_none() || own == value.as_ref())
    })
}

fn describe_tags(tags: &BTreeMap<String, String>) -> Value {
    let list: Vec<Value> =
        tags.iter().map(|(key, value)| json!({"TagKey": key, "TagValue": value})).collect();
    json!({"Tag": list})
}
