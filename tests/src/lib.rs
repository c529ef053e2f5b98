//! The harness of the suites: a world, the real daemon beside it as a process that can be killed and started again, the client
//! and the command line. It breaks promises from outside; but for [`scripted`], where the steps are the test's own, it knows
//! nothing of the daemon's inside.
#![allow(clippy::unwrap_used, reason = "a harness ends the test where it can't go on")]

pub mod daemon;
pub mod leaks;
pub mod scene;
pub mod scripted;
pub mod shell;
pub mod terminal;

pub use daemon::Daemon;
pub use scene::Scene;
pub use scripted::Scripted;
pub use terminal::Terminal;
