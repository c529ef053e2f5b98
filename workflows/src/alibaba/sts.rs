//! Security Token Service: who a key is.

use serde::Deserialize;

use super::client::{Client, Rpc};
use super::endpoints::Product;
use super::error::{Access, Error};
use super::params::Params;

/// The identity behind the key that signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    /// The account.
    pub account_id: String,
    /// `Account`, `RAMUser` or `AssumedRoleUser`.
    #[serde(default)]
    pub identity_type: String,
    /// `acs:ram::ACCOUNT:user/NAME` and the like.
    pub arn: String,
}

impl CallerIdentity {
    /// The RAM user's name, where it is one.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        self.arn.split_once(":user/").map(|(_, name)| name)
    }
}

/// Asks who signs. Needs no permission, so it also tells whether a key is alive.
///
/// # Errors
/// Any call's failures.
pub async fn get_caller_identity(client: &Client) -> Result<CallerIdentity, Error> {
    client
        .rpc(Rpc {
            product: Product::Sts,
            action: "GetCallerIdentity",
            access: Access::Read,
            params: Params::new(),
        })
        .await
}
