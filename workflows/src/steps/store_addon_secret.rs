//! `store-addon-secret`: the AccessKey in Secret `kube-system/alibaba-addon-secret`, where all add-ons of the cluster look
//! for it (Terway from 1.8 on). One undo group with the RAM user and the key.
//!
//! Lost call: idempotent because the Secret has one name, and a repeated create finds it by its marker.

pub(crate) mod preview;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::addon_identity::{
    AddonKey, SECRET_KEY_ID, SECRET_KEY_SECRET, SECRET_NAME as NAME, SECRET_NAMESPACE as NAMESPACE,
    StoredKey, decide_group, read_secret, secret_ref,
};
use super::cloud::{conflict, touched};
use crate::kubernetes::cluster_of;
use crate::kubernetes::marker::{is_marked, mark};
use crate::preview::Preview;
use crate::sdk::{Action, Context, GroupDecision, Observed, Revert, value};

/// The step.
pub struct StoreAddonSecret;

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAddonSecretOutput {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The key in it.
    pub access_key_id: String,
}

#[async_trait]
impl Action for StoreAddonSecret {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let key: AddonKey = context.output_of("create-access-key")?;
        let present = read_secret(&cluster_of(context).await?).await?;
        let before = json!({"present": present.is_some()});
        let output = value(&output_of(&key));
        let Some(present) = present else {
            if key.access_key_secret.is_null() {
                let message = format!(
                    "Secret {NAMESPACE}/{NAME} had an AccessKey when it was read, and is gone now; start again"
                );
                return Err(conflict(message));
            }
            return Ok(Observed::change(before));
        };
        let same = present.is_whole() && present.credentials.key_id == key.access_key_id;
        match (same, is_marked(&present.object, &context.workflow)) {
            (true, true) => Ok(Observed::as_wanted(Verdict::Ours, before, output)),
            (true, false) => Ok(Observed::as_wanted(Verdict::Adopted, before, output)),
            (false, _) => Err(in_the_way(&key)),
        }
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &["ram:ListAccessKeys", "ram:ListPoliciesForUser", "ram:ListGroupsForUser"]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let key: AddonKey = context.output_of("create-access-key")?;
        let cluster = cluster_of(context).await?;
        match read_secret(&cluster).await? {
            Some(present) if is_marked(&present.object, &context.workflow) => {}
            Some(_) => {
                let message = format!(
                    "Secret {NAMESPACE}/{NAME} was made by somebody else meanwhile; it is read anew"
                );
                return Err(
                    Failure::new(FailureClass::Stale, message).with_code("CHANGED_MEANWHILE")
                );
            }
            None => {
                let secret = context.open(&key.access_key_secret).await?;
                context.still_time()?;
                cluster
                    .create(&secret_ref(), &object(&key.access_key_id, &secret, context))
                    .await?;
            }
        }
        touched(context, ledger_entry(&key, true)).await?;
        Ok(value(&output_of(&key)))
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let key: AddonKey = context.output_of("create-access-key")?;
        let present = read_secret(&cluster_of(context).await?).await?;
        if present.is_some_and(|present| is_marked(&present.object, &context.workflow)) {
            touched(context, ledger_entry(&key, true)).await?;
            return Ok((Resolution::Done, value(&output_of(&key))));
        }
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let key: AddonKey = context.output_of("create-access-key")?;
        let cluster = cluster_of(context).await?;
        let Some(present) = read_secret(&cluster).await? else {
            if context.effects.is_empty() {
                return Ok(Revert::Done(Undone::NothingThere));
            }
            touched(context, ledger_entry(&key, false)).await?;
            return Ok(Revert::Done(Undone::Reverted));
        };
        if !is_marked(&present.object, &context.workflow) {
            return Ok(Revert::Done(Undone::NothingThere));
        }
        if let Some(reason) = changed(context, &key, &present).await? {
            return Ok(Revert::Done(Undone::Kept { reason, in_use: true }));
        }
        context.still_time()?;
        cluster.delete(&secret_ref(), &present.object).await?;
        touched(context, ledger_entry(&key, false)).await?;
        Ok(Revert::Done(Undone::Reverted))
    }

    async fn decide_group(&self, context: &Context) -> Result<GroupDecision, Failure> {
        decide_group(context).await
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let present = read_secret(&cluster_of(context).await?).await?;
        Ok(Some(!present.is_some_and(|present| is_marked(&present.object, &context.workflow))))
    }
}

/// Why the Secret is no longer just what was put there; none: it is.
async fn changed(
    context: &Context,
    key: &AddonKey,
    present: &StoredKey,
) -> Result<Option<String>, Failure> {
    let ours = context.open(&key.access_key_secret).await?;
    Ok((!present.is_just(&key.access_key_id, &ours))
        .then(|| format!("changed_by_other: Secret {NAMESPACE}/{NAME} holds more, or something else, than was put there")))
}

fn output_of(key: &AddonKey) -> StoreAddonSecretOutput {
    StoreAddonSecretOutput {
        namespace: NAMESPACE.to_owned(),
        name: NAME.to_owned(),
        access_key_id: key.access_key_id.clone(),
    }
}

fn object(id: &str, secret: &SecretString, context: &Context) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": {SECRET_KEY_ID: STANDARD.encode(id), SECRET_KEY_SECRET: STANDARD.encode(secret.expose_secret())},
    });
    mark(&mut object, &context.workflow);
    object
}

fn in_the_way(key: &AddonKey) -> Failure {
    conflict(format!(
        "Secret {NAMESPACE}/{NAME} is there and holds another AccessKey than {}, or no whole one; see which add-on uses it, \
         complete or remove it, then start again",
        key.access_key_id
    ))
}

fn ledger_entry(key: &AddonKey, present: bool) -> Object {
    let remedy = format!("kubectl -n {NAMESPACE} delete secret {NAME}, once no add-on uses it");
    let facts = json!({"access_key_id": key.access_key_id});
    Object {
        kind: "secret".to_owned(),
        id: secret_ref().id(),
        origin: Origin::Created,
        present,
        remedy,
        facts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::Bench;

    fn bench() -> Bench {
        let mut bench = Bench::new("store-addon-secret");
        let sealed = bench.seal("key", "hunter2hunter2");
        bench.output(
            "create-access-key",
            json!({"user_name": "u", "access_key_id": "LTAI-ours", "access_key_secret": sealed}),
        );
        bench
    }

    fn foreign(id: &str) -> Value {
        json!({"data": {SECRET_KEY_ID: STANDARD.encode(id), SECRET_KEY_SECRET: STANDARD.encode("theirs")}})
    }

    #[tokio::test]
    async fn a_stored_key_is_found_by_add_ons_and_goes_without_a_trace() {
        let mut bench = bench();
        let before = bench.kube.dump();
        assert_eq!(bench.observe(&StoreAddonSecret).await.unwrap(), Verdict::Change);
        bench.apply(&StoreAddonSecret).await.unwrap();
        let stored = read_secret(&bench.cluster()).await.unwrap().unwrap();
        assert!(stored.is_just("LTAI-ours", &SecretString::from("hunter2hunter2")));
        bench.apply(&StoreAddonSecret).await.unwrap();
        assert_eq!(bench.kube.writes().len(), 1, "applied twice, written once");
        assert_eq!(bench.revert(&StoreAddonSecret).await.unwrap(), Undone::Reverted);
        assert_eq!(bench.kube.dump(), before);
        assert_eq!(
            bench.revert(&StoreAddonSecret).await.unwrap(),
            Undone::Reverted,
            "undone twice"
        );
    }

    #[tokio::test]
    async fn a_secret_that_was_there_is_adopted_or_in_the_way() {
        let mut bench = bench();
        bench.kube.put(&secret_ref(), foreign("LTAI-other"));
        assert_eq!(
            bench.observe(&StoreAddonSecret).await.unwrap_err().code.as_deref(),
            Some("CONFLICT")
        );
        bench.output(
            "create-access-key",
            json!({"user_name": "u", "access_key_id": "LTAI-other", "access_key_secret": null}),
        );
        assert_eq!(bench.observe(&StoreAddonSecret).await.unwrap(), Verdict::Adopted);
    }

    #[tokio::test]
    async fn a_secret_that_others_changed_is_kept() {
        for change in ["id", "more"] {
            let mut bench = bench();
            bench.observe(&StoreAddonSecret).await.unwrap();
            bench.apply(&StoreAddonSecret).await.unwrap();
            bench.kube.change(&secret_ref(), |secret| match change {
                "id" => secret["data"][SECRET_KEY_ID] = STANDARD.encode("LTAI-new").into(),
                _ => secret["data"]["more"] = STANDARD.encode("x").into(),
            });
            let undone = bench.revert(&StoreAddonSecret).await.unwrap();
            assert!(
                matches!(undone, Undone::Kept { reason, in_use: true } if reason.starts_with("changed_by_other"))
            );
        }
    }
}
