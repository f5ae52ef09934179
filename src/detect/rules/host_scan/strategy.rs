//! The strategy of `host-scan`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "host-scan",
    title: "Many addresses contacted for the first time, most failed",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Remote System Discovery", v19: "T1018", v18: "T1018" },
        Technique { name: "Network Service Discovery", v19: "T1046", v18: "T1046" },
    ],
    ads: Ads {
        goal: "Detects a service or an address that looks for hosts: it contacts many addresses for the first time and most do not answer, or it \
             contacts many neighbours at one port, or by echo requests, within a minute.",
        categorization: "Discovery: before somebody moves on inside a network, the neighbours have to be found.",
        strategy: "A sequential test on first contacts (threshold random walk). Each address that an actor contacts for the first time moves its walk \
             one step: up where the contact was refused, silent for 5 s, empty or began with impossible flags; down where it was answered; half a \
             step up for an unanswered datagram; never below three steps under the start. With success rates of 0.8 (honest) and 0.2 (scanner) the limits follow \
             from two error rates: 5 net failures accuse one of 1,000 honest actors (low), 9 one of 100,000 (medium); both miss one scanner of 100. With 100 \
             failed addresses it is high. A sweep of hosts that answer is 16 new addresses in 60 s at one port, or by echo \
             requests, or by asking for their MACs (ARP, neighbour discovery) or their names (reverse lookups), half of them in one /24 or /120. A slow scan is 10 failed addresses in a day where half of the first contacts failed, or 30 where a third did.",
        technical_context: "Programs know whom they talk to: by configuration, by name, by discovery. Their first contacts succeed. A scanner does not know, and most addresses of a \
             range are empty. Only first contacts count, so a dead database that is asked a thousand times is one failure.",
        blind_spots: &[
            "Targets that are known from elsewhere, and scans of which half or more of the first contacts succeed, at many ports.",
            "Idle scans and scans through a relay: the one who asks is another host.",
            "ARP and neighbour sweeps by the host itself, or by a router: they ask for whom others want to reach.",
            "Of an actor the latest 256 addresses are known; an older one counts as new when it comes again.",
            "Connections whose beginning was not seen, one-sided ones and windows with losses count for nothing.",
        ],
        assumptions: &[
            "The point sees both directions of the actor's traffic.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "Availability monitors, blackbox exporters, service discovery, cluster members that look for dead ones.",
            "Crawlers, peer-to-peer clients and mail queues, which contact many hosts that are gone.",
            "A client whose peers are all down when it starts: one failure for each.",
        ],
        true_positives: &["scan-ports-and-hosts"],
        benign_twins: &["scan-twin"],
        priority: "Low at one error rate, medium at a hundredth of it, high with 100 failed addresses.",
        response: &[
            "The evidence gives how many addresses failed and how; `objects` names the first of them.",
            "Find the program: `docker top NAME`, `nsenter -t PID -n ss -tnp`; was it started by an exec?",
            "Is scanning its task (a monitor, an exporter)? Then name it under rules.host-scan.allowed.",
            "If not, cut the actor off and look at the hosts that answered it.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1018/",
            "https://attack.mitre.org/techniques/T1046/",
            "https://nms.csail.mit.edu/papers/portscan-oakland04.pdf",
        ],
    },
};
