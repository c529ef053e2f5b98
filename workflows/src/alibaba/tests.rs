//! The client against a server of a few lines: what goes on the wire, and what each kind of bad answer becomes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_engine::FailureClass;
use tokio::net::TcpListener;

use super::fake::{FakeCloud, Reply};
use super::*;

fn reply(status: &str, headers: &str, body: &str) -> Reply {
    Reply::of(status, headers, body)
}

/// A server that gives the replies in turn (the last one for ever), and remembers the requests.
struct Server {
    cloud: FakeCloud,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(replies: Vec<Reply>) -> Self {
        let requests = Arc::new(Mutex::new(vec![]));
        let seen = requests.clone();
        let cloud = FakeCloud::start(move |request| {
            let mut seen = seen.lock().unwrap();
            seen.push(request.text.clone());
            replies[(seen.len() - 1).min(replies.len() - 1)].clone()
        })
        .await;
        Self { cloud, requests }
    }

    fn client(&self) -> Client {
        client(&self.cloud.url, Credentials::new("LTAItest", "s3cr3t", None))
    }

    fn request(&self) -> String {
        self.requests.lock().unwrap().last().cloned().unwrap()
    }
}

fn client(url: &str, credentials: Credentials) -> Client {
    let options = Options {
        region: "cn-hangzhou".into(),
        endpoints: Endpoints::from_table([("all", url)]).unwrap(),
        call_timeout: Duration::from_secs(20),
        max_concurrent_calls: 4,
        sources: Sources {
            now: Arc::new(|| "2026-11-23T08:00:00Z".parse().unwrap()),
            nonce: Arc::new(|| "n0nce".to_owned()),
        },
    };
    Client::new(options, credentials).unwrap()
}

#[tokio::test]
async fn an_rpc_call_is_a_signed_post_with_its_parameters_in_the_query() {
    let body = r#"{"RequestId":"R","User":{"UserId":"1","UserName":"u","Comments":"c","New":1}}"#;
    let server = Server::start(vec![reply("200 OK", "", body)]).await;
    let user = ram::create_user(&server.client(), "u", "a b*").await.unwrap();
    assert_eq!((user.user_id.as_str(), user.comments.as_str()), ("1", "c"));
    let request = server.request();
    assert!(
        request.starts_with("POST /?Comments=a%20b%2A&DisplayName=u&UserName=u HTTP/1.1\r\n"),
        "{request}"
    );
    let host = server.cloud.url.strip_prefix("http://").unwrap();
    for line in [
        format!("host: {host}"),
        "x-acs-action: CreateUser".into(),
        "x-acs-version: 2015-05-01".into(),
        "x-acs-date: 2026-11-23T08:00:00Z".into(),
        "x-acs-signature-nonce: n0nce".into(),
        "accept: application/json".into(),
        "content-length: 0".into(),
    ] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    assert!(request.contains(
        "authorization: ACS3-HMAC-SHA256 Credential=LTAItest,SignedHeaders=accept;host;x-acs-action;\
         x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature="
    ));
}

#[tokio::test]
async fn a_roa_call_has_its_path_and_a_signed_json_body() {
    let server = Server::start(vec![reply("202 Accepted", "", "")]).await;
    let credentials = Credentials::new("STS.k", "s", Some("t0ken".into()));
    let task = cs::install_addon(
        &client(&server.cloud.url, credentials),
        "c1",
        "terway-eniip",
        "v1.14.5",
        "",
    )
    .await
    .unwrap();
    assert_eq!(task.task_id, "");
    let request = server.request();
    assert!(request.starts_with("POST /clusters/c1/components/install HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json; charset=utf-8\r\n"));
    assert!(request.contains("x-acs-security-token: t0ken\r\n"));
    assert!(
        request.contains("SignedHeaders=accept;content-type;host;x-acs-accesskey-id;x-acs-action;")
    );
    assert!(request.ends_with(r#"[{"name":"terway-eniip","version":"v1.14.5"}]"#), "{request}");
}

#[tokio::test]
async fn an_object_is_put_by_path_where_the_endpoint_is_an_address() {
    let server = Server::start(vec![reply("200 OK", "ETag: \"ABC\"\r\n", "")]).await;
    let object = oss::NewObject {
        body: "#!/bin/bash\necho hi\n".into(),
        content_type: "text/x-sh",
        acl: oss::Acl::Private,
        forbid_overwrite: true,
        workflow: "w1".into(),
    };
    let etag = oss::put_object(&server.client(), "kubelet-demo", "hybrid/init node.sh", object)
        .await
        .unwrap();
    assert_eq!(etag, "ABC");
    let request = server.request();
    assert!(
        request.starts_with("PUT /kubelet-demo/hybrid/init%20node.sh HTTP/1.1\r\n"),
        "{request}"
    );
    for line in [
        "content-md5: XaRKAZ35tzU0GGaFaNu5sg==",
        "x-oss-object-acl: private",
        "x-oss-forbid-overwrite: true",
        "x-oss-meta-causeway-workflow: w1",
        "x-oss-date: 20261123T080000Z",
        "x-oss-content-sha256: UNSIGNED-PAYLOAD",
        "date: Mon, 23 Nov 2026 08:00:00 GMT",
    ] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    assert!(!request.contains("x-acs-"));
}

#[tokio::test]
async fn a_missing_object_is_none_and_a_missing_bucket_is_an_error() {
    let missing =
        |code: &str| reply("404 Not Found", "", &format!("<Error><Code>{code}</Code></Error>"));
    let head = reply("404 Not Found", "x-oss-request-id: R\r\n", "");
    let server = Server::start(vec![missing("NoSuchKey"), head, missing("NoSuchBucket")]).await;
    let client = server.client();
    assert_eq!(oss::get_object(&client, "bucket", "k").await.unwrap(), None);
    assert_eq!(oss::head_object(&client, "bucket", "k").await.unwrap(), None);
    let error = oss::get_object(&client, "bucket", "k").await.unwrap_err();
    assert_eq!((error.code(), error.class()), (Some("NoSuchBucket"), FailureClass::Gone));
}

#[tokio::test]
async fn a_cut_connection_is_unknown_for_a_change_and_retryable_for_a_read() {
    let server = Server::start(vec![Reply::Cut]).await;
    let client = server.client();
    let error = ram::create_access_key(&client, "u").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Unknown, "{error}");
    let error = sts::get_caller_identity(&client).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Retryable, "{error}");
    assert_eq!(server.requests.lock().unwrap().len(), 2, "nothing is repeated by the client");
}

#[tokio::test]
async fn a_refused_connection_had_no_effect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(&url, Credentials::new("k", "s", None));
    let error = ram::create_access_key(&client, "u").await.unwrap_err();
    assert!(matches!(error.cause, Cause::NotSent(_)), "{error}");
    assert_eq!(error.class(), FailureClass::Retryable);
}

#[tokio::test]
async fn silence_ends_at_the_deadline_and_nothing_is_sent_after_it() {
    let server = Server::start(vec![Reply::Silence]).await;
    let client = server.client();
    let soon = client.until("2026-11-23T08:00:00.05Z".parse().unwrap());
    let error = ram::delete_user(&soon, "u").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Unknown, "{error}");
    let late = client.until("2026-11-23T08:00:00Z".parse().unwrap());
    let error = ram::delete_user(&late, "u").await.unwrap_err();
    assert!(matches!(error.cause, Cause::NotSent(_)), "{error}");
    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_limit() {
    let long = "x".repeat((8 << 20) + 1);
    let server = Server::start(vec![reply("200 OK", "x-acs-request-id: R7\r\n", &long)]).await;
    let error = sts::get_caller_identity(&server.client()).await.unwrap_err();
    assert_eq!(
        (error.class(), error.request_id()),
        (FailureClass::Retryable, Some("R7")),
        "{error}"
    );
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_unknown_and_its_body_is_not_quoted() {
    let body = r#"{"AccessKey":{"AccessKeyId":"LTAI9","AccessKeySecret":["hidden-value"]}}"#;
    let server = Server::start(vec![reply("200 OK", "", body)]).await;
    let error = ram::create_access_key(&server.client(), "u").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Unknown);
    assert!(!format!("{error} {error:?}").contains("hidden-value"), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server =
        Server::start(vec![reply("302 Found", "location: http://127.0.0.1:1/\r\n", "")]).await;
    let error = sts::get_caller_identity(&server.client()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Permanent, "{error}");
    assert!(error.to_string().contains("redirect"));
}

#[tokio::test]
async fn pages_are_read_to_the_end() {
    let page = |ids: &[&str]| {
        let items: Vec<String> = ids
            .iter()
            .map(|id| format!(r#"{{"VSwitchId":"{id}","CidrBlock":"10.0.0.0/24"}}"#))
            .collect();
        reply(
            "200 OK",
            "",
            &format!(r#"{{"TotalCount":3,"VSwitches":{{"VSwitch":[{}]}}}}"#, items.join(",")),
        )
    };
    let server = Server::start(vec![page(&["a", "b"]), page(&["c"])]).await;
    let found = vpc::describe_vswitches(&server.client(), "vpc-1").await.unwrap();
    assert_eq!(
        found.iter().map(|vswitch| vswitch.id.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert!(server.request().contains("PageNumber=2&PageSize=50"));
}

#[tokio::test]
async fn lists_that_are_null_or_missing_are_empty() {
    let server =
        Server::start(vec![reply("200 OK", "", r#"{"nodes":null}"#), reply("200 OK", "", "{}")])
            .await;
    let client = server.client();
    assert!(cs_nodes::list_nodes(&client, "c1", Some("np1")).await.unwrap().is_empty());
    assert!(cs_nodes::list_node_pools(&client, "c1", None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_addon_is_none_and_a_missing_cluster_is_an_error() {
    let missing = |code: &str| {
        reply("404 Not Found", "", &format!(r#"{{"code":"{code}","message":"m","requestId":"R"}}"#))
    };
    let server =
        Server::start(vec![missing("AddonNotFound"), missing("ErrorClusterNotFound")]).await;
    let client = server.client();
    assert_eq!(cs::get_addon_instance(&client, "c1", "terway-eniip").await.unwrap(), None);
    assert!(
        cs::get_addon_instance(&client, "c1", "terway-eniip")
            .await
            .unwrap_err()
            .is("ErrorClusterNotFound")
    );
}

#[tokio::test]
async fn a_password_that_an_error_sends_back_is_not_said() {
    let echo =
        r#"{"code":"InvalidPassword","message":"login_password Pa\"ss1 is weak","requestId":"R"}"#;
    let server = Server::start(vec![reply("400 Bad Request", "", echo)]).await;
    let body = serde_json::json!({"scaling_group": {"login_password": "Pa\"ss1"}});
    let error = cs_nodes::create_node_pool(&server.client(), "c1", body).await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(said.contains("[REDACTED] is weak") && !said.contains("ss1"), "{said}");
}

#[tokio::test]
async fn no_secret_is_in_a_clients_errors() {
    let echo = r#"{"Code":"SignatureDoesNotMatch","Message":"you sent s3cr3t"}"#;
    let server = Server::start(vec![reply("400 Bad Request", "", echo)]).await;
    let error = sts::get_caller_identity(&server.client()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
}

#[test]
fn a_tag_is_read_in_every_spelling_and_in_two_at_once() {
    for text in [
        r#"{"key": "a", "value": "b"}"#,
        r#"{"Key": "a", "Value": "b"}"#,
        r#"{"TagKey": "a", "TagValue": "b"}"#,
        r#"{"Key": "a", "Value": "b", "TagKey": "a", "TagValue": "b"}"#,
    ] {
        let tag: super::ecs::Tag = serde_json::from_str(text).unwrap();
        assert_eq!((tag.key.as_str(), tag.value.as_str()), ("a", "b"), "{text}");
    }
}

#[tokio::test]
async fn a_client_for_looking_only_sends_no_change_and_tells_what_it_was_allowed() {
    let denied = r#"{"Code":"NoPermission","Message":"m","RequestId":"R"}"#;
    let user = r#"{"RequestId":"R","User":{"UserId":"1","UserName":"u","Comments":"c"}}"#;
    let server =
        Server::start(vec![reply("200 OK", "", user), reply("403 Forbidden", "", denied)]).await;
    let trail = Trail::default();
    let client = server.client().read_only(&trail);
    ram::get_user(&client, "u").await.unwrap();
    ram::list_access_keys(&client, "u").await.unwrap_err();
    let refused = ram::delete_user(&client, "u").await.unwrap_err();
    assert_eq!(refused.class(), FailureClass::Permanent, "{refused}");
    // Nor does another key, or another region, of the same client.
    let other = client.in_region("cn-beijing").signing_with(Credentials::new("k", "s", None));
    ram::create_user(&other, "u", "").await.unwrap_err();
    assert_eq!(server.requests.lock().unwrap().len(), 2, "only what reads was sent");
    let seen = trail.seen();
    assert_eq!(seen.get("ram:GetUser"), Some(&true));
    assert_eq!(seen.get("ram:ListAccessKeys"), Some(&false));
    assert_eq!(seen.get("ram:DeleteUser"), None, "what was not sent tells nothing");
}
