//! The gRPC contract of Causeway: generated types and their one JSON mapping.
//!
//! [`v1`] is generated from `proto/causeway/v1/*.proto`. Beside it stands what both ends of the wire must agree on and
//! protobuf can't say: the mapping to JSON and YAML ([`json`], [`input`]), the limits ([`limits`]) and the form of requests
//! ([`form`]), the reasons of errors ([`reasons`]), every code with what to do about it ([`codes`]) and resource names
//! ([`names`]). This crate knows neither the daemon nor the client.

pub mod codes;
pub mod form;
#[cfg(test)]
mod guide;
pub mod input;
pub mod json;
pub mod limits;
pub mod names;
pub mod reasons;

/// The generated types, clients and servers of package `causeway.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("causeway.v1");

    /// The encoded `FileDescriptorSet` of the package and all that it imports, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("causeway.v1");
}

impl std::fmt::Debug for v1::init_script::Inline {
    /// Prints the length only: the script may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inline {{ script: [redacted, {} bytes] }}", self.script.len())
    }
}
