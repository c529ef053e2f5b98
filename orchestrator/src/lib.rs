//! The daemon: runtime, store, API and wiring.

pub mod store;
