//! What a plan shows of `mint-join-token`: the Secret that `apply` would make. The token, its name and its end come from
//! chance, the workflow and the clock, so they are known only once it has started.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::{Value, json};

use super::{MintJoinTokenOutput, NAMESPACE, secret};
use crate::kubernetes::{Resource, Verb, verbs};
use crate::preview::{Change, Preview, SENSITIVE, known_after};
use crate::sdk::{Context, Observed, value};
use crate::spec::Document;

/// The kind in the ledger.
const KIND: &str = "secret";

/// The verbs that it needs.
pub(crate) fn needs() -> Vec<Verb> {
    verbs(&Resource::SECRETS, Some(NAMESPACE), &["get", "create", "delete"])
}

/// How long the token will live.
fn ttl(context: &Context) -> Result<Duration, Failure> {
    let document: Document = context.document()?;
    Ok(document.spec.init_script.token.unwrap_or_default().mint.unwrap_or_default().ttl())
}

pub(super) fn evidence(context: &Context, observed: &Observed) -> Value {
    if observed.verdict == Verdict::Change {
        return json!({"lives_seconds": ttl(context).map_or(0, |ttl| ttl.as_secs())});
    }
    observed.output.clone()
}

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    if context.verdict != Some(Verdict::Change) {
        let name = context.output["secret_name"].as_str().unwrap_or_default();
        return Ok(Preview::undone_by("nothing: the token was there")
            .change(Change::keep(KIND, format!("{NAMESPACE}/{name}"))));
    }
    let name = known_after(context.step.as_str());
    let life = ttl(context)?;
    let expected = MintJoinTokenOutput {
        token: Value::Null,
        secret_name: name.clone(),
        expires_at: format!("{} s after the start", life.as_secs()),
    };
    // The token's two parts are never shown, so it is made without any.
    let mut shown = secret(&expected, "", context);
    for value in shown["data"].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
        let plain = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        *value = plain.map_or(Value::Null, |bytes| String::from_utf8_lossy(&bytes).into());
    }
    shown["data"]["token-id"] = name.clone().into();
    shown["data"]["token-secret"] = SENSITIVE.into();
    Ok(Preview::undone_by("deletes the token's Secret")
        .change(Change::create(KIND, format!("{NAMESPACE}/bootstrap-token-{name}"), &shown))
        .expecting(value(&expected))
        .needing(needs()))
}

#[cfg(test)]
mod tests {
    use super::super::MintJoinToken;
    use crate::sdk::Action;
    use crate::steps::testing::Bench;

    #[tokio::test]
    async fn two_looks_have_the_same_evidence_and_the_plan_shows_no_token() {
        let mut seen = Vec::new();
        for workflow in ["w1", "w2"] {
            let mut bench = Bench::new("mint-join-token");
            bench.context_mut().workflow = workflow.into();
            bench.context_mut().token = format!("{workflow}0123456789abcdef0123456789");
            bench.advance(60_000 * seen.len() as u64);
            bench.observe(&MintJoinToken).await.unwrap();
            seen.push(MintJoinToken.evidence(bench.context(), bench.observed()));
            let preview = MintJoinToken.preview(bench.context()).await.unwrap();
            let diff = &preview.changes[0].diff;
            assert!(diff.contains("token-secret: (sensitive)"), "{diff}");
            assert!(diff.contains("expiration: 86400 s after the start"), "{diff}");
            let sealed = bench.context().sealed.lock().unwrap()[0].1.clone();
            let token = secrecy::ExposeSecret::expose_secret(&sealed).to_owned();
            let (id, key) = token.split_once('.').unwrap();
            assert!(!diff.contains(id) && !diff.contains(key), "{diff}");
        }
        assert_eq!(seen[0], seen[1]);
    }
}
