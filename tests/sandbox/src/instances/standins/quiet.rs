//! Programs whose work a script can't see: they succeed, print the little that is asked of them, and remember what
//! others need (versions that were installed).

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::symlink,
    path::Path,
    time::Duration,
};

use super::super::rootfs;

/// Does nothing, successfully.
pub(super) fn succeed(_args: &[String]) -> i32 {
    0
}

/// Refuses: the machine is needed.
pub(super) fn refuse(_args: &[String]) -> i32 {
    super::fail("the sandbox's machines don't restart", 1)
}

/// `getenforce`.
pub(super) fn getenforce(_args: &[String]) -> i32 {
    println!("Disabled");
    0
}

/// `sleep`, at the world's pace: `5`, `0.5`, `1m`; several are added.
pub(super) fn sleep(args: &[String]) -> i32 {
    let second: f64 = super::recall("second").and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let mut seconds = 0.0;
    for arg in args {
        let (number, unit) = arg.split_at(arg.find(char::is_alphabetic).unwrap_or(arg.len()));
        let unit = match unit {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return super::fail(&format!("sleep: invalid time interval '{arg}'"), 1),
        };
        let Ok(number) = number.parse::<f64>() else {
            return super::fail(&format!("sleep: invalid time interval '{arg}'"), 1);
        };
        seconds += number * unit;
    }
    std::thread::sleep(Duration::try_from_secs_f64(seconds * second).unwrap_or(Duration::MAX));
    0
}

/// `yum`, `dnf`, `apt-get`, `apt`: a package's programs appear on PATH, and its version is remembered.
pub(super) fn install(args: &[String]) -> i32 {
    let mut words = args.iter().filter(|arg| !arg.starts_with('-'));
    let verb = words.next().map_or("", String::as_str);
    if !matches!(verb, "install" | "reinstall" | "downgrade") {
        return 0;
    }
    for package in words {
        if let Err(error) = bring(package) {
            return super::fail(&format!("{package}: {error}"), 1);
        }
        let found = ["kubelet", "kubeadm"]
            .iter()
            .find_map(|name| version_of(package, name).map(|version| (name, version)));
        if let Some((name, version)) = found
            && let Err(error) = super::remember(&format!("{name}-version"), &version)
        {
            return super::fail(&error, 1);
        }
    }
    // As package kubernetes-cni brings it: Terway needs the folder, and the loopback plugin in it.
    let plugins =
        fs::create_dir_all("/opt/cni/bin").and_then(|()| fs::write("/opt/cni/bin/loopback", ""));
    plugins.map_or_else(|error| super::fail(&error.to_string(), 1), |()| 0)
}

/// Puts a package's programs on PATH.
fn bring(package: &str) -> std::io::Result<()> {
    for name in super::of_package(package) {
        match symlink(rootfs::STANDIN, Path::new("/usr/bin").join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `kubelet-1.30.4`, `kubelet-1.30.4-0`, `kubelet=1.30.4-1.1`, `kubelet=1.30.4*`: 1.30.4.
fn version_of(package: &str, name: &str) -> Option<String> {
    let version = package.strip_prefix(name)?.strip_prefix(['-', '='])?;
    let version: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let version = version.trim_end_matches('.');
    (version.split('.').count() == 3).then(|| version.to_owned())
}

/// `sysctl`: settings are accepted; those that are read are as a node needs them.
pub(super) fn sysctl(args: &[String]) -> i32 {
    let values_only = args.iter().any(|arg| arg == "-n" || arg == "--values");
    for key in
        args.iter().filter(|arg| !arg.starts_with('-') && !arg.contains('=') && !arg.contains('/'))
    {
        let value = if key.as_str() == "vm.swappiness" { "0" } else { "1" };
        if values_only { println!("{value}") } else { println!("{key} = {value}") }
    }
    0
}

/// `gpg --dearmor -o FILE`: writes what it reads.
pub(super) fn gpg(args: &[String]) -> i32 {
    let output = args
        .iter()
        .position(|arg| arg == "-o" || arg == "--output")
        .and_then(|at| args.get(at + 1));
    let mut key = Vec::new();
    let copied = std::io::stdin().read_to_end(&mut key).and_then(|_read| match output {
        Some(path) => fs::write(path, &key),
        None => std::io::stdout().write_all(&key),
    });
    copied.map_or_else(|error| super::fail(&format!("gpg: {error}"), 2), |()| 0)
}

/// `containerd config default` prints what scripts then edit.
pub(super) fn containerd(args: &[String]) -> i32 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["config", "default"] => println!(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"registry.k8s.io/pause:3.9\"\n  \
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n    SystemdCgroup = false\n  \
             [plugins.\"io.containerd.grpc.v1.cri\".registry]\n    config_path = \"\""
        ),
        ["--version" | "-v"] => println!("containerd containerd.io 1.7.22"),
        _ => {}
    }
    0
}

/// `hostname`: prints it, or sets it.
pub(super) fn hostname(args: &[String]) -> i32 {
    match args.iter().find(|arg| !arg.starts_with('-')) {
        Some(name) => set_hostname(name),
        None => {
            println!("{}", current_hostname());
            0
        }
    }
}

/// `hostnamectl set-hostname NAME`.
pub(super) fn hostnamectl(args: &[String]) -> i32 {
    let mut words = args.iter().filter(|arg| !arg.starts_with('-'));
    match (words.next().map(String::as_str), words.next()) {
        (Some("set-hostname" | "hostname"), Some(name)) => set_hostname(name),
        _ => hostname(&[]),
    }
}

fn set_hostname(name: &str) -> i32 {
    fs::write("/etc/hostname", format!("{name}\n"))
        .map_or_else(|error| super::fail(&error.to_string(), 1), |()| 0)
}

/// The machine's name now.
pub(super) fn current_hostname() -> String {
    fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn versions_are_read_from_both_families_of_package_names() {
        for package in
            ["kubelet-1.30.4", "kubelet-1.30.4-0", "kubelet=1.30.4-1.1", "kubelet=1.30.4*"]
        {
            assert_eq!(version_of(package, "kubelet").as_deref(), Some("1.30.4"), "{package}");
        }
        assert_eq!(version_of("kubelet", "kubelet"), None);
        assert_eq!(version_of("kubeadm-1.30.4", "kubelet"), None);
    }
}
