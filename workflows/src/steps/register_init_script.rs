//! `register-init-script`: tells the registered cluster's agent where the node script is: key `addNodeScriptPath` of
//! ConfigMap `kube-system/ack-agent-config`. The agent looks about once a minute and shows nothing, so that both the
//! change and its undo are followed by a durable wait ([`crate::Timing::agent_settle`]).
//!
//! Lost call: idempotent because the patch carries the resourceVersion that was read, and the marker goes in with it.

pub(crate) mod preview;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass, Time, WorkflowId};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cloud::touched;
use crate::kubernetes::marker::{Unmarked, is_marked, mark};
use crate::kubernetes::{ObjectRef, Resource, cluster_of};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::timing::millis;

/// The agent's configuration.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "ack-agent-config";
/// The one key that is changed.
const KEY: &str = "addNodeScriptPath";
/// The agent stops reporting altogether when the value is longer (in bytes) or no http(s) URL.
const URL_BYTES_MAX: usize = 1024;

/// The step.
pub struct RegisterInitScript;

/// What undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The ConfigMap was there.
    present: bool,
    /// It had data.
    data: bool,
    /// The value, sealed, as a signed URL is a credential; null: the key was not there.
    value: Value,
    /// What was in the marker's place.
    unmarked: Unmarked,
}

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterInitScriptOutput {
    /// The URL that the agent reports.
    pub url: String,
}

#[async_trait]
impl Action for RegisterInitScript {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let url = wanted(context)?;
        let present = cluster_of(context).await?.get(&config_map()).await?;
        let registered = present.as_ref().and_then(script_path);
        let before = Before {
            present: present.is_some(),
            data: present.as_ref().is_some_and(|present| present["data"].is_object()),
            value: registered
                .map_or(Value::Null, |old| context.seal("previous-url", SecretString::from(old))),
            unmarked: present.as_ref().map(Unmarked::of).unwrap_or_default(),
        };
        let same = registered == Some(url.as_str());
        let ours = present.as_ref().is_some_and(|present| is_marked(present, &context.workflow));
        let output = value(&RegisterInitScriptOutput { url });
        Ok(match (same, ours) {
            (false, _) => Observed::change(value(&before)),
            (true, true) => Observed::as_wanted(Verdict::Ours, value(&before), output),
            (true, false) => Observed::as_wanted(Verdict::Adopted, value(&before), output),
        })
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context).await
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let url = wanted(context)?;
        let before: Before = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let present = cluster.get(&config_map()).await?;
        match &present {
            Some(present)
                if is_marked(present, &context.workflow)
                    && script_path(present) == Some(url.as_str()) => {}
            _ if !is_as_before(context, &before, present.as_ref()).await? => {
                let message = format!(
                    "{KEY} of ConfigMap {NAMESPACE}/{NAME} was changed by somebody else since it was read; it is read anew"
                );
                return Err(
                    Failure::new(FailureClass::Stale, message).with_code("CHANGED_MEANWHILE")
                );
            }
            Some(current) => {
                context.still_time()?;
                let wanted = written(Some(current), &url, &context.workflow);
                cluster.edit(&config_map(), current, &wanted).await?;
            }
            None => {
                context.still_time()?;
                cluster.create(&config_map(), &written(None, &url, &context.workflow)).await?;
            }
        }
        touched(context, ledger_entry(&before, true, Value::Null)).await?;
        Ok(value(&RegisterInitScriptOutput { url }))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let url = wanted(context)?;
        let present = cluster_of(context).await?.get(&config_map()).await?;
        if present.as_ref().and_then(script_path) != Some(url.as_str()) {
            let message = format!(
                "somebody changed {KEY} of ConfigMap {NAMESPACE}/{NAME} again (the agent's manifest resets it when applied anew)"
            );
            return Err(Failure::permanent(message).with_code("CONFLICT"));
        }
        Ok(match still_settling(context, context.since) {
            None => Confirm::Holds(value(&RegisterInitScriptOutput { url })),
            Some(waiting) => Confirm::NotYet(waiting),
        })
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let url = wanted(context)?;
        let present = cluster_of(context).await?.get(&config_map()).await?;
        if present.is_some_and(|present| {
            is_marked(&present, &context.workflow) && script_path(&present) == Some(url.as_str())
        }) {
            touched(context, ledger_entry(&context.before_image()?, true, Value::Null)).await?;
            return Ok((Resolution::Done, value(&RegisterInitScriptOutput { url })));
        }
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        super::undo::require_before_image(context)?;
        let before: Before = context.before_image()?;
        let cluster = cluster_of(context).await?;
        let current = cluster.get(&config_map()).await?;
        if let Some(current) = current.filter(|current| is_marked(current, &context.workflow)) {
            let url = wanted(context).ok();
            let kept = script_path(&current) != url.as_deref();
            match restored(context, &before, &current, kept).await? {
                Some(wanted) => {
                    context.still_time()?;
                    cluster.edit(&config_map(), &current, &wanted).await?;
                }
                None => {
                    context.still_time()?;
                    cluster.delete(&config_map(), &current).await?;
                }
            }
            let since = (context.now)();
            touched(context, ledger_entry(&before, kept, json!({"restored_at": since.0}))).await?;
            if kept {
                let reason = format!(
                    "changed_by_other: {KEY} of ConfigMap {NAMESPACE}/{NAME} is no longer the URL registered here"
                );
                return Ok(Revert::Done(Undone::Kept { reason, in_use: false }));
            }
            return Ok(after_undo(context, since));
        }
        let Some(effect) = context.effects.iter().find(|effect| effect.id == config_map().id())
        else {
            return Ok(Revert::Done(Undone::NothingThere));
        };
        match effect.facts["restored_at"].as_u64() {
            Some(restored_at) => Ok(after_undo(context, Time(restored_at))),
            None => {
                // Put back, but the record of it was lost: the wait begins now.
                let since = (context.now)();
                touched(context, ledger_entry(&before, false, json!({"restored_at": since.0})))
                    .await?;
                Ok(after_undo(context, since))
            }
        }
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let present = cluster_of(context).await?.get(&config_map()).await?;
        Ok(Some(!present.is_some_and(|present| is_marked(&present, &context.workflow))))
    }
}

/// The URL to register, if the agent would take it.
fn wanted(context: &Context) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Published {
        url: String,
    }
    let url = context.output_of::<Published>("publish-init-script")?.url;
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    if is_http && url.len() <= URL_BYTES_MAX {
        return Ok(url);
    }
    Err(Failure::permanent(format!(
        "the agent would not take the script's URL: it must begin with http:// or https:// and have at most {URL_BYTES_MAX} bytes \
         (this one has {}); choose a shorter bucket prefix",
        url.len()
    ))
    .with_code("SCRIPT_URL_UNFIT"))
}

/// The ConfigMap with the URL in it, made anew where there is none.
fn written(current: Option<&Value>, url: &str, workflow: &WorkflowId) -> Value {
    let mut wanted = current.cloned().unwrap_or_else(|| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE}})
    });
    wanted["data"][KEY] = url.into();
    mark(&mut wanted, workflow);
    wanted
}

fn config_map() -> ObjectRef {
    Resource::CONFIG_MAPS.at(NAMESPACE, NAME).with_secret()
}

fn script_path(config_map: &Value) -> Option<&str> {
    config_map["data"].get(KEY)?.as_str()
}

async fn is_as_before(
    context: &Context,
    before: &Before,
    present: Option<&Value>,
) -> Result<bool, Failure> {
    if before.present != present.is_some() {
        return Ok(false);
    }
    let old = if before.value.is_null() { None } else { Some(context.open(&before.value).await?) };
    Ok(present.and_then(script_path) == old.as_ref().map(ExposeSecret::expose_secret))
}

/// The ConfigMap as it is to be after the undo; none: it goes. With `kept` only the marker is taken off.
async fn restored(
    context: &Context,
    before: &Before,
    current: &Value,
    kept: bool,
) -> Result<Option<Value>, Failure> {
    let mut wanted = current.clone();
    before.unmarked.restore(&mut wanted, &context.workflow);
    if kept {
        return Ok(Some(wanted));
    }
    if !before.value.is_null() {
        wanted["data"][KEY] = context.open(&before.value).await?.expose_secret().into();
        return Ok(Some(wanted));
    }
    let data = wanted["data"].as_object_mut();
    let empty = data.is_some_and(|data| {
        data.remove(KEY);
        data.is_empty()
    });
    if empty && !before.present {
        return Ok(None);
    }
    if let Some(map) = wanted.as_object_mut().filter(|_| empty && !before.data) {
        map.remove("data");
    }
    Ok(Some(wanted))
}

/// What is waited for, as long as the agent may not have looked yet.
fn still_settling(context: &Context, since: Time) -> Option<String> {
    let settled_at = since.plus_ms(millis(context.timing.agent_settle));
    // The words stay the same, as a new message would be a new record in the journal at every look.
    (settled_at > (context.now)())
        .then(|| format!("the agent looks at ConfigMap {NAMESPACE}/{NAME} about once a minute; it has not surely seen the change yet"))
}

fn after_undo(context: &Context, since: Time) -> Revert {
    match still_settling(context, since) {
        None => Revert::Done(Undone::Reverted),
        Some(waiting) => Revert::NotYet(waiting),
    }
}

fn ledger_entry(before: &Before, present: bool, facts: Value) -> Object {
    let origin = if before.present { Origin::Modified } else { Origin::Created };
    let remedy = format!("set {KEY} of ConfigMap {NAMESPACE}/{NAME} back, or to \"\"");
    Object { kind: "configmap".to_owned(), id: config_map().id(), origin, present, remedy, facts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::Bench;

    const URL: &str = "http://kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com/causeway/x.sh";

    fn bench(config: Option<Value>) -> Bench {
        let mut bench = Bench::new("register-init-script");
        bench.output("publish-init-script", json!({"url": URL}));
        if let Some(config) = config {
            bench.kube.put(&config_map(), config);
        }
        bench
    }

    #[tokio::test]
    async fn the_undo_puts_back_exactly_what_was_there() {
        for config in [
            None,
            Some(json!({})),
            Some(json!({"data": {}})),
            Some(json!({"data": {"isInit": "true"}, "metadata": {"annotations": {"a": "b"}}})),
            Some(json!({"data": {KEY: "", "isInit": "true"}})),
            Some(json!({"data": {KEY: "https://old/x.sh?Signature=abc"}})),
        ] {
            let mut bench = bench(config);
            let before = bench.kube.dump();
            assert_eq!(bench.observe(&RegisterInitScript).await.unwrap(), Verdict::Change);
            assert!(!bench.context().before.to_string().contains("Signature"));
            bench.apply(&RegisterInitScript).await.unwrap();
            assert_eq!(bench.kube.object(&config_map()).unwrap()["data"][KEY], URL);
            bench.apply(&RegisterInitScript).await.unwrap();
            assert_eq!(bench.revert(&RegisterInitScript).await.unwrap(), Undone::Reverted);
            assert_eq!(bench.kube.dump(), before);
            assert_eq!(
                bench.revert(&RegisterInitScript).await.unwrap(),
                Undone::Reverted,
                "undone twice"
            );
        }
    }

    #[tokio::test]
    async fn both_ways_the_agent_is_given_its_time() {
        let mut bench = bench(None);
        bench.observe(&RegisterInitScript).await.unwrap();
        bench.apply(&RegisterInitScript).await.unwrap();
        assert!(matches!(
            RegisterInitScript.confirm(bench.context()).await.unwrap(),
            Confirm::NotYet(_)
        ));
        bench.advance(75_000);
        assert!(matches!(
            RegisterInitScript.confirm(bench.context()).await.unwrap(),
            Confirm::Holds(_)
        ));
        assert!(matches!(bench.revert_once(&RegisterInitScript).await.unwrap(), Revert::NotYet(_)));
        bench.advance(74_999);
        assert!(matches!(bench.revert_once(&RegisterInitScript).await.unwrap(), Revert::NotYet(_)));
        bench.advance(1);
        assert!(matches!(
            bench.revert_once(&RegisterInitScript).await.unwrap(),
            Revert::Done(Undone::Reverted)
        ));
    }

    #[tokio::test]
    async fn a_value_that_others_put_there_since_is_kept() {
        let mut bench = bench(None);
        bench.observe(&RegisterInitScript).await.unwrap();
        bench.apply(&RegisterInitScript).await.unwrap();
        bench.kube.change(&config_map(), |map| map["data"][KEY] = "https://theirs/x.sh".into());
        let undone = bench.revert(&RegisterInitScript).await.unwrap();
        assert!(
            matches!(undone, Undone::Kept { reason, .. } if reason.starts_with("changed_by_other"))
        );
        let left = bench.kube.object(&config_map()).unwrap();
        assert_eq!(left["data"][KEY], "https://theirs/x.sh");
        assert!(left["metadata"].get("annotations").is_none());
    }

    #[tokio::test]
    async fn a_change_between_look_and_write_is_read_anew() {
        let mut bench = bench(Some(json!({"data": {KEY: "https://one/x.sh"}})));
        bench.observe(&RegisterInitScript).await.unwrap();
        bench.kube.change(&config_map(), |map| map["data"][KEY] = "https://two/x.sh".into());
        assert_eq!(bench.apply(&RegisterInitScript).await.unwrap_err().class, FailureClass::Stale);
        assert!(bench.kube.writes().is_empty());
    }

    #[tokio::test]
    async fn a_url_that_the_agent_would_refuse_changes_nothing() {
        let mut bench = bench(None);
        for url in ["ftp://x/y".to_owned(), format!("https://x/{}", "y".repeat(1024))] {
            bench.output("publish-init-script", json!({"url": url}));
            assert_eq!(
                bench.observe(&RegisterInitScript).await.unwrap_err().code.as_deref(),
                Some("SCRIPT_URL_UNFIT")
            );
        }
    }
}
