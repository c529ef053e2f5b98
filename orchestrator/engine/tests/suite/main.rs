//! The engine by its behaviour: tables of inputs and what follows, and properties over random sagas.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

mod forward;
mod golden;
mod properties;
mod quarantine;
mod sim;
mod teardown;
mod undo;
mod verbs;
