//! The client of Causeway: a typed library over gRPC ([`Client`]), and the command line built on it ([`cli`]).
//!
//! It knows the contract (`causeway-proto`) and nothing of the daemon behind it.

pub mod address;
mod admin;
pub mod cli;
mod client;
mod connect;
mod error;
mod plan;
mod retry;
mod verbs;
mod watch;

pub use address::{Address, DEFAULT_ADDRESS};
pub use admin::Backup;
pub use client::Client;
pub use connect::{Options, Tls, Token};
pub use error::{ApiError, Error};
pub use plan::plan_of;
pub use retry::Patience;
pub use verbs::Ask;
pub use watch::Watch;
