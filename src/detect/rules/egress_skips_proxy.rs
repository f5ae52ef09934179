//! `egress-skips-proxy`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Proxy)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "egress-skips-proxy",
    title: "Container traffic skipped its proxy",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Proxy", v19: "T1090", v18: "T1090" },
        Technique { name: "Exfiltration Over Alternative Protocol", v19: "T1048", v18: "T1048" },
    ],
    ads: Ads {
        goal: "Detects a container that bypasses its proxy and connects to a destination directly, so that the \
             proxy's filtering and logging never see the traffic.",
        categorization: "Command and Control and Exfiltration: an implant that cannot or will not use the configured proxy opens \
             its own connection.",
        strategy: "Every flow of a workload that an egress contract names is judged by its responder. The responder \
             is the hop (by the workload that owned the address at that time, or by a configured address, at the \
             hop's port): verified. The responder lies in the contract's destination set and is not the hop: \
             bypassed, and this rule fires. A TCP attempt that nobody answers is judged after the answer grace and \
             reported one severity lower.",
        technical_context: "Containers learn of a proxy by HTTP_PROXY variables, which any process may ignore or empty. On a bridge \
             network the packet then goes to the gateway's MAC and is masqueraded by the host; only an observation \
             point on the bridge or veth still shows the container's own address. The alert gives the Community ID, \
             which Zeek and Suricata write too.",
        blind_spots: &[
            "Traffic that passes no observation point (macvlan, ipvlan, a bridge that is not captured) is not seen at \
             all; cover it with an interface glob.",
            "Traffic of a container in the host's network namespace carries the host's address; see \
             unexpected-host-network.",
            "A relay that is no declared hop hides the real destination: the flow to the relay is judged, not what \
             the relay does.",
            "A source address that the runtime has not explained within the attribution grace gives the verdict \
             unobservable (unattributed_address), which is counted and not alerted.",
            "A TCP connection whose handshake was before the capture, and whose ports do not show who asked, is \
             unobservable (one_sided).",
        ],
        assumptions: &[
            "The bridge or the host-side veth is captured, in promiscuous mode.",
            "The container runtime's socket can be read, or the contract's selectors name addresses.",
            "Hops that run in the host's network namespace are named by address.",
        ],
        false_positives: &[
            "A destination that legitimately bypasses the proxy (NO_PROXY): narrow the contract's `to`, or write an \
             exception with owner and expiry.",
            "A hop that was replaced by a workload which its selector does not match: fix the selector.",
        ],
        true_positives: &["egress-around-proxy"],
        benign_twins: &["egress-through-proxy"],
        priority: "High when the destination answered or UDP payload was sent: something has left unseen. Medium for an \
             attempt that was not answered, for instance because a firewall stopped it.",
        response: &[
            "Read the destinations and bytes in the alert: what does it talk to, and how much has left?",
            "Find the process: `docker top NAME`, or `nsenter -t PID -n ss -tanp` in its network namespace.",
            "Check whether its proxy variables were emptied: `docker inspect -f '{{.Config.Env}}' NAME`.",
            "If there is no explanation, cut it off and keep it: `docker network disconnect NET NAME` (do not remove \
             the container; its layer is evidence).",
            "If it is allowed, write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1090/",
            "https://attack.mitre.org/techniques/T1048/",
            "https://docs.docker.com/engine/cli/proxy/",
        ],
    },
};
