//! The daemon: runtime, store, API and wiring.
