//! The programs that a node script finds: stand-ins that answer as the real ones do, as far as a script can tell. They
//! run inside an instance only; what they remember of each other lies in the machine's state folder.

mod fetch;
pub(super) mod kubeadm;
pub(super) mod kubelet;
mod quiet;
mod systemctl;
mod wire;

use std::{fs, path::PathBuf};

use super::{System, rootfs};

/// A program: takes its arguments, returns its exit code.
pub(super) type Program = fn(&[String]) -> i32;

/// Where a program comes from.
#[derive(Clone, Copy)]
enum Source {
    /// Every image has it.
    Image,
    /// Images of the yum family have it.
    Yum,
    /// Images of the apt family have it.
    Apt,
    /// It comes with packages whose names begin so.
    Package(&'static str),
}

use Source::{Apt, Image, Package, Yum};

/// Every stand-in: its name, where it comes from, and what it does.
const PROGRAMS: &[(&str, Source, Program)] = &[
    ("kubeadm", Package("kubeadm"), kubeadm::run),
    ("kubelet", Package("kubelet"), kubelet::run),
    ("kubectl", Package("kubectl"), quiet::succeed),
    ("systemctl", Image, systemctl::run),
    ("curl", Image, fetch::curl),
    ("wget", Image, fetch::wget),
    ("yum", Yum, quiet::install),
    ("dnf", Yum, quiet::install),
    ("rpm", Yum, quiet::succeed),
    ("yum-config-manager", Yum, quiet::succeed),
    ("setenforce", Yum, quiet::succeed),
    ("getenforce", Yum, quiet::getenforce),
    ("firewall-cmd", Yum, quiet::succeed),
    ("apt", Apt, quiet::install),
    ("apt-get", Apt, quiet::install),
    ("apt-mark", Apt, quiet::succeed),
    ("apt-key", Apt, quiet::succeed),
    ("add-apt-repository", Apt, quiet::succeed),
    ("dpkg", Apt, quiet::succeed),
    ("ufw", Apt, quiet::succeed),
    ("modprobe", Image, quiet::succeed),
    ("lsmod", Image, quiet::succeed),
    ("sysctl", Image, quiet::sysctl),
    ("swapoff", Image, quiet::succeed),
    ("swapon", Image, quiet::succeed),
    ("gpg", Image, quiet::gpg),
    ("containerd", Package("containerd"), quiet::containerd),
    ("crictl", Package("kubeadm"), quiet::succeed),
    ("ctr", Package("containerd"), quiet::succeed),
    ("runc", Package("containerd"), quiet::succeed),
    ("iptables", Image, quiet::succeed),
    ("hostname", Image, quiet::hostname),
    ("hostnamectl", Image, quiet::hostnamectl),
    ("timedatectl", Image, quiet::succeed),
    ("chronyc", Image, quiet::succeed),
    ("systemd-tmpfiles", Image, quiet::succeed),
    ("journalctl", Image, quiet::succeed),
    ("reboot", Image, quiet::refuse),
    ("shutdown", Image, quiet::refuse),
    ("sleep", Image, quiet::sleep),
];

/// The program of this name.
pub(super) fn find(name: &str) -> Option<Program> {
    PROGRAMS.iter().find(|(known, _, _)| *known == name).map(|(_, _, program)| *program)
}

/// The names of the programs that an image of this family has from the start.
pub(super) fn of_image(system: System) -> impl Iterator<Item = &'static str> {
    let has = move |source: Source| match source {
        Image => true,
        Yum => system == System::Yum,
        Apt => system == System::Apt,
        Package(_) => false,
    };
    PROGRAMS.iter().filter(move |(_, source, _)| has(*source)).map(|(name, _, _)| *name)
}

/// The names of the programs that come with a package, given as package managers take it: `kubelet-1.30.4`.
fn of_package(package: &str) -> impl Iterator<Item = &'static str> {
    let brings = move |source: Source| matches!(source, Package(name) if package.starts_with(name));
    PROGRAMS.iter().filter(move |(_, source, _)| brings(*source)).map(|(name, _, _)| *name)
}

/// Where the stand-ins keep what they remember under `name`.
fn state(name: &str) -> PathBuf {
    PathBuf::from(rootfs::STATE).join(name)
}

/// What is remembered under `name`.
fn recall(name: &str) -> Option<String> {
    fs::read_to_string(state(name)).ok()
}

/// Remembers `text` under `name`.
fn remember(name: &str, text: &str) -> Result<(), String> {
    fs::write(state(name), text)
        .map_err(|error| format!("the machine's state folder can't be written: {error}"))
}

/// The system that this machine runs.
fn system() -> System {
    recall("system").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(System::Yum)
}

/// Prints a failure as these programs do, and gives the exit code.
fn fail(message: &str, code: i32) -> i32 {
    eprintln!("{message}");
    code
}
