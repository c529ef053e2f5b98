//! The instances of node pools: created until there are as many as wanted, booted, watched, released. Whatever
//! happens on an instance, or in the cluster, is the hands' matter.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::Value;
use tokio::time::Instant as Moment;

use super::{
    Cloud, clock,
    cs::tasks,
    state::{Activity, Instance, Interface, Pool, State, random_id},
    vpc::{find_vswitch, pick_address},
};
use crate::hands::Boot;

/// Seconds of reality.
const CREATE: u64 = 15;
const BOOT: u64 = 20;
const RELEASE: u64 = 5;
const RETRY: u64 = 60;
const WATCH: Duration = Duration::from_secs(3);
/// However fast the world runs, nodes are not looked at more often than this, in real time.
const WATCH_MIN: Duration = Duration::from_millis(20);
/// How long after its script a node may take to appear.
const JOIN: Duration = Duration::from_secs(300);
/// How much of a failed script's output the node's error message shows.
const LOG_TAIL: usize = 2000;

type Failure = (String, String);

/// Makes the pool have as many instances as it wants. The task, if any, ends with the last new instance's script.
pub(crate) fn reconcile(cloud: &Arc<Cloud>, pool_id: &str, task: Option<&str>) {
    let mut state = cloud.state();
    let Some(pool) = state.cs.pools.get(pool_id).filter(|pool| pool.state != "deleting") else {
        return;
    };
    let (cluster_id, wanted) = (pool.cluster_id.clone(), pool.desired_size);
    let mut members: Vec<(String, String)> = state
        .ecs
        .instances
        .values()
        .filter(|it| it.pool_id == pool_id && it.node_state != "removing")
        .map(|it| (it.creation_time.clone(), it.id.clone()))
        .collect();
    if members.len() > wanted {
        members.sort();
        let surplus = members.split_off(wanted).into_iter().map(|(_, id)| id).collect();
        let task = task.map(str::to_owned);
        cloud.spawn(shrink(Arc::clone(cloud), surplus, task));
        return;
    }
    let (born, failure) = grow(cloud, &mut state, pool_id, wanted - members.len());
    if let Some(id) = task {
        if let Some(task) = state.history.tasks.get_mut(id) {
            task.results = born.iter().map(|id| (id.clone(), "initial".into())).collect();
            task.error.clone_from(&failure);
        }
        if born.is_empty() {
            tasks::end(&mut state, id, failure.clone().map_or(Ok(()), Err));
        }
    }
    drop(state);
    for id in born {
        let task = task.map(str::to_owned);
        cloud.spawn(Arc::clone(cloud).live(cluster_id.clone(), id, task));
    }
    if failure.is_some() {
        let (cloud_then, pool_id) = (Arc::clone(cloud), pool_id.to_owned());
        cloud.spawn(async move {
            cloud_then.after(RETRY).await;
            reconcile(&cloud_then, &pool_id, None);
        });
    }
}

/// Creates up to `count` instances, and notes it as scaling activities.
fn grow(
    cloud: &Cloud,
    state: &mut State,
    pool_id: &str,
    count: usize,
) -> (Vec<String>, Option<Failure>) {
    let mut born = Vec::new();
    let mut failure = None;
    for _ in 0..count {
        match create(cloud, state, pool_id) {
            Ok(id) => born.push(id),
            Err(why) => {
                failure = Some(why);
                break;
            }
        }
    }
    let Some(pool) = state.cs.pools.get(pool_id) else {
        return (born, failure);
    };
    let group = pool.scaling_group_id.clone();
    let cause = format!("A user requests to set the desired capacity to {}.", pool.desired_size);
    let mut note = |error: Option<Failure>, created: Vec<String>| {
        let description = format!("Add \"{}\" ECS instance", count.max(created.len()));
        state.history.activities.push(Activity {
            id: random_id("asa-bp1", 17),
            scaling_group_id: group.clone(),
            status: if error.is_some() { "Failed" } else { "Successful" }.into(),
            description: error.as_ref().map_or(description, |(_, message)| message.clone()),
            cause: cause.clone(),
            error,
            created_instances: created,
            start_time: clock::utc(),
            end_time: clock::utc(),
        });
    };
    if !born.is_empty() {
        note(None, born.clone());
    }
    if failure.is_some() {
        note(failure.clone(), Vec::new());
    }
    (born, failure)
}

/// A script that failed, as the scaling group tells it.
fn note_failed_script(state: &mut State, id: &str, failure: &str) {
    let instance = state.ecs.instances.get(id);
    let Some(pool) = instance.and_then(|instance| state.cs.pools.get(&instance.pool_id)) else {
        return;
    };
    let message = format!("The lifecycle hook of ECS instance {id} was abandoned: {failure}");
    let now = clock::utc();
    state.history.activities.push(Activity {
        id: random_id("asa-bp1", 17),
        scaling_group_id: pool.scaling_group_id.clone(),
        status: "Failed".into(),
        description: message.clone(),
        cause: "A lifecycle hook ended.".into(),
        error: Some(("LifecycleHook.Abandoned".into(), message)),
        created_instances: vec![id.to_owned()],
        start_time: now.clone(),
        end_time: now,
    });
}

fn create(cloud: &Cloud, state: &mut State, pool_id: &str) -> Result<String, Failure> {
    let fail = |code: &str, message: &str| (code.to_owned(), message.to_owned());
    let sold_out = || {
        let message = "The requested resource is sold out in the specified zone; try other types \
                       of resources or other regions and zones.";
        fail("OperationDenied.NoStock", message)
    };
    let pool = state.cs.pools.get(pool_id).ok_or_else(|| fail("NotFound", "no such pool"))?;
    let members = state.ecs.instances.values().filter(|it| it.pool_id == pool_id).count();
    if pool.stock.is_some_and(|stock| members >= stock) {
        return Err(sold_out());
    }
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let group = &pool.scaling_group;
    let types = texts(&group["instance_types"]);
    let vswitches = texts(&group["vswitch_ids"]);
    let mut full = false;
    let mut place = None;
    for id in &vswitches {
        let Some((vpc, vswitch)) = find_vswitch(state, id) else { continue };
        let stocked = types.iter().find(|name| {
            let offer = state.ecs.instance_types.get(*name);
            offer.is_some_and(|offer| offer.zones.contains(&vswitch.zone))
        });
        let Some(instance_type) = stocked else { continue };
        match pick_address(state, vswitch) {
            Some(address) => {
                place = Some((
                    vpc.id.clone(),
                    vswitch.id.clone(),
                    vswitch.zone.clone(),
                    address,
                    instance_type.clone(),
                ));
                break;
            }
            None => full = true,
        }
    }
    let Some((vpc_id, vswitch_id, zone, private_ip, instance_type)) = place else {
        let message = "The vSwitch has no free address.";
        return Err(if full { fail("InvalidVSwitchId.IpNotEnough", message) } else { sold_out() });
    };
    let instance = Instance {
        id: random_id("i-bp1", 17),
        cluster_id: pool.cluster_id.clone(),
        pool_id: pool_id.into(),
        instance_type,
        image_type: group["image_type"].as_str().unwrap_or("AliyunLinux3").into(),
        charge_type: group["instance_charge_type"].as_str().unwrap_or("PostPaid").into(),
        security_group_ids: security_groups(state, pool),
        tags: instance_tags(pool),
        vpc_id,
        vswitch_id,
        zone,
        private_ip,
        status: "Pending".into(),
        creation_time: clock::utc(),
        node_state: "initial".into(),
        node_ready: false,
        error_message: String::new(),
    };
    let id = instance.id.clone();
    let interface = primary_interface(&instance);
    state.ecs.interfaces.insert(interface.id.clone(), interface);
    state.ecs.instances.insert(id.clone(), instance);
    tracing::debug!(account = %cloud.account.id, instance = %id, "instance created");
    Ok(id)
}

fn security_groups(state: &State, pool: &Pool) -> Vec<String> {
    let group = &pool.scaling_group;
    let listed = group["security_group_ids"].as_array().into_iter().flatten();
    let listed: Vec<String> = listed.filter_map(|it| it.as_str().map(str::to_owned)).collect();
    if !listed.is_empty() {
        return listed;
    }
    match group["security_group_id"].as_str().filter(|id| !id.is_empty()) {
        Some(one) => vec![one.to_owned()],
        None => {
            let cluster = state.cs.clusters.get(&pool.cluster_id);
            cluster.map(|cluster| cluster.security_group_id.clone()).into_iter().collect()
        }
    }
}

fn instance_tags(pool: &Pool) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let given = pool.scaling_group["tags"].as_array().into_iter().flatten();
    let mut tags: BTreeMap<String, String> =
        given.map(|tag| (text(&tag["key"]), text(&tag["value"]))).collect();
    tags.insert("ack.aliyun.com".into(), pool.cluster_id.clone());
    tags.insert("ack.alibabacloud.com/nodepool-id".into(), pool.id.clone());
    tags
}

fn primary_interface(instance: &Instance) -> Interface {
    Interface {
        id: random_id("eni-bp1", 17),
        kind: "Primary".into(),
        status: "InUse".into(),
        instance_id: instance.id.clone(),
        vpc_id: instance.vpc_id.clone(),
        vswitch_id: instance.vswitch_id.clone(),
        zone: instance.zone.clone(),
        private_ip: instance.private_ip.clone(),
        security_group_ids: instance.security_group_ids.clone(),
        tags: BTreeMap::new(),
        creation_time: clock::utc(),
    }
}

async fn shrink(cloud: Arc<Cloud>, surplus: Vec<String>, task: Option<String>) {
    release_all(&cloud, &surplus, false).await;
    if let Some(task) = task {
        tasks::end(&mut cloud.state(), &task, Ok(()));
    }
}

/// Takes an instance out of its cluster and releases it.
pub(crate) async fn release(cloud: &Arc<Cloud>, id: &str, drain: bool) {
    let Some(cluster_id) = leave(cloud, id, "Stopping") else { return };
    if let Some(hands) = cloud.hands() {
        if drain && let Err(why) = hands.drain(&cluster_id, id).await {
            tracing::warn!(instance = id, error = %why, "drain failed, the node is removed anyway");
        }
        hands.terminate(&cluster_id, id).await;
    }
    cloud.after(RELEASE).await;
    forget(&mut cloud.state(), id);
}

/// Releases several at once.
pub(crate) async fn release_all(cloud: &Arc<Cloud>, ids: &[String], drain: bool) {
    join_all(ids.iter().map(|id| release(cloud, id, drain))).await;
}

/// Takes an instance out of its cluster and leaves it running.
pub(crate) async fn expel(cloud: &Arc<Cloud>, id: &str, drain: bool) {
    let Some(cluster_id) = leave(cloud, id, "Running") else { return };
    if let Some(hands) = cloud.hands() {
        if drain && let Err(why) = hands.drain(&cluster_id, id).await {
            tracing::warn!(instance = id, error = %why, "drain failed, the node is removed anyway");
        }
        hands.terminate(&cluster_id, id).await;
    }
    if let Some(instance) = cloud.state().ecs.instances.get_mut(id) {
        instance.pool_id.clear();
        instance.cluster_id.clear();
    }
}

/// Releases an instance by the ECS API: the pool notices, and makes another.
pub(crate) fn release_behind_the_pools_back(cloud: &Arc<Cloud>, id: &str) {
    let Some(instance) = forget(&mut cloud.state(), id) else { return };
    let cloud_then = Arc::clone(cloud);
    cloud.spawn(async move {
        if let Some(hands) = cloud_then.hands() {
            hands.terminate(&instance.cluster_id, &instance.id).await;
        }
        cloud_then.after(RELEASE).await;
        reconcile(&cloud_then, &instance.pool_id, None);
    });
}

/// Marks an instance as leaving; its cluster.
fn leave(cloud: &Cloud, id: &str, status: &str) -> Option<String> {
    let mut state = cloud.state();
    let instance = state.ecs.instances.get_mut(id)?;
    instance.node_state = "removing".into();
    instance.status = status.into();
    Some(instance.cluster_id.clone())
}

/// Removes a released instance. Its own interface goes with it; those that Terway added stay behind.
fn forget(state: &mut State, id: &str) -> Option<Instance> {
    let instance = state.ecs.instances.remove(id)?;
    state.ecs.interfaces.retain(|_, it| it.instance_id != id || it.kind != "Primary");
    for interface in state.ecs.interfaces.values_mut().filter(|it| it.instance_id == id) {
        interface.instance_id.clear();
        interface.status = "Available".into();
    }
    Some(instance)
}

impl Cloud {
    /// The life of an instance from its creation on.
    async fn live(self: Arc<Self>, cluster_id: String, id: String, task: Option<String>) {
        self.after(CREATE).await;
        if !self.still(&id, |instance| instance.status = "Running".into()) {
            return;
        }
        self.after(BOOT).await;
        let (Some(boot), Some(hands)) = (self.boot_of(&id), self.hands()) else { return };
        let report = hands.boot(boot).await;
        let failure = (!report.ok).then(|| tail(&report.log));
        let there = self.still(&id, |instance| {
            if let Some(failure) = &failure {
                instance.node_state = "failed".into();
                instance.error_message.clone_from(failure);
            }
        });
        if let (true, Some(failure)) = (there, &failure) {
            note_failed_script(&mut self.state(), &id, failure);
        }
        if let Some(task) = task {
            let failure =
                if there { failure.as_deref() } else { Some("the instance was released") };
            tasks::report(&mut self.state(), &task, &id, failure);
        }
        if there && failure.is_none() {
            self.watch(&cluster_id, &id).await;
        }
    }

    /// Follows the instance's Node for as long as the instance is there.
    async fn watch(&self, cluster_id: &str, id: &str) {
        let booted = Moment::now();
        let patience = self.pace.scale(JOIN);
        while let Some(hands) = self.hands() {
            let ready = hands.node_ready(cluster_id, id).await;
            let there = self.still(id, |instance| match ready {
                Some(ready) => {
                    instance.node_state = "running".into();
                    instance.error_message.clear();
                    instance.node_ready = ready;
                }
                None => {
                    instance.node_ready = false;
                    if instance.node_state == "initial" && booted.elapsed() > patience {
                        instance.node_state = "failed".into();
                        instance.error_message = "the node did not join within 5 minutes".into();
                    }
                }
            });
            if !there {
                return;
            }
            tokio::time::sleep(self.pace.scale(WATCH).max(WATCH_MIN)).await;
        }
    }

    /// Changes an instance that is still there and not leaving; false otherwise.
    fn still(&self, id: &str, change: impl FnOnce(&mut Instance)) -> bool {
        let mut state = self.state();
        let instance = state.ecs.instances.get_mut(id).filter(|it| it.node_state != "removing");
        instance.map(change).is_some()
    }

    /// What an instance boots with; `None` when it is gone, or when a fault keeps its script from ever ending.
    fn boot_of(&self, id: &str) -> Option<Boot> {
        let state = self.state();
        let instance = state.ecs.instances.get(id).filter(|it| it.node_state != "removing")?;
        let pool = state.cs.pools.get(&instance.pool_id).filter(|pool| !pool.never_ready)?;
        let script_url = state.history.script_paths.get(&instance.cluster_id).cloned();
        Some(Boot {
            cluster_id: instance.cluster_id.clone(),
            instance_id: id.into(),
            vpc_id: instance.vpc_id.clone(),
            region: self.account.region.clone(),
            zone: instance.zone.clone(),
            vswitch_id: instance.vswitch_id.clone(),
            private_ip: instance.private_ip.clone(),
            instance_type: instance.instance_type.clone(),
            image_type: instance.image_type.clone(),
            script_url: script_url.unwrap_or_default(),
            variables: variables(&self.account.region, instance, pool),
        })
    }
}

/// What the user data exports before it runs the script.
fn variables(region: &str, instance: &Instance, pool: &Pool) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed =
        |field: &str| pool.kubernetes_config[field].as_array().cloned().unwrap_or_default();
    let mut labels = vec![
        format!("alibabacloud.com/nodepool-id={}", pool.id),
        format!("ack.aliyun.com={}", pool.cluster_id),
        format!("alibabacloud.com/instance-id={}", instance.id),
        "alibabacloud.com/external=true".to_owned(),
    ];
    labels.extend(
        listed("labels").iter().map(|it| format!("{}={}", text(&it["key"]), text(&it["value"]))),
    );
    let taints: Vec<String> = listed("taints")
        .iter()
        .map(|it| {
            let effect = it["effect"].as_str().unwrap_or("NoSchedule");
            format!("{}={}:{effect}", text(&it["key"]), text(&it["value"]))
        })
        .collect();
    let variable = |name: &str, value: String| (format!("ALIBABA_CLOUD_{name}"), value);
    BTreeMap::from([
        variable("PROVIDER_ID", format!("{region}.{}", instance.id)),
        variable("NODE_NAME", format!("{region}.{}", instance.private_ip)),
        variable("LABELS", labels.join(",")),
        variable("TAINTS", taints.join(",")),
    ])
}

/// The end of a log, cut at a character.
fn tail(log: &str) -> String {
    let from = log.len().saturating_sub(LOG_TAIL);
    let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    let text = log[from..].trim();
    let text = if text.is_empty() { "the script failed without output" } else { text };
    text.to_owned()
}
