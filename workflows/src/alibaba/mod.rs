//! The Alibaba Cloud client: signatures, credentials, endpoints, errors and their classes, and one module per product
//! with just the calls that the steps need. The only part of the workspace that uses reqwest. It knows no step and no
//! workflow, and it repeats nothing by itself.

mod acs3;
pub mod cbn;
mod client;
pub mod credentials;
pub mod cs;
pub mod cs_nodes;
pub mod ecs;
mod endpoints;
mod error;
pub mod ess;
#[cfg(test)]
pub(crate) mod fake;
pub mod oss;
mod oss_sign;
mod params;
pub mod ram;
pub mod sts;
mod tag;
#[cfg(test)]
mod tests;
mod trail;
pub mod vpc;

pub use client::{Client, Options, SetupError, Sources};
pub use credentials::Credentials;
pub use endpoints::{EndpointError, Endpoints, Product};
pub use error::{Access, Cause, Error, ErrorAnswer};
pub use trail::Trail;

use serde::{Deserialize, Deserializer};

/// Pages of a list that are read at most: a guard against a server that pages in a circle.
const PAGES_MAX: u32 = 200;

/// `null` reads as the default, as some lists come when they are empty.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The answer of calls that say nothing but that they succeeded.
#[derive(Deserialize)]
struct Done {}
