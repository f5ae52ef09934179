//! The strategy of `flood`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "flood",
    title: "Far more packets a second than are answered",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Direct Network Flood", v19: "T1498.001", v18: "T1498.001" },
        Technique { name: "Reflection Amplification", v19: "T1498.002", v18: "T1498.002" },
        Technique { name: "Service Exhaustion Flood", v19: "T1499.002", v18: "T1499.002" },
    ],
    ads: Ads {
        goal: "Detects floods that a service or an address sends or receives: SYN, UDP, ICMP, DHCP, fragments, TCP segments of no connection, and made-up MACs.",
        categorization: "Impact: a service, a link or a switch's table is exhausted.",
        strategy: "What each address sends and receives is counted by kind and second of event time; what a flow adds over a longer time is spread over its seconds, and less than a second \
             counts as one. Floors: 500 connections tried, four of five without an answer; 5,000 datagrams or 1,000 fragments, less than a twentieth answered; 1,000 ICMP messages; 50 to \
             a DHCP server; 1,000 segments of no connection; 64 new source MACs within ten seconds that send one frame and get no answer. Where one source makes more than half of it, the \
             alert is about that source, else about the target. Sent by what is yours: medium; datagrams, and what is received: low. One alert per kind and end, updated at tenfold amounts.",
        technical_context: "An established connection is never a flood, however fast. A flood is seen as the meter reports it: connections when their wait for an answer is over, other flows once an update interval and at their end. \
             A flood that the sensor itself cannot follow is counted as a loss of its source.",
        blind_spots: &[
            "Less than the floors; floods of requests inside established connections (HTTP).",
            "Amplification of which only the answers are seen: those are datagrams without an answer, from many sources.",
            "Many sources to many targets: each pair stays below the floor.",
            "Addresses of more than 16,384 ends at once: the first are forgotten.",
        ],
        assumptions: &[
            "Both directions are seen: of a one-sided capture everything is unanswered.",
            "The meter reports flows while they go on.",
        ],
        false_positives: &[
            "Load tests, clients that connect again after an outage, flood pings by administrators.",
            "Streams over UDP with no way back, captures of one direction.",
        ],
        true_positives: &["flood"],
        benign_twins: &["flood-twin"],
        priority: "Low: what floods a public service is weather. Medium where one of yours sends it.",
        response: &[
            "The evidence gives the rate, the share without an answer, and the ends.",
            "If it is sent: find the program, `nsenter -t PID -n ss -anp`, `docker top NAME`, and pause the container.",
            "If it is received: is the service still answered? Limit it before the host (firewall, provider).",
            "If it is expected, name the service under rules.flood.allowed, or raise the floor of this kind.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1498/001/",
            "https://attack.mitre.org/techniques/T1499/002/",
            "https://www.rfc-editor.org/rfc/rfc4987",
        ],
    },
};
