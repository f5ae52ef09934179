//! `ipv6-leak`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Ipv6)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "ipv6-leak",
    title: "Container traffic bypassed its hop over IPv6",
    severity: Severity::High,
    techniques: &[Technique { name: "Exfiltration Over Alternative Protocol", v19: "T1048", v18: "T1048" }],
    ads: Ads {
        goal: "Detects a workload that keeps its path contract over IPv4 and breaks it over IPv6: a proxy, VPN or \
             firewall covers only one address family, and the other one is open.",
        categorization: "Exfiltration: data takes a way beside the one that is watched. It mostly happens by itself, \
             since programs prefer IPv6 where a name has both addresses; an attacker who wants to stay unseen only \
             has to ask for it.",
        strategy: "A flow over IPv6 that a contract covers was bypassed, and the same workload keeps the same \
             contract over IPv4: a flow of its own was verified there before. Then this rule fires instead of the \
             rule for the kind of hop. IPv4-mapped addresses are IPv4.",
        technical_context: "Docker gives IPv6 to networks that were created with it, and since version 27 filters \
             and masquerades it by default as it does IPv4. Proxies and VPN containers are often configured with \
             IPv4 addresses, routes and kill switches alone; a router advertisement on the bridge is enough to give \
             a container a global address that no runtime ever reported. The destination's name usually has both an \
             A and an AAAA record.",
        blind_spots: &[
            "Addresses by router advertisement are unknown to the runtime: they are attributed by MAC, which is \
             weaker, or not at all (unattributed_address).",
            "A contract that names `family: ipv4` says nothing about IPv6; write a second one.",
            "A workload that was not seen to keep the contract over IPv4 yet is reported by the rule for its kind of \
             hop.",
            "IPv6 inside IPv4 (6in4, Teredo) is a tunnel: tunnel-from-container.",
        ],
        assumptions: &[
            "The bridge or the veth is captured; both families pass there.",
            "The contract's destinations hold IPv6 ranges too; `internet` and `any` do.",
        ],
        false_positives: &[
            "A destination that may be reached directly over IPv6: narrow the contract, or set its `family`.",
            "A hop whose IPv6 address is unknown: name it under the hop's `addresses`.",
        ],
        true_positives: &["ipv6-leak"],
        benign_twins: &["ipv6-through-proxy"],
        priority: "High when the destination answered or UDP payload was sent. Medium for an attempt that nobody answered: \
             hosts without IPv6 to the outside see many.",
        response: &[
            "Which destinations were reached over IPv6, and how much has left?",
            "Where does the address come from? `docker network inspect -f '{{.EnableIPv6}} {{.IPAM.Config}}' NET`; \
             `nsenter -t PID -n ip -6 addr` shows addresses by advertisement (`dynamic`).",
            "Close the way: give the hop IPv6 (address, routes, filter), or take IPv6 from the network \
             (`--ipv6=false`) or the container (`--sysctl net.ipv6.conf.all.disable_ipv6=1`).",
            "Filter on the host until then: `ip6tables -I DOCKER-USER -i BRIDGE -j DROP`.",
            "If it is allowed, write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1048/",
            "https://docs.docker.com/engine/daemon/ipv6/",
            "https://www.rfc-editor.org/rfc/rfc7359",
        ],
    },
};
