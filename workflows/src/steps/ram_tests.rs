//! The identity's steps against a world that loses answers and changes behind their backs.

use causeway_engine::FailureClass;
use causeway_engine::event::{Resolution, Undone, Verdict};
use serde_json::{Value, json};

use super::addon_identity::{Holdings, POLICY_NAME, user_name};
use super::attach_ram_policy::AttachRamPolicy;
use super::check_identity::CheckIdentity;
use super::create_access_key::CreateAccessKey;
use super::create_ram_policy::CreateRamPolicy;
use super::create_ram_user::CreateRamUser;
use super::policy_document::document;
use super::ram_world::{ACCOUNT, Bench, CLUSTER, Fault, Policy, User, World, kept};
use crate::sdk::{Action, Check, Checked, Confirm};
use crate::spec::document::Policy as Wanted;

const OTHER: &str =
    r#"{"Version":"1","Statement":[{"Action":"oss:GetObject","Resource":"*","Effect":"Allow"}]}"#;

fn their_policy(versions: &[&str]) -> Policy {
    let versions = (1..).zip(versions.iter().map(|text| (*text).to_owned())).collect();
    Policy { description: "theirs".into(), versions, default: 1 }
}

/// The user's step, done.
async fn user(world: &World) -> Value {
    let mut step = world.step("create-ram-user");
    step.observe(&CreateRamUser).await.unwrap();
    step.apply(&CreateRamUser).await.unwrap()
}

#[tokio::test]
async fn the_policy_is_made_and_taken_away_again() {
    let world = World::new().await;
    let before = world.ram().dump();
    let mut step = world.step("create-ram-policy");
    assert_eq!(step.observe(&CreateRamPolicy).await.unwrap(), Verdict::Change);
    step.apply(&CreateRamPolicy).await.unwrap();
    assert!(matches!(step.confirm(&CreateRamPolicy).await.unwrap(), Confirm::Holds(_)));
    assert!(world.ram().policies[POLICY_NAME].description.starts_with("causeway:w1 "));
    step.apply(&CreateRamPolicy).await.unwrap();
    assert_eq!(
        world.ram().policies[POLICY_NAME].versions.len(),
        1,
        "applying twice changes nothing"
    );
    assert_eq!(step.revert(&CreateRamPolicy).await.unwrap(), Undone::Reverted);
    assert_eq!(step.revert(&CreateRamPolicy).await.unwrap(), Undone::NothingThere);
    assert_eq!(world.ram().dump(), before);
    assert!(step.context.effects.iter().all(|object| !object.present));
}

#[tokio::test]
async fn a_lost_answer_about_the_policy_is_resolved_by_reading() {
    for (fault, resolution) in
        [(Fault::CutAfter, Resolution::Done), (Fault::CutBefore, Resolution::NoEffect)]
    {
        let world = World::new().await;
        let mut step = world.step("create-ram-policy");
        step.observe(&CreateRamPolicy).await.unwrap();
        world.ram().faults.push_back(("CreatePolicy", fault));
        assert_eq!(step.apply(&CreateRamPolicy).await.unwrap_err().class, FailureClass::Unknown);
        assert_eq!(step.resolve(&CreateRamPolicy).await.unwrap(), resolution);
        step.revert(&CreateRamPolicy).await.unwrap();
        assert!(world.ram().policies.is_empty());
    }
}

#[tokio::test]
async fn another_document_gets_a_version_of_ours_and_its_own_back() {
    for fault in [None, Some(Fault::CutAfter)] {
        let world = World::new().await;
        world.ram().policies.insert(POLICY_NAME.into(), their_policy(&[OTHER, OTHER]));
        let before = world.ram().dump();
        let mut step = world.step("create-ram-policy");
        assert_eq!(step.observe(&CreateRamPolicy).await.unwrap(), Verdict::Change);
        world.ram().faults.extend(fault.map(|fault| ("CreatePolicyVersion", fault)));
        if step.apply(&CreateRamPolicy).await.is_err() {
            assert_eq!(step.resolve(&CreateRamPolicy).await.unwrap(), Resolution::Done);
        }
        {
            let ram = world.ram();
            let policy = &ram.policies[POLICY_NAME];
            assert_eq!((policy.default, policy.versions.len()), (3, 3));
            assert!(
                policy.versions[&3].contains("oss:GetObject"),
                "what was granted stays granted"
            );
        }
        assert_eq!(step.revert(&CreateRamPolicy).await.unwrap(), Undone::Reverted);
        assert_eq!(world.ram().dump(), before);
    }
}

#[tokio::test]
async fn a_version_that_a_late_call_made_twice_goes_twice() {
    let world = World::new().await;
    world.ram().policies.insert(POLICY_NAME.into(), their_policy(&[OTHER]));
    let before = world.ram().dump();
    let mut step = world.step("create-ram-policy");
    step.observe(&CreateRamPolicy).await.unwrap();
    step.apply(&CreateRamPolicy).await.unwrap();
    {
        let mut ram = world.ram();
        let policy = ram.policies.get_mut(POLICY_NAME).unwrap();
        let again = policy.versions[&2].clone();
        policy.versions.insert(3, again);
        policy.default = 3;
    }
    assert_eq!(step.revert(&CreateRamPolicy).await.unwrap(), Undone::Reverted);
    assert_eq!(world.ram().dump(), before);
}

#[tokio::test]
async fn a_policy_that_grants_all_is_adopted_and_a_full_one_is_a_conflict() {
    let world = World::new().await;
    let fits = document(Wanted::Guide);
    world.ram().policies.insert(POLICY_NAME.into(), their_policy(&[&fits]));
    let mut step = world.step("create-ram-policy");
    assert_eq!(step.observe(&CreateRamPolicy).await.unwrap(), Verdict::Adopted);
    assert!(step.claim.is_none());
    world.ram().policies.insert(POLICY_NAME.into(), their_policy(&[OTHER; 5]));
    let before = world.ram().dump();
    let failure = step.observe(&CreateRamPolicy).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.code.as_deref()),
        (FailureClass::Permanent, Some("CONFLICT"))
    );
    assert_eq!(world.ram().dump(), before);
}

#[tokio::test]
async fn the_last_of_two_clusters_takes_the_policy_away_whoever_leaves_first() {
    for first_leaves_first in [true, false] {
        let world = World::new().await;
        let mut first = world.step_of("w1", "create-ram-policy");
        first.observe(&CreateRamPolicy).await.unwrap();
        first.apply(&CreateRamPolicy).await.unwrap();
        let claim = first.claim.clone().unwrap();
        let mut second = world.step_of("w2", "create-ram-policy");
        second.row(&claim, &["w1"]);
        assert_eq!(second.observe(&CreateRamPolicy).await.unwrap(), Verdict::Shared);
        assert_eq!(
            second.claim.as_ref(),
            Some(&claim),
            "the row keeps what was there before the first"
        );
        let (leaver, stayer) =
            if first_leaves_first { (&mut first, &mut second) } else { (&mut second, &mut first) };
        leaver.row(&claim, &["the other"]);
        let reason = kept(leaver.revert(&CreateRamPolicy).await.unwrap());
        assert!(reason.starts_with("shared: ") && reason.ends_with("the other"), "{reason}");
        assert_eq!(world.ram().policies.len(), 1);
        stayer.row(&claim, &[]);
        assert_eq!(stayer.revert(&CreateRamPolicy).await.unwrap(), Undone::Reverted);
        assert!(world.ram().policies.is_empty());
    }
}

#[tokio::test]
async fn a_policy_that_others_use_or_changed_is_kept() {
    let world = World::new().await;
    let mut step = world.step("create-ram-policy");
    step.observe(&CreateRamPolicy).await.unwrap();
    step.apply(&CreateRamPolicy).await.unwrap();
    let user = User { policies: [POLICY_NAME.to_owned()].into(), ..User::default() };
    world.ram().users.insert("somebody".into(), user);
    let reason = kept(step.revert(&CreateRamPolicy).await.unwrap());
    assert!(reason.starts_with("in_use: ") && reason.contains("somebody"), "{reason}");
    world.ram().users.clear();
    world.ram().policies.get_mut(POLICY_NAME).unwrap().versions.insert(2, OTHER.into());
    assert!(kept(step.revert(&CreateRamPolicy).await.unwrap()).starts_with("changed_by_other"));
    assert_eq!(world.ram().policies.len(), 1);
}

#[tokio::test]
async fn the_user_is_named_after_the_cluster_and_goes_with_the_undo() {
    let world = World::new().await;
    let before = world.ram().dump();
    let mut step = world.step("create-ram-user");
    assert_eq!(step.observe(&CreateRamUser).await.unwrap(), Verdict::Change);
    let output = step.apply(&CreateRamUser).await.unwrap();
    assert_eq!(output["user_name"], user_name(CLUSTER));
    assert_eq!(step.apply(&CreateRamUser).await.unwrap(), output);
    assert_eq!(step.decide(&CreateRamUser).await.unwrap().keep, None);
    assert_eq!(step.revert(&CreateRamUser).await.unwrap(), Undone::Reverted);
    assert_eq!(step.revert(&CreateRamUser).await.unwrap(), Undone::NothingThere);
    assert_eq!(world.ram().dump(), before);
}

#[tokio::test]
async fn a_lost_answer_about_the_user_is_resolved_by_its_marker() {
    for (fault, resolution) in
        [(Fault::CutAfter, Resolution::Done), (Fault::CutBefore, Resolution::NoEffect)]
    {
        let world = World::new().await;
        let mut step = world.step("create-ram-user");
        step.observe(&CreateRamUser).await.unwrap();
        world.ram().faults.push_back(("CreateUser", fault));
        assert_eq!(step.apply(&CreateRamUser).await.unwrap_err().class, FailureClass::Unknown);
        assert_eq!(step.resolve(&CreateRamUser).await.unwrap(), resolution);
        let undone = step.revert(&CreateRamUser).await.unwrap();
        assert_eq!(undone == Undone::Reverted, resolution == Resolution::Done);
        assert!(world.ram().users.is_empty());
    }
}

#[tokio::test]
async fn the_owner_of_the_key_in_the_secret_is_the_user_and_is_never_undone() {
    let world = World::new().await;
    let owner = User { keys: [("LTAIold".to_owned(), "s".to_owned())].into(), ..User::default() };
    world.ram().users.insert("ack-one-user-ce313528c3".into(), owner);
    world.put_secret("LTAIold", "s", None);
    let mut step = world.step("create-ram-user");
    assert_eq!(step.observe(&CreateRamUser).await.unwrap(), Verdict::Adopted);
    assert_eq!(step.context.output["user_name"], "ack-one-user-ce313528c3");
    let mut key = world.step("create-access-key").with("create-ram-user", &step.context.output);
    assert_eq!(key.observe(&CreateAccessKey).await.unwrap(), Verdict::Adopted);
    assert_eq!(key.context.output["access_key_id"], "LTAIold");
    assert!(key.context.output["access_key_secret"].is_null());
}

#[tokio::test]
async fn a_secret_with_a_dead_or_foreign_key_is_a_conflict() {
    let world = World::new().await;
    world.put_secret("LTAIdead", "s", None);
    let failure = world.step("create-ram-user").observe(&CreateRamUser).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("CONFLICT"));
    assert!(failure.message.contains("InvalidAccessKeyId.NotFound"), "{failure}");
    world.put_secret("", "", None);
    let failure = world.step("create-ram-user").observe(&CreateRamUser).await.unwrap_err();
    assert!(failure.message.contains("without a whole AccessKey"), "{failure}");
}

#[tokio::test]
async fn a_user_that_others_rely_on_is_kept_by_the_decision_and_by_the_conflict() {
    let world = World::new().await;
    let mut step = world.step("create-ram-user");
    step.observe(&CreateRamUser).await.unwrap();
    step.apply(&CreateRamUser).await.unwrap();
    world
        .ram()
        .users
        .get_mut(&user_name(CLUSTER))
        .unwrap()
        .policies
        .insert("ack-one-registered-cluster-policy-logtail".into());
    let reason = step.decide(&CreateRamUser).await.unwrap().keep.unwrap();
    assert!(reason.contains("policy ack-one-registered-cluster-policy-logtail"), "{reason}");
    assert!(kept(step.revert(&CreateRamUser).await.unwrap()).starts_with("shared: "));
    assert_eq!(world.ram().users.len(), 1);
}

#[tokio::test]
async fn the_grant_is_given_once_and_taken_back_only_if_ours() {
    let world = World::new().await;
    let user = user(&world).await;
    let before = world.ram().dump();
    let mut step = world.step("attach-ram-policy").with("create-ram-user", &user);
    assert_eq!(step.observe(&AttachRamPolicy).await.unwrap(), Verdict::Change);
    world.ram().faults.push_back(("AttachPolicyToUser", Fault::CutAfter));
    assert_eq!(step.apply(&AttachRamPolicy).await.unwrap_err().class, FailureClass::Unknown);
    assert_eq!(step.resolve(&AttachRamPolicy).await.unwrap(), Resolution::Done);
    step.apply(&AttachRamPolicy).await.unwrap();
    assert!(matches!(step.confirm(&AttachRamPolicy).await.unwrap(), Confirm::Holds(_)));
    assert_eq!(step.revert(&AttachRamPolicy).await.unwrap(), Undone::Reverted);
    assert_eq!(step.revert(&AttachRamPolicy).await.unwrap(), Undone::NothingThere);
    assert_eq!(world.ram().dump(), before);
    // Found attached to somebody else's user: nobody's of ours.
    let name = user_name(CLUSTER);
    world
        .ram()
        .users
        .insert(name, User { policies: [POLICY_NAME.to_owned()].into(), ..User::default() });
    let mut step = world.step("attach-ram-policy").with("create-ram-user", &user);
    assert_eq!(step.observe(&AttachRamPolicy).await.unwrap(), Verdict::Adopted);
}

/// The step of a workflow whose cluster's Secret holds a key of a user that others use too.
fn grant_of<'a>(world: &'a World, workflow: &str) -> Bench<'a> {
    let user = json!({"user_name": "ack-one-addons", "user_id": "1", "from_secret": true, "baseline": Holdings::default()});
    world.step_of(workflow, "attach-ram-policy").with("create-ram-user", &user)
}

#[tokio::test]
async fn the_last_of_two_clusters_with_one_user_takes_the_grant_back_whoever_leaves_first() {
    for first_leaves_first in [true, false] {
        let world = World::new().await;
        world.ram().users.insert("ack-one-addons".into(), User::default());
        let before = world.ram().dump();
        let mut first = grant_of(&world, "w1");
        assert_eq!(first.observe(&AttachRamPolicy).await.unwrap(), Verdict::Change);
        first.apply(&AttachRamPolicy).await.unwrap();
        let claim = first.claim.clone().unwrap();
        let mut second = grant_of(&world, "w2");
        assert_eq!(
            AttachRamPolicy.claim_key(&second.context).await.unwrap().as_ref(),
            Some(&claim.key)
        );
        second.row(&claim, &["w1"]);
        assert_eq!(second.observe(&AttachRamPolicy).await.unwrap(), Verdict::Shared);
        assert_eq!(second.claim.as_ref(), Some(&claim), "the row keeps what the first one found");
        let granted = world.ram().dump();
        let (leaver, stayer) =
            if first_leaves_first { (&mut first, &mut second) } else { (&mut second, &mut first) };
        leaver.row(&claim, &["the other"]);
        let reason = kept(leaver.revert(&AttachRamPolicy).await.unwrap());
        assert!(reason.starts_with("shared: ") && reason.ends_with("the other"), "{reason}");
        assert_eq!(world.ram().dump(), granted);
        stayer.row(&claim, &[]);
        assert_eq!(stayer.revert(&AttachRamPolicy).await.unwrap(), Undone::Reverted);
        assert_eq!(world.ram().dump(), before);
    }
}

#[tokio::test]
async fn a_grant_that_somebody_took_back_meanwhile_is_given_again_under_the_same_claim() {
    let world = World::new().await;
    world.ram().users.insert("ack-one-addons".into(), User::default());
    let mut first = grant_of(&world, "w1");
    first.observe(&AttachRamPolicy).await.unwrap();
    let claim = first.claim.clone().unwrap();
    let mut second = grant_of(&world, "w2");
    second.row(&claim, &["w1"]);
    assert_eq!(second.observe(&AttachRamPolicy).await.unwrap(), Verdict::Change);
    assert_eq!(second.claim, Some(claim));
}

#[tokio::test]
async fn the_keys_secret_is_sealed_and_the_step_waits_until_the_key_works() {
    let world = World::new().await;
    let user = user(&world).await;
    let mut step = world.step("create-access-key").with("create-ram-user", &user);
    assert_eq!(step.observe(&CreateAccessKey).await.unwrap(), Verdict::Change);
    let output = step.apply(&CreateAccessKey).await.unwrap();
    assert!(
        !output.to_string().contains("hidden")
            && output["access_key_secret"]["$secret"].is_string(),
        "{output}"
    );
    world.ram().unknown_keys = 1;
    assert!(matches!(step.confirm(&CreateAccessKey).await.unwrap(), Confirm::NotYet(_)));
    assert!(matches!(step.confirm(&CreateAccessKey).await.unwrap(), Confirm::Holds(_)));
    assert_eq!(step.apply(&CreateAccessKey).await.unwrap(), output, "the key in hand is the key");
    world.ram().unknown_keys = 1;
    step.context.timing.key_grace = std::time::Duration::ZERO;
    let failure = step.confirm(&CreateAccessKey).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("KEY_NOT_WORKING"));
}

#[tokio::test]
async fn an_orphan_of_a_lost_answer_is_replaced_and_nothing_is_left_by_the_undo() {
    let world = World::new().await;
    let user = user(&world).await;
    let before = world.ram().dump();
    let mut step = world.step("create-access-key").with("create-ram-user", &user);
    step.observe(&CreateAccessKey).await.unwrap();
    world.ram().faults.push_back(("CreateAccessKey", Fault::CutAfter));
    assert_eq!(step.apply(&CreateAccessKey).await.unwrap_err().class, FailureClass::Unknown);
    assert_eq!(step.resolve(&CreateAccessKey).await.unwrap(), Resolution::Partial);
    assert_eq!(
        step.decide(&CreateAccessKey).await.unwrap().keep,
        None,
        "the orphan is ours, not a sharer's"
    );
    // The replacement's answer is lost too, and so is that of the orphan's deletion.
    world
        .ram()
        .faults
        .extend([("DeleteAccessKey", Fault::CutAfter), ("CreateAccessKey", Fault::CutAfter)]);
    assert_eq!(step.apply(&CreateAccessKey).await.unwrap_err().class, FailureClass::Unknown);
    assert_eq!(step.resolve(&CreateAccessKey).await.unwrap(), Resolution::NoEffect);
    assert_eq!(step.apply(&CreateAccessKey).await.unwrap_err().class, FailureClass::Unknown);
    assert_eq!(step.resolve(&CreateAccessKey).await.unwrap(), Resolution::Partial);
    step.apply(&CreateAccessKey).await.unwrap();
    assert_eq!(world.ram().users[&user_name(CLUSTER)].keys.len(), 1);
    assert_eq!(step.revert(&CreateAccessKey).await.unwrap(), Undone::Reverted);
    assert_eq!(step.revert(&CreateAccessKey).await.unwrap(), Undone::NothingThere);
    assert_eq!(world.ram().dump(), before);
}

#[tokio::test]
async fn an_orphan_is_removed_by_the_undo_alone() {
    let world = World::new().await;
    let user = user(&world).await;
    let mut step = world.step("create-access-key").with("create-ram-user", &user);
    step.observe(&CreateAccessKey).await.unwrap();
    world.ram().faults.push_back(("CreateAccessKey", Fault::CutAfter));
    step.apply(&CreateAccessKey).await.unwrap_err();
    assert_eq!(step.revert(&CreateAccessKey).await.unwrap(), Undone::Reverted);
    assert!(world.ram().users[&user_name(CLUSTER)].keys.is_empty());
}

#[tokio::test]
async fn a_key_of_somebody_else_is_never_deleted() {
    let world = World::new().await;
    let user = user(&world).await;
    let name = user_name(CLUSTER);
    let key = |id: &str| (id.to_owned(), "s".to_owned());
    let mut step = world.step("create-access-key").with("create-ram-user", &user);
    step.observe(&CreateAccessKey).await.unwrap();
    step.apply(&CreateAccessKey).await.unwrap();
    world.ram().users.get_mut(&name).unwrap().keys.extend([key("LTAItheirs")]);
    assert!(
        step.decide(&CreateAccessKey).await.unwrap().keep.unwrap().contains("AccessKey LTAItheirs")
    );
    step.revert(&CreateAccessKey).await.unwrap();
    assert_eq!(world.ram().users[&name].keys.keys().collect::<Vec<_>>(), ["LTAItheirs"]);
    // Two new keys after a lost answer: which one is ours can't be told.
    world.ram().users.get_mut(&name).unwrap().keys.clear();
    let mut step = world.step("create-access-key").with("create-ram-user", &user);
    step.observe(&CreateAccessKey).await.unwrap();
    world.ram().users.get_mut(&name).unwrap().keys.extend([key("LTAIa"), key("LTAIb")]);
    let failure = step.revert(&CreateAccessKey).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("ORPHAN_AMBIGUOUS"));
    assert_eq!(world.ram().users[&name].keys.len(), 2);
    // And with two keys there is no room for ours.
    let failure = world
        .step("create-access-key")
        .with("create-ram-user", &user)
        .observe(&CreateAccessKey)
        .await
        .unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("CONFLICT"));
}

#[tokio::test]
async fn a_changed_secret_keeps_the_whole_group() {
    let world = World::new().await;
    let user = user(&world).await;
    let mut key = world.step("create-access-key").with("create-ram-user", &user);
    key.observe(&CreateAccessKey).await.unwrap();
    let key = key.apply(&CreateAccessKey).await.unwrap();
    let id = key["access_key_id"].as_str().unwrap().to_owned();
    let secret = world.ram().users[&user_name(CLUSTER)].keys[&id].clone();
    let decide = async || {
        let done = json!({});
        let mut step = world
            .step("create-ram-user")
            .with("create-ram-user", &user)
            .with("create-access-key", &key);
        step = step.with("store-addon-secret", &done);
        step.decide(&CreateRamUser).await.unwrap().keep
    };
    assert_eq!(decide().await, None);
    world.put_secret(&id, &secret, Some("w1"));
    assert_eq!(decide().await, None);
    world.put_secret(&id, "rotated", Some("w1"));
    assert!(decide().await.unwrap().contains("was changed by somebody else"));
    world.put_secret("LTAIother", &secret, Some("w1"));
    assert!(decide().await.unwrap().contains("was changed by somebody else"));
}

#[tokio::test]
async fn a_connection_that_moved_to_another_account_changes_nothing() {
    let world = World::new().await;
    world.ram().account = "9999999999999999".into();
    let mut step =
        world.step("create-ram-policy").with("check-identity", &json!({"account_id": ACCOUNT}));
    let failure = step.observe(&CreateRamPolicy).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("CONNECTION_MOVED"));
    assert_eq!(world.ram().calls, ["GetCallerIdentity"]);
}

#[tokio::test]
async fn the_identity_is_pinned_where_key_account_and_permissions_are_right() {
    let world = World::new().await;
    let step = world.step("check-identity");
    match CheckIdentity.check(&step.context).await.unwrap() {
        Checked::Passed { output, warnings } => {
            assert_eq!((output["account_id"].as_str(), warnings.len()), (Some(ACCOUNT), 0));
        }
        Checked::NotYet(what) => panic!("waits for {what}"),
    }
}

#[tokio::test]
async fn what_keeps_the_key_from_working_is_told_apart() {
    let world = World::new().await;
    let step = world.step("check-identity");
    for (code, name) in [
        ("InvalidTimeStamp.Expired", "CLOCK_SKEW"),
        ("InvalidSecurityToken.Expired", "TOKEN_EXPIRED"),
        ("SignatureDoesNotMatch", "KEY_MISMATCH"),
        ("InvalidAccessKeyId.NotFound", "KEY_UNKNOWN"),
    ] {
        world.ram().refused.insert("GetCallerIdentity", (400, code));
        let failure = CheckIdentity.check(&step.context).await.unwrap_err();
        assert_eq!((failure.class, failure.code.as_deref()), (FailureClass::Permanent, Some(name)));
        assert_eq!((failure.findings.len(), failure.request_id.as_deref()), (1, Some("R")));
    }
    world.ram().refused.clear();
    world.ram().account = "9999999999999999".into();
    let failure = CheckIdentity.check(&step.context).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("WRONG_ACCOUNT"));
}

#[tokio::test]
async fn every_missing_permission_is_named_and_a_busy_cloud_is_none() {
    let world = World::new().await;
    let step = world.step("check-identity");
    world.ram().refused.insert("ListAccessKeys", (403, "NoPermission"));
    world.ram().refused.insert("DescribeClusterNodes", (403, "Forbidden.RAM"));
    let failure = CheckIdentity.check(&step.context).await.unwrap_err();
    let subjects: Vec<&str> =
        failure.findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(subjects, ["ram:ListAccessKeys", "cs:DescribeClusterNodes"]);
    world.ram().refused.insert("GetUser", (400, "Throttling.User"));
    let failure = CheckIdentity.check(&step.context).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Throttled);
}
