//! The rules of node pools.

use super::document::{Spec, Vpc};
use super::pool::{Disk, Image, Login, NodePool, Taint};
use super::rules::{self, Report, VSWITCHES_MAX, cloud_id, label_value_message};
use super::{reason, syntax};
use crate::connection::ConnectionConfig;

/// Most node pools in one document.
const POOLS_MAX: usize = 10;
/// Most characters of a pool's name, by the cloud's schema.
const NAME_CHARS_MAX: usize = 63;
/// Most instance types of a pool, by the cloud's schema.
const TYPES_MAX: usize = 10;
/// Most security groups of one network interface.
const GROUPS_MAX: usize = 5;
/// Most labels of a pool, by the cloud's schema.
const LABELS_MAX: usize = 20;
/// Most taints of a pool.
const TAINTS_MAX: usize = 20;
/// Sizes of a system disk in GiB.
const DISK_GIB: (u32, u32) = (20, 2048);
/// Image types where no script can work, and why.
const IMAGES_REFUSED: [(&str, &str); 2] = [
    (
        "ContainerOS",
        "ContainerOS has no package manager and a read-only system, so the init script can't make it a node",
    ),
    ("Windows", "the init script is for Linux, and Terway has no Windows nodes"),
];

/// All node pools.
pub(super) fn pools(spec: &Spec, connection: Option<&ConnectionConfig>, report: &mut Report) {
    report.count("spec.node_pools", "node pools", spec.node_pools.len(), 1, POOLS_MAX);
    for (index, pool) in spec.node_pools.iter().enumerate() {
        one(&format!("spec.node_pools[{index}]"), pool, spec, report);
    }
    report.duplicates(
        |index| format!("spec.node_pools[{index}].name"),
        spec.node_pools.iter().map(|pool| pool.name.as_str()),
    );
    if let Some(connection) = connection {
        sizes(&spec.node_pools, connection, report);
    }
}

/// Sizes against what the connection allows: the pool that is too large alone, else all together.
fn sizes(pools: &[NodePool], connection: &ConnectionConfig, report: &mut Report) {
    let max = connection.max_nodes;
    let message = |nodes: u64| {
        format!(
            "{nodes} nodes are more than connection `{}` allows, which is {max}; ask for fewer, or have `max_nodes` raised in the daemon's configuration",
            connection.name
        )
    };
    let mut alone = false;
    for (index, size) in
        pools.iter().enumerate().filter_map(|(index, pool)| Some((index, pool.size?)))
    {
        if size > max {
            alone = true;
            report.add(
                &format!("spec.node_pools[{index}].size"),
                reason::OUT_OF_RANGE,
                message(size.into()),
            );
        }
    }
    let total: u64 = pools.iter().filter_map(|pool| pool.size).map(u64::from).sum();
    if !alone && total > u64::from(max) {
        report.add(
            "spec.node_pools",
            reason::OUT_OF_RANGE,
            format!("all pools together: {}", message(total)),
        );
    }
}

fn one(path: &str, pool: &NodePool, spec: &Spec, report: &mut Report) {
    if pool.existing.is_some() {
        // Nothing else of such a pool is given, so nothing else is judged.
        report.not_yet(&format!("{path}.existing"), "give a name for a new pool instead");
        return;
    }
    name(&format!("{path}.name"), &pool.name, report);
    if pool.size.is_none() {
        report.required(&format!("{path}.size"), "the number of nodes");
    }
    types(&format!("{path}.instance_types"), &pool.instance_types, report);
    if pool.charge.spot.is_some() {
        report.not_yet(&format!("{path}.charge.spot"), "use `charge: {pay_as_you_go: {}}`");
    }
    vswitches(path, pool, &spec.vpc, report);
    groups(&format!("{path}.security_group_ids"), &pool.security_group_ids, report);
    if let Some(given) = &pool.image {
        image(&format!("{path}.image"), given, report);
    }
    disk(&format!("{path}.system_disk"), &pool.system_disk, report);
    if !pool.data_disks.is_empty() {
        report.not_yet(
            &format!("{path}.data_disks"),
            "leave them out; the system disk can be larger (`system_disk.size_gib`)",
        );
    }
    login(&format!("{path}.login"), &pool.login, report);
    labels(path, pool, report);
    report.count(&format!("{path}.taints"), "taints", pool.taints.len(), 0, TAINTS_MAX);
    taints(&format!("{path}.taints"), &pool.taints, report);
    rules::tags(&format!("{path}.tags"), &pool.tags, report);
    if !pool.resource_group_id.is_empty() {
        cloud_id(&format!("{path}.resource_group_id"), &pool.resource_group_id, "rg", report);
    }
}

fn name(path: &str, name: &str, report: &mut Report) {
    if name.is_empty() {
        report.required(path, "a name that no other pool of the cluster has");
    } else if name.starts_with('-') || !syntax::is_word(name, NAME_CHARS_MAX, b"-") {
        let message = format!(
            "`{name}` is no pool's name: use 1 to {NAME_CHARS_MAX} letters, digits and `-`, without a `-` at the beginning"
        );
        report.invalid(path, &message);
    }
}

fn types(path: &str, types: &[String], report: &mut Report) {
    report.count(path, "instance types", types.len(), 1, TYPES_MAX);
    for (index, name) in types.iter().enumerate() {
        if !name.starts_with("ecs.") || !syntax::is_word(name, 64, b".-") {
            report.invalid(
                &format!("{path}[{index}]"),
                &format!("`{name}` is no instance type; write it like `ecs.g7.xlarge`"),
            );
        }
    }
    report.duplicates(|index| format!("{path}[{index}]"), types.iter().map(String::as_str));
}

fn vswitches(path: &str, pool: &NodePool, vpc: &Vpc, report: &mut Report) {
    let path = format!("{path}.vswitch_ids");
    report.count(&path, "vSwitches", pool.vswitch_ids.len(), 0, VSWITCHES_MAX);
    for (index, id) in pool.vswitch_ids.iter().enumerate() {
        if !vpc.node_vswitches.iter().any(|vswitch| vswitch.id == *id) {
            let message = format!(
                "`{id}` is not among `spec.vpc.node_vswitches`, so its network would not be checked; add it there too"
            );
            report.invalid(&format!("{path}[{index}]"), &message);
        }
    }
    report.duplicates(
        |index| format!("{path}[{index}]"),
        pool.vswitch_ids.iter().map(String::as_str),
    );
}

fn groups(path: &str, groups: &[String], report: &mut Report) {
    report.count(path, "security groups", groups.len(), 0, GROUPS_MAX);
    for (index, id) in groups.iter().enumerate() {
        cloud_id(&format!("{path}[{index}]"), id, "sg", report);
    }
    report.duplicates(|index| format!("{path}[{index}]"), groups.iter().map(String::as_str));
}

fn image(path: &str, image: &Image, report: &mut Report) {
    if !image.kind.is_empty() && !image.id.is_empty() {
        report.add(path, reason::CONTRADICTION, "has both `type` and `id`; give one of them");
    }
    if !image.kind.is_empty() && !syntax::is_word(&image.kind, 64, b"_-.") {
        report.invalid(
            &format!("{path}.type"),
            &format!("`{}` is no image type; write it like `AliyunLinux3`", image.kind),
        );
    }
    if let Some((_, why)) = IMAGES_REFUSED.iter().find(|(kind, _)| image.kind.starts_with(kind)) {
        report.invalid(&format!("{path}.type"), &format!("{why}; use `AliyunLinux3`"));
    }
    if !image.id.is_empty() && !syntax::is_word(&image.id, 128, b"_-.") {
        report.invalid(
            &format!("{path}.id"),
            &format!("`{}` is no image's id; write it like `m-bp1…`", image.id),
        );
    }
}

fn disk(path: &str, disk: &Disk, report: &mut Report) {
    if !disk.category.is_empty() && !syntax::is_word(&disk.category, 64, b"_") {
        report.invalid(
            &format!("{path}.category"),
            &format!("`{}` is no disk category; write it like `cloud_essd`", disk.category),
        );
    }
    let level = &disk.performance_level;
    if !level.is_empty() {
        if !matches!(disk.category.as_str(), "" | "cloud_essd") {
            let message = format!(
                "only `cloud_essd` has performance levels, and the category is `{}`; leave it out",
                disk.category
            );
            report.add(&format!("{path}.performance_level"), reason::CONTRADICTION, message);
        } else if !matches!(level.as_str(), "PL0" | "PL1" | "PL2" | "PL3") {
            report.invalid(
                &format!("{path}.performance_level"),
                &format!("`{level}` is no performance level; use PL0, PL1, PL2 or PL3"),
            );
        }
    }
    let Some(size) = disk.size_gib else { return };
    let least = match level.as_str() {
        "PL2" => 461,
        "PL3" => 1261,
        _ => DISK_GIB.0,
    };
    if size < least || size > DISK_GIB.1 {
        let message =
            format!("is {size}; a system disk of this kind has {least} to {} GiB", DISK_GIB.1);
        report.add(&format!("{path}.size_gib"), reason::OUT_OF_RANGE, message);
    }
}

fn login(path: &str, login: &Login, report: &mut Report) {
    match (&login.key_pair, &login.password) {
        (None, None) => report.required(path, "exactly one of `key_pair: {name: …}` and `password: {secret: {namespace: …, name: …}}`"),
        (Some(_), Some(_)) => {
            report.add(path, reason::CONTRADICTION, "has both `key_pair` and `password`, and the cloud takes exactly one; give one of them");
        }
        (Some(key_pair), None) if key_pair.name.is_empty() => {
            report.required(&format!("{path}.key_pair.name"), "the name of an ECS key pair");
        }
        (Some(key_pair), None) => {
            if !syntax::is_word(&key_pair.name, 128, b"_-.:") {
                report.invalid(&format!("{path}.key_pair.name"), &format!("`{}` is no name of a key pair", key_pair.name));
            }
        }
        (None, Some(password)) => {
            if !syntax::is_dns_label(&password.secret.namespace) {
                report.invalid(&format!("{path}.password.secret.namespace"), "is no name of a namespace; give the Secret's");
            }
            if !syntax::is_dns_name(&password.secret.name, 253) {
                report.invalid(&format!("{path}.password.secret.name"), "is no name of a Secret; give the one that has the key `password`");
            }
        }
    }
}

fn labels(path: &str, pool: &NodePool, report: &mut Report) {
    let path = format!("{path}.labels");
    report.count(&path, "labels", pool.labels.len(), 0, LABELS_MAX);
    for (key, value) in &pool.labels {
        let path = format!("{path}[{key:?}]");
        if let Some(fault) = syntax::qualified_name_fault(key) {
            report.invalid(&path, &format!("the key is no label's key: {fault}"));
        } else if let Some(fault) = syntax::node_label_fault(key) {
            report.add(&path, reason::RESERVED, fault);
        }
        if !value.is_empty() && !syntax::is_label_word(value) {
            report.invalid(&path, &label_value_message(value));
        }
    }
}

fn taints(path: &str, taints: &[Taint], report: &mut Report) {
    for (index, taint) in taints.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if let Some(fault) = syntax::qualified_name_fault(&taint.key) {
            report.invalid(
                &format!("{path}.key"),
                &format!("`{}` is no taint's key: {fault}", taint.key),
            );
        }
        if !taint.value.is_empty() && !syntax::is_label_word(&taint.value) {
            report.invalid(&format!("{path}.value"), &label_value_message(&taint.value));
        }
        if !matches!(taint.effect.as_str(), "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            let message = format!(
                "`{}` is no effect of a taint; use NoSchedule, PreferNoSchedule or NoExecute",
                taint.effect
            );
            report.invalid(&format!("{path}.effect"), &message);
        }
        let same = |other: &Taint| other.key == taint.key && other.effect == taint.effect;
        if taints[..index].iter().any(same) {
            let message = format!(
                "`{}` with effect {} stands there already; name each once",
                taint.key, taint.effect
            );
            report.add(&path, reason::DUPLICATE, message);
        }
    }
}
