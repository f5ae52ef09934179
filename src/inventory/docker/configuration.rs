//! A container's settings as `docker inspect` and `podman inspect` show them.
//!
//! Contract: pure and total; a part that is missing or of another kind is left out, and named in `unread`, and so is a part that this
//! version does not know. Limits: those of [`limit`]. DNS servers and proxies of the daemon's own configuration are in no inspect.
//! Source: Docker Engine API 1.41 to 1.55 (`HostConfig`, `ContainerConfig`), libpod API 4.0 to 5.x (`InspectContainerData`).

mod known;
mod parts;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::parts::{confinement, logging, mounts, namespaces, ports, security};
use super::api::{Container, Section};
use super::identity::{Dialect, RuntimeIdentity};
use crate::input::{Configuration, ResourceLimits, Workload};
use crate::inventory::configuration::{
    DOCKER_DEFAULT, PODMAN_DEFAULT, Scope, ServiceKey, annotation, command, effective, limit, variables,
};

/// How a container is set up. `workload` is the same container without its configuration.
pub(super) fn of(container: &Container, workload: &Workload, identity: &RuntimeIdentity) -> Configuration {
    let service = ServiceKey::of(workload).to_string();
    let scope = identity.redaction.scope(&service);
    let mut host = Part::new(&container.host_config, "HostConfig");
    let mut own = Part::new(&container.config, "Config");
    host.report_unknown(known::HOST_CONFIG);
    own.report_unknown(known::CONFIG);
    let privileged = host.get("Privileged");
    let mut read = Configuration {
        command: merged_command(container, scope),
        user: own.get("User"),
        extra_groups: host.get("GroupAdd"),
        privileged,
        namespaces: namespaces(&mut host),
        mounts: mounts(container, &mut host),
        devices: parts::devices(&mut host),
        logging: logging(&mut host, scope, &container.log_path),
        dns: host.get("Dns"),
        dns_search: host.get("DnsSearch"),
        dns_options: host.get("DnsOptions"),
        extra_hosts: host.get("ExtraHosts"),
        resolver_path: path(&container.resolver_path),
        hosts_path: path(&container.hosts_path),
        environment: variables(scope, own.get::<Vec<String>>("Env").iter().map(String::as_str)),
        sysctls: (identity.dialect == Dialect::Docker).then(|| host.map("Sysctls")),
        ports: ports(&mut host),
        restart: host.get::<RestartPolicy>("RestartPolicy").name(),
        limits: ResourceLimits {
            memory: host.get("Memory"),
            nano_cpus: nano_cpus(&mut host),
            pids: host.get::<i64>("PidsLimit").max(0),
        },
        ulimits: parts::ulimits(&mut host),
        readonly_root: host.get("ReadonlyRootfs"),
        masked_paths: host.has("MaskedPaths").then(|| !host.get::<Vec<String>>("MaskedPaths").is_empty()),
        healthcheck: healthcheck(&mut own, scope),
        handler: if container.oci_runtime.is_empty() { host.get("Runtime") } else { container.oci_runtime.clone() },
        ..Configuration::default()
    };
    let annotations = [host.map::<String>("Annotations"), own.map("Annotations")];
    let annotations = annotations.into_iter().flatten();
    read.annotations = annotations
        .map(|(name, value)| {
            let setting = annotation(scope, &name, &value);
            (name, setting)
        })
        .collect();
    read.capabilities = Some(capabilities(container, identity.dialect, &mut host, privileged));
    security(&mut read, &host.get::<Vec<String>>("SecurityOpt"));
    if !container.apparmor.is_empty() {
        read.apparmor = confinement(&container.apparmor, &["docker-default", "containers-default", "crun", "runc"]);
    }
    read.unread = host.unread.into_iter().chain(own.unread).collect();
    limit(&mut read);
    read
}

/// A file of the host.
fn path(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|path| path.starts_with('/'))
}

/// Both runtimes merge entrypoint and command into `Path` and `Args`.
fn merged_command(container: &Container, scope: Scope<'_>) -> Vec<String> {
    let path = Some(container.path.as_str()).filter(|path| !path.is_empty());
    command(scope, "command", path.into_iter().chain(container.args.iter().map(String::as_str)))
}

/// Podman says which capabilities processes can have; for Docker they follow from what was added and dropped.
fn capabilities(
    container: &Container,
    dialect: Dialect,
    host: &mut Part<'_>,
    privileged: bool,
) -> std::collections::BTreeSet<String> {
    let (added, dropped): (Vec<String>, Vec<String>) = (host.get("CapAdd"), host.get("CapDrop"));
    match dialect {
        Dialect::Podman if !container.bounding_caps.is_empty() => container.bounding_caps.iter().cloned().collect(),
        Dialect::Podman => effective(PODMAN_DEFAULT, &added, &dropped, privileged),
        Dialect::Docker => effective(DOCKER_DEFAULT, &added, &dropped, privileged),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RestartPolicy {
    name: Option<String>,
    maximum_retry_count: Option<i64>,
}

impl RestartPolicy {
    fn name(self) -> Option<String> {
        let name = self.name.filter(|name| !name.is_empty())?;
        match self.maximum_retry_count {
            Some(count) if count > 0 => Some(format!("{name}:{count}")),
            _ => Some(name),
        }
    }
}

/// A quota (microseconds in a period, 100 ms by default) is the same limit in other words.
fn nano_cpus(host: &mut Part<'_>) -> i64 {
    let (limit, quota, period): (i64, i64, i64) = (host.get("NanoCpus"), host.get("CpuQuota"), host.get("CpuPeriod"));
    let period = if period > 0 { period } else { 100_000 };
    if limit > 0 || quota <= 0 { limit } else { quota.saturating_mul(1_000_000_000) / period }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<String>>,
}

/// `["CMD-SHELL", "curl …"]`: the first word says how the rest is run.
fn healthcheck(own: &mut Part<'_>, scope: Scope<'_>) -> Vec<String> {
    let test = own.get::<Healthcheck>("Healthcheck").test.unwrap_or_default();
    command(scope, "healthcheck", test.iter().map(String::as_str))
}

/// A section that notes what of it could not be read.
pub(super) struct Part<'a> {
    section: &'a Section,
    path: &'static str,
    unread: Vec<String>,
}

impl<'a> Part<'a> {
    fn new(section: &'a Section, path: &'static str) -> Self {
        Self { section, path, unread: Vec::new() }
    }

    fn report_unknown(&mut self, known: &[&str]) {
        let unknown = self.section.parts().map(|(name, _)| name).filter(|name| known.binary_search(name).is_err());
        self.unread.extend(unknown.map(|name| format!("{}.{name}", self.path)));
    }

    /// Whether it is there, null included.
    fn has(&self, key: &str) -> bool {
        self.section.parts().any(|(name, _)| name == key)
    }

    /// A part; missing and null are empty, and so is one of another kind, which is noted.
    fn get<T: DeserializeOwned + Default>(&mut self, key: &str) -> T {
        if let Some(value) = self.section.read::<Option<T>>(key) {
            return value.unwrap_or_default();
        }
        if self.has(key) {
            self.unread.push(format!("{}.{key}", self.path));
        }
        T::default()
    }

    /// A map without the entries that are of another kind.
    fn map<T: DeserializeOwned>(&self, key: &str) -> std::collections::BTreeMap<String, T> {
        self.section.map(key)
    }
}

#[cfg(test)]
mod tests;
