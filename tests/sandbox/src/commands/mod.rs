//! The sandbox's command line: `run`, `up`, `world`, `fault`. Results go to stdout, progress to stderr.

mod daemon;
mod remote;
mod report;
mod run;
mod up;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use causeway_sandbox::{
    faults::{Rule, RuleError},
    instances::Mode,
    seed::Seed,
    world::{Options, SPEED_TO_WATCH, World},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

/// A simulated Alibaba Cloud account and data center that speak the real protocols on loopback.
#[derive(Debug, Parser)]
#[command(name = "causeway-sandbox", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings a world and the real daemon up, builds the guide's hybrid cluster over gRPC, shows the result, ends.
    Run {
        /// Input file; default: the guide's cluster.
        #[arg(short = 'f', long = "file", value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Brings the same world up and stays; prints what to type next.
    Up {
        /// Starts no daemon: `causewayd --config DIR/causewayd.toml` is yours to start, kill and restart.
        #[arg(long)]
        no_daemon: bool,
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Prints the ledger of a world that is up: every stored object, as JSON.
    World {
        #[command(flatten)]
        place: Place,
    },
    /// Adds a fault rule (PRODUCT:ACTION[@OBJECT]:KIND[:COUNT]) to a world that is up, or clears them all.
    Fault {
        /// The rule, or `clear`.
        rule: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// Folder of the world's files.
    #[arg(long, value_name = "DIR", default_value = ".sandbox")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct WorldArgs {
    #[command(flatten)]
    place: Place,
    /// Breaks the daemon's calls by rule; repeatable.
    #[arg(long = "fault", value_name = "RULE", value_parser = rule)]
    faults: Vec<String>,
    /// How many times faster than reality the world is.
    #[arg(long, default_value_t = SPEED_TO_WATCH, value_parser = speed)]
    speed: f64,
    /// How instances come to life.
    #[arg(long, value_enum, default_value_t = InstanceMode::Scripted)]
    instances: InstanceMode,
    /// Registered clusters in the account.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    clusters: u8,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum InstanceMode {
    /// They run the registered script in namespaces of their own.
    Scripted,
    /// Nodes join without any script being run.
    Unscripted,
}

/// A wrong rule is refused before anything is built or started.
fn rule(text: &str) -> Result<String, RuleError> {
    text.parse::<Rule>().map(|_rule| text.to_owned())
}

/// Beyond these bounds nothing sensible happens within anybody's patience, or at all.
fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_error| format!("{text} is no number"))?;
    if (0.1..=1000.0).contains(&speed) {
        Ok(speed)
    } else {
        Err("the speed is between 0.1 and 1000; 1 is reality".into())
    }
}

impl WorldArgs {
    async fn start(&self) -> anyhow::Result<World> {
        let instances = match self.instances {
            InstanceMode::Scripted => Mode::Scripted,
            InstanceMode::Unscripted => {
                eprintln!(
                    "causeway-sandbox: UNSCRIPTED: nodes join without the node script being run; nothing is proved about it"
                );
                Mode::Unscripted
            }
        };
        let seed = if self.clusters == 2 { Seed::two_clusters() } else { Seed::guide() };
        let options = Options {
            seed,
            speed: self.speed,
            dir: Some(self.place.dir.clone()),
            faults: self.faults.clone(),
            instances,
        };
        World::start(options).await
    }
}

/// Runs the command line and returns the exit code.
pub(crate) fn main() -> u8 {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("CAUSEWAY_SANDBOX_LOG")
        .unwrap_or_else(|_unset| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = runtime().and_then(|runtime| runtime.block_on(perform(cli.command)));
    outcome.unwrap_or_else(|error| {
        eprintln!("causeway-sandbox: {error:#}");
        1
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

async fn perform(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run { file, world } => Box::pin(run::run(file.as_deref(), &world)).await,
        Command::Up { no_daemon, world } => up::up(no_daemon, &world).await,
        Command::World { place } => show_world(&place.dir).await,
        Command::Fault { rule, place } => fault(&rule, &place.dir).await,
    }
}

async fn show_world(dir: &Path) -> anyhow::Result<u8> {
    print!("{}", remote::Control::of(dir)?.ledger().await?);
    Ok(0)
}

async fn fault(rule: &str, dir: &Path) -> anyhow::Result<u8> {
    let control = remote::Control::of(dir)?;
    if rule == "clear" {
        control.clear_faults().await?
    } else {
        control.add_fault(rule).await?
    }
    for rule in control.faults().await?.lines() {
        println!("{rule}");
    }
    Ok(0)
}
