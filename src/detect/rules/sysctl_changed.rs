//! `sysctl-changed`.

use crate::baseline::Deviation;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Workload};
use crate::inventory::configuration::Field;
use crate::path::Selector;

rule_params! {
    /// Workloads that route or need such settings: VPN gateways, network plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// Ends of names of network settings, the values that matter, and what they do.
const SETTINGS: [(&str, &[&str], &str); 8] = [
    ("net.ipv4.ip_forward", &["1"], "it forwards packets for others"),
    ("net.ipv6.conf.*.forwarding", &["1"], "it forwards packets for others"),
    ("net.ipv4.conf.*.rp_filter", &["0", "2"], "it takes packets from addresses that it has no route to"),
    ("net.ipv4.conf.*.route_localnet", &["1"], "its loopback addresses can be reached from outside"),
    ("net.ipv4.conf.*.accept_source_route", &["1"], "senders choose their packets' route"),
    ("net.ipv4.conf.*.accept_redirects", &["1"], "neighbours change its routes"),
    ("net.ipv4.conf.*.send_redirects", &["1"], "it changes its neighbours' routes"),
    ("net.ipv4.conf.*.proxy_arp", &["1"], "it answers for its neighbours' addresses"),
];

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    PostureRule::new(POSTURE, &params.allowed)
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift };

fn owns(field: &Field) -> bool {
    field.name() == "sysctls"
}

/// A setting of the network that has a meaning for paths; sizes of buffers and queues have none.
fn drift(deviation: &Deviation) -> Severity {
    let name = deviation.field.in_group().unwrap_or_default();
    let is_known = SETTINGS.iter().any(|(pattern, ..)| is_named(name, pattern));
    if is_known || name.ends_with("disable_ipv6") { Severity::Medium } else { Severity::Low }
}

fn signals(_workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    let set = configuration.sysctls.iter().flatten();
    set.filter_map(|(name, value)| {
        let is_this =
            |(pattern, values, _): &&(&str, &[&str], &str)| is_named(name, pattern) && values.contains(&value.trim());
        let (_, _, what) = SETTINGS.iter().find(is_this)?;
        Some(Signal::new(
            name,
            Field::member("sysctls", name),
            Severity::Medium,
            format!("{name} is {}: {what}", value.trim()),
        ))
    })
    .collect()
}

/// Whether a name is the pattern's, whose `*` stands for an interface. Docker takes dots and slashes.
fn is_named(name: &str, pattern: &str) -> bool {
    let name = name.replace('/', ".");
    match pattern.split_once('*') {
        Some((before, after)) => {
            name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(|middle| !middle.is_empty())
        }
        None => name == pattern,
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "sysctl-changed",
    title: "A container's kernel settings open its network",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Disable or Modify System Firewall", v19: "T1686", v18: "T1562.004" }],
    ads: Ads {
        goal: "Detects kernel settings of a container's network by which it forwards for others, or takes and sends packets that the \
             defaults refuse.",
        categorization: "Defense Evasion: such settings prepare relays, spoofing and redirected routes inside a network.",
        strategy: "Settings that were asked for at the start (`--sysctl`) are read from each inspect and compared with a list: \
             forwarding, reverse path filter off, source routes, redirects, proxy ARP, routes to loopback. All of a service are one \
             alert, once. One that differs from the container's own start is critical. For a service of the baseline all sysctls are \
             compared with it; those of the list are medium, others low.",
        technical_context: "A container that forwards is a router between its networks: with masquerading inside it, others leave by it. \
             Source-based checks of the kernel (rp_filter) drop forged addresses where they are on.",
        blind_spots: &[
            "Settings that a process with NET_ADMIN changes inside the container later.",
            "Podman's inspect and CRI do not report settings.",
            "The host's own settings.",
        ],
        assumptions: &["The runtime's inspect can be read."],
        false_positives: &[
            "VPN gateways, routers and network plugins in containers.",
            "WireGuard's recommended settings (src_valid_mark is not reported).",
        ],
        true_positives: &["sysctl-forwarding"],
        benign_twins: &["sysctl-tuning"],
        priority: "Medium: an opening, not an act.",
        response: &[
            "Who started it, and does it route for others? `docker inspect -f '{{json .HostConfig.Sysctls}}' NAME`.",
            "See whether others use it: alerts of undeclared-relay and second-network-egress.",
            "If it may, add it to rules.sysctl-changed.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/004/",
            "https://docs.kernel.org/networking/ip-sysctl.html",
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::workload;

    fn names(settings: &[(&str, &str)]) -> Vec<String> {
        let sysctls = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let configuration = Configuration { sysctls: Some(sysctls), ..Configuration::default() };
        signals(&workload("web", 10), &configuration).into_iter().map(|signal| signal.name).collect()
    }

    #[test]
    fn what_opens_the_network_counts_and_tuning_does_not() {
        assert_eq!(names(&[("net.ipv4.ip_forward", "1")]), ["net.ipv4.ip_forward"]);
        assert_eq!(names(&[("net/ipv4/conf/eth0/rp_filter", "0")]), ["net/ipv4/conf/eth0/rp_filter"]);
        for (name, value) in [
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.all.rp_filter", "1"),
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.conf..rp_filter", "0"),
            ("net.ipv4.ip_local_port_range", "1"),
        ] {
            assert!(names(&[(name, value)]).is_empty(), "{name}={value}");
        }
    }
}
