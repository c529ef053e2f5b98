//! CBN (Cloud Enterprise Network): an account that has none, whose way to the data center is in its route tables.

use serde_json::{Value, json};

use super::{answer::ApiError, gateway::Call};

pub(crate) fn answer(call: &Call) -> Result<Value, ApiError> {
    let paged = |list: Value| {
        let mut answer = json!({"TotalCount": 0, "PageNumber": 1, "PageSize": 10});
        if let (Value::Object(answer), Value::Object(list)) = (&mut answer, list) {
            answer.extend(list);
        }
        answer
    };
    Ok(paged(match call.action.as_str() {
        "DescribeCens" => json!({"Cens": {"Cen": []}}),
        "DescribeCenAttachedChildInstances" => json!({"ChildInstances": {"ChildInstance": []}}),
        "DescribeCenRegionDomainRouteEntries" => json!({"CenRouteEntries": {"CenRouteEntry": []}}),
        "DescribePublishedRouteEntries" => {
            json!({"PublishedRouteEntries": {"PublishedRouteEntry": []}})
        }
        "ListTransitRouters" => json!({"TransitRouters": []}),
        "ListTransitRouterVpcAttachments" | "ListTransitRouterVbrAttachments" => {
            json!({"TransitRouterAttachments": []})
        }
        "ListTransitRouterRouteTables" => json!({"TransitRouterRouteTables": []}),
        "ListTransitRouterRouteEntries" => json!({"TransitRouterRouteEntries": []}),
        other => return Err(ApiError::unknown_action(other)),
    }))
}
