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

/// Every stand-in: its name, the family of systems that has it (`None`: both), and what it does.
const PROGRAMS: &[(&str, Option<System>, Program)] = &[
    ("kubeadm", None, kubeadm::run),
    ("kubelet", None, kubelet::run),
    ("kubectl", None, quiet::succeed),
    ("systemctl", None, systemctl::run),
    ("curl", None, fetch::curl),
    ("wget", None, fetch::wget),
    ("yum", Some(System::Yum), quiet::install),
    ("dnf", Some(System::Yum), quiet::install),
    ("rpm", Some(System::Yum), quiet::succeed),
    ("yum-config-manager", Some(System::Yum), quiet::succeed),
    ("setenforce", Some(System::Yum), quiet::succeed),
    ("getenforce", Some(System::Yum), quiet::getenforce),
    ("firewall-cmd", Some(System::Yum), quiet::succeed),
    ("apt", Some(System::Apt), quiet::install),
    ("apt-get", Some(System::Apt), quiet::install),
    ("apt-mark", Some(System::Apt), quiet::succeed),
    ("apt-key", Some(System::Apt), quiet::succeed),
    ("add-apt-repository", Some(System::Apt), quiet::succeed),
    ("dpkg", Some(System::Apt), quiet::succeed),
    ("ufw", Some(System::Apt), quiet::succeed),
    ("modprobe", None, quiet::succeed),
    ("lsmod", None, quiet::succeed),
    ("sysctl", None, quiet::sysctl),
    ("swapoff", None, quiet::succeed),
    ("swapon", None, quiet::succeed),
    ("gpg", None, quiet::gpg),
    ("containerd", None, quiet::containerd),
    ("crictl", None, quiet::succeed),
    ("ctr", None, quiet::succeed),
    ("runc", None, quiet::succeed),
    ("iptables", None, quiet::succeed),
    ("hostname", None, quiet::hostname),
    ("hostnamectl", None, quiet::hostnamectl),
    ("timedatectl", None, quiet::succeed),
    ("chronyc", None, quiet::succeed),
    ("systemd-tmpfiles", None, quiet::succeed),
    ("journalctl", None, quiet::succeed),
    ("reboot", None, quiet::refuse),
    ("shutdown", None, quiet::refuse),
];

/// The program of this name.
pub(super) fn find(name: &str) -> Option<Program> {
    PROGRAMS.iter().find(|(known, _, _)| *known == name).map(|(_, _, program)| *program)
}

/// The names, each with the family of systems that has it.
pub(super) fn names() -> impl Iterator<Item = (&'static str, Option<System>)> {
    PROGRAMS.iter().map(|(name, system, _)| (*name, *system))
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
