//! What a plan shows of `publish-init-script`: the object, and the bucket's policy with the statement that `apply` would put
//! in. The script itself holds the join token and is never shown; its key hangs on it, so it may be known only later.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::{Value, json};

use super::plan::{acl_of, check_bucket, target};
use super::{Before, OBJECT, PublishedScript, STATEMENT, name, policy};
use crate::alibaba::oss::{self, Acl};
use crate::preview::{Change, Preview, known_after};
use crate::sdk::{Context, value};
use crate::spec::Document;
use crate::steps::cloud::cloud_of;

/// The step whose token the script holds.
const TOKEN_STEP: &str = "mint-join-token";

pub(super) async fn preview(context: &Context) -> Result<Preview, Failure> {
    let document: Document = context.document()?;
    let target = target(&document)?;
    let acl = acl_of(target);
    let mut warnings = Vec::new();
    let before = match context.verdict {
        Some(_) => context.before_image()?,
        None => {
            let client = cloud_of(context).await?;
            warnings = check_bucket(&client, &target.bucket, acl).await?;
            let policy = match acl {
                Acl::Private => oss::get_bucket_policy(&client, &target.bucket).await?,
                Acl::PublicRead => None,
            };
            expected(context, &document, policy)?
        }
    };
    let mut preview = Preview::undone_by(
        "takes just this statement out of the bucket's policy, and deletes just this object, after the URL is registered no more",
    )
    .expecting(value(&before.published));
    preview.warnings = warnings;
    let (object, bucket) = (name(&before), before.published.bucket.as_str());
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        preview.undo = "nothing: it was published before".to_owned();
        return Ok(preview.change(Change::keep(OBJECT, object)));
    }
    preview = if before.object {
        preview.change(Change::keep(OBJECT, object))
    } else {
        let readers = if acl == Acl::Private { "private" } else { "public-read" };
        let facts =
            json!({"url": before.published.url, "acl": readers, "sha256": before.published.sha256});
        preview.change(Change::create(OBJECT, object, &facts))
    };
    let Some(statement) = before.statement.as_ref().filter(|_| !before.has_statement) else {
        return Ok(preview);
    };
    let merged = policy::with(before.policy.as_deref(), statement)?;
    let parsed = |text: Option<&str>| {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
    };
    let (now, then) = (parsed(before.policy.as_deref()), parsed(merged.as_deref()));
    Ok(preview.change(match now {
        Value::Null => Change::create(STATEMENT, bucket, &then),
        now => Change::modify(STATEMENT, bucket, &now, &then),
    }))
}

/// What will be published, as far as it is known without the token.
fn expected(
    context: &Context,
    document: &Document,
    policy: Option<String>,
) -> Result<Before, Failure> {
    let target = target(document)?;
    let later = known_after(TOKEN_STEP);
    let key = format!("{}init-node-ecs-{later}.sh", target.prefix);
    let endpoints = context.connection.cloud.endpoints();
    let bucket_url = endpoints.node_object_url(&document.spec.region, &target.bucket, "");
    let statement = (acl_of(target) == Acl::Private).then(|| {
        let account = &context.connection.config.account_id;
        policy::statement(account, &target.bucket, &key, &document.spec.vpc.id)
    });
    Ok(Before {
        published: PublishedScript {
            url: format!("{bucket_url}{key}"),
            bucket: target.bucket.clone(),
            key,
            sha256: later,
        },
        etag: String::new(),
        object: false,
        statement,
        has_statement: false,
        policy,
    })
}
