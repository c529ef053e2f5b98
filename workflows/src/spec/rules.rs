//! The rules of the document, but for addresses (`network`) and node pools (`pool_rules`), and the list that they report to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::{
    Access, Attachment, Document, InitScript, Metadata, Oss, Run, Spec, Terway, TerwayCredentials,
    Token, VSwitch, Via, Vpc,
};
use super::{Violation, duration, network, pool_rules, reason, syntax};
use crate::connection::ConnectionConfig;

/// Most characters of `metadata.name`: it becomes part of tags and of names in the cloud.
const NAME_CHARS_MAX: usize = 40;
/// Most labels of a record.
const RECORD_LABELS_MAX: usize = 64;
/// Most vSwitches of a node pool, by the cloud's schema; the same is enough for pods.
pub(super) const VSWITCHES_MAX: usize = 8;
/// Most tags of the user's own: the cloud takes 20 on a resource, and some are set by the cluster and by Causeway.
pub(super) const TAGS_MAX: usize = 15;
/// Most warm addresses on a node.
const WARM_ADDRESSES_MAX: u32 = 500;
/// Shortest life of a join token: the last instance must have joined within it, and `scale-out` refuses to begin otherwise.
const TOKEN_TTL_MIN: Duration = Duration::from_secs(60 * 60);
/// Longest life of a join token.
const TOKEN_TTL_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest timeout.
const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Most characters of a reason in words.
const REASON_CHARS_MAX: usize = 512;
/// Most characters of the object's prefix: key and bucket must fit in a URL of 1024 bytes.
const PREFIX_CHARS_MAX: usize = 256;

/// Collects violations.
#[derive(Default)]
pub(super) struct Report(Vec<Violation>);

impl Report {
    pub(super) fn add(&mut self, path: &str, reason: &'static str, message: impl Into<String>) {
        self.0.push(Violation { path: path.to_owned(), message: message.into(), reason });
    }

    pub(super) fn invalid(&mut self, path: &str, message: &str) {
        self.add(path, reason::INVALID_VALUE, message);
    }

    pub(super) fn required(&mut self, path: &str, what: &str) {
        self.add(path, reason::REQUIRED, format!("is missing and has no default; give {what}"));
    }

    pub(super) fn not_yet(&mut self, path: &str, instead: &str) {
        self.add(
            path,
            reason::NOT_SUPPORTED_YET,
            format!("is known and not supported yet; {instead}"),
        );
    }

    pub(super) fn count(&mut self, path: &str, what: &str, count: usize, min: usize, max: usize) {
        if count == 0 && min > 0 {
            self.required(path, &format!("{min} to {max} {what}"));
        } else if count < min || count > max {
            self.add(
                path,
                reason::OUT_OF_RANGE,
                format!("has {count} {what}; give {min} to {max}"),
            );
        }
    }

    pub(super) fn duplicates<'a>(
        &mut self,
        path: impl Fn(usize) -> String,
        values: impl Iterator<Item = &'a str>,
    ) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, value) in values.enumerate() {
            if let Some(first) = seen.get(value).filter(|_| !value.is_empty()) {
                self.add(
                    &path(index),
                    reason::DUPLICATE,
                    format!("`{value}` stands in `{}` already; name each once", path(*first)),
                );
            } else {
                seen.insert(value, index);
            }
        }
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.0
    }
}

/// Every rule.
pub(super) fn document(
    document: &Document,
    connection: Option<&ConnectionConfig>,
    report: &mut Report,
) {
    if document.api_version != "causeway/v1" {
        report.invalid(
            "apiVersion",
            &format!("is `{}`; write `apiVersion: causeway/v1`", document.api_version),
        );
    }
    if document.kind != "HybridCluster" {
        report.invalid("kind", &format!("is `{}`; write `kind: HybridCluster`", document.kind));
    }
    metadata(&document.metadata, report);
    let spec = &document.spec;
    place(spec, connection, report);
    network::on_premises(&spec.on_premises, report);
    vpc(&spec.vpc, &spec.region, report);
    terway(&spec.terway, report);
    init_script(&spec.init_script, report);
    pool_rules::pools(spec, connection, report);
    run(&document.run, report);
}

fn metadata(metadata: &Metadata, report: &mut Report) {
    let name = &metadata.name;
    if name.is_empty() {
        report.required("metadata.name", "a name that no other hybrid cluster has, such as `dc1`");
    } else if name.len() > NAME_CHARS_MAX
        || !syntax::is_dns_label(name)
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
    {
        let message = format!(
            "`{name}` is no name: use 1 to {NAME_CHARS_MAX} of lower-case letters, digits and `-`, with a letter at the beginning and no `-` at the end"
        );
        report.invalid("metadata.name", &message);
    }
    if metadata.labels.len() > RECORD_LABELS_MAX {
        report.count("metadata.labels", "labels", metadata.labels.len(), 0, RECORD_LABELS_MAX);
    }
    for (key, value) in &metadata.labels {
        let path = format!("metadata.labels[{key:?}]");
        if let Some(fault) = syntax::qualified_name_fault(key) {
            report.invalid(&path, &format!("the key is no label's key: {fault}"));
        }
        if !value.is_empty() && !syntax::is_label_word(value) {
            report.invalid(&path, &label_value_message(value));
        }
    }
}

pub(super) fn label_value_message(value: &str) -> String {
    format!(
        "`{value}` is no label's value: use at most 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends"
    )
}

fn place(spec: &Spec, connection: Option<&ConnectionConfig>, report: &mut Report) {
    if spec.connection.is_empty() {
        report.required(
            "spec.connection",
            "the name of a connection of the daemon; `causeway connections` lists them",
        );
    }
    if spec.cluster_id.is_empty() {
        report.required(
            "spec.cluster_id",
            "the id of the registered cluster, as the console shows it",
        );
    } else if !spec.cluster_id.starts_with('c') || !syntax::is_word(&spec.cluster_id, 64, b"-") {
        report.invalid(
            "spec.cluster_id",
            "is no id of a registered cluster; it is `c` and 32 hex digits",
        );
    }
    if spec.region.is_empty() {
        report
            .required("spec.region", "the region of the registered cluster, such as `cn-hangzhou`");
    } else if !syntax::is_dns_label(&spec.region) {
        report.invalid(
            "spec.region",
            &format!("`{}` is no region; write it like `cn-hangzhou`", spec.region),
        );
    }
    let Some(connection) = connection else { return };
    if !spec.region.is_empty() && !connection.regions.contains(&spec.region) {
        let message = format!(
            "connection `{}` does not allow region `{}`; use one of {}, or have it added to the daemon's configuration",
            connection.name,
            spec.region,
            connection.regions.join(", ")
        );
        report.add("spec.region", reason::NOT_ALLOWED, message);
    }
    let allowed =
        connection.clusters.iter().any(|cluster| cluster == "*" || *cluster == spec.cluster_id);
    if !spec.cluster_id.is_empty() && !allowed {
        let message = format!(
            "connection `{}` does not allow cluster `{}`; use another connection, or have it added to the daemon's configuration",
            connection.name, spec.cluster_id
        );
        report.add("spec.cluster_id", reason::NOT_ALLOWED, message);
    }
}

fn vpc(vpc: &Vpc, region: &str, report: &mut Report) {
    cloud_id("spec.vpc.id", &vpc.id, "vpc", report);
    cloud_id("spec.vpc.security_group_id", &vpc.security_group_id, "sg", report);
    vswitches("spec.vpc.node_vswitches", &vpc.node_vswitches, region, report);
    vswitches("spec.vpc.pod_vswitches", &vpc.pod_vswitches, region, report);
    let path = "spec.vpc.skip_route_check_reason";
    if vpc.attachment == Attachment::None && vpc.skip_route_check_reason.trim().is_empty() {
        let message = "is missing: with `attachment: NONE` nothing shows that nodes and pods can reach each other, so say in words why they can";
        report.add(path, reason::REQUIRED, message);
    }
    if vpc.skip_route_check_reason.chars().count() > REASON_CHARS_MAX {
        report.add(
            path,
            reason::OUT_OF_RANGE,
            format!("is longer than {REASON_CHARS_MAX} characters; shorten it"),
        );
    }
}

pub(super) fn cloud_id(path: &str, id: &str, prefix: &str, report: &mut Report) {
    if id.is_empty() {
        report.required(path, &format!("an id that begins with `{prefix}-`"));
    } else if !syntax::is_cloud_id(id, prefix) {
        report.invalid(path, &format!("`{id}` is no such id; it begins with `{prefix}-`"));
    }
}

fn vswitches(path: &str, vswitches: &[VSwitch], region: &str, report: &mut Report) {
    report.count(path, "vSwitches", vswitches.len(), 1, VSWITCHES_MAX);
    for (index, vswitch) in vswitches.iter().enumerate() {
        cloud_id(&format!("{path}[{index}].id"), &vswitch.id, "vsw", report);
        let zone = &vswitch.zone;
        if !zone.is_empty()
            && (!syntax::is_dns_label(zone) || !zone.starts_with(region) || zone == region)
        {
            let message = format!(
                "`{zone}` is no zone of region `{region}`; write it like `cn-hangzhou-h`, or leave it out"
            );
            report.invalid(&format!("{path}[{index}].zone"), &message);
        }
    }
    report.duplicates(
        |index| format!("{path}[{index}].id"),
        vswitches.iter().map(|vswitch| vswitch.id.as_str()),
    );
}

fn terway(terway: &Terway, report: &mut Report) {
    let version = syntax::version(&terway.version);
    if !terway.version.is_empty() && version.is_none() {
        report.invalid(
            "spec.terway.version",
            &format!("`{}` is no version; write it like `v1.14.5`", terway.version),
        );
    }
    if terway.via == Via::Onectl {
        report.not_yet(
            "spec.terway.via",
            "use `OPENAPI`, which does the same through the cloud's API",
        );
    }
    if terway.credentials == TerwayCredentials::Secret
        && version.is_some_and(|version| version < [1, 8, 0])
    {
        let message = format!(
            "Terway {} does not read the Secret (1.8 and later do); use `AUTO` or `ENI_CONFIG`",
            terway.version
        );
        report.add("spec.terway.credentials", reason::CONTRADICTION, message);
    }
    if !terway.security_group_id.is_empty() {
        cloud_id("spec.terway.security_group_id", &terway.security_group_id, "sg", report);
    }
    if terway.pool.max > WARM_ADDRESSES_MAX {
        let message = format!(
            "is {}; no instance type has more than {WARM_ADDRESSES_MAX} addresses: give less",
            terway.pool.max
        );
        report.add("spec.terway.pool.max", reason::OUT_OF_RANGE, message);
    }
    if terway.pool.min > terway.pool.max {
        let message = format!(
            "is {}, more than `max`, which is {}; give at most that",
            terway.pool.min, terway.pool.max
        );
        report.add("spec.terway.pool.min", reason::CONTRADICTION, message);
    }
    tags("spec.terway.eni_tags", &terway.eni_tags, report);
    if terway.eni_tags.contains_key("ack.aliyun.com") {
        report.add(
            "spec.terway.eni_tags[\"ack.aliyun.com\"]",
            reason::RESERVED,
            "is always set, to the cluster's id; leave it out",
        );
    }
}

/// Tags of the user's own.
pub(super) fn tags(path: &str, tags: &BTreeMap<String, String>, report: &mut Report) {
    report.count(path, "tags", tags.len(), 0, TAGS_MAX);
    for (key, value) in tags {
        let path = format!("{path}[{key:?}]");
        if let Some(fault) = syntax::tag_key_fault(key) {
            report.invalid(&path, &format!("the key is not allowed: {fault}"));
        }
        if let Some(fault) = syntax::tag_value_fault(value) {
            report.invalid(&path, &format!("the value is not allowed: {fault}"));
        }
    }
}

fn init_script(script: &InitScript, report: &mut Report) {
    let path = "spec.init_script";
    if script.inline.is_some() {
        report.not_yet(
            "spec.init_script.inline",
            "leave it out, and Causeway writes the script (`render`)",
        );
    }
    if script.url.is_some() {
        report.not_yet(
            "spec.init_script.url",
            "leave it out, and Causeway writes and publishes the script (`render`, `publish.oss`)",
        );
    }
    if let Some(render) = &script.render {
        if !render.kubernetes_version.is_empty()
            && syntax::version(&render.kubernetes_version).is_none()
        {
            let message =
                format!("`{}` is no version; write it like `1.30.4`", render.kubernetes_version);
            report.invalid("spec.init_script.render.kubernetes_version", &message);
        }
        let containerd = &render.runtime.containerd.version;
        let plain = syntax::is_word(containerd, 64, b".-+~:")
            && containerd.starts_with(|c: char| c.is_ascii_digit());
        if !containerd.is_empty() && !plain {
            let message =
                format!("`{containerd}` is no version of a package; write it like `1.7.25`");
            report.invalid("spec.init_script.render.runtime.containerd.version", &message);
        }
    }
    if let Some(source) = &script.token {
        token(source, report);
    }
    let publish = script.publish.as_ref();
    if publish.is_some_and(|publish| publish.server.is_some()) {
        report.not_yet(
            "spec.init_script.publish.server",
            "publish in a bucket instead (`publish.oss`)",
        );
    } else {
        match publish.and_then(|publish| publish.oss.as_ref()) {
            Some(target) => oss(target, report),
            None => report.required(&format!("{path}.publish.oss.bucket"), "the name of a bucket in the cluster's region, which instances fetch the script from"),
        }
    }
}

fn token(token: &Token, report: &mut Report) {
    let path = "spec.init_script.token";
    if token.mint.is_some() && token.secret.is_some() {
        report.add(path, reason::CONTRADICTION, "has both `mint` and `secret`; give one of them");
    }
    if let Some(mint) = &token.mint {
        time(&format!("{path}.mint.ttl"), &mint.ttl, TOKEN_TTL_MIN, TOKEN_TTL_MAX, report);
    }
    if let Some(secret) = &token.secret {
        if secret.namespace != "kube-system" {
            let message = "must be `kube-system`: Kubernetes reads bootstrap tokens nowhere else";
            report.invalid(&format!("{path}.secret.namespace"), message);
        }
        let id = secret.name.strip_prefix("bootstrap-token-").unwrap_or_default();
        if id.len() != 6
            || !id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            let message = format!(
                "`{}` is no bootstrap token's Secret; it is `bootstrap-token-` and the token's six characters of id",
                secret.name
            );
            report.invalid(&format!("{path}.secret.name"), &message);
        }
    }
}

fn oss(oss: &Oss, report: &mut Report) {
    let path = "spec.init_script.publish.oss";
    if oss.bucket.is_empty() {
        report.required(&format!("{path}.bucket"), "the name of a bucket in the cluster's region");
    } else if oss.bucket.len() < 3 || !syntax::is_dns_label(&oss.bucket) {
        let message = format!(
            "`{}` is no bucket's name: it is 3 to 63 of lower-case letters, digits and `-`, with no `-` at an end",
            oss.bucket
        );
        report.invalid(&format!("{path}.bucket"), &message);
    }
    let prefix = &oss.prefix;
    let plain = prefix.is_empty() || syntax::is_word(prefix, PREFIX_CHARS_MAX, b"-_./");
    let segments_ok =
        prefix.split('/').rev().skip(1).all(|segment| !matches!(segment, "" | "." | ".."));
    if !plain || !segments_ok || matches!(prefix.as_str(), "." | "..") {
        let message = format!(
            "`{prefix}` can't begin an object's key: use at most {PREFIX_CHARS_MAX} letters, digits, `-`, `_`, `.` and `/`, without a `/` at the beginning and without empty, `.` or `..` parts"
        );
        report.invalid(&format!("{path}.prefix"), &message);
    }
    if oss.access == Access::PublicRead && !oss.allow_public_token {
        let message = "must be true with `access: PUBLIC_READ`: the script holds a token with which anybody who reads it can join the cluster; \
                       better use `access: VPC`";
        report.add(&format!("{path}.allow_public_token"), reason::REQUIRED, message);
    }
}

fn run(run: &Run, report: &mut Report) {
    let second = Duration::from_secs(1);
    if let Some(timeout) = &run.timeout {
        time("run.timeout", timeout, second, TIMEOUT_MAX, report);
    }
    time("run.queue_timeout", &run.queue_timeout, second, TIMEOUT_MAX, report);
    time("run.gates.spend.timeout", &run.gates.spend.timeout, second, TIMEOUT_MAX, report);
}

fn time(path: &str, text: &str, min: Duration, max: Duration, report: &mut Report) {
    match duration::parse(text) {
        None => report.invalid(
            path,
            &format!("`{text}` is no duration; write it like `90m`, `2h30m` or `9000s`"),
        ),
        Some(value) if value < min || value > max => {
            let message = format!(
                "is {text}; give {} to {}",
                duration::canonical(min),
                duration::canonical(max)
            );
            report.add(path, reason::OUT_OF_RANGE, message);
        }
        Some(_) => {}
    }
}

/// Rewrites valid durations in their canonical form.
pub(super) fn canonical_durations(document: &mut Document) {
    let mint = document
        .spec
        .init_script
        .token
        .as_mut()
        .and_then(|token| token.mint.as_mut())
        .map(|mint| &mut mint.ttl);
    let run = &mut document.run;
    for text in run
        .timeout
        .iter_mut()
        .chain([&mut run.queue_timeout, &mut run.gates.spend.timeout])
        .chain(mint)
    {
        if let Some(value) = duration::parse(text) {
            *text = duration::canonical(value);
        }
    }
}
