//! What is to be published, and where: the rendered script with its key, URL, readers and statement; and whether the bucket
//! can serve it. Changes nothing.

use causeway_engine::{Failure, Finding};
use serde_json::Value;

use super::super::check_kubernetes::CheckKubernetesOutput;
use super::super::cloud::warning;
use super::super::mint_join_token::MintJoinTokenOutput;
use super::{PublishedScript, policy};
use crate::alibaba::Client;
use crate::alibaba::oss::{self, Acl};
use crate::script::{self, Script};
use crate::sdk::Context;
use crate::spec::{Access, Document, Oss};

/// Longest URL that the registered cluster's agent takes, in bytes.
const URL_BYTES_MAX: usize = 1024;
/// What is to be published, and where.
pub(super) struct Plan {
    pub(super) published: PublishedScript,
    pub(super) script: Script,
    pub(super) acl: Acl,
    pub(super) statement: Option<Value>,
}

impl Plan {
    pub(super) async fn of(context: &Context) -> Result<Self, Failure> {
        let document: Document = context.document()?;
        let spec = &document.spec;
        let facts: CheckKubernetesOutput = context.output_of("check-kubernetes")?;
        let token: MintJoinTokenOutput = context.output_of("mint-join-token")?;
        let token = context.open(&token.token).await?;
        let render = spec.init_script.render.clone().unwrap_or_default();
        let version = if render.kubernetes_version.is_empty() {
            &facts.version
        } else {
            &render.kubernetes_version
        };
        let script = script::render(&script::Facts {
            cluster_id: &spec.cluster_id,
            api_server: if spec.on_premises.api_server.is_empty() {
                &facts.api_server
            } else {
                &spec.on_premises.api_server
            },
            token: &token,
            ca_hash: &facts.ca_hash,
            kubernetes_version: version,
            containerd_version: &render.runtime.containerd.version,
        })?;
        let target = target(&document)?;
        let key = script.key(&target.prefix);
        let url = context.connection.cloud.endpoints().node_object_url(
            &spec.region,
            &target.bucket,
            &key,
        );
        check_url(&url)?;
        let statement = (target.access == Access::Vpc).then(|| {
            policy::statement(
                &context.connection.config.account_id,
                &target.bucket,
                &key,
                &spec.vpc.id,
            )
        });
        let acl = acl_of(target);
        let published =
            PublishedScript { url, bucket: target.bucket.clone(), key, sha256: script.sha256() };
        Ok(Self { published, script, acl, statement })
    }
}

/// Who may read the object by itself.
pub(super) fn acl_of(target: &Oss) -> Acl {
    if target.access == Access::Vpc { Acl::Private } else { Acl::PublicRead }
}

pub(super) fn target(document: &Document) -> Result<&Oss, Failure> {
    let target =
        document.spec.init_script.publish.as_ref().and_then(|publish| publish.oss.as_ref());
    let target = target.ok_or_else(|| {
        Failure::permanent("the input says no bucket to publish in").with_code("MISSING_INPUT")
    })?;
    // The document was checked at the start; this is the last door before a token becomes public.
    if target.access == Access::PublicRead && !target.allow_public_token {
        return Err(Failure::permanent(
            "a script with a join token may be public only with `allow_public_token`",
        )
        .with_code("PUBLIC_TOKEN"));
    }
    Ok(target)
}

/// What the registered cluster's agent demands of the URL.
fn check_url(url: &str) -> Result<(), Failure> {
    let scheme = url.starts_with("http://") || url.starts_with("https://");
    if scheme && url.len() <= URL_BYTES_MAX && !url.contains('?') {
        return Ok(());
    }
    Err(Failure::permanent(format!(
        "the script's URL `{url}` would be refused by the cluster's agent: it takes http or https, at most {URL_BYTES_MAX} bytes; \
         look at `spec.init_script.publish.oss` and the connection's endpoint `oss_node`"
    ))
    .with_code("SCRIPT_URL"))
}

/// Whether the bucket can serve the script; what is worth saying about it.
pub(super) async fn check_bucket(
    client: &Client,
    bucket: &str,
    acl: Acl,
) -> Result<Vec<Finding>, Failure> {
    let info = match oss::get_bucket_info(client, bucket).await {
        Ok(info) => info,
        // Not being allowed to look is no reason not to try.
        Err(error) if error.is_denied() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if info.region != client.region() {
        return Err(Failure::permanent(format!(
            "bucket {bucket} is in region {}, and the instances in {} could not fetch from it over the internal network; use a bucket there",
            info.region,
            client.region()
        ))
        .with_code("BUCKET_REGION"));
    }
    if acl == Acl::PublicRead && info.block_public_access {
        return Err(Failure::permanent(format!(
            "bucket {bucket} blocks public access; use `access: VPC`, or another bucket"
        ))
        .with_code("BUCKET_PRIVATE"));
    }
    let versioned = warning(
        "BUCKET_VERSIONED",
        bucket,
        format!(
            "bucket {bucket} keeps old versions, so an undo leaves a version of the script, with its join token, behind"
        ),
        "use a bucket without versioning, or a lifecycle rule that removes old versions",
    );
    Ok(if info.versioning.is_empty() { Vec::new() } else { vec![versioned] })
}

pub(super) async fn acl_fits(client: &Client, plan: &Plan) -> Result<bool, Failure> {
    let acl = oss::get_object_acl(client, &plan.published.bucket, &plan.published.key).await?;
    Ok(match plan.acl {
        Acl::Private => matches!(acl.as_deref(), Some("private" | "default")),
        Acl::PublicRead => acl.as_deref() == Some("public-read"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_the_agent_refuses_are_refused_before() {
        assert!(check_url("http://b.oss-cn-hangzhou-internal.aliyuncs.com/causeway/k.sh").is_ok());
        for bad in
            ["ftp://x/y", "/x", "https://x/y?Expires=1", &format!("https://x/{}", "y".repeat(1024))]
        {
            assert_eq!(check_url(bad).unwrap_err().code.as_deref(), Some("SCRIPT_URL"), "{bad}");
        }
    }

    #[test]
    fn a_public_token_needs_to_be_allowed_even_past_validation() {
        let mut document: Document = serde_saphyr::from_str(crate::spec::EXAMPLE).unwrap();
        assert!(target(&document).is_ok());
        let oss = document.spec.init_script.publish.as_mut().unwrap().oss.as_mut().unwrap();
        oss.access = Access::PublicRead;
        assert_eq!(target(&document).unwrap_err().code.as_deref(), Some("PUBLIC_TOKEN"));
    }
}
