//! causewayd: the command line, the process, and nothing else. What runs is put together in `app`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use causeway_orchestrator::{
    app::App,
    check,
    config::{self, Config, Flags},
    policy, store,
    telemetry::{self, Journal},
};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A workflow's state is copied for each decision, and its rows for each append: with the system's allocator a third of the
/// daemon's time under load went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The daemon that builds, verifies, grows and unwinds hybrid clusters as durable sagas.
#[derive(Parser)]
#[command(name = "causewayd", version)]
struct Arguments {
    /// Configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the API; loopback only, unless authentication is configured.
    #[arg(long, global = true, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Folder of the store.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// What is logged, such as `info` or `causeway_orchestrator=debug`.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Checks configuration, store, credentials, accounts and clusters without starting; exits with 1 if something is wrong.
    Check,
    /// Makes a store of a backup, in a data directory that has none; starts nothing.
    Restore {
        /// The backup's file, as `causeway server backup` wrote it.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// The configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// The least that the daemon must be allowed, made of what its steps need.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Prints the RAM policy of its user or role, as JSON.
    Ram,
    /// Prints its service account in the data center's cluster, with its roles, as YAML for `kubectl apply`.
    Rbac,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Prints the effective values, and where each comes from.
    Show,
}

fn main() -> ExitCode {
    // With huge pages the allocator holds twice the memory, and clearing them costs more than they save. A kernel that does not
    // know the call has nothing to switch off.
    rustix::thread::disable_transparent_huge_pages(true).ok();
    // Installed once per process; a second one would be the same.
    rustls::crypto::ring::default_provider().install_default().ok();
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("causewayd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let flags = Flags {
        config: arguments.config,
        listen: arguments.listen,
        data_dir: arguments.data_dir,
        log: arguments.log,
    };
    let config = config::load(&flags, &|name| std::env::var_os(name))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    match arguments.command {
        None => runtime.block_on(serve(config)).map(|()| ExitCode::SUCCESS),
        Some(Command::Check) => {
            let findings = runtime.block_on(check::run(&config));
            findings.iter().for_each(|finding| println!("{finding}"));
            Ok(if findings.iter().any(check::Finding::is_fault) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
        Some(Command::Restore { from }) => {
            let to = config.store_dir();
            let identity = runtime.block_on(store::restore(&from, &to))?;
            println!(
                "Restored store {} (epoch {}) to {}. Its live workflows will rest, RESTORED, until somebody resumes them; `causeway stuck` lists them.\n\
                 The sealing key is no part of a backup: put it where the configuration expects it before the daemon is started.",
                identity.store_id,
                identity.restore_epoch,
                to.display()
            );
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Config { command: ConfigCommand::Show }) => {
            print!("{}", config::show(&config));
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Policy { command }) => {
            let least =
                if let PolicyCommand::Ram = command { policy::ram() } else { policy::rbac() };
            print!("{least}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&config.telemetry)?;
    let observer = Arc::new(Journal::new(telemetry.traces()));
    let outcome = serve_until_told(config, observer).await;
    // Sending the last spans blocks.
    tokio::task::spawn_blocking(|| telemetry.shutdown()).await?;
    outcome
}

/// The first SIGTERM or SIGINT stops the daemon in order, a second one at once.
async fn serve_until_told(config: Config, observer: Arc<Journal>) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let app = App::build(config, observer).await?;
    let mut running = std::pin::pin!(app.run(shutdown.clone()));
    loop {
        tokio::select! {
            outcome = &mut running => return outcome,
            () = either(&mut terminate, &mut interrupt) => {
                if shutdown.is_cancelled() {
                    anyhow::bail!("stopped at once by a second signal; what was in flight is resolved at the next start");
                }
                shutdown.cancel();
            }
        }
    }
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
    }
}
