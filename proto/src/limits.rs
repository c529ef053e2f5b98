//! The limits of the API. Those on strings, lists, maps and durations are enforced by [`crate::form`].
//!
//! They bound what a caller can make the daemon keep or send. Raising one needs no new contract; lowering one does.

/// Largest request that the daemon decodes, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest answer that the daemon sends, and that clients should accept, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest string, in bytes.
pub const STRING_BYTES_MAX: usize = 4096;
/// Longest user script, in bytes: what an init script may have in ECS user data.
pub const SCRIPT_BYTES_MAX: usize = 256 * 1024;
/// Most elements of a list.
pub const LIST_LEN_MAX: usize = 1000;
/// Most entries of a map of labels or tags.
pub const MAP_LEN_MAX: usize = 64;
/// Longest duration, in seconds: a year. What is meant to last longer is left without a limit.
pub const DURATION_SECONDS_MAX: u64 = 366 * 24 * 3600;
/// All labels of a workflow together, keys and values, in bytes: every list shows them.
pub const LABELS_BYTES_MAX: usize = 16 * 1024;
/// Longest id of a workflow, and name of a record: fit for tags and labels.
pub const ID_LEN_MAX: usize = 40;
/// Longest name of a step.
pub const STEP_LEN_MAX: usize = 128;
/// Longest `request_id`.
pub const REQUEST_ID_LEN_MAX: usize = 128;
/// Longest reason that a person gives, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;
/// Entries of a page, where the request says nothing.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Most entries of a page.
pub const PAGE_SIZE_MAX: usize = 1000;
/// Most concurrent calls on one connection, streams included.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 200;
/// Most watches of the whole daemon at once.
pub const WATCHES_MAX: usize = 4096;
/// Longest wait of `WaitWorkflow`, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Longest time that `PlanWorkflow`, and a start by a plan, look at the world, in seconds.
pub const PLAN_SECONDS_MAX: u64 = 120;
/// Longest filter of a list or a watch, in bytes: every workflow is held against it.
pub const FILTER_BYTES_MAX: usize = 1000;
/// Most terms of a filter.
pub const FILTER_TERMS_MAX: usize = 50;
/// Most parentheses of a filter that are open at one place.
pub const FILTER_DEPTH_MAX: usize = 16;
/// How long a watch may leave a message untaken, in seconds, before it is cut off: long enough for a client that is busy, short
/// enough that those who have forgotten theirs keep no place from others.
pub const WATCH_STALL_SECONDS_MAX: u64 = 60;
/// Longest time that `Drain` waits for calls in flight, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 600;
/// What `Drain` waits for calls in flight where the request says nothing, in seconds.
pub const DRAIN_SECONDS_DEFAULT: u64 = 10;
/// Longest difference of one object in a plan, in bytes; it is cut with a word, which is not counted.
pub const PLAN_DIFF_BYTES_MAX: usize = 32 * 1024;
/// Steps of the built-in self-test.
pub const NOOP_STEPS: u32 = 10;
