//! The harness and the suites that try to break Causeway's promises.
