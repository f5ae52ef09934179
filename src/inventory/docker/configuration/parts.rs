//! The parts of an inspect that have a form of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Part;
use crate::input::{Configuration, Confinement, Logging, Mount, NamespaceMode, Namespaces};
use crate::inventory::configuration::{Scope, log_option, ulimit};
use crate::inventory::docker::api::Container;

/// Modes of namespaces: empty, `private` and `shareable` are the container's own.
pub(super) fn namespaces(host: &mut Part<'_>) -> Namespaces {
    let user: String = host.get("UsernsMode");
    Namespaces {
        pid: mode(&host.get::<String>("PidMode")),
        ipc: mode(&host.get::<String>("IpcMode")),
        uts: mode(&host.get::<String>("UTSMode")),
        user: (!user.is_empty()).then(|| mode(&user)),
        cgroup: mode(&host.get::<String>("CgroupnsMode")),
    }
}

fn mode(word: &str) -> NamespaceMode {
    match word {
        "host" => NamespaceMode::Host,
        word if word.starts_with("container:") || word.starts_with("ns:") => NamespaceMode::Joined(word.to_owned()),
        _ => NamespaceMode::Own,
    }
}

/// What is mounted: `--tmpfs` is in one part of the answer, everything else in another.
pub(super) fn mounts(container: &Container, host: &mut Part<'_>) -> Vec<Mount> {
    let listed = container.mounts.iter().map(|mount| {
        let (name, source): (String, String) = (mount.get("Name"), mount.get("Source"));
        Mount {
            target: without_slash(&mount.get::<String>("Destination")),
            kind: mount.get("Type"),
            source: if name.is_empty() { source } else { name },
            writable: mount.get("RW"),
            propagation: mount.get("Propagation"),
        }
    });
    let tmpfs = host.map::<String>("Tmpfs").into_iter().map(|(target, options)| Mount {
        target: without_slash(&target),
        kind: "tmpfs".to_owned(),
        writable: !options.split(',').any(|option| option == "ro"),
        ..Mount::default()
    });
    let mut all: Vec<Mount> = listed.chain(tmpfs).filter(|mount| !mount.target.is_empty()).collect();
    all.sort();
    all.dedup_by(|a, b| a.target == b.target && a.kind == b.kind);
    all
}

/// Docker's names are `nofile`, Podman's `RLIMIT_NOFILE`.
pub(super) fn ulimits(host: &mut Part<'_>) -> BTreeMap<String, String> {
    let all: Vec<Ulimit> = host.get("Ulimits");
    all.into_iter().map(|one| ulimit(&one.name, one.soft, one.hard)).collect()
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Ulimit {
    name: String,
    soft: i128,
    hard: i128,
}

fn without_slash(path: &str) -> String {
    let cut = path.trim_end_matches('/');
    if cut.is_empty() && !path.is_empty() { "/".to_owned() } else { cut.to_owned() }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Device {
    path_on_host: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DeviceRequest {
    driver: Option<String>,
    #[serde(rename = "DeviceIDs")]
    ids: Option<Vec<String>>,
}

/// Devices by path, rules as they are written, and requests of a driver.
pub(super) fn devices(host: &mut Part<'_>) -> BTreeSet<String> {
    let paths = host.get::<Vec<Device>>("Devices").into_iter().filter_map(|device| device.path_on_host);
    let mut all: BTreeSet<String> = paths.collect();
    all.extend(host.get::<Vec<String>>("DeviceCgroupRules").into_iter().map(|rule| format!("rule {rule}")));
    for request in host.get::<Vec<DeviceRequest>>("DeviceRequests") {
        let driver = request.driver.unwrap_or_default();
        let ids = request.ids.unwrap_or_default().join(" ");
        all.insert(format!("request {driver} {ids}").trim_end().to_owned());
    }
    all
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LogConfig {
    #[serde(rename = "Type")]
    driver: Option<String>,
    #[serde(rename = "Config")]
    options: Option<BTreeMap<String, String>>,
}

/// Bytes of a path on the host (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The log driver in force: the daemon merges its default in when a container is created.
pub(super) fn logging(host: &mut Part<'_>, scope: Scope<'_>, path: &str) -> Option<Logging> {
    let LogConfig { driver, options } = host.get("LogConfig");
    let driver = driver.filter(|driver| !driver.is_empty())?;
    let options = options.unwrap_or_default().into_iter();
    let options = options
        .map(|(name, value)| {
            let setting = log_option(scope, &name, &value);
            (name, setting)
        })
        .collect();
    let path = Some(path.to_owned()).filter(|path| path.starts_with('/') && path.len() <= MAX_PATH);
    Some(Logging { driver, options, path })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

/// Published ports as they were asked for; a port that the runtime chooses is `any`.
pub(super) fn ports(host: &mut Part<'_>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (port, bindings) in host.map::<Option<Vec<Binding>>>("PortBindings") {
        for binding in bindings.unwrap_or_default() {
            let ip = binding.host_ip.filter(|ip| !ip.is_empty()).unwrap_or_else(|| "*".to_owned());
            let chosen = binding.host_port.filter(|port| !port.is_empty() && port != "0");
            all.insert(format!("{ip}:{}→{port}", chosen.as_deref().unwrap_or("any")));
        }
    }
    if host.get("PublishAllPorts") {
        all.insert("all".to_owned());
    }
    all
}

/// `--security-opt`, with `=` or, as before Docker 1.11, `:`.
pub(super) fn security(read: &mut Configuration, options: &[String]) {
    for option in options {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, "true"));
        match name {
            "seccomp" => read.seccomp = confinement(value, &["builtin", "default"]),
            "apparmor" => read.apparmor = confinement(value, &["docker-default"]),
            "label" if value == "disable" => read.selinux = Confinement::Unconfined,
            "label" => read.selinux = Confinement::Profile(value.to_owned()),
            "no-new-privileges" => read.no_new_privileges = value != "false",
            _ => {}
        }
    }
}

/// A profile by its name; one that is written out is named by its hash.
pub(super) fn confinement(value: &str, defaults: &[&str]) -> Confinement {
    match value.trim_end_matches(" (enforce)") {
        "unconfined" => Confinement::Unconfined,
        name if name.is_empty() || defaults.contains(&name) => Confinement::Default,
        profile if profile.starts_with('{') => {
            let digest = Sha256::digest(profile.as_bytes());
            let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            Confinement::Profile(format!("sha256:{hex}"))
        }
        name => Confinement::Profile(name.to_owned()),
    }
}
