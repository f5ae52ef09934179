//! `gateway-skipped`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Gateway)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "gateway-skipped",
    title: "Container traffic went around its gateway",
    severity: Severity::High,
    techniques: &[Technique { name: "Network Boundary Bridging", v19: "T1599", v18: "T1599" }],
    ads: Ads {
        goal: "Detects a container that must be routed by a gateway container (a VPN client, a firewall) and hands \
             its frames to another next hop, so that the traffic leaves untunnelled or unfiltered.",
        categorization: "Defense Evasion, by analogy: the technique is about bridging a network boundary on routers and firewalls; \
             here the boundary is a container that routes for others, and it is stepped around by a route, not by \
             breaking it.",
        strategy: "For a flow that a contract sends via a hop of kind `gateway`, the destination MAC of the originator's \
             frames is compared with the MACs of the hop's workloads on that network. It is the hop's: verified \
             (`next_hop`). It is another known one, usually the bridge of the host: bypassed, and this rule fires. The \
             evidence says to whom the frames were given. A hop may accept other kinds of evidence too, and then any \
             of them proves it.",
        technical_context: "A gateway container is the default route of its clients, set by a route inside their \
             namespace (`ip route replace default via …`), by the network's gateway, or by a network plugin. The IP \
             header does not name it: source and destination are the same no matter who routes. What differs is the \
             Ethernet header, and only between the client and its first router. If the VPN container stops and \
             Docker's own gateway is still a route of the client, traffic goes on over the host in clear: the \
             address that the outside sees is the host's.",
        blind_spots: &[
            "Points without Ethernet (`lo`, tun, wireguard, a capture of the `any` device) show no MAC: unobservable \
             (no_observation_point).",
            "Behind the first router the gateway cannot be distinguished from another; capture the bridge or the veth of the \
             client.",
            "A gateway that receives the frames and forwards them outside of its tunnel has been passed; what it does \
             with them is proven only by a second stage (`transit`) at its other side.",
            "A MAC whose owner is unknown may be the gateway's while not all of its MACs are known: unobservable \
             (unattributed_address).",
            "Clients that share the gateway's namespace (`--network container:vpn`) have no next hop between them; \
             name such a gateway as a `sidecar`.",
        ],
        assumptions: &[
            "The bridge or the client's veth is captured, in promiscuous mode.",
            "The runtime reports the gateway's MAC on that network, or the kernel shows its veth.",
            "Gateways that are no workload are the host itself, named by the address that it has on that network.",
        ],
        false_positives: &[
            "Destinations that are meant to be reached without the gateway (the local network, the runtime's \
             resolver): narrow the contract's `to`.",
            "A gateway that was recreated with another name: fix the hop's selector.",
            "Redundant gateways with a virtual MAC (VRRP) that no runtime reports: such a hop cannot be proven by \
             its MAC; accept `transit` with its interfaces instead.",
        ],
        true_positives: &["gateway-skipped"],
        benign_twins: &["gateway-passed"],
        priority: "High when the destination answered or UDP payload was sent: it has left outside of the tunnel or the \
             firewall. Medium for an attempt that was not answered, for instance because a kill switch dropped it.",
        response: &[
            "Read the evidence: to whose MAC were the frames given? The host's bridge means the ordinary way out.",
            "Is the gateway running and has it its old address? `docker ps -a --filter name=GATEWAY`, `docker inspect \
             GATEWAY`.",
            "Read the routes of the client: `nsenter -t PID -n ip route` and `ip -6 route`; a second default route, \
             or a more specific one, is the usual cause.",
            "Who could have changed them? Only a container with NET_ADMIN or somebody on the host: `docker inspect -f \
             '{{.HostConfig.CapAdd}} {{.HostConfig.Privileged}}' NAME`.",
            "If it must not leave in clear, stop it now: `docker network disconnect NET NAME`, or drop it on the host \
             (DOCKER-USER chain) unless it goes to the gateway.",
            "If it is allowed, narrow the contract or write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1599/",
            "https://man7.org/linux/man-pages/man8/ip-route.8.html",
            "https://docs.docker.com/engine/network/packet-filtering-firewalls/",
        ],
    },
};
