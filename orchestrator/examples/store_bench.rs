//! Measures the embedded store beside the bare disk: `cargo run --release --example store_bench [FOLDER]`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_orchestrator::store::sled::{Options, SledStore};
use causeway_orchestrator::store::{Append, Error, Fence, Store, baseline};
use tokio::task::JoinSet;

/// About what a step's transition writes.
const RECORD_BYTES: usize = 256;
const SUMMARY_BYTES: usize = 400;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let alone = baseline::alone(&folder, 2000, RECORD_BYTES)?;
    println!("disk alone      p50 {:?} p99 {:?}", alone.quantile(0.5), alone.quantile(0.99));
    let sharing = baseline::sharing(&folder, 64, 1000, RECORD_BYTES)?;
    println!("disk sharing 64 {:.0}/s p50 {:?}", sharing.rate(), sharing.quantile(0.5));
    for (writers, each) in [(1, 2000), (64, 1000), (512, 300)] {
        let path = folder.join(format!("store-bench-{}-{writers}", std::process::id()));
        let measured = measure(&path, writers, each).await?;
        let (p50, p99) =
            (measured.1[measured.1.len() / 2], measured.1[measured.1.len() * 99 / 100]);
        let rate = measured.1.len() as f64 / measured.0.as_secs_f64();
        println!("store {writers:3} writers {rate:.0}/s p50 {p50:?} p99 {p99:?}");
        std::fs::remove_dir_all(path)?;
    }
    Ok(())
}

async fn measure(
    path: &Path,
    writers: usize,
    each: u64,
) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let store = Arc::new(SledStore::open(&Options::new(path))?);
    let fence = store.own(0).await?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        tasks.spawn(write(Arc::clone(&store), fence, format!("w{writer}"), each));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let wall = begun.elapsed();
    latencies.sort_unstable();
    Ok((wall, latencies))
}

async fn write(
    store: Arc<SledStore>,
    fence: Fence,
    workflow: String,
    each: u64,
) -> Result<Vec<Duration>, Error> {
    let mut latencies = Vec::new();
    for expected in 0..each {
        let mut append = Append::new(fence, workflow.clone(), expected);
        append.events = vec![vec![0x5a; RECORD_BYTES]];
        append.summary = Some(vec![0x5a; SUMMARY_BYTES]);
        let begun = Instant::now();
        store.append(append).await?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}
