//! Reads the configuration from its sources, and reports everything that is wrong with the values at once.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use causeway_workflows::{ConnectionConfig, CredentialSource, Timing};
use secrecy::SecretString;

use super::{
    Config, Error, Flags, LogFormat, Origin, Retention, Role, SEALING_KEY_VARIABLE, SealingKey,
    Telemetry, TokenConfig, file,
    pick::{Environment, Picker, Sources, quoted, quoted_list},
    resolve,
};

/// Products that may have an endpoint of their own.
const ENDPOINTS: [&str; 10] =
    ["all", "cs", "ram", "sts", "ecs", "vpc", "cbn", "ess", "oss", "oss_node"];

/// Loads the configuration. `environment` looks up a variable: `&|name| std::env::var_os(name)`.
///
/// # Errors
/// An unreadable file, a field that does not exist, or all values that can't be.
pub fn load(flags: &Flags, environment: Environment<'_>) -> Result<Config, Error> {
    let (file, base) = match &flags.config {
        Some(path) => (read(path)?, folder(path)),
        None => (file::File::default(), PathBuf::from(".")),
    };
    let mut picker = Picker::new(environment);
    let config = pick(&mut picker, flags, file, &base);
    if picker.problems.is_empty() {
        return Ok(Config { settings: picker.settings, ..config });
    }
    Err(Error::Values(picker.problems))
}

fn read(path: &Path) -> Result<file::File, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    toml::from_str(&text).map_err(|error| Error::Syntax {
        path: path.to_path_buf(),
        message: error.to_string().trim_end().to_owned(),
    })
}

fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn pick(picker: &mut Picker<'_>, flags: &Flags, file: file::File, base: &Path) -> Config {
    let listen = Sources {
        flag: flags.listen.clone().map(|value| ("--listen", value)),
        variable: Some("CAUSEWAY_LISTEN"),
        file: file.listen,
    };
    let listen = picker.text("listen", listen, "127.0.0.1:7443");
    let data_dir = data_dir(picker, flags, file.data_dir, base);
    let sealing = sealing(picker, file.sealing, &data_dir, base);
    let timing = timing(picker, file.timing);
    let retention = retention(picker, &file.retention);
    let telemetry = telemetry(picker, flags, file.telemetry);
    let tokens = tokens(picker, file.auth);
    let listen = listen_address(picker, &listen, !tokens.is_empty());
    let connections = file
        .connections
        .into_iter()
        .map(|(name, raw)| (name.clone(), connection(picker, name, raw, base)))
        .collect();
    Config {
        listen,
        data_dir,
        sealing,
        timing,
        retention,
        telemetry,
        tokens,
        connections,
        settings: Vec::new(),
    }
}

/// Without authentication anybody who can connect may do everything: so only this machine may connect.
fn listen_address(picker: &mut Picker<'_>, text: &str, authenticates: bool) -> SocketAddr {
    let fallback = SocketAddr::from(([127, 0, 0, 1], 7443));
    let Ok(address) = text.parse::<SocketAddr>() else {
        picker.problem(
            "listen",
            format!("{text:?} is no address; expected IP:PORT such as 127.0.0.1:7443"),
        );
        return fallback;
    };
    if !address.ip().is_loopback() && !authenticates {
        picker.problem(
            "listen",
            format!(
                "{address} can be reached from other machines, and no authentication is configured; \
                 listen on 127.0.0.1 or [::1], or add [auth.tokens]"
            ),
        );
    }
    address
}

fn data_dir(picker: &mut Picker<'_>, flags: &Flags, file: Option<PathBuf>, base: &Path) -> PathBuf {
    const VARIABLE: &str = "CAUSEWAY_DATA_DIR";
    let (path, origin) = if let Some(path) = &flags.data_dir {
        (path.clone(), Origin::Flag("--data-dir"))
    } else if let Some(path) = picker.variable(VARIABLE) {
        (PathBuf::from(path), Origin::Environment(VARIABLE))
    } else if let Some(path) = file {
        (resolve(base, &path), Origin::File)
    } else {
        (PathBuf::from("/var/lib/causeway"), Origin::Default)
    };
    picker.note("data_dir", quoted(&path.display().to_string()), origin);
    path
}

fn sealing(
    picker: &mut Picker<'_>,
    raw: file::Sealing,
    data_dir: &Path,
    base: &Path,
) -> SealingKey {
    const KEY: &str = "sealing.key_file";
    if let Some(file) = raw.key_file {
        let file = resolve(base, &file);
        picker.note(KEY, quoted(&file.display().to_string()), Origin::File);
        return SealingKey::File(file);
    }
    if let Some(key) = picker.variable(SEALING_KEY_VARIABLE) {
        if key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            picker.problem(
                SEALING_KEY_VARIABLE,
                "must hold 64 hex digits; `openssl rand -hex 32` makes some",
            );
        }
        picker.note(KEY, "[redacted]", Origin::Environment(SEALING_KEY_VARIABLE));
        return SealingKey::Given(SecretString::from(key));
    }
    let file = data_dir.join("sealing.key");
    picker.note(KEY, quoted(&file.display().to_string()), Origin::Default);
    SealingKey::Made(file)
}

fn timing(picker: &mut Picker<'_>, raw: file::Timing) -> Timing {
    let default = Timing::default();
    let mut duration =
        |name: &str, file, default| picker.duration(&format!("timing.{name}"), file, default);
    let timing = Timing {
        agent_settle: duration("agent_settle", raw.agent_settle, default.agent_settle),
        poll: duration("poll", raw.poll, default.poll),
        call_timeout: duration("call_timeout", raw.call_timeout, default.call_timeout),
        attempt_deadline: duration(
            "attempt_deadline",
            raw.attempt_deadline,
            default.attempt_deadline,
        ),
        settle: duration("settle", raw.settle, default.settle),
        confirm_deadline: duration(
            "confirm_deadline",
            raw.confirm_deadline,
            default.confirm_deadline,
        ),
        retry_initial: duration("retry_initial", raw.retry_initial, default.retry_initial),
        retry_max: duration("retry_max", raw.retry_max, default.retry_max),
        retry_give_up: duration("retry_give_up", raw.retry_give_up, default.retry_give_up),
        undo_give_up: duration("undo_give_up", raw.undo_give_up, default.undo_give_up),
        key_grace: duration("key_grace", raw.key_grace, default.key_grace),
    };
    for (name, value) in [
        ("poll", timing.poll),
        ("call_timeout", timing.call_timeout),
        ("attempt_deadline", timing.attempt_deadline),
        ("retry_initial", timing.retry_initial),
    ] {
        if value.is_zero() {
            picker.problem(&format!("timing.{name}"), "must be more than zero");
        }
    }
    timing
}

fn retention(picker: &mut Picker<'_>, raw: &file::Retention) -> Retention {
    let default = Retention::default();
    let retention = Retention {
        max_age: picker.duration("retention.max_age", raw.max_age.clone(), default.max_age),
        max_count: picker.value("retention.max_count", raw.max_count, default.max_count),
    };
    if retention.max_age.is_zero() {
        picker.problem("retention.max_age", "must be more than zero");
    }
    retention
}

fn telemetry(picker: &mut Picker<'_>, flags: &Flags, raw: file::Telemetry) -> Telemetry {
    let sources = Sources {
        flag: flags.log.clone().map(|value| ("--log", value)),
        variable: Some("CAUSEWAY_LOG"),
        file: raw.log,
    };
    let log = picker.text("telemetry.log", sources, "info");
    if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&log) {
        picker.problem(
            "telemetry.log",
            format!("is no filter such as info or causeway_orchestrator=debug: {error}"),
        );
    }
    let sources = Sources { file: raw.log_format, ..Sources::default() };
    let format = match picker.text("telemetry.log_format", sources, "text").as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            picker.problem(
                "telemetry.log_format",
                format!("{other:?} is unknown; expected text or json"),
            );
            LogFormat::Text
        }
    };
    Telemetry { log, format }
}

fn tokens(picker: &mut Picker<'_>, raw: file::Auth) -> BTreeMap<String, TokenConfig> {
    let mut tokens = BTreeMap::new();
    for (name, token) in raw.tokens {
        let key = format!("auth.tokens.{name}");
        let role = match token.role.to_ascii_lowercase().as_str() {
            "viewer" => Role::Viewer,
            "operator" => Role::Operator,
            "approver" => Role::Approver,
            "admin" => Role::Admin,
            other => {
                picker.problem(
                    &format!("{key}.role"),
                    format!("{other:?} is unknown; expected viewer, operator, approver or admin"),
                );
                continue;
            }
        };
        let mut sha256 = [0; 32];
        if hex::decode_to_slice(&token.sha256, &mut sha256).is_err() {
            picker.problem(
                &format!("{key}.sha256"),
                "must be the token's SHA-256 as 64 hex digits: `printf %s TOKEN | sha256sum` prints it",
            );
            continue;
        }
        picker.note(&key, quoted(&format!("{role:?}").to_lowercase()), Origin::File);
        tokens.insert(name, TokenConfig { sha256, role });
    }
    tokens
}

fn connection(
    picker: &mut Picker<'_>,
    name: String,
    raw: file::Connection,
    base: &Path,
) -> ConnectionConfig {
    let at = format!("connections.{name}");
    let key = |field: &str| format!("{at}.{field}");
    let credentials = credentials(picker, &at, &raw, base);
    if !causeway_proto::names::is_id(&name) {
        picker.problem(&at, "a connection's name is made of at most 40 of a-z, 0-9 and -");
    }
    let account_id = required(
        picker,
        &key("account_id"),
        raw.account_id,
        "the id of the account: it is checked",
    );
    if !account_id.bytes().all(|byte| byte.is_ascii_digit()) {
        picker.problem(
            &key("account_id"),
            format!("{account_id:?} is no account id; expected digits only"),
        );
    }
    let mut list = |field: &str, values: Option<Vec<String>>, what: &str| {
        let values = values.unwrap_or_default();
        if values.is_empty() {
            picker.problem(&key(field), format!("is missing; expected {what}"));
        }
        picker.note(&key(field), quoted_list(&values), Origin::File);
        values
    };
    let regions =
        list("regions", raw.regions, "the regions that may be used, such as [\"cn-hangzhou\"]");
    let clusters =
        list("clusters", raw.clusters, "the ids of the clusters that may be used, or [\"*\"]");
    let max_nodes = picker.value(&key("max_nodes"), raw.max_nodes, 50);
    let max_concurrent_calls =
        picker.value(&key("max_concurrent_calls"), raw.max_concurrent_calls, 16);
    if max_concurrent_calls == 0 {
        picker.problem(&key("max_concurrent_calls"), "must be at least 1");
    }
    let endpoints = endpoints(picker, &at, raw.endpoints);
    let mut kubeconfigs = BTreeMap::new();
    for (cluster, file) in raw.kubeconfigs {
        let file = resolve(base, &file);
        picker.note(
            &format!("{at}.kubeconfigs.{cluster}"),
            quoted(&file.display().to_string()),
            Origin::File,
        );
        kubeconfigs.insert(cluster, file);
    }
    ConnectionConfig {
        name,
        credentials,
        account_id,
        regions,
        clusters,
        max_nodes,
        max_concurrent_calls,
        endpoints,
        kubeconfigs,
    }
}

fn required(picker: &mut Picker<'_>, key: &str, value: Option<String>, what: &str) -> String {
    match value {
        Some(value) if !value.is_empty() => {
            picker.note(key, quoted(&value), Origin::File);
            value
        }
        _ => {
            picker.problem(key, format!("is missing; expected {what}"));
            String::new()
        }
    }
}

fn credentials(
    picker: &mut Picker<'_>,
    at: &str,
    raw: &file::Connection,
    base: &Path,
) -> CredentialSource {
    let key = format!("{at}.credentials");
    let sources = Sources { file: raw.credentials.clone(), ..Sources::default() };
    let kind = picker.text(&key, sources, "default");
    let given = raw.credentials_file.as_ref().filter(|path| !path.as_os_str().is_empty());
    let file = given.map(|path| resolve(base, path));
    if let Some(file) = &file {
        picker.note(
            &format!("{at}.credentials_file"),
            quoted(&file.display().to_string()),
            Origin::File,
        );
    }
    if kind == "environment" {
        return CredentialSource::Environment;
    }
    let sources = Sources { file: raw.profile.clone(), ..Sources::default() };
    let profile = picker.text(&format!("{at}.profile"), sources, "default");
    match kind.as_str() {
        "default" => CredentialSource::Default { file, profile },
        "shared-file" => CredentialSource::SharedFile { file, profile },
        other => {
            picker.problem(
                &key,
                format!("{other:?} is unknown; expected default, environment or shared-file"),
            );
            CredentialSource::Environment
        }
    }
}

fn endpoints(
    picker: &mut Picker<'_>,
    at: &str,
    raw: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for (product, url) in &raw {
        let key = format!("{at}.endpoints.{product}");
        if !ENDPOINTS.contains(&product.as_str()) {
            picker.problem(
                &key,
                format!("unknown product; expected one of {}", ENDPOINTS.join(", ")),
            );
        }
        let is_url = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        if !is_url {
            picker.problem(
                &key,
                format!("{url:?} is no URL; expected one with scheme, such as https://HOST"),
            );
        }
        picker.note(&key, quoted(url), Origin::File);
    }
    raw
}
