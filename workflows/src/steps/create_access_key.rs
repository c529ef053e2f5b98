//! `create-access-key`: one AccessKey for the add-ons' user, only if the cluster's Secret has none. Its secret is shown once
//! and sealed at once; the step waits until the key works.
//!
//! `CreateAccessKey` is not idempotent: a lost answer leaves an orphan, which is found by comparing with the list taken
//! before, deleted, and replaced.

mod preview;

use std::collections::BTreeSet;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::addon_identity::{
    AddonKey, AddonUser, KEYS_MAX, SECRET_NAME, SECRET_NAMESPACE, decide_group, read_secret,
};
use super::cloud::{all_gone, cloud_of, conflict, touched};
use crate::alibaba::{Client, Credentials, ram, sts};
use crate::kubernetes::cluster_of;
use crate::kubernetes::marker::is_marked;
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, GroupDecision, Observed, Revert, value};
use crate::timing::millis;

/// The step.
pub struct CreateAccessKey;

/// The before-image: the user, and the ids of the keys that it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    user_name: String,
    keys: BTreeSet<String>,
}

#[async_trait]
impl Action for CreateAccessKey {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let user: AddonUser = context.output_of("create-ram-user")?;
        let client = cloud_of(context).await?;
        let keys = keys_of(&client, &user.user_name).await?.ok_or_else(|| {
            Failure::permanent(format!("RAM user {} is gone; start again", user.user_name))
                .with_code("RAM_USER_GONE")
        })?;
        if let Some(stored) = read_secret(&cluster_of(context).await?).await? {
            let key_id = stored.credentials.key_id.clone();
            if !keys.contains(&key_id) {
                return Err(conflict(format!(
                    "Secret {SECRET_NAMESPACE}/{SECRET_NAME} holds the AccessKey {key_id}, which is not one of RAM user {}; \
                     delete the Secret, or put a key of that user there, then start again",
                    user.user_name
                )));
            }
            let ours = is_marked(&stored.object, &context.workflow);
            let before = Before {
                keys: keys.iter().filter(|id| !ours || **id != key_id).cloned().collect(),
                user_name: user.user_name,
            };
            let secret = if ours {
                context.seal("access-key-secret", stored.credentials.secret)
            } else {
                Value::Null
            };
            let output = AddonKey {
                user_name: before.user_name.clone(),
                access_key_id: key_id,
                access_key_secret: secret,
            };
            let verdict = if ours { Verdict::Ours } else { Verdict::Adopted };
            return Ok(Observed::as_wanted(verdict, value(&before), value(&output)));
        }
        if keys.len() >= KEYS_MAX {
            return Err(conflict(format!(
                "RAM user {} has {} AccessKeys already, the most that a user may have; delete one that is not used, then start again",
                user.user_name,
                keys.len()
            )));
        }
        Ok(Observed::change(value(&Before { user_name: user.user_name, keys })))
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "ram:ListAccessKeys",
            "ram:CreateAccessKey",
            "ram:DeleteAccessKey",
            "ram:ListPoliciesForUser",
            "ram:ListGroupsForUser",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let now = keys_of(&client, &before.user_name).await?.ok_or_else(|| {
            Failure::permanent(format!("RAM user {} is gone; start again", before.user_name))
                .with_code("RAM_USER_GONE")
        })?;
        let done = AddonKey::deserialize(&context.output).ok();
        if done.is_some_and(|key| now.contains(&key.access_key_id)) {
            return Ok(context.output.clone());
        }
        for orphan in orphans(context, &now)? {
            delete(context, &client, &before.user_name, &orphan).await?;
        }
        context.still_time()?;
        let key = ram::create_access_key(&client, &before.user_name).await?;
        touched(context, object(&before.user_name, &key.access_key_id, true)).await?;
        Ok(value(&AddonKey {
            user_name: before.user_name,
            access_key_id: key.access_key_id,
            access_key_secret: context.seal("access-key-secret", key.access_key_secret),
        }))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let key: AddonKey = serde_json::from_value(context.output.clone()).map_err(|_| {
            Failure::permanent("the record of the AccessKey can't be read")
                .with_code("RECORD_SHAPE")
        })?;
        let secret = context.open(&key.access_key_secret).await?;
        let client = cloud_of(context).await?;
        let credentials = Credentials { key_id: key.access_key_id.clone(), secret, token: None };
        match sts::get_caller_identity(&client.signing_with(credentials)).await {
            Ok(_) => Ok(Confirm::Holds(context.output.clone())),
            Err(error) if error.is_unknown_key() => {
                let waited = (context.now)().ms_since(context.since);
                if waited < millis(context.timing.key_grace) {
                    return Ok(Confirm::NotYet(format!(
                        "AccessKey {} to be known everywhere",
                        key.access_key_id
                    )));
                }
                let message = format!(
                    "AccessKey {} is still refused after {} s: {error}",
                    key.access_key_id,
                    waited / 1000
                );
                Err(Failure::permanent(message).with_code("KEY_NOT_WORKING"))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let now = keys_of(&client, &before.user_name).await?.unwrap_or_default();
        // The secret of an orphan is lost for ever: at best the call was half of what was wanted.
        let resolution = if orphans(context, &now)?.is_empty() {
            Resolution::NoEffect
        } else {
            Resolution::Partial
        };
        Ok((resolution, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let now = keys_of(&client, &before.user_name).await?.unwrap_or_default();
        let ours = ours(context, &now)?;
        for key in &ours {
            delete(context, &client, &before.user_name, key).await?;
        }
        all_gone(context).await?;
        Ok(Revert::Done(if ours.is_empty() { Undone::NothingThere } else { Undone::Reverted }))
    }

    async fn decide_group(&self, context: &Context) -> Result<GroupDecision, Failure> {
        decide_group(context).await
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let now = keys_of(&client, &before.user_name).await?.unwrap_or_default();
        Ok(ours(context, &now).ok().map(|ours| ours.is_empty()))
    }
}

async fn keys_of(client: &Client, user: &str) -> Result<Option<BTreeSet<String>>, Failure> {
    let keys = ram::list_access_keys(client, user).await?;
    Ok(keys.map(|keys| keys.into_iter().map(|key| key.access_key_id).collect()))
}

async fn delete(
    context: &Context,
    client: &Client,
    user: &str,
    key_id: &str,
) -> Result<(), Failure> {
    context.still_time()?;
    match ram::delete_access_key(client, user, key_id).await {
        Ok(()) => {}
        Err(error) if error.is_gone() => {}
        Err(error) => return Err(error.into()),
    }
    touched(context, object(user, key_id, false)).await
}

fn object(user: &str, key_id: &str, present: bool) -> Object {
    Object {
        kind: "access-key".to_owned(),
        id: key_id.to_owned(),
        origin: Origin::Created,
        present,
        remedy: format!("aliyun ram DeleteAccessKey --UserName {user} --UserAccessKeyId {key_id}"),
        facts: json!({"user_name": user}),
    }
}

/// All keys among `now` that this step made: the one of its output, and orphans.
fn ours(context: &Context, now: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
    let mut ours = orphans(context, now)?;
    let output = AddonKey::deserialize(&context.output).ok();
    ours.extend(output.map(|key| key.access_key_id).filter(|id| now.contains(id)));
    Ok(ours)
}

/// Keys among `now` that this step made without being able to use them: those it recorded; else the one key that was not
/// there before. A key beside one that we know is somebody else's, as a new one is only made after the old one is deleted.
///
/// # Errors
/// Permanent where two keys have appeared, of which one may be ours.
pub(super) fn orphans(
    context: &Context,
    now: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    let before: Before = context.before_image()?;
    let used = AddonKey::deserialize(&context.output).ok().map(|key| key.access_key_id);
    let recorded: BTreeSet<String> = context
        .effects
        .iter()
        .filter(|object| object.kind == "access-key")
        .map(|object| object.id.clone())
        .collect();
    let new: BTreeSet<String> =
        now.difference(&before.keys).filter(|id| used.as_ref() != Some(id)).cloned().collect();
    let known: BTreeSet<String> = new.intersection(&recorded).cloned().collect();
    if used.is_some() || !known.is_empty() || new.len() < 2 {
        // With the key in hand an unrecorded other one can't be ours.
        return Ok(if used.is_some() || !known.is_empty() { known } else { new });
    }
    let names = new.into_iter().collect::<Vec<_>>().join(", ");
    Err(Failure::new(
        FailureClass::Permanent,
        format!(
            "RAM user {} has new AccessKeys ({names}), of which one may be Causeway's, left by a lost answer; delete the one that nobody \
             uses, then retry",
            before.user_name
        ),
    )
    .with_code("ORPHAN_AMBIGUOUS"))
}
