//! Measures the engine: ten-step sagas through the real daemon over gRPC, durable on disk, beside what the disk itself does in the
//! same run. `cargo run --release -p causeway-tests --bin bench -- saga-10`
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it can't go on")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use causeway_client::Client;
use causeway_orchestrator::store::baseline::{self, Measured};
use causeway_proto::v1::start_workflow_request::Spec;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{NoopSpec, StartWorkflowRequest};
use causeway_sandbox::instances::companion;
use causeway_tests::daemon::client_of;
use clap::{Parser, ValueEnum};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// Bytes of a record of the raw baseline: about what a step's record takes.
const RECORD_BYTES: usize = 256;
/// How long one workflow may take.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Parser)]
#[command(about = "Measures the engine through the real daemon, beside the disk itself")]
struct Arguments {
    /// What to measure.
    what: What,
    /// Workflows one after the other.
    #[arg(long, default_value_t = 300)]
    alone: usize,
    /// Workflows with many in flight.
    #[arg(long, default_value_t = 5_000)]
    total: usize,
    /// How many in flight.
    #[arg(long, default_values_t = [64, 512])]
    in_flight: Vec<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Ten checks (11 appends), and ten actions with before-images (21 appends).
    #[value(name = "saga-10")]
    Saga10,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let What::Saga10 = arguments.what;
    let folder = tempfile::Builder::new().prefix("causeway-bench-").tempdir_in(".").unwrap();
    println!("raw append + fdatasync of {RECORD_BYTES} B, in {}", folder.path().display());
    report("alone", &baseline::alone(folder.path(), 2_000, RECORD_BYTES).unwrap());
    report(
        "64 writers sharing",
        &baseline::sharing(folder.path(), 64, 1_000, RECORD_BYTES).unwrap(),
    );
    for (name, undo, appends) in [("saga-10", false, 11), ("saga-10-undo", true, 21)] {
        println!("\n{name}: {appends} durable appends each");
        measure(folder.path(), name, undo, &arguments).await;
    }
}

fn report(name: &str, measured: &Measured) {
    let (p50, p99) = (measured.quantile(0.5), measured.quantile(0.99));
    println!(
        "  {name:<20} p50 {:>8.3} ms   p99 {:>8.3} ms   {:>9.0} records/s",
        millis(p50),
        millis(p99),
        measured.rate()
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

async fn measure(folder: &Path, name: &str, undo: bool, arguments: &Arguments) {
    let (mut daemon, client) = start_daemon(&folder.join(name)).await;
    for _ in 0..20 {
        one(&client, undo).await;
    }
    let mut latencies = Vec::new();
    for _ in 0..arguments.alone {
        latencies.push(one(&client, undo).await);
    }
    latencies.sort_unstable();
    let at = |share: f64| millis(latencies[((latencies.len() - 1) as f64 * share) as usize]);
    println!("  {:<20} p50 {:>8.3} ms   p99 {:>8.3} ms", "alone", at(0.5), at(0.99));
    for in_flight in &arguments.in_flight {
        let used = cpu(&daemon);
        let rate = many(&client, undo, arguments.total, *in_flight).await;
        println!(
            "  {:<20} {rate:>8.0} workflows/s   daemon RSS {} MiB   CPU {:.2} ms each",
            format!("{in_flight} in flight"),
            rss_mib(&daemon),
            millis(cpu(&daemon) - used) / arguments.total as f64
        );
    }
    daemon.kill().await.unwrap();
}

async fn one(client: &Client, undo: bool) -> Duration {
    let begun = Instant::now();
    let spec = Spec::Noop(NoopSpec { undo, ..NoopSpec::default() });
    let workflow = client
        .start(StartWorkflowRequest { spec: Some(spec), ..StartWorkflowRequest::default() })
        .await
        .unwrap();
    let ended = client.wait(&workflow.name, "", LIMIT).await.unwrap();
    assert_eq!(ended.state(), State::Succeeded, "{ended:#?}");
    begun.elapsed()
}

async fn many(client: &Client, undo: bool, total: usize, in_flight: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(total));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, left) = (client.clone(), left.clone());
        tasks.spawn(async move {
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                one(&client, undo).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    total as f64 / begun.elapsed().as_secs_f64()
}

async fn start_daemon(data: &Path) -> (Child, Client) {
    std::fs::create_dir_all(data).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = data.join("causewayd.toml");
    std::fs::write(
        &config,
        format!(
            "listen = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\n[telemetry]\nlog = \"warn\"\n"
        ),
    )
    .unwrap();
    let mut command = Command::new(companion::daemon_binary().await.unwrap());
    let child = command.arg("--config").arg(&config).kill_on_drop(true).spawn().unwrap();
    let address = format!("http://127.0.0.1:{port}");
    let client = client_of(&address, Duration::from_secs(30));
    while client.server_info().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (child, client)
}

/// Processor time that the daemon has used: unlike the rate it hardly depends on what else the machine does.
fn cpu(daemon: &Child) -> Duration {
    let path = format!("/proc/{}/stat", daemon.id().unwrap_or_default());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    // Fields 14 and 15 of proc(5), after the name; in ticks of 10 ms.
    let ticks = fields.split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}

/// Resident memory of the daemon, as the kernel counts it.
fn rss_mib(daemon: &Child) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", daemon.id().unwrap_or_default()))
            .unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or_default() / 1024
}
