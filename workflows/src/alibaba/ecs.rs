//! Elastic Compute Service: security groups, instance types and their stock, instances, network interfaces.

use serde::Deserialize;

use super::client::{Client, Rpc};
use super::endpoints::Product;
use super::error::{Access, Error};
use super::params::Params;
use super::{Done, PAGES_MAX, nullable};

pub use super::tag::Tag;

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityGroup {
    /// Id.
    pub security_group_id: String,
    /// The VPC that it belongs to.
    #[serde(default)]
    pub vpc_id: String,
    /// `normal` or `enterprise`.
    #[serde(default)]
    pub security_group_type: String,
}

/// One rule of a security group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Permission {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `ALL`, `TCP`, …, in any case.
    pub ip_protocol: String,
    /// `from/to`, or `-1/-1` for all.
    pub port_range: String,
    /// Source of an ingress rule.
    pub source_cidr_ip: String,
    /// Destination of an egress rule.
    pub dest_cidr_ip: String,
    /// Source by group.
    pub source_group_id: String,
    /// `Accept` or `Drop`.
    pub policy: String,
    /// 1 (wins) to 100.
    #[serde(deserialize_with = "text_or_number")]
    pub priority: u32,
}

/// A security group's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `Accept` or `Drop`: what members may do among each other.
    pub inner_access_policy: String,
    /// The rules, all pages.
    pub permissions: Vec<Permission>,
}

/// Limits of an instance type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceType {
    /// `ecs.g7.xlarge`.
    pub instance_type_id: String,
    /// Network interfaces, the primary one included.
    #[serde(default)]
    pub eni_quantity: u32,
    /// Private IPv4 addresses per interface.
    #[serde(default)]
    pub eni_private_ip_address_quantity: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Tags {
    #[serde(rename = "Tag", default)]
    tag: Vec<Tag>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Id.
    pub id: String,
    /// `Pending`, `Starting`, `Running`, `Stopping`, `Stopped`.
    pub status: String,
    /// Private address, where it has one.
    pub private_ip: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    /// Id.
    pub id: String,
    /// `Available`, `InUse`, `Attaching`, `Detaching`, …
    pub status: String,
    /// `Primary` or `Secondary`.
    pub kind: String,
    /// The instance that it is attached to, else empty.
    pub instance_id: String,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Priorities come as text or as a number.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u32),
    }
    match Either::deserialize(deserializer)? {
        Either::Text(text) => Ok(text.parse().unwrap_or(1)),
        Either::Number(number) => Ok(number),
    }
}

fn call(client: &Client, action: &'static str, access: Access, params: Params) -> Rpc {
    Rpc { product: Product::Ecs, action, access, params: params.with("RegionId", client.region()) }
}

fn read(client: &Client, action: &'static str, params: Params) -> Rpc {
    call(client, action, Access::Read, params)
}

fn json_list(ids: &[&str]) -> String {
    serde_json::to_string(ids).expect("a list of strings has a JSON form")
}

/// A security group; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn describe_security_group(
    client: &Client,
    id: &str,
) -> Result<Option<SecurityGroup>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        security_groups: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        security_group: Vec<SecurityGroup>,
    }
    let params = Params::new().with("SecurityGroupId", id);
    match client.rpc::<Body>(read(client, "DescribeSecurityGroups", params)).await {
        Ok(body) => Ok(body
            .security_groups
            .security_group
            .into_iter()
            .find(|group| group.security_group_id == id)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rules of a security group, all pages.
///
/// # Errors
/// Any call's failures.
pub async fn describe_security_group_attribute(client: &Client, id: &str) -> Result<Rules, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default)]
        inner_access_policy: String,
        #[serde(default)]
        permissions: List,
        #[serde(default, deserialize_with = "nullable")]
        next_token: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        permission: Vec<Permission>,
    }
    let mut rules = Rules { inner_access_policy: String::new(), permissions: vec![] };
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let params = Params::new()
            .with("SecurityGroupId", id)
            .with("Direction", "all")
            .with("MaxResults", 500)
            .with_some("NextToken", Some(&token));
        let body: Body = client.rpc(read(client, "DescribeSecurityGroupAttribute", params)).await?;
        rules.inner_access_policy = body.inner_access_policy;
        rules.permissions.extend(body.permissions.permission);
        if body.next_token.is_empty() {
            break;
        }
        token = body.next_token;
    }
    Ok(rules)
}

/// The limits of instance types; a type that does not exist is left out.
///
/// # Errors
/// Any call's failures.
pub async fn describe_instance_types(
    client: &Client,
    types: &[&str],
) -> Result<Vec<InstanceType>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        instance_types: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        instance_type: Vec<InstanceType>,
    }
    let params = Params::new().with_list("InstanceTypes", types);
    let body: Body = client.rpc(read(client, "DescribeInstanceTypes", params)).await?;
    let mut found = body.instance_types.instance_type;
    found.retain(|found| types.contains(&found.instance_type_id.as_str()));
    Ok(found)
}

/// Whether an instance type can be had in a zone now.
///
/// # Errors
/// Any call's failures.
pub async fn is_in_stock(client: &Client, zone: &str, instance_type: &str) -> Result<bool, Error> {
    let params = Params::new()
        .with("DestinationResource", "InstanceType")
        .with("ZoneId", zone)
        .with("InstanceType", instance_type);
    let body: StockBody = client.rpc(read(client, "DescribeAvailableResource", params)).await?;
    Ok(body.has(zone, instance_type))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StockBody {
    #[serde(default)]
    available_zones: Zones,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zones {
    #[serde(default)]
    available_zone: Vec<Zone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zone {
    zone_id: String,
    #[serde(default)]
    available_resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    #[serde(default)]
    available_resource: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    #[serde(default)]
    supported_resources: Supported,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Supported {
    #[serde(default)]
    supported_resource: Vec<Stock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stock {
    value: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_category: String,
}

impl StockBody {
    fn has(&self, zone: &str, instance_type: &str) -> bool {
        let zones =
            self.available_zones.available_zone.iter().filter(|found| found.zone_id == zone);
        let mut stock = zones
            .flat_map(|zone| &zone.available_resources.available_resource)
            .flat_map(|resource| &resource.supported_resources.supported_resource);
        stock.any(|stock| {
            stock.value == instance_type
                && stock.status != "SoldOut"
                && !matches!(stock.status_category.as_str(), "WithoutStock" | "ClosedWithoutStock")
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceBody {
    instance_id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    vpc_attributes: VpcAttributes,
    #[serde(default, deserialize_with = "nullable")]
    tags: Tags,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcAttributes {
    #[serde(default)]
    private_ip_address: Addresses,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Addresses {
    #[serde(default)]
    ip_address: Vec<String>,
}

impl From<InstanceBody> for Instance {
    fn from(body: InstanceBody) -> Self {
        Self {
            id: body.instance_id,
            status: body.status,
            private_ip: body.vpc_attributes.private_ip_address.ip_address.into_iter().next(),
            tags: body.tags.tag,
        }
    }
}

/// The instances among `ids` that exist.
///
/// # Errors
/// Any call's failures.
pub async fn describe_instances(client: &Client, ids: &[&str]) -> Result<Vec<Instance>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        instances: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        instance: Vec<InstanceBody>,
    }
    let mut found = vec![];
    // A page holds 100, and so does the list of ids.
    for ids in ids.chunks(100) {
        let params = Params::new().with("InstanceIds", json_list(ids)).with("PageSize", 100);
        let body: Body = client.rpc(read(client, "DescribeInstances", params)).await?;
        found.extend(body.instances.instance.into_iter().map(Instance::from));
    }
    Ok(found)
}

/// Which network interfaces to list; an empty filter is no filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct InterfaceFilter<'a> {
    /// Attached to this instance.
    pub instance_id: Option<&'a str>,
    /// `Secondary` or `Primary`.
    pub kind: Option<&'a str>,
    /// With this tag.
    pub tag: Option<(&'a str, &'a str)>,
    /// These alone, at most 100.
    pub ids: &'a [&'a str],
}

/// Network interfaces, all pages.
///
/// # Errors
/// Any call's failures.
pub async fn describe_network_interfaces(
    client: &Client,
    filter: InterfaceFilter<'_>,
) -> Result<Vec<NetworkInterface>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        network_interface_sets: List,
        #[serde(default, deserialize_with = "nullable")]
        next_token: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        network_interface_set: Vec<InterfaceBody>,
    }
    let mut found = vec![];
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let mut params = Params::new()
            .with("MaxResults", 100)
            .with_some("NextToken", Some(&token))
            .with_some("InstanceId", filter.instance_id)
            .with_some("Type", filter.kind)
            .with_list("NetworkInterfaceId", filter.ids);
        if let Some((key, value)) = filter.tag {
            params = params.with("Tag.1.Key", key).with("Tag.1.Value", value);
        }
        let body: Body = client.rpc(read(client, "DescribeNetworkInterfaces", params)).await?;
        found.extend(
            body.network_interface_sets
                .network_interface_set
                .into_iter()
                .map(NetworkInterface::from),
        );
        if body.next_token.is_empty() {
            break;
        }
        token = body.next_token;
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InterfaceBody {
    network_interface_id: String,
    #[serde(default)]
    status: String,
    #[serde(default, rename = "Type")]
    kind: String,
    #[serde(default, deserialize_with = "nullable")]
    instance_id: String,
    #[serde(default, deserialize_with = "nullable")]
    tags: Tags,
}

impl From<InterfaceBody> for NetworkInterface {
    fn from(body: InterfaceBody) -> Self {
        Self {
            id: body.network_interface_id,
            status: body.status,
            kind: body.kind,
            instance_id: body.instance_id,
            tags: body.tags.tag,
        }
    }
}

/// Detaches a network interface from an instance.
///
/// # Errors
/// Any call's failures.
pub async fn detach_network_interface(
    client: &Client,
    id: &str,
    instance_id: &str,
) -> Result<(), Error> {
    let params = Params::new().with("NetworkInterfaceId", id).with("InstanceId", instance_id);
    client
        .rpc::<Done>(call(client, "DetachNetworkInterface", Access::Mutate, params))
        .await
        .map(drop)
}

/// Deletes a network interface that is attached to nothing.
///
/// # Errors
/// Any call's failures.
pub async fn delete_network_interface(client: &Client, id: &str) -> Result<(), Error> {
    let params = Params::new().with("NetworkInterfaceId", id);
    client
        .rpc::<Done>(call(client, "DeleteNetworkInterface", Access::Mutate, params))
        .await
        .map(drop)
}
