//! Auto Scaling: why a scale-out went as it did. Reads only.

use serde::{Deserialize, Serialize};

use super::client::{Client, Rpc};
use super::endpoints::Product;
use super::error::{Access, Error};
use super::nullable;
use super::params::Params;

/// One scaling activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingActivity {
    /// Id.
    pub scaling_activity_id: String,
    /// `Successful`, `Warning`, `Failed`, `InProgress`, `Rejected`.
    #[serde(default)]
    pub status_code: String,
    /// In words.
    #[serde(default)]
    pub status_message: String,
    /// The code of the call that failed.
    #[serde(default, deserialize_with = "nullable")]
    pub error_code: String,
    /// Its message.
    #[serde(default, deserialize_with = "nullable")]
    pub error_message: String,
    /// Why it began.
    #[serde(default)]
    pub cause: String,
    /// Instances that it made.
    #[serde(default, deserialize_with = "nullable")]
    pub created_instances: Vec<String>,
}

fn read(client: &Client, action: &'static str, params: Params) -> Rpc {
    Rpc {
        product: Product::Ess,
        action,
        access: Access::Read,
        params: params.with("RegionId", client.region()),
    }
}

/// The latest activities of a scaling group (at most 50), newest first.
///
/// # Errors
/// Any call's failures.
pub async fn describe_scaling_activities(
    client: &Client,
    group_id: &str,
) -> Result<Vec<ScalingActivity>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        scaling_activities: Vec<ScalingActivity>,
    }
    let params = Params::new().with("ScalingGroupId", group_id).with("PageSize", 50);
    let body: Body = client.rpc(read(client, "DescribeScalingActivities", params)).await?;
    Ok(body.scaling_activities)
}
