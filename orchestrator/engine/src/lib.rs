//! The pure saga state machine: no I/O, no clock, no randomness.
