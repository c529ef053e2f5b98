//! systemctl, over a table of units. Starting kubelet is what matters: see [`super::kubelet::start`].

use std::path::Path;

/// Units that the image or the packages bring.
const UNITS: &[&str] = &[
    "docker",
    "crond",
    "cron",
    "sshd",
    "chronyd",
    "chrony",
    "NetworkManager",
    "systemd-resolved",
    "systemd-modules-load",
    "systemd-sysctl",
    "firewalld",
    "ufw",
    "aliyun",
    "iptables",
    "nftables",
    "rpcbind",
    "swap.target",
];

/// `systemctl`.
pub(super) fn run(args: &[String]) -> i32 {
    let quiet = args.iter().any(|arg| arg == "--quiet" || arg == "-q");
    let now = args.iter().any(|arg| arg == "--now");
    let mut words = args.iter().filter(|arg| !arg.starts_with('-')).map(String::as_str);
    let Some(verb) = words.next() else { return 0 };
    let units: Vec<&str> =
        words.map(|unit| unit.strip_suffix(".service").unwrap_or(unit)).collect();
    match verb {
        "daemon-reload" | "daemon-reexec" | "reset-failed" | "list-units" | "list-unit-files"
        | "show" | "preset" => 0,
        "start" | "restart" | "reload-or-restart" | "try-restart" | "reload" => {
            each(&units, verb, 5, start)
        }
        "stop" | "kill" => each(&units, verb, 5, stop),
        "enable" => each(&units, verb, 1, |unit| {
            super::remember(&format!("enabled-{unit}"), "")?;
            if now { start(unit) } else { Ok(()) }
        }),
        "disable" => each(&units, verb, 1, |unit| {
            forget(&format!("enabled-{unit}"))?;
            if now { stop(unit) } else { Ok(()) }
        }),
        "mask" | "unmask" => 0,
        "is-active" => tell(&units, quiet, "active", "inactive"),
        "is-enabled" => tell(&units, quiet, "enabled", "disabled"),
        "status" => tell(&units, quiet, "active", "inactive"),
        _ => super::fail(&format!("Unknown command verb {verb}."), 1),
    }
}

fn each(units: &[&str], verb: &str, missing: i32, act: impl Fn(&str) -> Result<(), String>) -> i32 {
    let mut code = 0;
    for unit in units {
        if !is_known(unit) {
            code = super::fail(
                &format!("Failed to {verb} {unit}.service: Unit {unit}.service not found."),
                missing,
            );
        } else if let Err(message) = act(unit) {
            code = super::fail(&message, 1);
        }
    }
    code
}

fn is_known(unit: &str) -> bool {
    if ["kubelet", "containerd"].contains(&unit) {
        // Their packages bring the units.
        return Path::new("/usr/bin").join(unit).exists();
    }
    let file = |folder: &str| Path::new(folder).join(format!("{unit}.service")).exists();
    UNITS.contains(&unit)
        || unit.ends_with(".target")
        || unit.ends_with(".swap")
        || file("/etc/systemd/system")
        || file("/usr/lib/systemd/system")
        || file("/lib/systemd/system")
}

/// As the real one, says nothing of a service that starts and then ends: the journal has it, here the log.
fn start(unit: &str) -> Result<(), String> {
    super::remember(&format!("active-{unit}"), "")?;
    if unit == "kubelet"
        && let Err(message) = super::kubelet::start()
    {
        eprintln!("kubelet.service: {message}");
    }
    Ok(())
}

fn stop(unit: &str) -> Result<(), String> {
    forget(&format!("active-{unit}"))
}

fn forget(name: &str) -> Result<(), String> {
    match std::fs::remove_file(super::state(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn tell(units: &[&str], quiet: bool, yes: &str, no: &str) -> i32 {
    let prefix = if yes == "enabled" { "enabled" } else { "active" };
    let states: Vec<bool> =
        units.iter().map(|unit| super::recall(&format!("{prefix}-{unit}")).is_some()).collect();
    for state in states.iter().filter(|_| !quiet) {
        println!("{}", if *state { yes } else { no });
    }
    match (states.iter().all(|state| *state), prefix) {
        (true, _) => 0,
        (false, "enabled") => 1,
        (false, _) => 3,
    }
}
