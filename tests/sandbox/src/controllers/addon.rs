//! What the control plane does in the cluster when `terway-eniip` is installed or uninstalled: through the agent, with
//! the agent's permissions. Facts: reference, section 5.1.

use serde_json::{Value, json};

use super::{
    DataCenter,
    objects::{Objects, Refused, name, text},
    seeding, terway,
};
use crate::hands::AddonJob;

const SYSTEM: &str = "kube-system";
const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// On Calico CRDs that the installation found missing and made: they go with it.
const MADE_BY: (&str, &str) = ("addons.sandbox.causeway.io/made-by", terway::NAME);

impl DataCenter {
    /// Installs the add-on. An error is the task's error message.
    pub async fn install_addon(&self, job: &AddonJob) -> Result<(), String> {
        let agent = self.agent(job).await?;
        self.install(&agent, job)
            .await
            .map_err(|refused| format!("install addon {}: {}", job.name, refused.text()))
    }

    /// Removes the add-on, its own CRDs with the objects in them included; Calico's CRDs stay as they are.
    pub async fn uninstall_addon(&self, job: &AddonJob) -> Result<(), String> {
        let agent = self.agent(job).await?;
        uninstall(&agent, job)
            .await
            .map_err(|refused| format!("uninstall addon {}: {}", job.name, refused.text()))
    }

    async fn install(&self, agent: &Objects, job: &AddonJob) -> Result<(), Refused> {
        for object in own_objects(job) {
            put(agent, &object).await?;
        }
        for index in 0..seeding::STUBBED {
            let stub = seeding::calico_crd(index, true);
            let at = format!("{}/{}", seeding::list_path(&stub), name(&stub));
            let Some(mut present) = agent.get(&at).await? else {
                let mut made = stub;
                made["metadata"]["labels"] = json!({ MADE_BY.0: MADE_BY.1 });
                put(agent, &made).await?;
                continue;
            };
            present["spec"] = stub["spec"].clone();
            agent.replace(&at, &present).await?;
            self.rewrite_objects(&present).await?;
        }
        Ok(())
    }

    /// Calico writes its own objects again and again; with the stub's schema in force each write loses what the schema
    /// does not know. Here every object is written once, as it is read.
    async fn rewrite_objects(&self, crd: &Value) -> Result<(), Refused> {
        let objects = &self.kubelets.objects;
        let (group, plural) = (text(&crd["spec"]["group"]), text(&crd["spec"]["names"]["plural"]));
        for object in objects.list(&format!("/apis/{group}/v1/{plural}")).await? {
            let at = format!("{}/{}", seeding::list_path(&object), name(&object));
            objects.replace(&at, &object).await?;
        }
        Ok(())
    }

    /// A client with the agent's permissions, if there is an agent.
    async fn agent(&self, job: &AddonJob) -> Result<Objects, String> {
        if job.name != terway::NAME {
            return Err(format!("addon {} is unknown", job.name));
        }
        let at = format!("/apis/apps/v1/namespaces/{SYSTEM}/deployments/ack-cluster-agent");
        let there = self.kubelets.objects.get(&at).await.map_err(|refused| refused.text())?;
        if there.is_none_or(|agent| agent["spec"]["replicas"] == 0) {
            return Err("the cluster's agent is not connected".into());
        }
        let client = self.client_as(|auth| {
            auth.impersonate = Some(format!("system:serviceaccount:{SYSTEM}:ack"));
            auth.impersonate_groups = Some(vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{SYSTEM}"),
            ]);
        });
        client.map(Objects::new)
    }
}

async fn uninstall(agent: &Objects, job: &AddonJob) -> Result<(), Refused> {
    for object in own_objects(job).iter().rev() {
        agent.delete(&format!("{}/{}", seeding::list_path(object), name(object)), None).await?;
    }
    let made = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?labelSelector={}%3D{}",
        MADE_BY.0.replace('/', "%2F"),
        MADE_BY.1
    );
    for crd in agent.list(&made).await? {
        agent
            .delete(
                &format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", name(&crd)),
                None,
            )
            .await?;
    }
    Ok(())
}

/// Creates an object, or makes one that is there like it.
async fn put(agent: &Objects, object: &Value) -> Result<(), Refused> {
    match seeding::create(agent, object).await {
        Err(refused) if refused.code() == 409 => agent
            .merge(&format!("{}/{}", seeding::list_path(object), name(object)), object)
            .await
            .map(|_| ()),
        created => created.map(|_| ()),
    }
}

fn own_objects(job: &AddonJob) -> Vec<Value> {
    let mut all: Vec<Value> =
        ["podenis", "podnetworkings", "nodes"].iter().map(|plural| own_crd(plural)).collect();
    all.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "terway", "namespace": SYSTEM}}));
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods", "nodes", "namespaces", "configmaps", "serviceaccounts"], "verbs": ["get", "watch", "list", "update"]},
        {"apiGroups": [""], "resources": ["pods/status", "nodes/status"], "verbs": ["update", "patch"]},
        {"apiGroups": ["network.alibabacloud.com"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["crd.projectcalico.org"], "resources": ["*"], "verbs": ["*"]},
    ]);
    all.push(json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "terway-pod-reader"}, "rules": rules}));
    all.push(json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": "terway-binding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "terway-pod-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "terway", "namespace": SYSTEM}]}));
    all.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "eni-config", "namespace": SYSTEM},
        "data": {"eni_conf": eni_conf(job), "10-terway.conf": "{\n  \"cniVersion\": \"0.3.0\",\n  \"name\": \"terway\",\n  \"type\": \"terway\"\n}\n"}}));
    all.push(daemonset(job));
    all
}

fn own_crd(plural: &str) -> Value {
    let kind = match plural {
        "podenis" => "PodENI",
        "podnetworkings" => "PodNetworking",
        _ => "Node",
    };
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.network.alibabacloud.com")},
        "spec": {"group": "network.alibabacloud.com", "scope": if plural == "podenis" { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}}}]}})
}

/// The configuration as the control plane renders it; what it does not know stays a placeholder.
fn eni_conf(job: &AddonJob) -> String {
    let value = |name: &str| {
        job.values
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
            .unwrap_or_else(|| format!("{{{{.{name}}}}}"))
    };
    let vswitches = job
        .values
        .get("PodVswitchId")
        .filter(|value| !value.is_empty())
        .cloned()
        .unwrap_or_else(|| "{\"AZoneID\":[\"VswitchId\"]}".to_owned());
    format!(
        "{{\n  \"version\": \"1\",\n  \"max_pool_size\": 5,\n  \"min_pool_size\": 0,\n  \"vswitches\": {vswitches},\n  \"eni_tags\": {{\"ack.aliyun.com\":\"{}\"}},\n  \
         \"service_cidr\": \"{}\",\n  \"security_group\": \"{}\",\n  \"access_key\": \"\",\n  \"access_secret\": \"\",\n  \"vswitch_selection_policy\": \"ordered\"\n}}\n",
        value("ClusterID"),
        value("ServiceCIDR"),
        value("SecurityGroupId")
    )
}

fn daemonset(job: &AddonJob) -> Value {
    let image = format!("registry-cn-hangzhou-vpc.ack.aliyuncs.com/acs/terway:{}", job.version);
    let labels = json!({ "app": terway::NAME });
    let mounts = json!([
        {"name": "configvolume", "mountPath": "/etc/eni"},
        {"name": "addon-secret", "mountPath": "/var/alibaba-addon-secret", "readOnly": true},
        {"name": "cni-bin", "mountPath": "/opt/cni/bin/"},
    ]);
    let volumes = json!([
        {"name": "configvolume", "configMap": {"name": "eni-config", "items": [{"key": "eni_conf", "path": "eni_conf"}, {"key": "10-terway.conf", "path": "10-terway.conf"}]}},
        {"name": "addon-secret", "secret": {"secretName": "alibaba-addon-secret", "optional": true}},
        {"name": "cni-bin", "hostPath": {"path": "/opt/cni/bin", "type": "Directory"}},
    ]);
    let not_in =
        |key: &str, value: &str| json!({"key": key, "operator": "NotIn", "values": [value]});
    let terms = json!([{"matchExpressions": [not_in("type", "virtual-kubelet"), not_in("k8s.aliyun.com/ignore-by-terway", "true"), {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]);
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": terway::NAME, "namespace": SYSTEM, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "hostNetwork": true, "serviceAccountName": "terway", "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}],
                "nodeSelector": {"alibabacloud.com/external": "true"},
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}},
                "initContainers": [{"name": "terway-init", "image": image, "command": ["/usr/bin/init.sh"], "securityContext": {"privileged": true}, "volumeMounts": mounts}],
                "containers": [
                    {"name": "terway", "image": image, "command": ["/usr/bin/terwayd", "-config", "/etc/eni/eni_conf", "-daemon-mode", "ENIMultiIP"], "volumeMounts": mounts,
                        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}]},
                    {"name": "policy", "image": image, "command": ["/bin/policyinit.sh"], "volumeMounts": mounts},
                ],
                "volumes": volumes}}}})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn job(values: &[(&str, &str)]) -> AddonJob {
        let values: BTreeMap<String, String> =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        AddonJob {
            cluster_id: "c1".into(),
            name: terway::NAME.into(),
            version: "v1.8.2".into(),
            values,
        }
    }

    #[test]
    fn what_the_control_plane_does_not_know_stays_a_placeholder() {
        let text = eni_conf(&job(&[("ClusterID", "c1")]));
        for part in [
            "\"{{.ServiceCIDR}}\"",
            "\"{{.SecurityGroupId}}\"",
            "{\"AZoneID\":[\"VswitchId\"]}",
            "\"ack.aliyun.com\":\"c1\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let full = eni_conf(&job(&[
            ("ClusterID", "c1"),
            ("ServiceCIDR", "172.16.0.0/16"),
            ("SecurityGroupId", "sg-1"),
            ("PodVswitchId", "{\"cn-hangzhou-h\":[\"vsw-1\"]}"),
        ]));
        let conf: Value = serde_json::from_str(&full).unwrap();
        assert_eq!(conf["vswitches"]["cn-hangzhou-h"][0], "vsw-1");
    }
}
