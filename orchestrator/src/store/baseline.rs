//! What the disk itself can do, measured beside the store's own numbers: appending to a file and `fdatasync`, alone and with
//! many writers sharing each sync. It uses no store.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Records that were made durable.
    pub records: usize,
    /// How long all of it took.
    pub wall: Duration,
    /// How long each record took from being offered to being durable, sorted.
    pub latencies: Vec<Duration>,
}

impl Measured {
    fn new(wall: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self { records: latencies.len(), wall, latencies }
    }

    /// Durable records per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that `share` (0 to 1) of the records did not exceed; zero where nothing was measured.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.records.saturating_sub(1) as f64 * share.clamp(0.0, 1.0)).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// One writer: `records` times `bytes` bytes, each followed by its own sync.
///
/// # Errors
/// What the file system says.
pub fn alone(folder: &Path, records: usize, bytes: usize) -> io::Result<Measured> {
    let (path, mut file) = scratch(folder, "alone")?;
    let record = vec![0x5a; bytes];
    let mut latencies = Vec::with_capacity(records);
    let begun = Instant::now();
    for _ in 0..records {
        let offered = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        latencies.push(offered.elapsed());
    }
    let wall = begun.elapsed();
    std::fs::remove_file(path)?;
    Ok(Measured::new(wall, latencies))
}

/// `writers` threads, each with one record of `bytes` bytes on its way at a time, `each` times; one thread writes what waits
/// and syncs once for all of it.
///
/// # Errors
/// What the file system says.
pub fn sharing(folder: &Path, writers: usize, each: usize, bytes: usize) -> io::Result<Measured> {
    let (path, mut file) = scratch(folder, "sharing")?;
    let record = vec![0x5a; bytes];
    let (offer, offered) = mpsc::sync_channel::<mpsc::SyncSender<()>>(writers);
    let begun = Instant::now();
    // Everything moves in: where the file fails, the channels close, and no writer waits for ever.
    let latencies = thread::scope(move |scope| {
        let offered = offered;
        let threads: Vec<_> =
            (0..writers).map(|_| scope.spawn(writer(offer.clone(), each))).collect();
        drop(offer);
        while let Ok(first) = offered.recv() {
            let mut waiting = vec![first];
            waiting.extend(offered.try_iter());
            for _ in &waiting {
                file.write_all(&record)?;
            }
            file.sync_data()?;
            // A writer that has gone has ended with an error of its own.
            for writer in waiting {
                writer.send(()).ok();
            }
        }
        Ok::<_, io::Error>(
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect(),
        )
    })?;
    let wall = begun.elapsed();
    std::fs::remove_file(path)?;
    Ok(Measured::new(wall, latencies))
}

/// A writer's body: offers a record, waits until it is durable, and so on.
fn writer(
    offer: mpsc::SyncSender<mpsc::SyncSender<()>>,
    each: usize,
) -> impl FnOnce() -> Vec<Duration> {
    move || {
        let mut latencies = Vec::with_capacity(each);
        for _ in 0..each {
            let begun = Instant::now();
            let (answer, answered) = mpsc::sync_channel(1);
            if offer.send(answer).is_err() || answered.recv().is_err() {
                break;
            }
            latencies.push(begun.elapsed());
        }
        latencies
    }
}

fn scratch(folder: &Path, name: &str) -> io::Result<(std::path::PathBuf, File)> {
    let path = folder.join(format!("baseline-{name}-{}", std::process::id()));
    let file = File::options().create(true).append(true).open(&path)?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let alone = alone(folder.path(), 3, 64).expect("the folder is ours");
        let sharing = sharing(folder.path(), 4, 5, 64).expect("the folder is ours");
        assert_eq!((alone.records, sharing.records), (3, 20));
        assert!(sharing.quantile(0.5) <= sharing.quantile(0.99) && sharing.rate() > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
    }
}
