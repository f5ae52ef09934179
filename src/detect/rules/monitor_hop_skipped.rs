//! `monitor-hop-skipped`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Monitor)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "monitor-hop-skipped",
    title: "Container traffic was not seen by its monitor",
    severity: Severity::High,
    techniques: &[Technique { name: "Impair Defenses: Disable or Modify Tools", v19: "T1685", v18: "T1562.001" }],
    ads: Ads {
        goal: "Detects a flow that must pass an inline monitor (an IDS, a filtering bridge), or be copied to a \
             mirror, and was seen at its source but not at the monitor.",
        categorization: "Defense Impairment: a network monitor need not be stopped to be blind; it is enough that the traffic \
             takes another way, or that the mirror in front of it is taken off.",
        strategy: "For a flow that a contract sends via a hop of kind `inline` or `mirror`, the same flow, or its translated \
             twin, is waited for at the hop's own observation points. It is seen there within the grace time: verified \
             (`transit`). It is not, those points were watched since before it began, and nothing was lost there in \
             that window: bypassed, and this rule fires. A loss there, or a translation that is not known, makes it \
             unobservable.",
        technical_context: "An inline monitor has two interfaces, and traffic crosses it: a bridge inside a \
             container, or a router with NFQUEUE or AF_PACKET in between. A mirror is a copy made by tc (`action \
             mirred egress mirror`), a switch's SPAN port, or an OVS mirror; nothing breaks when it stops, which \
             makes its absence easy to miss. When whole workloads are missing at once, hop-silent reports the hop in \
             one alert.",
        blind_spots: &[
            "A hop without an observation point of its own (no interface that matches, no host-side interface of its \
             workload) cannot be proven: unobservable (no_observation_point).",
            "Losses in the window make absence worthless: unobservable (capture_loss).",
            "Traffic that is translated on the way and whose binding is not known: unobservable (nat_unknown).",
            "That frames reached the monitor says nothing about what it did with them: a monitor that runs without \
             rules is passed.",
            "A mirror that samples or filters shows a part; name only the destinations that it copies.",
        ],
        assumptions: &[
            "The hop's interfaces are captured, and so is the source's bridge or veth.",
            "Connection tracking is read (root or NET_ADMIN) where traffic is translated before the monitor.",
            "The clocks of all points are one clock: they are captured on one host.",
        ],
        false_positives: &[
            "A monitor with offload or bypass (Suricata's `stream.bypass`, flow offload in nftables): later packets \
             skip it by design, but its first ones do not.",
            "A mirror that was put up after the flow began: it shows later packets only.",
            "Contracts wider than what the monitor is fed: narrow `to` or `from`.",
        ],
        true_positives: &["ids-skipped", "mirror-cut"],
        benign_twins: &["ids-passed", "mirror-fed"],
        priority: "High: what went past the monitor was not inspected. Medium for an attempt that nobody answered.",
        response: &[
            "Is the monitor up, and does it see anything? `hopwatch paths` shows when it was last seen; its own \
             counters show the same from the other side.",
            "A mirror: `tc filter show dev BRIDGE ingress` and `egress` must show `mirred`; the audit log shows who \
             removed it.",
            "An inline hop: which way did the frames take instead? The alert lists the points that saw the flow; \
             `nsenter -t PID -n ip route` shows the route.",
            "Read the destinations and bytes that went unseen, and search for them in flow logs.",
            "Put the monitor back before anything else; then look for what was done in the time between.",
            "If it is allowed, write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/001/",
            "https://man7.org/linux/man-pages/man8/tc-mirred.8.html",
            "https://docs.suricata.io/en/latest/ips/index.html",
        ],
    },
};
