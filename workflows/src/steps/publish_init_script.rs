//! `publish-init-script`: renders the init script and puts it where the instances fetch it: a private object whose key is
//! made of its content, and one statement of the bucket's policy that lets the VPC read it (guide, step 4).
//!
//! Lost call: idempotent because the key is the hash of the bytes and the statement is always the same, so that writing
//! them again changes nothing. Undo takes out just this statement and this object. Sticks where the daemon may not change
//! the bucket's policy, or where the bucket blocks public access and counts the statement as such.

mod plan;
mod policy;
mod preview;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_engine::event::{Claim, Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::ids::ResourceKey;
use causeway_engine::{Failure, FailureClass};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::plan::{Plan, acl_fits, check_bucket};
use self::policy::Removal;
use super::cloud::{cloud_of, conflict, touched};
use crate::alibaba::oss::{self, NewObject, ObjectHead};
use crate::alibaba::{self, Client};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};

/// Kind of the published object in the ledger.
const OBJECT: &str = "oss-object";
/// Kind of the statement in the ledger.
const STATEMENT: &str = "oss-bucket-policy-statement";

/// The step.
pub struct PublishInitScript;

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedScript {
    /// As instances fetch it.
    pub url: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// SHA-256 of the bytes, in hex.
    pub sha256: String,
}

/// What undo restores: all of it is known before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// What will be there.
    published: PublishedScript,
    /// ETag of the bytes.
    etag: String,
    /// Whether such an object was there.
    object: bool,
    /// The statement that we need; none where everybody may read the object.
    statement: Option<Value>,
    /// Whether the statement was there.
    has_statement: bool,
    /// The bucket's policy, as it was.
    policy: Option<String>,
}

#[async_trait]
impl Action for PublishInitScript {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let client = cloud_of(context).await?;
        let plan = Plan::of(context).await?;
        let warnings = check_bucket(&client, &plan.published.bucket, plan.acl).await?;
        let etag = plan.script.etag();
        let head = head(&client, &plan.published).await?;
        let object = match &head {
            None => false,
            Some(head) if head.workflow() == Some(context.workflow.as_str()) => false,
            Some(head) if head.etag == etag && acl_fits(&client, &plan).await? => true,
            Some(_) => return Err(taken(&plan.published)),
        };
        let policy = match &plan.statement {
            Some(_) => oss::get_bucket_policy(&client, &plan.published.bucket).await?,
            None => None,
        };
        let has_statement = match &plan.statement {
            Some(statement) => policy::has(policy.as_deref(), statement)?,
            None => true,
        };
        let complete = head.as_ref().is_some_and(|head| head.etag == etag) && has_statement;
        let ours = complete && !object;
        let before = Before {
            published: plan.published.clone(),
            etag,
            object,
            // The marker on the object proves that its statement is ours as well: nobody else knows the key.
            has_statement: has_statement && !ours,
            policy: if ours { None } else { policy },
            statement: plan.statement,
        };
        let row = context.claim.as_ref().map(|row| row.claim.clone());
        let as_wanted =
            |verdict| Observed::as_wanted(verdict, value(&before), value(&plan.published));
        let observed = match (complete, ours) {
            (true, true) => as_wanted(Verdict::Ours),
            (true, false) if row.is_some() => as_wanted(Verdict::Shared),
            // As wanted, and nobody's of ours: nothing to claim.
            (true, false) => return Ok(Observed { warnings, ..as_wanted(Verdict::Adopted) }),
            (false, _) => Observed::change(value(&before)),
        };
        let claim = row.unwrap_or_else(|| first_claim(&before));
        Ok(Observed { warnings, ..observed.claiming(claim) })
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context).await
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "oss:GetBucketInfo",
            "oss:GetObject",
            "oss:GetObjectAcl",
            "oss:PutObject",
            "oss:PutObjectAcl",
            "oss:DeleteObject",
            "oss:GetBucketPolicy",
            "oss:PutBucketPolicy",
            "oss:DeleteBucketPolicy",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let client = cloud_of(context).await?;
        let before: Before = context.before_image()?;
        let plan = Plan::of(context).await?;
        if plan.published != before.published {
            let message = "the init script would now be another than the one observed: the daemon or the cluster has changed meanwhile";
            return Err(Failure::new(FailureClass::Stale, message).with_code("SCRIPT_CHANGED"));
        }
        context.still_time()?;
        if !before.object {
            put(&client, context, &plan).await?;
            touched(context, object_entry(&before, true)).await?;
        }
        if let Some(statement) = before.statement.as_ref().filter(|_| !before.has_statement) {
            context.still_time()?;
            let bucket = &plan.published.bucket;
            let present = oss::get_bucket_policy(&client, bucket).await?;
            if let Some(merged) = policy::with(present.as_deref(), statement)? {
                oss::put_bucket_policy(&client, bucket, &merged).await.map_err(policy_refused)?;
            }
            touched(context, statement_entry(&before, true)).await?;
        }
        Ok(value(&plan.published))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let before: Before = context.before_image()?;
        let (object, statement) = present(&cloud_of(context).await?, &before).await?;
        Ok(match (object, statement) {
            (true, true) => Confirm::Holds(value(&before.published)),
            (false, _) => Confirm::NotYet(format!("object {} is not there", name(&before))),
            (true, false) => Confirm::NotYet(format!(
                "the policy of bucket {} lacks our statement",
                before.published.bucket
            )),
        })
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let before: Before = context.before_image()?;
        let (object, statement) = present(&cloud_of(context).await?, &before).await?;
        // What was there before us says nothing about what we did.
        let did_object = object && !before.object;
        let did_statement = statement && !before.has_statement && before.statement.is_some();
        Ok(match (object && statement, did_object || did_statement) {
            (true, _) => (Resolution::Done, value(&before.published)),
            (false, true) => (Resolution::Partial, Value::Null),
            (false, false) => (Resolution::NoEffect, Value::Null),
        })
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let client = cloud_of(context).await?;
        // The last claimant puts back what was there before the first one.
        let row =
            context.claim.as_ref().and_then(|row| Before::deserialize(&row.claim.before).ok());
        let before = row.map_or_else(|| context.before_image(), Ok)?;
        let mut did = !context.effects.is_empty();
        let mut kept = Vec::new();
        if let Some(statement) = before.statement.as_ref().filter(|_| !before.has_statement) {
            context.still_time()?;
            let removal = take_out(&client, &before, statement).await?;
            did |= matches!(removal, Removal::DeletePolicy | Removal::Write(_));
            if removal == Removal::Changed {
                kept.push("the bucket policy's statement");
            } else {
                touched(context, statement_entry(&before, false)).await?;
            }
        }
        if !before.object {
            let (bucket, key) = (&before.published.bucket, &before.published.key);
            let found = or_bucket_gone(oss::head_object(&client, bucket, key).await)?;
            if found.as_ref().is_some_and(|head| !is_claimed(context, &before, head)) {
                kept.push("the object");
            } else {
                if found.is_some() {
                    context.still_time()?;
                    oss::delete_object(&client, bucket, key).await?;
                    did = true;
                }
                touched(context, object_entry(&before, false)).await?;
            }
        }
        Ok(Revert::Done(if !kept.is_empty() {
            Undone::Kept {
                reason: format!("changed_by_other: {} of {}", kept.join(" and "), name(&before)),
                in_use: false,
            }
        } else if did {
            Undone::Reverted
        } else {
            Undone::NothingThere
        }))
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let before: Before = context.before_image()?;
        let client = cloud_of(context).await?;
        let object = !before.object && head(&client, &before.published).await?.is_some();
        let statement = match before.statement.as_ref().filter(|_| !before.has_statement) {
            Some(statement) => {
                let present = oss::get_bucket_policy(&client, &before.published.bucket).await?;
                policy::has(present.as_deref(), statement)?
            }
            None => false,
        };
        Ok(Some(!object && !statement))
    }

    async fn claim_key(&self, context: &Context) -> Result<Option<ResourceKey>, Failure> {
        match Plan::of(context).await {
            Ok(plan) => Ok(Some(object_key(&plan.published))),
            Err(failure) if failure.class == FailureClass::Permanent => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// The row of the object with its statement: one, as the script names its cluster, and a cluster's instances are in one VPC.
fn object_key(published: &PublishedScript) -> ResourceKey {
    ResourceKey::new(format!("bucket/{}/object/{}", published.bucket, published.key))
}

/// The claim of whoever comes first.
fn first_claim(before: &Before) -> Claim {
    let origin = if before.object { Origin::Modified } else { Origin::Created };
    Claim { key: object_key(&before.published), origin, before: value(before) }
}

/// Whether the object is what this workflow put there, or another that claimed it.
fn is_claimed(context: &Context, before: &Before, head: &ObjectHead) -> bool {
    match head.workflow() {
        Some(workflow) if workflow == context.workflow.as_str() => true,
        Some(_) => context.claim.is_some() && head.etag == before.etag,
        None => false,
    }
}

/// Writes the object, unless it is there already by our own hand.
async fn put(client: &Client, context: &Context, plan: &Plan) -> Result<(), Failure> {
    let published = &plan.published;
    let ours = |head: &ObjectHead| {
        head.workflow() == Some(context.workflow.as_str()) && head.etag == plan.script.etag()
    };
    if head(client, published).await?.as_ref().is_some_and(ours) {
        return Ok(());
    }
    let object = NewObject {
        body: Bytes::copy_from_slice(plan.script.bytes()),
        content_type: "text/x-shellscript",
        acl: plan.acl,
        forbid_overwrite: true,
        workflow: context.workflow.to_string(),
    };
    oss::put_object(client, &published.bucket, &published.key, object).await?;
    Ok(())
}

async fn head(client: &Client, published: &PublishedScript) -> Result<Option<ObjectHead>, Failure> {
    Ok(oss::head_object(client, &published.bucket, &published.key).await?)
}

/// For the undo: where the whole bucket is gone, so is all that we put in it.
fn or_bucket_gone<T>(found: Result<Option<T>, alibaba::Error>) -> Result<Option<T>, Failure> {
    match found {
        Err(error) if error.is("NoSuchBucket") => Ok(None),
        found => Ok(found?),
    }
}

/// Whether the object, and the statement where one is needed, are there.
async fn present(client: &Client, before: &Before) -> Result<(bool, bool), Failure> {
    let object =
        head(client, &before.published).await?.is_some_and(|head| head.etag == before.etag);
    let statement = match &before.statement {
        Some(statement) => {
            let policy = oss::get_bucket_policy(client, &before.published.bucket).await?;
            policy::has(policy.as_deref(), statement)?
        }
        None => true,
    };
    Ok((object, statement))
}

async fn take_out(client: &Client, before: &Before, statement: &Value) -> Result<Removal, Failure> {
    let bucket = &before.published.bucket;
    let present = or_bucket_gone(oss::get_bucket_policy(client, bucket).await)?;
    let removal = policy::without(present.as_deref(), statement, before.policy.as_deref())?;
    match &removal {
        Removal::NotThere | Removal::Changed => {}
        Removal::DeletePolicy => oss::delete_bucket_policy(client, bucket).await?,
        Removal::Write(rest) => oss::put_bucket_policy(client, bucket, rest).await?,
    }
    Ok(removal)
}

fn policy_refused(error: alibaba::Error) -> Failure {
    let denied = error.is_denied();
    let mut failure = Failure::from(error);
    if denied {
        failure.message.push_str("; a bucket that blocks public access may also refuse this statement: use another bucket, or lift the block");
    }
    failure
}

fn taken(published: &PublishedScript) -> Failure {
    conflict(format!(
        "object {}/{} is there already, with other bytes or for other readers than wanted, and not by this workflow; remove it, or publish under another prefix",
        published.bucket, published.key
    ))
}

fn name(before: &Before) -> String {
    format!("{}/{}", before.published.bucket, before.published.key)
}

fn object_entry(before: &Before, present: bool) -> Object {
    let id = name(before);
    let remedy = format!("ossutil rm oss://{id}");
    Object {
        kind: OBJECT.to_owned(),
        id,
        origin: Origin::Created,
        present,
        remedy,
        facts: Value::Null,
    }
}

fn statement_entry(before: &Before, present: bool) -> Object {
    let id = name(before);
    let remedy = format!(
        "take the statement for {id} out of the policy of bucket {}",
        before.published.bucket
    );
    Object {
        kind: STATEMENT.to_owned(),
        id,
        origin: Origin::Created,
        present,
        remedy,
        facts: Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::steps::pool_world::PoolWorld;

    /// Written as somebody writes by hand.
    const POLICY: &str = r#"{ "Version": "1", "Statement": [ {"Effect": "Deny", "Principal": ["*"], "Action": ["oss:DeleteBucket"], "Resource": ["*"]} ] }"#;

    #[tokio::test]
    async fn publishing_and_its_undo_leave_the_bucket_byte_for_byte() {
        for policy in [None, Some(POLICY.to_owned())] {
            let world = PoolWorld::new().await;
            world.world().policy.clone_from(&policy);
            let mut bench = world.bench("publish-init-script");
            assert_eq!(bench.observe(&PublishInitScript).await.unwrap(), Verdict::Change);
            bench.apply(&PublishInitScript).await.unwrap();
            assert!(matches!(bench.confirm(&PublishInitScript).await.unwrap(), Confirm::Holds(_)));
            assert!(world.world().policy.as_ref().unwrap().contains("acs:SourceVpc"));
            let url = bench.context().output["url"].as_str().unwrap().to_owned();
            assert!(url.starts_with("http://kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com/causeway/init-node-ecs-"), "{url}");
            assert_eq!(bench.revert(&PublishInitScript).await.unwrap(), Undone::Reverted);
            assert_eq!(world.world().policy, policy);
            assert!(world.world().objects.is_empty());
            assert!(bench.context().effects.iter().all(|object| !object.present));
        }
    }

    #[tokio::test]
    async fn lost_answers_are_resolved_by_reading() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("publish-init-script");
        bench.observe(&PublishInitScript).await.unwrap();
        assert_eq!(bench.resolve(&PublishInitScript).await.unwrap(), Resolution::NoEffect);
        world.world().cut = true;
        assert_eq!(bench.apply(&PublishInitScript).await.unwrap_err().class, FailureClass::Unknown);
        assert_eq!(bench.resolve(&PublishInitScript).await.unwrap(), Resolution::Partial);
        bench.apply(&PublishInitScript).await.unwrap();
        assert_eq!(world.world().calls, ["PUT ", "PUT policy"], "the object is not written again");
        assert_eq!(bench.resolve(&PublishInitScript).await.unwrap(), Resolution::Done);
        assert_eq!(bench.observe(&PublishInitScript).await.unwrap(), Verdict::Ours);
    }

    #[tokio::test]
    async fn the_last_of_two_workflows_with_the_same_script_takes_it_away_whoever_leaves_first() {
        for first_leaves_first in [true, false] {
            let world = PoolWorld::new().await;
            world.world().policy = Some(POLICY.to_owned());
            let mut first = world.bench("publish-init-script");
            assert_eq!(first.observe(&PublishInitScript).await.unwrap(), Verdict::Change);
            first.apply(&PublishInitScript).await.unwrap();
            let mut second = world.bench("publish-init-script");
            second.context_mut().workflow = "w2".into();
            let row = first.context().claim.clone().unwrap();
            let key = PublishInitScript.claim_key(second.context()).await.unwrap();
            assert_eq!(key.as_ref(), Some(&row.claim.key));
            second.context_mut().claim = Some(row.clone());
            assert_eq!(second.observe(&PublishInitScript).await.unwrap(), Verdict::Shared);
            assert_eq!(second.context().claim, Some(row), "the row keeps what the first one found");
            let (leaver, stayer) = if first_leaves_first {
                (&mut first, &mut second)
            } else {
                (&mut second, &mut first)
            };
            leaver.share_with(&["the other"]);
            let kept = leaver.revert(&PublishInitScript).await.unwrap();
            assert!(
                matches!(&kept, Undone::Kept { reason, in_use: false } if reason.ends_with("the other")),
                "{kept:?}"
            );
            assert_eq!(world.world().objects.len(), 1);
            assert!(world.world().policy.as_ref().unwrap().contains("acs:SourceVpc"));
            assert_eq!(stayer.revert(&PublishInitScript).await.unwrap(), Undone::Reverted);
            assert_eq!(world.world().policy.as_deref(), Some(POLICY));
            assert!(world.world().objects.is_empty());
        }
    }

    #[tokio::test]
    async fn an_object_of_another_workflow_is_a_conflict_and_one_that_took_our_place_is_kept() {
        let world = PoolWorld::new().await;
        let mut bench = world.bench("publish-init-script");
        bench.observe(&PublishInitScript).await.unwrap();
        bench.apply(&PublishInitScript).await.unwrap();
        for object in world.world().objects.values_mut() {
            *object = ("w-other".to_owned(), "0".repeat(32));
        }
        let undone = bench.revert(&PublishInitScript).await.unwrap();
        assert!(
            matches!(&undone, Undone::Kept { reason, .. } if reason.starts_with("changed_by_other: the object")),
            "{undone:?}"
        );
        assert_eq!(
            bench.observe(&PublishInitScript).await.unwrap_err().code.as_deref(),
            Some("CONFLICT")
        );
    }
}
