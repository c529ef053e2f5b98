//! The step as a whole, on a bench: a control plane that installs in two looks, and overwrites one of Calico's CRDs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::FailureClass;
use causeway_engine::event::Verdict;

use super::*;
use crate::alibaba::cs::AddonInstance;
use crate::alibaba::fake::{FakeCloud, Reply, Seen};
use crate::alibaba::{Credentials, Endpoints, Options, Sources};
use crate::kubernetes::ObjectRef;
use crate::kubernetes::fake::FakeKube;
use crate::spec::TerwayCredentials;
use crate::steps::addon_identity::{SECRET_NAME, SECRET_NAMESPACE};
use crate::steps::testing::{Bench, CLUSTER, kubernetes_facts};

/// The control plane.
#[derive(Default)]
struct Plane {
    kube: Option<FakeKube>,
    /// State of the add-on, if there is one.
    addon: Option<&'static str>,
    /// State of its task: kind and state.
    task: Option<(&'static str, &'static str)>,
    /// Refusals of the add-on's key still to come.
    refusals: usize,
    /// What the next answer to an installation becomes.
    cut: bool,
    installs: usize,
    /// The package takes Calico's CRDs over as its own.
    takes_over: bool,
}

fn pools_crd() -> ObjectRef {
    Resource::CRDS.named("ippools.crd.projectcalico.org")
}

fn daemon_set() -> ObjectRef {
    Resource::DAEMON_SETS.at(NAMESPACE, DAEMON_SET)
}

fn eni_config() -> ObjectRef {
    Resource::CONFIG_MAPS.at(NAMESPACE, ENI_CONFIG)
}

fn a_crd(schema: Value) -> Value {
    json!({"spec": {"group": "crd.projectcalico.org", "names": {"plural": "ippools", "kind": "IPPool"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

fn ok(body: &Value) -> Reply {
    Reply::of("200 OK", "", &body.to_string())
}

fn not_found(code: &str) -> Reply {
    Reply::of("404 Not Found", "", &json!({"code": code, "message": "no"}).to_string())
}

impl Plane {
    fn reply(&mut self, seen: &Seen) -> Reply {
        let instance =
            |state: &str| json!({"name": DAEMON_SET, "version": "v1.9.14", "state": state});
        let task = |(kind, state): (&str, &str)| json!({"task_id": "T-1", "task_type": kind, "state": state, "error": {"code": "AddonOperationFailed", "message": "forbidden"}});
        match seen.action() {
            "GetCallerIdentity" => {
                ok(&json!({"AccountId": "123", "Arn": "acs:ram::123:user/x", "UserId": "1"}))
            }
            "DescribeClusterDetail" => {
                ok(&json!({"cluster_id": CLUSTER, "current_version": "1.30.4"}))
            }
            "DescribeAddon" => ok(&json!({"name": DAEMON_SET, "version": "v1.14.5"})),
            "ListAddons" => ok(
                &json!({"addons": [{"name": DAEMON_SET, "version": "v1.9.14"}, {"name": "other", "version": "v1.9.99"}]}),
            ),
            "GetClusterAddonInstance" => {
                self.addon.map_or_else(|| not_found("AddonNotFound"), |state| ok(&instance(state)))
            }
            "DescribeTaskInfo" => {
                self.task.map_or_else(|| not_found("TaskNotFound"), |known| ok(&task(known)))
            }
            "DescribeClusterTasks" => {
                ok(&json!({"tasks": self.task.map(task).into_iter().collect::<Vec<_>>()}))
            }
            "DescribeVSwitches" if self.refusals > 0 => {
                assert_eq!(seen.key_id(), "LTAI-addon", "the add-on's own key is tried");
                self.refusals -= 1;
                Reply::of(
                    "403 Forbidden",
                    "",
                    &json!({"Code": "Forbidden.RAM", "Message": "no"}).to_string(),
                )
            }
            "DescribeVSwitches" => ok(&json!({"TotalCount": 0, "VSwitches": {"VSwitch": []}})),
            "InstallClusterAddons" => {
                self.installs += 1;
                (self.addon, self.task) = (Some("updating"), Some((INSTALL_TASK, "running")));
                if self.cut { Reply::Cut } else { ok(&json!({"task_id": "T-1"})) }
            }
            "UnInstallClusterAddons" => {
                (self.addon, self.task) = (Some("deleting"), Some((UNINSTALL_TASK, "running")));
                ok(&json!({"task_id": "T-1"}))
            }
            other => panic!("unexpected {other}"),
        }
    }

    /// The running task comes to its end.
    fn finish(&mut self) {
        let kube = self.kube.clone().unwrap();
        let Some((kind, _)) = self.task.take() else { return };
        if kind == UNINSTALL_TASK {
            self.addon = None;
            kube.remove(&daemon_set());
            kube.remove(&eni_config());
        } else {
            self.addon = Some("active");
            kube.put(&daemon_set(), json!({"spec": {"template": {"spec": {"nodeSelector": {node::CLOUD_LABEL: "true"}}}}}));
            kube.change(&daemon_set(), |one| {
                one["status"]["observedGeneration"] = one["metadata"]["generation"].clone()
            });
            kube.put(&eni_config(), json!({"data": {"eni_conf": "{}"}}));
            let takes_over = self.takes_over;
            kube.change(&pools_crd(), |crd| {
                crd["spec"]["versions"][0]["schema"] =
                    json!({"openAPIV3Schema": {"type": "object"}});
                if takes_over {
                    crd["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "terway"});
                }
            });
            kube.change(&Resource::IP_POOLS.named("default"), |pool| drop(pool["spec"].take()));
            kube.change(&Resource::IP_POOLS.named("default"), |pool| {
                drop(pool.as_object_mut().unwrap().remove("spec"))
            });
        }
        self.task = Some((kind, "success"));
    }
}

struct Stage {
    bench: Bench,
    plane: Arc<Mutex<Plane>>,
    _cloud: FakeCloud,
}

impl Stage {
    async fn new() -> Self {
        let plane = Arc::new(Mutex::new(Plane::default()));
        let shared = Arc::clone(&plane);
        let cloud = FakeCloud::start(move |seen| shared.lock().unwrap().reply(seen)).await;
        let mut bench = Bench::new("install-terway");
        let options = Options {
            region: "cn-hangzhou".into(),
            endpoints: Endpoints::from_table([("all", cloud.url.as_str())]).unwrap(),
            call_timeout: Duration::from_secs(20),
            max_concurrent_calls: 4,
            // The bench's own time, so that no deadline is over.
            sources: Sources {
                now: Arc::new(|| jiff::Timestamp::from_second(1_790_000_000).unwrap()),
                ..Sources::system()
            },
        };
        let context = bench.context_mut();
        context.timing.poll = Duration::from_millis(1);
        context.timing.key_grace = Duration::from_millis(5);
        let connection = Arc::get_mut(&mut context.connection).unwrap();
        connection.cloud =
            Client::new(options, Credentials::new("LTAI-daemon", "secret", None)).unwrap();
        connection.config.account_id = "123".into();
        bench.output("check-kubernetes", kubernetes_facts());
        let encode = |text: &str| STANDARD.encode(text);
        let secret = json!({"data": {"access-key-id": encode("LTAI-addon"), "access-key-secret": encode("hunter2hunter2")}});
        bench.kube.put(&Resource::SECRETS.at(SECRET_NAMESPACE, SECRET_NAME), secret);
        bench.kube.put(
            &pools_crd(),
            a_crd(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})),
        );
        bench
            .kube
            .put(&Resource::IP_POOLS.named("default"), json!({"spec": {"cidr": "10.100.0.0/16"}}));
        plane.lock().unwrap().kube = Some(bench.kube.clone());
        Self { bench, plane, _cloud: cloud }
    }

    fn finish(&self) {
        self.plane.lock().unwrap().finish();
    }

    /// Confirms until it holds, as the daemon would, which takes what is seen on record in between and applies again what is
    /// found amiss. Answers what that was.
    async fn hold(&mut self) -> Result<Vec<String>, Failure> {
        let mut amiss = Vec::new();
        for _ in 0..20 {
            let writes = self.bench.kube.writes().len();
            let confirmed = self.bench.confirm(&InstallTerway).await;
            assert_eq!(self.bench.kube.writes().len(), writes, "a confirmation only reads");
            match confirmed {
                Ok(Confirm::Holds(output)) => {
                    self.bench.context_mut().output = output;
                    return Ok(amiss);
                }
                Ok(Confirm::NotYet(_)) => {}
                Err(failure) if failure.class == FailureClass::Stale => {
                    amiss.push(failure.message);
                    self.bench.apply(&InstallTerway).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        panic!("it does not come to hold");
    }
}

#[tokio::test]
async fn an_installation_mends_calico_and_goes_without_a_trace() {
    let mut stage = Stage::new().await;
    let before = stage.bench.kube.dump();
    assert_eq!(stage.bench.observe(&InstallTerway).await.unwrap(), Verdict::Change);
    stage.bench.apply(&InstallTerway).await.unwrap();
    assert!(matches!(stage.bench.confirm(&InstallTerway).await.unwrap(), Confirm::NotYet(_)));
    let writes = stage.bench.kube.writes().len();
    stage.bench.apply(&InstallTerway).await.unwrap();
    assert_eq!(stage.bench.kube.writes().len(), writes, "what is not over yet is not compared");
    stage.finish();
    let amiss = stage.hold().await.unwrap();
    assert_eq!(amiss.len(), 2, "first the CRD, then the fields that went missing: {amiss:?}");
    assert!(amiss[0].ends_with("CRD ippools.crd.projectcalico.org"), "{amiss:?}");
    assert!(amiss[1].ends_with("ippools default"), "{amiss:?}");
    assert_eq!(stage.bench.context().output["version"], "v1.9.14", "the newest that fits 1.30");
    assert_eq!(stage.plane.lock().unwrap().installs, 1);
    let after = stage.bench.kube.dump();
    assert!(before.iter().all(|(path, object)| after[path] == *object), "Calico is as it was");
    assert!(matches!(stage.bench.revert_once(&InstallTerway).await.unwrap(), Revert::NotYet(_)));
    stage.finish();
    assert_eq!(stage.bench.revert(&InstallTerway).await.unwrap(), Undone::Reverted);
    assert_eq!(stage.bench.kube.dump(), before);
    assert_eq!(stage.bench.revert(&InstallTerway).await.unwrap(), Undone::Reverted, "undone twice");
}

#[tokio::test]
async fn a_lost_answer_is_resolved_by_reading_and_nothing_is_installed_twice() {
    let mut stage = Stage::new().await;
    stage.bench.observe(&InstallTerway).await.unwrap();
    assert_eq!(InstallTerway.resolve(stage.bench.context()).await.unwrap().0, Resolution::NoEffect);
    stage.plane.lock().unwrap().cut = true;
    assert_eq!(stage.bench.apply(&InstallTerway).await.unwrap_err().class, FailureClass::Unknown);
    let (resolution, output) = InstallTerway.resolve(stage.bench.context()).await.unwrap();
    assert_eq!((resolution, &output["task_id"]), (Resolution::Done, &json!("T-1")));
    stage.bench.apply(&InstallTerway).await.unwrap();
    assert_eq!(stage.plane.lock().unwrap().installs, 1);
}

#[tokio::test]
async fn a_crash_in_the_middle_of_the_repair_is_resolved_as_partial_until_all_is_put_back() {
    let mut stage = Stage::new().await;
    let before = stage.bench.kube.dump();
    stage.bench.observe(&InstallTerway).await.unwrap();
    stage.bench.apply(&InstallTerway).await.unwrap();
    assert_eq!(stage.bench.resolve(&InstallTerway).await.unwrap(), Resolution::Done, "it runs");
    stage.finish();
    assert!(stage.bench.confirm(&InstallTerway).await.is_err());
    for _ in ["the CRD", "the object"] {
        // The daemon was killed before the repair, or between its two parts.
        let resolved = stage.bench.resolve(&InstallTerway).await.unwrap();
        assert_eq!(resolved, Resolution::Partial);
        stage.bench.apply(&InstallTerway).await.unwrap();
    }
    assert_eq!(stage.bench.resolve(&InstallTerway).await.unwrap(), Resolution::Done);
    let after = stage.bench.kube.dump();
    assert!(before.iter().all(|(path, object)| after[path] == *object), "Calico is as it was");
}

#[tokio::test]
async fn the_key_is_given_its_grace_and_no_more() {
    let mut stage = Stage::new().await;
    stage.bench.observe(&InstallTerway).await.unwrap();
    stage.plane.lock().unwrap().refusals = 100;
    let failure = stage.bench.apply(&InstallTerway).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent);
    assert_eq!(stage.plane.lock().unwrap().installs, 0, "nothing was touched");
    stage.plane.lock().unwrap().refusals = 2;
    stage.bench.apply(&InstallTerway).await.unwrap();
    assert_eq!(stage.plane.lock().unwrap().installs, 1);
}

#[tokio::test]
async fn a_failed_task_is_told_in_the_clouds_words() {
    let mut stage = Stage::new().await;
    stage.bench.observe(&InstallTerway).await.unwrap();
    stage.bench.apply(&InstallTerway).await.unwrap();
    stage.plane.lock().unwrap().task = Some((INSTALL_TASK, "fail"));
    let failure = stage.hold().await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("AddonOperationFailed"));
    assert!(failure.message.contains("forbidden"), "{}", failure.message);
}

#[tokio::test]
async fn a_crd_that_the_package_took_over_stops_the_undo() {
    let mut stage = Stage::new().await;
    stage.plane.lock().unwrap().takes_over = true;
    stage.bench.observe(&InstallTerway).await.unwrap();
    stage.bench.apply(&InstallTerway).await.unwrap();
    stage.finish();
    stage.hold().await.unwrap();
    let failure = stage.bench.revert(&InstallTerway).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.code.as_deref()),
        (FailureClass::Permanent, Some("CRD_AT_RISK"))
    );
    assert!(stage.plane.lock().unwrap().addon.is_some(), "it is still installed");
}

#[tokio::test]
async fn cloud_nodes_keep_the_add_on() {
    let mut stage = Stage::new().await;
    stage.bench.observe(&InstallTerway).await.unwrap();
    stage.bench.apply(&InstallTerway).await.unwrap();
    stage.finish();
    stage.hold().await.unwrap();
    stage.bench.kube.put(
        &Resource::NODES.named("cloud-1"),
        json!({"metadata": {"labels": {node::CLOUD_LABEL: "true"}}}),
    );
    let undone = stage.bench.revert(&InstallTerway).await.unwrap();
    assert!(matches!(undone, Undone::Kept { reason, in_use: true } if reason.contains("cloud-1")));
}

#[test]
fn a_daemon_set_must_be_kept_to_cloud_nodes() {
    let with = |template: Value| json!({"spec": {"template": {"spec": template}}});
    assert!(admits_data_center(&Value::Null));
    assert!(admits_data_center(&with(json!({}))));
    assert!(!admits_data_center(&with(json!({"nodeSelector": {node::CLOUD_LABEL: "true"}}))));
}

#[tokio::test]
async fn an_add_on_that_runs_already_is_adopted_if_it_is_as_wanted() {
    let bench = Bench::new("install-terway");
    let at = Resource::DAEMON_SETS.at(NAMESPACE, DAEMON_SET);
    bench.kube.put(
        &at,
        json!({"spec": {"template": {"spec": {"nodeSelector": {node::CLOUD_LABEL: "true"}}}}}),
    );
    let instance = |version: &str, state: &str| AddonInstance {
        name: DAEMON_SET.to_owned(),
        version: version.to_owned(),
        state: state.to_owned(),
        config: String::new(),
    };
    let mut spec = Spec::default();
    let adopted =
        choice::adopt(&spec, &bench.cluster(), instance("v1.8.17", "active")).await.unwrap();
    assert_eq!(
        (adopted.verdict, &adopted.output["secret_credentials"]),
        (Verdict::Adopted, &json!(true))
    );
    let busy =
        choice::adopt(&spec, &bench.cluster(), instance("v1.8.17", "updating")).await.unwrap_err();
    assert_eq!(busy.class, FailureClass::Retryable);
    spec.terway.version = "1.9.14".to_owned();
    let other =
        choice::adopt(&spec, &bench.cluster(), instance("v1.8.17", "active")).await.unwrap_err();
    assert_eq!(other.code.as_deref(), Some("CONFLICT"));
    spec.terway.version = "1.8.17".to_owned();
    bench.kube.change(&at, |one| one["spec"]["template"]["spec"] = json!({}));
    assert!(
        choice::adopt(&spec, &bench.cluster(), instance("v1.8.17", "active")).await.is_err(),
        "it runs in the data center"
    );
}

#[test]
fn credentials_from_the_secret_need_a_terway_that_reads_it() {
    let mut spec = Spec::default();
    assert!(choice::require_secret_support(&spec, "v1.7.9").is_ok());
    spec.terway.credentials = TerwayCredentials::Secret;
    assert!(choice::require_secret_support(&spec, "v1.7.9").is_err());
    assert!(choice::require_secret_support(&spec, "v1.8.0").is_ok());
}
