//! The strategy of `new-peer`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "new-peer",
    title: "Service contacts an internal peer that is not in its baseline",
    severity: Severity::Medium,
    techniques: &[
        Technique { name: "Remote Services", v19: "T1021", v18: "T1021" },
        Technique { name: "Lateral Tool Transfer", v19: "T1570", v18: "T1570" },
    ],
    ads: Ads {
        goal: "Detects that a service reaches another service, the host or a private address that is not in its approved baseline, or is reached by one.",
        categorization: "Lateral Movement: an attacker who controls one service looks for the next.",
        strategy: "Each answered contact between services is compared with the traffic part of the approved baseline of the one that asks; where that has none, with that of the one \
             that is asked. A peer is a service by its name and its image's repository, at a port and a protocol; the host; or a private address. Who asks from a private network or from \
             the internet counts as one peer each. Medium; low where the host or a private network asks. One alert per service, which counts up and lists what was new.",
        technical_context: "Containers get other addresses at each start, so services are told apart by who manages them, not by address. A container with another image \
             under a known name is another peer. Failed contacts are none: `port-scan` and `host-scan` count those.",
        blind_spots: &[
            "What an attacker does with a known peer at a known port.",
            "Contacts of which the start was not seen have no direction, and are not compared.",
            "Addresses that no runtime explains are not told apart where they ask.",
            "What an attacker did while it was learned, and raised no alert.",
        ],
        assumptions: &[
            "The baseline was learned for long enough, and approved by somebody who read it.",
            "The runtime tells who owns which address.",
        ],
        false_positives: &[
            "A new service, a deployment, a failover, a debug shell, a new monitoring probe.",
            "Active FTP and RPC, which open ports that nobody named.",
        ],
        true_positives: &["traffic-new"],
        benign_twins: &["traffic-known"],
        priority: "Medium: who talks to whom inside changes with deployments, and rarely otherwise.",
        response: &[
            "The evidence names the peer, the port, and what the baseline holds of it.",
            "Was either of the two deployed? `hopwatch baseline diff`, and the runtime's events.",
            "Find the program: `nsenter -t PID -n ss -tnp`, `docker top NAME`.",
            "If it is expected: record some minutes, `hopwatch baseline diff --read RECORDING`, and approve it by its id.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1021/", "https://attack.mitre.org/techniques/T1570/"],
    },
};
