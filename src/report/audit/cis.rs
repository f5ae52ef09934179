//! Items of the CIS Docker benchmark about monitoring and networking, by the numbers of one version.
//!
//! Contract: pure; an item that cannot be judged from a container's settings is not listed. Source: CIS Docker Benchmark 1.6.0, section 5
//! and item 2.13, as docker-bench-security numbers them. Limits: items about the daemon's own files and the host's audit rules need the host.

use super::CisItem;
use crate::detect::assess;
use crate::input::{Configuration, Confinement, NamespaceMode, NetworkMode, Workload};

/// The version whose numbers these are.
pub const CIS_VERSION: &str = "CIS Docker 1.6.0";

/// Drivers that keep the output on this host.
const LOCAL: [&str; 5] = ["json-file", "local", "journald", "none", "k8s-file"];
/// Ports below need rights of root.
const PRIVILEGED_PORTS: u16 = 1024;

/// What a container fails.
pub(super) fn failed(workload: &Workload) -> Vec<CisItem> {
    let Some(configuration) = workload.configuration.as_deref() else { return Vec::new() };
    let mut all = Vec::new();
    logging(configuration, &mut all);
    confinement(configuration, &mut all);
    mounts(workload, configuration, &mut all);
    network(workload, configuration, &mut all);
    namespaces(configuration, &mut all);
    all.sort_by_key(|item| key(item.number));
    all
}

/// `5.10` comes after `5.9`.
fn key(number: &str) -> Vec<u32> {
    number.split('.').filter_map(|part| part.parse().ok()).collect()
}

fn item(number: &'static str, title: &'static str, found: impl Into<String>) -> CisItem {
    CisItem { number, title, found: found.into() }
}

fn logging(configuration: &Configuration, all: &mut Vec<CisItem>) {
    if let Some(logging) = configuration.logging.as_ref().filter(|logging| LOCAL.contains(&logging.driver.as_str())) {
        let found = format!("log driver {} keeps its output on this host at most", logging.driver);
        all.push(item("2.13", "centralized and remote logging is configured", found));
    }
}

fn confinement(configuration: &Configuration, all: &mut Vec<CisItem>) {
    if configuration.apparmor == Confinement::Unconfined {
        all.push(item("5.2", "an AppArmor profile is enabled", "AppArmor is off for it"));
    }
    if configuration.selinux == Confinement::Unconfined {
        all.push(item("5.3", "SELinux options are set", "labels are disabled for it"));
    }
    let usual = crate::inventory::configuration::DOCKER_DEFAULT;
    let added = configuration.capabilities.iter().flatten().filter(|name| !usual.contains(&name.as_str()));
    let added: Vec<&str> = added.map(String::as_str).collect();
    if !added.is_empty() && !configuration.privileged {
        all.push(item(
            "5.4",
            "Linux kernel capabilities are restricted",
            format!("beyond the default: {}", added.join(" ")),
        ));
    }
    if configuration.privileged {
        all.push(item("5.5", "privileged containers are not used", "it is privileged"));
    }
    if !configuration.devices.is_empty() {
        let devices: Vec<&str> = configuration.devices.iter().map(String::as_str).collect();
        all.push(item("5.18", "host devices are not directly exposed", devices.join(" ")));
    }
    if configuration.seccomp == Confinement::Unconfined {
        all.push(item("5.22", "the default seccomp profile is not disabled", "seccomp is off for it"));
    }
    if !configuration.no_new_privileges {
        let found = "its processes can gain rights by executing";
        all.push(item("5.26", "the container is restricted from acquiring additional privileges", found));
    }
    if configuration.healthcheck.is_empty() {
        all.push(item("5.27", "container health is checked at runtime", "it has no health check"));
    }
}

fn mounts(workload: &Workload, configuration: &Configuration, all: &mut Vec<CisItem>) {
    let signals = assess(workload, None).into_iter().filter(|(rule, _)| rule.name == "sensitive-mount");
    for (_, signal) in signals {
        let (number, title) = if signal.name.starts_with("socket") {
            ("5.32", "the Docker socket is not mounted inside any container")
        } else if signal.name.starts_with("host") {
            ("5.6", "sensitive host system directories are not mounted on containers")
        } else {
            continue;
        };
        all.push(item(number, title, signal.text));
    }
    for mount in configuration.mounts.iter().filter(|mount| mount.propagation.ends_with("shared")) {
        let found = format!("{} has propagation {}", mount.target, mount.propagation);
        all.push(item("5.20", "mount propagation mode is not set to shared", found));
    }
}

fn network(workload: &Workload, configuration: &Configuration, all: &mut Vec<CisItem>) {
    if workload.network_mode == NetworkMode::Host {
        all.push(item("5.10", "the host's network namespace is not shared", "its network is the host's"));
    }
    let low: Vec<String> = workload
        .published
        .iter()
        .filter(|port| port.host_port < PRIVILEGED_PORTS)
        .map(|port| port.host_port.to_string())
        .collect();
    if !low.is_empty() {
        all.push(item(
            "5.8",
            "privileged ports are not mapped within containers",
            format!("host ports {}", low.join(", ")),
        ));
    }
    if workload.published.iter().any(|port| port.host_ip.is_unspecified()) {
        let ports: Vec<&str> = configuration.ports.iter().map(String::as_str).collect();
        let found = format!("published on every address of the host: {}", ports.join(" "));
        all.push(item("5.14", "incoming traffic is bound to a specific host interface", found));
    }
    if workload.attachments.iter().any(|attachment| attachment.network == "bridge") {
        all.push(item("5.30", "Docker's default bridge docker0 is not used", "it is on the default bridge"));
    }
}

fn namespaces(configuration: &Configuration, all: &mut Vec<CisItem>) {
    for (kind, mode) in configuration.namespaces.all() {
        let (number, title) = match kind {
            "pid" => ("5.16", "the host's process namespace is not shared"),
            "ipc" => ("5.17", "the host's IPC namespace is not shared"),
            "uts" => ("5.21", "the host's UTS namespace is not shared"),
            "user" => ("5.31", "the host's user namespaces are not shared"),
            _ => continue,
        };
        if *mode == NamespaceMode::Host {
            all.push(item(number, title, format!("its {kind} namespace is the host's")));
        }
    }
}
