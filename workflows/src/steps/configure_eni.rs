//! `configure-eni`: Terway's configuration, key `eni_conf` of ConfigMap `kube-system/eni-config` (guide, step 3).
//!
//! Lost call: idempotent because the patch carries the resourceVersion that was read, the marker goes in with it, and the
//! text that is written was sealed in the before-image.

mod eni_conf;
pub(crate) mod preview;

use std::collections::BTreeMap;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Undone, Verdict};
use causeway_engine::{Failure, FailureClass};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::eni_conf::Wanted;
use super::addon_identity::{SECRET_NAME, SECRET_NAMESPACE, read_secret};
use super::check_kubernetes::CheckKubernetesOutput;
use super::cloud::{conflict, spec_of, touched};
use super::install_terway::{DAEMON_SET, ENI_CONFIG, InstallTerwayOutput, NAMESPACE};
use super::store_addon_secret::StoreAddonSecretOutput;
use crate::kubernetes::marker::{Unmarked, is_marked, mark};
use crate::kubernetes::rollout::Rollout;
use crate::kubernetes::{Cluster, ObjectRef, Resource, cluster_of, node};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::spec::{Spec, TerwayCredentials, VSwitchSelection};

/// The key that holds the JSON.
const KEY: &str = "eni_conf";
/// By this label the add-on's pods are known.
const POD_LABEL: &str = "app=terway-eniip";

/// The step.
pub struct ConfigureEni;

/// What undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The ConfigMap's data as JSON, sealed: it may hold a secret.
    data: Value,
    /// The text to be written, sealed likewise; null where it is as wanted.
    ours: Value,
    /// What was in the marker's place.
    unmarked: Unmarked,
}

/// What is read of `check-network`'s output.
#[derive(Deserialize)]
struct Network {
    pod_vswitches: Vec<PodVSwitch>,
}

#[derive(Deserialize)]
struct PodVSwitch {
    id: String,
    zone: String,
}

#[async_trait]
impl Action for ConfigureEni {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        // What it hangs on comes first: the ConfigMap is not there before the add-on is.
        let (wanted, in_conf) = without_key(context)?;
        let cluster = cluster_of(context).await?;
        let current = config_map(&cluster).await?;
        let text = text_of(&current);
        let wanted = with_key(context, &cluster, wanted, in_conf).await?;
        let ours = eni_conf::merge(text, &wanted)
            .map_err(|unfit| conflict(format!("ConfigMap {NAMESPACE}/{ENI_CONFIG}: {unfit}")))?;
        let before = Before {
            data: context.seal("eni-config", SecretString::from(current["data"].to_string())),
            ours: context.seal("eni-conf", SecretString::from(ours.clone())),
            unmarked: Unmarked::of(&current),
        };
        Ok(match (eni_conf::same(text, &ours), is_marked(&current, &context.workflow)) {
            (false, _) => Observed::change(value(&before)),
            (true, true) => Observed::as_wanted(Verdict::Ours, value(&before), json!({})),
            (true, false) => Observed::as_wanted(Verdict::Adopted, value(&before), json!({})),
        })
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context).await
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let (before, ours) = texts(context).await?;
        let cluster = cluster_of(context).await?;
        let current = config_map(&cluster).await?;
        if !is_done(&current, &ours, context) {
            if text_of(&current) != before {
                let message = format!(
                    "ConfigMap {NAMESPACE}/{ENI_CONFIG} was changed by somebody else since it was read; it is read anew"
                );
                return Err(
                    Failure::new(FailureClass::Stale, message).with_code("CHANGED_MEANWHILE")
                );
            }
            let mut wanted = current.clone();
            wanted["data"][KEY] = ours.into();
            mark(&mut wanted, &context.workflow);
            context.still_time()?;
            cluster.edit(&reference(), &current, &wanted).await?;
        }
        touched(context, ledger_entry(true)).await?;
        restart_pods(context, &cluster).await?;
        Ok(json!({}))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let (_, ours) = texts(context).await?;
        let cluster = cluster_of(context).await?;
        if !eni_conf::same(text_of(&config_map(&cluster).await?), &ours) {
            return Err(conflict(format!(
                "somebody changed ConfigMap {NAMESPACE}/{ENI_CONFIG} again"
            )));
        }
        let daemon_set = cluster
            .get(&Resource::DAEMON_SETS.at(NAMESPACE, DAEMON_SET))
            .await?
            .unwrap_or_default();
        let rollout = Rollout::of(&daemon_set);
        Ok(if rollout.complete() {
            Confirm::Holds(json!({}))
        } else {
            Confirm::NotYet(format!("DaemonSet {DAEMON_SET}: {}", rollout.progress()))
        })
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let (_, ours) = texts(context).await?;
        let cluster = cluster_of(context).await?;
        if !is_done(&config_map(&cluster).await?, &ours, context) {
            return Ok((Resolution::NoEffect, Value::Null));
        }
        touched(context, ledger_entry(true)).await?;
        // Whether the pods were restarted can't be seen: apply does that part again.
        let pods = cluster.list(&Resource::PODS, Some(NAMESPACE), POD_LABEL).await?;
        Ok((if pods.is_empty() { Resolution::Done } else { Resolution::Partial }, json!({})))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        super::undo::require_before_image(context)?;
        let cluster = cluster_of(context).await?;
        let known = context.effects.iter().any(|effect| effect.id == reference().id());
        let nothing = Ok(Revert::Done(if known { Undone::Reverted } else { Undone::NothingThere }));
        let Some(current) = cluster.get(&reference()).await? else { return nothing };
        if !is_marked(&current, &context.workflow) {
            return nothing;
        }
        let (before, ours) = texts(context).await?;
        let record: Before = context.before_image()?;
        let (text, kept) = eni_conf::unmerge(text_of(&current), &before, &ours);
        let mut wanted = current.clone();
        put_back(&mut wanted, text, &context.open(&record.data).await?);
        record.unmarked.restore(&mut wanted, &context.workflow);
        context.still_time()?;
        cluster.edit(&reference(), &current, &wanted).await?;
        touched(context, ledger_entry(false)).await?;
        restart_pods(context, &cluster).await?;
        if kept.is_empty() {
            return Ok(Revert::Done(Undone::Reverted));
        }
        let reason = format!(
            "changed_by_other: fields of {KEY} in ConfigMap {NAMESPACE}/{ENI_CONFIG}: {}",
            kept.join(", ")
        );
        Ok(Revert::Done(Undone::Kept { reason, in_use: false }))
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let current = cluster_of(context).await?.get(&reference()).await?;
        Ok(Some(!current.is_some_and(|current| is_marked(&current, &context.workflow))))
    }
}

fn reference() -> ObjectRef {
    Resource::CONFIG_MAPS.at(NAMESPACE, ENI_CONFIG).with_secret()
}

async fn config_map(cluster: &Cluster) -> Result<Value, Failure> {
    cluster.get(&reference()).await?.ok_or_else(|| {
        conflict(format!("ConfigMap {NAMESPACE}/{ENI_CONFIG} is missing, though the add-on makes it; see what became of add-on {DAEMON_SET}"))
    })
}

fn text_of(config_map: &Value) -> &str {
    config_map["data"][KEY].as_str().unwrap_or_default()
}

fn is_done(current: &Value, ours: &str, context: &Context) -> bool {
    is_marked(current, &context.workflow) && text_of(current) == ours
}

/// The text as it was, and the one to be written.
async fn texts(context: &Context) -> Result<(String, String), Failure> {
    let record: Before = context.before_image()?;
    let data: Value =
        serde_json::from_str(context.open(&record.data).await?.expose_secret()).unwrap_or_default();
    let ours = context.open(&record.ours).await?.expose_secret().to_owned();
    Ok((data[KEY].as_str().unwrap_or_default().to_owned(), ours))
}

/// Writes the text back, or takes the key away where it was not there.
fn put_back(config_map: &mut Value, text: String, data: &SecretString) {
    let data: Value = serde_json::from_str(data.expose_secret()).unwrap_or_default();
    if !text.is_empty() || data.get(KEY).is_some() {
        config_map["data"][KEY] = text.into();
        return;
    }
    let Some(map) = config_map.as_object_mut() else { return };
    if let Some(fields) = map.get_mut("data").and_then(Value::as_object_mut) {
        fields.remove(KEY);
        if fields.is_empty() && !data.is_object() {
            map.remove("data");
        }
    }
}

/// What is to be set but for the AccessKey, and whether that belongs there, too.
fn without_key(context: &Context) -> Result<(Wanted, bool), Failure> {
    let spec: Spec = spec_of(context)?;
    let network: Network = context.output_of("check-network")?;
    let mut vswitches: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for vswitch in network.pod_vswitches {
        vswitches.entry(vswitch.zone).or_default().push(vswitch.id);
    }
    let terway: InstallTerwayOutput = context.output_of("install-terway")?;
    let in_conf =
        spec.terway.credentials == TerwayCredentials::EniConfig || !terway.secret_credentials;
    let group = if spec.terway.security_group_id.is_empty() {
        spec.vpc.security_group_id
    } else {
        spec.terway.security_group_id
    };
    let wanted = Wanted {
        access: None,
        service_cidr: context.output_of::<CheckKubernetesOutput>("check-kubernetes")?.service_cidr,
        security_group: group,
        pool: (spec.terway.pool.min, spec.terway.pool.max),
        selection: match spec.terway.vswitch_selection {
            VSwitchSelection::Ordered => "ordered",
            VSwitchSelection::Random => "random",
        },
        tags: spec.terway.eni_tags,
        cluster_id: spec.cluster_id,
        vswitches,
    };
    Ok((wanted, in_conf))
}

async fn with_key(
    context: &Context,
    cluster: &Cluster,
    wanted: Wanted,
    in_conf: bool,
) -> Result<Wanted, Failure> {
    if !in_conf {
        return Ok(wanted);
    }
    // Before that step the Secret lacks the key for a good reason.
    context.output_of::<StoreAddonSecretOutput>("store-addon-secret")?;
    Ok(Wanted { access: Some(addon_key(cluster).await?), ..wanted })
}

async fn addon_key(cluster: &Cluster) -> Result<(String, SecretString), Failure> {
    let stored = read_secret(cluster).await?.filter(|stored| stored.is_whole());
    stored.map(|stored| (stored.credentials.key_id, stored.credentials.secret)).ok_or_else(|| {
        conflict(format!(
            "Secret {SECRET_NAMESPACE}/{SECRET_NAME} holds no AccessKey any more; start again"
        ))
    })
}

/// Terway reads its configuration at start only. Each pod is deleted by its uid, so that a repetition can't hit its
/// successor; without cloud nodes there is none.
async fn restart_pods(context: &Context, cluster: &Cluster) -> Result<(), Failure> {
    for pod in cluster.list(&Resource::PODS, Some(NAMESPACE), POD_LABEL).await? {
        if !node::is_over(&pod) {
            context.still_time()?;
            cluster
                .delete_by_uid(&Resource::PODS.at(NAMESPACE, node::name(&pod)), node::uid(&pod))
                .await?;
        }
    }
    Ok(())
}

fn ledger_entry(present: bool) -> Object {
    let remedy = format!(
        "put {KEY} of ConfigMap {NAMESPACE}/{ENI_CONFIG} back by hand, or uninstall add-on {DAEMON_SET}"
    );
    Object {
        kind: "configmap".to_owned(),
        id: reference().id(),
        origin: Origin::Modified,
        present,
        remedy,
        facts: Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::steps::testing::{Bench, kubernetes_facts};

    const TEMPLATE: &str = r#"{"version":"1","vswitches":{"AZoneID":["VswitchId"]},"service_cidr":"{{.ServiceCIDR}}","access_key":""}"#;

    fn bench(secret_credentials: bool) -> Bench {
        let mut bench = Bench::new("configure-eni");
        bench.output("check-kubernetes", kubernetes_facts());
        bench.output("check-network", json!({"pod_vswitches": [{"id": "vsw-bp1pods", "zone": "cn-hangzhou-h", "cidr": "10.10.25.0/24"}]}));
        bench.output(
            "install-terway",
            json!({"version": "v1.9.14", "secret_credentials": secret_credentials}),
        );
        bench.output(
            "store-addon-secret",
            json!({"namespace": SECRET_NAMESPACE, "name": SECRET_NAME, "access_key_id": "LTAI1"}),
        );
        bench.input(&["spec", "vpc", "security_group_id"], json!("sg-1"));
        bench.kube.put(&reference(), json!({"data": {KEY: TEMPLATE, "10-terway.conf": "{}"}}));
        bench.kube.put(
            &Resource::SECRETS.at(SECRET_NAMESPACE, SECRET_NAME),
            json!({"data": {"access-key-id": STANDARD.encode("LTAI1"), "access-key-secret": STANDARD.encode("hunter2hunter2")}}),
        );
        bench
    }

    #[tokio::test]
    async fn the_configuration_is_written_once_and_goes_without_a_trace() {
        let mut bench = bench(true);
        let before = bench.kube.dump();
        assert_eq!(bench.observe(&ConfigureEni).await.unwrap(), Verdict::Change);
        bench.apply(&ConfigureEni).await.unwrap();
        bench.apply(&ConfigureEni).await.unwrap();
        assert_eq!(bench.kube.writes().len(), 1);
        let conf: Value =
            serde_json::from_str(text_of(&bench.kube.object(&reference()).unwrap())).unwrap();
        assert_eq!(conf["vswitches"], json!({"cn-hangzhou-h": ["vsw-bp1pods"]}));
        assert_eq!(conf["service_cidr"], "172.16.0.0/16");
        assert_eq!(conf["access_secret"], "");
        assert_eq!(bench.revert(&ConfigureEni).await.unwrap(), Undone::Reverted);
        assert_eq!(bench.kube.dump(), before);
        assert_eq!(bench.revert(&ConfigureEni).await.unwrap(), Undone::Reverted, "undone twice");
    }

    #[tokio::test]
    async fn an_old_terway_gets_its_key_and_no_record_shows_it() {
        let mut bench = bench(false);
        bench.observe(&ConfigureEni).await.unwrap();
        assert!(!bench.context().before.to_string().contains("hunter2"));
        bench.apply(&ConfigureEni).await.unwrap();
        assert!(text_of(&bench.kube.object(&reference()).unwrap()).contains("hunter2hunter2"));
        bench.revert(&ConfigureEni).await.unwrap();
        assert_eq!(text_of(&bench.kube.object(&reference()).unwrap()), TEMPLATE);
    }

    #[tokio::test]
    async fn a_plan_shows_just_the_fields_that_change_and_no_secret() {
        for observed in [true, false] {
            let mut bench = bench(false);
            bench.kube.change(&reference(), |map| {
                map["data"][KEY] =
                    r#"{"version":"1","unknown":"keep-me","max_pool_size":9}"#.into();
            });
            if observed {
                bench.observe(&ConfigureEni).await.unwrap();
            }
            let preview = ConfigureEni.preview(bench.context()).await.unwrap();
            let diff = &preview.changes[0].diff;
            assert!(!diff.contains("hunter2") && !diff.contains("keep-me"), "{diff}");
            assert!(diff.contains("+     max_pool_size: 5"), "{diff}");
            assert!(diff.contains("+     access_secret: (sensitive)"), "{diff}");
            assert!(diff.contains("+       cn-hangzhou-h:"), "{diff}");
            assert_eq!(diff.contains("-     max_pool_size: 9"), observed, "{diff}");
            // What it shows is what it does.
            bench.observe(&ConfigureEni).await.unwrap();
            bench.apply(&ConfigureEni).await.unwrap();
            let conf: Value =
                serde_json::from_str(text_of(&bench.kube.object(&reference()).unwrap())).unwrap();
            for line in diff.lines().filter_map(|line| line.strip_prefix("+     ")) {
                if line.starts_with([' ', '-']) {
                    continue;
                }
                let Some((name, shown)) = line.split_once(": ") else { continue };
                let real = &conf[name];
                let text = real.as_str().map_or_else(|| format!("{real}"), str::to_owned);
                let same = text == shown.trim_matches(['\'', '"']);
                assert!(same || name.starts_with("access_"), "{name}: {shown} is not {real}");
            }
        }
    }

    #[tokio::test]
    async fn pods_that_run_already_are_restarted() {
        let mut bench = bench(true);
        let pod = Resource::PODS.at(NAMESPACE, "terway-eniip-abcde");
        bench.kube.put(&pod, json!({"metadata": {"labels": {"app": "terway-eniip"}}}));
        bench.observe(&ConfigureEni).await.unwrap();
        bench.apply(&ConfigureEni).await.unwrap();
        assert!(bench.kube.object(&pod).is_none());
    }

    #[tokio::test]
    async fn a_configuration_that_is_as_wanted_is_adopted() {
        let mut bench = bench(true);
        bench.observe(&ConfigureEni).await.unwrap();
        bench.apply(&ConfigureEni).await.unwrap();
        bench.kube.change(&reference(), |map| map["metadata"]["annotations"] = Value::Null);
        assert_eq!(bench.observe(&ConfigureEni).await.unwrap(), Verdict::Adopted);
    }

    #[tokio::test]
    async fn what_others_changed_since_is_kept_and_named() {
        let mut bench = bench(true);
        bench.observe(&ConfigureEni).await.unwrap();
        bench.apply(&ConfigureEni).await.unwrap();
        bench.kube.change(&reference(), |map| {
            let mut conf: Value = serde_json::from_str(text_of(map)).unwrap();
            conf["max_pool_size"] = json!(9);
            map["data"][KEY] = conf.to_string().into();
        });
        let undone = bench.revert(&ConfigureEni).await.unwrap();
        assert!(matches!(undone, Undone::Kept { reason, .. } if reason.ends_with("max_pool_size")));
    }
}
