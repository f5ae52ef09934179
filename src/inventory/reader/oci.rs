//! A container's settings as an OCI runtime specification has them: what containerd keeps, and what a CRI runtime shows when asked for
//! the verbose part of a status.
//!
//! Contract: pure and total; a specification that cannot be read is no configuration, a part of another kind is empty. Limits: those of
//! [`limit`]. It holds no log driver, resolvers, ports or restart policy: these stay absent. Mounts that a runtime adds to every
//! container are left out. Source: OCI runtime specification 1.2 (`config.md`, `config-linux.md`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::proto::{Entry, value};
use crate::input::{Configuration, Confinement, Mount, NamespaceMode, Namespaces, ResourceLimits, Workload};
use crate::inventory::configuration::{
    ALL_CAPABILITIES, Redaction, Scope, ServiceKey, annotation, command, limit, ulimit, variables,
};

/// File systems and files that every container gets.
const USUAL: [&str; 13] = [
    "/dev",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/dev/termination-log",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/run",
    "/sys",
    "/sys/fs/cgroup",
    "/run/secrets/kubernetes.io/serviceaccount",
];
/// Fewer than all, because an older kernel has fewer capabilities.
const NEARLY_ALL: usize = ALL_CAPABILITIES.len() - 3;

/// The configuration in a specification; `workload` is the same container without it.
pub(in crate::inventory) fn configuration(
    spec: &[u8],
    workload: &Workload,
    redaction: &Redaction,
) -> Option<Configuration> {
    let spec: Spec = serde_json::from_slice(spec).ok()?;
    let service = ServiceKey::of(workload).to_string();
    let mut read = spec.read(redaction.scope(&service));
    limit(&mut read);
    Some(read)
}

/// The specification in the verbose part of a CRI status.
pub(in crate::inventory) fn verbose_spec(info: &[Entry]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "runtimeSpec")]
        spec: Option<Box<RawValue>>,
    }
    serde_json::from_slice::<Info>(value(info, "info")?).ok()?.spec
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(deserialize_with = "lenient")]
    process: Process,
    #[serde(deserialize_with = "lenient")]
    root: Root,
    #[serde(deserialize_with = "lenient")]
    mounts: Vec<SpecMount>,
    #[serde(deserialize_with = "lenient")]
    linux: Linux,
    #[serde(deserialize_with = "lenient")]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Process {
    #[serde(deserialize_with = "lenient")]
    user: User,
    #[serde(deserialize_with = "lenient")]
    args: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    env: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    capabilities: Capabilities,
    #[serde(deserialize_with = "lenient")]
    rlimits: Vec<Rlimit>,
    #[serde(deserialize_with = "lenient")]
    no_new_privileges: bool,
    #[serde(deserialize_with = "lenient")]
    apparmor_profile: String,
    #[serde(deserialize_with = "lenient")]
    selinux_label: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    uid: u32,
    gid: u32,
    #[serde(rename = "additionalGids", deserialize_with = "lenient")]
    additional: Vec<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rlimit {
    #[serde(rename = "type")]
    name: String,
    soft: u64,
    hard: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    #[serde(deserialize_with = "lenient")]
    bounding: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Root {
    readonly: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecMount {
    destination: String,
    #[serde(rename = "type", deserialize_with = "lenient")]
    kind: String,
    #[serde(deserialize_with = "lenient")]
    source: String,
    #[serde(deserialize_with = "lenient")]
    options: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    #[serde(deserialize_with = "lenient")]
    namespaces: Vec<Namespace>,
    #[serde(deserialize_with = "lenient")]
    sysctl: BTreeMap<String, String>,
    seccomp: Option<serde::de::IgnoredAny>,
    #[serde(deserialize_with = "lenient")]
    masked_paths: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    devices: Vec<Device>,
    #[serde(deserialize_with = "lenient")]
    resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "lenient")]
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Device {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    #[serde(deserialize_with = "lenient")]
    memory: Limit,
    #[serde(deserialize_with = "lenient")]
    pids: Limit,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Limit {
    #[serde(deserialize_with = "lenient")]
    limit: i64,
}

/// A part that is null or of another kind is empty.
fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    Ok(serde_json::from_str::<Option<T>>(raw.get()).ok().flatten().unwrap_or_default())
}

impl Spec {
    fn read(self, scope: Scope<'_>) -> Configuration {
        let Self { process, root, mounts, linux, annotations } = self;
        let capabilities = process.capabilities.bounding;
        let unconfined = linux.seccomp.is_none();
        let annotation = |(name, value): (String, String)| {
            let setting = annotation(scope, &name, &value);
            (name, setting)
        };
        let mut mounts: Vec<Mount> = mounts.into_iter().filter_map(SpecMount::read).collect();
        mounts.sort();
        Configuration {
            command: command(scope, "command", process.args.iter().map(String::as_str)),
            user: format!("{}:{}", process.user.uid, process.user.gid),
            extra_groups: process.user.additional.iter().map(ToString::to_string).collect(),
            ulimits: process.rlimits.iter().map(|one| ulimit(&one.name, one.soft.into(), one.hard.into())).collect(),
            privileged: unconfined && linux.masked_paths.is_empty() && capabilities.len() >= NEARLY_ALL,
            capabilities: Some(capabilities),
            seccomp: if unconfined { Confinement::Unconfined } else { Confinement::Default },
            apparmor: profile(&process.apparmor_profile),
            selinux: profile(&without_category(&process.selinux_label)),
            no_new_privileges: process.no_new_privileges,
            namespaces: namespaces(&linux.namespaces),
            mounts,
            devices: linux.devices.into_iter().map(|device| device.path).filter(|path| !path.is_empty()).collect(),
            environment: variables(scope, process.env.iter().map(String::as_str)),
            sysctls: Some(linux.sysctl),
            annotations: annotations.into_iter().map(annotation).collect(),
            limits: ResourceLimits {
                memory: linux.resources.memory.limit.max(0),
                pids: linux.resources.pids.limit.max(0),
                ..ResourceLimits::default()
            },
            readonly_root: root.readonly,
            masked_paths: Some(!linux.masked_paths.is_empty()),
            ..Configuration::default()
        }
    }
}

impl SpecMount {
    /// `None`: every container has it.
    fn read(self) -> Option<Mount> {
        let is_bind = self.kind == "bind" || self.options.iter().any(|option| matches!(&**option, "bind" | "rbind"));
        let target = self.destination.trim_end_matches('/');
        let target = if target.is_empty() { "/" } else { target };
        let is_file =
            target.starts_with("/etc/") || target.ends_with("termination-log") || target.contains("/secrets/");
        let plain = target.strip_prefix("/var").filter(|rest| rest.starts_with("/run")).unwrap_or(target);
        if USUAL.contains(&plain) && (!is_bind || is_file) {
            return None;
        }
        let has = |wanted: &str| self.options.iter().any(|option| option == wanted);
        let propagation =
            self.options.iter().find(|option| matches!(option.trim_start_matches('r'), "shared" | "slave" | "private"));
        Some(Mount {
            target: target.to_owned(),
            propagation: propagation.cloned().unwrap_or_default(),
            writable: !has("ro"),
            source: if is_bind { self.source } else { String::new() },
            kind: if is_bind { "bind".to_owned() } else { self.kind },
        })
    }
}

/// A kind without an entry is the host's. A path leads to another container's namespace, or to that of process 1, which is the host's;
/// a pod's containers share the sandbox's, which is the pod's own.
fn namespaces(entries: &[Namespace]) -> Namespaces {
    let mode = |kind: &str| match entries.iter().find(|entry| entry.kind == kind) {
        None => NamespaceMode::Host,
        Some(entry) if entry.path.starts_with("/proc/1/ns/") => NamespaceMode::Host,
        Some(_) => NamespaceMode::Own,
    };
    Namespaces {
        pid: mode("pid"),
        ipc: mode("ipc"),
        uts: mode("uts"),
        // Without an entry users are not mapped, which is the default everywhere.
        user: entries.iter().any(|entry| entry.kind == "user").then(|| mode("user")),
        cgroup: mode("cgroup"),
    }
}

/// No profile is the host's default, not a choice: hosts without the module have none.
fn profile(name: &str) -> Confinement {
    match name {
        "" | "cri-containerd.apparmor.d" | "crio-default" | "docker-default" => Confinement::Default,
        "unconfined" => Confinement::Unconfined,
        name => Confinement::Profile(name.to_owned()),
    }
}

/// `system_u:system_r:container_t:s0:c12,c45` without the categories, which differ for each container.
fn without_category(label: &str) -> String {
    label.splitn(5, ':').take(4).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{RuntimeId, WorkloadId};
    use crate::inventory::configuration::HashKey;

    fn workload() -> Workload {
        let plain = Workload::new(WorkloadId::new("ab"), "web", RuntimeId::CONTAINERD);
        Workload { image: "web:1".into(), ..plain }
    }

    fn read(spec: &str) -> Configuration {
        let redaction = Redaction { key: Some(HashKey::new([3; 32])), ..Redaction::default() };
        configuration(spec.as_bytes(), &workload(), &redaction).expect("a configuration")
    }

    const SPEC: &str = r#"{"ociVersion":"1.2.0","process":{"user":{"uid":0,"gid":0,"additionalGids":[4,999]},
      "rlimits":[{"type":"RLIMIT_NOFILE","soft":1024,"hard":18446744073709551615}],"args":["nginx","--token=hunter2"],
      "env":["HTTPS_PROXY=http://u:hunter2@proxy:3128","KEY=hunter2"],"capabilities":{"bounding":["CAP_CHOWN","CAP_NET_ADMIN"]},
      "apparmorProfile":"cri-containerd.apparmor.d"},"root":{"path":"/x","readonly":true},
      "mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/etc/hosts","type":"bind","source":"/x","options":["rbind"]},
       {"destination":"/host/run","type":"bind","source":"/run","options":["rbind","rshared","ro"]},
       {"destination":"/var/log","type":"tmpfs","source":"tmpfs","options":["nosuid"]},
       {"destination":"/proc","type":"bind","source":"/proc","options":["rbind"]}],
      "linux":{"namespaces":[{"type":"network"},{"type":"mount"},{"type":"ipc","path":"/proc/77/ns/ipc"},{"type":"uts","path":"/proc/1/ns/uts"}],
       "sysctl":{"net.ipv4.ip_forward":"1"},"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"},"maskedPaths":["/proc/kcore"],
       "resources":{"memory":{"limit":1024},"pids":{"limit":-1}}},"annotations":{"x":"hunter2"}}"#;

    #[test]
    fn a_specification_says_how_a_container_is_set_up() {
        let read = read(SPEC);
        assert!(!read.privileged && read.readonly_root);
        assert_eq!(read.seccomp, Confinement::Default);
        assert_eq!(read.namespaces.pid, NamespaceMode::Host, "a kind without an entry is the host's");
        assert_eq!(read.namespaces.ipc, NamespaceMode::Own, "the pod's");
        assert_eq!(read.namespaces.uts, NamespaceMode::Host);
        let mounts: Vec<(&str, &str, bool)> =
            read.mounts.iter().map(|mount| (&*mount.target, &*mount.source, mount.writable)).collect();
        assert_eq!(mounts, [("/host/run", "/run", false), ("/proc", "/proc", true), ("/var/log", "", true)]);
        assert_eq!(read.limits, ResourceLimits { memory: 1024, ..ResourceLimits::default() });
        assert_eq!(read.extra_groups.iter().map(String::as_str).collect::<Vec<_>>(), ["4", "999"]);
        assert_eq!(read.ulimits.get("nofile").map(String::as_str), Some("1024:-1"));
        assert!(!serde_json::to_string(&read).expect("json").contains("hunter2"));
    }

    #[test]
    fn every_right_without_filter_and_masks_is_privileged() {
        let all = ALL_CAPABILITIES.map(|name| format!("\"{name}\"")).join(",");
        let spec = format!(
            r#"{{"process":{{"capabilities":{{"bounding":[{all}]}}}},"linux":{{"seccomp":null,"maskedPaths":null}}}}"#
        );
        assert!(read(&spec).privileged);
    }

    #[test]
    fn odd_parts_are_empty_and_garbage_is_no_configuration() {
        let read = read(
            r#"{"process":7,"mounts":"x","linux":{"namespaces":null,"sysctl":[],"resources":{"memory":{"limit":"x"}}}}"#,
        );
        assert_eq!((read.mounts.len(), read.limits.memory), (0, 0));
        assert_eq!(configuration(b"nonsense", &workload(), &Redaction::default()), None);
    }
}
