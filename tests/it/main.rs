//! End to end: the real daemon, the real API, the real journal, in a simulated world that speaks the real protocols.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

mod backup;
mod bad_requests;
mod bad_world;
mod build;
mod cancel;
mod check;
mod cli;
mod crash;
mod examples;
mod failure;
mod gate;
mod input;
mod least;
mod library;
mod lost;
mod plan;
mod pools;
mod requests;
mod secrets;
mod sharing;
mod stop;
mod stuck;
mod teardown;
mod timeouts;
mod verbs;
mod watch;
