//! Object Storage Service: objects, their ACLs, and a bucket's policy. Buckets are addressed by host name, or by path
//! where the endpoint is an IP address.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use md5::{Digest, Md5};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::client::{Answer, Client, Request};
use super::endpoints::Product;
use super::error::{Access, Cause, Error};
use super::oss_sign::{self, PAYLOAD, Scope, Signable};
use super::params::{Params, encode_path};

/// Largest object that is read, in bytes: scripts are small.
const OBJECT_BYTES_MAX: usize = 8 << 20;
/// Longest life of a presigned URL, in seconds: OSS refuses more than 7 days.
pub const PRESIGN_SECONDS_MAX: u32 = 7 * 24 * 3600;
/// Prefix of the headers that carry an object's own metadata.
const META: &str = "x-oss-meta-";
/// The metadata key that names the workflow that wrote an object.
pub const WORKFLOW_META: &str = "causeway-workflow";

/// Who may read an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acl {
    /// The owner, and whom a policy allows.
    Private,
    /// Everybody.
    PublicRead,
}

impl Acl {
    const fn wire(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
        }
    }
}

/// An object to be written.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// The bytes.
    pub body: Bytes,
    /// MIME type.
    pub content_type: &'static str,
    /// Who may read it.
    pub acl: Acl,
    /// Refuse to replace an object that is there (`FileAlreadyExists`). Versioned buckets ignore this.
    pub forbid_overwrite: bool,
    /// The workflow that writes it: [`WORKFLOW_META`].
    pub workflow: String,
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Upper-case hex MD5 of the bytes, for objects written at once; without quotes.
    pub etag: String,
    /// Its own metadata, keys in lower case without the prefix.
    pub meta: BTreeMap<String, String>,
}

impl ObjectHead {
    fn of(headers: &http::HeaderMap) -> Self {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Self {
            etag: headers.get("etag").map(text).unwrap_or_default().trim_matches('"').to_owned(),
            meta: headers
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.as_str().strip_prefix(META)?.to_owned(), text(value)))
                })
                .collect(),
        }
    }

    /// The workflow that wrote the object, where it says so.
    #[must_use]
    pub fn workflow(&self) -> Option<&str> {
        self.meta.get(WORKFLOW_META).map(String::as_str)
    }
}

/// What a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    /// Region, without the `oss-` prefix.
    pub region: String,
    /// `Enabled`, `Suspended`, or empty.
    pub versioning: String,
    /// Whether public ACLs are refused.
    pub block_public_access: bool,
}

struct Call<'a> {
    action: &'static str,
    access: Access,
    method: Method,
    bucket: &'a str,
    key: &'a str,
    query: Params,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl<'a> Call<'a> {
    fn new(action: &'static str, access: Access, method: Method, bucket: &'a str) -> Self {
        Self {
            action,
            access,
            method,
            bucket,
            key: "",
            query: Params::new(),
            headers: vec![],
            body: Bytes::new(),
        }
    }

    fn error(&self, cause: Cause) -> Error {
        Error { product: Product::Oss, action: self.action, access: self.access, cause }
    }
}

fn valid(bucket: &str, key: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(3..=63).contains(&bucket.len())
        || !bucket.chars().all(plain)
        || bucket.starts_with('-')
        || bucket.ends_with('-')
    {
        return Err(format!("`{bucket}` is no bucket name: 3 to 63 of a-z, 0-9 and inner hyphens"));
    }
    // URLs lose such segments on the way, and the signature with them.
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    if key.len() > 1023 || (!key.is_empty() && key.split('/').any(odd)) {
        return Err(
            "an object key has at most 1023 bytes, and no empty, `.` or `..` part".to_owned()
        );
    }
    Ok(())
}

async fn send(client: &Client, call: Call<'_>) -> Result<Answer, Error> {
    valid(call.bucket, call.key).map_err(|why| call.error(Cause::Invalid(why)))?;
    let mut base = client.base(Product::Oss, call.action, call.access)?;
    let resource = encode_path(&format!("/{}/{}", call.bucket, call.key));
    let path = if base.is_ip {
        resource.clone()
    } else {
        base.authority = format!("{}.{}", call.bucket, base.authority);
        encode_path(&format!("/{}", call.key))
    };
    let Call { action, access, method, query, headers: own, body, .. } = call;
    let query = query.canonical();
    let request =
        Request { product: Product::Oss, action, access, method, base, path, query, body };
    client
        .send(&request, OBJECT_BYTES_MAX, |request| {
            let scope = Scope { now: (client.sources.now)(), region: &client.region };
            let mut headers = own;
            headers.push(("x-oss-date", scope.date_time()));
            headers.push(("x-oss-content-sha256", PAYLOAD.to_owned()));
            headers.push(("date", scope.now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
            if let Some(token) = &client.credentials.token {
                headers.push(("x-oss-security-token", token.expose_secret().to_owned()));
            }
            let signable = Signable {
                method: request.method.as_str(),
                path: &resource,
                query: &request.query,
                headers: &headers,
            };
            let authorization = oss_sign::authorization(&signable, &scope, &client.credentials);
            headers.push(("authorization", authorization));
            headers
        })
        .await
}

/// `Ok(None)` where the object, or the bucket's policy, does not exist; a missing bucket stays an error.
fn absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_gone() && !error.is("NoSuchBucket") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes an object; gives its ETag.
///
/// # Errors
/// `FileAlreadyExists` where it may not be replaced; any call's failures.
pub async fn put_object(
    client: &Client,
    bucket: &str,
    key: &str,
    object: NewObject,
) -> Result<String, Error> {
    let mut call = Call::new("PutObject", Access::Mutate, Method::PUT, bucket);
    call.key = key;
    call.headers = vec![
        ("content-type", object.content_type.to_owned()),
        ("content-md5", STANDARD.encode(Md5::digest(&object.body))),
        ("x-oss-object-acl", object.acl.wire().to_owned()),
        ("x-oss-meta-causeway-workflow", object.workflow),
    ];
    if object.forbid_overwrite {
        call.headers.push(("x-oss-forbid-overwrite", "true".to_owned()));
    }
    call.body = object.body;
    Ok(ObjectHead::of(&send(client, call).await?.headers).etag)
}

/// Reads an object with its head; `None` where there is none.
///
/// # Errors
/// A missing bucket, or any call's failures.
pub async fn get_object(
    client: &Client,
    bucket: &str,
    key: &str,
) -> Result<Option<(ObjectHead, Bytes)>, Error> {
    let call = Call { key, ..Call::new("GetObject", Access::Read, Method::GET, bucket) };
    let answer = absent(send(client, call).await)?;
    Ok(answer.map(|answer| (ObjectHead::of(&answer.headers), answer.body)))
}

/// Looks at an object; `None` where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn head_object(
    client: &Client,
    bucket: &str,
    key: &str,
) -> Result<Option<ObjectHead>, Error> {
    let call = Call { key, ..Call::new("HeadObject", Access::Read, Method::HEAD, bucket) };
    let answer = absent(send(client, call).await)?;
    Ok(answer.map(|answer| ObjectHead::of(&answer.headers)))
}

/// Deletes an object; succeeds where there is none.
///
/// # Errors
/// A missing bucket, or any call's failures.
pub async fn delete_object(client: &Client, bucket: &str, key: &str) -> Result<(), Error> {
    let call = Call { key, ..Call::new("DeleteObject", Access::Mutate, Method::DELETE, bucket) };
    send(client, call).await.map(drop)
}

/// The ACL of an object as OSS words it: `default`, `private`, `public-read`, `public-read-write`. `None` where there
/// is no object.
///
/// # Errors
/// Any call's failures.
pub async fn get_object_acl(
    client: &Client,
    bucket: &str,
    key: &str,
) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "AccessControlList")]
        list: Grants,
    }
    let mut call = Call::new("GetObjectAcl", Access::Read, Method::GET, bucket);
    call.key = key;
    call.query = Params::new().with_flag("acl");
    match absent(send(client, call).await)? {
        Some(answer) => Ok(Some(xml::<Body>("GetObjectAcl", &answer)?.list.grant)),
        None => Ok(None),
    }
}

/// Sets the ACL of an object.
///
/// # Errors
/// Any call's failures; 403 where the bucket blocks public access.
pub async fn put_object_acl(
    client: &Client,
    bucket: &str,
    key: &str,
    acl: Acl,
) -> Result<(), Error> {
    let mut call = Call::new("PutObjectAcl", Access::Mutate, Method::PUT, bucket);
    call.key = key;
    call.query = Params::new().with_flag("acl");
    call.headers = vec![("x-oss-object-acl", acl.wire().to_owned())];
    send(client, call).await.map(drop)
}

#[derive(Deserialize)]
struct Grants {
    #[serde(rename = "Grant")]
    grant: String,
}

/// What a bucket is.
///
/// # Errors
/// `NoSuchBucket`, or any call's failures.
pub async fn get_bucket_info(client: &Client, bucket: &str) -> Result<BucketInfo, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "Bucket")]
        bucket: Bucket,
    }
    #[derive(Deserialize)]
    struct Bucket {
        #[serde(rename = "Location")]
        location: String,
        #[serde(rename = "Versioning", default)]
        versioning: String,
        #[serde(rename = "BlockPublicAccess", default)]
        block_public_access: bool,
    }
    let mut call = Call::new("GetBucketInfo", Access::Read, Method::GET, bucket);
    call.query = Params::new().with_flag("bucketInfo");
    let found = xml::<Body>("GetBucketInfo", &send(client, call).await?)?.bucket;
    Ok(BucketInfo {
        region: found.location.strip_prefix("oss-").unwrap_or(&found.location).to_owned(),
        versioning: found.versioning,
        block_public_access: found.block_public_access,
    })
}

/// The bucket's policy, a JSON document; `None` where it has none.
///
/// # Errors
/// `NoSuchBucket`, or any call's failures.
pub async fn get_bucket_policy(client: &Client, bucket: &str) -> Result<Option<String>, Error> {
    let mut call = Call::new("GetBucketPolicy", Access::Read, Method::GET, bucket);
    call.query = Params::new().with_flag("policy");
    let answer = absent(send(client, call).await)?;
    Ok(answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()))
}

/// Replaces the bucket's policy. OSS has no condition for this: read just before, under the bucket's lock.
///
/// # Errors
/// Any call's failures; 403 where the bucket blocks public access.
pub async fn put_bucket_policy(client: &Client, bucket: &str, policy: &str) -> Result<(), Error> {
    let mut call = Call::new("PutBucketPolicy", Access::Mutate, Method::PUT, bucket);
    call.query = Params::new().with_flag("policy");
    call.headers = vec![
        ("content-type", "application/json".to_owned()),
        ("content-md5", STANDARD.encode(Md5::digest(policy.as_bytes()))),
    ];
    call.body = Bytes::copy_from_slice(policy.as_bytes());
    send(client, call).await.map(drop)
}

/// Removes the bucket's policy; succeeds where there is none.
///
/// # Errors
/// Any call's failures.
pub async fn delete_bucket_policy(client: &Client, bucket: &str) -> Result<(), Error> {
    let mut call = Call::new("DeleteBucketPolicy", Access::Mutate, Method::DELETE, bucket);
    call.query = Params::new().with_flag("policy");
    absent(send(client, call).await).map(drop)
}

/// A URL that lets anyone read an object for `seconds` (at most [`PRESIGN_SECONDS_MAX`]). It is a credential.
///
/// # Errors
/// Where bucket, key or duration are out of bounds.
pub fn presign_get(
    client: &Client,
    bucket: &str,
    key: &str,
    seconds: u32,
) -> Result<secrecy::SecretString, Error> {
    let call = Call { key, ..Call::new("GetObject", Access::Read, Method::GET, bucket) };
    valid(bucket, key).map_err(|why| call.error(Cause::Invalid(why)))?;
    if !(1..=PRESIGN_SECONDS_MAX).contains(&seconds) || key.is_empty() {
        return Err(call.error(Cause::Invalid(
            "a presigned URL needs a key and lives 1 s to 7 days".to_owned(),
        )));
    }
    let base = client.base(Product::Oss, call.action, call.access)?;
    let resource = encode_path(&format!("/{bucket}/{key}"));
    let scope = Scope { now: (client.sources.now)(), region: &client.region };
    let query = oss_sign::presigned_query(&resource, seconds, &scope, &client.credentials);
    let place = if base.is_ip {
        format!("{}{resource}", base.url())
    } else {
        format!("{}://{bucket}.{}{}", base.scheme, base.authority, encode_path(&format!("/{key}")))
    };
    Ok(format!("{place}?{query}").into())
}

fn xml<T: for<'de> Deserialize<'de>>(action: &'static str, answer: &Answer) -> Result<T, Error> {
    let text = String::from_utf8_lossy(&answer.body);
    quick_xml::de::from_str(&text).map_err(|_| Error {
        product: Product::Oss,
        action,
        access: Access::Read,
        cause: Cause::Unreadable {
            status: 200,
            request_id: None,
            what: "not the XML expected".to_owned(),
        },
    })
}
