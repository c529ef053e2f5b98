//! Add-ons: what can be installed, what is, installing and removing. What they put into the cluster is the hands'
//! matter.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{cluster_of, clusters, require_running, tasks};
use crate::{
    cloud::{
        Cloud,
        answer::ApiError,
        gateway::Call,
        state::{Addon, Cluster, State},
    },
    faults::Fault,
    hands::AddonJob,
};

/// Seconds of reality.
const INSTALL: u64 = 20;
const UNINSTALL: u64 = 10;

/// Name, version, and the oldest Kubernetes (minor version of 1) it works with; newest first.
const CATALOGUE: [(&str, &str, u32); 6] = [
    ("terway-eniip", "v1.14.5", 31),
    ("terway-eniip", "v1.9.14", 30),
    ("terway-eniip", "v1.8.17", 24),
    ("cloud-node-controller", "v0.1.9", 20),
    ("logtail-ds", "v1.8.8", 20),
    ("metrics-server", "v0.3.9", 20),
];

/// The minor version of `1.MINOR.PATCH`.
fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// The Kubernetes version that a catalogue is asked for: given, or that of the cluster given.
fn asked_minor(state: &State, call: &Call) -> Result<u32, ApiError> {
    if let Some(version) = call.param("cluster_version") {
        return Ok(minor(version));
    }
    match call.param("cluster_id") {
        Some(id) => Ok(minor(&clusters::find(state, id)?.kubernetes_version)),
        None => Ok(u32::MAX),
    }
}

pub(super) fn catalogue(state: &State, call: &Call) -> Result<Value, ApiError> {
    let minor = asked_minor(state, call)?;
    let mut offers: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, version, oldest) in CATALOGUE {
        if oldest <= minor {
            offers.entry(name).or_insert_with(|| describe_offer(name, version));
        }
    }
    Ok(json!({"addons": offers.into_values().collect::<Vec<_>>()}))
}

pub(super) fn offer(state: &State, call: &Call) -> Result<Value, ApiError> {
    let name = call.path_id(0);
    let minor = asked_minor(state, call)?;
    let fitting: Vec<_> = CATALOGUE
        .iter()
        .filter(|(of_name, _, oldest)| *of_name == name && *oldest <= minor)
        .collect();
    let wanted = call.param("version");
    let found = fitting.iter().position(|(_, version, _)| wanted.is_none_or(|it| it == *version));
    let position = found.ok_or_else(|| not_found(name))?;
    let newer: Vec<Value> = fitting[..position]
        .iter()
        .map(|(_, version, oldest)| {
            json!({
                "version": version, "minimum_cluster_version": format!("1.{oldest}.0"),
                "upgradable": true,
            })
        })
        .collect();
    let mut answer = describe_offer(name, fitting[position].1);
    answer["newer_versions"] = json!(newer);
    Ok(answer)
}

pub(super) fn list(state: &State, call: &Call) -> Result<Value, ApiError> {
    let addons: Vec<Value> = cluster_of(state, call)?
        .addons
        .values()
        .map(|it| json!({"name": it.name, "version": it.version, "state": it.state}))
        .collect();
    Ok(json!({"addons": addons}))
}

pub(super) fn get(state: &State, call: &Call) -> Result<Value, ApiError> {
    let name = call.path_id(1);
    let addon = cluster_of(state, call)?.addons.get(name).ok_or_else(|| not_found(name))?;
    Ok(json!({
        "name": addon.name, "version": addon.version, "state": addon.state,
        "config": addon.config, "logging": {"capable": false, "enabled": false},
    }))
}

pub(super) fn versions(state: &State, call: &Call) -> Result<Value, ApiError> {
    let cluster = cluster_of(state, call)?;
    let mut answer = json!({});
    for (name, version, _) in CATALOGUE.iter().rev() {
        let installed = cluster.addons.get(*name);
        answer[*name] = json!({
            "component_name": name, "next_version": version,
            "version": installed.map_or("", |addon| &addon.version),
            "exist": installed.is_some().to_string(), "can_upgrade": "false",
        });
    }
    Ok(answer)
}

pub(super) fn install(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let wanted = named_items(call)?;
    let mut state = cloud.state();
    let cluster = cluster_of(&state, call)?;
    require_running(cluster)?;
    let (cluster_id, admin) = (cluster.cluster_id.clone(), cluster.admin_agent);
    let cluster_minor = minor(&cluster.kubernetes_version);
    let mut jobs = Vec::new();
    for item in &wanted {
        let name = item["name"].as_str().unwrap_or_default();
        let version = item["version"].as_str().unwrap_or_default();
        let offer = CATALOGUE.iter().find(|(of, known, _)| *of == name && *known == version);
        let (_, _, oldest) = offer.ok_or_else(|| not_found(name))?;
        if cluster.addons.contains_key(name) {
            let message = format!("addon {name} is already installed");
            return Err(ApiError::new(400, "AddonAlreadyInstalled", message));
        }
        let fits = *oldest <= cluster_minor;
        jobs.push((job_of(cluster, name, version), item["config"].clone(), fits));
    }
    let stuck = call.effect == Some(Fault::Stuck);
    let target = ("cluster", cluster_id.as_str());
    let task = tasks::start(&mut state, &cluster_id, "cluster_addon_install", target, stuck);
    for (job, config, fits) in jobs {
        let addon = Addon {
            name: job.name.clone(),
            version: job.version.clone(),
            state: "updating".into(),
            config: config.as_str().unwrap_or("{}").into(),
        };
        if let Some(cluster) = state.cs.clusters.get_mut(&cluster_id) {
            cluster.addons.insert(job.name.clone(), addon);
        }
        if !stuck {
            let refusal = refusal_of(&job, admin, fits);
            let effect = call.effect.clone();
            let work = Arc::clone(cloud).carry_out_install(job, task.clone(), refusal, effect);
            cloud.spawn(work);
        }
    }
    Ok(json!({"cluster_id": cluster_id, "task_id": task, "request_id": call.request_id}))
}

/// Why the task will fail without having done anything, if so.
fn refusal_of(job: &AddonJob, admin_agent: bool, fits: bool) -> Option<String> {
    if !admin_agent {
        let who = "User \"system:serviceaccount:kube-system:ack\"";
        return Some(format!("clusterroles is forbidden: {who} cannot create clusterroles"));
    }
    let AddonJob { name, version, .. } = job;
    (!fits).then(|| format!("addon {name} {version} does not support this Kubernetes version"))
}

pub(super) fn uninstall(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    let wanted = named_items(call)?;
    let mut state = cloud.state();
    let cluster = cluster_of(&state, call)?;
    require_running(cluster)?;
    let cluster_id = cluster.cluster_id.clone();
    let mut jobs = Vec::new();
    for item in &wanted {
        let name = item["name"].as_str().unwrap_or_default();
        let addon = cluster.addons.get(name).ok_or_else(|| not_found(name))?;
        jobs.push(job_of(cluster, name, &addon.version));
    }
    let stuck = call.effect == Some(Fault::Stuck);
    let target = ("cluster", cluster_id.as_str());
    let task = tasks::start(&mut state, &cluster_id, "cluster_addon_uninstall", target, stuck);
    for job in jobs {
        let cluster = state.cs.clusters.get_mut(&cluster_id);
        if let Some(addon) = cluster.and_then(|cluster| cluster.addons.get_mut(&job.name)) {
            addon.state = "deleting".into();
        }
        if !stuck {
            cloud.spawn(Arc::clone(cloud).carry_out_uninstall(job, task.clone()));
        }
    }
    Ok(json!({"cluster_id": cluster_id, "task_id": task, "request_id": call.request_id}))
}

impl Cloud {
    async fn carry_out_install(
        self: Arc<Self>,
        job: AddonJob,
        task: String,
        refusal: Option<String>,
        effect: Option<Fault>,
    ) {
        self.after(INSTALL).await;
        let (cluster_id, name) = (job.cluster_id.clone(), job.name.clone());
        let untouched = refusal.is_some();
        let mut result = match (refusal, self.hands()) {
            (Some(refusal), _) => Err(refusal),
            (None, Some(hands)) => hands.install_addon(job).await,
            (None, None) => Ok(()),
        };
        if effect == Some(Fault::Partial) && result.is_ok() {
            result = Err(format!("addon {name}: some of its objects could not be applied"));
        }
        let mut state = self.state();
        let cluster = state.cs.clusters.get_mut(&cluster_id);
        if let Some(cluster) = cluster {
            // Removed meanwhile, or being so: the removal has the last word.
            let pending = |addon: &&mut Addon| addon.state == "updating";
            match &result {
                Ok(()) if effect == Some(Fault::NeverReady) => {}
                Ok(()) => {
                    if let Some(addon) = cluster.addons.get_mut(&name).filter(pending) {
                        addon.state = "active".into();
                    }
                }
                Err(_) if untouched => {
                    cluster.addons.remove(&name);
                }
                Err(_) => {}
            }
        }
        let result = result.map_err(|message| ("AddonOperationFailed".to_owned(), message));
        tasks::end(&mut state, &task, result);
    }

    async fn carry_out_uninstall(self: Arc<Self>, job: AddonJob, task: String) {
        self.after(UNINSTALL).await;
        let (cluster_id, name) = (job.cluster_id.clone(), job.name.clone());
        let result = match self.hands() {
            Some(hands) => hands.uninstall_addon(job).await,
            None => Ok(()),
        };
        let mut state = self.state();
        if let (Ok(()), Some(cluster)) = (&result, state.cs.clusters.get_mut(&cluster_id)) {
            cluster.addons.remove(&name);
        }
        let result = result.map_err(|message| ("AddonOperationFailed".to_owned(), message));
        tasks::end(&mut state, &task, result);
    }
}

/// The body's list, each item with a name.
fn named_items(call: &Call) -> Result<Vec<Value>, ApiError> {
    match call.json()? {
        Value::Array(items)
            if !items.is_empty() && items.iter().all(|it| it["name"].is_string()) =>
        {
            Ok(items)
        }
        _ => {
            let message = "the body must be a list of objects with a name";
            Err(ApiError::new(400, "InvalidParameter", message))
        }
    }
}

/// What the control plane renders into the add-on's templates: what was not given at registration stays a
/// placeholder.
fn job_of(cluster: &Cluster, name: &str, version: &str) -> AddonJob {
    let mut values = BTreeMap::from([
        ("ClusterID".to_owned(), cluster.cluster_id.clone()),
        ("SecurityGroupId".to_owned(), cluster.security_group_id.clone()),
    ]);
    if !cluster.service_cidr.is_empty() {
        values.insert("ServiceCIDR".into(), cluster.service_cidr.clone());
    }
    if !cluster.pod_vswitches.is_empty() {
        let mut zones: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (zone, vswitch) in &cluster.pod_vswitches {
            zones.entry(zone).or_default().push(vswitch);
        }
        values.insert("PodVswitchId".into(), json!(zones).to_string());
    }
    AddonJob {
        cluster_id: cluster.cluster_id.clone(),
        name: name.into(),
        version: version.into(),
        values,
    }
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(404, "AddonNotFound", format!("addon {name} not found"))
}

fn describe_offer(name: &str, version: &str) -> Value {
    json!({
        "name": name, "version": version, "category": "network", "architecture": ["amd64", "arm64"],
        "config_schema": "{}", "install_by_default": false, "managed": false,
        "supported_actions": ["Install", "Upgrade", "Modify", "Uninstall"],
    })
}
