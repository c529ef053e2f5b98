//! `causewayd check`: everything that can be found out without starting, one line per finding. It changes nothing in the
//! outside world, and in the store no more than opening it does.

mod permissions;

use std::{fmt, path::Path};

use causeway_workflows::{Connection, ConnectionConfig, Definition, alibaba::sts};

use crate::{
    config::{Config, SealingKey},
    runtime::Revisions,
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
    let mut findings = vec![listening(config), sealing(&config.sealing)];
    storing(&config.store_dir(), &mut findings).await;
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

async fn storing(dir: &Path, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "store";
    if !dir.exists() {
        let message = format!("{} will be made at the first start", dir.display());
        findings.push(Finding::new(Verdict::Note, SUBJECT, message));
        return;
    }
    let finding = match SledStore::open(&StoreOptions::new(dir)) {
        Ok(store) => {
            revisions(&store, findings).await;
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
    };
    findings.push(finding);
}

/// Whether this version knows every revision of a definition that the store needs: a daemon that does not would not start.
async fn revisions(store: &dyn store::Store, findings: &mut Vec<Finding>) {
    const SUBJECT: &str = "definitions";
    let known: Vec<_> = causeway_workflows::registry().iter().map(Definition::reference).collect();
    let found = match Revisions::read(store, &known).await {
        Ok(found) => found,
        Err(error) => {
            findings.push(Finding::new(Verdict::Fault, SUBJECT, chain(&error)));
            return;
        }
    };
    findings.push(match found.require_known() {
        Ok(()) => {
            let message = format!("all {} revision(s) in use are known", found.in_use.len());
            Finding::new(Verdict::Good, SUBJECT, message)
        }
        Err(unknown) => Finding::new(Verdict::Fault, SUBJECT, chain(&unknown)),
    });
    if !found.changed.is_empty() {
        let message = format!(
            "this version of causewayd has another definition under the revision that these workflows started with: {}; \
             they will be parked (DEFINITION_UNKNOWN) when they next act, and go on under the version that they started with",
            found.changed.join(", ")
        );
        findings.push(Finding::new(Verdict::Note, "definitions changed", message));
    }
    for unreadable in &found.unreadable {
        let message = format!("can't be read: {unreadable}");
        findings.push(Finding::new(Verdict::Note, "definitions unreadable", message));
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
    let (found, caller) = identity(&connected, &subject).await;
    findings.push(found);
    if let Some(caller) = caller {
        let subject = format!("{subject}.permissions");
        findings.push(permissions::cloud(&connected.cloud, &caller, &subject).await);
    }
    for (cluster, file) in &connection.kubeconfigs {
        let subject = format!("{subject}.kubeconfigs.{cluster}");
        let reached = match connected.clusters.get(cluster).await {
            Ok(client) => client.version().await.map(|version| (client, version)),
            Err(failure) => Err(failure),
        };
        match reached {
            Ok((client, version)) => {
                let message = format!("reached, Kubernetes {version}");
                findings.push(Finding::new(Verdict::Good, &subject, message));
                let subject = format!("{subject}.permissions");
                findings.push(permissions::cluster(&client, &subject).await);
            }
            Err(failure) => {
                let message = format!("{} does not lead to the cluster: {failure}", file.display());
                findings.push(Finding::new(Verdict::Fault, &subject, message));
            }
        }
    }
}

/// Who the credentials are; the caller only where it is of the connection's account.
async fn identity(connected: &Connection, subject: &str) -> (Finding, Option<sts::CallerIdentity>) {
    let place = connected.config.credentials.place();
    let finding = match sts::get_caller_identity(&connected.cloud).await {
        Ok(caller) if caller.account_id == connected.config.account_id => {
            let message = format!("account {}, as {}, with {place}", caller.account_id, caller.arn);
            return (Finding::new(Verdict::Good, subject, message), Some(caller));
        }
        Ok(caller) => {
            let message = format!(
                "the credentials ({place}) belong to account {}, but account_id says {}; correct one of the two",
                caller.account_id, connected.config.account_id
            );
            Finding::new(Verdict::Fault, subject, message)
        }
        Err(error) => Finding::new(
            Verdict::Fault,
            subject,
            format!("the account can't be asked with {place}: {}", chain(&error)),
        ),
    };
    (finding, None)
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
    use std::sync::Arc;

    use super::*;
    use crate::app::App;
    use crate::config::{self, Flags};
    use crate::runtime::StartRequest;
    use crate::runtime::fixture::{Silent, parking, record, runtime_with, write};
    use crate::store::Store;

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

    /// A store as another version left it: a live workflow and a cluster record of revisions that this version does not know, and
    /// a live workflow whose definition was another one.
    async fn store_of_another_version(dir: &Path) {
        let store: Arc<dyn Store> = Arc::new(SledStore::open(&StoreOptions::new(dir)).unwrap());
        let mut definitions = causeway_workflows::registry();
        definitions.retain(|known| known.name != "saga-10");
        definitions.extend([parking("retired", 7), parking("saga-10", 1)]);
        let runtime = runtime_with(store.clone(), definitions).await;
        for (id, definition) in [("w-live", "retired"), ("w-changed", "saga-10")] {
            let request = StartRequest {
                id: Some(id.into()),
                definition: definition.to_owned(),
                ..StartRequest::default()
            };
            runtime.handle().start(request).await.unwrap();
        }
        runtime.drain(std::time::Duration::from_secs(5)).await;
        let mut built = record("dc1", "c1", "w-built");
        built.definition.revision = 9;
        write(store.as_ref(), store.own(0).await.unwrap(), &built, true).await;
    }

    /// The last position in the store.
    fn position(config: &Config) -> u64 {
        SledStore::open(&StoreOptions::new(config.store_dir())).unwrap().position(0).number
    }

    #[tokio::test]
    async fn a_daemon_that_does_not_know_a_revision_in_use_refuses_to_start_and_check_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "");
        std::fs::create_dir_all(config.store_dir()).unwrap();
        store_of_another_version(&config.store_dir()).await;
        let before = position(&config);
        let findings = run(&config).await;
        let told = findings.iter().find(|finding| finding.is_fault()).unwrap();
        assert_eq!(told.subject, "definitions", "{findings:?}");
        let refused = App::build(config.clone(), Arc::new(Silent)).await.err().unwrap();
        for said in [told.message.clone(), format!("{refused:#}")] {
            for word in ["retired/7 (workflows w-live)", "hybrid-cluster/9 (hybrid clusters dc1)"] {
                assert!(said.contains(word), "{word} is not in {said}");
            }
            assert!(said.contains("run the version that knows them") && !said.contains("saga-10"));
            assert!(!said.contains('\n'), "a finding is one line");
        }
        let warned = findings.iter().find(|finding| finding.subject == "definitions changed");
        let warned = warned.unwrap();
        assert!(warned.verdict == Verdict::Note && warned.message.contains("w-changed"));
        assert_eq!(position(&config), before, "a daemon that refuses leaves the store alone");
    }
}
