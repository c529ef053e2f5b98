//! The battery: machinery over every registered definition. A step that is added to one is tried here without being named:
//! it succeeds; it is run twice; it fails, and everything is undone; its undo is run twice; the daemon dies at its records
//! and calls. Definitions that touch a cluster run in the simulated world.
//!
//! What is drawn comes from a seed, which is printed; `CAUSEWAY_BATTERY_SEED` gives it again.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

mod crash;
mod definitions;
mod host;
mod probe;
mod stage;
mod steps;
