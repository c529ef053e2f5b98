//! The gRPC contract of Causeway: generated types and their one JSON mapping.
