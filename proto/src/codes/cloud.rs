//! Codes of Alibaba Cloud. The class of most goes by the HTTP status with which they come; some are told apart by their words.

use super::{Code, codes};

pub(super) const CODES: &[Code] = codes! {
    Cloud {
        "Throttling" Throttled "too many calls at once for this account or API" "nothing: it is tried again, no sooner than the cloud says; lower the connection's max_concurrent_calls if it goes on";
        "Rejected.Throttling" Throttled "too many calls at once for this account or API" "nothing: it is tried again later";
        "ServiceUnavailable" Lost "the service is not available for the moment" "nothing: it is tried again";
        "InternalError" Lost "something broke in the cloud" "nothing: it is tried again; give the request id to the cloud's support if it goes on";
        "RequestTimeout" Lost "the cloud did not get or finish the request in time" "nothing: the world is read before anything is repeated";
        "SignatureNonceUsed" Lost "the cloud got the same request twice: the other copy may have had its effect" "nothing: the world is read before anything is repeated";
        "InvalidTimeStamp" Permanent "the daemon's clock is more than 15 minutes off" "set the daemon's clock by NTP, then retry";
        "RequestTimeTooSkewed" Permanent "the daemon's clock is more than 15 minutes off" "set the daemon's clock by NTP, then retry";
        "SignatureDoesNotMatch" Permanent "the AccessKey secret does not belong to the AccessKey id" "correct the connection's credentials, and reload them";
        "IncompleteSignature" Permanent "the request's signature lacks a part" "check for a proxy that changes headers; else report it";
        "MissingParameter" Permanent "the cloud misses a parameter of the call" "report it with the request id: a call of Causeway's should never lack one";
        "InvalidParameter" Permanent "the cloud does not take a value of the call" "the message names the value; correct it in the input";
        "MalformedPolicyDocument" Permanent "the cloud can't read a RAM policy" "report it with the request id";
        "InvalidAccessKeyId" Permanent "the AccessKey is unknown, deleted or disabled" "configure another in the connection, and reload it; right after a key was made this passes by itself";
        "InvalidSecurityToken" Permanent "the temporary credentials are expired or wrong" "renew them; a role or OIDC provider does so by itself";
        "SecurityTokenExpired" Permanent "the temporary credentials are expired" "renew them; a role or OIDC provider does so by itself";
        "NoPermission" Permanent "the daemon's RAM identity may not do this" "grant it the action that the message names; `causeway plan` lists all that are needed";
        "Forbidden" Permanent "the daemon's RAM identity may not do this" "grant it the action that the message names; `causeway plan` lists all that are needed";
        "StatusForbidden" Permanent "the daemon's RAM identity has no role in the cluster" "grant it one in the console: Authorizations, cluster administrator";
        "ForbiddenGrantPermissions" Permanent "the daemon's RAM identity may not hand out roles in the cluster" "have the account's owner, or a cluster administrator, do it once";
        "ErrorRamPolicyConfig" Permanent "the RAM identity that is to get a role lacks any RAM policy for the service" "attach at least the read policy of Container Service to it";
        "AccessDenied" Permanent "the daemon's RAM identity may not do this, or a bucket's policy forbids it" "grant it the action that the message names";
        "UnauthorizedOperation" Permanent "the daemon's RAM identity may not do this" "grant it the action that the message names";
        "Inactive" Permanent "the service was never activated in this account" "activate it in the console once";
        "InvalidApi" Permanent "the endpoint does not offer this API" "check the connection's endpoints and region";
        "InvalidProduct" Permanent "the endpoint is another product's" "check the connection's endpoints and region";
        "NoSuchVersion" Permanent "the endpoint does not offer this version of the API" "check the connection's endpoints and region";
        "ErrorClusterNotFound" Gone "the account has no such cluster in this region" "check spec.cluster_id, spec.region and the connection";
        "ErrorNodePoolNotFound" Gone "the node pool is gone" "nothing in an undo; else look who removed it";
        "AddonNotFound" Gone "the cluster has no such add-on" "nothing in an undo; else look who removed it";
        "EntityNotExist" Gone "the RAM user, policy, key or attachment does not exist" "nothing in an undo; else look who removed it";
        "EntityAlreadyExists" Stale "the RAM user, policy or attachment is there already" "nothing: it is looked at again, and adopted or refused";
        "DeleteConflict" Stale "something still hangs on the RAM user or policy" "nothing: it is looked at again; what others attached is kept";
        "LimitExceeded" Permanent "a quota of the account is used up: two keys per user, five versions per policy" "remove one that is not needed, or raise the quota; then retry";
        "FileAlreadyExists" Stale "the object is there already" "nothing: it is looked at again";
        "PreconditionFailed" Stale "the object was changed in between; nothing was changed" "nothing: it is read again";
        "NoSuchBucket" Gone "there is no such bucket" "create it, or name another in spec.init_script.publish.oss";
        "NoSuchKey" Gone "there is no such object in the bucket" "nothing in an undo; else look who removed it";
        "NoSuchBucketPolicy" Gone "the bucket has no policy" "nothing: one is made if it is needed";
        "OperationDenied" Permanent "the cloud refuses this for now: often the zone has no stock of the instance type" "ask for more instance types or zones in the node pool, then retry";
        "InvalidOperation" Permanent "the object is in a state in which the cloud does not do this" "nothing where the step waits for it; else look at the object in the console";
        "IdempotentParameterMismatch" Permanent "a token was used before with other parameters" "report it with the request id: this is a mistake in Causeway";
        "HttpNNN" ByStatus "the cloud or Kubernetes answered with an HTTP status and no code of its own; often a gateway or proxy between" "look at the status: 403 is a permission, 404 a wrong address, 5xx passes and is tried again";
    }
};
