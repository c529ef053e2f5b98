//! Precedence, origins, and what is said about values that can't be.

use std::{ffi::OsString, fs, time::Duration};

use secrecy::ExposeSecret as _;

use super::*;

const FILE: &str = r#"
listen = "127.0.0.1:7000"
data_dir = "data"
[timing]
poll = "50ms"
[telemetry]
log = "debug"
log_format = "json"
[connections.prod]
credentials = "shared-file"
credentials_file = "credentials.ini"
account_id = "1234567890123456"
regions = ["cn-hangzhou"]
clusters = ["*"]
max_nodes = 7
[connections.prod.endpoints]
all = "http://127.0.0.1:9000"
[connections.prod.kubeconfigs]
"c1" = "dc1.kubeconfig"
"#;

fn with_file(
    text: &str,
    environment: &[(&str, &str)],
    flags: Flags,
) -> (tempfile::TempDir, Result<Config, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("causewayd.toml");
    fs::write(&path, text).unwrap();
    let variable = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    let config = load(&Flags { config: Some(path), ..flags }, &variable);
    (dir, config)
}

fn problems(text: &str) -> Vec<String> {
    match with_file(text, &[], Flags::default()).1 {
        Err(Error::Values(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn the_file_is_read_with_paths_relative_to_it() {
    let (dir, config) = with_file(FILE, &[], Flags::default());
    let config = config.unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7000");
    assert_eq!(config.data_dir, dir.path().join("data"));
    assert_eq!(config.timing.poll, Duration::from_millis(50));
    assert_eq!(config.timing.call_timeout, Timing::default().call_timeout);
    assert_eq!(config.telemetry.format, LogFormat::Json);
    let prod = &config.connections["prod"];
    assert_eq!(prod.max_nodes, 7);
    assert_eq!(prod.kubeconfigs["c1"], dir.path().join("dc1.kubeconfig"));
    let file = Some(dir.path().join("credentials.ini"));
    assert_eq!(
        prod.credentials,
        causeway_workflows::CredentialSource::SharedFile { file, profile: "default".into() }
    );
    assert!(
        matches!(&config.sealing, SealingKey::Made(path) if *path == dir.path().join("data/sealing.key"))
    );
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let flags = Flags { log: Some("trace".into()), ..Flags::default() };
    let environment = [("CAUSEWAY_LOG", "warn"), ("CAUSEWAY_LISTEN", "127.0.0.1:1")];
    let (_dir, config) = with_file(FILE, &environment, flags);
    let config = config.unwrap();
    assert_eq!((config.telemetry.log.as_str(), config.listen.port()), ("trace", 1));
    let origin =
        |key: &str| config.settings.iter().find(|s| s.key == key).unwrap().origin.to_string();
    assert_eq!(origin("telemetry.log"), "flag --log");
    assert_eq!(origin("listen"), "environment CAUSEWAY_LISTEN");
    assert_eq!(origin("timing.poll"), "file");
    assert_eq!(origin("timing.settle"), "default");
}

#[test]
fn show_names_every_value_with_its_origin_and_no_secret() {
    let key = "ab".repeat(32);
    let (_dir, config) = with_file(FILE, &[(SEALING_KEY_VARIABLE, &key)], Flags::default());
    let config = config.unwrap();
    assert!(matches!(&config.sealing, SealingKey::Given(given) if given.expose_secret() == key));
    let text = show(&config);
    assert!(text.contains("sealing.key_file = [redacted]"), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("timing.poll = \"50ms\"") && line.ends_with("# file")),
        "{text}"
    );
    assert!(!text.contains(&key) && !format!("{config:?}").contains(&key));
}

#[test]
fn without_authentication_only_loopback_is_listened_on() {
    for address in ["0.0.0.0:7443", "192.168.0.1:7443", "[::]:7443"] {
        let found = problems(&format!("listen = {address:?}"));
        assert!(
            found[0].starts_with(&format!("listen: {address} can be reached from other machines")),
            "{found:?}"
        );
    }
    for address in ["127.0.0.1:7443", "127.1.2.3:0", "[::1]:7443"] {
        assert!(
            with_file(&format!("listen = {address:?}"), &[], Flags::default()).1.is_ok(),
            "{address}"
        );
    }
    let hash = "0".repeat(64);
    let with_token = format!(
        "listen = \"0.0.0.0:1\"\n[auth.tokens.ci]\nsha256 = \"{hash}\"\nrole = \"operator\""
    );
    assert!(with_file(&with_token, &[], Flags::default()).1.unwrap().authenticates());
}

#[test]
fn all_values_that_can_not_be_are_named_at_once() {
    let found = problems(
        r#"
        listen = "nowhere"
        [timing]
        poll = "0s"
        settle = "soon"
        [telemetry]
        log = "causeway=loud"
        log_format = "xml"
        [connections.prod]
        credentials = "magic"
        account_id = "abc"
        clusters = []
        regions = ["cn-hangzhou"]
        max_concurrent_calls = 0
        [connections.prod.endpoints]
        s3 = "http://x"
        cs = "127.0.0.1:9000"
        "#,
    );
    let keys: Vec<_> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        keys,
        [
            "timing.settle",
            "timing.poll",
            "telemetry.log",
            "telemetry.log_format",
            "listen",
            "connections.prod.credentials",
            "connections.prod.account_id",
            "connections.prod.clusters",
            "connections.prod.max_concurrent_calls",
            "connections.prod.endpoints.cs",
            "connections.prod.endpoints.s3",
        ]
    );
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let (_dir, config) =
        with_file("listen = \"127.0.0.1:1\"\nlisten_on = 3\n", &[], Flags::default());
    let message = config.unwrap_err().to_string();
    assert!(message.contains("line 2") && message.contains("listen_on"), "{message}");
}

#[test]
fn a_missing_file_is_named() {
    let flags = Flags { config: Some("/nonexistent/causewayd.toml".into()), ..Flags::default() };
    let message = load(&flags, &|_| None).unwrap_err().to_string();
    assert_eq!(message, "can't read the configuration file /nonexistent/causewayd.toml");
}

/// What the example shows as a default is the default, and nothing is missing from it.
#[test]
fn the_example_shows_every_setting_with_its_default() {
    const EXAMPLE: &str = include_str!("../../../deploy/examples/causewayd.toml");
    let (_dir, short) = with_file(EXAMPLE, &[], Flags::default());
    let uncommented: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line)))
        .collect();
    let (_dir, long) = with_file(&uncommented, &[], Flags::default());
    let (short, long) = (short.unwrap(), long.unwrap());
    assert_eq!(
        (short.timing, &short.telemetry, short.listen),
        (long.timing, &long.telemetry, long.listen)
    );
    for setting in &short.settings {
        let shown = long.settings.iter().find(|other| other.key == setting.key).unwrap();
        assert_eq!(shown.origin, Origin::File, "{} is not in the example", setting.key);
        let same = setting.value == shown.value || setting.key == "sealing.key_file";
        assert!(same, "{}: {} is shown as {}", setting.key, setting.value, shown.value);
    }
}
