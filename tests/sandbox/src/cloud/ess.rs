//! ESS: what the scaling groups behind the node pools did, and why it failed.

use serde_json::{Value, json};

use super::{Cloud, answer::ApiError, gateway::Call, state::Activity};

pub(crate) fn answer(cloud: &Cloud, call: &Call) -> Result<Value, ApiError> {
    match call.action.as_str() {
        "DescribeScalingActivities" => {
            let group = call.required("ScalingGroupId")?;
            let state = cloud.state();
            let mut activities: Vec<Value> = state
                .history
                .activities
                .iter()
                .filter(|activity| activity.scaling_group_id == group)
                .map(describe)
                .collect();
            activities.reverse();
            Ok(json!({
                "TotalCount": activities.len(), "PageNumber": 1, "PageSize": 50,
                "ScalingActivities": activities,
            }))
        }
        "DescribeScalingGroups" => {
            let state = cloud.state();
            let wanted = call.numbered("ScalingGroupIds");
            let groups: Vec<Value> = state
                .cs
                .pools
                .values()
                .filter(|pool| wanted.is_empty() || wanted.contains(&pool.scaling_group_id))
                .map(|pool| {
                    json!({
                        "ScalingGroupId": pool.scaling_group_id, "ScalingGroupName": pool.name,
                        "DesiredCapacity": pool.desired_size, "LifecycleState": "Active",
                    })
                })
                .collect();
            Ok(json!({"TotalCount": groups.len(), "ScalingGroups": groups}))
        }
        other => Err(ApiError::unknown_action(other)),
    }
}

fn describe(activity: &Activity) -> Value {
    let mut answer = json!({
        "ScalingActivityId": activity.id, "ScalingGroupId": activity.scaling_group_id,
        "StatusCode": activity.status, "StatusMessage": activity.description,
        "Description": activity.description, "Cause": activity.cause,
        "CreatedInstances": activity.created_instances,
        "CreatedCapacity": activity.created_instances.len(),
        "StartTime": activity.start_time, "EndTime": activity.end_time,
        "Progress": if activity.status == "InProgress" { 50 } else { 100 },
    });
    if let Some((code, message)) = &activity.error {
        answer["ErrorCode"] = json!(code);
        answer["ErrorMessage"] = json!(message);
    }
    answer
}
