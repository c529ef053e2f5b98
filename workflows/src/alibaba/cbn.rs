//! Cloud Enterprise Network: what a VPC is joined to, and which routes the joined networks publish. Reads only.

use serde::Deserialize;

use super::client::{Client, Rpc};
use super::endpoints::Product;
use super::error::{Access, Error};
use super::params::Params;
use super::{PAGES_MAX, nullable};

/// Items per page.
const PAGE_SIZE: u32 = 50;

/// A network joined to a CEN.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChildInstance {
    /// Id of the VPC or VBR.
    pub child_instance_id: String,
    /// `VPC`, `VBR` or `CCN`.
    #[serde(default)]
    pub child_instance_type: String,
    /// `Attached` when joined.
    #[serde(default)]
    pub status: String,
}

/// A transit router.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransitRouter {
    /// Id.
    pub transit_router_id: String,
    /// `Enterprise` or `Basic`.
    #[serde(default, rename = "Type")]
    pub kind: String,
    /// `Active` when usable.
    #[serde(default)]
    pub status: String,
}

/// A VPC's attachment to a transit router.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VpcAttachment {
    /// Id.
    #[serde(default)]
    pub transit_router_attachment_id: String,
    /// The VPC.
    pub vpc_id: String,
    /// `Attached` when joined.
    #[serde(default)]
    pub status: String,
}

/// A route that a CEN knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CenRoute {
    /// Destination.
    pub cidr: String,
    /// `Active` when it counts.
    pub status: String,
    /// `Attachment` or an instance's kind; `BlackHole` leads nowhere.
    pub next_hop: String,
    /// The attachment or network that the route leads to, where told.
    pub next_hop_id: String,
    /// Its kind: `VPC`, `VBR`, …, where told.
    pub next_hop_resource: String,
}

impl CenRoute {
    /// Whether traffic goes somewhere by it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.status == "Active" && self.next_hop != "BlackHole"
    }
}

fn read(action: &'static str, params: Params) -> Rpc {
    Rpc { product: Product::Cbn, action, access: Access::Read, params }
}

/// Ids of the account's CENs.
///
/// # Errors
/// Any call's failures.
pub async fn describe_cens(client: &Client) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        cens: List,
        #[serde(default)]
        total_count: usize,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        cen: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item {
        cen_id: String,
    }
    let mut found = vec![];
    for number in 1..=PAGES_MAX {
        let params = Params::new().with("PageSize", PAGE_SIZE).with("PageNumber", number);
        let body: Body = client.rpc(read("DescribeCens", params)).await?;
        let empty = body.cens.cen.is_empty();
        found.extend(body.cens.cen.into_iter().map(|cen| cen.cen_id));
        if empty || found.len() >= body.total_count {
            break;
        }
    }
    Ok(found)
}

/// The networks joined to a CEN.
///
/// # Errors
/// Any call's failures.
pub async fn describe_attached_child_instances(
    client: &Client,
    cen_id: &str,
) -> Result<Vec<ChildInstance>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        child_instances: List,
        #[serde(default)]
        total_count: usize,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        child_instance: Vec<ChildInstance>,
    }
    let mut found = vec![];
    for number in 1..=PAGES_MAX {
        let params = Params::new()
            .with("CenId", cen_id)
            .with("PageSize", PAGE_SIZE)
            .with("PageNumber", number);
        let body: Body = client.rpc(read("DescribeCenAttachedChildInstances", params)).await?;
        let empty = body.child_instances.child_instance.is_empty();
        found.extend(body.child_instances.child_instance);
        if empty || found.len() >= body.total_count {
            break;
        }
    }
    Ok(found)
}

/// The transit routers of a CEN in the client's region.
///
/// # Errors
/// Any call's failures.
pub async fn list_transit_routers(
    client: &Client,
    cen_id: &str,
) -> Result<Vec<TransitRouter>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        transit_routers: Vec<TransitRouter>,
    }
    let params = Params::new()
        .with("CenId", cen_id)
        .with("RegionId", client.region())
        .with("PageSize", PAGE_SIZE);
    Ok(client.rpc::<Body>(read("ListTransitRouters", params)).await?.transit_routers)
}

/// The attachments of VPCs to a CEN's transit routers in the client's region.
///
/// # Errors
/// Any call's failures.
pub async fn list_vpc_attachments(
    client: &Client,
    cen_id: &str,
) -> Result<Vec<VpcAttachment>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        transit_router_attachments: Vec<VpcAttachment>,
        #[serde(default, deserialize_with = "nullable")]
        next_token: String,
    }
    let mut found = vec![];
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let params = Params::new()
            .with("CenId", cen_id)
            .with("RegionId", client.region())
            .with("MaxResults", 100)
            .with_some("NextToken", Some(&token));
        let body: Body = client.rpc(read("ListTransitRouterVpcAttachments", params)).await?;
        found.extend(body.transit_router_attachments);
        if body.next_token.is_empty() {
            break;
        }
        token = body.next_token;
    }
    Ok(found)
}

/// All routes of all route tables of a transit router.
///
/// # Errors
/// Any call's failures.
pub async fn list_transit_router_routes(
    client: &Client,
    transit_router_id: &str,
) -> Result<Vec<CenRoute>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        transit_router_route_tables: Vec<Table>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Table {
        transit_router_route_table_id: String,
    }
    let params = Params::new().with("TransitRouterId", transit_router_id).with("MaxResults", 100);
    let tables: Body = client.rpc(read("ListTransitRouterRouteTables", params)).await?;
    let mut found = vec![];
    for table in tables.transit_router_route_tables {
        found.extend(table_routes(client, &table.transit_router_route_table_id).await?);
    }
    Ok(found)
}

async fn table_routes(client: &Client, table_id: &str) -> Result<Vec<CenRoute>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default, deserialize_with = "nullable")]
        transit_router_route_entries: Vec<Entry>,
        #[serde(default, deserialize_with = "nullable")]
        next_token: String,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "TransitRouterRouteEntryDestinationCidrBlock")]
        cidr: String,
        #[serde(rename = "TransitRouterRouteEntryStatus", default)]
        status: String,
        #[serde(rename = "TransitRouterRouteEntryNextHopType", default)]
        next_hop: String,
        #[serde(rename = "TransitRouterRouteEntryNextHopResourceType", default)]
        resource: String,
        #[serde(rename = "TransitRouterRouteEntryNextHopResourceId", default)]
        resource_id: String,
    }
    let mut found = vec![];
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let params = Params::new()
            .with("TransitRouterRouteTableId", table_id)
            .with("MaxResults", 100)
            .with_some("NextToken", Some(&token));
        let body: Body = client.rpc(read("ListTransitRouterRouteEntries", params)).await?;
        found.extend(body.transit_router_route_entries.into_iter().map(|entry| CenRoute {
            cidr: entry.cidr,
            status: entry.status,
            next_hop: entry.next_hop,
            next_hop_id: entry.resource_id,
            next_hop_resource: entry.resource,
        }));
        if body.next_token.is_empty() {
            break;
        }
        token = body.next_token;
    }
    Ok(found)
}

/// The routes that a CEN with a basic transit router knows in the client's region.
///
/// # Errors
/// Any call's failures.
pub async fn describe_region_routes(client: &Client, cen_id: &str) -> Result<Vec<CenRoute>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        cen_route_entries: List,
        #[serde(default)]
        total_count: usize,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        cen_route_entry: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        destination_cidr_block: String,
        #[serde(default)]
        status: String,
        #[serde(default)]
        next_hop_type: String,
        #[serde(default)]
        next_hop_instance_id: String,
    }
    let mut found = vec![];
    for number in 1..=PAGES_MAX {
        let params = Params::new()
            .with("CenId", cen_id)
            .with("CenRegionId", client.region())
            .with("PageSize", PAGE_SIZE)
            .with("PageNumber", number);
        let body: Body = client.rpc(read("DescribeCenRegionDomainRouteEntries", params)).await?;
        let entries = body.cen_route_entries.cen_route_entry;
        let empty = entries.is_empty();
        found.extend(entries.into_iter().map(|entry| CenRoute {
            cidr: entry.destination_cidr_block,
            status: entry.status,
            next_hop_resource: entry.next_hop_type.clone(),
            next_hop: entry.next_hop_type,
            next_hop_id: entry.next_hop_instance_id,
        }));
        if empty || found.len() >= body.total_count {
            break;
        }
    }
    Ok(found)
}
