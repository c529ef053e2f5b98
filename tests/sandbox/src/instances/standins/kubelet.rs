//! kubelet: reads its flags as the packaged unit hands them over, refuses what the real one refuses, and registers its
//! Node with what it was given and nothing else. Facts: reference, section 6.5.

use std::{collections::BTreeMap, fs, net::IpAddr, time::Duration};

use super::{
    super::{
        NodeTaint, Registration,
        relay::{REGISTER, Registering},
    },
    wire::{Ask, Failure, ask},
};

/// What `kubeadm join` left for kubelet.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Bootstrap {
    /// Of the API server.
    pub(super) endpoint: String,
    /// The name that the certificate is made out to.
    pub(super) certificate_name: String,
}

/// The bootstrap's place in the machine's state.
pub(super) const BOOTSTRAP: &str = "bootstrap";
/// Flags that kubeadm passes.
pub(super) const KUBEADM_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
/// Set once the Node is registered.
const REGISTERED: &str = "registered";

/// Label keys in kubernetes.io and k8s.io that a kubelet may set on its own Node, beside the two prefixes below.
const OWN_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
];
const OWN_LABEL_NAMESPACES: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

/// The flags that node scripts and kubeadm give; any other is unknown.
const FLAGS: &[&str] = &[
    "--node-labels",
    "--register-with-taints",
    "--hostname-override",
    "--provider-id",
    "--node-ip",
    "--kubeconfig",
    "--bootstrap-kubeconfig",
    "--config",
    "--config-dir",
    "--container-runtime-endpoint",
    "--pod-infra-container-image",
    "--cgroup-driver",
    "--cloud-provider",
    "--max-pods",
    "--root-dir",
    "--cert-dir",
    "--v",
    "-v",
    "--fail-swap-on",
    "--feature-gates",
    "--cluster-dns",
    "--cluster-domain",
    "--kube-reserved",
    "--system-reserved",
    "--eviction-hard",
    "--rotate-certificates",
    "--read-only-port",
    "--register-node",
    "--resolv-conf",
    "--authorization-mode",
    "--anonymous-auth",
    "--client-ca-file",
    "--image-gc-high-threshold",
    "--image-gc-low-threshold",
    "--pod-manifest-path",
    "--node-status-update-frequency",
    "--serialize-image-pulls",
    "--container-log-max-size",
    "--container-log-max-files",
    "--runtime-cgroups",
    "--kubelet-cgroups",
    "--protect-kernel-defaults",
    "--tls-cipher-suites",
    "--topology-manager-policy",
    "--cpu-manager-policy",
    "--allowed-unsafe-sysctls",
];

/// Given for a yes by standing alone.
const SWITCHES: &[&str] = &[
    "--fail-swap-on",
    "--rotate-certificates",
    "--register-node",
    "--anonymous-auth",
    "--serialize-image-pulls",
    "--protect-kernel-defaults",
];

/// `kubelet`, run by hand.
pub(super) fn run(args: &[String]) -> i32 {
    if args.iter().any(|arg| arg.starts_with("--version")) {
        println!(
            "Kubernetes v{}",
            super::recall("kubelet-version").unwrap_or_else(|| "1.30.4".into())
        );
        return 0;
    }
    match parse_flags(args).and_then(|flags| register(&flags)) {
        Ok(()) => 0,
        Err(message) => super::fail(&format!("E kubelet: {message}"), 1),
    }
}

/// What the unit does: kubeadm's flags, then the extra ones of the system's own file. Without credentials kubelet
/// starts over and over until `kubeadm join` brings them.
pub(super) fn start() -> Result<(), String> {
    let extra = super::system().kubelet_flags();
    let mut words = environment(KUBEADM_FLAGS, "KUBELET_KUBEADM_ARGS");
    words.extend(environment(extra, "KUBELET_EXTRA_ARGS"));
    let flags = parse_flags(&words)
        .map_err(|error| format!("failed to run Kubelet: {error} (flags of {extra})"))?;
    register(&flags)
}

fn register(flags: &BTreeMap<String, String>) -> Result<(), String> {
    let registration = registration(flags)?;
    let Some(bootstrap) = super::recall(BOOTSTRAP) else { return Ok(()) };
    let Bootstrap { endpoint, certificate_name } =
        serde_json::from_str(&bootstrap).map_err(|error| error.to_string())?;
    if super::recall(REGISTERED).is_some_and(|name| name == registration.name) {
        return Ok(());
    }
    let name = registration.name.clone();
    let body = serde_json::to_vec(&Registering { certificate_name, registration })
        .map_err(|error| error.to_string())?;
    post(&endpoint, REGISTER, &body)?;
    super::remember(REGISTERED, &name)
}

/// Sends `body` to the API server; the error is what it answered.
pub(super) fn post(endpoint: &str, path: &str, body: &[u8]) -> Result<(), String> {
    let url = format!("https://{endpoint}{path}");
    let headers = ["Content-Type: application/json".to_owned()];
    match ask(&Ask {
        method: "POST",
        url: &url,
        headers: &headers,
        body,
        patience: Duration::from_secs(30),
    }) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(String::from_utf8_lossy(&answer.body).into_owned()),
        Err(Failure::Unresolved | Failure::BadUrl) => {
            Err(format!("dial tcp {endpoint}: i/o timeout"))
        }
        Err(Failure::Broken(why)) => Err(format!("dial tcp {endpoint}: {why}")),
    }
}

/// The words of `variable` in an EnvironmentFile of systemd; the last assignment counts.
fn environment(path: &str, variable: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.replace("\\\n", " ");
    let value = lines
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix(variable)?.strip_prefix('=').map(str::trim));
    let Some(value) = value else { return Vec::new() };
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    unquoted.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
}

/// The flags, the last of a name counting.
pub(super) fn parse_flags(words: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut flags = BTreeMap::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            return Err(format!("unknown command \"{word}\""));
        }
        let (name, joined) = word
            .split_once('=')
            .map_or((word.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        if !FLAGS.contains(&name) {
            return Err(format!("failed to parse kubelet flag: unknown flag: {name}"));
        }
        let value = match joined {
            Some(value) => value,
            None if SWITCHES.contains(&name) => "true".to_owned(),
            None => rest.next().cloned().ok_or_else(|| {
                format!("failed to parse kubelet flag: flag needs an argument: {name}")
            })?,
        };
        flags.insert(name.to_owned(), value);
    }
    Ok(flags)
}

fn registration(flags: &BTreeMap<String, String>) -> Result<Registration, String> {
    let given =
        |name: &str| flags.get(name).map(|value| value.trim_matches(['"', '\'']).to_owned());
    let name = given("--hostname-override")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(super::quiet::current_hostname)
        .to_ascii_lowercase();
    if name.is_empty()
        || name.len() > 253
        || !name.split('.').all(|part| is_name(part) && !part.contains('_'))
    {
        return Err(format!(
            "Unable to register node with API server: Node \"{name}\" is invalid: metadata.name: a lowercase RFC 1123 subdomain is needed"
        ));
    }
    let provider_id = given("--provider-id");
    if provider_id.as_deref() == Some("") {
        return Err("--provider-id is empty".into());
    }
    let node_ip = given("--node-ip");
    if let Some(ip) = &node_ip
        && ip.parse::<IpAddr>().is_err()
    {
        return Err(format!("bad --node-ip \"{ip}\": it is no IP address"));
    }
    if given("--cloud-provider")
        .is_some_and(|provider| !matches!(provider.as_str(), "" | "external"))
    {
        return Err(
            "failed to validate kubelet flags: --cloud-provider knows \"external\" only".into()
        );
    }
    let labels = parse_labels(&given("--node-labels").unwrap_or_default())?;
    let mut taints = parse_taints(&given("--register-with-taints").unwrap_or_default())?;
    if given("--cloud-provider").as_deref() == Some("external") {
        // Nobody takes it away without a cloud controller manager.
        taints.push(NodeTaint {
            key: "node.cloudprovider.kubernetes.io/uninitialized".into(),
            value: "true".into(),
            effect: "NoSchedule".into(),
        });
    }
    Ok(Registration {
        name,
        provider_id,
        labels,
        taints,
        node_ip,
        kubelet_version: super::recall("kubelet-version"),
    })
}

/// `--node-labels`: `key=value,…`.
pub(in super::super) fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("invalid argument \"{text}\" for \"--node-labels\": {pair} must be formatted as key=value"))?;
        if !is_key(key) {
            return Err(format!("invalid label key \"{key}\" in --node-labels"));
        }
        if !value.is_empty() && !is_name(value) {
            return Err(format!("invalid value \"{value}\" of label {key} in --node-labels"));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    let refused: Vec<&str> =
        labels.keys().map(String::as_str).filter(|key| !is_own_label(key)).collect();
    if refused.is_empty() {
        return Ok(labels);
    }
    Err(format!(
        "failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: {refused:?}; \
         allowed are the prefixes {OWN_LABEL_NAMESPACES:?} and {OWN_LABELS:?}"
    ))
}

fn is_own_label(key: &str) -> bool {
    let Some((namespace, _name)) = key.split_once('/') else { return true };
    let within = |domain: &str| namespace == domain || namespace.ends_with(&format!(".{domain}"));
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    OWN_LABELS.contains(&key) || OWN_LABEL_NAMESPACES.iter().any(|own| within(own))
}

/// `--register-with-taints`: `key=value:Effect,…`, also `key:Effect`.
pub(in super::super) fn parse_taints(text: &str) -> Result<Vec<NodeTaint>, String> {
    text.split(',').filter(|taint| !taint.is_empty()).map(parse_taint).collect()
}

fn parse_taint(text: &str) -> Result<NodeTaint, String> {
    let invalid = || {
        format!(
            "invalid taint spec \"{text}\" in --register-with-taints: it must be key=value:Effect"
        )
    };
    let (pair, effect) = text.rsplit_once(':').ok_or_else(invalid)?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let valid = is_key(key)
        && (value.is_empty() || is_name(value))
        && matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute");
    valid
        .then(|| NodeTaint {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
        })
        .ok_or_else(invalid)
}

fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((namespace, name)) => {
            namespace.len() <= 253
                && namespace.split('.').all(|part| is_name(part) && !part.contains(['_', '.']))
                && is_name(name)
        }
        None => is_name(key),
    }
}

/// At most 63 of letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit.
fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<Registration, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse_flags(&words).and_then(|flags| registration(&flags))
    }

    #[test]
    fn a_node_has_what_kubelet_was_given() {
        let node = flags(
            "--node-labels=alibabacloud.com/external=true,workload=cpu --register-with-taints=workload=ack:NoSchedule --hostname-override cn-hangzhou.10.10.24.5 \
             --provider-id=cn-hangzhou.i-abc",
        )
        .expect("these flags are right");
        assert_eq!(node.name, "cn-hangzhou.10.10.24.5");
        assert_eq!(node.provider_id.as_deref(), Some("cn-hangzhou.i-abc"));
        assert_eq!(node.labels.len(), 2);
        assert_eq!(
            node.taints,
            [NodeTaint {
                key: "workload".into(),
                value: "ack".into(),
                effect: "NoSchedule".into()
            }]
        );
    }

    #[test]
    fn what_kubelet_refuses_is_refused() {
        let cases = [
            ("--node-labels=node-role.kubernetes.io/worker=", "unknown 'kubernetes.io'"),
            ("--node-labels=a", "key=value"),
            ("--node-labels=a=b/c", "invalid value"),
            ("--node-ip=cn-shenzhen.192.168.1.113", "no IP address"),
            ("--provider-id=", "--provider-id is empty"),
            ("--register-with-taints=a=b:Never", "invalid taint"),
            ("--provider=x", "unknown flag: --provider"),
            ("worker", "unknown command"),
            ("--hostname-override=a,a", "is invalid"),
        ];
        for (line, complaint) in cases {
            let name = if line.starts_with("--hostname") { "" } else { "--hostname-override=n " };
            let refusal = flags(&format!("{name}{line}")).expect_err(line);
            assert!(refusal.contains(complaint), "{line}: {refusal}");
        }
    }

    #[test]
    fn labels_of_kubelets_own_namespaces_pass() {
        assert!(parse_labels("node.kubernetes.io/pool=a,kubernetes.io/os=linux,x.node.kubernetes.io/y=1,example.com/z=").is_ok());
    }

    #[test]
    fn environment_files_are_read_as_systemd_reads_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubelet");
        let read = |text: &str| {
            fs::write(&path, text).expect("written");
            environment(path.to_str().expect("plain"), "KUBELET_EXTRA_ARGS").join(" ")
        };
        assert_eq!(read("# x\nKUBELET_EXTRA_ARGS=\"--a=b --c=d\"\n"), "--a=b --c=d");
        assert_eq!(read("KUBELET_EXTRA_ARGS=--a=b\nKUBELET_EXTRA_ARGS=--c=d\n"), "--c=d");
        assert_eq!(read("OTHER=--a=b\n"), "");
    }
}
