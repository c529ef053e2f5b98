//! The check as a whole, on a bench.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::steps::testing::Bench;

fn a_daemon_set(
    namespace: &str,
    name: &str,
    template: &Value,
) -> (crate::kubernetes::ObjectRef, Value) {
    (Resource::DAEMON_SETS.at(namespace, name), json!({"spec": {"template": {"spec": template}}}))
}

/// The guide's data center.
fn bench() -> Bench {
    let mut bench = Bench::new("check-kubernetes");
    let kubeconfig = json!({"clusters": [{"name": "", "cluster": {
        "server": "https://192.168.0.10:6443",
        "certificate-authority-data": STANDARD.encode(include_str!("testdata/ca.pem")),
    }}]});
    bench.kube.put(
        &Resource::CONFIG_MAPS.at("kube-public", "cluster-info"),
        json!({"data": {"kubeconfig": kubeconfig.to_string()}}),
    );
    let config = json!({"networking": {"serviceSubnet": "172.16.0.0/16"}}).to_string();
    bench.kube.put(
        &Resource::CONFIG_MAPS.at("kube-system", "kubeadm-config"),
        json!({"data": {"ClusterConfiguration": config}}),
    );
    let (at, calico) = a_daemon_set("kube-system", "calico-node", &json!({}));
    bench.kube.put(&at, calico);
    bench.kube.put(
        &Resource::IP_POOLS.named("default"),
        json!({"spec": {"cidr": "10.100.0.0/16", "ipipMode": "Never", "vxlanMode": "Never"}}),
    );
    bench.kube.put(
        &Resource::NODES.named("dc-1"),
        json!({"status": {"nodeInfo": {"containerRuntimeVersion": "containerd://1.7.22"}}}),
    );
    bench.input(
        &["spec", "on_premises"],
        json!({"node_cidrs": ["192.168.0.0/24"], "pod_cidrs": ["10.100.0.0/16"], "service_cidr": "172.16.0.0/16"}),
    );
    bench.input(&["spec", "node_pools"], json!([{"name": "burst", "size": 2}]));
    bench
}

async fn codes(bench: &Bench) -> Vec<String> {
    let findings = match CheckKubernetes.check(bench.context()).await {
        Ok(Checked::Passed { warnings, .. }) => warnings,
        Ok(Checked::NotYet(waiting)) => panic!("{waiting}"),
        Err(failure) => failure.findings,
    };
    findings.into_iter().map(|finding| finding.code).collect()
}

#[tokio::test]
async fn the_guides_data_center_passes_without_a_word() {
    let bench = bench();
    let Checked::Passed { output, warnings } =
        CheckKubernetes.check(bench.context()).await.unwrap()
    else {
        panic!("not yet")
    };
    assert_eq!(warnings, []);
    let output: CheckKubernetesOutput = serde_json::from_value(output).unwrap();
    assert_eq!(output.api_server, "192.168.0.10:6443");
    assert_eq!(output.calico.install, CalicoInstall::Manifest);
    assert_eq!(
        (output.version.as_str(), output.runtime.as_str()),
        ("1.30.4", "containerd://1.7.22")
    );
    assert!(output.ca_hash.starts_with("sha256:"));
    assert!(bench.kube.writes().is_empty());
}

#[tokio::test]
async fn everything_that_is_wrong_is_found_at_once() {
    let mut bench = bench();
    bench.kube.remove(&Resource::CONFIG_MAPS.at("kube-public", "cluster-info"));
    bench.kube.remove(&Resource::DAEMON_SETS.at("kube-system", "calico-node"));
    bench.kube.change(&Resource::IP_POOLS.named("default"), |pool| {
        pool["spec"]["ipipMode"] = json!("Always")
    });
    bench.input(&["spec", "on_premises", "service_cidr"], json!("172.17.0.0/16"));
    bench.input(&["spec", "terway", "version"], json!("v1.14.5"));
    bench.input(
        &["spec", "init_script", "token", "secret"],
        json!({"namespace": "kube-system", "name": "none"}),
    );
    let expected = [
        "TERWAY_VERSION",
        "CALICO_MISSING",
        "CALICO_OVERLAY",
        "CLUSTER_INFO_MISSING",
        "SERVICE_CIDR_DIFFERS",
        "JOIN_TOKEN_UNFIT",
    ];
    assert_eq!(codes(&bench).await, expected);
}

#[tokio::test]
async fn an_operators_calico_is_known_by_its_owner() {
    let bench = bench();
    bench.kube.change(&Resource::DAEMON_SETS.at("kube-system", "calico-node"), |one| {
        one["metadata"]["ownerReferences"] = json!([{"kind": "Installation", "name": "default"}]);
    });
    let Checked::Passed { output, .. } = CheckKubernetes.check(bench.context()).await.unwrap()
    else {
        panic!("not yet")
    };
    assert_eq!(output["calico"]["install"], "operator");
}

#[tokio::test]
async fn other_daemon_sets_that_would_land_are_named() {
    let mut bench = bench();
    for (name, template) in [
        ("exporter", json!({"tolerations": [{"operator": "Exists"}]})),
        ("kube-proxy", json!({})),
        ("storage", json!({"nodeSelector": {"disk": "local"}})),
        ("agent", json!({})),
    ] {
        let (at, daemon_set) = a_daemon_set("kube-system", name, &template);
        bench.kube.put(&at, daemon_set);
    }
    assert_eq!(codes(&bench).await, ["DAEMONSET_LANDS", "DAEMONSET_LANDS"], "exporter and agent");
    let taint = json!({"key": "workload", "value": "ack", "effect": "NoSchedule"});
    bench.input(&["spec", "node_pools"], json!([{"name": "burst", "size": 2, "taints": [taint]}]));
    assert_eq!(codes(&bench).await, ["DAEMONSET_LANDS"], "only exporter tolerates the taint");
}

#[tokio::test]
async fn a_pool_between_subnets_and_a_gitops_tool_are_warnings() {
    let bench = bench();
    bench.kube.change(&Resource::IP_POOLS.named("default"), |pool| {
        pool["spec"]["vxlanMode"] = json!("CrossSubnet")
    });
    bench.kube.change(&Resource::DAEMON_SETS.at("kube-system", "calico-node"), |one| {
        one["metadata"]["labels"]["argocd.argoproj.io/instance"] = json!("calico");
    });
    assert_eq!(codes(&bench).await, ["CALICO_KEPT_BY_TOOL", "CALICO_CROSS_SUBNET"]);
}
