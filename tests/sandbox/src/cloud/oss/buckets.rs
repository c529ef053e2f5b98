//! What can be read of a bucket as a whole.

use super::Reply;
use crate::cloud::{incoming::Incoming, state::Bucket};

pub(super) fn info(bucket: &Bucket) -> Reply {
    let Bucket { name, region, acl, block_public_access, .. } = bucket;
    Reply::xml(&format!(
        "<BucketInfo><Bucket><Name>{name}</Name><Location>oss-{region}</Location>\
         <Region>{region}</Region><ExtranetEndpoint>oss-{region}.aliyuncs.com</ExtranetEndpoint>\
         <IntranetEndpoint>oss-{region}-internal.aliyuncs.com</IntranetEndpoint>\
         <CreationDate>2026-01-01T00:00:00.000Z</CreationDate><StorageClass>Standard</StorageClass>\
         <BlockPublicAccess>{block_public_access}</BlockPublicAccess>\
         <AccessControlList><Grant>{acl}</Grant></AccessControlList>\
         <Owner><ID>0</ID><DisplayName>0</DisplayName></Owner></Bucket></BucketInfo>"
    ))
}

pub(super) fn location(bucket: &Bucket) -> Reply {
    let region = &bucket.region;
    Reply::xml(&format!("<LocationConstraint>oss-{region}</LocationConstraint>"))
}

pub(super) fn acl(bucket: &Bucket) -> Reply {
    Reply::xml(&format!(
        "<AccessControlPolicy><Owner><ID>0</ID><DisplayName>0</DisplayName></Owner>\
         <AccessControlList><Grant>{}</Grant></AccessControlList></AccessControlPolicy>",
        bucket.acl
    ))
}

pub(super) fn access_block(bucket: &Bucket) -> Reply {
    let on = bucket.block_public_access;
    Reply::xml(&format!(
        "<PublicAccessBlockConfiguration><BlockPublicAccess>{on}</BlockPublicAccess>\
         </PublicAccessBlockConfiguration>"
    ))
}

/// All keys with the prefix asked for, on one page.
pub(super) fn list(bucket: &Bucket, request: &Incoming) -> Reply {
    let prefix = request.query_value("prefix").unwrap_or_default();
    let contents: String = bucket
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, object)| {
            format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                 <Type>Normal</Type><Size>{}</Size><StorageClass>Standard</StorageClass>\
                 </Contents>",
                quick_xml::escape::escape(key.as_str()),
                object.last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                quick_xml::escape::escape(super::objects::etag(&object.body).as_str()),
                object.body.len(),
            )
        })
        .collect();
    Reply::xml(&format!(
        "<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><MaxKeys>1000</MaxKeys>\
         <IsTruncated>false</IsTruncated>{contents}</ListBucketResult>",
        bucket.name,
        quick_xml::escape::escape(prefix),
    ))
}
