//! Resource Access Management: users, their keys, policies. RAM has no idempotency tokens: names are what make calls
//! repeatable, and `CreateAccessKey` is not.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::client::{Client, Rpc};
use super::endpoints::Product;
use super::error::{Access, Error};
use super::params::Params;
use super::{Done, PAGES_MAX};

/// Kind of a policy: made in the account, or Alibaba's.
pub const CUSTOM: &str = "Custom";

/// A RAM user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct User {
    /// Unique for ever, unlike the name.
    #[serde(default)]
    pub user_id: String,
    /// Name.
    pub user_name: String,
    /// Free text; the workflow's marker is in it.
    #[serde(default)]
    pub comments: String,
}

/// An AccessKey as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKey {
    /// Id; not secret.
    pub access_key_id: String,
    /// `Active` or `Inactive`.
    #[serde(default)]
    pub status: String,
    /// When it was made.
    #[serde(default)]
    pub create_date: String,
}

/// A new AccessKey: the only time that its secret is shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewAccessKey {
    /// Id; not secret.
    pub access_key_id: String,
    /// Secret.
    pub access_key_secret: SecretString,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Name.
    pub policy_name: String,
    /// `Custom` or `System`.
    #[serde(default)]
    pub policy_type: String,
    /// Free text; the workflow's marker is in it.
    #[serde(default)]
    pub description: String,
    /// `v1`, …
    #[serde(default)]
    pub default_version: String,
    /// How many users, groups and roles it is attached to, where told.
    #[serde(default)]
    pub attachment_count: u32,
}

/// One version of a policy's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersion {
    /// `v1`, …
    pub version_id: String,
    /// Whether it is the one that counts.
    #[serde(default)]
    pub is_default_version: bool,
    /// The document, where the answer has it.
    #[serde(default)]
    pub policy_document: String,
}

/// A policy and the document that counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDetail {
    /// The policy.
    pub policy: Policy,
    /// Its default version.
    pub default_policy_version: PolicyVersion,
}

/// Names of what a policy is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entities {
    /// Users.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
}

impl Entities {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.roles.is_empty()
    }
}

fn call(action: &'static str, access: Access, params: Params) -> Rpc {
    Rpc { product: Product::Ram, action, access, params }
}

fn read(action: &'static str, params: Params) -> Rpc {
    call(action, Access::Read, params)
}

async fn change(client: &Client, action: &'static str, params: Params) -> Result<(), Error> {
    client.rpc::<Done>(call(action, Access::Mutate, params)).await.map(drop)
}

fn absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserBody {
    user: User,
}

/// Makes a user.
///
/// # Errors
/// `EntityAlreadyExists.User`, or any call's failures.
pub async fn create_user(client: &Client, name: &str, comments: &str) -> Result<User, Error> {
    let params =
        Params::new().with("UserName", name).with("DisplayName", name).with("Comments", comments);
    let body: UserBody = client.rpc(call("CreateUser", Access::Mutate, params)).await?;
    Ok(body.user)
}

/// A user by name; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn get_user(client: &Client, name: &str) -> Result<Option<User>, Error> {
    let params = Params::new().with("UserName", name);
    let body = absent(client.rpc::<UserBody>(read("GetUser", params)).await)?;
    Ok(body.map(|body| body.user))
}

/// Deletes a user that has nothing left.
///
/// # Errors
/// `DeleteConflict.User.*`, `EntityNotExist.User`, or any call's failures.
pub async fn delete_user(client: &Client, name: &str) -> Result<(), Error> {
    change(client, "DeleteUser", Params::new().with("UserName", name)).await
}

/// Makes an AccessKey. Repeating it makes another.
///
/// # Errors
/// `LimitExceeded.User.AccessKey`, or any call's failures.
pub async fn create_access_key(client: &Client, user: &str) -> Result<NewAccessKey, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        access_key: NewAccessKey,
    }
    let params = Params::new().with("UserName", user);
    let body: Body = client.rpc(call("CreateAccessKey", Access::Mutate, params)).await?;
    Ok(body.access_key)
}

/// The AccessKeys of a user; `None` where there is no user.
///
/// # Errors
/// Any call's failures.
pub async fn list_access_keys(
    client: &Client,
    user: &str,
) -> Result<Option<Vec<AccessKey>>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        access_keys: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        access_key: Vec<AccessKey>,
    }
    let params = Params::new().with("UserName", user);
    let body = absent(client.rpc::<Body>(read("ListAccessKeys", params)).await)?;
    Ok(body.map(|body| body.access_keys.access_key))
}

/// Deletes an AccessKey.
///
/// # Errors
/// `EntityNotExist.User.AccessKey`, or any call's failures.
pub async fn delete_access_key(client: &Client, user: &str, key_id: &str) -> Result<(), Error> {
    let params = Params::new().with("UserName", user).with("UserAccessKeyId", key_id);
    change(client, "DeleteAccessKey", params).await
}

/// Makes a custom policy.
///
/// # Errors
/// `EntityAlreadyExists.Policy`, or any call's failures.
pub async fn create_policy(
    client: &Client,
    name: &str,
    document: &str,
    description: &str,
) -> Result<(), Error> {
    let params = Params::new()
        .with("PolicyName", name)
        .with("PolicyDocument", document)
        .with("Description", description);
    change(client, "CreatePolicy", params).await
}

/// A custom policy with the document that counts; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn get_policy(client: &Client, name: &str) -> Result<Option<PolicyDetail>, Error> {
    get_policy_of(client, name, CUSTOM).await
}

/// A policy of a type (`Custom` or `System`) with the document that counts; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn get_policy_of(
    client: &Client,
    name: &str,
    kind: &str,
) -> Result<Option<PolicyDetail>, Error> {
    let params = Params::new().with("PolicyName", name).with("PolicyType", kind);
    absent(client.rpc(read("GetPolicy", params)).await)
}

/// The versions of a custom policy; `None` where there is no policy.
///
/// # Errors
/// Any call's failures.
pub async fn list_policy_versions(
    client: &Client,
    name: &str,
) -> Result<Option<Vec<PolicyVersion>>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        policy_versions: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        policy_version: Vec<PolicyVersion>,
    }
    let params = Params::new().with("PolicyName", name).with("PolicyType", CUSTOM);
    let body = absent(client.rpc::<Body>(read("ListPolicyVersions", params)).await)?;
    Ok(body.map(|body| body.policy_versions.policy_version))
}

/// Adds a version to a policy and makes it the one that counts.
///
/// # Errors
/// `LimitExceeded.Policy.Version` beyond five, or any call's failures.
pub async fn create_policy_version(
    client: &Client,
    name: &str,
    document: &str,
) -> Result<PolicyVersion, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        policy_version: PolicyVersion,
    }
    let params = Params::new()
        .with("PolicyName", name)
        .with("PolicyDocument", document)
        .with("SetAsDefault", true);
    let body: Body = client.rpc(call("CreatePolicyVersion", Access::Mutate, params)).await?;
    Ok(body.policy_version)
}

/// Makes a version the one that counts.
///
/// # Errors
/// `EntityNotExist.Policy.Version`, or any call's failures.
pub async fn set_default_policy_version(
    client: &Client,
    name: &str,
    version: &str,
) -> Result<(), Error> {
    let params = Params::new().with("PolicyName", name).with("VersionId", version);
    change(client, "SetDefaultPolicyVersion", params).await
}

/// Deletes a version that does not count.
///
/// # Errors
/// `DeleteConflict.Policy.Version.Default`, `EntityNotExist.Policy.Version`, or any call's failures.
pub async fn delete_policy_version(
    client: &Client,
    name: &str,
    version: &str,
) -> Result<(), Error> {
    let params = Params::new().with("PolicyName", name).with("VersionId", version);
    change(client, "DeletePolicyVersion", params).await
}

/// Deletes a policy that has one version and is attached to nothing: never cascading.
///
/// # Errors
/// `DeleteConflict.Policy.*`, `EntityNotExist.Policy`, or any call's failures.
pub async fn delete_policy(client: &Client, name: &str) -> Result<(), Error> {
    change(client, "DeletePolicy", Params::new().with("PolicyName", name)).await
}

fn attachment(user: &str, policy: &str) -> Params {
    Params::new().with("PolicyType", CUSTOM).with("PolicyName", policy).with("UserName", user)
}

/// Attaches a custom policy to a user.
///
/// # Errors
/// `EntityAlreadyExists.User.Policy`, or any call's failures.
pub async fn attach_policy_to_user(client: &Client, user: &str, policy: &str) -> Result<(), Error> {
    change(client, "AttachPolicyToUser", attachment(user, policy)).await
}

/// Detaches a custom policy from a user.
///
/// # Errors
/// `EntityNotExist.User.Policy` where it is not attached, or any call's failures.
pub async fn detach_policy_from_user(
    client: &Client,
    user: &str,
    policy: &str,
) -> Result<(), Error> {
    change(client, "DetachPolicyFromUser", attachment(user, policy)).await
}

/// The policies of a user; `None` where there is no user.
///
/// # Errors
/// Any call's failures.
pub async fn list_policies_for_user(
    client: &Client,
    user: &str,
) -> Result<Option<Vec<Policy>>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        policies: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default)]
        policy: Vec<Policy>,
    }
    let params = Params::new().with("UserName", user);
    let body = absent(client.rpc::<Body>(read("ListPoliciesForUser", params)).await)?;
    Ok(body.map(|body| body.policies.policy))
}

/// The groups of a user; `None` where there is no user.
///
/// # Errors
/// Any call's failures.
pub async fn list_groups_for_user(
    client: &Client,
    user: &str,
) -> Result<Option<Vec<String>>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        groups: GroupList,
    }
    let params = Params::new().with("UserName", user);
    let body = absent(client.rpc::<Body>(read("ListGroupsForUser", params)).await)?;
    Ok(body.map(|body| body.groups.group.into_iter().map(|group| group.group_name).collect()))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupList {
    #[serde(default)]
    group: Vec<GroupName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupName {
    group_name: String,
}

/// What a custom policy is attached to; `None` where there is no policy. All pages.
///
/// # Errors
/// Any call's failures.
pub async fn list_entities_for_policy(
    client: &Client,
    policy: &str,
) -> Result<Option<Entities>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        #[serde(default)]
        users: UserList,
        #[serde(default)]
        groups: GroupList,
        #[serde(default)]
        roles: RoleList,
        #[serde(default)]
        is_truncated: bool,
        #[serde(default)]
        marker: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct UserList {
        #[serde(default)]
        user: Vec<User>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct RoleList {
        #[serde(default)]
        role: Vec<RoleName>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct RoleName {
        role_name: String,
    }
    let mut entities = Entities::default();
    let mut marker = String::new();
    for _ in 0..PAGES_MAX {
        let params = Params::new()
            .with("PolicyName", policy)
            .with("PolicyType", CUSTOM)
            .with_some("Marker", Some(&marker));
        let Some(body) = absent(client.rpc::<Body>(read("ListEntitiesForPolicy", params)).await)?
        else {
            return Ok(None);
        };
        entities.users.extend(body.users.user.into_iter().map(|user| user.user_name));
        entities.groups.extend(body.groups.group.into_iter().map(|group| group.group_name));
        entities.roles.extend(body.roles.role.into_iter().map(|role| role.role_name));
        if !body.is_truncated || body.marker.is_empty() {
            break;
        }
        marker = body.marker;
    }
    Ok(Some(entities))
}
