//! What two configurations differ in, by field.
//!
//! Contract: equal configurations have no differences; a difference names its field by a path (`logging.driver`,
//! `environment.NO_PROXY`, `mounts./var/log`) and both values as they may be shown. Order-only differences of sets are none.
//! Design: both are written as maps of path to text and compared, so that each field is named once, here.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::{Configuration, Mount, NamespaceMode};

/// A field with its two values; `None` is absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Path of the field.
    pub field: String,
    /// Before.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = &self.field;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{field} was {from}, is {to}"),
            (Some(from), None) => write!(f, "{field} was {from}, is absent"),
            (None, Some(to)) => write!(f, "{field} was absent, is {to}"),
            (None, None) => write!(f, "{field} is absent"),
        }
    }
}

/// What changed from one to the other, in order of field.
pub fn differences(from: &Configuration, to: &Configuration) -> Vec<Difference> {
    let (from, to) = (fields(from), fields(to));
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let value = |of: &BTreeMap<String, String>, name: &String| of.get(name).cloned();
    names
        .into_iter()
        .filter(|name| from.get(*name) != to.get(*name))
        .map(|name| Difference { field: name.clone(), from: value(&from, name), to: value(&to, name) })
        .collect()
}

/// Every field that is set, as text.
fn fields(of: &Configuration) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |field: String, value: String| {
        if !value.is_empty() {
            all.insert(field, value);
        }
    };
    put("command".into(), of.command.join(" "));
    put("user".into(), of.user.clone());
    put("handler".into(), of.handler.clone());
    put("healthcheck".into(), of.healthcheck.join(" "));
    put("restart".into(), of.restart.clone().unwrap_or_default());
    put("dns".into(), of.dns.join(" "));
    put("extra_hosts".into(), sorted(of.extra_hosts.iter()));
    put("devices".into(), sorted(of.devices.iter()));
    put("ports".into(), sorted(of.ports.iter()));
    confinement(of, &mut put);
    surroundings(of, &mut put);
    for (name, value) in of.sysctls.iter().flatten() {
        put(format!("sysctls.{name}"), value.clone());
    }
    for (name, value) in &of.annotations {
        put(format!("annotations.{name}"), value.to_string());
    }
    environment(of, &mut put);
    all
}

fn confinement(of: &Configuration, put: &mut impl FnMut(String, String)) {
    let word = |is: bool| if is { "yes".to_owned() } else { String::new() };
    put("privileged".into(), word(of.privileged));
    put("no_new_privileges".into(), word(of.no_new_privileges));
    put("readonly_root".into(), word(of.readonly_root));
    put("masked_paths".into(), of.masked_paths.map_or_else(String::new, |is| if is { "yes" } else { "no" }.to_owned()));
    put("capabilities".into(), of.capabilities.as_ref().map_or_else(String::new, |all| sorted(all.iter())));
    put("seccomp".into(), of.seccomp.to_string());
    put("apparmor".into(), of.apparmor.to_string());
    put("selinux".into(), of.selinux.to_string());
    for (kind, mode) in of.namespaces.all() {
        let value = match mode {
            NamespaceMode::Own => "own".to_owned(),
            NamespaceMode::Host => "host".to_owned(),
            NamespaceMode::Joined(which) => which.clone(),
        };
        put(format!("namespaces.{kind}"), value);
    }
}

fn surroundings(of: &Configuration, put: &mut impl FnMut(String, String)) {
    for mount in &of.mounts {
        put(format!("mounts.{}", mount.target), mount_text(mount));
    }
    if let Some(logging) = &of.logging {
        put("logging.driver".into(), logging.driver.clone());
        for (name, value) in &logging.options {
            put(format!("logging.options.{name}"), value.to_string());
        }
    }
    let number = |value: i64| if value == 0 { String::new() } else { value.to_string() };
    put("limits.memory".into(), number(of.limits.memory));
    put("limits.nano_cpus".into(), number(of.limits.nano_cpus));
    put("limits.pids".into(), number(of.limits.pids));
}

/// A mount in words.
pub(super) fn mount_text(mount: &Mount) -> String {
    let source = if mount.source.is_empty() { String::new() } else { format!(" {}", mount.source) };
    let shared = if mount.propagation.contains("shared") { ", shared" } else { "" };
    format!("{}{source} ({}{shared})", mount.kind, if mount.writable { "writable" } else { "read-only" })
}

/// Variables by name; of two with one name the first counts, as libc reads it.
fn environment(of: &Configuration, put: &mut impl FnMut(String, String)) {
    let mut seen = BTreeSet::new();
    for variable in &of.environment {
        if seen.insert(&variable.name) {
            let value = variable.value.to_string();
            let value = if value.is_empty() { "(empty)".to_owned() } else { value };
            put(format!("environment.{}", variable.name), value);
        }
    }
}

fn sorted<'a>(all: impl Iterator<Item = &'a String>) -> String {
    let mut all: Vec<&str> = all.map(String::as_str).collect();
    all.sort_unstable();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Logging, Setting, Variable};

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: Setting::Clear(value.into()) }
    }

    #[test]
    fn a_configuration_does_not_differ_from_itself_in_another_order() {
        let one = Configuration { extra_hosts: vec!["a:1".into(), "b:2".into()], ..Configuration::default() };
        let other = Configuration { extra_hosts: vec!["b:2".into(), "a:1".into()], ..Configuration::default() };
        assert_eq!(differences(&one, &other), []);
    }

    #[test]
    fn every_difference_names_its_field_and_both_values() {
        let logging = |driver: &str| Some(Logging { driver: driver.into(), ..Logging::default() });
        let one = Configuration {
            logging: logging("json-file"),
            environment: vec![variable("HTTP_PROXY", "http://proxy:3128")],
            ..Configuration::default()
        };
        let other = Configuration {
            logging: logging("none"),
            environment: vec![variable("HTTP_PROXY", ""), variable("HTTP_PROXY", "http://proxy:3128")],
            ..Configuration::default()
        };
        let texts: Vec<String> = differences(&one, &other).iter().map(ToString::to_string).collect();
        let expected =
            ["environment.HTTP_PROXY was http://proxy:3128, is (empty)", "logging.driver was json-file, is none"];
        assert_eq!(texts, expected);
    }
}
