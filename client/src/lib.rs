//! The client of Causeway: a typed library over gRPC ([`Client`]), and the command line built on it ([`cli`]).
//!
//! Every call that changes something carries a `request_id`, so that it can be repeated without a second effect: the client does
//! so by itself while the daemon can't be reached ([`Patience`]). Watches go on by themselves where a connection breaks or the
//! daemon is restarted. What the daemon refuses is an [`Error::Api`], whose [`reason`](Error::reason) is one of
//! [`proto::reasons`]. `examples/build_and_watch.rs` is a whole program.
//!
//! ```no_run
//! use causeway_client::proto::v1::{NoopSpec, StartWorkflowRequest, start_workflow_request::Spec};
//! use causeway_client::{Address, Client, Error, Options};
//!
//! # async fn example() -> Result<(), Error> {
//! let address: Address = "http://127.0.0.1:7443".parse()?;
//! let client = Client::new(&Options::new(address))?;
//! let started = client
//!     .start(StartWorkflowRequest {
//!         request_id: "order-4711".to_owned(),
//!         spec: Some(Spec::Noop(NoopSpec::default())),
//!         ..Default::default()
//!     })
//!     .await?;
//! let mut watch = client.watch(&started.id, "");
//! while let Some(message) = watch.next().await? {
//!     println!("{message:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It knows the contract (`causeway-proto`) and nothing of the daemon behind it.

pub mod address;
mod admin;
pub mod cli;
mod client;
mod connect;
mod error;
mod link;
mod plan;
mod retry;
mod verbs;
mod watch;
mod watch_all;

pub use address::{Address, DEFAULT_ADDRESS};
pub use admin::Backup;
/// The contract: messages, limits, reasons of errors.
pub use causeway_proto as proto;
pub use client::Client;
pub use connect::{Options, Tls, Token};
pub use error::{ApiError, Error};
pub use plan::plan_of;
pub use retry::Patience;
pub use verbs::Ask;
pub use watch::Watch;
pub use watch_all::{Change, WatchAll};
