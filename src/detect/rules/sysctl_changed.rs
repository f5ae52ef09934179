//! `sysctl-changed`: what the runtime was asked for ([`POSTURE`]), and what the kernel shows of the namespace ([`kernel`]).

mod kernel;

use self::kernel::NamespaceSettings;
use crate::baseline::Deviation;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::told_and_seen::ToldAndSeen;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Workload};
use crate::inventory::configuration::Field;
use crate::path::Selector;

rule_params! {
    /// Workloads that route or need such settings: VPN gateways, network plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The values of a setting that matter.
#[derive(Clone, Copy)]
enum Opens {
    /// Every one but 0.
    On,
    /// Every one but 1, by which it is strict.
    NotStrict,
}

/// Names of network settings, the values that matter, and what they do.
const SETTINGS: [(&str, Opens, &str); 12] = [
    ("net.ipv4.ip_forward", Opens::On, "it forwards packets for others"),
    ("net.ipv4.conf.*.forwarding", Opens::On, "it forwards packets for others"),
    ("net.ipv6.conf.*.forwarding", Opens::On, "it forwards packets for others"),
    ("net.ipv6.conf.*.force_forwarding", Opens::On, "it forwards packets for others"),
    ("net.ipv4.conf.*.rp_filter", Opens::NotStrict, "it takes packets from addresses that it has no route to"),
    ("net.ipv4.conf.*.route_localnet", Opens::On, "its loopback addresses can be reached from outside"),
    ("net.ipv4.conf.*.accept_source_route", Opens::On, "senders choose their packets' route"),
    ("net.ipv4.conf.*.accept_redirects", Opens::On, "neighbours change its routes"),
    ("net.ipv6.conf.*.accept_redirects", Opens::On, "neighbours change its routes"),
    ("net.ipv4.conf.*.send_redirects", Opens::On, "it changes its neighbours' routes"),
    ("net.ipv4.conf.*.proxy_arp", Opens::On, "it answers for its neighbours' addresses"),
    ("net.ipv6.conf.*.proxy_ndp", Opens::On, "it answers for its neighbours' addresses"),
];

impl Opens {
    fn holds(self, value: &str) -> bool {
        number(value).is_some_and(|value| match self {
            Self::On => value != 0,
            Self::NotStrict => value != 1,
        })
    }
}

/// A number as the kernel reads it (`strtoul` with base 0): decimal, `0x` or octal.
fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let value = i64::from_str_radix(digits, radix).ok().filter(|value| *value >= 0)?;
    Some(if negative { -value } else { value })
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    ToldAndSeen { told: PostureRule::new(POSTURE, &params.allowed), seen: NamespaceSettings::new(&params.allowed) }
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift, needed_by_sensor: false };

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
        let what = effect(name, value)?;
        Some(Signal::new(
            name,
            Field::member("sysctls", name),
            Severity::Medium,
            format!("{name} is {}: {what}", value.trim()),
        ))
    })
    .collect()
}

/// What a setting opens by this value.
fn effect(name: &str, value: &str) -> Option<&'static str> {
    let found = SETTINGS.iter().find(|(pattern, opens, _)| is_named(name, pattern) && opens.holds(value));
    found.map(|(.., what)| *what)
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
             forwarding (for all interfaces, new ones or one), reverse path filter off, source routes, redirects, proxy ARP and NDP, \
             routes to loopback. All of a service are one \
             alert, once. One that differs from the container's own start is critical. For a service of the baseline all sysctls are \
             compared with it; those of the list are medium, others low. The kernel's word: forwarding, reverse path filter, redirects, source routes, proxy \
             ARP and NDP and routes to loopback are read of every interface in a workload's namespace with the list of its links, of `conf/all` once a \
             minute, and both at once when the kernel tells that one changed. What is opened later than 5 s after the last workload came into the namespace and the interface was \
             first seen is reported, and what is open although the runtime was asked to close it. An interface that gets another name stays the same one. Each setting is \
             an alert of its own, which names the interfaces; that of `conf/all` is apart from that of interfaces. What a namespace or an interface begins with comes from \
             the host's own settings or from a network plugin and is not reported.",
        technical_context: "A container that forwards is a router between its networks: with masquerading inside it, others leave by it. \
             Source-based checks of the kernel (rp_filter) drop forged addresses where they are on.",
        blind_spots: &[
            "Settings that were changed within 5 s of the first look at a namespace or an interface, or of a workload that enters it, or before hopwatch started.",
            "A setting that is opened on another interface while the alert about it is open is counted in that alert, which does not name the interface.",
            "Of `conf/all` redirects, source routes and routes to loopback that are changed and changed back within a minute.",
            "Podman's inspect and CRI do not report what was asked for; the kernel's word counts there all the same.",
            "The host's own settings.",
        ],
        assumptions: &["The runtime's inspect can be read."],
        false_positives: &[
            "VPN gateways and routers in containers.",
            "kube-proxy in a node that is a container (k3d, kind): it sets route_localnet of conf/all when it starts.",
            "Network plugins in such a node that set forwarding, proxy_arp, rp_filter or route_localnet of an interface later than 5 s after it appeared (Calico's Felix on each cali*).",
            "WireGuard's recommended settings (src_valid_mark is not reported).",
        ],
        true_positives: &["sysctl-forwarding"],
        benign_twins: &["sysctl-tuning"],
        priority: "Medium: an opening; where the kernel says that it changed later, an act of somebody with NET_ADMIN.",
        response: &[
            "Who started it, and does it route for others? `docker inspect -f '{{json .HostConfig.Sysctls}}' NAME`.",
            "Changed later: who? `nsenter -t PID -n sysctl -a`, processes with NET_ADMIN in there, execs of that time.",
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
            ("net.ipv4.conf.all.forwarding", "1"),
            ("net.ipv4.conf.eth0.forwarding", "0x1"),
            ("net.ipv6.conf.default.forwarding", "01"),
            ("net.ipv6.conf.eth0.force_forwarding", "1"),
            ("net.ipv6.conf.all.proxy_ndp", " 1 "),
            ("net.ipv4.ip_forward", "2"),
            ("net.ipv4.conf.all.rp_filter", "2"),
        ] {
            assert_eq!(names(&[(name, value)]), [name], "{value}");
        }
        for (name, value) in [
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.all.rp_filter", "1"),
            ("net.ipv4.conf.all.forwarding", "0x0"),
            ("net.ipv4.conf.all.forwarding", "yes"),
            ("net.ipv4.conf.all.mc_forwarding_sizes", "1"),
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.conf..rp_filter", "0"),
            ("net.ipv4.ip_local_port_range", "1"),
        ] {
            assert!(names(&[(name, value)]).is_empty(), "{name}={value}");
        }
    }
}
