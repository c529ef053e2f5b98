//! `attach-ram-policy`: grants the policy to the add-ons' user. Its undo detaches only what it attached, after all that
//! needs the grant is gone. Clusters whose Secrets hold keys of one user share the grant: whoever comes first makes it,
//! whoever leaves last takes it back.
//!
//! Idempotent by name: attaching again is told apart by its own error, and is a success.

mod preview;

use async_trait::async_trait;
use causeway_engine::Failure;
use causeway_engine::event::{Claim, Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::ids::ResourceKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::addon_identity::{AddonUser, POLICY_NAME};
use super::cloud::{all_gone, cloud_of, is_marked_by, touched};
use crate::alibaba::{Client, ram};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};

/// The step.
pub struct AttachRamPolicy;

/// The before-image, and the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Attachment {
    user_name: String,
    policy_name: String,
    /// Whether it was attached before us.
    attached: bool,
}

#[async_trait]
impl Action for AttachRamPolicy {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let user: AddonUser = context.output_of("create-ram-user")?;
        let client = cloud_of(context).await?;
        let attached = attached(&client, &user.user_name).await?.ok_or_else(|| {
            Failure::permanent(format!("RAM user {} is gone; start again", user.user_name))
                .with_code("RAM_USER_GONE")
        })?;
        let mut before =
            Attachment { user_name: user.user_name, policy_name: POLICY_NAME.to_owned(), attached };
        let row = context.claim.as_ref().map(|row| row.claim.clone());
        if !attached {
            let claim = row.unwrap_or_else(|| first_claim(context, &before));
            return Ok(Observed::change(value(&before)).claiming(claim));
        }
        // An attachment has no room for a marker; on a user of our own making it is ours, or claimed by who made it.
        let owner = ram::get_user(&client, &before.user_name).await?;
        let ours = owner.is_some_and(|user| is_marked_by(&user.comments, &context.workflow));
        before.attached = !ours;
        let as_wanted = |verdict| Observed::as_wanted(verdict, value(&before), value(&before));
        Ok(match row {
            Some(claim) if ours => as_wanted(Verdict::Ours).claiming(claim),
            Some(claim) => as_wanted(Verdict::Shared).claiming(claim),
            None if ours => as_wanted(Verdict::Ours).claiming(first_claim(context, &before)),
            None => as_wanted(Verdict::Adopted),
        })
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "ram:ListPoliciesForUser",
            "ram:GetUser",
            "ram:AttachPolicyToUser",
            "ram:DetachPolicyFromUser",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let before: Attachment = context.before_image()?;
        let client = cloud_of(context).await?;
        context.still_time()?;
        match ram::attach_policy_to_user(&client, &before.user_name, &before.policy_name).await {
            Ok(()) => {}
            // It was not attached when we looked: an earlier attempt of ours was.
            Err(error) if error.is("EntityAlreadyExists") => {}
            Err(error) => return Err(error.into()),
        }
        touched(context, object(&before, true)).await?;
        Ok(value(&before))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let before: Attachment = context.before_image()?;
        let client = cloud_of(context).await?;
        Ok(match attached(&client, &before.user_name).await? {
            Some(true) => Confirm::Holds(value(&before)),
            _ => Confirm::NotYet(format!(
                "policy {} to be seen on RAM user {}",
                before.policy_name, before.user_name
            )),
        })
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let before: Attachment = context.before_image()?;
        let client = cloud_of(context).await?;
        if attached(&client, &before.user_name).await? == Some(true) {
            touched(context, object(&before, true)).await?;
            return Ok((Resolution::Done, value(&before)));
        }
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let before: Attachment = context.before_image()?;
        let client = cloud_of(context).await?;
        if attached(&client, &before.user_name).await? != Some(true) {
            all_gone(context).await?;
            return Ok(Revert::Done(Undone::NothingThere));
        }
        context.still_time()?;
        match ram::detach_policy_from_user(&client, &before.user_name, &before.policy_name).await {
            Ok(()) => {}
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
        touched(context, object(&before, false)).await?;
        Ok(Revert::Done(Undone::Reverted))
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let before: Attachment = context.before_image()?;
        let client = cloud_of(context).await?;
        Ok(Some(attached(&client, &before.user_name).await? != Some(true)))
    }

    async fn claim_key(&self, context: &Context) -> Result<Option<ResourceKey>, Failure> {
        let user: Option<AddonUser> = context.output_of("create-ram-user").ok();
        Ok(user.map(|user| attachment_key(context, &user.user_name)))
    }
}

/// The row of the attachment to this user.
fn attachment_key(context: &Context, user: &str) -> ResourceKey {
    let account = &context.connection.config.account_id;
    ResourceKey::new(format!("account/{account}/ram-policy/{POLICY_NAME}/user/{user}"))
}

/// The claim of whoever comes first: before it, nothing was attached.
fn first_claim(context: &Context, before: &Attachment) -> Claim {
    let key = attachment_key(context, &before.user_name);
    Claim { key, origin: Origin::Created, before: value(before) }
}

/// Whether the policy is attached to the user; `None` where there is no user.
async fn attached(client: &Client, user: &str) -> Result<Option<bool>, Failure> {
    let policies = ram::list_policies_for_user(client, user).await?;
    Ok(policies.map(|policies| policies.iter().any(|policy| policy.policy_name == POLICY_NAME)))
}

fn object(attachment: &Attachment, present: bool) -> Object {
    let Attachment { user_name, policy_name, .. } = attachment;
    Object {
        kind: "ram-attachment".to_owned(),
        id: format!("{policy_name}/{user_name}"),
        origin: Origin::Created,
        present,
        remedy: format!(
            "aliyun ram DetachPolicyFromUser --PolicyType Custom --PolicyName {policy_name} --UserName {user_name}"
        ),
        facts: json!({"user_name": user_name}),
    }
}
