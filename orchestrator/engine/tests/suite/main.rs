//! The engine by its behaviour: tables of inputs and what follows, and properties over random sagas.

mod forward;
mod properties;
mod sim;
mod undo;
mod verbs;
