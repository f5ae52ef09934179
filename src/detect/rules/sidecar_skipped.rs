//! `sidecar-skipped`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Sidecar)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "sidecar-skipped",
    title: "Application talked past its sidecar",
    severity: Severity::High,
    techniques: &[Technique { name: "Proxy", v19: "T1090", v18: "T1090" }],
    ads: Ads {
        goal: "Detects an application that shares its network namespace with a sidecar proxy and opens a connection \
             to the outside itself, so that the mesh's encryption, policy and log never see it.",
        categorization: "Command and Control: code in the application's container uses a connection of its own instead of the \
             proxy that stands beside it.",
        strategy: "Application and sidecar have one address, so that addresses and MACs cannot tell them apart. For a flow \
             that a contract sends via a hop of kind `sidecar`, the owner of the socket is asked: the kernel's socket \
             table of that namespace, and the cgroup or the process that holds the socket. The sidecar's: verified \
             (`owner`). Another workload's: bypassed, and this rule fires. Connection tracking in that namespace \
             (`redirect`) proves it too, where the hop accepts that.",
        technical_context: "Service meshes steer by iptables or nftables rules inside the pod's namespace (REDIRECT to 15001, \
             TPROXY), which exempt the proxy by its user id. A process with that user id, a process started before the \
             rules, a protocol that the rules leave out (UDP, ICMP, excluded ports and ranges) or NET_ADMIN in the pod \
             goes past. Outside of the pod both look alike: same address, same MAC, same veth.",
        blind_spots: &[
            "A socket that was opened and closed between two scans of the kernel's collector has no known owner: \
             unobservable (unattributed_address); such sockets are counted as missed.",
            "Without the kernel's collector (no root) no owner is known, and nothing is judged.",
            "Raw and packet sockets have no ports and belong to no flow; packet-socket reports them.",
            "A process that runs inside the sidecar's container is the sidecar.",
            "Traffic on the namespace's own loopback between application and sidecar is outside of the contract.",
        ],
        assumptions: &[
            "The kernel's collector runs (root, or NET_ADMIN and SYS_PTRACE).",
            "The sidecar is a workload of its own that a selector can name, in the same pod or joined by `--network \
             container:`.",
            "The pod's veth or bridge is captured.",
        ],
        false_positives: &[
            "Ports and ranges that the mesh leaves out on purpose (metrics, databases, the metadata service): leave \
             them out of the contract too.",
            "Init containers and probes that run before the sidecar: startup-window covers the time before the hop \
             is ready; exempt init containers by selector.",
            "An agent that belongs to the mesh but is a container of its own: add it to the hop's workloads.",
        ],
        true_positives: &["sidecar-skipped"],
        benign_twins: &["sidecar-passed"],
        priority: "High when the destination answered or UDP payload was sent: it left without the mesh's policy. Medium for \
             an attempt that nobody answered.",
        response: &[
            "The evidence names the workload that owns the socket, and the process where it is known.",
            "Find it: `nsenter -t PID -n ss -tanpe` shows the socket with its process and user id; compare with the \
             sidecar's user id.",
            "Look at the steering rules: `nsenter -t PID -n nft list ruleset` (or `iptables-save`): are they there, \
             and whom do they exempt?",
            "If the application runs with the proxy's user id or with NET_ADMIN, take that away.",
            "If there is no explanation, cut the pod off by a network policy and keep it as evidence.",
            "If it is allowed, narrow the contract or write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1090/",
            "https://istio.io/latest/docs/ops/best-practices/security/",
            "https://man7.org/linux/man-pages/man8/ss.8.html",
        ],
    },
};
