//! `install-terway`: the add-on `terway-eniip`, in a version that fits the cluster, with Calico's CRDs guarded. It sticks
//! where the uninstallation could take a CRD along that was there before.
//!
//! The installation goes on behind the answer to its call. So its confirmation waits for its end and looks what it did to
//! Calico; where it did something, the step is applied again, and puts that back.
//!
//! Lost call: the API has no token, so that nothing is repeated before reading; idempotent because an add-on is installed
//! once per cluster and by name.

mod choice;
mod crd_guard;
mod grant;
pub(crate) mod preview;
#[cfg(test)]
mod tests;
mod uninstall;
pub mod version;

use async_trait::async_trait;
use causeway_engine::event::{Object, Origin, Resolution, Undone};
use causeway_engine::{Failure, FailureClass};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::crd_guard::{Guard, Mending};
use super::check_kubernetes::CheckKubernetesOutput;
use super::cloud::{cloud_of, spec_of, touched};
use crate::alibaba::Client;
use crate::alibaba::cs::{self, Task};
use crate::kubernetes::rollout::Rollout;
use crate::kubernetes::{Cluster, Resource, cluster_of, node};
use crate::preview::Preview;
use crate::sdk::{Action, Confirm, Context, Observed, Revert, value};
use crate::spec::Spec;
use crate::timing::millis;

/// The add-on, and the DaemonSet that it makes.
pub const DAEMON_SET: &str = "terway-eniip";
/// Where its objects are.
pub const NAMESPACE: &str = "kube-system";
/// The ConfigMap with its configuration.
pub const ENI_CONFIG: &str = "eni-config";
/// Kinds of the tasks that change add-ons.
const INSTALL_TASK: &str = "cluster_addon_install";
const UNINSTALL_TASK: &str = "cluster_addon_uninstall";
/// Looks that the undo waits for a running installation: removed underneath it, objects could come up afterwards. One
/// that hangs for good is not waited for.
const UNDO_INSTALL_POLLS: u32 = 24;

/// The step.
pub struct InstallTerway;

/// What undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The version to install.
    version: String,
    /// CRDs and Calico's configuration.
    guard: Guard,
}

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallTerwayOutput {
    /// Of the add-on.
    pub version: String,
    /// Terway takes its AccessKey from Secret `alibaba-addon-secret` (1.8 and later).
    pub secret_credentials: bool,
    /// The installation's task; empty where it is not known.
    #[serde(default)]
    pub task_id: String,
}

#[async_trait]
impl Action for InstallTerway {
    async fn observe(&self, context: &Context) -> Result<Observed, Failure> {
        let spec = spec_of(context)?;
        let (client, cluster) = (cloud_of(context).await?, cluster_of(context).await?);
        if let Some(instance) =
            cs::get_addon_instance(&client, &spec.cluster_id, DAEMON_SET).await?
        {
            return choice::adopt(&spec, &cluster, instance).await;
        }
        let kubernetes = context.output_of::<CheckKubernetesOutput>("check-kubernetes")?.version;
        let version = choice::choose(&client, &spec, &kubernetes).await?;
        let guard = Guard::take(&cluster).await?;
        let mut observed = Observed::change(value(&Before { version, guard: guard.clone() }));
        observed.warnings = choice::warnings(&guard);
        Ok(observed)
    }

    async fn preview(&self, context: &Context) -> Result<Preview, Failure> {
        preview::preview(context)
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[
            "cs:GetClusterAddonInstance",
            "cs:DescribeClusterDetail",
            "cs:DescribeAddon",
            "cs:ListAddons",
            "cs:DescribeClusterTasks",
            "cs:DescribeTaskInfo",
            "cs:InstallClusterAddons",
            "cs:UnInstallClusterAddons",
        ]
    }

    async fn apply(&self, context: &Context) -> Result<Value, Failure> {
        let before: Before = context.before_image()?;
        let spec = spec_of(context)?;
        let (client, cluster) = (cloud_of(context).await?, cluster_of(context).await?);
        if let Some(begun) = begun(context, &client, &spec, &before).await? {
            // Only what an installation has ended with can be compared; one that runs is waited for by the confirmation.
            if is_installed(&client, &spec.cluster_id).await? {
                mend(context, &cluster, &before.guard).await?;
            }
            return Ok(begun);
        }
        grant::wait(context, &client, &cluster, &spec).await?;
        context.still_time()?;
        let task =
            cs::install_addon(&client, &spec.cluster_id, DAEMON_SET, &before.version, "").await?;
        touched(
            context,
            ledger_entry(true, json!({"install_task": task.task_id, "version": before.version})),
        )
        .await?;
        Ok(value(&output_of(&before.version, task.task_id)))
    }

    async fn confirm(&self, context: &Context) -> Result<Confirm, Failure> {
        let output: InstallTerwayOutput = decoded(&context.output)?;
        let spec = spec_of(context)?;
        let (client, cluster) = (cloud_of(context).await?, cluster_of(context).await?);
        let task = if output.task_id.is_empty() {
            None
        } else {
            cs::describe_task(&client, &output.task_id).await?
        };
        if let Some(failed) = task.filter(|task| task.outcome() == Some(false)) {
            return Err(task_failure("installation", &failed));
        }
        match cs::get_addon_instance(&client, &spec.cluster_id, DAEMON_SET).await? {
            Some(instance) if instance.state == "active" => {}
            Some(instance) => {
                return Ok(Confirm::NotYet(format!("add-on {DAEMON_SET} is {}", instance.state)));
            }
            None => return Ok(Confirm::NotYet(format!("add-on {DAEMON_SET} does not show yet"))),
        }
        if let Ok(before) = context.before_image::<Before>() {
            require_unharmed(context, &cluster, &before.guard).await?;
        }
        look_at_daemon_set(&cluster, value(&output)).await
    }

    async fn resolve(&self, context: &Context) -> Result<(Resolution, Value), Failure> {
        let before: Before = context.before_image()?;
        let spec = spec_of(context)?;
        let (client, cluster) = (cloud_of(context).await?, cluster_of(context).await?);
        let Some(output) = begun(context, &client, &spec, &before).await? else {
            return Ok((Resolution::NoEffect, Value::Null));
        };
        let harmed = is_installed(&client, &spec.cluster_id).await?
            && !damage(context, &cluster, &before.guard).await?.is_empty();
        Ok((if harmed { Resolution::Partial } else { Resolution::Done }, output))
    }

    async fn revert(&self, context: &Context) -> Result<Revert, Failure> {
        let before: Before = context.before_image()?;
        let spec = spec_of(context)?;
        let (client, cluster) = (cloud_of(context).await?, cluster_of(context).await?);
        if let Some(instance) =
            cs::get_addon_instance(&client, &spec.cluster_id, DAEMON_SET).await?
        {
            return uninstall::uninstall(context, &client, &cluster, &instance).await;
        }
        if let Some(task) = running_task(&client, &spec.cluster_id, INSTALL_TASK)
            .await?
            .filter(|_| patient(context))
        {
            return Ok(Revert::NotYet(format!(
                "the installation (task {}) is still running",
                task.task_id
            )));
        }
        if cluster.get(&Resource::DAEMON_SETS.at(NAMESPACE, DAEMON_SET)).await?.is_some()
            && touched_before(context)
        {
            return Ok(Revert::NotYet(format!(
                "DaemonSet {NAMESPACE}/{DAEMON_SET} is still there"
            )));
        }
        let mended = mend(context, &cluster, &before.guard).await?;
        if !mended.is_empty() {
            return Ok(Revert::NotYet(format!(
                "put back what the add-on overwrote: {}",
                mended.join(", ")
            )));
        }
        if !touched_before(context) {
            return Ok(Revert::Done(Undone::NothingThere));
        }
        touched(context, ledger_entry(false, Value::Null)).await?;
        Ok(Revert::Done(Undone::Reverted))
    }

    async fn verify_gone(&self, context: &Context) -> Result<Option<bool>, Failure> {
        let spec = spec_of(context)?;
        let client = cloud_of(context).await?;
        Ok(Some(cs::get_addon_instance(&client, &spec.cluster_id, DAEMON_SET).await?.is_none()))
    }
}

/// The output of an installation that has begun, whoever lost its answer; none: there is no trace of one.
async fn begun(
    context: &Context,
    client: &Client,
    spec: &Spec,
    before: &Before,
) -> Result<Option<Value>, Failure> {
    let instance = cs::get_addon_instance(client, &spec.cluster_id, DAEMON_SET).await?;
    let task = running_task(client, &spec.cluster_id, INSTALL_TASK).await?;
    if instance.is_none() && task.is_none() {
        return Ok(None);
    }
    let known = context.effects.iter().find_map(|effect| effect.facts["install_task"].as_str());
    let task_id =
        task.map(|task| task.task_id).or_else(|| known.map(str::to_owned)).unwrap_or_default();
    touched(
        context,
        ledger_entry(true, json!({"install_task": task_id, "version": before.version})),
    )
    .await?;
    Ok(Some(value(&output_of(&before.version, task_id))))
}

async fn running_task(
    client: &Client,
    cluster_id: &str,
    kind: &str,
) -> Result<Option<Task>, Failure> {
    let tasks = cs::describe_cluster_tasks(client, cluster_id).await?;
    Ok(tasks.into_iter().find(|task| task.task_type == kind && task.outcome().is_none()))
}

/// Whether the add-on is there, with nothing of its installation still to come.
async fn is_installed(client: &Client, cluster_id: &str) -> Result<bool, Failure> {
    let instance = cs::get_addon_instance(client, cluster_id, DAEMON_SET).await?;
    Ok(instance.is_some_and(|instance| instance.state == "active"))
}

/// What the installation did to Calico's CRDs and objects. A CRD is on record as damaged before it is mended, as its objects
/// must be looked at after a crash, too.
async fn damage(
    context: &Context,
    cluster: &Cluster,
    guard: &Guard,
) -> Result<Vec<Mending>, Failure> {
    let mut damaged: Vec<String> = crd_effects(context).collect();
    for name in guard.touched(cluster).await? {
        if !damaged.contains(&name) {
            touched(context, crd_entry(&name)).await?;
            damaged.push(name);
        }
    }
    guard.damage(cluster, &damaged).await
}

/// Puts back what the installation did to Calico, as far as one look shows it, and says what that was.
async fn mend(context: &Context, cluster: &Cluster, guard: &Guard) -> Result<Vec<String>, Failure> {
    let mut mended = Vec::new();
    for mending in damage(context, cluster, guard).await? {
        context.still_time()?;
        mending.carry_out(cluster).await?;
        mended.push(mending.what);
    }
    Ok(mended)
}

/// Refuses an installation that did something to Calico: applied again, the step puts it back.
async fn require_unharmed(
    context: &Context,
    cluster: &Cluster,
    guard: &Guard,
) -> Result<(), Failure> {
    let found = damage(context, cluster, guard).await?;
    if found.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = found.iter().map(|mending| mending.what.as_str()).collect();
    let message = format!(
        "the installation of add-on {DAEMON_SET} overwrote what Calico needs, which is put back now: {}",
        list.join(", ")
    );
    Err(Failure::new(FailureClass::Stale, message).with_code("CALICO_OVERWRITTEN"))
}

fn crd_effects(context: &Context) -> impl Iterator<Item = String> {
    context.effects.iter().filter(|effect| effect.kind == "crd").map(|effect| effect.id.clone())
}

/// The DaemonSet must be kept to cloud nodes, and have found none yet.
async fn look_at_daemon_set(cluster: &Cluster, output: Value) -> Result<Confirm, Failure> {
    let Some(daemon_set) = cluster.get(&Resource::DAEMON_SETS.at(NAMESPACE, DAEMON_SET)).await?
    else {
        return Ok(Confirm::NotYet(format!("DaemonSet {NAMESPACE}/{DAEMON_SET} is not there yet")));
    };
    if admits_data_center(&daemon_set) {
        return Err(Failure::permanent(format!(
            "DaemonSet {NAMESPACE}/{DAEMON_SET} is not kept to nodes with alibabacloud.com/external=true: it would run beside Calico in the data center"
        ))
        .with_code("TERWAY_NOT_FENCED"));
    }
    let rollout = Rollout::of(&daemon_set);
    let clouds = cluster
        .list(&Resource::NODES, None, "")
        .await?
        .iter()
        .filter(|one| node::is_cloud(one))
        .count();
    if clouds == 0 && rollout.desired > 0 {
        return Ok(Confirm::NotYet(format!(
            "DaemonSet {DAEMON_SET} wants {} pods though there is no cloud node",
            rollout.desired
        )));
    }
    if !rollout.observed {
        return Ok(Confirm::NotYet(format!("DaemonSet {DAEMON_SET}: {}", rollout.progress())));
    }
    if cluster.get(&Resource::CONFIG_MAPS.at(NAMESPACE, ENI_CONFIG).with_secret()).await?.is_none()
    {
        return Ok(Confirm::NotYet(format!("ConfigMap {NAMESPACE}/{ENI_CONFIG} is not there yet")));
    }
    Ok(Confirm::Holds(output))
}

/// Whether the DaemonSet would run on a node of the data center; one that is missing is taken to.
fn admits_data_center(daemon_set: &Value) -> bool {
    node::admits(
        &daemon_set["spec"]["template"]["spec"],
        &[("kubernetes.io/os", "linux"), ("kubernetes.io/arch", "amd64")],
    )
}

/// Whether the undo still waits for the installation.
fn patient(context: &Context) -> bool {
    (context.now)().ms_since(context.since)
        < millis(context.timing.poll.saturating_mul(UNDO_INSTALL_POLLS))
}

fn touched_before(context: &Context) -> bool {
    context.effects.iter().any(|effect| effect.kind == "addon")
}

fn task_failure(what: &str, task: &Task) -> Failure {
    let why = if task.error.message.is_empty() {
        "it does not say why"
    } else {
        task.error.message.as_str()
    };
    let code =
        if task.error.code.is_empty() { "ADDON_TASK_FAILED" } else { task.error.code.as_str() };
    Failure::permanent(format!(
        "the {what} of add-on {DAEMON_SET} failed (task {}, {}): {why}",
        task.task_id, task.state
    ))
    .with_code(code)
}

fn output_of(version: &str, task_id: String) -> InstallTerwayOutput {
    InstallTerwayOutput {
        version: version.to_owned(),
        secret_credentials: version::reads_secret(version),
        task_id,
    }
}

fn decoded(output: &Value) -> Result<InstallTerwayOutput, Failure> {
    InstallTerwayOutput::deserialize(output).map_err(|error| {
        Failure::permanent(format!("output can't be read: {error}")).with_code("RECORD_SHAPE")
    })
}

fn ledger_entry(present: bool, facts: Value) -> Object {
    let remedy = format!(
        "uninstall add-on {DAEMON_SET} of the registered cluster, once no cloud node is left"
    );
    Object {
        kind: "addon".to_owned(),
        id: DAEMON_SET.to_owned(),
        origin: Origin::Created,
        present,
        remedy,
        facts,
    }
}

/// A CRD that the installation wrote to: mended at once, so that nothing of it is left to be undone.
fn crd_entry(name: &str) -> Object {
    let facts = json!({"overwritten_by": DAEMON_SET});
    Object {
        kind: "crd".to_owned(),
        id: name.to_owned(),
        origin: Origin::Modified,
        present: false,
        remedy: String::new(),
        facts,
    }
}
