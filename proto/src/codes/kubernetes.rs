//! Reasons of the Kubernetes API, and the words for answers that never came. The class goes by the HTTP status.

use super::{Code, codes};

pub(super) const CODES: &[Code] = codes! {
    Kubernetes {
        "BadRequest" Permanent "the API server can't make sense of the request" "report it: a request of Causeway's should never be refused so";
        "Unauthorized" Retryable "the API server does not know the kubeconfig's user; the kubeconfig is read anew before the next try"
            "check the cluster's kubeconfig: its certificate or token may have expired";
        "Forbidden" Permanent "the kubeconfig's user may not do this"
            "grant the verb on the resource that the message names, or use a kubeconfig of a cluster administrator";
        "NotFound" Gone "the object does not exist, or no longer" "look who removed it; mostly the step copes by itself";
        "MethodNotAllowed" Permanent "the API server does not offer this verb on this resource" "check that the kubeconfig is that of the data center's cluster";
        "AlreadyExists" Stale "somebody created the object in between; nothing was changed" "nothing: it is read again";
        "Conflict" Stale "somebody changed the object in between; nothing was changed" "nothing: it is read again, and merged";
        "Gone" Retryable "the version that was asked for is no longer kept" "nothing: it is read anew";
        "Expired" Retryable "the list took too long to read, and has to be begun again" "nothing: it is read anew";
        "RequestEntityTooLarge" Permanent "the object is too large for the API server" "make the object smaller: the message names it";
        "UnsupportedMediaType" Permanent "the API server does not take this kind of change" "use a newer API server";
        "Invalid" Permanent "the object breaks a rule of its kind, or of an admission policy" "the message names field and rule; correct the input, or the policy";
        "TooManyRequests" Throttled "the API server has too much to do, or a budget forbids an eviction for now" "nothing: it is tried again later";
        "InternalError" Lost "something broke in the API server, or in a webhook that it asked" "look at the API server's log if it goes on; webhooks that do not answer are the usual cause";
        "ServiceUnavailable" Lost "the API server, or what it asks, is not available" "nothing, or see to the control plane if it goes on";
        "Timeout" Lost "the API server did not finish in time" "nothing, or see to the control plane and its etcd if it goes on";
        "ServerTimeout" Lost "the API server did not finish in time, and asks to try again" "nothing, or see to the control plane and its etcd if it goes on";
    }
    Engine {
        "NOT_SENT" Retryable "the call could not be sent: connection refused, no address, or TLS refused"
            "check that the API server can be reached from the daemon, and the address in the kubeconfig";
        "ANSWER_LOST" Lost "the call may have been sent, and no whole answer came back" "nothing: the world is read before anything is repeated";
        "ANSWER_UNREADABLE" Lost "an answer came that is none of the API's" "check for a proxy between the daemon and the API server";
        "ATTEMPT_DEADLINE" Retryable "the attempt's time was over before the call was sent" "nothing: the next attempt has its own time";
        "READ_ONLY" Permanent "a step tried to change something where only a look was asked for; nothing was sent" "report it: this is a mistake in Causeway";
    }
};
