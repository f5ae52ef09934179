//! A configuration as fields with values that can be compared one by one.
//!
//! Contract: equal settings have equal fields, whatever the runtime and the order: sets are sorted, and what varies without meaning (ids of
//! joined containers, names of anonymous volumes, unique ids in paths, a pod's own variables) is written alike. A field that a runtime does
//! not report is absent; one that it reports as unset is an empty text. Limits: those of the configuration.
//! Design: one list of fields for rules, differences and baselines, so that a field has one name everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::input::{Configuration, Mount, NamespaceMode, NetworkMode, Workload};

/// Groups of fields: each member has a name of its own.
pub const GROUPS: [&str; 6] = ["annotations", "environment", "labels", "logging.options", "mounts", "sysctls"];
/// Fields that stand alone.
pub const SINGLE: [&str; 33] = [
    "apparmor",
    "capabilities",
    "command",
    "devices",
    "dns",
    "dns_options",
    "dns_search",
    "extra_groups",
    "extra_hosts",
    "handler",
    "healthcheck",
    "image.digest",
    "limits.memory",
    "limits.nano_cpus",
    "limits.pids",
    "logging.driver",
    "masked_paths",
    "namespaces.cgroup",
    "namespaces.ipc",
    "namespaces.pid",
    "namespaces.user",
    "namespaces.uts",
    "network.mode",
    "networks",
    "no_new_privileges",
    "ports",
    "privileged",
    "readonly_root",
    "restart",
    "seccomp",
    "selinux",
    "ulimits",
    "user",
];

/// A field: one that stands alone, or a member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    name: &'static str,
    member: Option<String>,
}

impl Field {
    /// A field that stands alone.
    pub const fn single(name: &'static str) -> Self {
        Self { name, member: None }
    }

    /// A member of a group.
    pub fn member(group: &'static str, member: &str) -> Self {
        Self { name: group, member: Some(member.to_owned()) }
    }

    /// The field of this path: `logging.driver`, `mounts./data`.
    pub fn parse(path: &str) -> Option<Self> {
        if let Some(name) = SINGLE.iter().find(|name| **name == path) {
            return Some(Self::single(name));
        }
        let member = |group: &&'static str| path.strip_prefix(*group)?.strip_prefix('.').map(|rest| (*group, rest));
        GROUPS.iter().find_map(member).map(|(group, rest)| Self::member(group, rest))
    }

    /// Its group, or the name of one that stands alone.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its name in its group.
    pub fn in_group(&self) -> Option<&str> {
        self.member.as_deref()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some(member) => write!(f, "{}.{member}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A text; empty is unset.
    Text(String),
    /// A number; 0 is unset.
    Number(i64),
    /// A set; empty is unset.
    Set(BTreeSet<String>),
}

/// Nothing is set.
pub static UNSET: Value = Value::UNSET;

impl Value {
    /// Nothing is set.
    pub const UNSET: Self = Self::Text(String::new());

    /// Whether it says that nothing is set.
    pub fn is_unset(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Number(number) => *number == 0,
            Self::Set(set) => set.is_empty(),
        }
    }

    /// In words; `None` where nothing is set.
    pub fn words(&self) -> Option<String> {
        (!self.is_unset()).then(|| match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Set(set) => set.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        })
    }
}

/// The fields of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// What each field holds; fields that stand alone are there, unless their runtime does not report them.
    pub fields: BTreeMap<Field, Value>,
    /// Groups that its runtime reports; a member that is missing in one of these is unset.
    pub groups: BTreeSet<&'static str>,
}

impl Facets {
    /// Of a container; `None` where its runtime reports no configuration.
    pub fn of(workload: &Workload) -> Option<Self> {
        let configuration = workload.configuration.as_ref()?;
        let mut facets = Self::of_configuration(configuration);
        if workload.pod.is_some() {
            facets.fields.retain(|field, _| !is_of_a_pod(field));
        }
        let network = match &workload.network_mode {
            NetworkMode::Container(_) => "another container".to_owned(),
            mode => mode.to_string(),
        };
        facets.put("network.mode", Value::Text(network));
        let networks = workload.attachments.iter().map(|attachment| attachment.network.clone());
        facets.put("networks", Value::Set(networks.filter(|name| !name.is_empty()).collect()));
        if !workload.image_digest.is_empty() {
            facets.put("image.digest", Value::Text(workload.image_digest.clone()));
        }
        facets.groups.insert("labels");
        for (name, value) in workload.labels.iter().filter(|(name, _)| super::is_switch(name)) {
            facets.put_member("labels", name, shown_empty(value));
        }
        Some(facets)
    }

    /// Of settings alone.
    pub fn of_configuration(of: &Configuration) -> Self {
        let mut facets = Self::default();
        facets.add_process(of);
        facets.add_confinement(of);
        facets.add_surroundings(of);
        facets.add_groups(of);
        facets
    }

    /// The value of a field; `None` where it is not reported.
    pub fn get(&self, field: &Field) -> Option<&Value> {
        let known = self.fields.get(field);
        known.or_else(|| (field.member.is_some() && self.groups.contains(field.name)).then_some(&UNSET))
    }

    fn put(&mut self, name: &'static str, value: Value) {
        self.fields.insert(Field::single(name), value);
    }

    fn put_member(&mut self, group: &'static str, member: &str, value: String) {
        self.fields.insert(Field::member(group, member), Value::Text(value));
    }

    fn add_process(&mut self, of: &Configuration) {
        self.put("command", Value::Text(of.command.join(" ")));
        self.put("user", Value::Text(of.user.clone()));
        self.put("handler", Value::Text(of.handler.clone()));
        self.put("healthcheck", Value::Text(of.healthcheck.join(" ")));
        self.put("restart", Value::Text(of.restart.clone().unwrap_or_default()));
        self.put("limits.memory", Value::Number(of.limits.memory));
        self.put("limits.nano_cpus", Value::Number(of.limits.nano_cpus));
        self.put("limits.pids", Value::Number(of.limits.pids));
    }

    fn add_confinement(&mut self, of: &Configuration) {
        let word = |is: bool| Value::Text(if is { "yes" } else { "no" }.to_owned());
        self.put("privileged", word(of.privileged));
        self.put("no_new_privileges", word(of.no_new_privileges));
        self.put("readonly_root", word(of.readonly_root));
        if let Some(masked) = of.masked_paths {
            self.put("masked_paths", word(masked));
        }
        if let Some(capabilities) = &of.capabilities {
            self.put("capabilities", Value::Set(capabilities.clone()));
        }
        self.put("seccomp", Value::Text(of.seccomp.to_string()));
        self.put("apparmor", Value::Text(of.apparmor.to_string()));
        self.put("selinux", Value::Text(of.selinux.to_string()));
        let spaces = &of.namespaces;
        self.put("namespaces.cgroup", namespace(&spaces.cgroup));
        self.put("namespaces.ipc", namespace(&spaces.ipc));
        self.put("namespaces.pid", namespace(&spaces.pid));
        self.put("namespaces.uts", namespace(&spaces.uts));
        if let Some(user) = &spaces.user {
            self.put("namespaces.user", namespace(user));
        }
    }

    fn add_surroundings(&mut self, of: &Configuration) {
        self.put("dns", Value::Text(of.dns.join(" ")));
        self.put("dns_search", Value::Text(of.dns_search.join(" ")));
        self.put("dns_options", Value::Set(of.dns_options.clone()));
        self.put("extra_groups", Value::Set(of.extra_groups.clone()));
        self.put("ulimits", Value::Set(of.ulimits.iter().map(|(name, bound)| format!("{name}={bound}")).collect()));
        self.put("extra_hosts", Value::Set(of.extra_hosts.iter().cloned().collect()));
        self.put("devices", Value::Set(of.devices.clone()));
        self.put("ports", Value::Set(of.ports.clone()));
        if let Some(logging) = &of.logging {
            self.put("logging.driver", Value::Text(logging.driver.clone()));
            self.groups.insert("logging.options");
            for (name, value) in &logging.options {
                self.put_member("logging.options", name, shown_empty(&value.to_string()));
            }
        }
    }

    fn add_groups(&mut self, of: &Configuration) {
        self.groups.extend(["annotations", "environment", "mounts"]);
        for mount in &of.mounts {
            self.put_member("mounts", &mount.target, mount_text(mount));
        }
        if let Some(sysctls) = &of.sysctls {
            self.groups.insert("sysctls");
            for (name, value) in sysctls {
                self.put_member("sysctls", name, shown_empty(value));
            }
        }
        for (name, value) in &of.annotations {
            self.put_member("annotations", name, shown_empty(&value.to_string()));
        }
        // Of two with one name the first counts, as libc reads it.
        for variable in of.environment.iter().rev().filter(|variable| variable.name != "HOSTNAME") {
            self.put_member("environment", &variable.name, shown_empty(&variable.value.to_string()));
        }
    }
}

/// Set and empty is not unset.
fn shown_empty(value: &str) -> String {
    if value.is_empty() { "(empty)".to_owned() } else { value.to_owned() }
}

fn namespace(mode: &NamespaceMode) -> Value {
    Value::Text(match mode {
        NamespaceMode::Own => "own".to_owned(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Joined(which) if which.starts_with("container:") => "another container".to_owned(),
        NamespaceMode::Joined(which) => which.clone(),
    })
}

/// A mount in words.
pub(super) fn mount_text(mount: &Mount) -> String {
    let is_anonymous = mount.source.len() == 64 && mount.source.bytes().all(|byte| byte.is_ascii_hexdigit());
    let source = match mount.source.as_str() {
        "" => String::new(),
        _ if is_anonymous => " (anonymous)".to_owned(),
        source => format!(" {}", without_unique_ids(source)),
    };
    let shared = if mount.propagation.contains("shared") { ", shared" } else { "" };
    format!("{}{source} ({}{shared})", mount.kind, if mount.writable { "writable" } else { "read-only" })
}

/// A path with `*` in place of parts that are a UUID, as a pod's folder has.
fn without_unique_ids(path: &str) -> String {
    let is_unique = |part: &str| {
        let groups: Vec<&str> = part.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    path.split('/').map(|part| if is_unique(part) { "*" } else { part }).collect::<Vec<_>>().join("/")
}

/// Variables that Kubernetes sets for each service of a namespace: they grow with it (`kubelet`, `envvars.go`).
fn is_of_a_pod(field: &Field) -> bool {
    let Some(name) = field.in_group().filter(|_| field.name() == "environment") else { return false };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT").is_some_and(|(_, rest)| {
            rest.is_empty() || rest.starts_with('_') && (rest.contains("_TCP") || rest.contains("_UDP"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{RuntimeId, Setting, Variable, WorkloadId};

    #[test]
    fn a_field_is_read_back_from_its_path() {
        for field in [
            Field::single("logging.driver"),
            Field::member("logging.options", "max-size"),
            Field::member("sysctls", "net.ipv4.ip_forward"),
            Field::member("mounts", "/var/run/docker.sock"),
        ] {
            assert_eq!(Field::parse(&field.to_string()), Some(field));
        }
        assert_eq!(Field::parse("loging.driver"), None);
        assert!(SINGLE.is_sorted() && GROUPS.is_sorted());
    }

    #[test]
    fn what_varies_without_meaning_is_written_alike() {
        let mount = |source: &str| Mount { kind: "volume".into(), source: source.into(), ..Mount::default() };
        assert_eq!(mount_text(&mount(&"a1".repeat(32))), mount_text(&mount(&"b2".repeat(32))));
        let pod = |uid: &str| mount_text(&mount(&format!("/var/lib/kubelet/pods/{uid}/volumes/x")));
        assert_eq!(pod("0a1b2c3d-0000-1111-2222-334455667788"), pod("ffffffff-0000-1111-2222-334455667788"));
        assert_ne!(pod("0a1b2c3d"), pod("0a1b2c3e"));
    }

    #[test]
    fn a_member_that_is_not_set_is_told_apart_from_one_that_is_not_reported() {
        let configuration = Configuration {
            environment: vec![Variable { name: "EMPTY".into(), value: Setting::Clear(String::new()) }],
            ..Configuration::default()
        };
        let workload = Workload {
            configuration: Some(std::sync::Arc::new(configuration)),
            ..Workload::new(WorkloadId::new("a"), "web", RuntimeId::DOCKER)
        };
        let facets = Facets::of(&workload).expect("a configuration");
        let value = |group, member| facets.get(&Field::member(group, member)).map(Value::words);
        assert_eq!(value("environment", "EMPTY"), Some(Some("(empty)".to_owned())));
        assert_eq!(value("environment", "OTHER"), Some(None));
        assert_eq!(value("sysctls", "net.ipv4.ip_forward"), None, "this runtime does not report sysctls");
    }
}
