//! `up`: a world that stays until Ctrl-C.

use causeway_sandbox::{
    instances::companion,
    world::{Folder, World},
};

use super::{WorldArgs, daemon::Daemon};

/// Brings the world up, and the daemon unless `no_daemon`; returns at Ctrl-C or SIGTERM.
pub(super) async fn up(no_daemon: bool, args: &WorldArgs) -> anyhow::Result<u8> {
    let world = args.start().await?;
    let mut daemon = None;
    if !no_daemon {
        let program = companion::daemon_binary().await?;
        daemon = Some(Daemon::start(&program, &world).await?);
    }
    print!("{}", next_steps(&world, args.clusters, no_daemon));
    stay(daemon.as_mut()).await?;
    if let Some(daemon) = daemon {
        daemon.stop().await?;
    }
    world.shutdown().await;
    Ok(0)
}

/// Until a signal comes. A daemon that ends by itself is reported, and the world stays.
async fn stay(daemon: Option<&mut Daemon>) -> anyhow::Result<()> {
    let Some(daemon) = daemon else { return ended().await };
    tokio::select! {
        outcome = ended() => return outcome,
        status = daemon.ended() => {
            eprintln!("causeway-sandbox: the daemon has ended ({}); the world stays. Its log ends with:\n{}", status?, daemon.log_tail());
        }
    }
    ended().await
}

/// Until somebody asks this process to end.
pub(super) async fn ended() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn next_steps(world: &World, clusters: u8, no_daemon: bool) -> String {
    let (endpoints, folder) = (world.endpoints(), world.folder());
    let at = |name: &str| relative(folder, name);
    let mut text = format!("The world is up.\n  cloud       {}\n", endpoints.cloud);
    for cluster in &endpoints.kubernetes {
        text.push_str(&format!(
            "  kubernetes  {} (registered cluster {})\n",
            cluster.url, cluster.cluster_id
        ));
    }
    text.push_str("\nNext, in another terminal:\n");
    if no_daemon {
        text.push_str(&format!("  causewayd --config {}\n", at("causewayd.toml")));
    } else {
        text.push_str(&format!(
            "  # the daemon listens on {}; its log: {}\n",
            endpoints.daemon,
            at("daemon.log")
        ));
    }
    text.push_str(&format!("  export $(cat {})\n", at("client.env")));
    text.push_str(&format!("  causeway start -f {} --wait\n", at("hybrid-cluster.yaml")));
    if clusters == 2 {
        text.push_str(&format!("  causeway start -f {} --wait\n", at("hybrid-cluster-2.yaml")));
    }
    text.push_str(&format!("  kubectl --kubeconfig {} get nodes\n", at("kubeconfig")));
    let dir = folder.path().display();
    text.push_str(&format!("  causeway-sandbox world --dir {dir}\n  causeway-sandbox fault cs:CreateClusterNodePool:error=403 --dir {dir}\n\nCtrl-C ends it.\n"));
    text
}

fn relative(folder: &Folder, name: &str) -> String {
    let path = folder.file(name);
    let here = std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(std::path::Path::to_path_buf));
    here.unwrap_or(path).display().to_string()
}
