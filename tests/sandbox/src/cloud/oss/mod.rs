//! OSS: buckets, objects, bucket policies; requests signed, presigned, or anonymous from inside a VPC.

mod buckets;
mod objects;
mod policy;
mod signing;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp, civil, fmt::rfc2822, tz::TimeZone};

use super::{
    Cloud,
    answer::{XML_HEAD, request_id},
    clock,
    gateway::LATE,
    iam,
    incoming::{Incoming, decode},
    state::{Bucket, State},
};
use crate::faults::{CallName, Fault, cut};
use signing::{Claim, Validity};

/// The longest that a presigned URL may live.
const PRESIGN_MAX: i64 = 604_800;

/// A refusal.
#[derive(Debug)]
pub(crate) struct OssError {
    status: u16,
    code: String,
    message: String,
}

/// A good answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    User { name: String, daemon: bool },
    Anonymous,
}

/// One operation on a bucket or an object.
#[derive(Debug, Clone)]
struct Operation {
    /// `PutObject`, …
    action: &'static str,
    bucket: String,
    /// Decoded; empty for the bucket itself.
    key: String,
    mutating: bool,
}

impl OssError {
    fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    fn denied(message: &str) -> Self {
        Self::new(403, "AccessDenied", message)
    }
}

impl Reply {
    fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    fn xml(body: &str) -> Self {
        Self::new(200, format!("{XML_HEAD}{body}")).with("content-type", "application/xml")
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// Serves one request.
pub(crate) async fn serve(cloud: &Arc<Cloud>, request: Incoming) -> Response {
    let id = request_id();
    let head = request.method == "HEAD";
    let host = request.host().to_owned();
    let result = match admit(cloud, &request) {
        Ok((operation, Who::User { daemon: true, .. })) => {
            Box::pin(run_for_daemon(cloud, operation, request)).await
        }
        Ok((operation, _)) => carry_out(&mut cloud.state(), &operation, &request),
        Err(error) => Err(error),
    };
    let mut response = match result {
        Ok(reply) => good(reply, head),
        Err(error) => bad(&error, head, &id, &host),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-oss-request-id", value);
    }
    if let Ok(date) = HeaderValue::from_str(&clock::http_date(clock::now())) {
        response.headers_mut().insert("date", date);
    }
    response
}

fn admit(cloud: &Cloud, request: &Incoming) -> Result<(Operation, Who), OssError> {
    let operation = operation_of(request)?;
    let claim = Claim::of(request).map_err(|why| OssError::new(400, "InvalidArgument", why))?;
    let state = cloud.state();
    let who = match claim {
        None => Who::Anonymous,
        Some(claim) => authenticate(cloud, &state, request, &claim, &operation)?,
    };
    let permission = authorise(&state, request, &operation, &who)?;
    if matches!(who, Who::User { daemon: true, .. }) {
        cloud.faults.uses().note_cloud(&permission);
    }
    Ok((operation, who))
}

fn authenticate(
    cloud: &Cloud,
    state: &State,
    request: &Incoming,
    claim: &Claim,
    operation: &Operation,
) -> Result<Who, OssError> {
    let unknown = |_| {
        let message = "The OSS Access Key Id you provided does not exist in our records.";
        OssError::new(403, "InvalidAccessKeyId", message)
    };
    let (user, key) = iam::find_key(state, &claim.access_key_id).map_err(unknown)?;
    check_time(claim, request)?;
    claim.verify(request, &operation.bucket, &operation.key, &key.secret).map_err(|text| {
        let message = format!(
            "The request signature we calculated does not match the signature you provided. \
             StringToSign: {text}"
        );
        OssError::new(403, "SignatureDoesNotMatch", message)
    })?;
    let daemon = claim.access_key_id == cloud.account.access_key_id;
    Ok(Who::User { name: user.user_name.clone(), daemon })
}

fn check_time(claim: &Claim, request: &Incoming) -> Result<(), OssError> {
    let wrong = |why: String| OssError::new(400, "InvalidArgument", why);
    let now = clock::now();
    match claim.validity(request).map_err(wrong)? {
        Validity::Around(text) => {
            let at = read_date(&text).ok_or_else(|| wrong(format!("{text} is no date")))?;
            if !clock::is_fresh(at) {
                let message = "The difference between the request time and the current time is \
                               too large.";
                return Err(OssError::new(403, "RequestTimeTooSkewed", message));
            }
        }
        Validity::For(text, seconds) => {
            let at = read_date(&text).ok_or_else(|| wrong(format!("{text} is no date")))?;
            if !(1..=PRESIGN_MAX).contains(&seconds) {
                return Err(wrong(format!("x-oss-expires must be 1 to {PRESIGN_MAX}")));
            }
            if now.duration_since(at) > SignedDuration::from_secs(seconds) {
                return Err(OssError::denied("Request has expired."));
            }
        }
        Validity::Until(second) => {
            if now.as_second() > second {
                return Err(OssError::denied("Request has expired."));
            }
        }
    }
    Ok(())
}

/// `20261123T080000Z` or RFC 1123.
fn read_date(text: &str) -> Option<Timestamp> {
    if let Ok(at) = civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text) {
        return at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    }
    rfc2822::parse(text).ok().map(|at| at.timestamp())
}

/// RAM policies for a user of the account, bucket policy and ACL for everybody; a Deny of the bucket policy wins. What comes back is
/// the permission that was asked for.
fn authorise(
    state: &State,
    request: &Incoming,
    operation: &Operation,
    who: &Who,
) -> Result<String, OssError> {
    let bucket = state.oss.get(&operation.bucket).ok_or_else(|| {
        OssError::new(404, "NoSuchBucket", "The specified bucket does not exist.")
    })?;
    let permission = match operation.action {
        "HeadObject" => "oss:GetObject".to_owned(),
        action => format!("oss:{action}"),
    };
    let by_policy = policy::verdict(bucket, &permission, &operation.key, request.vpc.as_deref());
    let by_ram = match who {
        Who::User { name, .. } => iam::allowed(state, name, &permission),
        Who::Anonymous => is_public(bucket, operation),
    };
    match by_policy {
        Some(false) => Err(OssError::denied("The bucket policy denies this request.")),
        Some(true) => Ok(permission),
        None if by_ram => Ok(permission),
        None => Err(OssError::denied("You have no right to access this object.")),
    }
}

/// Whether the ACL lets everybody do this.
fn is_public(bucket: &Bucket, operation: &Operation) -> bool {
    let object = bucket.objects.get(&operation.key);
    let own = object.map(|object| object.acl.as_str()).filter(|acl| *acl != "default");
    let acl = own.unwrap_or(&bucket.acl);
    match operation.action {
        "GetObject" | "HeadObject" => acl.starts_with("public-read"),
        "PutObject" | "DeleteObject" => acl == "public-read-write",
        _ => false,
    }
}

/// What a request asks for, from method, host, path and sub-resource.
fn operation_of(request: &Incoming) -> Result<Operation, OssError> {
    let (bucket, key) = locate(request);
    if bucket.is_empty() {
        return Err(OssError::denied("ListBuckets is not offered here."));
    }
    let sub = ["acl", "policy", "bucketInfo", "location", "publicAccessBlock"]
        .into_iter()
        .find(|name| request.has_query(name));
    let action = match (request.method.as_str(), key.is_empty(), sub) {
        ("PUT", false, None) => "PutObject",
        ("GET", false, None) => "GetObject",
        ("HEAD", false, None) => "HeadObject",
        ("DELETE", false, None) => "DeleteObject",
        ("PUT", false, Some("acl")) => "PutObjectAcl",
        ("GET", false, Some("acl")) => "GetObjectAcl",
        ("GET", true, None) => "ListObjects",
        ("GET", true, Some("bucketInfo")) => "GetBucketInfo",
        ("GET", true, Some("location")) => "GetBucketLocation",
        ("GET", true, Some("acl")) => "GetBucketAcl",
        ("GET", true, Some("publicAccessBlock")) => "GetBucketPublicAccessBlock",
        ("GET", true, Some("policy")) => "GetBucketPolicy",
        ("PUT", true, Some("policy")) => "PutBucketPolicy",
        ("DELETE", true, Some("policy")) => "DeleteBucketPolicy",
        _ => {
            let message = "A header or a method you provided implies functionality that is not \
                           implemented.";
            return Err(OssError::new(400, "NotImplemented", message));
        }
    };
    let mutating = action.starts_with("Put") || action.starts_with("Delete");
    Ok(Operation { action, bucket, key, mutating })
}

/// Bucket and key: the bucket from the host, or from the path where the host is an address or a bare endpoint.
fn locate(request: &Incoming) -> (String, String) {
    let path = decode(request.path.trim_start_matches('/'));
    let host = request.host();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let by_path = name.starts_with("oss-")
        || name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    match name.split_once('.') {
        Some((bucket, _)) if !by_path => (bucket.to_owned(), path),
        _ => match path.split_once('/') {
            Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
            None => (path, String::new()),
        },
    }
}

async fn run_for_daemon(
    cloud: &Arc<Cloud>,
    operation: Operation,
    request: Incoming,
) -> Result<Reply, OssError> {
    let object = match operation.key.is_empty() {
        true => operation.bucket.clone(),
        false => format!("{}/{}", operation.bucket, operation.key),
    };
    let name = CallName {
        product: "oss".into(),
        action: operation.action.into(),
        object,
        mutating: operation.mutating,
    };
    let Ok(fault) = cloud.faults.enter(&name, cloud.pace).await else { cut() };
    let result = match &fault {
        Some(Fault::Error { status, code }) => Err(injected(*status, code.as_deref())),
        Some(Fault::Throttle) => {
            Err(OssError::new(503, "ServiceUnavailable", "Please reduce your request rate."))
        }
        Some(Fault::Late) => {
            let late = Arc::clone(cloud);
            cloud.spawn(async move {
                late.pace.sleep(Duration::from_secs(LATE)).await;
                // Nobody is there any more to take the answer.
                drop(carry_out(&mut late.state(), &operation, &request));
            });
            cut()
        }
        _ => carry_out(&mut cloud.state(), &operation, &request),
    };
    if cloud.faults.leave(&name, fault.as_ref()).await.is_err() {
        cut();
    }
    result
}

fn injected(status: u16, code: Option<&str>) -> OssError {
    let usual = match status {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        409 => "FileAlreadyExists",
        500 => "InternalError",
        502..=504 => "ServiceUnavailable",
        _ => "InvalidArgument",
    };
    let code = code.unwrap_or(usual);
    OssError::new(status, code, format!("{code}: refused by a fault rule."))
}

fn carry_out(
    state: &mut State,
    operation: &Operation,
    request: &Incoming,
) -> Result<Reply, OssError> {
    // Authorisation has seen it; a late call may find it gone.
    let Some(bucket) = state.oss.get_mut(&operation.bucket) else {
        return Err(OssError::new(404, "NoSuchBucket", "The specified bucket does not exist."));
    };
    match operation.action {
        "PutObject" => objects::put(bucket, &operation.key, request),
        "GetObject" | "HeadObject" => objects::get(bucket, &operation.key, request),
        "DeleteObject" => Ok(objects::delete(bucket, &operation.key)),
        "PutObjectAcl" => objects::put_acl(bucket, &operation.key, request),
        "GetObjectAcl" => objects::get_acl(bucket, &operation.key),
        "ListObjects" => Ok(buckets::list(bucket, request)),
        "GetBucketInfo" => Ok(buckets::info(bucket)),
        "GetBucketLocation" => Ok(buckets::location(bucket)),
        "GetBucketAcl" => Ok(buckets::acl(bucket)),
        "GetBucketPublicAccessBlock" => Ok(buckets::access_block(bucket)),
        "GetBucketPolicy" => policy::get(bucket),
        "PutBucketPolicy" => policy::put(bucket, request),
        _ => Ok(policy::delete(bucket)),
    }
}

fn good(reply: Reply, head: bool) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let length = reply.body.len();
    let body = if head { Body::empty() } else { Body::from(reply.body) };
    let mut response = (status, reply.headers, body).into_response();
    if head {
        response.headers_mut().insert("content-length", HeaderValue::from(length));
    }
    response
}

/// The XML error; for HEAD, which has no body, in a header.
fn bad(error: &OssError, head: bool, id: &str, host: &str) -> Response {
    let OssError { status, code, message, .. } = error;
    let (text, host) =
        (quick_xml::escape::escape(message.as_str()), quick_xml::escape::escape(host));
    let ec = "0000-00000001";
    let xml = format!(
        "{XML_HEAD}<Error><Code>{code}</Code><Message>{text}</Message><RequestId>{id}</RequestId>\
         <HostId>{host}</HostId><EC>{ec}</EC></Error>"
    );
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match head {
        true => status.into_response(),
        false => (status, xml.clone()).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert("x-oss-ec", HeaderValue::from_static(ec));
    if head {
        if let Ok(value) = HeaderValue::from_str(&BASE64_STANDARD.encode(xml)) {
            headers.insert("x-oss-err", value);
        }
    } else {
        headers.insert("content-type", HeaderValue::from_static("application/xml"));
    }
    response
}
