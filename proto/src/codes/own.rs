//! Codes that the daemon itself gives: its engine and runtime, its plans, and its checks of an input.

use super::{Code, codes};

pub(super) const ENGINE: &[Code] = codes! {
    Engine {
        "CHECK_DEADLINE" Permanent "a check waited for the world to become as it should be, and its time is over" "mend what the message says is missing, and start again";
        "CONFIRM_DEADLINE" Permanent "an action's effect did not come to hold in its time" "the message says what is still missing; mend it and retry, or start again";
        "UNDO_DEADLINE" Permanent "an undo's effect did not come to hold in its time" "the message says what is still there; mend it, then `causeway retry ID`";
        "SKIP_REFUSED" Permanent "a skip was refused: a fresh look finds the world not as the step wants it" "bring the world there by hand first, or retry instead";
        "MAY_STILL_LAND" Unknown "a call's answer was lost, and the call may still have its effect" "nothing: it is looked for again when it no longer can";
        "GATE_DENIED" Permanent "a person denied a gate" "`causeway history ID` shows who, and why";
        "GATE_LAPSED" Permanent "a gate's time passed without a decision" "start again, with a longer time for the gate if need be";
        "CONNECTION_MOVED" Permanent "the connection points to another account or cluster than before, or is gone" "correct the connection in the daemon's configuration, reload it, then `causeway resume ID`";
        "DEFINITION_UNKNOWN" Permanent "this daemon does not know the definition that the workflow was started with" "run a daemon that knows it, then `causeway resume ID`";
        "SECRET_MISSING" Permanent "a sealed value that a step needs is not in the store, or not in its record" "start again; if it goes on, look whether the store is a whole copy";
        "SEALING_KEY" Permanent "a sealed value can't be opened with the daemon's key" "give the daemon the sealing key that it was sealed with";
        "TOO_LARGE" Permanent "a value that a step read is too large to be kept" "shorten what the message names";
        "RECORD_SHAPE" Permanent "a record of a step can't be read in the form that this version knows" "use the version that began the workflow; else report it";
        "MISSING_OUTPUT" Permanent "a step needs what another found, and that is not recorded" "report it: this is a mistake in Causeway";
        "MISSING_INPUT" Permanent "a step needs something that the input leaves out" "the message names it; put it into the input and start again";
        "NOT_YET" Retryable "a plan met a check that does not hold yet, but may soon" "plan again a little later";
        "PLAN_DEADLINE" Retryable "the plan's time was over before this was looked at" "plan again; if it goes on, see why the cloud is slow to answer";
        "PLAN_TOUCHED" Permanent "a plan would have changed something, and was stopped" "report it: this is a mistake in Causeway";
        "QUEUED_BEHIND" Warning "another workflow holds the cluster: a start would wait for it" "wait for it, or start: it queues";
        "PERMISSION_MISSING" Permanent "the daemon lacks a permission that a step needs" "grant what the message names, in RAM or in the cluster's RBAC";
        "RECORD_CORRUPT" Permanent "something stored can't be read; nothing was removed" "keep the data directory as it is, and restore a backup into a new one if it is needed";
        "CLUSTER_EXISTS" Permanent "the cluster got a record of its own while the workflow was queued" "`causeway clusters get NAME` shows it";
        "CLUSTER_CHANGED" Permanent "the cluster's record changed, or went, while the teardown was queued" "`causeway clusters get NAME` shows whether something is left; if so, start the teardown anew";
    }
};

pub(super) const INPUT: &[Code] = codes! {
    Input {
        "INVALID_VALUE" None "a value of the input has not the form that it needs, or is missing" "the message says which form; correct it";
        "OUT_OF_RANGE" None "a number, length or count of the input is outside of what is allowed" "the message says the bounds; correct it";
        "NOT_ALLOWED" None "a value of the input does not fit another, or the connection's limits" "the message names both; change one of them";
        "CIDR_OVERLAP" None "two address blocks of the input overlap that must not" "use blocks that do not overlap";
        "HOST_BITS_SET" None "an address block has bits set beyond its prefix" "use the block that the message suggests";
        "IPV6_NOT_SUPPORTED" None "IPv6 is not supported" "use IPv4 addresses and blocks";
        "UNKNOWN_CONNECTION" None "this daemon has no connection of this name" "`causeway connections` shows those that it has";
    }
};
