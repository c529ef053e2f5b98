//! `hybrid-cluster/1`: builds one hybrid cluster, step for step as the guide does, as a DAG whose edges read backwards are the
//! order of undo. It guarantees that the RAM grant outlives every network interface, that Calico's fence outlives every
//! cloud node, and that the published script outlives the registration that names it. It knows no journal.

use std::collections::BTreeMap;

use causeway_engine::ids::ResourceKey;
use causeway_engine::{LostCall, StepName};
use serde_json::{Value, json};

use crate::definition::{Definition, Lasts, Template, Work};
use crate::sdk::Facts;
use crate::steps::addon_identity::{UNDO_GROUP, user_name};
use crate::steps::attach_ram_policy::AttachRamPolicy;
use crate::steps::check_capacity::CheckCapacity;
use crate::steps::check_identity::CheckIdentity;
use crate::steps::check_kubernetes::CheckKubernetes;
use crate::steps::check_network::CheckNetwork;
use crate::steps::check_registered_cluster::CheckRegisteredCluster;
use crate::steps::configure_eni::ConfigureEni;
use crate::steps::create_access_key::CreateAccessKey;
use crate::steps::create_node_pool::CreateNodePool;
use crate::steps::create_ram_policy::{CreateRamPolicy, policy_key};
use crate::steps::create_ram_user::CreateRamUser;
use crate::steps::fence_calico::FenceCalico;
use crate::steps::install_terway::InstallTerway;
use crate::steps::mint_join_token::MintJoinToken;
use crate::steps::publish_init_script::PublishInitScript;
use crate::steps::register_init_script::RegisterInitScript;
use crate::steps::scale_out::ScaleOut;
use crate::steps::store_addon_secret::StoreAddonSecret;
use crate::steps::verify_cni::VerifyCni;
use crate::steps::verify_nodes::VerifyNodes;

/// What the steps of a node pool fan out over.
const POOLS: &str = "/spec/node_pools";

/// A join token lives for hours, the cluster for years.
const JOIN_TOKEN: Lasts = Lasts::UntilItExpires {
    expired: "JOIN_TOKEN_UNFIT",
    code: "JOIN_TOKEN_EXPIRED",
    message: "the join token in the init script has expired, or is gone: instances that the cloud replaces on its own can't join",
    remedy: "take the cluster down and build it again, or put a token that lives longer into the published script by hand",
};

/// The definition.
#[must_use]
pub fn definition() -> Definition {
    use LostCall::{IdempotentByName, MayLand};
    const CHECKS: [&str; 5] = [
        "check-identity",
        "check-registered-cluster",
        "check-network",
        "check-capacity",
        "check-kubernetes",
    ];
    // The gate comes after every check, so what comes after the gate has them all behind it.
    const GATE: [&str; 1] = ["approve-spend"];
    #[rustfmt::skip]
    let templates = vec![
        Template::check("check-identity", CheckIdentity).lasts(Lasts::Always),
        Template::check("check-registered-cluster", CheckRegisteredCluster).lasts(Lasts::Always),
        Template::check("check-network", CheckNetwork),
        Template::check("check-capacity", CheckCapacity),
        Template::check("check-kubernetes", CheckKubernetes),
        Template::new("approve-spend", Work::Gate).after(&CHECKS),
        Template::action("fence-calico", FenceCalico).after(&GATE).lost_call(IdempotentByName),
        Template::action("create-ram-policy", CreateRamPolicy).after(&GATE).keys(policy_keys).lost_call(MayLand),
        Template::action("create-ram-user", CreateRamUser).after(&GATE).keys(user_keys).group(UNDO_GROUP).lost_call(IdempotentByName),
        Template::action("attach-ram-policy", AttachRamPolicy).after(&["create-ram-policy", "create-ram-user"]).keys(attachment_keys).lost_call(IdempotentByName),
        Template::action("create-access-key", CreateAccessKey).after(&["create-ram-user"]).keys(user_keys).group(UNDO_GROUP).lost_call(MayLand),
        Template::action("store-addon-secret", StoreAddonSecret).after(&["create-access-key"]).keys(user_keys).group(UNDO_GROUP).lost_call(IdempotentByName),
        Template::action("install-terway", InstallTerway).after(&["attach-ram-policy", "store-addon-secret"]).lost_call(MayLand),
        Template::action("configure-eni", ConfigureEni).after(&["install-terway"]).lost_call(IdempotentByName),
        Template::action("mint-join-token", MintJoinToken).after(&GATE).lost_call(IdempotentByName).lasts(JOIN_TOKEN),
        Template::action("publish-init-script", PublishInitScript).after(&["mint-join-token"]).keys(bucket_keys).lost_call(IdempotentByName),
        Template::action("register-init-script", RegisterInitScript).after(&["publish-init-script"]).lost_call(IdempotentByName),
        Template::action("create-node-pool", CreateNodePool).over(POOLS).after(&["fence-calico", "configure-eni", "register-init-script"]).lost_call(IdempotentByName),
        Template::action("scale-out", ScaleOut).over(POOLS).after(&["create-node-pool"]).lost_call(IdempotentByName),
        Template::check("verify-nodes", VerifyNodes).over(POOLS).after(&["scale-out"]).lasts(Lasts::Always),
        Template::check("verify-cni", VerifyCni).after(&["verify-nodes"]).lasts(Lasts::Always),
    ];
    Definition {
        name: "hybrid-cluster",
        revision: 1,
        templates,
        cluster_id: Some("/spec/cluster_id"),
        undoes: None,
    }
}

fn policy_keys(facts: &Facts<'_>) -> Vec<ResourceKey> {
    vec![policy_key(facts.account_id)]
}

fn user_keys(facts: &Facts<'_>) -> Vec<ResourceKey> {
    let name = user_name(facts.text("/spec/cluster_id"));
    vec![ResourceKey::new(format!("account/{}/ram-user/{name}", facts.account_id))]
}

fn attachment_keys(facts: &Facts<'_>) -> Vec<ResourceKey> {
    // Which user it will be is known only once the cluster's Secret was read, and two clusters may have the same one: the
    // policy is held for all attachments of it.
    [policy_keys(facts), user_keys(facts)].concat()
}

fn bucket_keys(facts: &Facts<'_>) -> Vec<ResourceKey> {
    // The object's key is known only once it is rendered, so the bucket is held for all of it.
    let bucket = facts.text("/spec/init_script/publish/oss/bucket");
    vec![ResourceKey::new(format!("bucket/{bucket}/policy"))]
}

/// What was built, for the HybridCluster record (the proto's `HybridClusterResult` as canonical JSON), from the outputs of the
/// steps. What is not known is left out.
#[must_use]
pub fn result(outputs: &BTreeMap<StepName, Value>) -> Value {
    let output = |step: &str| outputs.get(&StepName::from(step)).unwrap_or(&Value::Null);
    let mut result = json!({
        "kubernetes_version": output("check-kubernetes")["version"],
        "terway_version": output("install-terway")["version"],
        "init_script_url": output("register-init-script")["url"],
        "join_token_expire_time": output("mint-join-token")["expires_at"],
        "node_pools": pools(outputs),
        "placement": placement(output("verify-cni")),
    });
    if let Value::Object(fields) = &mut result {
        fields.retain(|_, value| !value.is_null() && *value != "");
    }
    result
}

fn pools(outputs: &BTreeMap<StepName, Value>) -> Vec<Value> {
    let region = outputs
        .get(&StepName::from("check-registered-cluster"))
        .and_then(|output| output["region"].as_str())
        .unwrap_or_default();
    let mut pools = Vec::new();
    for (step, created) in
        outputs.iter().filter(|(step, _)| step.as_str().starts_with("create-node-pool["))
    {
        let key = step.as_str().trim_start_matches("create-node-pool");
        let of = |template: &str| {
            outputs.get(&StepName::new(format!("{template}{key}"))).unwrap_or(&Value::Null)
        };
        let nodes: Vec<Value> = of("verify-nodes")["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|node| built_node(node, region))
            .collect();
        let size = of("scale-out")["instance_ids"].as_array().map_or(0, Vec::len);
        pools.push(json!({"name": created["name"], "id": created["nodepool_id"], "size": size, "nodes": nodes}));
    }
    pools
}

fn built_node(node: &Value, region: &str) -> Value {
    let instance = node["instance_id"].as_str().unwrap_or_default();
    json!({
        "name": node["name"], "instance_id": instance, "provider_id": format!("{region}.{instance}"), "internal_ip": node["ip"],
        // Only nodes that were seen Ready pass the step that lists them.
        "ready": true,
    })
}

fn placement(cni: &Value) -> Vec<String> {
    let line = |what: &str, place: &str, nodes: &Value| {
        let names: Vec<&str> =
            nodes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let plural = if names.len() == 1 { "node" } else { "nodes" };
        let list = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        format!("{what} on {} {place} {plural}{list}", names.len())
    };
    if cni.is_null() {
        return Vec::new();
    }
    vec![
        line("calico-node", "on-premises", &cni["calico_nodes"]),
        line("terway-eniip", "cloud", &cni["terway_nodes"]),
    ]
}

#[cfg(test)]
mod tests {
    use causeway_engine::StepSpec;

    use super::*;
    use crate::timing::Timing;

    fn steps(pools: &[&str]) -> Vec<StepSpec> {
        let pools: Vec<Value> = pools.iter().map(|name| json!({"name": name})).collect();
        let input = json!({"spec": {
            "cluster_id": "c1", "node_pools": pools, "init_script": {"publish": {"oss": {"bucket": "kubelet-scripts"}}},
        }});
        definition().expand(&input, "123", &Timing::default()).unwrap()
    }

    fn after(steps: &[StepSpec], name: &str) -> Vec<String> {
        let step = steps.iter().find(|step| step.name.as_str() == name).unwrap();
        step.after.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn several_pools_fan_out_and_join_again() {
        let steps = steps(&["a", "b"]);
        assert_eq!(after(&steps, "scale-out[b]"), ["create-node-pool[b]"]);
        assert_eq!(
            after(&steps, "create-node-pool[a]"),
            ["fence-calico", "configure-eni", "register-init-script"]
        );
        assert_eq!(after(&steps, "verify-cni"), ["verify-nodes[a]", "verify-nodes[b]"]);
    }

    #[test]
    fn no_action_starts_before_every_check_at_the_beginning_has_passed() {
        let steps = steps(&["a"]);
        for name in ["fence-calico", "create-ram-policy", "create-ram-user", "mint-join-token"] {
            assert_eq!(after(&steps, name), ["approve-spend"], "{name}");
        }
        assert_eq!(after(&steps, "approve-spend").len(), 5);
    }

    #[test]
    fn the_bucket_is_held_while_its_policy_changes() {
        let steps = steps(&["a"]);
        let publish = steps.iter().find(|step| step.template == "publish-init-script").unwrap();
        assert_eq!(publish.keys, [ResourceKey::from("bucket/kubelet-scripts/policy")]);
    }

    #[test]
    fn the_policy_is_held_while_it_is_attached() {
        let steps = steps(&["a"]);
        let keys = |template: &str| {
            steps.iter().find(|step| step.template == template).unwrap().keys.clone()
        };
        assert!(keys("attach-ram-policy").contains(&keys("create-ram-policy")[0]));
    }

    #[test]
    fn the_cluster_is_locked_by_its_id() {
        let lock = definition().lock(&json!({"spec": {"cluster_id": "c1"}}));
        assert_eq!(lock, Some(ResourceKey::from("cluster/c1")));
    }

    #[test]
    fn the_result_says_what_was_built_and_leaves_out_what_is_not_known() {
        let outputs = [
            ("check-registered-cluster", json!({"region": "cn-hangzhou"})),
            ("check-kubernetes", json!({"version": "1.30.4"})),
            ("install-terway", json!({"version": "v1.14.5"})),
            ("register-init-script", json!({"url": "http://b/k"})),
            ("mint-join-token", json!({"expires_at": ""})),
            ("create-node-pool[burst]", json!({"nodepool_id": "np1", "name": "burst"})),
            ("scale-out[burst]", json!({"instance_ids": ["i-1"], "nodes": ["n1"]})),
            (
                "verify-nodes[burst]",
                json!({"nodes": [{"name": "n1", "instance_id": "i-1", "ip": "10.10.24.5"}]}),
            ),
            ("verify-cni", json!({"calico_nodes": ["dc1-a", "dc1-b"], "terway_nodes": ["n1"]})),
        ];
        let outputs =
            outputs.into_iter().map(|(step, output)| (StepName::from(step), output)).collect();
        let expected = json!({
            "kubernetes_version": "1.30.4",
            "terway_version": "v1.14.5",
            "init_script_url": "http://b/k",
            "node_pools": [{"name": "burst", "id": "np1", "size": 1, "nodes": [{
                "name": "n1", "instance_id": "i-1", "provider_id": "cn-hangzhou.i-1", "internal_ip": "10.10.24.5", "ready": true,
            }]}],
            "placement": ["calico-node on 2 on-premises nodes: dc1-a, dc1-b", "terway-eniip on 1 cloud node: n1"],
        });
        assert_eq!(result(&outputs), expected);
        assert_eq!(result(&BTreeMap::new()), json!({"node_pools": [], "placement": []}));
    }
}
