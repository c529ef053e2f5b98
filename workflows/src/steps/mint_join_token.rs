//! `mint-join-token`: a kubeadm bootstrap token of this workflow's own, or the one that the input refers to.
//!
//! Lost call: idempotent because the Secret's name comes from the step's token, the secret part is sealed in the journal
//! before the write, and a repeated create finds the Secret by its marker.

pub(crate) mod preview;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass, Time};
use rand::Rng as _;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cloud::touched;
use super::join_token::{self, NAME_PREFIX, NAMESPACE, TYPE};
use crate::kubernetes::marker::{is_marked, mark};
use crate::kubernetes::{Cluster, ObjectRef, Resource, cluster_of};
use crate::preview::Preview;
use crate::sdk::{Action, Context, Observed, Revert, value};
use crate::spec::Document;
use crate::timing::millis;

/// Characters of a token.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Length of a token's public part.
const ID_LENGTH: usize = 6;
/// Length of its secret part.
const KEY_LENGTH: usize = 16;
/// The group that kubeadm lets join.
const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

/// The step.
pub struct MintJoinToken;

/// What later steps see, and, before the write, what is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintJoinTokenOutput {
    /// `ID.SECRET`, sealed.
    pub token: Value,
    /// The bootstrap Secret in kube-system.
    pub secret_name: String,
    /// When it ends, RFC 3339; empty: never.
    pub expires_at: String,
}

#[async_trait]
impl Action for MintJoinToken {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let cluster = cluster_of(context).await?;
        let document: Document = context.document()?;
        let token_source = document.spec.init_script.token.unwrap_or_default();
        if let Some(reference) = token_source.secret {
            let found = join_token::existing(
                &cluster,
                &reference.namespace,
                &reference.name,
                (context.now)(),
            )
            .await?;
            let found =
                found.map_err(|unfit| Failure::permanent(unfit).with_code("JOIN_TOKEN_UNFIT"))?;
            let sealed = context.seal("join-token", found.token);
            let output = MintJoinTokenOutput {
                token: sealed,
                secret_name: found.secret_name,
                expires_at: found.expires_at,
            };
            return Ok(Observed::as_wanted(Verdict::Adopted, Value::Null, value(&output)));
        }
        let (id, present) = place(&cluster, context).await?;
        if let Some(present) = present {
            return ours(context, &present);
        }
        let token = format!("{id}.{}", random_key());
        let ends = (context.now)().plus_ms(millis(token_source.mint.unwrap_or_default().ttl()));
        let planned = MintJoinTokenOutput {
            token: context.seal("join-token", SecretString::from(token)),
            secret_name: format!("{NAME_PREFIX}{id}"),
            expires_at: rfc3339(ends),
        };
        Ok(Observed::change(value(&planned)))
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn evidence(&self, context: &Context, observed: &Observed) -> Value {
        preview::evidence(context, observed)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let planned: MintJoinTokenOutput = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let at = secret_ref(&planned);
        match cluster.get(&at).await? {
            Some(present) if is_marked(&present, &context.workflow) => {}
            Some(_) => return Err(taken(&at)),
            None => {
                let token = context.open(&planned.token).await?;
                context.still_time()?;
                cluster.create(&at, &secret(&planned, token.expose_secret(), context)).await?;
            }
        }
        touched(context, ledger_entry(&planned, true)).await?;
        Ok(value(&planned))
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let planned: MintJoinTokenOutput = context.before_image()?;
        let present = cluster_of(context).await?.get(&secret_ref(&planned)).await?;
        if present.is_some_and(|present| is_marked(&present, &context.workflow)) {
            touched(context, ledger_entry(&planned, true)).await?;
            return Ok((Resolution::Done, value(&planned)));
        }
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let planned: MintJoinTokenOutput = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let at = secret_ref(&planned);
        match cluster.get(&at).await? {
            Some(present) if is_marked(&present, &context.workflow) => {
                context.still_time()?;
                cluster.delete(&at, &present).await?;
                touched(context, ledger_entry(&planned, false)).await?;
                Ok(Revert::Done(Undone::Reverted))
            }
            // The token cleaner removes a token that has ended, and so may anybody.
            _ if context.effects.is_empty() => Ok(Revert::Done(Undone::NothingThere)),
            _ => {
                touched(context, ledger_entry(&planned, false)).await?;
                Ok(Revert::Done(Undone::Reverted))
            }
        }
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let planned: MintJoinTokenOutput = context.before_image()?;
        let present = cluster_of(context).await?.get(&secret_ref(&planned)).await?;
        Ok(Some(!present.is_some_and(|present| is_marked(&present, &context.workflow))))
    }
}

fn rfc3339(time: Time) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| jiff::Timestamp::MAX.to_string(), |time| time.to_string())
}

/// A public part that no other token of the cluster has: derived from the step's token, so that its name is no chance. With
/// the Secret, where this workflow has made it already.
async fn place(cluster: &Cluster, context: &Context) -> Result<(String, Option<Value>), Failure> {
    for id in candidates(&context.token) {
        let present =
            cluster.get(&Resource::SECRETS.at(NAMESPACE, &format!("{NAME_PREFIX}{id}"))).await?;
        if present.as_ref().is_none_or(|present| is_marked(present, &context.workflow)) {
            return Ok((id.to_owned(), present));
        }
    }
    Err(taken(&Resource::SECRETS.at(NAMESPACE, NAME_PREFIX)))
}

/// The token that this workflow has minted already: that one is known to the nodes, not one that would be drawn now.
fn ours(context: &Context, present: &Value) -> Result<Observed, Failure> {
    let found = join_token::read(present, (context.now)())
        .map_err(|unfit| Failure::permanent(unfit).with_code("JOIN_TOKEN_UNFIT"))?;
    let minted = value(&MintJoinTokenOutput {
        token: context.seal("join-token", found.token),
        secret_name: found.secret_name,
        expires_at: found.expires_at,
    });
    Ok(Observed::as_wanted(Verdict::Ours, minted.clone(), minted))
}

fn candidates(token: &str) -> impl Iterator<Item = &str> {
    (0..token.len() / ID_LENGTH)
        .filter_map(move |at| token.get(at * ID_LENGTH..(at + 1) * ID_LENGTH))
}

fn random_key() -> String {
    let mut random = rand::rng();
    (0..KEY_LENGTH).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

fn secret_ref(planned: &MintJoinTokenOutput) -> ObjectRef {
    Resource::SECRETS.at(NAMESPACE, &planned.secret_name)
}

fn taken(at: &ObjectRef) -> Failure {
    let message = format!("{at} is there and is not this workflow's; the token is derived anew");
    Failure::new(FailureClass::Stale, message).with_code("CHANGED_MEANWHILE")
}

fn secret(planned: &MintJoinTokenOutput, token: &str, context: &Context) -> Value {
    let (id, key) = token.split_once('.').unwrap_or((token, ""));
    let encode = |text: &str| STANDARD.encode(text);
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": TYPE,
        "metadata": {"name": planned.secret_name, "namespace": NAMESPACE},
        "data": {
            "token-id": encode(id), "token-secret": encode(key), "expiration": encode(&planned.expires_at),
            "usage-bootstrap-authentication": encode("true"), "usage-bootstrap-signing": encode("true"),
            "auth-extra-groups": encode(GROUP), "description": encode(&format!("causeway:{}", context.workflow)),
        },
    });
    mark(&mut secret, &context.workflow);
    secret
}

fn ledger_entry(planned: &MintJoinTokenOutput, present: bool) -> Object {
    let id = secret_ref(planned).id();
    let remedy = format!("kubectl -n {NAMESPACE} delete secret {}", planned.secret_name);
    Object {
        kind: "secret".to_owned(),
        id,
        origin: Origin::Created,
        present,
        remedy,
        facts: json!({"expires_at": planned.expires_at}),
    }
}

#[cfg(test)]
mod tests {
    use causeway_engine::event::Undone;

    use super::*;
    use crate::kubernetes::fake::Fault;
    use crate::steps::testing::Bench;

    fn bench() -> Bench {
        Bench::new("mint-join-token")
    }

    #[tokio::test]
    async fn a_minted_token_can_be_joined_with_and_goes_without_a_trace() {
        let mut bench = bench();
        let before = bench.kube.dump();
        bench.observe(&MintJoinToken).await.unwrap();
        bench.apply(&MintJoinToken).await.unwrap();
        let output: MintJoinTokenOutput =
            serde_json::from_value(bench.context().output.clone()).unwrap();
        let token = bench.context().open(&output.token).await.unwrap();
        let found =
            join_token::existing(&bench.cluster(), NAMESPACE, &output.secret_name, bench.now())
                .await
                .unwrap();
        assert_eq!(found.ok().unwrap().token.expose_secret(), token.expose_secret());
        assert!(!output.token.to_string().contains(token.expose_secret()));
        assert_eq!(bench.revert(&MintJoinToken).await.unwrap(), Undone::Reverted);
        assert_eq!(bench.kube.dump(), before);
        assert_eq!(bench.revert(&MintJoinToken).await.unwrap(), Undone::Reverted, "undone twice");
    }

    #[tokio::test]
    async fn a_lost_create_is_found_by_its_marker_and_made_once() {
        let mut bench = bench();
        bench.observe(&MintJoinToken).await.unwrap();
        bench.kube.break_writes(&[Fault::CutAfter]);
        let failure = bench.apply(&MintJoinToken).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unknown);
        assert_eq!(MintJoinToken.resolve(bench.context()).await.unwrap().0, Resolution::Done);
        bench.apply(&MintJoinToken).await.unwrap();
        assert_eq!(bench.kube.writes().len(), 1);
    }

    #[tokio::test]
    async fn a_token_that_was_minted_before_the_journal_was_lost_is_the_one_that_counts() {
        let mut bench = bench();
        bench.observe(&MintJoinToken).await.unwrap();
        bench.apply(&MintJoinToken).await.unwrap();
        let opened = async |bench: &Bench| {
            let output: MintJoinTokenOutput =
                serde_json::from_value(bench.context().output.clone()).unwrap();
            let token = bench.context().open(&output.token).await.unwrap();
            (output.secret_name, output.expires_at, token.expose_secret().to_owned())
        };
        let minted = opened(&bench).await;
        assert_eq!(bench.observe(&MintJoinToken).await.unwrap(), Verdict::Ours);
        assert_eq!(opened(&bench).await, minted);
        assert_eq!(bench.revert(&MintJoinToken).await.unwrap(), Undone::Reverted);
    }

    #[tokio::test]
    async fn a_refused_create_leaves_nothing_to_undo() {
        let mut bench = bench();
        bench.observe(&MintJoinToken).await.unwrap();
        bench.kube.break_writes(&[Fault::Refuse(403)]);
        assert_eq!(bench.apply(&MintJoinToken).await.unwrap_err().class, FailureClass::Permanent);
        assert_eq!(MintJoinToken.resolve(bench.context()).await.unwrap().0, Resolution::NoEffect);
        assert_eq!(bench.revert(&MintJoinToken).await.unwrap(), Undone::NothingThere);
    }

    #[test]
    fn keys_are_of_kubeadms_alphabet() {
        let key = random_key();
        assert_eq!(key.len(), KEY_LENGTH);
        assert!(key.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(key, random_key());
    }
}
