//! The words of the contract itself: reasons of errors, states, and what stands in a workflow. It knows nothing of who says them.

use super::{Code, codes};

/// `ErrorInfo.reason`.
pub(super) const REASONS: &[Code] = codes! {
    Reason {
        "INVALID_FIELD" None "a field of the request is missing or wrong; nothing was changed"
            "correct the fields that are named, by their paths; `causeway example --full` shows each of them";
        "REQUEST_UNREADABLE" None "the bytes that came are not the message of this call; nothing was changed"
            "use a client of the daemon's version; look for a proxy between";
        "REQUEST_TOO_LARGE" None "the request is larger than the daemon takes; nothing was changed"
            "make the input smaller: long scripts belong behind a URL";
        "NOT_SUPPORTED_YET" None "a field is understood, but this version does nothing with it yet; nothing was changed"
            "leave the field out, or use a version that has it";
        "PAGE_TOKEN_INVALID" None "a page token was not made by this daemon for this request"
            "begin again without a page token, and keep the filter the same from page to page";
        "WORKFLOW_NOT_FOUND" None "there is no workflow of this id; it may have been deleted"
            "`causeway list` shows those that there are";
        "HYBRID_CLUSTER_NOT_FOUND" None "there is no record of a hybrid cluster of this name"
            "`causeway clusters list` shows those that there are";
        "STEP_NOT_FOUND" None "the workflow has no step of this name"
            "`causeway describe ID` shows its steps; put names with brackets into quotes";
        "WORKFLOW_EXISTS" None "there is, or was, a workflow of this id"
            "choose another id, or leave it out; to repeat a start whose answer was lost, use its request id";
        "REQUEST_ID_REUSED" None "the request id was used before, for another input"
            "use a new request id; one belongs to one input for 30 days";
        "REQUEST_EXPIRED" None "the request was answered before, and the workflow that it was about has been deleted since"
            "use a new request id to start anew";
        "CLUSTER_EXISTS" None "the registered cluster, or the name, has a record already: it was built before"
            "`causeway clusters get NAME` shows it; choose another name, or take that one down first";
        "CLUSTER_CHANGED" None "the cluster's record is another one by now than the teardown was made from: another one ran before it"
            "`causeway clusters get NAME` shows whether something is left; if so, start the teardown anew";
        "TEARDOWN_UNFIT" None "this daemon can't take the cluster down: it misses its definition or connection, or the record is too old"
            "the message says which; mend that, or use a daemon that has it";
        "WRONG_STATE" None "the verb does not fit the state that the workflow is in; nothing was changed"
            "`causeway describe ID` shows the state, and what can be done in it";
        "PAST_PIVOT" None "the workflow is past its point of no return: the only way is forward"
            "mend the world and `causeway retry ID`, or `causeway abandon ID --reason TEXT`";
        "WORKFLOW_ENDED" None "the workflow has ended: nothing can be asked of it any more but to delete it"
            "`causeway describe ID` shows how it ended; start another";
        "WORKFLOW_NOT_ENDED" None "the workflow has not ended, so it can't be deleted yet"
            "cancel or abandon it first, and wait for its end";
        "USE_RETRY" None "a step is held or stuck, and only trying it again moves it"
            "mend what its failure says, then `causeway retry ID`";
        "NOT_STARTED" None "the workflow is queued: there is nothing to try again yet"
            "`causeway describe ID` shows whom it waits for";
        "STEP_NOT_SKIPPABLE" None "the step does not wait to be tried again, is not held or stuck, or is no action"
            "only an action that waits, is held or is stuck can be skipped; `causeway describe ID` shows which are";
        "GATE_NOT_OPEN" None "the step is no gate that waits for a decision"
            "`causeway describe ID` shows whether a gate is open";
        "PLAN_STALE" None "the world, the input or the definition has changed since the plan; nothing was changed"
            "make a new plan, look at what has changed, and start with its digest";
        "PLAN_UNREAD" None "something could not be looked at, so whether the plan still holds can't be told now"
            "try again a little later; the message names what could not be read";
        "DEFINITION_UNKNOWN" None "this daemon does not know the definition, or not in this revision"
            "use a daemon that has it: `causeway server info` shows what this one knows";
        "ETAG_MISMATCH" None "the workflow has moved on since it was read; nothing was changed"
            "look at it again, and decide on what it shows now";
        "CONFLICT" None "somebody else was faster; nothing was changed"
            "repeat the call";
        "CURSOR_EXPIRED" None "the cursor of a watch is too old, or another store's"
            "watch again without a cursor: it begins with a new snapshot";
        "WATCH_TOO_SLOW" None "the watch was cut off, as its reader could not keep up; nothing is lost"
            "watch again from the last cursor; read faster, or filter for fewer workflows";
        "LIMIT_REACHED" None "a limit of the daemon is reached"
            "try again later; where the message names a limit of the request, make it smaller";
        "SHUTTING_DOWN" None "the daemon is shutting down; what it has accepted goes on once it is back"
            "try again once it is back, or ask another daemon";
        "DRAINING" None "the daemon is draining: it takes no new work, and parks what runs at its next safe point"
            "try again once it is back, or ask another daemon";
        "STORE_UNAVAILABLE" None "the store does not answer, so whether the call was written is unknown"
            "repeat the call with the same request id; look at the daemon's log and its disk";
        "QUARANTINED" None "the workflow's records can't all be read; it keeps its locks and accepts only abandon"
            "restore a backup into a new directory if it can't be lost; else `causeway abandon ID --reason TEXT`, which lists what is readable";
        "RECORD_CORRUPT" None "something stored can't be read; nothing was removed"
            "keep the data directory as it is, and restore a backup into a new one if what it says is needed";
        "RPC_NOT_IMPLEMENTED" None "the call is part of the contract, but this version of causewayd does not have it yet"
            "use a version that has it: `causeway version` shows both";
        "UNAUTHENTICATED" None "the caller did not say who it is, or not truthfully"
            "set CAUSEWAY_TOKEN, or token_file or token_command in the context; a token may have been replaced";
        "PERMISSION_DENIED" None "the caller is known, and may not do this"
            "`causeway whoami` shows the role; ask for one that may, or ask somebody who has it";
        "INTERNAL" None "a mistake in Causeway; whether the call had its effect is unknown"
            "find the incident's id in the daemon's log and report it; repeat the call with the same request id";
    }
};

/// States of workflows and steps.
pub(super) const STATES: &[Code] = codes! {
    State {
        "QUEUED" None "it waits for its cluster's lock, or for another workflow's key, before its first step"
            "nothing: it begins by itself; `causeway describe ID` shows whom it waits for";
        "RUNNING" None "it goes forward" "nothing; `causeway watch ID` follows it";
        "AWAITING_APPROVAL" None "nothing but a gate can go on: a person decides"
            "`causeway approve ID STEP` or `causeway deny ID STEP`";
        "PAUSED" None "it rests: somebody paused it, a step is held, or the daemon parked it"
            "`causeway describe ID` says which, and prints what moves it on";
        "COMPENSATING" None "it undoes what it did, in reverse order" "nothing; `causeway watch ID` follows it";
        "STUCK" None "an undo failed, and needs a person; all other undos go on"
            "`causeway stuck` says why and prints what moves it on: mend the world and retry, or skip";
        "QUARANTINED" None "its record can't be read in full; it keeps its locks"
            "restore a backup into a new directory, or `causeway abandon ID --reason TEXT`";
        "SUCCEEDED" None "ended: everything is built and verified" "nothing; `causeway describe ID` shows what was built";
        "REJECTED" None "ended: a check failed or a gate was denied before anything was touched"
            "mend what the findings say, and start again";
        "COMPENSATED" None "ended: it failed, was denied or timed out, and everything was undone"
            "mend the cause, which `causeway describe ID` shows, and start again";
        "CANCELLED" None "ended: it was cancelled, and everything was undone" "nothing";
        "ABANDONED" None "ended: a person ended it with something left in the world"
            "`causeway describe ID` lists what is left, and how it is removed by hand";
    }
    StepState {
        "PENDING" None "its prerequisites are not done, or it was never started" "nothing: it begins by itself";
        "CHECKING" None "a check reads the world" "nothing";
        "WAITING" None "a check or a gate waits for a time or for a person" "look at what it waits for; a gate is approved or denied";
        "PASSED" None "a check found everything as it should be" "nothing; warnings, if any, are worth a look";
        "OBSERVING" None "an action reads what is there, before it changes anything" "nothing";
        "APPLYING" None "an action changes the world" "nothing";
        "UNRESOLVED" None "a call's answer was lost; the world is read to find out whether it had its effect"
            "nothing: it goes on once the call can no longer land";
        "CONFIRMING" None "an action waits until its effect holds" "nothing: the note says what is still missing";
        "CONFIRMED" None "an action is done, and its effect holds" "nothing";
        "RETRY_WAIT" None "it failed in a way that passes, and is tried again at a set time"
            "nothing, or mend the cause and `causeway retry ID` to try now";
        "HELD" None "it failed, and is held for the operator" "mend the world, then `causeway retry ID`";
        "FAILED" None "it failed for good" "mend the cause, and start again";
        "APPROVED" None "a gate was approved" "nothing";
        "DENIED" None "a gate was denied" "nothing: everything that was done is undone";
        "LAPSED" None "a gate's time passed without a decision" "start again, with a longer time for the gate if need be";
        "UNDOING" None "its undo runs" "nothing";
        "UNDO_RETRY_WAIT" None "its undo failed in a way that passes, and is tried again at a set time"
            "nothing, or mend the cause and `causeway retry ID` to try now";
        "UNDONE" None "its undo is over" "nothing; the note says whether something was kept, and why";
        "UNDO_FAILED" None "its undo failed, and needs a person"
            "mend the world and `causeway retry ID`, or `causeway skip ID STEP --reason TEXT`";
        "HOLDS" None "looked at again, it is as the build left it" "nothing";
        "DRIFTED" None "looked at again, it is another than the build left it" "the failure says what is different: put it back, or accept it";
        "UNREAD" None "it could not be looked at" "the failure says why; mend that, and look again";
        "SKIPPED" None "it will not run: the workflow turned before it began, or a person passed over it" "nothing";
    }
};

/// What else stands in a workflow.
pub(super) const WORDS: &[Code] = codes! {
    Waiting {
        "OPERATOR" None "a person paused it" "`causeway resume ID`";
        "HELD" None "a failed step is held for the operator"
            "mend the world and `causeway retry ID`, or `causeway cancel ID` to undo everything";
        "QUEUED_BEHIND" None "the cluster's lock is another workflow's" "nothing: it begins when the other ends";
        "LOCK" None "a narrower key, such as an account-wide RAM policy, is another workflow's"
            "nothing: it goes on when the other lets go";
        "RETRYING" None "a step failed in a way that passes, and is tried again at a set time"
            "nothing, or mend the cause and `causeway retry ID` to try now";
        "TIMER" None "a set time has to pass, such as that which the cluster's agent takes to notice" "nothing";
        "APPROVAL" None "a gate waits for approval" "`causeway approve ID STEP` or `causeway deny ID STEP`";
        "CONNECTION_MOVED" None "the connection points to another account or cluster than before, so nothing is called through it"
            "correct the connection in the daemon's configuration, reload it, then `causeway resume ID`";
        "DEFINITION_UNKNOWN" None "this daemon does not know the definition's revision, or knows it with another digest"
            "run a daemon that knows it, then `causeway resume ID`";
        "CONFIRMING" None "a step polls the world until its effect holds" "nothing: the note says what is still missing";
        "UNRESOLVED" None "a call's answer was lost; until it can no longer land, and the world was read, nothing goes on"
            "nothing: it goes on by itself";
        "UNDO_FAILED" None "an undo failed for good, and needs a person"
            "mend the world and `causeway retry ID`, or `causeway skip ID STEP --reason TEXT`";
        "RESTORED" None "the daemon's store was restored from a backup: the world may be ahead of what it knows"
            "look at what there is, then `causeway resume ID`: it looks before it acts; or `causeway abandon ID --reason TEXT`";
        "QUARANTINED" None "its records can't all be read"
            "restore a backup into a new directory, or `causeway abandon ID --reason TEXT`";
    }
    Class {
        "RETRYABLE" None "a failure that passes by itself" "nothing: it is tried again, with growing pauses, until the step's deadline";
        "THROTTLED" None "too many calls at once for the cloud" "nothing: it is tried again later, and no sooner than the cloud says";
        "PERMANENT" None "the input or a permission is wrong: trying again can't help" "mend what the message names";
        "GONE" None "what the step needs is no longer there" "look who removed it; start again";
        "STALE" None "somebody changed the object in between; the call had no effect" "nothing: it is read again, and merged";
        "UNKNOWN" None "a call's answer was lost: it may have had its effect"
            "nothing: the world is read before anything is repeated or undone";
    }
    Cause {
        "FAILURE" None "it turned to its undo because a step failed" "`causeway describe ID` shows which, and why";
        "CANCEL" None "it turned to its undo because somebody cancelled it" "`causeway history ID` shows who, and why";
        "TIMEOUT" None "it turned to its undo because its own time limit passed" "set a longer `run.timeout`, and start again";
        "DENIED" None "it turned to its undo because a gate was denied or lapsed" "`causeway history ID` shows who, and why";
    }
    Verdict {
        "CHANGE" None "something has to be changed" "nothing";
        "OURS" None "what is wanted was already done by this very workflow" "nothing";
        "SHARED" None "it is Causeway's, on behalf of another cluster as well" "nothing: the last who relies on it undoes it";
        "ADOPTED" None "it is as wanted already, and nobody's of ours" "nothing: it is never undone";
        "CONFLICT" None "it is there, and neither as wanted nor ours; nothing was touched"
            "rename or remove what is there, or ask for another name in the input";
    }
    Undo {
        "REVERTED" None "it was put back as it was" "nothing";
        "NOTHING_THERE" None "there was nothing to put back" "nothing";
        "KEPT" None "it was kept on purpose; the reason says why" "look at the reason; what is kept is listed as left";
        "SKIPPED" None "a person skipped the undo" "what is still there stays listed, with how it is removed by hand";
        "CHANGED_BY_OTHER" None "kept: somebody else changed it since, so it is neither as it was before nor as it was made"
            "decide by hand which it should be";
        "IN_USE" None "kept: somebody else uses it" "remove it by hand once nobody does";
        "NEEDED_BY" None "kept: a step that could not be undone needs it" "remove what that step left first";
        "SHARED" None "kept: another cluster still relies on it" "nothing: the last who relies on it undoes it";
    }
};
