//! The scratch root of an instance: a file system in memory with the host's programs bound read-only, and what the
//! image brings. It vanishes with its namespace. Runs as process 1 of new namespaces, never on the host.

#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::CWD,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
};

use super::{System, guest::Config, standins};

/// The script that cloud-init runs.
pub(super) const USER_DATA: &str = "/var/lib/cloud/instance/user-data";
/// Where programs are looked for.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the relay's socket is, inside.
pub(super) const RELAY: &str = "/run/sandbox/relay";
/// What stand-ins know of the machine, and remember of each other.
pub(super) const STATE: &str = "/run/sandbox/state";
/// The program behind the stand-ins, inside.
pub(super) const STANDIN: &str = "/run/sandbox/stand-in";
/// Where the host's programs are, inside.
const HOST_PROGRAMS: &str = "/run/sandbox/host";
/// The folders of programs.
const PROGRAM_FOLDERS: [&str; 4] = ["usr/bin", "usr/sbin", "bin", "sbin"];
/// The largest scratch root.
const SIZE: &str = "size=256m,nr_inodes=65536,mode=0755";

const USER_DATA_TEXT: &str = r#"mkdir -p /var/lib/acs
if ! curl -fsSL -o /var/lib/acs/node-script "$NODE_SCRIPT_URL"; then
  echo "cannot fetch the node script from $NODE_SCRIPT_URL" >&2
  exit 1
fi
unset NODE_SCRIPT_URL
exec bash /var/lib/acs/node-script
"#;

/// Whether a root could be built: tries the two mounts that platforms refuse.
pub(super) fn probe() -> anyhow::Result<()> {
    private()?;
    tmpfs(Path::new("/tmp"), c"size=1m")?;
    let proc = Path::new("/tmp/proc");
    fs::create_dir(proc)?;
    rustix::mount::mount("proc", proc, "proc", MountFlags::empty(), None)
        .context("mounting /proc")?;
    if !Path::new("/bin/bash").exists() {
        bail!("/bin/bash is missing, and node scripts are bash scripts");
    }
    Ok(())
}

/// Builds the root and moves into it.
pub(super) fn build(config: &Config) -> anyhow::Result<()> {
    private()?;
    let root = config.scratch.as_path();
    let size = std::ffi::CString::new(SIZE).context("mount options")?;
    tmpfs(root, &size)?;
    folders(root)?;
    system(root)?;
    devices(root)?;
    programs(root, config)?;
    image(root, config)?;
    user_data(root)?;
    let relay = inside(root, RELAY);
    fs::write(&relay, "").context("relay")?;
    bind(&config.relay, &relay)?;
    rustix::mount::mount(
        "proc",
        root.join("proc"),
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        None,
    )
    .context("mounting /proc")?;
    // Counted per user namespace: this one's descendants can have none. Where the file is missing, so is the feature.
    if let Err(error) = fs::write(root.join("proc/sys/user/max_user_namespaces"), "0")
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).context("max_user_namespaces");
    }
    read_only(root)?;
    enter(root)
}

/// The path of `path` below `root`.
fn inside(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn private() -> anyhow::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .context("making mounts private")
}

fn tmpfs(at: &Path, options: &std::ffi::CStr) -> anyhow::Result<()> {
    rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options)
        .with_context(|| format!("mounting a tmpfs at {}", at.display()))
}

fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    rustix::mount::mount_bind_recursive(from, to)
        .with_context(|| format!("binding {}", from.display()))
}

fn folders(root: &Path) -> anyhow::Result<()> {
    let folders = [
        "proc",
        "dev/shm",
        "sys",
        "usr",
        "tmp",
        "home",
        "mnt",
        "srv",
        "root",
        "opt",
        "etc/systemd/system",
        "etc/default",
        "etc/sysctl.d",
        "etc/modules-load.d",
        "etc/modprobe.d",
        "etc/profile.d",
        "etc/security/limits.d",
        "etc/cron.d",
        "etc/logrotate.d",
        "etc/kubernetes/manifests",
        "run/systemd/system",
        "run/sandbox/state",
        "var/log/acs",
        "var/lib/cloud/instance",
        "var/lib/kubelet",
        "var/cache",
        "var/tmp",
        "var/spool",
        "old-root",
    ];
    for folder in folders {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("/{folder}"))?;
    }
    for folder in ["tmp", "var/tmp", "dev/shm"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))
            .with_context(|| format!("/{folder}"))?;
    }
    symlink("/run", root.join("var/run")).context("/var/run")
}

/// The host's programs and libraries. Where `/bin` and its like are links, they stay links.
fn system(root: &Path) -> anyhow::Result<()> {
    bind(Path::new("/usr"), &root.join("usr"))?;
    for name in ["lib", "lib32", "lib64", "libx32", "nix", "gnu"] {
        let host = Path::new("/").join(name);
        if host.symlink_metadata().is_ok_and(|data| data.is_dir()) {
            fs::create_dir(root.join(name)).with_context(|| host.display().to_string())?;
            bind(&host, &root.join(name))?;
        }
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            symlink(target, root.join(name)).with_context(|| format!("/{name}"))?;
        }
    }
    // The loader's cache and the links that some programs are: without them bash or awk may not start.
    for name in ["etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/alternatives"] {
        let host = Path::new("/").join(name);
        if host.is_dir() {
            fs::create_dir_all(root.join(name)).with_context(|| host.display().to_string())?;
            bind(&host, &root.join(name))?;
        } else if host.is_file() {
            fs::copy(&host, root.join(name)).with_context(|| host.display().to_string())?;
        }
    }
    Ok(())
}

fn devices(root: &Path) -> anyhow::Result<()> {
    for name in ["null", "zero", "full", "random", "urandom"] {
        let inner = root.join("dev").join(name);
        fs::write(&inner, "").with_context(|| format!("/dev/{name}"))?;
        bind(&Path::new("/dev").join(name), &inner)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, root.join("dev").join(name)).with_context(|| format!("/dev/{name}"))?;
    }
    Ok(())
}

/// The folders of programs: scratch, filled with links to the host's programs and to the stand-ins. The other family's
/// package managers are left out, as scripts tell systems apart by them.
fn programs(root: &Path, config: &Config) -> anyhow::Result<()> {
    let standin = inside(root, STANDIN);
    fs::write(&standin, "").context(STANDIN)?;
    bind(&config.helper, &standin)?;
    for folder in PROGRAM_FOLDERS {
        if Path::new("/").join(folder).symlink_metadata().is_ok_and(|data| data.is_dir()) {
            links(root, folder)?;
        }
    }
    tmpfs(&root.join("usr/local"), c"size=64m,mode=0755")?;
    for folder in ["bin", "sbin", "lib", "libexec", "share"] {
        fs::create_dir(root.join("usr/local").join(folder))
            .with_context(|| format!("/usr/local/{folder}"))?;
    }
    for name in standins::of_image(config.system) {
        symlink(STANDIN, root.join("usr/bin").join(name))
            .with_context(|| format!("/usr/bin/{name}"))?;
    }
    Ok(())
}

/// Covers `folder` with scratch, in which every program of the host is a link, but for those that have stand-ins.
fn links(root: &Path, folder: &str) -> anyhow::Result<()> {
    let (host, hidden) =
        (Path::new("/").join(folder), Path::new(HOST_PROGRAMS).join(folder.replace('/', "-")));
    let behind = inside(root, &hidden.to_string_lossy());
    for place in [&behind, &root.join(folder)] {
        fs::create_dir_all(place).with_context(|| place.display().to_string())?;
    }
    bind(&host, &behind)?;
    tmpfs(&root.join(folder), c"size=64m,mode=0755")?;
    for entry in host.read_dir().with_context(|| host.display().to_string())?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| standins::find(name).is_some()) {
            continue;
        }
        let target = fs::read_link(entry.path()).unwrap_or_else(|_not_a_link| hidden.join(&name));
        symlink(target, root.join(folder).join(&name))
            .with_context(|| entry.path().display().to_string())?;
    }
    Ok(())
}

/// The files that the distribution brings, and that scripts edit.
fn image(root: &Path, config: &Config) -> anyhow::Result<()> {
    let hostname = &config.hostname;
    let put = |path: &str, text: &str| -> anyhow::Result<()> {
        let path = inside(root, path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| path.display().to_string())?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    put("/etc/hostname", &format!("{hostname}\n"))?;
    put("/etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {hostname}\n"))?;
    put(
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    )?;
    put("/etc/group", "root:x:0:\nnogroup:x:65534:\n")?;
    put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")?;
    put("/etc/resolv.conf", "nameserver 100.100.2.136\n")?;
    put("/etc/fstab", "UUID=00000000-0000-0000-0000-000000000000 / ext4 defaults 1 1\n")?;
    put("/etc/profile", &format!("export PATH={PATH}\n"))?;
    put("/etc/security/limits.conf", "")?;
    put("/etc/sysctl.conf", "")?;
    put(&format!("{STATE}/system"), &serde_json::to_string(&config.system)?)?;
    put(&format!("{STATE}/second"), &config.second.as_secs_f64().to_string())?;
    let flags = config.system.kubelet_flags();
    match config.system {
        System::Yum => {
            put(
                "/etc/os-release",
                "NAME=\"Alibaba Cloud Linux\"\nVERSION=\"3 (Soaring Falcon)\"\nID=\"alinux\"\nID_LIKE=\"rhel fedora centos anolis\"\nVERSION_ID=\"3\"\nPLATFORM_ID=\"platform:al8\"\n",
            )?;
            put("/etc/redhat-release", "Alibaba Cloud Linux release 3 (Soaring Falcon)\n")?;
            put("/etc/selinux/config", "SELINUX=disabled\nSELINUXTYPE=targeted\n")?;
            put(flags, "KUBELET_EXTRA_ARGS=\n")?;
            fs::create_dir_all(root.join("etc/yum.repos.d")).context("/etc/yum.repos.d")
        }
        System::Apt => {
            put(
                "/etc/os-release",
                "NAME=\"Ubuntu\"\nVERSION=\"22.04 LTS (Jammy Jellyfish)\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\nVERSION_CODENAME=jammy\n",
            )?;
            put(flags, "KUBELET_EXTRA_ARGS=\n")?;
            put("/etc/debian_version", "bookworm/sid\n")?;
            put("/etc/apt/sources.list", "")?;
            fs::create_dir_all(root.join("etc/apt/keyrings")).context("/etc/apt/keyrings")?;
            fs::create_dir_all(root.join("etc/apt/sources.list.d"))
                .context("/etc/apt/sources.list.d")
        }
    }
}

fn user_data(root: &Path) -> anyhow::Result<()> {
    fs::write(inside(root, USER_DATA), USER_DATA_TEXT).context(USER_DATA)
}

/// Makes every mount below the root read-only, but for those that are scratch themselves.
fn read_only(root: &Path) -> anyhow::Result<()> {
    let table = fs::read_to_string(root.join("proc/self/mountinfo")).context("mountinfo")?;
    for line in table.lines() {
        let mut fields = line.split(' ').skip(4);
        let (Some(at), Some(options)) = (fields.next(), fields.next()) else { continue };
        let at = unescape(at);
        let Ok(below) = Path::new(&at).strip_prefix(root) else { continue };
        let scratch = below.as_os_str().is_empty()
            || below == Path::new("usr/local")
            || PROGRAM_FOLDERS.iter().any(|folder| below == Path::new(folder));
        if scratch {
            continue;
        }
        let mut flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID;
        for option in options.split(',') {
            // What the host has locked must be repeated, or the kernel refuses the change.
            flags |= match option {
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                _ => MountFlags::empty(),
            };
        }
        rustix::mount::mount_remount(at.as_str(), flags, c"")
            .with_context(|| format!("making {} read-only", below.display()))?;
    }
    Ok(())
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

fn enter(root: &Path) -> anyhow::Result<()> {
    rustix::process::pivot_root(root, root.join("old-root")).context("pivot_root")?;
    rustix::process::chdir("/").context("chdir")?;
    rustix::mount::unmount("/old-root", UnmountFlags::DETACH)
        .context("leaving the host's files")?;
    rustix::fs::unlinkat(CWD, "/old-root", rustix::fs::AtFlags::REMOVEDIR).context("/old-root")
}
