//! Virtual Private Cloud: the VPC, its vSwitches and its routes. Reads only.

use serde::Deserialize;

use super::client::{Client, Rpc};
use super::endpoints::Product;
use super::error::{Access, Error};
use super::params::Params;
use super::{PAGES_MAX, nullable};

/// Items per page: the most that these calls allow.
const PAGE_SIZE: u32 = 50;

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// Id.
    pub id: String,
    /// `Available` when usable.
    pub status: String,
    /// The primary block and the secondary ones.
    pub cidr_blocks: Vec<String>,
}

/// A vSwitch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VSwitch {
    /// Id.
    #[serde(rename = "VSwitchId")]
    pub id: String,
    /// The VPC that it belongs to.
    #[serde(default)]
    pub vpc_id: String,
    /// Zone.
    #[serde(default)]
    pub zone_id: String,
    /// Addresses.
    pub cidr_block: String,
    /// Addresses that are free now.
    #[serde(default)]
    pub available_ip_address_count: u64,
    /// `Available` when usable.
    #[serde(default)]
    pub status: String,
    /// The route table that it uses.
    #[serde(default)]
    pub route_table: VSwitchRouteTable,
}

/// The route table of a vSwitch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VSwitchRouteTable {
    /// Id; empty where the answer does not tell.
    pub route_table_id: String,
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// Id.
    pub id: String,
    /// `System` or `Custom`.
    pub kind: String,
    /// The vSwitches that use it.
    pub vswitch_ids: Vec<String>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination.
    pub cidr: String,
    /// `System`, `Custom`, `BGP`, `CEN`, ….
    pub kind: String,
    /// `Available` when it counts.
    pub status: String,
    /// Kinds of the next hops: `VpnGateway`, `RouterInterface`, `Attachment`, ….
    pub next_hops: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page<T> {
    #[serde(flatten)]
    items: T,
    #[serde(default)]
    total_count: u32,
}

fn read(client: &Client, action: &'static str, params: Params) -> Rpc {
    Rpc {
        product: Product::Vpc,
        action,
        access: Access::Read,
        params: params.with("RegionId", client.region()),
    }
}

/// A VPC; `None` where there is none in the region.
///
/// # Errors
/// Any call's failures.
pub async fn describe_vpc(client: &Client, id: &str) -> Result<Option<Vpc>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        vpcs: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        vpc: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item {
        vpc_id: String,
        #[serde(default)]
        status: String,
        cidr_block: String,
        #[serde(default, deserialize_with = "nullable")]
        secondary_cidr_blocks: Secondary,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Secondary {
        #[serde(default)]
        secondary_cidr_block: Vec<String>,
    }
    let body: Body =
        client.rpc(read(client, "DescribeVpcs", Params::new().with("VpcId", id))).await?;
    let found = body.vpcs.vpc.into_iter().find(|vpc| vpc.vpc_id == id);
    Ok(found.map(|vpc| Vpc {
        id: vpc.vpc_id,
        status: vpc.status,
        cidr_blocks: std::iter::once(vpc.cidr_block)
            .chain(vpc.secondary_cidr_blocks.secondary_cidr_block)
            .collect(),
    }))
}

/// One page of vSwitches with this filter.
async fn vswitch_page(client: &Client, params: Params) -> Result<(Vec<VSwitch>, u32), Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "VSwitches")]
        vswitches: List,
    }
    #[derive(Deserialize)]
    struct List {
        #[serde(rename = "VSwitch", default)]
        vswitch: Vec<VSwitch>,
    }
    let page: Page<Body> = client.rpc(read(client, "DescribeVSwitches", params)).await?;
    Ok((page.items.vswitches.vswitch, page.total_count))
}

/// All vSwitches of a VPC.
///
/// # Errors
/// Any call's failures.
pub async fn describe_vswitches(client: &Client, vpc_id: &str) -> Result<Vec<VSwitch>, Error> {
    let mut found: Vec<VSwitch> = vec![];
    for number in 1..=PAGES_MAX {
        let params = Params::new()
            .with("VpcId", vpc_id)
            .with("PageSize", PAGE_SIZE)
            .with("PageNumber", number);
        let (page, total) = vswitch_page(client, params).await?;
        let empty = page.is_empty();
        found.extend(page);
        if empty || found.len() >= usize::try_from(total).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(found)
}

/// A vSwitch by id, in whatever VPC it is; `None` where there is none in the region.
///
/// # Errors
/// Any call's failures.
pub async fn describe_vswitch(client: &Client, id: &str) -> Result<Option<VSwitch>, Error> {
    let (page, _) = vswitch_page(client, Params::new().with("VSwitchId", id)).await?;
    Ok(page.into_iter().find(|vswitch| vswitch.id == id))
}

/// The route tables of a VPC.
///
/// # Errors
/// Any call's failures.
pub async fn describe_route_tables(
    client: &Client,
    vpc_id: &str,
) -> Result<Vec<RouteTable>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        router_table_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        router_table_list_type: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item {
        route_table_id: String,
        #[serde(default)]
        route_table_type: String,
        #[serde(default, rename = "VSwitchIds", deserialize_with = "nullable")]
        vswitch_ids: Ids,
    }
    #[derive(Default, Deserialize)]
    struct Ids {
        #[serde(rename = "VSwitchId", default)]
        ids: Vec<String>,
    }
    let mut found = vec![];
    for number in 1..=PAGES_MAX {
        let params = Params::new()
            .with("VpcId", vpc_id)
            .with("PageSize", PAGE_SIZE)
            .with("PageNumber", number);
        let page: Page<Body> = client.rpc(read(client, "DescribeRouteTableList", params)).await?;
        let items = page.items.router_table_list.router_table_list_type;
        let empty = items.is_empty();
        found.extend(items.into_iter().map(|item| RouteTable {
            id: item.route_table_id,
            kind: item.route_table_type,
            vswitch_ids: item.vswitch_ids.ids,
        }));
        if empty || found.len() >= usize::try_from(page.total_count).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(found)
}

/// The routes of a route table, all pages.
///
/// # Errors
/// Any call's failures.
pub async fn describe_routes(client: &Client, route_table_id: &str) -> Result<Vec<Route>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        route_entrys: List,
        #[serde(default, deserialize_with = "nullable")]
        next_token: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        route_entry: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item {
        destination_cidr_block: String,
        #[serde(default, rename = "Type")]
        kind: String,
        #[serde(default)]
        status: String,
        #[serde(default, deserialize_with = "nullable")]
        next_hops: Hops,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Hops {
        #[serde(default)]
        next_hop: Vec<Hop>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Hop {
        #[serde(default)]
        next_hop_type: String,
    }
    let mut found = vec![];
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let params = Params::new()
            .with("RouteTableId", route_table_id)
            .with("MaxResult", 100)
            .with_some("NextToken", Some(&token));
        let body: Body = client.rpc(read(client, "DescribeRouteEntryList", params)).await?;
        found.extend(body.route_entrys.route_entry.into_iter().map(|item| Route {
            cidr: item.destination_cidr_block,
            kind: item.kind,
            status: item.status,
            next_hops: item.next_hops.next_hop.into_iter().map(|hop| hop.next_hop_type).collect(),
        }));
        if body.next_token.is_empty() {
            break;
        }
        token = body.next_token;
    }
    Ok(found)
}
