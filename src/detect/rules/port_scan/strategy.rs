//! The strategy of `port-scan`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "port-scan",
    title: "Many ports of one host contacted for the first time, most failed",
    severity: Severity::Low,
    techniques: &[Technique { name: "Network Service Discovery", v19: "T1046", v18: "T1046" }],
    ads: Ads {
        goal: "Detects a service or an address that tries the ports of a host one after the other, in any of the usual ways, and one that asks by \
             impossible flags which system answers.",
        categorization: "Discovery: open ports are what an attacker uses next.",
        strategy: "The same sequential test as host-scan, for each target by itself: a port (or an IP protocol) that is contacted for the first time and refused, \
             silent, empty or begun with impossible flags is a step up, one that is answered a step down, an unanswered datagram half a step up; never below \
             three steps under the start. 5 net failures are low, 9 medium, 100 failed ports high. Two segments to one host within 10 s \
             with different flags that no connection begins with are a question for its operating system: medium. Scans from outside are one alert per target, low.",
        technical_context: "A SYN scan ends each handshake with a reset, a connect scan with nothing said, FIN, NULL, XMAS and Maimon scans begin with flags that no program sends, an \
             ACK scan sends lone acknowledgements. Each has its outcome, so each moves the walk. Ports that answer with data (a version scan) count as success.",
        blind_spots: &[
            "A scan of ports that are mostly open, or of fewer than five.",
            "An answer of ICMP (port unreachable) is not joined to the datagram that it refuses: a UDP scan needs twice as many ports.",
            "Lone acknowledgements that nobody answers look like the middle of a connection.",
            "Traceroute's ports (UDP 33434 to 33534) count for nothing.",
            "Of one actor the latest 512 ports of all targets are known, and 64 targets where contacts failed are followed.",
        ],
        assumptions: &[
            "The point sees both directions of the actor's traffic.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "Vulnerability scanners and monitors that have this task.",
            "A client that tries several ports of a host that is down (a cluster member, RPC, passive FTP behind a firewall).",
        ],
        true_positives: &["scan-ports-and-hosts"],
        benign_twins: &["scan-twin"],
        priority: "Low at one error rate, medium at a hundredth of it or for impossible flags, high with 100 failed ports.",
        response: &[
            "The evidence gives the target, how many ports failed and how; `objects` names the first of them.",
            "Find the program: `docker top NAME`, `nsenter -t PID -n ss -tnp`; was it started by an exec?",
            "Is scanning its task? Then name it under rules.port-scan.allowed.",
            "If not, cut the actor off, and look at what it did with the ports that answered.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1046/",
            "https://nms.csail.mit.edu/papers/portscan-oakland04.pdf",
            "https://nmap.org/book/man-port-scanning-techniques.html",
        ],
    },
};
