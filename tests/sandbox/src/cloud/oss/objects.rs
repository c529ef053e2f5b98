//! Objects: put (with create-if-absent), get with conditions and ranges, delete, ACLs.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use md5::{Digest, Md5};

use super::{OssError, Reply};
use crate::cloud::{
    clock,
    incoming::Incoming,
    state::{Bucket, Object},
};

const ACLS: [&str; 4] = ["default", "private", "public-read", "public-read-write"];
const KEPT_HEADERS: [&str; 9] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-oss-storage-class",
    "x-oss-server-side-encryption",
    "x-oss-tagging",
];

pub(super) fn put(bucket: &mut Bucket, key: &str, request: &Incoming) -> Result<Reply, OssError> {
    let conditional = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    if conditional.iter().any(|name| request.header(name).is_some()) {
        let message = "A header you provided implies functionality that is not implemented.";
        return Err(OssError::new(400, "NotImplemented", message));
    }
    let md5 = Md5::digest(&request.body);
    let md5_text = BASE64_STANDARD.encode(md5);
    if request.header("content-md5").is_some_and(|given| given != md5_text) {
        let message = "The Content-MD5 you specified was invalid.";
        return Err(OssError::new(400, "InvalidDigest", message));
    }
    let acl = request.header("x-oss-object-acl").unwrap_or("default").to_owned();
    check_acl(bucket, &acl)?;
    let forbidden = request.header("x-oss-forbid-overwrite") == Some("true");
    if forbidden && bucket.objects.contains_key(key) {
        let message = "The object you specified already exists and can not be overwritten.";
        return Err(OssError::new(409, "FileAlreadyExists", message));
    }
    let headers: BTreeMap<String, String> = request
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| KEPT_HEADERS.contains(name) || name.starts_with("x-oss-meta-"))
        .filter_map(|name| Some((name.to_owned(), request.header(name)?.to_owned())))
        .collect();
    let object = Object { body: request.body.clone(), headers, acl, last_modified: clock::now() };
    bucket.objects.insert(key.into(), object);
    Ok(Reply::new(200, "")
        .with("etag", &etag(&request.body))
        .with("content-md5", &md5_text)
        .with("x-oss-hash-crc64ecma", &crc64(&request.body).to_string()))
}

pub(super) fn get(bucket: &Bucket, key: &str, request: &Incoming) -> Result<Reply, OssError> {
    let object = find(bucket, key)?;
    let etag = etag(&object.body);
    let same = |given: &str| given == "*" || given.trim_matches('"') == etag.trim_matches('"');
    if request.header("if-match").is_some_and(|given| !same(given)) {
        let message = "At least one of the pre-conditions you specified did not hold.";
        return Err(OssError::new(412, "PreconditionFailed", message));
    }
    let mut reply = if request.header("if-none-match").is_some_and(same) {
        Reply::new(304, "")
    } else {
        match request.header("range").and_then(|range| range_of(range, object.body.len())) {
            Some((from, to)) => {
                let text = format!("bytes {from}-{}/{}", to - 1, object.body.len());
                Reply::new(206, object.body.slice(from..to)).with("content-range", &text)
            }
            None => Reply::new(200, object.body.clone()),
        }
    };
    for (name, value) in &object.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            reply.headers.insert(name, value);
        }
    }
    if !object.headers.contains_key("content-type") {
        reply = reply.with("content-type", "application/octet-stream");
    }
    Ok(reply
        .with("etag", &etag)
        .with("last-modified", &clock::http_date(object.last_modified))
        .with("x-oss-object-type", "Normal")
        .with("x-oss-storage-class", "Standard")
        .with("x-oss-hash-crc64ecma", &crc64(&object.body).to_string()))
}

/// Deleting what is not there is as good.
pub(super) fn delete(bucket: &mut Bucket, key: &str) -> Reply {
    bucket.objects.remove(key);
    Reply::new(204, "")
}

pub(super) fn put_acl(
    bucket: &mut Bucket,
    key: &str,
    request: &Incoming,
) -> Result<Reply, OssError> {
    find(bucket, key)?;
    let acl = request.header("x-oss-object-acl").unwrap_or_default().to_owned();
    check_acl(bucket, &acl)?;
    if let Some(object) = bucket.objects.get_mut(key) {
        object.acl = acl;
    }
    Ok(Reply::new(200, ""))
}

pub(super) fn get_acl(bucket: &Bucket, key: &str) -> Result<Reply, OssError> {
    let object = find(bucket, key)?;
    Ok(Reply::xml(&format!(
        "<AccessControlPolicy><Owner><ID>0</ID><DisplayName>0</DisplayName></Owner>\
         <AccessControlList><Grant>{}</Grant></AccessControlList></AccessControlPolicy>",
        object.acl
    )))
}

fn find<'a>(bucket: &'a Bucket, key: &str) -> Result<&'a Object, OssError> {
    let message = "The specified key does not exist.";
    bucket.objects.get(key).ok_or_else(|| OssError::new(404, "NoSuchKey", message))
}

fn check_acl(bucket: &Bucket, acl: &str) -> Result<(), OssError> {
    if !ACLS.contains(&acl) {
        return Err(OssError::new(400, "InvalidArgument", format!("no such ACL: {acl}")));
    }
    if bucket.block_public_access && acl.starts_with("public") {
        let message = "Put public object acl is not allowed.";
        return Err(OssError::new(403, "AccessDenied", message));
    }
    Ok(())
}

/// First and one past the last byte of `bytes=FROM-[TO]`; `None` where the whole object is to be sent.
fn range_of(header: &str, length: usize) -> Option<(usize, usize)> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = if to.is_empty() { length } else { to.parse::<usize>().ok()?.saturating_add(1) };
    let to = to.min(length);
    (from < to).then_some((from, to))
}

pub(super) fn etag(body: &Bytes) -> String {
    format!("\"{}\"", hex::encode_upper(Md5::digest(body)))
}

/// CRC-64 as the service computes it: the reflected ECMA-182 polynomial, all ones in and out.
fn crc64(body: &[u8]) -> u64 {
    let step =
        |crc: u64, _| if crc & 1 == 1 { (crc >> 1) ^ 0xC96C_5795_D787_0F42 } else { crc >> 1 };
    !body.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u64::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_catalogue_of_crc_algorithms() {
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        assert_eq!(range_of("bytes=0-3", 10), Some((0, 4)));
        assert_eq!(range_of("bytes=5-", 10), Some((5, 10)));
        assert_eq!(range_of("bytes=5-99", 10), Some((5, 10)));
        assert_eq!(range_of("bytes=10-", 10), None);
        assert_eq!(range_of("lines=1-2", 10), None);
    }
}
