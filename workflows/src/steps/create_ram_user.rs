//! `create-ram-user`: the RAM user of the cluster's add-ons. The owner of the key in the cluster's Secret where there is
//! one, else a user named after the cluster. It is undone with its key and the Secret by one decision, and never while
//! anything else hangs on it.
//!
//! Idempotent by name; ours is told by the marker in its comments.

mod preview;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass};
use serde_json::{Value, json};

use super::addon_identity::{
    AddonUser, Holdings, SECRET_NAME, SECRET_NAMESPACE, StoredKey, decide_group, holdings,
    read_secret, user_name,
};
use super::cloud::{
    all_gone, cloud_of, conflict, is_marked, is_marked_by, marker, spec_of, touched, warning,
};
use crate::alibaba::{Client, ram, sts};
use crate::kubernetes::cluster_of;
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, GroupDecision, Observed, Revert, value};

/// The step.
pub struct CreateRamUser;

#[async_trait]
impl Action for CreateRamUser {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let client = cloud_of(context).await?;
        if let Some(stored) = read_secret(&cluster_of(context).await?).await? {
            return owner(context, &client, stored).await;
        }
        let name = user_name(&spec_of(context)?.cluster_id);
        let Some(user) = ram::get_user(&client, &name).await? else {
            let wanted = AddonUser {
                user_name: name,
                user_id: String::new(),
                from_secret: false,
                baseline: Holdings::default(),
            };
            return Ok(Observed::change(value(&wanted)));
        };
        let ours = is_marked_by(&user.comments, &context.workflow);
        // What hangs on a user of our own making is ours or a sharer's; on another it was there before us.
        let baseline = if ours {
            Holdings::default()
        } else {
            holdings(&client, &name).await?.unwrap_or_default()
        };
        let found =
            AddonUser { user_name: name, user_id: user.user_id, from_secret: false, baseline };
        let verdict = if ours { Verdict::Ours } else { Verdict::Adopted };
        let mut observed = Observed::as_wanted(verdict, value(&found), value(&found));
        if !ours {
            let whose =
                if is_marked(&user.comments) { "an earlier workflow's" } else { "not Causeway's" };
            observed.warnings.push(warning(
                "RAM_USER_ADOPTED",
                format!("RAM user {}", found.user_name),
                format!("the cluster's user exists already ({whose}) and is used as it is"),
                "nothing, if that is meant; it will not be deleted by an undo",
            ));
        }
        Ok(observed)
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "ram:GetUser",
            "ram:CreateUser",
            "ram:ListAccessKeys",
            "ram:ListPoliciesForUser",
            "ram:ListGroupsForUser",
            "ram:DeleteUser",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let wanted: AddonUser = context.before_image()?;
        let client = cloud_of(context).await?;
        // An earlier attempt may have made it.
        if let Some(user) = ours(context, &client, &wanted.user_name).await? {
            return Ok(output(wanted, user));
        }
        context.still_time()?;
        let comments = comments(context)?;
        let user = ram::create_user(&client, &wanted.user_name, &comments).await?;
        touched(context, object(&user, true)).await?;
        Ok(output(wanted, user))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let wanted: AddonUser = context.before_image()?;
        let client = cloud_of(context).await?;
        Ok(match ram::get_user(&client, &wanted.user_name).await? {
            Some(user) => Confirm::Holds(value(&output_of(wanted, user))),
            None => Confirm::NotYet(format!("RAM user {} to be seen", wanted.user_name)),
        })
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let wanted: AddonUser = context.before_image()?;
        let client = cloud_of(context).await?;
        match ours(context, &client, &wanted.user_name).await? {
            Some(user) => {
                touched(context, object(&user, true)).await?;
                Ok((Resolution::Done, output(wanted, user)))
            }
            None => Ok((Resolution::NoEffect, Value::Null)),
        }
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let wanted: AddonUser = context.before_image()?;
        let client = cloud_of(context).await?;
        let Some(user) = ram::get_user(&client, &wanted.user_name).await? else {
            all_gone(context).await?;
            return Ok(Revert::Done(Undone::NothingThere));
        };
        if !is_marked_by(&user.comments, &context.workflow) {
            let reason = format!(
                "changed_by_other: RAM user {} no longer names this workflow as its maker",
                user.user_name
            );
            return Ok(Revert::Done(Undone::Kept { reason, in_use: false }));
        }
        context.still_time()?;
        match ram::delete_user(&client, &user.user_name).await {
            Ok(()) => {}
            Err(error) if error.is_gone() => {}
            Err(error) if error.is("DeleteConflict") => {
                return still_used(&client, &user.user_name, error.into()).await;
            }
            Err(error) => return Err(error.into()),
        }
        touched(context, object(&user, false)).await?;
        Ok(Revert::Done(Undone::Reverted))
    }

    async fn decide_group(&self, context: &Context) -> Result<GroupDecision, Failure> {
        decide_group(context).await
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let wanted: AddonUser = context.before_image()?;
        let client = cloud_of(context).await?;
        Ok(Some(ram::get_user(&client, &wanted.user_name).await?.is_none()))
    }
}

/// What the user says of itself: its maker, and what it is for.
fn comments(context: &Context) -> Result<String, Failure> {
    let cluster_id = spec_of(context)?.cluster_id;
    Ok(format!("{} add-ons of cluster {cluster_id}", marker(&context.workflow)))
}

/// A conflict means that somebody relies on the user, unless it is the trace of what we have just removed.
async fn still_used(client: &Client, user: &str, conflict: Failure) -> Result<Revert, Failure> {
    let left = holdings(client, user).await?.unwrap_or_default();
    if left == Holdings::default() {
        return Err(Failure { class: FailureClass::Retryable, ..conflict });
    }
    let reason = format!("shared: RAM user {user} is still relied on ({})", conflict.message);
    Ok(Revert::Done(Undone::Kept { reason, in_use: false }))
}

async fn ours(
    context: &Context,
    client: &Client,
    name: &str,
) -> Result<Option<ram::User>, Failure> {
    let user = ram::get_user(client, name).await?;
    Ok(user.filter(|user| is_marked_by(&user.comments, &context.workflow)))
}

fn output_of(wanted: AddonUser, user: ram::User) -> AddonUser {
    AddonUser { user_id: user.user_id, ..wanted }
}

fn output(wanted: AddonUser, user: ram::User) -> Value {
    value(&output_of(wanted, user))
}

fn object(user: &ram::User, present: bool) -> Object {
    Object {
        kind: "ram-user".to_owned(),
        id: user.user_name.clone(),
        origin: Origin::Created,
        present,
        remedy: format!("aliyun ram DeleteUser --UserName {}", user.user_name),
        facts: json!({"user_id": user.user_id}),
    }
}

/// The owner of the key in the cluster's Secret is the add-ons' user already.
async fn owner(context: &Context, client: &Client, stored: StoredKey) -> Result<Observed, Failure> {
    let place = format!("Secret {SECRET_NAMESPACE}/{SECRET_NAME}");
    if !stored.is_whole() {
        return Err(conflict(format!(
            "{place} exists without a whole AccessKey; complete it, or delete it, then start again"
        )));
    }
    let identity = match sts::get_caller_identity(&client.signing_with(stored.credentials)).await {
        Ok(identity) => identity,
        Err(error) if error.is_unknown_key() || error.is("SignatureDoesNotMatch") => {
            return Err(conflict(format!(
                "the AccessKey in {place} does not work ({}); put a working one there, or delete the Secret, then start again",
                error.code().unwrap_or_default()
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let account = &context.connection.config.account_id;
    let name = match identity.user_name() {
        Some(name) if identity.account_id == *account => name.to_owned(),
        _ => {
            return Err(conflict(format!(
                "the AccessKey in {place} belongs to {}, not to a RAM user of account {account}; replace it, then start again",
                identity.arn
            )));
        }
    };
    let user = ram::get_user(client, &name).await?;
    let ours = user.as_ref().is_some_and(|user| is_marked_by(&user.comments, &context.workflow));
    let baseline =
        if ours { Holdings::default() } else { holdings(client, &name).await?.unwrap_or_default() };
    let user_id = user.map(|user| user.user_id).unwrap_or_default();
    let found = value(&AddonUser { user_name: name, user_id, from_secret: true, baseline });
    let verdict = if ours { Verdict::Ours } else { Verdict::Adopted };
    Ok(Observed::as_wanted(verdict, found.clone(), found))
}
