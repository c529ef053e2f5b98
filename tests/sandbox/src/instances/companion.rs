//! Finds the programs that the sandbox starts: itself, as the one that plays instances, the daemon, and the command line. They stand
//! beside the running program; under cargo they are built when missing or older than the sources.

use std::{
    ffi::OsStr,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail};
use tokio::{process::Command, sync::OnceCell};

/// A program of this workspace.
struct Program {
    name: &'static str,
    package: &'static str,
    /// The environment variable that names another one.
    variable: &'static str,
    /// What it is built from.
    sources: &'static [&'static str],
}

const SANDBOX: Program = Program {
    name: "causeway-sandbox",
    package: "causeway-sandbox",
    variable: "CAUSEWAY_SANDBOX_BIN",
    sources: &["proto", "client/src", "tests/sandbox/src"],
};

const CLIENT: Program = Program {
    name: "causeway",
    package: "causeway-client",
    variable: "CAUSEWAY_CLIENT_BIN",
    sources: &["proto", "client/src"],
};

const DAEMON: Program = Program {
    name: "causewayd",
    package: "causeway-orchestrator",
    variable: "CAUSEWAY_DAEMON_BIN",
    sources: &["proto", "workflows/src", "orchestrator/src", "orchestrator/engine/src"],
};

/// The sandbox's own program: `CAUSEWAY_SANDBOX_BIN`, the running program, or the one beside it.
pub async fn sandbox_binary() -> anyhow::Result<PathBuf> {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    FOUND.get_or_try_init(|| find(&SANDBOX)).await.cloned()
}

/// The daemon's program: `CAUSEWAY_DAEMON_BIN`, or the one beside the running program.
pub async fn daemon_binary() -> anyhow::Result<PathBuf> {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    FOUND.get_or_try_init(|| find(&DAEMON)).await.cloned()
}

/// The command line's program: `CAUSEWAY_CLIENT_BIN`, or the one beside the running program.
pub async fn client_binary() -> anyhow::Result<PathBuf> {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    FOUND.get_or_try_init(|| find(&CLIENT)).await.cloned()
}

async fn find(program: &Program) -> anyhow::Result<PathBuf> {
    let Program { name, package, variable, sources } = program;
    if let Some(given) = std::env::var_os(variable) {
        let given = PathBuf::from(given);
        return if given.is_file() {
            Ok(given)
        } else {
            Err(anyhow::anyhow!("{variable} names {}, which is no file", given.display()))
        };
    }
    let running = std::env::current_exe().context("cannot tell where this program is")?;
    if running.file_stem().is_some_and(|stem| stem == *name) {
        return Ok(running);
    }
    let folder = running.parent().context("this program has no folder")?;
    let folder = if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    let wanted = folder.join(name);
    let Some(workspace) = workspace(folder) else {
        if wanted.is_file() {
            return Ok(wanted);
        }
        bail!(
            "{} is missing: put {name} beside this program, or name it in {variable}",
            wanted.display()
        );
    };
    if !is_fresh(&wanted, &workspace, sources) {
        build(package, name, folder, &workspace).await?;
    }
    Ok(wanted)
}

/// The folder of the workspace's manifest, where this program runs under cargo or out of a target folder.
fn workspace(folder: &Path) -> Option<PathBuf> {
    let under_cargo =
        std::env::var_os("CARGO").is_some() && std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    let in_target = folder.parent().is_some_and(|target| target.join("CACHEDIR.TAG").is_file());
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2)?.to_owned();
    ((under_cargo || in_target) && root.join("Cargo.toml").is_file()).then_some(root)
}

/// Whether none of its sources is newer than the program.
fn is_fresh(program: &Path, workspace: &Path, sources: &[&str]) -> bool {
    let Ok(built) = program.metadata().and_then(|data| data.modified()) else { return false };
    sources
        .iter()
        .chain(&["Cargo.toml", "Cargo.lock"])
        .all(|part| newest(&workspace.join(part)).is_none_or(|changed| changed <= built))
}

fn newest(path: &Path) -> Option<SystemTime> {
    let data = path.metadata().ok()?;
    if data.is_file() {
        return data.modified().ok();
    }
    let entries = path.read_dir().ok()?.flatten();
    entries
        .filter(|entry| entry.file_name() != "target")
        .filter_map(|entry| newest(&entry.path()))
        .max()
}

/// Whether cargo set this variable for the one package that it runs. Build scripts (ring's) ask to be run again where such a
/// variable has changed: handed on, it would have cargo build half the workspace anew here, and again at the next `cargo run`.
fn is_of_the_package(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|name| {
        ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| name.starts_with(prefix))
            || ["CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_PRIMARY_PACKAGE"].contains(&name)
    })
}

async fn build(package: &str, name: &str, folder: &Path, workspace: &Path) -> anyhow::Result<()> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target = folder.parent().context("the target folder has no parent")?;
    eprintln!(
        "causeway-sandbox: building {name} ({profile} profile); the first time takes a while"
    );
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // In tests, and wherever nobody watches, cargo's own progress is only noise.
    let quiet = (!std::io::stderr().is_terminal()).then_some("--quiet");
    let mut command = Command::new(cargo);
    for (inherited, _) in std::env::vars_os().filter(|(name, _)| is_of_the_package(name)) {
        command.env_remove(inherited);
    }
    let status = command
        .arg("build")
        .args(quiet)
        .args(["--package", package, "--bin", name, "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(workspace)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .await
        .with_context(|| format!("cannot start cargo to build {name}"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("cargo could not build {name} ({status}); its messages are above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_one_package_is_not_handed_on_and_settings_are() {
        for name in
            ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE", "CARGO_BIN_NAME"]
        {
            assert!(is_of_the_package(OsStr::new(name)), "{name}");
        }
        for name in
            ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_PROFILE_RELEASE_STRIP", "PATH"]
        {
            assert!(!is_of_the_package(OsStr::new(name)), "{name}");
        }
    }
}
