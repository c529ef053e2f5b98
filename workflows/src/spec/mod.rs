//! The input document: its types, its defaults and every rule that needs no look at the world. It knows no step and makes
//! no call; what the world says about a document comes from the checks.

pub mod document;
mod duration;
mod network;
pub mod pool;
mod pool_rules;
mod rules;
mod syntax;

pub use document::*;
pub use pool::*;
use serde_json::Value;

use crate::connection::ConnectionConfig;

/// The guide's cluster as an input file.
pub const EXAMPLE: &str = include_str!("../../../deploy/examples/hybrid-cluster.yaml");
/// The same with every field that can be given.
pub const EXAMPLE_FULL: &str = include_str!("../../../deploy/examples/hybrid-cluster-full.yaml");

/// One thing that is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: `spec.vpc.pod_vswitches[0].id`.
    pub path: String,
    /// What is wrong, why that matters, what to do.
    pub message: String,
    /// UPPER_SNAKE, one of [`reason`].
    pub reason: &'static str,
}

/// Why a field is refused, for machines.
pub mod reason {
    /// Something that has no default is missing.
    pub const REQUIRED: &str = "REQUIRED";
    /// It has not the form that it must have.
    pub const INVALID_VALUE: &str = "INVALID_VALUE";
    /// It is too small, too large, too long, or too many.
    pub const OUT_OF_RANGE: &str = "OUT_OF_RANGE";
    /// An IPv6 address or CIDR.
    pub const IPV6_NOT_SUPPORTED: &str = "IPV6_NOT_SUPPORTED";
    /// A CIDR with bits behind its prefix.
    pub const HOST_BITS_SET: &str = "HOST_BITS_SET";
    /// Two blocks of addresses share some.
    pub const CIDR_OVERLAP: &str = "CIDR_OVERLAP";
    /// The same thing twice.
    pub const DUPLICATE: &str = "DUPLICATE";
    /// Known, and not built yet.
    pub const NOT_SUPPORTED_YET: &str = "NOT_SUPPORTED_YET";
    /// The connection does not allow it.
    pub const NOT_ALLOWED: &str = "NOT_ALLOWED";
    /// Kubelet, the cloud or Causeway keeps it to itself.
    pub const RESERVED: &str = "RESERVED";
    /// Two fields that can't go together.
    pub const CONTRADICTION: &str = "CONTRADICTION";
}

/// Checks a document (canonical proto JSON) by every rule that needs no look at the world, and fills in its defaults. Without
/// a connection the rules of the connection are left out.
///
/// # Errors
/// All violations at once, each with its exact path, in the order of the document.
pub fn normalize_and_validate(
    document: &Value,
    connection: Option<&ConnectionConfig>,
) -> Result<Value, Vec<Violation>> {
    let mut typed: Document = serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        // A document of another shape has no fields that could be judged one by one.
        vec![Violation {
            path,
            message: error.into_inner().to_string(),
            reason: reason::INVALID_VALUE,
        }]
    })?;
    let mut report = rules::Report::default();
    rules::document(&typed, connection, &mut report);
    let violations = report.into_violations();
    if !violations.is_empty() {
        return Err(violations);
    }
    typed.spec.fill_in();
    rules::canonical_durations(&mut typed);
    Ok(crate::sdk::value(&typed))
}

#[cfg(test)]
mod tests;
