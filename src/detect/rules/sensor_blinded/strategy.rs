//! The strategy of `sensor-blinded`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

const WHO: &str = "Find out who did it: read the journal, the audit log and the shell history of the host around the time of the alert.";
const INTERFACE: &str = "Interface: run `ip -d link show INTERFACE`. Bring it up again, or find out why the runtime still lists its network.";
const PROGRAM: &str = "Program: run `tc filter show dev INTERFACE ingress` (and egress), `bpftool net` and `bpftool prog show id N` to see it \
             and its loader. If nobody can explain it, keep it as evidence (`bpftool prog dump xlated`), then detach it.";
const RUNTIME: &str =
    "Runtime: run `systemctl status docker` and read its log. Until it answers, new workloads are unknown.";
const LOSSES: &str = "Losses: compare with the traffic. A flood may be meant to hide something: see what was unobservable in that window.";
const TRANSLATION: &str = "Connection tracking: run `conntrack -S` and see whether its table is full (`sysctl net.netfilter.nf_conntrack_max`).";

/// The steps for one kind of cause.
pub(super) fn steps(kind: &str) -> &'static [&'static str] {
    match kind {
        "point" | "promiscuous" => &[WHO, INTERFACE],
        "program" => &[WHO, PROGRAM],
        "runtime" => &[WHO, RUNTIME],
        "loss" => &[LOSSES],
        _ => &[TRANSLATION, LOSSES],
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "sensor-blinded",
    title: "hopwatch sees less than it should",
    severity: Severity::High,
    techniques: &[Technique { name: "Impair Defenses: Disable or Modify Tools", v19: "T1685", v18: "T1562.001" }],
    ads: Ads {
        goal: "Detects that hopwatch itself sees less than it needs: a watched interface disappears or goes down, a \
             bridge leaves promiscuous mode, a program that can hide frames is attached, packets are lost beyond a \
             budget, or a runtime stops reporting.",
        categorization: "Defense Impairment: an attacker who wants traffic to stay unseen need not touch hopwatch \
             itself; it is enough to remove the interfaces and events from which it reads.",
        strategy: "Facts about observation points, losses and runtimes are followed. A point that went away is judged after \
             `settle`: it is still needed when a network still has the bridge, a workload still runs behind the veth or around \
             the interface inside its namespace, or when it carried addresses of the host and never was a network's bridge. A \
             bridge that is no longer promiscuous; an XDP or tc program that was not there before; more losses at one \
             point within `loss_window` than the budget, or any loss between capture and judgement; a runtime that answered and has \
             not for `runtime_grace`; connection tracking that was received and loses events or falls silent, since redirected flows can \
             then not be distinguished from those that went around their hop. One alert per cause.",
        technical_context: "A packet socket sees frames that come in after XDP and before tc ingress, and frames that go out after tc \
             egress. XDP and tc egress can therefore hide frames from it; tc ingress sees them later, but can redirect them past the \
             bridge and every further hop. eBPF-based network plugins (Cilium, Calico) use the same places in good faith. The alert \
             usually names no workload, since the act is the host's: the evidence names point, program, runtime and reason.",
        blind_spots: &[
            "Programs attached by tcx links or netkit (Linux 6.6 and later), and filters inside ordinary egress queues, are not \
             listed by the netlink questions that are asked.",
            "A program that comes and goes between two scans (the kernel reports tc changes at once; XDP attached by \
             a bpf link is looked for every two seconds).",
            "A program that replaces another at the same place is the same place, and is not reported again.",
            "hopwatch itself stopped, paused or replaced: watch its metrics and its service from outside.",
            "A user's rootless runtime that is cut is reported as low only, since it ends with its user's session; \
             while it is silent, rules and verdicts that need the answer of every runtime wait.",
            "A runtime that never answered is not cut but absent; /readyz and hopwatch_runtime_connected say so.",
            "A bridge removed while not every runtime answers is judged only when all answer again. Judgements of flows in a \
             window with losses are `unobservable` where they rest on absence.",
            "Promiscuity and programs are absent where the kernel does not answer; that is said once in the log.",
        ],
        assumptions: &[
            "Runtimes report removed networks and stopped workloads within the settling time.",
            "The host's interfaces that should be watched match capture.interfaces.",
        ],
        false_positives: &[
            "A runtime that is upgraded or restarted for longer than `runtime_grace`.",
            "An interface with addresses of the host that an administrator takes down, or a bridge of a program that hopwatch does \
             not ask (libvirt, a network plugin): leave it out of capture.interfaces, or write an exception.",
            "Network plugins and load balancers that attach programs by design: low at first sight, high when they appear later.",
            "Bursts that are larger than the ring: raise capture.ring_mib.",
        ],
        true_positives: &["bridge-taken-down", "tc-program-before-tap"],
        benign_twins: &["network-removed"],
        priority: "High where traffic disappears while its workloads go on (point of a network or workload gone, \
             promiscuity lost, program placed, root's runtime cut); medium for uplinks, taps inside namespaces and \
             losses; low for a program that was there before hopwatch started, and for a rootless runtime of a user \
             (named with its uid, `podman-1000`), which goes away when its user logs out.",
        response: &[WHO, INTERFACE, PROGRAM, RUNTIME, LOSSES, TRANSLATION],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/001/",
            "https://man7.org/linux/man-pages/man8/tc-bpf.8.html",
            "https://man7.org/linux/man-pages/man7/packet.7.html",
            "https://docs.kernel.org/networking/af_xdp.html",
        ],
    },
};
