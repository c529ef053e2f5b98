//! A sandbox that another process runs, through its control endpoint.

use std::path::Path;

use anyhow::{Context as _, bail};
use causeway_sandbox::world::Folder;

/// The control endpoint of the world in a folder.
pub(super) struct Control {
    url: String,
    http: reqwest::Client,
}

impl Control {
    /// Of the world in `dir`.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let url = Folder::endpoints(dir)?.control;
        // A second installation is refused and harmless: the first one counts.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http =
            reqwest::Client::builder().no_proxy().build().context("cannot build an HTTP client")?;
        Ok(Self { url, http })
    }

    /// The ledger.
    pub(super) async fn ledger(&self) -> anyhow::Result<String> {
        self.send(self.http.get(format!("{}/ledger", self.url))).await
    }

    /// The rules in force, one per line.
    pub(super) async fn faults(&self) -> anyhow::Result<String> {
        self.send(self.http.get(format!("{}/faults", self.url))).await
    }

    /// Adds a rule.
    pub(super) async fn add_fault(&self, rule: &str) -> anyhow::Result<()> {
        self.send(self.http.post(format!("{}/faults", self.url)).body(rule.to_owned()))
            .await
            .map(drop)
    }

    /// Removes all rules.
    pub(super) async fn clear_faults(&self) -> anyhow::Result<()> {
        self.send(self.http.delete(format!("{}/faults", self.url))).await.map(drop)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<String> {
        let answer = request.send().await.with_context(|| {
            format!("the sandbox at {} does not answer: has it ended?", self.url)
        })?;
        let status = answer.status();
        let text = answer.text().await.context("the sandbox's answer broke off")?;
        if status.is_success() { Ok(text) } else { bail!("{}", text.trim()) }
    }
}
