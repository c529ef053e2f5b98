//! The gRPC API: the only user of tonic and of the contract's types. It decides nothing: it checks the form of requests,
//! asks the runtime, and converts answers and errors. It knows no store and no step.

mod admin;
mod backup;
mod caller;
mod clusters;
mod convert;
mod filter;
#[cfg(test)]
pub(crate) mod fixture;
mod foreign;
mod plan;
mod request;
mod server;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod verbs;
mod watch;
mod workflows;

pub use server::{Options, serve};
