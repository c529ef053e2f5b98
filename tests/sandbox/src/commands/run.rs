//! `run`: the whole job in one command. World up, daemon up, the cluster built over gRPC, the result shown, everything
//! ended; and the proof whether the world is as it was before.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, bail};
use causeway_client::{Client, cli};
use causeway_proto::{
    input,
    v1::{StartWorkflowRequest, Workflow},
};
use causeway_sandbox::{instances::companion, world::World};

use super::{WorldArgs, daemon::Daemon, report, up};

/// Exit code after Ctrl-C.
const INTERRUPTED: u8 = cli::Exit::Detached as u8;

/// How a run ended.
enum End {
    /// The workflow rests or is over.
    Workflow(Box<Workflow>),
    /// It never began: the input or the daemon refused.
    Refused(u8),
}

/// Runs the input file (default: the guide's cluster, or both with two clusters).
pub(super) async fn run(file: Option<&Path>, args: &WorldArgs) -> anyhow::Result<u8> {
    let program = companion::daemon_binary().await?;
    let begun = Instant::now();
    let world = args.start().await?;
    let before = world.settled_ledger().await?;
    write(&world, "world-before.json", &before)?;
    let mut daemon = Daemon::start(&program, &world).await?;
    eprintln!(
        "The world is up, the daemon serves {}. Files: {}",
        world.endpoints().daemon,
        world.folder().path().display()
    );
    let files = match file {
        Some(file) => vec![file.to_owned()],
        None => {
            (0..usize::from(args.clusters)).map(|index| world.folder().input_file(index)).collect()
        }
    };
    let outcome = tokio::select! {
        outcome = build_all(&world, &mut daemon, &files) => outcome,
        signal = up::ended() => {
            eprintln!("causeway-sandbox: interrupted; the daemon and its world end");
            signal.map(|()| INTERRUPTED)
        }
    };
    daemon.stop().await?;
    let code = outcome?;
    let after = world.settled_ledger().await?;
    write(&world, "world-after.json", &after)?;
    println!("{}", verdict(&world, &before, &after, code));
    world.shutdown().await;
    eprintln!("Ended after {:.1} s with exit code {code}.", begun.elapsed().as_secs_f64());
    Ok(code)
}

/// One after the other, until one does not succeed.
async fn build_all(world: &World, daemon: &mut Daemon, files: &[PathBuf]) -> anyhow::Result<u8> {
    for file in files {
        let code = build(world, daemon, file).await?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

fn write(world: &World, name: &str, text: &str) -> anyhow::Result<()> {
    let path = world.folder().file(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn verdict(world: &World, before: &str, after: &str, code: u8) -> String {
    let files = [world.folder().file("world-before.json"), world.folder().file("world-after.json")]
        .map(|path: PathBuf| path.display().to_string());
    match (before == after, code) {
        (true, _) => {
            format!("The world is byte for byte what it was before ({} = {}).", files[0], files[1])
        }
        (false, INTERRUPTED) => format!(
            "The build was cut short: what it left is the difference of {} and {}.",
            files[0], files[1]
        ),
        (false, 0) => format!("What was built is the difference of {} and {}.", files[0], files[1]),
        (false, _) => {
            format!("The world is NOT what it was before: compare {} with {}.", files[0], files[1])
        }
    }
}

async fn build(world: &World, daemon: &mut Daemon, file: &Path) -> anyhow::Result<u8> {
    let client = daemon.client().clone();
    let end = tokio::select! {
        end = start_and_follow(&client, file) => end?,
        status = daemon.ended() => bail!("the daemon ended ({}) in the middle of the run:\n{}", status?, daemon.log_tail()),
    };
    match end {
        End::Refused(code) => Ok(code),
        End::Workflow(workflow) => {
            report::show(world, &workflow).await?;
            let exit = cli::Exit::of_workflow(&workflow, false).unwrap_or(cli::Exit::Other);
            Ok(exit as u8)
        }
    }
}

async fn start_and_follow(client: &Client, file: &Path) -> anyhow::Result<End> {
    let Some(request) = read(file)? else { return Ok(End::Refused(2)) };
    eprintln!("Starting {} (request id {})", file.display(), request.request_id);
    let workflow = match client.start(request).await {
        Ok(workflow) => workflow,
        Err(error) => {
            eprintln!("The daemon refused: {error}");
            return Ok(End::Refused(cli::Exit::of_error(&error) as u8));
        }
    };
    let mut console = cli::Console::standard();
    let mut progress = cli::progress_for(&mut console);
    let followed =
        cli::follow(client, &workflow.id, &cli::Follow::default(), &mut *progress).await?;
    match followed.workflow {
        Some(workflow) => Ok(End::Workflow(Box::new(workflow))),
        // Interrupted, which ends the daemon and its world as well.
        None => Ok(End::Refused(followed.exit as u8)),
    }
}

/// The request of an input file; `None` where it is wrong, which has been said.
fn read(file: &Path) -> anyhow::Result<Option<StartWorkflowRequest>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value: serde_json::Value = match serde_saphyr::from_str(&text) {
        Ok(value) => value,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return Ok(None);
        }
    };
    match input::decode(&value) {
        Ok(request) => Ok(Some(StartWorkflowRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            ..request
        })),
        Err(violations) => {
            violations.iter().for_each(|violation| eprintln!("{}: {violation}", file.display()));
            Ok(None)
        }
    }
}
