//! What the gateway lets through, and how it refuses.

use super::*;

#[tokio::test]
async fn a_signed_call_is_answered_with_who_signed_it() {
    let world = World::start().await;
    let who = world.daemon.rpc("2015-04-01", "GetCallerIdentity", &[]).await.good();
    assert_eq!(who["AccountId"], "1234567890123456");
    assert_eq!(who["Arn"], "acs:ram::1234567890123456:user/causewayd");
    assert!(who["RequestId"].is_string());
}

#[tokio::test]
async fn awkward_characters_survive_signing() {
    let world = World::start().await;
    let params = [("UserName", USER), ("Comments", "a b+c*d 混合 ~/%")];
    let made = world.daemon.ram("CreateUser", &params).await.good();
    assert_eq!(made["User"]["Comments"], "a b+c*d 混合 ~/%");
}

#[tokio::test]
async fn blanks_may_be_written_as_in_forms() {
    let world = World::start().await;
    let target = "/?Comments=a%20b&UserName=u";
    let mut request = world.daemon.signed("2015-05-01", "CreateUser", "POST", target, "");
    request.url_mut().set_query(Some("Comments=a+b&UserName=u"));
    let made = world.daemon.send(request).await.unwrap().good();
    assert_eq!(made["User"]["Comments"], "a b");
}

#[tokio::test]
async fn an_unknown_key_a_wrong_secret_and_no_signature_are_refused() {
    let world = World::start().await;
    let base = &world.daemon.base;
    let unknown = Client::new(base, "LTAI5tNobody", "x").ram("ListUsers", &[]).await;
    assert_eq!(unknown.refused(), (404, "InvalidAccessKeyId.NotFound".into()));
    let wrong = Client::new(base, &world.daemon.id, "x").ram("ListUsers", &[]).await;
    assert_eq!(wrong.refused(), (400, "SignatureDoesNotMatch".into()));
    assert!(!wrong.text.contains(&world.daemon.secret));
    let mut request = world.daemon.signed("2015-05-01", "ListUsers", "POST", "/", "");
    request.headers_mut().remove("authorization");
    let unsigned = world.daemon.send(request).await.unwrap();
    assert_eq!(unsigned.refused(), (400, "IncompleteSignature".into()));
}

#[tokio::test]
async fn a_nonce_is_good_once() {
    let world = World::start().await;
    let request = world.daemon.signed("2015-05-01", "ListUsers", "POST", "/", "");
    let again = request.try_clone().unwrap();
    assert_eq!(world.daemon.send(request).await.unwrap().status, 200);
    let replayed = world.daemon.send(again).await.unwrap();
    assert_eq!(replayed.refused(), (400, "SignatureNonceUsed".into()));
}

#[tokio::test]
async fn an_old_or_unreadable_date_is_refused() {
    let world = World::start().await;
    for (date, code) in [
        ("2020-01-01T00:00:00Z", "InvalidTimeStamp.Expired"),
        ("yesterday", "InvalidTimeStamp.Format"),
    ] {
        let mut request = world.daemon.signed("2015-05-01", "ListUsers", "POST", "/", "");
        request.headers_mut().insert("x-acs-date", date.parse().unwrap());
        let refused = world.daemon.send(request).await.unwrap();
        assert_eq!(refused.refused(), (400, code.into()));
    }
}

#[tokio::test]
async fn unknown_actions_versions_and_paths_are_refused() {
    let world = World::start().await;
    let action = world.daemon.ram("CreateUniverse", &[]).await;
    assert_eq!(action.refused(), (404, "InvalidApi.NotFound".into()));
    let version = world.daemon.rpc("1999-01-01", "ListUsers", &[]).await;
    assert_eq!(version.refused(), (400, "NoSuchVersion".into()));
    let path = world.daemon.cs("DescribeClusterDetail", "GET", "/cluster/x", None).await;
    assert_eq!(path.refused(), (404, "InvalidApi.NotFound".into()));
    let method = world.daemon.cs("DescribeClusterDetail", "PUT", "/clusters/x", None).await;
    assert_eq!(method.refused(), (404, "InvalidApi.NotFound".into()));
}

#[tokio::test]
async fn errors_have_the_casing_of_their_side() {
    let world = World::start().await;
    let ram = world.daemon.ram("GetUser", &[("UserName", "nobody")]).await.json();
    assert_eq!(ram["Code"], "EntityNotExist.User");
    assert!(ram["HostId"].is_string() && ram["RequestId"].is_string());
    let cs = world.daemon.cs("DescribeClusterDetail", "GET", "/clusters/c0", None).await.json();
    assert_eq!(cs["code"], "ErrorClusterNotFound");
    assert!(cs["message"].is_string() && cs["requestId"].is_string());
}

#[tokio::test]
async fn xml_is_spoken_where_json_was_not_asked_for() {
    let world = World::start().await;
    let mut client = world.daemon.clone();
    client.accept = "*/*";
    let users = client.ram("ListUsers", &[]).await.text;
    assert!(users.contains("<ListUsersResponse>"), "{users}");
    assert!(users.contains("<Users><User>") && users.contains("<UserName>causewayd</UserName>"));
    let refused = client.ram("GetUser", &[("UserName", "nobody")]).await;
    assert!(refused.text.contains("<Error><"), "{}", refused.text);
    assert_eq!(refused.refused(), (404, "EntityNotExist.User".into()));
    let asked = client.ram("ListUsers", &[("Format", "JSON")]).await.good();
    assert_eq!(asked["Users"]["User"][0]["UserName"], "causewayd");
}

#[tokio::test]
async fn a_user_may_do_what_is_attached_and_nothing_else() {
    let world = World::start().await;
    let addon = world.addon_user().await;
    let vswitches = [("RegionId", "cn-hangzhou")];
    let mut allowed = 0;
    for _ in 0..200 {
        let got = addon.rpc("2016-04-28", "DescribeVSwitches", &vswitches).await;
        if got.status == 200 {
            allowed = 200;
            break;
        }
        assert_eq!(got.refused(), (403, "Forbidden.RAM".into()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(allowed, 200);
    assert_eq!(addon.ram("ListUsers", &[]).await.refused(), (403, "NoPermission".into()));
    let vpcs = addon.rpc("2016-04-28", "DescribeVpcs", &vswitches).await;
    assert_eq!(vpcs.refused(), (403, "Forbidden.RAM".into()));
    let who = addon.rpc("2015-04-01", "GetCallerIdentity", &[]).await.good();
    assert_eq!(who["Arn"], format!("acs:ram::1234567890123456:user/{USER}"));
}
