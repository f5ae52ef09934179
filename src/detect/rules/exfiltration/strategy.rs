//! The strategy of `exfiltration`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "exfiltration",
    title: "Much more sent to an outside peer than received",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Exfiltration Over C2 Channel", v19: "T1041", v18: "T1041" },
        Technique { name: "Exfiltration Over Alternative Protocol", v19: "T1048", v18: "T1048" },
        Technique { name: "Exfiltration Over Web Service", v19: "T1567", v18: "T1567" },
    ],
    ads: Ads {
        goal: "Detects a service or an address that sends far more payload to one outside peer than it receives from there.",
        categorization: "Exfiltration: data leaves in bulk.",
        strategy: "For each actor and outside address the payload that the actor sent and received is summed over the last half to whole hour, no matter which end opened the connection. \
             Where an approved baseline knows the service's hours, three times what 99 of 100 of them have, for each container, and 10 MB at least; else 100 MB sent, and ten times what came back. \
             It is low; medium if the peer has no name although other peers have, or if the protocol is not known.",
        technical_context: "Acknowledgements and headers do not count. A service that answers the internet sends more than it receives too, to many peers: the floor is for \
             one peer. Ratios alone say nothing: printing, telemetry, mail and streams reach 1,000.",
        blind_spots: &[
            "Less than the floor, also where it is reached slowly over days.",
            "Data that leaves through an allowed peer, in questions to a resolver, or in pings.",
            "Many peers that receive a part each.",
            "Of one actor 256 outside addresses are followed.",
        ],
        assumptions: &[
            "Both directions are seen, and flows are reported while they go on.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "Backups, image pushes, mirrors, log and metric shipping, replication.",
            "Mail with attachments, uploads by people, video calls; downloads from a server of yours by one client.",
        ],
        true_positives: &["exfiltration"],
        benign_twins: &["exfiltration-twin"],
        priority: "Low: bulk uploads are common. Medium without a name or with an unknown protocol.",
        response: &[
            "The evidence gives the peer and the bytes each way.",
            "Is the peer the service's usual storage? When did it begin?",
            "Find the program: `nsenter -t PID -n ss -tnp`, `docker top NAME`.",
            "If it is expected, accept its amounts (`hopwatch baseline diff`, `approve`), name the service under rules.exfiltration.allowed, or raise the floor.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1041/",
            "https://attack.mitre.org/techniques/T1048/",
            "https://attack.mitre.org/techniques/T1567/",
        ],
    },
};
