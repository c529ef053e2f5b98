//! `kubeadm join` and what else of kubeadm a node script calls. Trust is decided outside, by the data center; whether
//! kubelet then comes up is decided by kubelet's own flags.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::{
    super::{Discovery, relay::DISCOVER},
    kubelet,
};

/// What `kubeadm join` leaves behind, and refuses to find already there.
const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

/// What a join was asked to do, by flags or by file.
#[derive(Debug, PartialEq, Eq)]
struct Join {
    discovery: Discovery,
    node_name: Option<String>,
    ignore: String,
    kubelet_flags: Vec<String>,
}

/// `kubeadm`.
pub(super) fn run(args: &[String]) -> i32 {
    match args.first().map(String::as_str) {
        Some("join") => match parse(&args[1..]).and_then(|order| join(&order)) {
            Ok(()) => 0,
            Err(message) => super::fail(&message, 1),
        },
        Some("version") => {
            println!("v{}", super::recall("kubeadm-version").unwrap_or_else(|| "1.30.4".into()));
            0
        }
        Some("reset") => reset(),
        Some("config") => 0,
        Some(other) => super::fail(
            &format!(
                "the sandbox's kubeadm knows join, reset, config and version, not \"{other}\""
            ),
            1,
        ),
        None => 0,
    }
}

fn reset() -> i32 {
    for path in [KUBELET_CONF, CA, kubelet::KUBEADM_FLAGS] {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return super::fail(&error.to_string(), 1);
        }
    }
    0
}

fn join(order: &Join) -> Result<(), String> {
    println!("[preflight] Running pre-flight checks");
    preflight(&order.ignore)?;
    let body = serde_json::to_vec(&order.discovery).map_err(|error| error.to_string())?;
    kubelet::post(&order.discovery.endpoint, DISCOVER, &body)
        .map_err(|error| format!("error execution phase preflight: couldn't validate the identity of the API Server: {error}"))?;
    let name =
        order.node_name.clone().unwrap_or_else(super::quiet::current_hostname).to_ascii_lowercase();
    let io = |error: std::io::Error| format!("error execution phase kubelet-start: {error}");
    fs::create_dir_all("/etc/kubernetes/pki").map_err(io)?;
    fs::create_dir_all("/var/lib/kubelet").map_err(io)?;
    fs::write(CA, "").map_err(io)?;
    fs::write("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n").map_err(io)?;
    fs::write(
        kubelet::KUBEADM_FLAGS,
        format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", order.kubelet_flags.join(" ")),
    )
    .map_err(io)?;
    let bootstrap =
        kubelet::Bootstrap { endpoint: order.discovery.endpoint.clone(), certificate_name: name };
    super::remember(
        kubelet::BOOTSTRAP,
        &serde_json::to_string(&bootstrap).map_err(|error| error.to_string())?,
    )?;
    println!("[kubelet-start] Starting the kubelet");
    kubelet::start().map_err(|error| {
        format!("kubelet: {error}\nerror execution phase kubelet-start: the kubelet is not healthy")
    })?;
    super::remember("active-kubelet", "")?;
    fs::write(KUBELET_CONF, "kind: Config\n").map_err(io)?;
    println!("\nThis node has joined the cluster.");
    Ok(())
}

fn preflight(ignore: &str) -> Result<(), String> {
    let ignored = |check: &str| {
        ignore.split(',').any(|name| name == "all" || name.eq_ignore_ascii_case(check))
    };
    let mut found = Vec::new();
    for path in [KUBELET_CONF, CA] {
        if Path::new(path).exists() {
            found.push((
                format!("FileAvailable-{}", path.replace('/', "-")),
                format!("{path} already exists"),
            ));
        }
    }
    if !Path::new("/usr/bin/kubelet").exists() {
        found.push(("FileExisting-kubelet".into(), "kubelet not found in system path".into()));
    }
    if super::recall("active-containerd").is_none() {
        found.push(("CRI".into(), "container runtime is not running: connect: /run/containerd/containerd.sock: no such file or directory".into()));
    }
    let fatal: Vec<String> = found
        .iter()
        .filter(|(check, _)| !ignored(check))
        .map(|(check, message)| format!("\t[ERROR {check}]: {message}"))
        .collect();
    if fatal.is_empty() {
        return Ok(());
    }
    Err(format!(
        "error execution phase preflight: [preflight] Some fatal errors occurred:\n{}",
        fatal.join("\n")
    ))
}

fn parse(args: &[String]) -> Result<Join, String> {
    let mut order = Join {
        discovery: Discovery {
            endpoint: String::new(),
            token: String::new(),
            ca_cert_hashes: Vec::new(),
            skip_ca_verification: false,
        },
        node_name: None,
        ignore: String::new(),
        kubelet_flags: Vec::new(),
    };
    let mut config = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (name, joined) = arg
            .split_once('=')
            .map_or((arg.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        let mut value = || {
            joined
                .clone()
                .or_else(|| rest.next().cloned())
                .ok_or_else(|| format!("flag needs an argument: {name}"))
        };
        match name {
            "--token" | "--discovery-token" => order.discovery.token = value()?,
            "--discovery-token-ca-cert-hash" => {
                order.discovery.ca_cert_hashes.extend(value()?.split(',').map(str::to_owned))
            }
            "--discovery-token-unsafe-skip-ca-verification" => {
                order.discovery.skip_ca_verification = true
            }
            "--node-name" => order.node_name = Some(value()?),
            "--ignore-preflight-errors" => order.ignore = value()?,
            "--config" => config = Some(value()?),
            "--cri-socket"
            | "--tls-bootstrap-token"
            | "-v"
            | "--v"
            | "--patches"
            | "--skip-phases" => drop(value()?),
            unknown if unknown.starts_with('-') => return Err(format!("unknown flag: {unknown}")),
            _ => order.discovery.endpoint = arg.clone(),
        }
    }
    if let Some(path) = config {
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("unable to read config from \"{path}\": {error}"))?;
        from_file(&mut order, &text)?;
    }
    complete(order)
}

fn complete(order: Join) -> Result<Join, String> {
    let discovery = &order.discovery;
    if discovery.endpoint.is_empty() || !discovery.endpoint.contains(':') {
        return Err("discovery.bootstrapToken.apiServerEndpoint: Invalid value: HOST:PORT of the API server is needed".into());
    }
    let token = |text: &str| {
        let valid = |part: &str, length: usize| {
            part.len() == length
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        text.split_once('.').is_some_and(|(id, secret)| valid(id, 6) && valid(secret, 16))
    };
    if !token(&discovery.token) {
        return Err(
            "discovery.bootstrapToken.token: Invalid value: the bootstrap token is invalid".into(),
        );
    }
    if discovery.ca_cert_hashes.is_empty() && !discovery.skip_ca_verification {
        return Err("discovery.bootstrapToken: Invalid value: using token-based discovery without caCertHashes can be unsafe".into());
    }
    Ok(order)
}

/// A JoinConfiguration, v1beta3 or v1beta4.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JoinConfiguration {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    discovery: DiscoveryConfiguration,
    #[serde(default)]
    node_registration: NodeRegistration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DiscoveryConfiguration {
    bootstrap_token: BootstrapToken,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BootstrapToken {
    api_server_endpoint: String,
    token: String,
    ca_cert_hashes: Vec<String>,
    #[serde(rename = "unsafeSkipCAVerification")]
    skip_ca_verification: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeRegistration {
    name: Option<String>,
    ignore_preflight_errors: Vec<String>,
    taints: Vec<Taint>,
    kubelet_extra_args: ExtraArgs,
}

#[derive(Debug, Deserialize)]
struct Taint {
    key: String,
    #[serde(default)]
    value: String,
    effect: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ExtraArgs {
    Map(BTreeMap<String, String>),
    List(Vec<Arg>),
}

#[derive(Debug, Deserialize)]
struct Arg {
    name: String,
    value: String,
}

impl Default for ExtraArgs {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

fn from_file(order: &mut Join, text: &str) -> Result<(), String> {
    let documents = text.split("\n---").map(|document| document.trim_start_matches("---"));
    let mut parsed = documents.filter(|document| document.contains("JoinConfiguration"));
    let document = parsed.next().ok_or("no JoinConfiguration in the config")?;
    let config: JoinConfiguration = serde_saphyr::from_str(document)
        .map_err(|error| format!("error unmarshaling configuration: {error}"))?;
    if config.kind != "JoinConfiguration" {
        return Err(format!("kind \"{}\" is no JoinConfiguration", config.kind));
    }
    let token = config.discovery.bootstrap_token;
    order.discovery = Discovery {
        endpoint: token.api_server_endpoint,
        token: token.token,
        ca_cert_hashes: token.ca_cert_hashes,
        skip_ca_verification: token.skip_ca_verification,
    };
    let node = config.node_registration;
    order.node_name = order.node_name.take().or(node.name);
    if order.ignore.is_empty() {
        order.ignore = node.ignore_preflight_errors.join(",");
    }
    let args = match node.kubelet_extra_args {
        ExtraArgs::Map(args) => args.into_iter().collect(),
        ExtraArgs::List(args) => {
            args.into_iter().map(|arg| (arg.name, arg.value)).collect::<Vec<_>>()
        }
    };
    order.kubelet_flags =
        args.into_iter().map(|(name, value)| format!("--{name}={value}")).collect();
    if !node.taints.is_empty() {
        let taints: Vec<String> = node
            .taints
            .iter()
            .map(|taint| format!("{}={}:{}", taint.key, taint.value, taint.effect))
            .collect();
        order.kubelet_flags.push(format!("--register-with-taints={}", taints.join(",")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Join, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_join_command_is_read() {
        let join = parse_line("192.168.0.10:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:00 --node-name=n -v 5").expect("valid");
        assert_eq!(
            (join.discovery.endpoint.as_str(), join.node_name.as_deref()),
            ("192.168.0.10:6443", Some("n"))
        );
        assert_eq!(join.discovery.ca_cert_hashes, ["sha256:00"]);
    }

    #[test]
    fn what_kubeadm_refuses_is_refused() {
        let cases = [
            (
                "--token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:00",
                "apiServerEndpoint",
            ),
            (
                "h:1 --token abc --discovery-token-ca-cert-hash sha256:00",
                "bootstrap token is invalid",
            ),
            ("h:1 --token abcdef.0123456789abcdef", "caCertHashes"),
            ("h:1 --nonsense", "unknown flag: --nonsense"),
            ("h:1 --token", "needs an argument"),
        ];
        for (line, complaint) in cases {
            let refusal = parse_line(line).expect_err(line);
            assert!(refusal.contains(complaint), "{line}: {refusal}");
        }
    }

    #[test]
    fn both_forms_of_extra_args_are_read_from_a_configuration() {
        for args in ["{provider-id: p}", "[{name: provider-id, value: p}]"] {
            let text = format!(
                "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: h:1\n    token: abcdef.0123456789abcdef\n    \
                 caCertHashes: [\"sha256:00\"]\nnodeRegistration:\n  name: n\n  taints: [{{key: a, effect: NoSchedule}}]\n  kubeletExtraArgs: {args}\n"
            );
            let mut join = parse_line(
                "h:1 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:11",
            )
            .expect("valid");
            from_file(&mut join, &text).expect("valid");
            assert_eq!(
                join.kubelet_flags,
                ["--provider-id=p", "--register-with-taints=a=:NoSchedule"]
            );
            assert_eq!(join.discovery.ca_cert_hashes, ["sha256:00"]);
            assert_eq!(join.node_name.as_deref(), Some("n"));
        }
    }
}
