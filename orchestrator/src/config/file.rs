//! The configuration file as it is written. Unknown fields are errors; what the values mean is decided in `load`.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) sealing: Sealing,
    pub(super) timing: Timing,
    pub(super) retention: Retention,
    pub(super) telemetry: Telemetry,
    pub(super) auth: Auth,
    pub(super) connections: BTreeMap<String, Connection>,
}

/// `[sealing]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sealing {
    pub(super) key_file: Option<PathBuf>,
}

/// `[timing]`: durations such as `5s` or `2m`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timing {
    pub(super) agent_settle: Option<String>,
    pub(super) poll: Option<String>,
    pub(super) call_timeout: Option<String>,
    pub(super) attempt_deadline: Option<String>,
    pub(super) settle: Option<String>,
    pub(super) confirm_deadline: Option<String>,
    pub(super) retry_initial: Option<String>,
    pub(super) retry_max: Option<String>,
    pub(super) retry_give_up: Option<String>,
    pub(super) undo_give_up: Option<String>,
    pub(super) key_grace: Option<String>,
}

/// `[retention]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Retention {
    pub(super) max_age: Option<String>,
    pub(super) max_count: Option<usize>,
}

/// `[telemetry]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Telemetry {
    pub(super) log: Option<String>,
    pub(super) log_format: Option<String>,
}

/// `[auth]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Auth {
    pub(super) tokens: BTreeMap<String, Token>,
}

/// `[auth.tokens.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) sha256: String,
    pub(super) role: String,
}

/// `[connections.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Connection {
    pub(super) credentials: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) profile: Option<String>,
    pub(super) account_id: Option<String>,
    pub(super) regions: Option<Vec<String>>,
    pub(super) clusters: Option<Vec<String>>,
    pub(super) max_nodes: Option<u32>,
    pub(super) max_concurrent_calls: Option<usize>,
    pub(super) endpoints: BTreeMap<String, String>,
    pub(super) kubeconfigs: BTreeMap<String, PathBuf>,
}
