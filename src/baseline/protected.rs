//! Fields in which a second value is never learned.
//!
//! Contract: pure; a field that decides what a container can do to the host, to its monitors or to its own path is protected.
//! Limits: mounts are protected one by one, by what the rules call dangerous; see [`Learner`](super::Learner).

use crate::inventory::configuration::{
    Field, is_hook_variable, is_proxy_variable, is_telemetry_variable, is_trust_variable,
};

/// Whether a second value of the field goes to quarantine instead of being learned.
pub fn is_protected(field: &Field) -> bool {
    match (field.name(), field.in_group()) {
        ("environment", Some(name)) => {
            is_proxy_variable(name) || is_trust_variable(name) || is_telemetry_variable(name) || is_hook_variable(name)
        }
        ("labels" | "logging.options" | "sysctls", _) => true,
        (name, _) => matches!(
            name,
            "apparmor"
                | "capabilities"
                | "devices"
                | "dns"
                | "dns_options"
                | "dns_search"
                | "extra_groups"
                | "extra_hosts"
                | "handler"
                | "logging.driver"
                | "masked_paths"
                | "namespaces.cgroup"
                | "namespaces.ipc"
                | "namespaces.pid"
                | "namespaces.user"
                | "namespaces.uts"
                | "network.mode"
                | "no_new_privileges"
                | "privileged"
                | "seccomp"
                | "selinux"
                | "user"
        ),
    }
}
