//! The command line as a person or a script has it: the real program, against the real API.

mod bad_input;
mod exits;
mod explain;
mod formats;
mod next_commands;
mod questions;
