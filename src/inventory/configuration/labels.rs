//! Which labels and annotations are shown.
//!
//! Contract: the value of a label is shown where its name is on a list here, or the configuration selects workloads by it; of every other one
//! stays the keyed hash, or that it is set. Names are always shown. Addresses are shown without credentials. Limits: a hidden value can be
//! compared, and matches no selector but `*`. Design: a user who starts a container may put a password into a label, and tools do:
//! dashboards of proxies, agents that are configured by labels, and manifests that are kept whole in an annotation.

use super::clear::{shown, without_credentials};
use super::{Redaction, Scope, ServiceKey};
use crate::input::{Setting, Workload};

/// Beginnings of names that managers of containers and makers of images write, with values that are names, numbers and versions.
const KNOWN: [&str; 11] = [
    "PODMAN_SYSTEMD_UNIT",
    "app.kubernetes.io/",
    "com.docker.compose.",
    "com.docker.stack.",
    "com.docker.swarm.",
    "io.cri-containerd.",
    "io.kubernetes.",
    "nerdctl/name",
    "org.opencontainers.image.",
    "pod-template-generation",
    "pod-template-hash",
];

/// Beginnings of names among those that hold commands.
const NOT_KNOWN: [&str; 2] = ["io.kubernetes.container.postStart", "io.kubernetes.container.preStop"];

/// Labels of images whose values are addresses, with or without a scheme.
const ADDRESSES: [&str; 3] =
    ["org.opencontainers.image.documentation", "org.opencontainers.image.source", "org.opencontainers.image.url"];

/// Labels and annotations that switch a collector, a sidecar or scraping off, by name or by the beginning of it.
const SWITCHES: [&str; 11] = [
    "co.elastic.logs",
    "com.datadoghq.ad.",
    "fluentbit.io/",
    "io.podman.annotations.seccomp",
    "linkerd.io/inject",
    "logging",
    "logspout.exclude",
    "prometheus.io/scrape",
    "promtail",
    "sidecar.istio.io/inject",
    "traffic.sidecar.istio.io/",
];

/// What a switch says. Other values of such labels may hold passwords: agents take whole configurations from them.
const POSITIONS: [&str; 14] = [
    "",
    "0",
    "1",
    "disabled",
    "enabled",
    "false",
    "ignore",
    "ingress",
    "no",
    "none",
    "off",
    "on",
    "true",
    "unconfined",
];

/// Whether a label or annotation of this name switches a collector, a sidecar or scraping.
pub fn is_switch(name: &str) -> bool {
    SWITCHES.iter().any(|switch| name.starts_with(switch))
}

/// An annotation.
pub fn annotation(scope: Scope<'_>, name: &str, value: &str) -> Setting {
    setting(scope, name, value)
}

/// Replaces the values of labels that may be secrets. What else is read of labels must have been read before.
pub fn hide_labels(workload: &mut Workload, redaction: &Redaction) {
    let service = ServiceKey::of(workload).to_string();
    for (name, value) in &mut workload.labels {
        if !redaction.shown.contains(name) {
            *value = setting(redaction.scope(&service), name, value).to_string();
        }
    }
}

fn setting(scope: Scope<'_>, name: &str, value: &str) -> Setting {
    let begins = |all: &[&str]| all.iter().any(|known| name.starts_with(known));
    if ADDRESSES.contains(&name) {
        Setting::Clear(without_credentials(value))
    } else if begins(&KNOWN) && !begins(&NOT_KNOWN) {
        // Only where it is an address: an author's may be one of mail.
        if value.contains("://") { shown(scope, "label", name, value) } else { plain(scope, name, value) }
    } else if is_switch(name) && is_position(name, value) {
        plain(scope, name, value)
    } else {
        scope.hide("label", name, value)
    }
}

fn plain(scope: Scope<'_>, name: &str, value: &str) -> Setting {
    if value.len() > MAX_TEXT { scope.hide("label", name, value) } else { Setting::Clear(value.to_owned()) }
}

/// Bytes of a value that is shown.
const MAX_TEXT: usize = 4096;

/// Ports and ranges of addresses, too, where Istio reads such.
fn is_position(name: &str, value: &str) -> bool {
    let value = value.trim();
    POSITIONS.contains(&value.to_ascii_lowercase().as_str())
        || name.starts_with("traffic.sidecar.istio.io/")
            && value.bytes().all(|byte| byte.is_ascii_hexdigit() || b".,:/* ".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{RuntimeId, WorkloadId};
    use crate::inventory::configuration::{HashKey, is_hidden};

    const SECRET: &str = "hunter2-Xq";

    fn hidden(labels: &[(&str, &str)], redaction: &Redaction) -> Vec<String> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut workload = Workload { labels, ..Workload::new(WorkloadId::new("a"), "web", RuntimeId::DOCKER) };
        hide_labels(&mut workload, redaction);
        workload.labels.into_values().collect()
    }

    #[test]
    fn what_is_not_known_to_be_no_secret_is_hidden() {
        let key = Redaction { key: Some(HashKey::new([5; 32])), ..Redaction::default() };
        let labels = [
            ("com.datadoghq.ad.instances", r#"[{"password":"hunter2-Xq"}]"#),
            ("io.kubernetes.container.preStopHandler", r#"{"exec":{"command":["hunter2-Xq"]}}"#),
            ("logging", SECRET),
            ("org.opencontainers.image.source", "deploy:hunter2-Xq@git.example/shop/web?token=hunter2-Xq"),
            ("org.opencontainers.image.vendor", "https://u:hunter2-Xq@shop.example"),
            ("org.opencontainers.image.version", "1.2"),
            ("traefik.http.middlewares.auth.basicauth.users", SECRET),
            ("traffic.sidecar.istio.io/excludeOutboundPorts", "443,10.0.0.0/8"),
        ];
        let values = hidden(&labels, &key);
        assert!(!values.iter().any(|value| value.contains("hunter2")), "{values:?}");
        let shown: Vec<&str> = values.iter().map(String::as_str).filter(|value| !is_hidden(value)).collect();
        assert_eq!(shown, ["git.example/shop/web", "https://shop.example", "1.2", "443,10.0.0.0/8"]);
        assert_eq!(hidden(&[("logging", SECRET)], &Redaction::default()), ["(set)"]);
    }

    #[test]
    fn a_label_that_the_configuration_selects_by_is_shown() {
        let redaction = Redaction { shown: ["tier".to_owned()].into_iter().collect(), ..Redaction::default() };
        assert_eq!(hidden(&[("tier", "front"), ("tiers", "front")], &redaction), ["front", "(set)"]);
    }
}
