//! How a container is set up, in words that do not depend on its runtime.
//!
//! Contract: the same settings give the same [`Configuration`], whichever runtime and version reported them: sets are sorted, empty is
//! absent, defaults are written out where a runtime leaves them out. What a runtime does not report is `None`, never a guess.
//! Limits: values that may be secrets are keyed hashes ([`Setting::Hashed`]) or only known to be there; see
//! `inventory/configuration/secrets.rs`. Every text is attacker-chosen.
//! Design: part of a [`Workload`](super::Workload), so that it is recorded, replayed and compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is written in place of a value of which only this is known.
pub const SET: &str = "(set)";

/// A value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// What it is: of settings that are known to hold no secret.
    Clear(String),
    /// A keyed hash of it, with the key's id: `hk1a2b3c4d:…`. Equal values of one service and field have equal hashes under one key.
    Hashed(String),
    /// It is set; nothing else is known.
    Present,
}

impl Setting {
    /// The value, where it is in clear.
    pub fn clear(&self) -> Option<&str> {
        match self {
            Self::Clear(text) => Some(text),
            Self::Hashed(_) | Self::Present => None,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(text) | Self::Hashed(text) => f.write_str(text),
            Self::Present => f.write_str(SET),
        }
    }
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Setting,
}

/// Which namespace of a kind a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceMode {
    /// One of its own, or none of that kind where the runtime's default is not the host's.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another container's, or one at a path: as the runtime writes it.
    Joined(String),
}

/// Namespaces beside the network's, which is the workload's `network_mode`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Namespaces {
    /// Processes.
    pub pid: NamespaceMode,
    /// Shared memory and queues.
    pub ipc: NamespaceMode,
    /// Host name.
    pub uts: NamespaceMode,
    /// Users. `None`: the runtime does not report whether its default remaps users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<NamespaceMode>,
    /// Control groups.
    pub cgroup: NamespaceMode,
}

impl Namespaces {
    /// Kinds and modes, in order of kind.
    pub fn all(&self) -> [(&'static str, &NamespaceMode); 5] {
        const OWN: &NamespaceMode = &NamespaceMode::Own;
        [
            ("cgroup", &self.cgroup),
            ("ipc", &self.ipc),
            ("pid", &self.pid),
            ("user", self.user.as_ref().unwrap_or(OWN)),
            ("uts", &self.uts),
        ]
    }
}

/// Which profile confines a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// The runtime's default.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// One of that name, or of that SHA-256 where the profile itself is in the settings.
    Profile(String),
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Unconfined => f.write_str("unconfined"),
            Self::Profile(name) => f.write_str(name),
        }
    }
}

/// Something of elsewhere at a path of the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mount {
    /// Path in the container, without a slash at its end.
    pub target: String,
    /// `bind`, `volume`, `tmpfs`, `image`, …
    pub kind: String,
    /// Path on the host, or the volume's name; empty for a tmpfs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether the container may write there.
    pub writable: bool,
    /// `rprivate`, `rshared`, `rslave`, …; empty where the runtime does not report it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
}

/// Where the output of a container goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// `json-file`, `journald`, `none`, …
    pub driver: String,
    /// Options of the driver: addresses in clear, the rest hashed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Setting>,
    /// The runtime's own file with the output, on the host; never compared: it holds the container's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Bounds of what a container may use; 0 is unbounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceLimits {
    /// Bytes of memory.
    pub memory: i64,
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    /// Processes.
    pub pids: i64,
}

/// How a container is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// Program and arguments, entrypoint and command merged; values of arguments hashed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// User, by name or number; empty is the image's root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Groups of its processes beside the user's own, by name or number.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub extra_groups: BTreeSet<String>,
    /// Whether it has every right on the host.
    pub privileged: bool,
    /// The capabilities that its processes can have (`CAP_…`): default, added and dropped ones taken together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<BTreeSet<String>>,
    /// Filter of system calls.
    pub seccomp: Confinement,
    /// `AppArmor`'s profile.
    pub apparmor: Confinement,
    /// The label of `SELinux`; `unconfined` where labels are disabled.
    pub selinux: Confinement,
    /// Whether its processes can gain no rights by executing.
    pub no_new_privileges: bool,
    /// Namespaces beside the network's.
    pub namespaces: Namespaces,
    /// In order of target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<String>,
    /// Where its output goes; absent where the runtime does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Resolvers, in order; empty is the runtime's default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Domains that are tried behind a name, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options of the resolver (`ndots:2`).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub dns_options: BTreeSet<String>,
    /// Names with fixed addresses (`name:address`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Environment in its order: of two with one name, programs read the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Variable>,
    /// Kernel settings of its namespaces; absent where the runtime does not report them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<BTreeMap<String, String>>,
    /// The runtime's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Setting>,
    /// Ports that the host publishes (`host:port→port/protocol`), as asked for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<String>,
    /// The host's copy of its `resolv.conf`; never compared: it holds the container's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver_path: Option<String>,
    /// The host's copy of its `hosts`; never compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts_path: Option<String>,
    /// When it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// What it may use.
    pub limits: ResourceLimits,
    /// Bounds of each process by name (`nofile`), as `soft:hard`; -1 is unbounded. Docker reports those that were asked for, others all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, String>,
    /// Whether its root file system is read-only.
    pub readonly_root: bool,
    /// Whether the kernel's sensitive paths are hidden from it; absent where the runtime does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<bool>,
    /// Command that checks its health, values hashed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub healthcheck: Vec<String>,
    /// Runtime below the runtime (`runc`, `runsc`, …); empty where it is not reported.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub handler: String,
    /// Parts of the runtime's answer that this version does not know, or that are of another kind than it knows; by path.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
}

impl Configuration {
    /// The value of a variable: of several with one name the first, as libc reads it.
    pub fn variable(&self, name: &str) -> Option<&Setting> {
        self.environment.iter().find(|variable| variable.name == name).map(|variable| &variable.value)
    }
}
