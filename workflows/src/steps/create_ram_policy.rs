//! `create-ram-policy`: the account-wide policy that lets Terway manage network interfaces. It is shared by all clusters of
//! the account: whoever comes first makes it (or adds a version to somebody else's), whoever leaves last puts it back.
//!
//! Ours is told by the marker in its description; a version of ours by its document and by not having been there before.

mod preview;

use std::collections::BTreeSet;

use async_trait::async_trait;
use causeway_engine::Failure;
use causeway_engine::event::{Claim, Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::ids::ResourceKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::addon_identity::POLICY_NAME;
use super::cloud::{
    all_gone, cloud_of, conflict, is_marked, is_marked_by, marker, spec_of, touched, warning,
};
use super::policy_document::{DOCUMENT_CHARS_MAX, document, extended, grants, same};
use crate::alibaba::{Client, ram};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::spec::document::Policy;

/// Versions that a policy may have.
const VERSIONS_MAX: usize = 5;

/// The step.
pub struct CreateRamPolicy;

/// The key under which the policy is claimed and held.
#[must_use]
pub fn policy_key(account_id: &str) -> ResourceKey {
    ResourceKey::new(format!("account/{account_id}/ram-policy/{POLICY_NAME}"))
}

/// The before-image: absent, or what there was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The policy as it was; none: absent.
    there: Option<There>,
    /// The document that is wanted.
    wanted: String,
}

/// A policy that was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct There {
    default_version: String,
    document: String,
    versions: BTreeSet<String>,
}

/// The policy now.
struct Now {
    detail: ram::PolicyDetail,
    versions: Vec<ram::PolicyVersion>,
}

impl Now {
    async fn read(client: &Client) -> Result<Option<Self>, Failure> {
        let Some(detail) = ram::get_policy(client, POLICY_NAME).await? else { return Ok(None) };
        let versions = ram::list_policy_versions(client, POLICY_NAME).await?;
        Ok(versions.map(|versions| Self { detail, versions }))
    }

    fn document(&self) -> &str {
        &self.detail.default_policy_version.policy_document
    }

    fn there(&self) -> There {
        There {
            default_version: self.detail.default_policy_version.version_id.clone(),
            document: self.document().to_owned(),
            versions: self.versions.iter().map(|version| version.version_id.clone()).collect(),
        }
    }

    /// The document of a version; empty where the list left it out.
    fn document_of<'a>(&'a self, version: &'a ram::PolicyVersion) -> &'a str {
        if version.is_default_version { self.document() } else { &version.policy_document }
    }

    /// The versions that we added to the policy that was there: one, or more where lost calls were repeated.
    fn all_added<'a>(
        &'a self,
        before: &'a There,
        wanted: &'a str,
    ) -> impl Iterator<Item = &'a ram::PolicyVersion> {
        let new = |version: &&ram::PolicyVersion| !before.versions.contains(&version.version_id);
        self.versions
            .iter()
            .filter(new)
            .filter(move |version| same(self.document_of(version), wanted))
    }

    /// The one that counts among them, else any.
    fn added<'a>(&'a self, before: &'a There, wanted: &'a str) -> Option<&'a ram::PolicyVersion> {
        let mut all = self.all_added(before, wanted).collect::<Vec<_>>();
        all.sort_by_key(|version| !version.is_default_version);
        all.first().copied()
    }
}

#[async_trait]
impl Action for CreateRamPolicy {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let client = cloud_of(context).await?;
        let policy = spec_of(context)?.terway.policy;
        let now = Now::read(&client).await?;
        observed(context, policy, now.as_ref())
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "ram:GetPolicy",
            "ram:ListPolicyVersions",
            "ram:CreatePolicy",
            "ram:CreatePolicyVersion",
            "ram:SetDefaultPolicyVersion",
            "ram:ListEntitiesForPolicy",
            "ram:DeletePolicyVersion",
            "ram:DeletePolicy",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        // An earlier attempt may have done it, or half of it.
        let now = Now::read(&client).await?;
        if let Some(output) = now.as_ref().and_then(|now| holds(context, &before, now)) {
            touched(context, object(&before, true)).await?;
            return Ok(output);
        }
        context.still_time()?;
        let Some(there) = &before.there else {
            let description =
                format!("{} for Terway in registered clusters", marker(&context.workflow));
            ram::create_policy(&client, POLICY_NAME, &before.wanted, &description).await?;
            touched(context, object(&before, true)).await?;
            return Ok(output("v1"));
        };
        let half = now
            .as_ref()
            .and_then(|now| now.added(there, &before.wanted))
            .map(|version| version.version_id.clone());
        let version = match half {
            Some(version) => {
                ram::set_default_policy_version(&client, POLICY_NAME, &version).await?;
                version
            }
            None => {
                ram::create_policy_version(&client, POLICY_NAME, &before.wanted).await?.version_id
            }
        };
        touched(context, object(&before, true)).await?;
        Ok(output(&version))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let client = cloud_of(context).await?;
        let policy = spec_of(context)?.terway.policy;
        let now = Now::read(&client).await?;
        Ok(match now.filter(|now| grants(now.document(), policy)) {
            Some(now) => Confirm::Holds(output(&now.detail.default_policy_version.version_id)),
            None => Confirm::NotYet(format!("policy {POLICY_NAME} to be seen with its document")),
        })
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let Some(now) = Now::read(&client).await? else {
            return Ok((Resolution::NoEffect, Value::Null));
        };
        if let Some(output) = holds(context, &before, &now) {
            touched(context, object(&before, true)).await?;
            return Ok((Resolution::Done, output));
        }
        let half = before.there.as_ref().and_then(|there| now.added(there, &before.wanted));
        Ok((if half.is_some() { Resolution::Partial } else { Resolution::NoEffect }, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        // The last one puts back what was there before the first one.
        let row =
            context.claim.as_ref().and_then(|row| Before::deserialize(&row.claim.before).ok());
        let before = row.map_or_else(|| context.before_image(), Ok)?;
        let client = cloud_of(context).await?;
        let Some(now) = Now::read(&client).await? else {
            all_gone(context).await?;
            return Ok(Revert::Done(Undone::NothingThere));
        };
        let undone = match &before.there {
            None => remove(context, &client, &before, &now).await?,
            Some(there) => restore(context, &client, &before, there, &now).await?,
        };
        if matches!(undone, Undone::Reverted | Undone::NothingThere) {
            all_gone(context).await?;
        }
        Ok(Revert::Done(undone))
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let now = Now::read(&client).await?;
        Ok(Some(match (now, &before.there) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(now), Some(there)) => now.added(there, &before.wanted).is_none(),
        }))
    }

    async fn claim_key(&self, context: &Context) -> Result<Option<ResourceKey>, Failure> {
        Ok(Some(policy_key(&context.connection.config.account_id)))
    }
}

fn observed(context: &Context, policy: Policy, now: Option<&Now>) -> Result<Observed, Failure> {
    let key = policy_key(&context.connection.config.account_id);
    let row = context.claim.as_ref().map(|row| &row.claim);
    let fresh = Before { there: None, wanted: document(policy) };
    let Some(now) = now else {
        let claim = Claim { key, origin: Origin::Created, before: value(&fresh) };
        return Ok(Observed::change(value(&fresh)).claiming(claim));
    };
    let there = now.there();
    let version = output(&there.default_version);
    let description = &now.detail.policy.description;
    if grants(now.document(), policy) {
        let seen = Before { there: Some(there), wanted: document(policy) };
        if let Some(row) = row {
            let claim = Claim { key, origin: row.origin, before: row.before.clone() };
            return Ok(Observed::as_wanted(Verdict::Shared, value(&seen), version).claiming(claim));
        }
        if is_marked_by(description, &context.workflow) {
            let claim = Claim { key, origin: Origin::Created, before: value(&fresh) };
            return Ok(Observed::as_wanted(Verdict::Ours, value(&fresh), version).claiming(claim));
        }
        let mut observed = Observed::as_wanted(Verdict::Adopted, value(&seen), version);
        if is_marked(description) {
            observed.warnings.push(warning(
                "RAM_POLICY_ADOPTED",
                format!("RAM policy {POLICY_NAME}"),
                "it was made by a Causeway that this store does not know",
                "nothing, if another daemon works in this account; it will not be deleted by an undo",
            ));
        }
        return Ok(observed);
    }
    // Somebody's document lacks something: a version of ours adds it, and keeps what is there.
    let Some(wanted) = extended(now.document(), policy)
        .filter(|wanted| wanted.chars().count() <= DOCUMENT_CHARS_MAX)
    else {
        return Err(conflict(format!(
            "RAM policy {POLICY_NAME} has another document, to which Terway's actions can't be added; correct or delete it, then start again"
        )));
    };
    if !grants(&wanted, policy) {
        return Err(conflict(format!(
            "RAM policy {POLICY_NAME} denies what Terway needs; correct or delete it, then start again"
        )));
    }
    if there.versions.len() >= VERSIONS_MAX {
        return Err(conflict(format!(
            "RAM policy {POLICY_NAME} has another document, and {VERSIONS_MAX} versions already, the most that a policy may have; delete one \
             that is not needed, then start again"
        )));
    }
    let before = Before { there: Some(there), wanted };
    let claim = row.cloned().unwrap_or_else(|| Claim {
        key,
        origin: Origin::Modified,
        before: value(&before),
    });
    Ok(Observed::change(value(&before)).claiming(claim))
}

/// The output, where what this workflow wanted to make is there.
fn holds(context: &Context, before: &Before, now: &Now) -> Option<Value> {
    let version = &now.detail.default_policy_version.version_id;
    let done = match &before.there {
        None => is_marked_by(&now.detail.policy.description, &context.workflow),
        Some(there) => {
            now.added(there, &before.wanted).is_some_and(|added| added.version_id == *version)
        }
    };
    done.then(|| output(version))
}

/// Removes a policy that Causeway made, with its versions: never while anything else uses it, or somebody has changed it.
async fn remove(
    context: &Context,
    client: &Client,
    before: &Before,
    now: &Now,
) -> Result<Undone, Failure> {
    let stranger = |version: &ram::PolicyVersion| {
        let document = now.document_of(version);
        !document.is_empty() && !is_ours(document, &before.wanted)
    };
    let changed = !is_marked(&now.detail.policy.description) || now.versions.iter().any(stranger);
    if changed {
        let reason =
            format!("changed_by_other: policy {POLICY_NAME} has another document or description");
        return Ok(Undone::Kept { reason, in_use: false });
    }
    let entities = ram::list_entities_for_policy(client, POLICY_NAME).await?.unwrap_or_default();
    if !entities.is_empty() {
        let names = [entities.users, entities.groups, entities.roles].concat().join(", ");
        let reason = format!("in_use: policy {POLICY_NAME} is attached to {names}");
        return Ok(Undone::Kept { reason, in_use: false });
    }
    for version in now.versions.iter().filter(|version| !version.is_default_version) {
        delete_version(context, client, &version.version_id).await?;
    }
    context.still_time()?;
    match ram::delete_policy(client, POLICY_NAME).await {
        Ok(()) => Ok(Undone::Reverted),
        Err(error) if error.is_gone() => Ok(Undone::Reverted),
        Err(error) => Err(error.into()),
    }
}

/// Whether a document is one that Causeway writes: a later claimant may have added what it needed beyond the first one's.
fn is_ours(text: &str, wanted: &str) -> bool {
    let plain = [Policy::Guide, Policy::Extended].map(document);
    let widened: Vec<String> =
        plain.iter().filter_map(|base| extended(base, Policy::Extended)).collect();
    same(text, wanted) || plain.iter().chain(&widened).any(|ours| same(text, ours))
}

/// Makes the version that counted before count again, and deletes ours; a default that somebody else has set stays.
async fn restore(
    context: &Context,
    client: &Client,
    before: &Before,
    there: &There,
    now: &Now,
) -> Result<Undone, Failure> {
    let Some(added) = now.added(there, &before.wanted) else { return Ok(Undone::NothingThere) };
    if added.is_default_version {
        if !now.versions.iter().any(|version| version.version_id == there.default_version) {
            let reason = format!(
                "changed_by_other: version {} of policy {POLICY_NAME}, which counted before, was deleted",
                there.default_version
            );
            return Ok(Undone::Kept { reason, in_use: false });
        }
        context.still_time()?;
        ram::set_default_policy_version(client, POLICY_NAME, &there.default_version).await?;
    }
    for version in now.all_added(there, &before.wanted) {
        delete_version(context, client, &version.version_id).await?;
    }
    Ok(Undone::Reverted)
}

async fn delete_version(context: &Context, client: &Client, version: &str) -> Result<(), Failure> {
    context.still_time()?;
    match ram::delete_policy_version(client, POLICY_NAME, version).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_gone() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn output(version: &str) -> Value {
    json!({"policy_name": POLICY_NAME, "version": version})
}

fn object(before: &Before, present: bool) -> Object {
    let (origin, remedy) = match &before.there {
        None => (
            Origin::Created,
            format!("aliyun ram DeletePolicy --PolicyName {POLICY_NAME} --CascadingDelete true"),
        ),
        Some(there) => (
            Origin::Modified,
            format!(
                "aliyun ram SetDefaultPolicyVersion --PolicyName {POLICY_NAME} --VersionId {}",
                there.default_version
            ),
        ),
    };
    Object {
        kind: "ram-policy".to_owned(),
        id: POLICY_NAME.to_owned(),
        origin,
        present,
        remedy,
        facts: Value::Null,
    }
}
