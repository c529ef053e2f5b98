//! The client library of Causeway and its command line.
