//! The rules, each by the document that breaks it: exact path, reason, and the words that say what to do.

use serde_json::{Value, json};

use super::*;
use crate::connection::CredentialSource;

fn example() -> Value {
    serde_saphyr::from_str(EXAMPLE).unwrap()
}

fn connection() -> ConnectionConfig {
    ConnectionConfig {
        name: "prod".into(),
        credentials: CredentialSource::Environment,
        account_id: "1234567890123456".into(),
        regions: vec!["cn-hangzhou".into()],
        clusters: vec!["*".into()],
        max_nodes: 10,
        max_concurrent_calls: 4,
        endpoints: Default::default(),
        kubeconfigs: Default::default(),
    }
}

/// The example with one value replaced; the pointer's last part may be new.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = example();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match parent {
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
        other => other[last] = value,
    }
    document
}

fn violations(document: &Value) -> Vec<Violation> {
    normalize_and_validate(document, Some(&connection())).expect_err("must be refused")
}

/// Asserts that just this is wrong with the document.
fn only(document: &Value, path: &str, reason: &str, word: &str) {
    let found = violations(document);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].path.as_str(), found[0].reason), (path, reason), "{found:#?}");
    assert!(found[0].message.contains(word), "{found:#?}");
}

#[test]
fn both_examples_pass() {
    for text in [EXAMPLE, EXAMPLE_FULL] {
        let document: Value = serde_saphyr::from_str(text).unwrap();
        normalize_and_validate(&document, Some(&connection())).unwrap();
        normalize_and_validate(&document, None).unwrap();
    }
}

#[test]
fn defaults_are_filled_in_and_filling_in_twice_changes_nothing() {
    let once = normalize_and_validate(&example(), None).unwrap();
    let pool = &once["spec"]["node_pools"][0];
    assert_eq!(pool["vswitch_ids"], json!(["vsw-bp1nodes"]));
    assert_eq!(pool["security_group_ids"], json!(["sg-bp1guide"]));
    assert_eq!(
        pool["system_disk"],
        json!({"category": "cloud_essd", "performance_level": "PL1", "size_gib": 120})
    );
    assert_eq!(pool["image"], json!({"type": "AliyunLinux3"}));
    assert_eq!(pool["charge"], json!({"pay_as_you_go": {}}));
    assert_eq!(once["spec"]["init_script"]["token"], json!({"mint": {"ttl": "86400s"}}));
    assert_eq!(once["spec"]["init_script"]["publish"]["oss"]["prefix"], "causeway/");
    assert_eq!(once["spec"]["terway"]["security_group_id"], "sg-bp1guide");
    assert_eq!(once["run"]["queue_timeout"], "86400s");
    assert_eq!(normalize_and_validate(&once, None).unwrap(), once);
}

#[test]
fn durations_end_up_in_seconds() {
    let document = with("/run", json!({"timeout": "2h30m"}));
    assert_eq!(normalize_and_validate(&document, None).unwrap()["run"]["timeout"], "9000s");
}

#[test]
fn unspecified_enum_values_are_the_defaults() {
    let document = with("/spec/vpc/attachment", json!("ATTACHMENT_UNSPECIFIED"));
    assert_eq!(
        normalize_and_validate(&document, None).unwrap()["spec"]["vpc"]["attachment"],
        "AUTO"
    );
}

#[test]
fn a_document_of_another_shape_is_refused_at_the_very_field() {
    only(
        &with("/spec/node_pools/0/size", json!("two")),
        "spec.node_pools[0].size",
        "INVALID_VALUE",
        "two",
    );
    only(
        &with("/spec/vpc/attachment", json!("BRIDGE")),
        "spec.vpc.attachment",
        "INVALID_VALUE",
        "BRIDGE",
    );
}

#[test]
fn all_violations_come_at_once() {
    let mut document = example();
    document["metadata"]["name"] = json!("DC 1");
    document["spec"]["on_premises"]["service_cidr"] = json!("fd00::/108");
    document["spec"]["node_pools"][0]["size"] = json!(11);
    document["spec"]["node_pools"][0]["labels"]["node-role.kubernetes.io/x"] = json!("");
    let paths: Vec<String> =
        violations(&document).into_iter().map(|violation| violation.path).collect();
    let expected = [
        "metadata.name",
        "spec.on_premises.service_cidr",
        "spec.node_pools[0].labels[\"node-role.kubernetes.io/x\"]",
        "spec.node_pools[0].size",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn an_empty_document_names_all_that_is_missing() {
    let found = normalize_and_validate(&json!({}), None).unwrap_err();
    for path in [
        "metadata.name",
        "spec.connection",
        "spec.cluster_id",
        "spec.region",
        "spec.vpc.id",
        "spec.node_pools",
    ] {
        let reasons: Vec<_> = found
            .iter()
            .filter(|violation| violation.path == path)
            .map(|violation| violation.reason)
            .collect();
        assert_eq!(reasons, ["REQUIRED"], "{path}: {found:#?}");
    }
}

#[test]
fn cidrs_are_judged_by_syntax_host_bits_family_and_overlap() {
    let cidr = |text: &str| with("/spec/on_premises/pod_cidrs/0", json!(text));
    let path = "spec.on_premises.pod_cidrs[0]";
    only(&cidr("10.100.0.0/33"), path, "INVALID_VALUE", "no IPv4 CIDR");
    only(&cidr("10.100.0.0"), path, "INVALID_VALUE", "prefix length is missing");
    only(&cidr("10.100.0.1/16"), path, "HOST_BITS_SET", "write `10.100.0.0/16`");
    only(&cidr("fd00:1::/64"), path, "IPV6_NOT_SUPPORTED", "IPv6");
    only(&cidr("fd00:1::/640"), path, "IPV6_NOT_SUPPORTED", "IPv6");
    only(&cidr("192.168.0.128/25"), path, "CIDR_OVERLAP", "spec.on_premises.node_cidrs[0]");
    only(&cidr("100.100.0.0/16"), path, "CIDR_OVERLAP", "100.64.0.0/10");
    only(
        &with("/spec/on_premises/service_cidr", json!("10.100.128.0/17")),
        "spec.on_premises.service_cidr",
        "CIDR_OVERLAP",
        "on-premises pods",
    );
    only(
        &with("/spec/on_premises/node_cidrs", json!([])),
        "spec.on_premises.node_cidrs",
        "REQUIRED",
        "1 to 32",
    );
}

#[test]
fn the_api_server_is_host_and_port() {
    let path = "spec.on_premises.api_server";
    let server = |text: &str| with("/spec/on_premises/api_server", json!(text));
    for bad in [
        "192.168.0.10",
        "https://192.168.0.10:6443",
        "192.168.0.10:0",
        "192.168.0.10:70000",
        "192.168.0:6443",
        "127.0.0.1:6443",
    ] {
        only(&server(bad), path, "INVALID_VALUE", "");
    }
    only(&server("[fd00::1]:6443"), path, "IPV6_NOT_SUPPORTED", "IPv6");
    assert!(normalize_and_validate(&server("api.dc1.example:6443"), None).is_ok());
}

#[test]
fn what_the_connection_does_not_allow_is_named() {
    let mut config = connection();
    config.regions = vec!["cn-beijing".into()];
    config.clusters = vec!["c2".into()];
    config.max_nodes = 1;
    let found = normalize_and_validate(&example(), Some(&config)).unwrap_err();
    let short: Vec<_> =
        found.iter().map(|violation| (violation.path.as_str(), violation.reason)).collect();
    let expected = [
        ("spec.region", "NOT_ALLOWED"),
        ("spec.cluster_id", "NOT_ALLOWED"),
        ("spec.node_pools[0].size", "OUT_OF_RANGE"),
    ];
    assert_eq!(short, expected);
}

#[test]
fn pools_that_are_too_large_only_together_are_refused_together() {
    let pool = example()["spec"]["node_pools"][0].clone();
    let mut second = pool.clone();
    second["name"] = json!("more");
    second["size"] = json!(9);
    only(
        &with("/spec/node_pools", json!([pool, second])),
        "spec.node_pools",
        "OUT_OF_RANGE",
        "11 nodes",
    );
}

#[test]
fn what_is_not_built_yet_is_said_and_not_ignored() {
    let cases = [
        ("/spec/terway", json!({"via": "ONECTL"}), "spec.terway.via"),
        ("/spec/init_script/inline", json!({"script": "#!/bin/sh"}), "spec.init_script.inline"),
        ("/spec/init_script/url", json!({"url": "https://x/y"}), "spec.init_script.url"),
        ("/spec/init_script/publish", json!({"server": {}}), "spec.init_script.publish.server"),
        (
            "/spec/node_pools/0",
            json!({"name": "gpu", "existing": {"id": "np1", "add": 1}}),
            "spec.node_pools[0].existing",
        ),
        ("/spec/node_pools/0/charge", json!({"spot": {}}), "spec.node_pools[0].charge.spot"),
        (
            "/spec/node_pools/0/data_disks",
            json!([{"category": "cloud_essd"}]),
            "spec.node_pools[0].data_disks",
        ),
    ];
    for (pointer, value, path) in cases {
        only(&with(pointer, value), path, "NOT_SUPPORTED_YET", "not supported yet");
    }
}

#[test]
fn names_are_judged() {
    for bad in ["1dc", "Dc", "dc_1", "dc-", &"d".repeat(41)] {
        only(&with("/metadata/name", json!(bad)), "metadata.name", "INVALID_VALUE", "1 to 40");
    }
    for bad in ["-burst", "bu rst", "burst[0]", "混合", &"b".repeat(64)] {
        only(
            &with("/spec/node_pools/0/name", json!(bad)),
            "spec.node_pools[0].name",
            "INVALID_VALUE",
            "1 to 63",
        );
    }
    let pool = example()["spec"]["node_pools"][0].clone();
    only(
        &with("/spec/node_pools", json!([pool, pool])),
        "spec.node_pools[1].name",
        "DUPLICATE",
        "spec.node_pools[0].name",
    );
}

#[test]
fn a_pools_parts_are_judged() {
    let cases = [
        ("instance_types", json!([]), "instance_types", "REQUIRED"),
        ("instance_types", json!(["g7"]), "instance_types[0]", "INVALID_VALUE"),
        ("vswitch_ids", json!(["vsw-other"]), "vswitch_ids[0]", "INVALID_VALUE"),
        ("security_group_ids", json!(["vsw-x"]), "security_group_ids[0]", "INVALID_VALUE"),
        ("image", json!({"type": "ContainerOS"}), "image.type", "INVALID_VALUE"),
        ("image", json!({"type": "A", "id": "m-1"}), "image", "CONTRADICTION"),
        ("system_disk", json!({"size_gib": 10}), "system_disk.size_gib", "OUT_OF_RANGE"),
        (
            "system_disk",
            json!({"performance_level": "PL9"}),
            "system_disk.performance_level",
            "INVALID_VALUE",
        ),
        (
            "system_disk",
            json!({"category": "cloud_ssd", "performance_level": "PL1"}),
            "system_disk.performance_level",
            "CONTRADICTION",
        ),
        ("login", json!({}), "login", "REQUIRED"),
        (
            "login",
            json!({"key_pair": {"name": "k"}, "password": {"secret": {"namespace": "a", "name": "b"}}}),
            "login",
            "CONTRADICTION",
        ),
        (
            "login",
            json!({"password": {"secret": {"namespace": "a", "name": ""}}}),
            "login.password.secret.name",
            "INVALID_VALUE",
        ),
        ("labels", json!({"a b": "c"}), "labels[\"a b\"]", "INVALID_VALUE"),
        ("labels", json!({"a": "b c"}), "labels[\"a\"]", "INVALID_VALUE"),
        ("labels", json!({"ack.aliyun.com": "c"}), "labels[\"ack.aliyun.com\"]", "RESERVED"),
        ("taints", json!([{"key": "a", "effect": "Never"}]), "taints[0].effect", "INVALID_VALUE"),
        ("taints", json!([{"key": "", "effect": "NoExecute"}]), "taints[0].key", "INVALID_VALUE"),
        ("tags", json!({"acs:x": "y"}), "tags[\"acs:x\"]", "INVALID_VALUE"),
        ("tags", json!({"causeway.workflow": "y"}), "tags[\"causeway.workflow\"]", "INVALID_VALUE"),
        ("resource_group_id", json!("x"), "resource_group_id", "INVALID_VALUE"),
    ];
    for (field, value, path, reason) in cases {
        only(
            &with(&format!("/spec/node_pools/0/{field}"), value),
            &format!("spec.node_pools[0].{path}"),
            reason,
            "",
        );
    }
    let types: Vec<String> = (0..11).map(|number| format!("ecs.g7.{number}xlarge")).collect();
    only(
        &with("/spec/node_pools/0/instance_types", json!(types)),
        "spec.node_pools[0].instance_types",
        "OUT_OF_RANGE",
        "11",
    );
    let pools: Vec<Value> = (0..11)
        .map(|number| {
            let mut pool = example()["spec"]["node_pools"][0].clone();
            pool["name"] = json!(format!("p{number}"));
            pool["size"] = json!(0);
            pool
        })
        .collect();
    only(&with("/spec/node_pools", json!(pools)), "spec.node_pools", "OUT_OF_RANGE", "1 to 10");
}

#[test]
fn script_token_and_publishing_are_judged() {
    let cases = [
        (
            "/spec/init_script/render",
            json!({"kubernetes_version": "1.30"}),
            "spec.init_script.render.kubernetes_version",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/render",
            json!({"runtime": {"containerd": {"version": "1.7;reboot"}}}),
            "spec.init_script.render.runtime.containerd.version",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/token",
            json!({"mint": {"ttl": "1s"}}),
            "spec.init_script.token.mint.ttl",
            "OUT_OF_RANGE",
        ),
        (
            "/spec/init_script/token",
            json!({"mint": {"ttl": "soon"}}),
            "spec.init_script.token.mint.ttl",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/token",
            json!({"secret": {"namespace": "kube-system", "name": "x"}}),
            "spec.init_script.token.secret.name",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/publish/oss/bucket",
            json!("A"),
            "spec.init_script.publish.oss.bucket",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/publish/oss/prefix",
            json!("/x"),
            "spec.init_script.publish.oss.prefix",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/publish/oss/prefix",
            json!("a/../b"),
            "spec.init_script.publish.oss.prefix",
            "INVALID_VALUE",
        ),
        (
            "/spec/init_script/publish/oss/access",
            json!("PUBLIC_READ"),
            "spec.init_script.publish.oss.allow_public_token",
            "REQUIRED",
        ),
        ("/spec/init_script/publish", json!({}), "spec.init_script.publish.oss.bucket", "REQUIRED"),
        ("/run", json!({"timeout": "0s"}), "run.timeout", "OUT_OF_RANGE"),
    ];
    for (pointer, value, path, reason) in cases {
        only(&with(pointer, value), path, reason, "");
    }
}

#[test]
fn an_objects_prefix_may_be_empty_or_have_parts() {
    for prefix in ["", "a", "a/b/", "a.b-c_d/"] {
        assert!(
            normalize_and_validate(
                &with("/spec/init_script/publish/oss/prefix", json!(prefix)),
                None
            )
            .is_ok(),
            "{prefix}"
        );
    }
}

#[test]
fn the_vpc_and_terway_are_judged() {
    let cases = [
        ("/spec/vpc/id", json!("x"), "spec.vpc.id", "INVALID_VALUE"),
        (
            "/spec/vpc/pod_vswitches/0/id",
            json!("sg-1"),
            "spec.vpc.pod_vswitches[0].id",
            "INVALID_VALUE",
        ),
        (
            "/spec/vpc/pod_vswitches/0/zone",
            json!("cn-beijing-h"),
            "spec.vpc.pod_vswitches[0].zone",
            "INVALID_VALUE",
        ),
        ("/spec/vpc/attachment", json!("NONE"), "spec.vpc.skip_route_check_reason", "REQUIRED"),
        ("/spec/terway", json!({"version": "newest"}), "spec.terway.version", "INVALID_VALUE"),
        (
            "/spec/terway",
            json!({"version": "v1.7.9", "credentials": "SECRET"}),
            "spec.terway.credentials",
            "CONTRADICTION",
        ),
        ("/spec/terway", json!({"pool": {"min": 6}}), "spec.terway.pool.min", "CONTRADICTION"),
        (
            "/spec/terway",
            json!({"eni_tags": {"ack.aliyun.com": "x"}}),
            "spec.terway.eni_tags[\"ack.aliyun.com\"]",
            "RESERVED",
        ),
    ];
    for (pointer, value, path, reason) in cases {
        only(&with(pointer, value), path, reason, "");
    }
}

#[test]
fn a_script_given_in_full_is_not_repeated_in_the_refusal() {
    let document =
        with("/spec/init_script/inline", json!({"script": "token=abcdef.0123456789abcdef"}));
    assert!(!format!("{:?}", violations(&document)).contains("0123456789abcdef"));
}
