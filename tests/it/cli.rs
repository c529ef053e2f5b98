//! The command line as a person or a script has it: the real program, against the real API.

mod explain;
