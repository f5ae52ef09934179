//! `second-network-egress`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Network)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "second-network-egress",
    title: "Container traffic left over a network its contract does not allow",
    severity: Severity::High,
    techniques: &[Technique { name: "Network Boundary Bridging", v19: "T1599", v18: "T1599" }],
    ads: Ads {
        goal: "Detects a workload that sends traffic over a second network which its path contract does not name: \
             one that was attached at run time, or a macvlan or ipvlan interface with direct access to the wire.",
        categorization: "Defense Evasion: the boundary around one network is bridged by a container with a foot in two.",
        strategy: "A flow that a contract covers was bypassed, and it was seen leaving over a network other than \
             those that the contract names, or that its hop is attached to where it names none. The network is known \
             by the observation point and the source address. Then this rule fires instead of the rule for the kind \
             of hop.",
        technical_context: "`docker network connect NET NAME` works on a running container and needs no restart; \
             anyone with access to the runtime's socket can do it, and so can a container that has the socket \
             mounted. Which network has the default route depends on the attachment's gateway priority, and without \
             one on the order of names, so that a new network can take it over. macvlan and ipvlan give an address \
             of the outer network and pass neither bridge nor the host's filter.",
        blind_spots: &[
            "A macvlan, ipvlan or SR-IOV interface is seen only where its parent or the inside of the namespace is \
             captured; unmonitored-driver reports the others.",
            "An interface that no runtime made belongs to no network; foreign-interface reports it.",
            "Two networks on one bridge with the same range cannot be distinguished.",
            "Traffic to others inside the second network is reported only if the contract's `to` holds its \
             addresses.",
        ],
        assumptions: &[
            "The runtime reports attachments when they change (Docker and Podman do; CRI reports a pod's addresses \
             alone).",
            "The second network's bridge, parent interface or the namespace's inside is captured.",
        ],
        false_positives: &[
            "A workload that is meant to have two ways out: name both under the contract's `networks`.",
            "A network that was renamed or recreated: fix the contract.",
        ],
        true_positives: &["second-network"],
        benign_twins: &["second-network-allowed"],
        priority: "High when the destination answered or UDP payload was sent: the traffic left beside everything that \
             stands around the first network. Medium for an attempt.",
        response: &[
            "Which network is it, since when is the container attached, and who did it? `docker events --since 1h \
             --until 0s --filter type=network`, `docker inspect -f '{{json .NetworkSettings.Networks}}' NAME`.",
            "Who can talk to the runtime? Look for mounted sockets: `docker ps -q | xargs docker inspect -f '{{.Name}} \
             {{.HostConfig.Binds}}' | grep docker.sock`.",
            "Take it off: `docker network disconnect NET NAME`.",
            "Look at what left over it, and whether the container forwards for others (`nsenter -t PID -n sysctl \
             net.ipv4.ip_forward`).",
            "If it is allowed, add the network to the contract, or write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1599/",
            "https://docs.docker.com/reference/cli/docker/network/connect/",
            "https://docs.docker.com/engine/network/drivers/macvlan/",
        ],
    },
};
