//! RAM's rules: names, quotas, conflicts, versions, late grants.

use super::*;
use crate::cloud::iam;

async fn code(world: &World, action: &str, params: &[(&str, &str)]) -> String {
    let got = world.daemon.ram(action, params).await;
    if got.status < 300 { "ok".into() } else { got.refused().1 }
}

#[tokio::test]
async fn a_user_has_two_keys_at_most() {
    let world = World::start().await;
    let user = [("UserName", USER)];
    world.daemon.ram("CreateUser", &user).await.good();
    world.daemon.ram("CreateAccessKey", &user).await.good();
    world.daemon.ram("CreateAccessKey", &user).await.good();
    let third = world.daemon.ram("CreateAccessKey", &user).await;
    assert_eq!(third.refused(), (409, "LimitExceeded.User.AccessKey".into()));
    let keys = world.daemon.ram("ListAccessKeys", &user).await.good();
    assert_eq!(keys["AccessKeys"]["AccessKey"].as_array().unwrap().len(), 2);
    assert!(keys.to_string().find("Secret").is_none());
    assert_eq!(world.cloud.secrets().len(), 3);
}

#[tokio::test]
async fn a_user_goes_only_after_policies_and_keys() {
    let world = World::start().await;
    let client = world.addon_user().await;
    let user = [("UserName", USER)];
    assert_eq!(code(&world, "DeleteUser", &user).await, "DeleteConflict.User.Policy");
    assert_eq!(code(&world, "DetachPolicyFromUser", &attachment()).await, "ok");
    assert_eq!(
        code(&world, "DetachPolicyFromUser", &attachment()).await,
        "EntityNotExist.User.Policy"
    );
    assert_eq!(code(&world, "DeleteUser", &user).await, "DeleteConflict.User.AccessKey");
    let key = [("UserName", USER), ("UserAccessKeyId", client.id.as_str())];
    assert_eq!(code(&world, "DeleteAccessKey", &key).await, "ok");
    assert_eq!(code(&world, "DeleteAccessKey", &key).await, "EntityNotExist.User.AccessKey");
    assert_eq!(code(&world, "DeleteUser", &user).await, "ok");
    assert_eq!(code(&world, "GetUser", &user).await, "EntityNotExist.User");
    assert_eq!(
        client.rpc("2015-04-01", "GetCallerIdentity", &[]).await.refused().1,
        "InvalidAccessKeyId.NotFound"
    );
}

#[tokio::test]
async fn creating_twice_conflicts() {
    let world = World::start().await;
    world.addon_user().await;
    let user = [("UserName", USER)];
    assert_eq!(code(&world, "CreateUser", &user).await, "EntityAlreadyExists.User");
    let policy = [("PolicyName", POLICY), ("PolicyDocument", GUIDE_DOCUMENT)];
    assert_eq!(code(&world, "CreatePolicy", &policy).await, "EntityAlreadyExists.Policy");
    assert_eq!(
        code(&world, "AttachPolicyToUser", &attachment()).await,
        "EntityAlreadyExists.User.Policy"
    );
}

#[tokio::test]
async fn a_policy_goes_only_when_nobody_has_it_and_its_versions_are_gone() {
    let world = World::start().await;
    world.addon_user().await;
    let policy = [("PolicyName", POLICY)];
    assert_eq!(code(&world, "DeletePolicy", &policy).await, "DeleteConflict.Policy.User");
    let typed = [("PolicyName", POLICY), ("PolicyType", "Custom")];
    let entities = world.daemon.ram("ListEntitiesForPolicy", &typed).await.good();
    assert_eq!(entities["Users"]["User"][0]["UserName"], USER);
    let got = world.daemon.ram("GetPolicy", &typed).await.good();
    assert_eq!(got["Policy"]["AttachmentCount"], 1);
    assert_eq!(got["DefaultPolicyVersion"]["PolicyDocument"], GUIDE_DOCUMENT);
    assert_eq!(code(&world, "DetachPolicyFromUser", &attachment()).await, "ok");
    let version = [("PolicyName", POLICY), ("PolicyDocument", GUIDE_DOCUMENT)];
    assert_eq!(code(&world, "CreatePolicyVersion", &version).await, "ok");
    assert_eq!(code(&world, "DeletePolicy", &policy).await, "DeleteConflict.Policy.Version");
    let cascading = [("PolicyName", POLICY), ("CascadingDelete", "true")];
    assert_eq!(code(&world, "DeletePolicy", &cascading).await, "ok");
}

#[tokio::test]
async fn a_policy_has_five_versions_and_rotates_if_told() {
    let world = World::start().await;
    let policy = [("PolicyName", POLICY), ("PolicyDocument", GUIDE_DOCUMENT)];
    assert_eq!(code(&world, "CreatePolicy", &policy).await, "ok");
    for _ in 0..4 {
        assert_eq!(code(&world, "CreatePolicyVersion", &policy).await, "ok");
    }
    assert_eq!(code(&world, "CreatePolicyVersion", &policy).await, "LimitExceeded.Policy.Version");
    let rotate = ("RotateStrategy", "DeleteOldestNonDefaultVersionWhenLimitExceeded");
    let params = [policy[0], policy[1], rotate, ("SetAsDefault", "true")];
    assert_eq!(code(&world, "CreatePolicyVersion", &params).await, "ok");
    let default = [("PolicyName", POLICY), ("VersionId", "v6")];
    assert_eq!(
        code(&world, "DeletePolicyVersion", &default).await,
        "DeleteConflict.Policy.Version.Default"
    );
    let gone = [("PolicyName", POLICY), ("VersionId", "v2")];
    assert_eq!(code(&world, "DeletePolicyVersion", &gone).await, "EntityNotExist.Policy.Version");
    assert_eq!(
        code(&world, "SetDefaultPolicyVersion", &[("PolicyName", POLICY), ("VersionId", "v1")])
            .await,
        "ok"
    );
}

#[tokio::test]
async fn bad_names_and_documents_are_refused() {
    let world = World::start().await;
    for (action, params, expected) in [
        ("CreateUser", vec![], "MissingUserName"),
        ("CreateUser", vec![("UserName", "a b")], "InvalidParameter.UserName.InvalidChars"),
        (
            "CreatePolicy",
            vec![("PolicyName", "a_b"), ("PolicyDocument", GUIDE_DOCUMENT)],
            "InvalidParameter.PolicyName.InvalidChars",
        ),
        (
            "CreatePolicy",
            vec![("PolicyName", "a"), ("PolicyDocument", "{}")],
            "MalformedPolicyDocument",
        ),
        (
            "AttachPolicyToUser",
            vec![("UserName", "causewayd"), ("PolicyName", "x"), ("PolicyType", "Own")],
            "InvalidParameter.PolicyType",
        ),
        (
            "AttachPolicyToUser",
            vec![("UserName", "causewayd"), ("PolicyName", "x"), ("PolicyType", "Custom")],
            "EntityNotExist.Policy",
        ),
    ] {
        assert_eq!(code(&world, action, &params).await, expected, "{action} {params:?}");
    }
}

#[tokio::test]
async fn a_new_key_and_a_new_grant_take_effect_late() {
    let faults = Faults::new();
    let cloud = Cloud::new(&Seed::guide(), faults, Pace::new(1.0));
    let mut state = cloud.state();
    let later = tokio::time::Instant::now() + Duration::from_secs(3);
    let user = state.ram.users.get_mut("causewayd").unwrap();
    user.attachments.values_mut().for_each(|it| it.works_from = later);
    assert!(!iam::allowed(&state, "causewayd", "ram:ListUsers"));
    let user = state.ram.users.get_mut("causewayd").unwrap();
    user.keys.values_mut().for_each(|it| it.works_from = later);
    let refused = iam::find_key(&state, &cloud.account.access_key_id);
    assert_eq!(refused.map(|_| ()).unwrap_err().code, "InvalidAccessKeyId.NotFound");
}

#[tokio::test]
async fn a_disabled_key_is_refused() {
    let world = World::start().await;
    let client = world.addon_user().await;
    let params =
        [("UserName", USER), ("UserAccessKeyId", client.id.as_str()), ("Status", "Inactive")];
    world.daemon.ram("UpdateAccessKey", &params).await.good();
    let refused = client.rpc("2015-04-01", "GetCallerIdentity", &[]).await;
    assert_eq!(refused.refused(), (403, "InvalidAccessKeyId.Inactive".into()));
}
