//! `causewayd check`: everything that can be found out without starting, one line per finding. It changes nothing in the
//! outside world, and in the store no more than opening it does.

use std::{fmt, path::Path};

use causeway_workflows::{Connection, ConnectionConfig, alibaba::sts};

use crate::{
    config::{Config, SealingKey},
    store::{self, SledStore, StoreOptions, seal::Sealer},
};

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing, and no fault.
    Note,
    /// The daemon would not start, or could not do its work.
    Fault,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub verdict: Verdict,
    /// What it is about: `store`, `connections.prod`.
    pub subject: String,
    /// What was found, and what to do.
    pub message: String,
}

impl Finding {
    fn new(verdict: Verdict, subject: &str, message: impl Into<String>) -> Self {
        Self { verdict, subject: subject.to_owned(), message: message.into() }
    }

    /// Whether it makes the check fail.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.verdict == Verdict::Fault
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Good => "ok   ",
            Verdict::Note => "note ",
            Verdict::Fault => "FAULT",
        };
        write!(f, "{word}  {}: {}", self.subject, self.message)
    }
}

/// Looks at everything that a configuration names. The configuration itself is valid once it is loaded.
pub async fn run(config: &Config) -> Vec<Finding> {
    let mut findings =
        vec![listening(config), sealing(&config.sealing), storing(&config.store_dir())];
    if config.connections.is_empty() {
        let message = "none is configured: only the built-in self-test can be started; add [connections.NAME]";
        findings.push(Finding::new(Verdict::Note, "connections", message));
    }
    for connection in config.connections.values() {
        connecting(config, connection, &mut findings).await;
    }
    findings
}

fn listening(config: &Config) -> Finding {
    let message = if config.authenticates() {
        format!("would listen on {}, with {} token(s)", config.listen, config.tokens.len())
    } else {
        format!("would listen on {}, without authentication, for this machine only", config.listen)
    };
    Finding::new(Verdict::Good, "configuration", message)
}

fn sealing(key: &SealingKey) -> Finding {
    const SUBJECT: &str = "sealing key";
    let (opened, place) = match key {
        SealingKey::Given(text) => {
            let variable = crate::config::SEALING_KEY_VARIABLE;
            (
                Sealer::from_hex(secrecy::ExposeSecret::expose_secret(text), variable),
                variable.to_owned(),
            )
        }
        SealingKey::Made(path) if !path.exists() => {
            let message =
                format!("{} will be made at the first start; keep a copy of it", path.display());
            return Finding::new(Verdict::Note, SUBJECT, message);
        }
        SealingKey::File(path) | SealingKey::Made(path) => {
            (Sealer::from_file(path), path.display().to_string())
        }
    };
    match opened {
        Ok(_) => Finding::new(Verdict::Good, SUBJECT, format!("from {place}")),
        Err(error) => Finding::new(Verdict::Fault, SUBJECT, chain(&error)),
    }
}

fn storing(dir: &Path) -> Finding {
    const SUBJECT: &str = "store";
    if !dir.exists() {
        return Finding::new(
            Verdict::Note,
            SUBJECT,
            format!("{} will be made at the first start", dir.display()),
        );
    }
    match SledStore::open(&StoreOptions::new(dir)) {
        Ok(store) => {
            let identity = store::Store::identity(&store);
            let message = format!(
                "{} opens: id {}, schema {}",
                dir.display(),
                identity.store_id,
                identity.schema
            );
            Finding::new(Verdict::Good, SUBJECT, message)
        }
        Err(store::Error::InUse { .. }) => {
            let message = format!(
                "{} is in use, by a running daemon as it seems; it was not looked at",
                dir.display()
            );
            Finding::new(Verdict::Note, SUBJECT, message)
        }
        Err(error) => Finding::new(Verdict::Fault, SUBJECT, chain(&error)),
    }
}

async fn connecting(config: &Config, connection: &ConnectionConfig, findings: &mut Vec<Finding>) {
    let subject = format!("connections.{}", connection.name);
    let connected = match Connection::new(connection.clone(), &config.timing) {
        Ok(connected) => connected,
        Err(error) => {
            findings.push(Finding::new(Verdict::Fault, &subject, chain(&error)));
            return;
        }
    };
    findings.push(identity(&connected, &subject).await);
    for (cluster, file) in &connection.kubeconfigs {
        let subject = format!("{subject}.kubeconfigs.{cluster}");
        let version = match connected.clusters.get(cluster).await {
            Ok(client) => client.version().await,
            Err(failure) => Err(failure),
        };
        findings.push(match version {
            Ok(version) => {
                Finding::new(Verdict::Good, &subject, format!("reached, Kubernetes {version}"))
            }
            Err(failure) => Finding::new(
                Verdict::Fault,
                &subject,
                format!("{} does not lead to the cluster: {failure}", file.display()),
            ),
        });
    }
}

async fn identity(connected: &Connection, subject: &str) -> Finding {
    match sts::get_caller_identity(&connected.cloud).await {
        Ok(caller) if caller.account_id == connected.config.account_id => Finding::new(
            Verdict::Good,
            subject,
            format!("account {}, as {}", caller.account_id, caller.arn),
        ),
        Ok(caller) => {
            let message = format!(
                "the credentials belong to account {}, but account_id says {}; correct one of the two",
                caller.account_id, connected.config.account_id
            );
            Finding::new(Verdict::Fault, subject, message)
        }
        Err(error) => Finding::new(
            Verdict::Fault,
            subject,
            format!("the account can't be asked: {}", chain(&error)),
        ),
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Flags};

    fn config(dir: &Path, more: &str) -> Config {
        let file = dir.join("causewayd.toml");
        std::fs::write(&file, format!("data_dir = \"data\"\n{more}")).unwrap();
        config::load(&Flags { config: Some(file), ..Flags::default() }, &|_| None).unwrap()
    }

    #[tokio::test]
    async fn a_new_daemon_has_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let findings = run(&config(dir.path(), "")).await;
        assert!(!findings.iter().any(Finding::is_fault), "{findings:?}");
        assert!(!dir.path().join("data").exists(), "a check makes nothing");
    }

    #[tokio::test]
    async fn a_bad_key_a_foreign_store_and_missing_credentials_are_faults() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("data/store"), "no store").unwrap();
        std::fs::write(dir.path().join("bad.key"), "short").unwrap();
        let more = "[sealing]\nkey_file = \"bad.key\"\n[connections.prod]\ncredentials = \"shared-file\"\n\
                    credentials_file = \"none.ini\"\naccount_id = \"1\"\nregions = [\"r\"]\nclusters = [\"*\"]\n";
        let findings = run(&config(dir.path(), more)).await;
        let faults: Vec<_> = findings
            .iter()
            .filter(|finding| finding.is_fault())
            .map(|f| f.subject.as_str())
            .collect();
        assert_eq!(faults, ["sealing key", "store", "connections.prod"], "{findings:?}");
    }
}
