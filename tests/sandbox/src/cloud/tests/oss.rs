//! OSS over its endpoint, from outside and from inside a VPC.

use axum::body::Body;
use http::Request;
use tower::ServiceExt;

use super::*;

const OBJECT: &str = "/kubelet-scripts/causeway/init.sh";
const BODY: &str = "#!/bin/bash\necho hi\n";

async fn code(
    client: &Client,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> (u16, String) {
    client.oss(method, target, headers, "").await.unwrap().refused()
}

/// An unsigned GET of a key, from inside a VPC, by the host that nodes use.
async fn from_vpc(world: &World, vpc: &str, key: &str) -> (u16, String) {
    let request = Request::get(format!("/{key}"))
        .header("host", "kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com")
        .body(Body::empty())
        .unwrap();
    let response = world.cloud.router_from_vpc(vpc).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn policy_for(vpc: &str) -> String {
    json!({"Version": "1", "Statement": [{
        "Effect": "Allow", "Principal": ["*"], "Action": ["oss:GetObject"],
        "Resource": ["acs:oss:*:1234567890123456:kubelet-scripts/causeway/init.sh"],
        "Condition": {"StringEquals": {"acs:SourceVpc": [vpc]}},
    }]})
    .to_string()
}

#[tokio::test]
async fn an_object_is_put_once_read_and_deleted() {
    let world = World::start().await;
    let daemon = &world.daemon;
    let headers = [
        ("x-oss-forbid-overwrite", "true"),
        ("x-oss-meta-causeway-workflow", "w1"),
        ("content-type", "text/x-sh"),
    ];
    let put = daemon.oss("PUT", OBJECT, &headers, BODY).await.unwrap();
    assert_eq!(put.status, 200);
    assert_eq!(put.headers["etag"], "\"5DA44A019DF9B735341866856 8DBB9B2\"".replace(' ', ""));
    let again = daemon.oss("PUT", OBJECT, &headers, BODY).await.unwrap();
    assert_eq!(again.refused(), (409, "FileAlreadyExists".into()));
    let got = daemon.oss("GET", OBJECT, &[], "").await.unwrap();
    assert_eq!((got.status, got.text.as_str()), (200, BODY));
    assert_eq!(got.headers["x-oss-meta-causeway-workflow"], "w1");
    let head = daemon.oss("HEAD", OBJECT, &[], "").await.unwrap();
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "20");
    assert_eq!(daemon.oss("DELETE", OBJECT, &[], "").await.unwrap().status, 204);
    assert_eq!(daemon.oss("DELETE", OBJECT, &[], "").await.unwrap().status, 204);
    assert_eq!(code(daemon, "GET", OBJECT, &[]).await, (404, "NoSuchKey".into()));
    let head = daemon.oss("HEAD", OBJECT, &[], "").await.unwrap();
    assert_eq!(head.status, 404);
    let error = BASE64_STANDARD.decode(head.headers["x-oss-err"].as_bytes()).unwrap();
    assert!(String::from_utf8(error).unwrap().contains("<Code>NoSuchKey</Code>"));
}

#[tokio::test]
async fn conditions_hold_for_reading_and_are_refused_for_writing() {
    let world = World::start().await;
    let daemon = &world.daemon;
    let put = daemon.oss("PUT", OBJECT, &[], BODY).await.unwrap();
    let etag = put.headers["etag"].to_str().unwrap().to_owned();
    let same = daemon.oss("GET", OBJECT, &[("if-none-match", &etag)], "").await.unwrap();
    assert_eq!(same.status, 304);
    let other = daemon.oss("GET", OBJECT, &[("if-match", "\"X\"")], "").await.unwrap();
    assert_eq!(other.refused(), (412, "PreconditionFailed".into()));
    let part = daemon.oss("GET", OBJECT, &[("range", "bytes=2-10")], "").await.unwrap();
    assert_eq!((part.status, part.text.as_str()), (206, "/bin/bash"));
    let written = daemon.oss("PUT", OBJECT, &[("if-match", &etag)], BODY).await.unwrap();
    assert_eq!(written.refused(), (400, "NotImplemented".into()));
    let md5 = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let damaged = daemon.oss("PUT", OBJECT, &md5, BODY).await.unwrap();
    assert_eq!(damaged.refused(), (400, "InvalidDigest".into()));
}

#[tokio::test]
async fn only_the_account_may_read_a_private_object() {
    let world = World::start().await;
    let daemon = &world.daemon;
    daemon.oss("PUT", OBJECT, &[], BODY).await.unwrap();
    let url = format!("{}{OBJECT}", daemon.base);
    let anonymous = daemon.http.get(&url).send().await.unwrap();
    assert_eq!(anonymous.status(), 403);
    let mut stranger = daemon.clone();
    stranger.id = "LTAI5tNobody".into();
    assert_eq!(code(&stranger, "GET", OBJECT, &[]).await, (403, "InvalidAccessKeyId".into()));
    let mut forger = daemon.clone();
    forger.secret = "x".into();
    assert_eq!(code(&forger, "GET", OBJECT, &[]).await, (403, "SignatureDoesNotMatch".into()));
    let addon = world.addon_user().await;
    assert_eq!(code(&addon, "GET", OBJECT, &[]).await, (403, "AccessDenied".into()));
    daemon
        .oss("PUT", &format!("{OBJECT}?acl"), &[("x-oss-object-acl", "public-read")], "")
        .await
        .unwrap();
    assert_eq!(daemon.http.get(&url).send().await.unwrap().status(), 200);
    let acl = daemon.oss("GET", &format!("{OBJECT}?acl"), &[], "").await.unwrap();
    assert!(acl.text.contains("<Grant>public-read</Grant>"));
}

#[tokio::test]
async fn the_bucket_policy_opens_an_object_to_one_vpc() {
    let world = World::start().await;
    let daemon = &world.daemon;
    daemon.oss("PUT", OBJECT, &[], BODY).await.unwrap();
    let policy = "/kubelet-scripts/?policy";
    assert_eq!(code(daemon, "GET", policy, &[]).await, (404, "NoSuchBucketPolicy".into()));
    let mine = "vpc-bp1guide";
    assert_eq!(from_vpc(&world, mine, "causeway/init.sh").await.0, 403);
    let document = policy_for(mine);
    assert_eq!(daemon.oss("PUT", policy, &[], &document).await.unwrap().status, 200);
    assert_eq!(daemon.oss("GET", policy, &[], "").await.unwrap().text, document);
    assert_eq!(from_vpc(&world, mine, "causeway/init.sh").await, (200, BODY.into()));
    assert_eq!(from_vpc(&world, "vpc-other", "causeway/init.sh").await.0, 403);
    assert_eq!(from_vpc(&world, mine, "causeway/other.sh").await.0, 403);
    let outside = daemon.http.get(format!("{}{OBJECT}", daemon.base)).send().await.unwrap();
    assert_eq!(outside.status(), 403);
    assert_eq!(daemon.oss("DELETE", policy, &[], "").await.unwrap().status, 204);
    assert_eq!(from_vpc(&world, mine, "causeway/init.sh").await.0, 403);
}

#[tokio::test]
async fn a_deny_hits_the_owner_too() {
    let world = World::start().await;
    let daemon = &world.daemon;
    daemon.oss("PUT", OBJECT, &[], BODY).await.unwrap();
    let deny = json!({"Version": "1", "Statement": [{
        "Effect": "Deny", "Principal": ["*"], "Action": ["oss:GetObject"],
        "Resource": ["acs:oss:*:*:kubelet-scripts/*"],
        "Condition": {"StringNotEquals": {"acs:SourceVpc": ["vpc-bp1guide"]}},
    }]});
    daemon.oss("PUT", "/kubelet-scripts/?policy", &[], &deny.to_string()).await.unwrap();
    assert_eq!(code(daemon, "GET", OBJECT, &[]).await, (403, "AccessDenied".into()));
    assert_eq!(code(daemon, "GET", "/nobody/x", &[]).await, (404, "NoSuchBucket".into()));
    let broken = daemon.oss("PUT", "/kubelet-scripts/?policy", &[], "{}").await.unwrap();
    assert_eq!(broken.refused(), (400, "MalformedPolicy".into()));
}

#[tokio::test]
async fn a_bucket_that_blocks_public_access_refuses_what_would_be_public() {
    let mut seed = Seed::guide();
    seed.buckets[0].1 = true;
    let world = World::of(&seed).await;
    let daemon = &world.daemon;
    let public = daemon.oss("PUT", OBJECT, &[("x-oss-object-acl", "public-read")], BODY).await;
    assert_eq!(public.unwrap().refused(), (403, "AccessDenied".into()));
    let mut open: Value = serde_json::from_str(&policy_for("vpc-bp1guide")).unwrap();
    let put = |document: String| async move {
        daemon.oss("PUT", "/kubelet-scripts/?policy", &[], &document).await.unwrap()
    };
    assert_eq!(put(open.to_string()).await.status, 200);
    open["Statement"][0]["Condition"] = Value::Null;
    assert_eq!(put(open.to_string()).await.refused(), (403, "AccessDenied".into()));
    let info = daemon.oss("GET", "/kubelet-scripts/?bucketInfo", &[], "").await.unwrap();
    assert!(info.text.contains("<BlockPublicAccess>true</BlockPublicAccess>"));
    assert!(info.text.contains("<Location>oss-cn-hangzhou</Location>"));
}

#[tokio::test]
async fn an_old_date_is_too_skewed() {
    let world = World::start().await;
    let date = "Mon, 01 Jan 2024 00:00:00 GMT";
    let url = format!("{}{OBJECT}", world.daemon.base);
    let request = world.daemon.http.get(url).header("date", date);
    let request = request.header("authorization", format!("OSS {}:x", world.daemon.id));
    let got = world.daemon.send(request.build().unwrap()).await.unwrap();
    assert_eq!(got.refused(), (403, "RequestTimeTooSkewed".into()));
}
