//! The kubelets of all live nodes: they start and end the pods that are bound to their nodes, at the world's pace.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    TerwayEni,
    objects::{Objects, Refused, is_ready, items, name, namespace, path, text},
    terway,
};
use crate::{
    kube::{Stalls, stamp},
    time::Pace,
};

/// From bound to Ready.
const START: Duration = Duration::from_secs(2);
/// From deleted to gone.
const END: Duration = Duration::from_secs(1);
/// Between two starts of a container that failed.
const BACK_OFF: Duration = Duration::from_secs(10);
/// However fast the world runs, what is tried again and again leaves room for others.
const BREATH: Duration = Duration::from_millis(10);

/// The kubelets.
pub(super) struct Kubelets {
    pub(super) objects: Objects,
    pub(super) cluster_id: String,
    pub(super) pace: Pace,
    pub(super) eni: Arc<dyn TerwayEni>,
    pub(super) stalls: Stalls,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Starts a pass of the controllers.
    pub(super) changed: Notify,
    /// Node name -> address, of the nodes whose kubelet runs.
    pub(super) live: Mutex<BTreeMap<String, String>>,
    /// Instances that were terminated: nothing of theirs registers any more. Held while a node registers or ends.
    pub(super) ended: tokio::sync::Mutex<BTreeSet<String>>,
    /// Pods that are, or were, worked on: (uid, ending).
    pub(super) busy: Mutex<BTreeSet<(String, bool)>>,
    /// Until the cluster stands as the seed has it, nothing takes time.
    pub(super) settled: AtomicBool,
}

impl Kubelets {
    /// Whether a node's kubelet runs.
    pub(super) fn is_live(&self, node: &str) -> bool {
        self.live().contains_key(node)
    }

    /// A kubelet starts.
    pub(super) fn add(&self, node: &str, address: &str) {
        self.live().insert(node.to_owned(), address.to_owned());
    }

    /// A kubelet stops, and says nothing.
    pub(super) fn remove(&self, node: &str) {
        self.live().remove(node);
    }

    /// From here on everything takes its time.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Starts what is bound and does not run, ends what is deleted.
    pub(super) fn reconcile(self: &Arc<Self>, pods: &[Value]) {
        let there: BTreeSet<&str> = pods.iter().map(|pod| text(&pod["metadata"]["uid"])).collect();
        self.busy().retain(|(uid, _)| there.contains(uid.as_str()));
        for pod in pods {
            let ending = pod["metadata"]["deletionTimestamp"].is_string();
            let idle = is_ready(pod) && !ending;
            if !self.is_live(text(&pod["spec"]["nodeName"])) || idle {
                continue;
            }
            let work = (text(&pod["metadata"]["uid"]).to_owned(), ending);
            if !self.busy().insert(work.clone()) {
                continue;
            }
            let (kubelets, pod) = (Arc::clone(self), pod.clone());
            self.tasks.spawn(async move {
                let working = async {
                    if ending { kubelets.end(&pod).await } else { kubelets.start(&pod).await }
                };
                // Cut short when the world ends; then nothing is left to tidy. Done work stays known until the pod
                // is gone: a pass that looked before it was done must not do it again.
                if let Some(Err(refused)) = kubelets.stop.run_until_cancelled(working).await {
                    tracing::debug!(pod = name(&pod), %refused, "A kubelet starts over with a pod");
                    kubelets.busy().remove(&work);
                    kubelets.changed.notify_one();
                }
            });
        }
    }

    async fn start(&self, pod: &Value) -> Result<(), Refused> {
        let node = text(&pod["spec"]["nodeName"]).to_owned();
        let own = format!("{}/{}", path("v1", namespace(pod), "pods"), name(pod));
        loop {
            self.sleep(START).await;
            if !self.is_live(&node) {
                return Ok(());
            }
            if self.is_stalled(pod) {
                if self.objects.get(&own).await?.is_none() {
                    return Ok(());
                }
                tokio::time::sleep(BREATH).await;
                continue;
            }
            let is_terway = pod["metadata"]["labels"]["app"] == terway::NAME;
            let started = if is_terway { terway::start(self, pod).await } else { Ok(()) };
            let status = match &started {
                Ok(()) => self.running(pod),
                Err(why) => waiting(pod, why),
            };
            let there = self
                .objects
                .merge(&format!("{own}/status"), &json!({ "status": status }))
                .await?
                .is_some();
            if started.is_ok() || !there {
                return Ok(());
            }
            tokio::time::sleep(BREATH.max(self.pace.scale(BACK_OFF))).await;
        }
    }

    async fn end(&self, pod: &Value) -> Result<(), Refused> {
        self.sleep(END).await;
        if self.is_live(text(&pod["spec"]["nodeName"])) {
            self.objects
                .delete(&format!("{}/{}", path("v1", namespace(pod), "pods"), name(pod)), Some(0))
                .await?;
        }
        Ok(())
    }

    fn is_stalled(&self, pod: &Value) -> bool {
        let owner = items(&pod["metadata"]["ownerReferences"])
            .first()
            .map(|owner| text(&owner["name"]))
            .unwrap_or_default();
        self.stalls.contains("daemonsets", &format!("{}/{owner}", namespace(pod)))
            || self.stalls.contains("pods", &format!("{}/{}", namespace(pod), name(pod)))
    }

    fn running(&self, pod: &Value) -> Value {
        let address = self.live().get(text(&pod["spec"]["nodeName"])).cloned().unwrap_or_default();
        let containers: Vec<Value> = items(&pod["spec"]["containers"])
            .iter()
            .map(|container| {
                json!({"name": container["name"], "image": container["image"], "imageID": container["image"], "ready": true, "started": true,
                    "restartCount": 0, "state": {"running": {"startedAt": stamp()}}})
            })
            .collect();
        let mut status = json!({
            "phase": "Running", "hostIP": address, "hostIPs": [{"ip": address}], "startTime": stamp(),
            "conditions": conditions("True", ""), "containerStatuses": containers, "message": null, "reason": null,
        });
        if pod["spec"]["hostNetwork"] == true {
            status["podIP"] = json!(address);
            status["podIPs"] = json!([{ "ip": address }]);
        }
        status
    }

    async fn sleep(&self, real: Duration) {
        if self.settled.load(Ordering::Relaxed) {
            self.pace.sleep(real).await;
        }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<(String, bool)>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn conditions(ready: &str, message: &str) -> Value {
    let condition = |name: &str, status: &str| {
        let mut condition = json!({"type": name, "status": status, "lastTransitionTime": stamp()});
        if status == "False" {
            condition["reason"] = json!("ContainersNotReady");
            condition["message"] = json!(message);
        }
        condition
    };
    json!([
        condition("PodScheduled", "True"),
        condition("Initialized", "True"),
        condition("ContainersReady", ready),
        condition("Ready", ready)
    ])
}

fn waiting(pod: &Value, why: &str) -> Value {
    let containers: Vec<Value> = items(&pod["spec"]["containers"])
        .iter()
        .map(|container| {
            json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": false, "started": false, "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": why}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": why}}})
        })
        .collect();
    json!({"phase": "Pending", "startTime": stamp(), "conditions": conditions("False", why), "containerStatuses": containers, "message": why})
}
