//! `published-port-direct`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::inventory::Owner;
use crate::path::{Evidence, JudgedFlow, Skip};

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Ingress).also(sender)
}

/// Who came in beside the ingress.
fn sender(flow: &JudgedFlow) -> Evidence {
    let from = flow.oriented.tuple.orig.ip;
    let who = match &flow.source {
        Owner::Workload { workload, .. } => format!("workload {} ({from})", workload.name),
        Owner::Ambiguous { .. } => format!("{from}, which several could own"),
        Owner::Host => format!("the host itself, or through it ({from})"),
        Owner::Unknown => format!("{from}, inside a container network, whose owner is unknown"),
        Owner::External => format!("{from}, outside of this host"),
    };
    Evidence::new("sender", format!("the first to come in beside the ingress was {who}"))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "published-port-direct",
    title: "A published port was reached without its ingress",
    severity: Severity::High,
    techniques: &[Technique { name: "External Remote Services", v19: "T1133", v18: "T1133" }],
    ads: Ads {
        goal: "Detects direct connections to a workload that must be reached through an ingress (a reverse proxy, a \
             load balancer, a WAF), so that the ingress checks and logs nothing.",
        categorization: "Persistence and Initial Access: a service that is reachable from outside beside its guarded entrance is a \
             door of its own.",
        strategy: "For a flow that comes in to a workload under an ingress contract, the originator is judged: the \
             contract's ingress hop (by the workload that owned the address at that time, by a configured address, or \
             by what connection tracking says of a published port): verified. Somebody else from the contract's \
             origins: bypassed, and this rule fires. The alert is about the workload that was reached; its evidence \
             names the first one who came in.",
        technical_context: "`docker run -p 8080:80` opens the port on every address of the host, ahead of the host's \
             own firewall rules: the DNAT happens before INPUT, so that ufw or firewalld rules for the port do not \
             apply. Others on the same bridge reach the container's own address without any publishing. A published \
             port that is reached through the userland proxy shows the host as the originator; connection tracking \
             gives the client where DNAT is used.",
        blind_spots: &[
            "With the userland proxy the client's address ends at the host: the flow to the container comes from the \
             host, and the one before it is to the host.",
            "A translation that is not known makes it unobservable (nat_unknown).",
            "Requests that pass the ingress and exploit it are outside of this rule.",
            "Clients on the host's loopback are seen only where `lo` is captured.",
            "Who came in after the first is counted, not listed; the flow log has them all.",
        ],
        assumptions: &[
            "The uplink, or the bridge of the workload, is captured.",
            "Connection tracking is read (root or NET_ADMIN) where ports are published by DNAT.",
            "The ingress is a workload that a selector names, or has addresses that are configured.",
        ],
        false_positives: &[
            "Health checks, metrics scrapers and administrators that come directly by design: leave them out of the \
             contract's origins, or its ports.",
            "A second ingress (blue and green): name it as an alternative.",
            "Background noise of the internet on a port that was meant to be public: write no ingress contract for it.",
        ],
        true_positives: &["published-port-direct"],
        benign_twins: &["published-port-ingress"],
        priority: "High when the workload answered: the door is open. Medium for an attempt that was not answered, for \
             instance because a firewall stopped it.",
        response: &[
            "Who came in (evidence `sender`), to which port, and did the workload answer?",
            "Why is the port open? `docker port NAME`, `docker inspect -f '{{json .HostConfig.PortBindings}}' NAME`; a \
             binding without an address is open on all of them.",
            "Close it: publish on 127.0.0.1 only, or drop the publishing and let the ingress reach the workload over \
             their common network.",
            "Filter until then in the DOCKER-USER chain; rules in INPUT do not apply to published ports.",
            "Search the workload's own log for requests that the ingress does not know.",
            "If it is allowed, narrow the contract or write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1133/",
            "https://docs.docker.com/engine/network/packet-filtering-firewalls/",
            "https://docs.docker.com/engine/network/port-publishing/",
        ],
    },
};
