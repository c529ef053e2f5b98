//! The walls around an instance, from inside. The program re-executes itself: the first stage, with one thread, leaves
//! the host's user, mount, pid, network, IPC and UTS namespaces; the second is process 1 of the new ones. It builds
//! the scratch root, makes everything else read-only, gives up every capability, and only then runs user data.
//!
//! The host stays untouched because: nothing of it is visible but its programs, read-only; there is no network; the
//! script is in a user namespace without capabilities, can gain none (no_new_privs) and create no further namespace;
//! kernel settings are read-only; when process 1 ends, the kernel kills all that is left. Process 1 ends when its
//! input does, so not even a killed sandbox leaves a machine running.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// The hidden subcommand of the first stage.
pub(super) const ENTER: &str = "__instance";
/// The hidden subcommand of the second stage.
const INIT: &str = "__instance-init";
/// The hidden subcommand that only tries the walls.
const PROBE: &str = "__instance-probe";
/// The hidden subcommand of the probe's second stage.
const PROBE_INIT: &str = "__instance-probe-init";

/// Whether this machine has what the walls are made of.
pub(super) async fn probe(helper: &Path) -> anyhow::Result<()> {
    let output = Command::new(helper).arg(PROBE).env_clear().stdin(Stdio::null()).output().await;
    let output = output.with_context(|| format!("cannot start {}", helper.display()))?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "this machine offers no unprivileged namespaces, so node scripts can't be run safely ({}); allow them \
         (sysctl kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0, or a container \
         that permits unshare and mount), or start with --instances=unscripted, where nodes join without any script being run",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// Runs a hidden stage, where `args` ask for one, and returns its exit code.
pub(super) fn run_hidden(args: &[String]) -> Option<i32> {
    let stage = args.get(1).map(String::as_str)?;
    let outcome = match stage {
        ENTER | INIT | PROBE | PROBE_INIT => stages::run(stage, &args[2..]),
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        70
    }))
}

#[cfg(not(target_os = "linux"))]
mod stages {
    //! Other platforms have no namespaces.

    pub(super) fn run(_stage: &str, _args: &[String]) -> anyhow::Result<i32> {
        anyhow::bail!("namespaces exist on Linux only")
    }
}

#[cfg(target_os = "linux")]
mod stages {
    //! The stages themselves.

    use std::{
        fs,
        io::{BufRead as _, Read as _, Write as _},
        os::unix::process::CommandExt as _,
        path::Path,
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    use anyhow::Context as _;
    use rustix::{
        process::{Resource, Rlimit, Signal},
        thread::{CapabilitySet, CapabilitySets, UnshareFlags},
    };

    use super::super::{
        guest::{Config, Ended},
        rootfs,
    };

    /// Where user data prints to.
    const LOG: &str = "/var/log/acs/init.log";
    /// A script that prints more than this is stopped.
    const LOG_MAX_BYTES: u64 = 8 << 20;
    /// How much of the log's beginning and of its end is kept.
    const LOG_HEAD_BYTES: usize = 32 << 10;
    const LOG_TAIL_BYTES: usize = 96 << 10;
    /// How often a running script is looked at.
    const LOOK: Duration = Duration::from_millis(10);
    /// The largest file that a script may write.
    const FILE_MAX_BYTES: u64 = 64 << 20;
    /// The address space of each of a script's processes.
    const MEMORY_MAX_BYTES: u64 = 4 << 30;
    /// A script's processes; the kernel does not count those of the host's root.
    const PROCESSES_MAX: u64 = 4096;

    pub(super) fn run(stage: &str, args: &[String]) -> anyhow::Result<i32> {
        match stage {
            super::ENTER => {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).context("cannot read what to boot")?;
                leave_host()?;
                second_stage(super::INIT, &[line.trim_end().to_owned()], Stdio::inherit())
            }
            super::INIT => {
                let config: Config =
                    serde_json::from_str(args.first().context("what to boot is missing")?)?;
                let ended = boot(&config)?;
                let mut out = std::io::stdout().lock();
                serde_json::to_writer(&mut out, &ended)?;
                out.flush()?;
                Ok(0)
            }
            super::PROBE => {
                leave_host()?;
                second_stage(super::PROBE_INIT, &[], Stdio::null())
            }
            _ => {
                rootfs::probe()?;
                Ok(0)
            }
        }
    }

    #[allow(
        deprecated,
        reason = "the safe form is right here: the flag that makes unshare unsafe, FILES, is not used"
    )]
    fn leave_host() -> anyhow::Result<()> {
        let (user, group) =
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let all = UnshareFlags::NEWUSER
            | UnshareFlags::NEWNS
            | UnshareFlags::NEWPID
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS;
        rustix::thread::unshare(all).context("unshare")?;
        fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
        fs::write("/proc/self/uid_map", format!("0 {user} 1")).context("/proc/self/uid_map")?;
        fs::write("/proc/self/gid_map", format!("0 {group} 1")).context("/proc/self/gid_map")
    }

    /// Starts process 1 of the new namespaces and waits for it. No thread can be started in this process any more.
    fn second_stage(stage: &str, args: &[String], input: Stdio) -> anyhow::Result<i32> {
        let mut child = Command::new("/proc/self/exe")
            .arg(stage)
            .args(args)
            .env_clear()
            .stdin(input)
            .spawn()
            .context("cannot start the second stage")?;
        let status = child.wait().context("cannot wait for the second stage")?;
        Ok(status.code().unwrap_or(71))
    }

    fn boot(config: &Config) -> anyhow::Result<Ended> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .context("death signal")?;
        rustix::system::sethostname(config.hostname.as_bytes()).context("host name")?;
        rootfs::build(config)?;
        give_up_capabilities()?;
        limit_resources(config.limit)?;
        die_with_input()?;
        user_data(config)
    }

    fn give_up_capabilities() -> anyhow::Result<()> {
        for bit in 0..u64::BITS {
            match rustix::thread::remove_capability_from_bounding_set(
                CapabilitySet::from_bits_retain(1 << bit),
            ) {
                Ok(()) => {}
                // One past the last that this kernel knows.
                Err(rustix::io::Errno::INVAL) => break,
                Err(error) => return Err(error).context("capability bounding set"),
            }
        }
        rustix::thread::set_no_new_privs(true).context("no_new_privs")?;
        let none = CapabilitySet::empty();
        rustix::thread::set_capabilities(
            None,
            CapabilitySets { effective: none, permitted: none, inheritable: none },
        )
        .context("capabilities")
    }

    fn limit_resources(limit: Duration) -> anyhow::Result<()> {
        let limits = [
            (Resource::Core, 0),
            (Resource::Fsize, FILE_MAX_BYTES),
            (Resource::As, MEMORY_MAX_BYTES),
            (Resource::Nproc, PROCESSES_MAX),
            (Resource::Nofile, 1024),
            (Resource::Cpu, limit.as_secs() + 1),
        ];
        for (resource, most) in limits {
            let most = rustix::process::getrlimit(resource)
                .maximum
                .map_or(most, |already| most.min(already));
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            rustix::process::setrlimit(resource, limit)
                .with_context(|| format!("limit of {resource:?}"))?;
        }
        Ok(())
    }

    fn die_with_input() -> anyhow::Result<()> {
        let watch = || {
            let mut rest = [0_u8; 64];
            while std::io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
            std::process::exit(72);
        };
        std::thread::Builder::new().spawn(watch).context("cannot watch the input")?;
        Ok(())
    }

    /// What cloud-init does: exports the variables, fetches the script, runs it with bash.
    fn user_data(config: &Config) -> anyhow::Result<Ended> {
        let log = fs::File::create(LOG).context(LOG)?;
        let errors = log.try_clone().context(LOG)?;
        let mut child = Command::new("/bin/bash")
            .arg(rootfs::USER_DATA)
            .env_clear()
            .envs(&config.variables)
            .env("NODE_SCRIPT_URL", &config.script_url)
            .env("PATH", rootfs::PATH)
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .current_dir("/root")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .context("cannot start bash")?;
        let deadline = Instant::now() + config.limit;
        let fault = loop {
            if let Some(status) = child.try_wait().context("cannot wait for user data")? {
                return Ok(Ended { exit: status.code(), log: read_log()?, fault: None });
            }
            if Instant::now() >= deadline {
                break format!(
                    "stopped: user data was still running after {}",
                    humantime::format_duration(config.limit)
                );
            }
            if fs::metadata(LOG).is_ok_and(|data| data.len() > LOG_MAX_BYTES) {
                break format!("stopped: user data printed more than {LOG_MAX_BYTES} bytes");
            }
            std::thread::sleep(LOOK);
        };
        child.kill().context("cannot stop user data")?;
        Ok(Ended { exit: None, log: read_log()?, fault: Some(fault) })
    }

    fn read_log() -> anyhow::Result<String> {
        let bytes = fs::read(Path::new(LOG)).context(LOG)?;
        if bytes.len() <= LOG_HEAD_BYTES + LOG_TAIL_BYTES {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        let (head, tail) = (&bytes[..LOG_HEAD_BYTES], &bytes[bytes.len() - LOG_TAIL_BYTES..]);
        let left_out = bytes.len() - LOG_HEAD_BYTES - LOG_TAIL_BYTES;
        Ok(format!(
            "{}\n[... {left_out} bytes left out ...]\n{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(tail)
        ))
    }
}
