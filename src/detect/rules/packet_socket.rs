//! `packet-socket`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::detect::debounce::{HoldTime, Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique, placement};
use crate::input::{
    InsideInterface, InventoryEvent, KernelFact, LinkEvent, NamespaceView, NetnsId, ObservationPoint, RecordedFact,
    SnifferKind, SnifferView, Workload, WorkloadId,
};
use crate::inventory::Timeline;
use crate::path::{Evidence, Selector};

/// Sockets that wait for the runtime to report their owner.
const MAX_UNOWNED: usize = 4096;
/// Own taps inside namespaces that are known.
const MAX_TAPS: usize = 32_768;

rule_params! {
    /// Workloads that may read or forge frames: DHCP clients, monitors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// IP protocols for which a raw socket is ordinary: 1 and 58 are ICMP and `ICMPv6`, as `ping` uses them.
    raw_protocols_allowed: Vec<u16> = vec![1, 58],
    /// How long the count of promiscuous listeners may be higher than the listeners that are known.
    settle: HoldTime = HoldTime::secs(1),
}

/// The rule; it remembers own taps, sockets whose owner is not known yet, and where it reported promiscuity.
#[derive(Debug)]
pub struct PacketSocket {
    params: Params,
    /// Own taps inside namespaces.
    taps: BTreeMap<ObservationPoint, LinkEvent>,
    /// Sockets by an owner that the runtime has not reported yet.
    unowned: BTreeMap<WorkloadId, BTreeSet<(NetnsId, u64)>>,
    waiting: usize,
    /// Interfaces in promiscuous mode, by index.
    promiscuous: PendingFindings<NetnsId, u32>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    PacketSocket {
        params: params.clone(),
        taps: BTreeMap::new(),
        unowned: BTreeMap::new(),
        waiting: 0,
        promiscuous: PendingFindings::default(),
        forgotten: 0,
    }
}

impl Rule for PacketSocket {
    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        if let Some(sockets) = self.unowned.remove(&workload.id) {
            self.waiting -= sockets.len();
            let kernel = context.timeline.kernel();
            for sniffer in kernel.sniffers().filter(|sniffer| sockets.contains(&(sniffer.netns, sniffer.inode))) {
                self.accuse(context, sniffer, &workload.id, findings);
            }
        }
        if let Some(netns) = context.timeline.kernel().netns_of(&workload.id) {
            self.check(context, netns, findings);
        }
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Kernel(KernelFact::SnifferOpened(sniffer)) => {
                sniffer.owners.iter().for_each(|owner| self.accuse(context, sniffer, owner, findings));
                self.check(context, sniffer.netns, findings);
            }
            RecordedFact::Kernel(KernelFact::SnifferClosed { netns, .. }) => self.check(context, *netns, findings),
            RecordedFact::Kernel(KernelFact::Namespace(view)) => self.check(context, view.netns, findings),
            RecordedFact::Kernel(KernelFact::NamespaceGone { netns }) => self.promiscuous.forget(netns),
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => {
                self.waiting -= self.unowned.remove(id).map_or(0, |sockets| sockets.len());
            }
            RecordedFact::Link(link) => self.record_tap(context, link, findings),
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for netns in self.promiscuous.ripe(context.now) {
            self.check(context, netns, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl PacketSocket {
    /// Reports a socket, or waits until the runtime reports its owner.
    fn accuse(&mut self, context: Context<'_>, sniffer: &SnifferView, owner: &WorkloadId, findings: &mut Findings) {
        if sniffer.kind == SnifferKind::Raw && self.params.raw_protocols_allowed.contains(&sniffer.protocol) {
            return;
        }
        let workload = context.timeline.workload(owner);
        if workload.is_none() && self.waiting < MAX_UNOWNED {
            let new = self.unowned.entry(owner.clone()).or_default().insert((sniffer.netns, sniffer.inode));
            self.waiting += usize::from(new);
            return;
        }
        if workload.is_some_and(|workload| Selector::any(&self.params.allowed, workload)) {
            return;
        }
        let cause = match sniffer.kind {
            SnifferKind::Packet => "packet socket",
            SnifferKind::Raw => "raw socket",
        };
        let evidence = vec![Evidence::new("kernel", socket_word(context.timeline, sniffer))];
        findings.push(match workload {
            Some(workload) => Finding::of_workload(&META, context.now, workload, cause, evidence),
            // No room to wait for the runtime's word.
            None => Finding::of_nobody(&META, context.now, &format!("{cause} of {owner}"), evidence),
        });
    }

    /// Looks for interfaces in promiscuous mode that no known listener explains.
    fn check(&mut self, context: Context<'_>, netns: NetnsId, findings: &mut Findings) {
        let Context { timeline, now, .. } = context;
        let subject =
            timeline.kernel().namespace(netns).filter(|view| !view.host).zip(placement::owner_of(timeline, netns));
        let Some((view, workload)) = subject.filter(|(_, owner)| !Selector::any(&self.params.allowed, owner)) else {
            self.promiscuous.keep(&netns, |_| false);
            return;
        };
        let odd = |interface: &&InsideInterface| {
            let count = interface.promiscuity;
            count > 0 && count > self.explained(timeline, view, interface)
        };
        let odd: Vec<_> = view.interfaces.iter().filter(odd).collect();
        self.promiscuous.keep(&netns, |index| odd.iter().any(|interface| interface.index == *index));
        for interface in odd {
            match self.promiscuous.observe(&netns, interface.index, now, now.plus(self.params.settle.get())) {
                Next::Report => {
                    let text = format!(
                        "{} in {netns} takes every frame for {} listeners; {} of them are known",
                        interface.name,
                        interface.promiscuity,
                        self.explained(timeline, view, interface)
                    );
                    let evidence = vec![Evidence::new("kernel", text)];
                    findings.push(Finding::of_workload(&META, now, workload, "promiscuous", evidence));
                }
                Next::Schedule(at) => findings.schedule(at),
                Next::Nothing => {}
            }
        }
    }

    /// How many listeners on an interface are known: sockets of workloads (reported on their own), the host's, our own taps, and a bridge inside.
    fn explained(&self, timeline: &Timeline, view: &NamespaceView, interface: &InsideInterface) -> u32 {
        let here = |sniffer: &&Arc<SnifferView>| {
            let on_it = sniffer.interface.as_ref().is_none_or(|name| *name == interface.name);
            sniffer.netns == view.netns && sniffer.kind == SnifferKind::Packet && on_it
        };
        let (own, hosts): (Vec<_>, Vec<_>) =
            timeline.kernel().sniffers().filter(here).partition(|sniffer| !sniffer.owners.is_empty());
        // The kernel's collector leaves our own sockets out, so a tap is not counted twice.
        let outside = hosts.len() + self.taps_on(view, interface);
        let bridged = view.interfaces.iter().any(|other| other.kind == "bridge" && other.index != interface.index);
        u32::try_from(own.len() + outside + usize::from(bridged)).unwrap_or(u32::MAX)
    }

    /// Own taps on an interface inside; one that names neither address nor MAC may be on any.
    fn taps_on(&self, view: &NamespaceView, interface: &InsideInterface) -> usize {
        let is_there = |tap: &&LinkEvent| tap.inside.as_ref().is_some_and(|id| view.workloads.contains(id));
        let is_on = |tap: &&LinkEvent| {
            let bare = tap.mac.is_none() && tap.addresses.is_empty();
            let by_mac = tap.mac.is_some() && tap.mac == interface.mac;
            bare || by_mac || tap.addresses.iter().any(|address| interface.addresses.contains(address))
        };
        self.taps.values().filter(is_there).filter(is_on).count()
    }

    fn record_tap(&mut self, context: Context<'_>, link: &LinkEvent, findings: &mut Findings) {
        let before = self.taps.remove(&link.point);
        if link.up && link.inside.is_some() {
            if self.taps.len() < MAX_TAPS {
                self.taps.insert(link.point.clone(), link.clone());
            } else {
                self.forgotten += 1;
            }
        }
        let inside = link.inside.clone().or_else(|| before.and_then(|before| before.inside));
        if let Some(netns) = inside.and_then(|id| context.timeline.kernel().netns_of(&id)) {
            self.check(context, netns, findings);
        }
    }
}

/// The socket, where it is, and who holds it.
fn socket_word(timeline: &Timeline, sniffer: &SnifferView) -> String {
    let what = match sniffer.kind {
        SnifferKind::Packet => format!("a packet socket for {}", ethertype(sniffer.protocol)),
        SnifferKind::Raw => format!("a raw socket for IP protocol {}", sniffer.protocol),
    };
    let on = sniffer.interface.as_ref().map_or_else(|| "every interface".to_owned(), Clone::clone);
    let place = if timeline.kernel().host() == Some(sniffer.netns) { ", the host's namespace" } else { "" };
    let holder = sniffer.command.as_ref().map(|command| format!(", held by {command}")).unwrap_or_default();
    format!("{what} on {on} in {}{place} (inode {}){holder}", sniffer.netns, sniffer.inode)
}

/// Ethertypes by `linux/if_ether.h`.
fn ethertype(protocol: u16) -> String {
    let name = match protocol {
        0x0003 => "every frame",
        0x0000 => "sending alone",
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x86dd => "IPv6",
        0x888e => "802.1X",
        0x88cc => "LLDP",
        other => return format!("ethertype {other:#06x}"),
    };
    name.to_owned()
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "packet-socket",
    title: "Container reads or forges frames on the wire",
    severity: Severity::High,
    techniques: &[Technique { name: "Network Sniffing", v19: "T1040", v18: "T1040" }],
    ads: Ads {
        goal: "Detects a container that holds a packet socket or a raw socket, and an interface in its namespace in \
             promiscuous mode: the container reads traffic that is not addressed to its own sockets, or forges \
             frames.",
        categorization: "Credential Access and Discovery: captured traffic holds names, tokens and passwords; an \
             attacker who spoofs ARP or addresses needs the same sockets.",
        strategy: "The kernel lists packet and raw sockets of each namespace with their inodes; the process that \
             holds one names the workload. A packet socket fires, and a raw socket unless its IP protocol is in \
             `raw_protocols_allowed`. Where an interface in a workload's namespace counts more promiscuous listeners \
             than there are packet sockets, bridges inside and own taps, and that lasts for `settle`, the workload \
             that owns the namespace is reported.",
        technical_context: "Docker gives containers NET_RAW by default, so tcpdump, nmap or arpspoof run in any of them. On a bridge \
             a container sees broadcast and its own unicast; with ARP spoofing, or in the host's namespace, that of \
             others too. `ip link set eth0 promisc on` sets the mode without any socket. `ping` opens a raw ICMP \
             socket where it may not use the unprivileged kind.",
        blind_spots: &[
            "A socket in a workload's namespace that no workload's process holds is a tool of the host's (an \
             administrator's nsenter and tcpdump, another monitor, or hopwatch itself) and is not reported.",
            "A socket that was opened and closed between two looks is not seen.",
            "Where a process cannot be looked into (/proc hides it), its sockets have no owner.",
            "Programs that capture by other means (XDP, tc, netfilter's NFLOG, eBPF on sockets) open no such socket.",
            "With a bridge inside the container one promiscuous listener on its ports is taken for the bridge.",
            "Once a workload's alert is open, further sockets only count.",
        ],
        assumptions: &["The kernel's collector runs (root, or SYS_ADMIN, NET_ADMIN and SYS_PTRACE)."],
        false_positives: &[
            "DHCP clients, keepalived (VRRP, IP protocol 112), routing daemons, load balancers and monitors: name \
             them under rules.packet-socket.allowed, by digest.",
            "A person who debugs with tcpdump inside a container.",
        ],
        true_positives: &["packet-socket", "packet-socket-crowd"],
        benign_twins: &["packet-socket-allowed"],
        priority: "High: few containers need it, and it is the first step to everything that is read off the wire.",
        response: &[
            "The evidence names command and interface: `nsenter -t PID -n ss -0 -p` and `ss -w -p` show the sockets.",
            "Was it a person? Look for an exec into the container in the runtime's history.",
            "Look for unknown-source alerts of the same time: sniffing and ARP spoofing go together.",
            "If there is no explanation, `docker pause NAME`, keep it as evidence, and take what passed its \
             interface for read.",
            "Take NET_RAW away where it is not needed (`--cap-drop NET_RAW`).",
            "If it is allowed, add it to rules.packet-socket.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1040/",
            "https://man7.org/linux/man-pages/man7/packet.7.html",
            "https://man7.org/linux/man-pages/man7/raw.7.html",
        ],
    },
};
