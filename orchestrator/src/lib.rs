//! The daemon: runtime, store, API and wiring.

pub mod api;
pub mod app;
pub mod auth;
pub mod check;
pub mod clock;
pub mod config;
pub mod policy;
pub mod runtime;
pub mod store;
pub mod telemetry;
