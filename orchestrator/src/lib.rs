//! The daemon: runtime, store, API and wiring.

pub mod clock;
pub mod config;
pub mod runtime;
pub mod store;
