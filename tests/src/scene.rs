//! A world with its daemon: what every end-to-end test begins with.

use std::process::Output;
use std::time::Duration;

use causeway_client::Client;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{StartWorkflowRequest, Workflow};
use causeway_sandbox::instances::companion;
use causeway_sandbox::world::{Options, World};
use serde_json::Value;
use tokio::process::Command;

use crate::daemon::{Daemon, client_of};

/// How long a client keeps trying: daemons are killed and started again beside it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a workflow may take to end, however busy the machine.
const END_LIMIT: Duration = Duration::from_secs(180);

/// A world with its daemon.
pub struct Scene {
    /// The world.
    pub world: World,
    /// The world's ledger before anything was done.
    pub before: String,
    daemon: Option<Daemon>,
}

impl Scene {
    /// The guide's world at the speed of tests, with its daemon.
    pub async fn guide() -> Self {
        Self::start(Options::default()).await
    }

    /// A world with its daemon.
    pub async fn start(options: Options) -> Self {
        let mut scene = Self::without_daemon(options).await;
        scene.start_daemon(&[]).await;
        scene
    }

    /// A world whose daemon has not been started yet.
    pub async fn without_daemon(options: Options) -> Self {
        let world = World::start(options).await.unwrap();
        let before = world.settled_ledger().await.unwrap();
        Self { world, before, daemon: None }
    }

    /// Starts the daemon, the first time or again.
    pub async fn start_daemon(&mut self, environment: &[(&str, &str)]) {
        let config = self.world.folder().file("causewayd.toml");
        let address = self.world.endpoints().daemon.clone();
        self.daemon = Some(Daemon::start(&config, &address, environment).await);
    }

    /// The daemon.
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the daemon has been started")
    }

    /// Whether a daemon was started, and still runs.
    pub fn daemon_runs(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(Daemon::runs)
    }

    /// A client that is patient with daemons that come and go.
    #[must_use]
    pub fn client(&self) -> Client {
        client_of(&self.world.endpoints().daemon, PATIENCE)
    }

    /// The document of the world's `n`th cluster (from 1), as JSON.
    #[must_use]
    pub fn document(&self, n: usize) -> Value {
        let name = if n == 1 {
            "hybrid-cluster.yaml".to_owned()
        } else {
            format!("hybrid-cluster-{n}.yaml")
        };
        let text = std::fs::read_to_string(self.world.folder().file(&name)).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }

    /// The request that starts a document.
    #[must_use]
    pub fn request(document: &Value) -> StartWorkflowRequest {
        causeway_proto::input::decode(document).unwrap()
    }

    /// Starts the guide's build; its id.
    pub async fn build(&self) -> String {
        let request = Self::request(&self.document(1));
        self.client().start(request).await.unwrap().name.trim_start_matches("workflows/").to_owned()
    }

    /// Waits until the workflow has ended, or rests where a person must help.
    pub async fn rested(&self, id: &str) -> Workflow {
        let client = self.client();
        let wait = async {
            let mut etag = String::new();
            loop {
                let workflow = client.wait(id, &etag, Duration::from_secs(5)).await.unwrap();
                if rests(workflow.state()) {
                    return workflow;
                }
                etag.clone_from(&workflow.etag);
            }
        };
        match tokio::time::timeout(END_LIMIT, wait).await {
            Ok(workflow) => workflow,
            Err(_) => panic!("workflow {id} does not come to rest: {:#?}", client.get(id).await),
        }
    }

    /// The world's ledger now, once it has come to rest.
    pub async fn ledger(&self) -> String {
        self.world.settled_ledger().await.unwrap()
    }

    /// Fails with the difference where the world is not as it was before anything was done.
    pub async fn assert_as_before(&self) {
        assert_same(&self.before, &self.ledger().await);
    }

    /// Sends something to the first data center's API server, as a person with kubectl would.
    pub async fn kubectl(&self, method: &str, path: &str, kind: &str, body: &Value) {
        let client = self.world.client(&self.world.seed().clusters[0].id).unwrap();
        let request =
            http::Request::builder().method(method).uri(path).header("content-type", kind);
        client.request_text(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
    }

    /// Runs a line of a shell, in which `causeway` is the command line of this daemon.
    pub async fn shell(&self, line: &str) -> Output {
        let home = self.world.folder().file(".");
        crate::shell::run(line, &self.world.endpoints().daemon, &home).await
    }

    /// Runs the command line against the daemon.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let program = companion::client_binary().await.unwrap();
        let mut command = Command::new(program);
        command
            .env("CAUSEWAY_ADDRESS", &self.world.endpoints().daemon)
            .env("HOME", self.world.folder().file("."));
        command
            .env_remove("XDG_CONFIG_HOME")
            .args(arguments)
            .current_dir(self.world.folder().file("."))
            .output()
            .await
            .unwrap()
    }
}

/// Whether nothing more happens by itself.
#[must_use]
pub fn rests(state: State) -> bool {
    matches!(
        state,
        State::Succeeded
            | State::Rejected
            | State::Compensated
            | State::Cancelled
            | State::Abandoned
            | State::Stuck
            | State::Paused
            | State::AwaitingApproval
            | State::Quarantined
    )
}

/// Fails with the lines that differ, and those around them.
pub fn assert_same(before: &str, after: &str) {
    assert!(before == after, "the world is not as it was:\n{}", difference(before, after));
}

/// The lines that differ, and those around them.
#[must_use]
pub fn difference(before: &str, after: &str) -> String {
    let (one, other): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let start = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let end = one[start..].iter().rev().zip(other[start..].iter().rev());
    let end = end.take_while(|(a, b)| a == b).count();
    let context = |lines: &[&str], from: usize| lines[from.saturating_sub(12)..from].join("\n");
    let part = |mark: &str, lines: &[&str]| {
        let lines = &lines[start..lines.len() - end];
        lines.iter().take(60).map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    format!("{}\n{}{}", context(&one, start), part("-", &one), part("+", &other))
}
