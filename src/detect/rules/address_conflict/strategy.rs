//! The strategy of `address-conflict`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "address-conflict",
    title: "Two link addresses claim one IP address in turn",
    severity: Severity::Medium,
    techniques: &[Technique { name: "ARP Cache Poisoning", v19: "T1557.002", v18: "T1557.002" }],
    ads: Ads {
        goal: "Detects that two hosts on a link claim the same IP address at the same time, by ARP or neighbour discovery, also where no runtime owns the address.",
        categorization: "Credential Access and Collection: the one that wins the claim receives the traffic of the other.",
        strategy: "For each address at each point the claims that are new or change are followed. Two MACs that replace each other `changes` times within `window` \
             are a conflict: medium, high where frames to the outside go to one of them, which is then a gateway. Not counted: an address that moves once \
             (restart, failover) or on and on, probes that claim nothing, the MACs of VRRP, CARP, HSRP and GLBP, and two MACs that claim the same set of several \
             addresses (one host with two interfaces). Addresses of workloads are left to unknown-source, which knows whose they are.",
        technical_context: "A poisoner repeats its claim every second or two, because the true owner goes on answering. The meter reports a change back at most once a second.",
        blind_spots: &[
            "A poisoner that answers only its victim, on a switched link where no point sees it.",
            "A claim that is made once, or where the true owner is silent: that looks like a move.",
            "Frames that merely use another's address without a claim (unknown-source reports those of workloads).",
        ],
        assumptions: &["The link itself is captured: a bridge, a mirror port, or an interface on it."],
        false_positives: &[
            "Two hosts with the same address by mistake: a true conflict, but nobody's attack.",
            "Bonds in mode balance-alb, which answer with different MACs, seen at a mirror port.",
            "Anycast addresses of IPv6 that several routers answer for.",
        ],
        true_positives: &["anomaly-address-conflict"],
        benign_twins: &["anomaly-lookalikes"],
        priority: "Medium; high for a gateway, whose traffic is everybody's.",
        response: &[
            "The evidence names both MACs and the point. Find their ports: `bridge fdb show`, the switch's table.",
            "Which of them is the address's owner? Compare with `ip neigh` on hosts that were not fooled, and with the DHCP server.",
            "Take the other one off the link, and drop NET_RAW from containers that do not need it.",
            "Connections since the first claim may have been read: change what was sent in them.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1557/002/", "https://www.rfc-editor.org/rfc/rfc5227"],
    },
};
