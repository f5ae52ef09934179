//! `foreign-interface`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::debounce::{HoldTime, Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique, placement};
use crate::input::{
    Attachment, InsideInterface, KernelFact, NamespaceView, NetnsId, NetworkMode, RecordedFact, Workload,
};
use crate::inventory::Timeline;
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

/// Namespaces whose first interfaces are remembered: as many as the kernel's state holds.
const MAX_NAMESPACES: usize = 32_768;
/// First interfaces remembered of one namespace.
const MAX_FIRST: usize = 64;

rule_params! {
    /// Workloads that may make interfaces: VPN servers and clients, containers that run containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Kinds of interface that are expected everywhere: `dummy`, `wireguard` … as `ip -d link` calls them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_kinds: Vec<String> = Vec::new(),
    /// How long the runtime may take to report an interface that it made.
    settle: HoldTime = HoldTime::secs(1),
}

/// The rule; it remembers which interfaces a namespace began with, and what it suspects.
#[derive(Debug)]
pub struct ForeignInterface {
    params: Params,
    first: BTreeMap<NetnsId, First>,
    pending: PendingFindings<NetnsId, (u32, String)>,
    forgotten: u64,
}

/// The interfaces of a namespace while its workload started, by index.
#[derive(Debug)]
struct First {
    seen: Timestamp,
    indexes: BTreeSet<u32>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    ForeignInterface {
        params: params.clone(),
        first: BTreeMap::new(),
        pending: PendingFindings::default(),
        forgotten: 0,
    }
}

impl Rule for ForeignInterface {
    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        if let Some(netns) = context.timeline.kernel().netns_of(&workload.id) {
            self.check(context, netns, findings);
        }
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Kernel(KernelFact::Namespace(view)) => {
                self.record_first(context.now, view);
                self.check(context, view.netns, findings);
            }
            RecordedFact::Kernel(KernelFact::NamespaceGone { netns }) => {
                self.first.remove(netns);
                self.pending.forget(netns);
            }
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for netns in self.pending.ripe(context.now) {
            self.check(context, netns, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl ForeignInterface {
    fn record_first(&mut self, now: Timestamp, view: &NamespaceView) {
        let room = self.first.len() < MAX_NAMESPACES || self.first.contains_key(&view.netns);
        if view.host || view.workloads.is_empty() {
            return;
        }
        if !room {
            self.forgotten += 1;
            return;
        }
        let first = self.first.entry(view.netns).or_insert_with(|| First { seen: now, indexes: BTreeSet::new() });
        if now <= first.seen.plus(self.params.settle.get()) {
            let room = MAX_FIRST.saturating_sub(first.indexes.len());
            first.indexes.extend(view.interfaces.iter().map(|interface| interface.index).take(room));
        }
    }

    fn check(&mut self, context: Context<'_>, netns: NetnsId, findings: &mut Findings) {
        let Context { timeline, now, .. } = context;
        let subject =
            timeline.kernel().namespace(netns).filter(|view| !view.host).zip(placement::owner_of(timeline, netns));
        let Some((view, owner)) = subject.filter(|(view, _)| !self.is_allowed(timeline, view)) else {
            self.pending.keep(&netns, |_| false);
            return;
        };
        let foreign = self.foreign(timeline, view);
        self.pending.keep(&netns, |(index, kind)| {
            foreign.iter().any(|interface| interface.index == *index && interface.kind == *kind)
        });
        for interface in foreign {
            let until = if is_made_by_runtimes(interface) { now.plus(self.params.settle.get()) } else { now };
            let cause = (interface.index, interface.kind.clone());
            match self.pending.observe(&netns, cause, now, until) {
                Next::Report => findings.push(finding(context, view, owner, interface)),
                Next::Schedule(at) => findings.schedule(at),
                Next::Nothing => {}
            }
        }
    }

    /// Whether a selector matches one of the workloads that are in it, or it is a rootless daemon's own.
    fn is_allowed(&self, timeline: &Timeline, view: &NamespaceView) -> bool {
        let mut inside = view.workloads.iter().filter_map(|id| placement::running(timeline, id));
        inside.any(|workload| Selector::any(&self.params.allowed, workload) || is_in_daemons_network(workload))
    }

    /// The interfaces that nothing explains, in order of index.
    fn foreign<'a>(&self, timeline: &Timeline, view: &'a NamespaceView) -> Vec<&'a InsideInterface> {
        let mut runtime = Explained::of(timeline, view);
        let first = self.first.get(&view.netns).map(|first| &first.indexes);
        let odd: Vec<_> = view
            .interfaces
            .iter()
            .filter(|interface| !is_kernels_own(interface) && !self.params.allowed_kinds.contains(&interface.kind))
            .filter(|interface| !runtime.names(interface))
            .collect();
        let unexplained = |interface: &&InsideInterface| {
            let began_with = first.is_some_and(|first| first.contains(&interface.index));
            !runtime.may_have_made(interface, began_with)
        };
        odd.into_iter().filter(unexplained).collect()
    }
}

/// The networks of a namespace, as the runtime reports them.
struct Explained<'a> {
    timeline: &'a Timeline,
    /// Attachments that no interface was found for yet.
    open: Vec<&'a Attachment>,
    /// Tunnel devices that a rootless stack still may have made.
    rootless: usize,
    /// The runtime reports no networks of it, or not all (containerd, CRI): what was there at the start is taken for its own.
    silent: bool,
    overlay: bool,
}

impl<'a> Explained<'a> {
    fn of(timeline: &'a Timeline, view: &NamespaceView) -> Self {
        let inside: Vec<_> = view.workloads.iter().filter_map(|id| placement::running(timeline, id)).collect();
        let has_network =
            |workload: &&&Arc<Workload>| !matches!(workload.network_mode, NetworkMode::None | NetworkMode::Host);
        let attachments = inside.iter().filter(has_network).flat_map(|workload| &workload.attachments);
        let open: Vec<_> = attachments.collect();
        // `bridge` and `rootlesskit` make their device in the daemon's namespace, not in the container's.
        let makes_device = |workload: &&&Arc<Workload>| matches!(&workload.network_mode, NetworkMode::Rootless(stack) if ["slirp4netns", "pasta"].contains(&stack.as_str()));
        let has_own =
            |workload: &Arc<Workload>| matches!(workload.network_mode, NetworkMode::Own | NetworkMode::Rootless(_));
        let is_overlay = |attachment: &&Attachment| {
            let network = timeline.network(&attachment.network_id, &attachment.network);
            network.is_some_and(|network| network.driver == "overlay")
        };
        Self {
            timeline,
            rootless: inside.iter().filter(makes_device).count().min(1),
            silent: inside
                .iter()
                .any(|workload| has_own(workload) && (open.is_empty() || reports_one_network(workload))),
            overlay: open.iter().any(is_overlay),
            open,
        }
    }

    /// Whether an attachment names this very interface, by its host side, MAC or address.
    fn names(&mut self, interface: &InsideInterface) -> bool {
        if !is_made_by_runtimes(interface) {
            return false;
        }
        let is_it = |attachment: &&Attachment| {
            let by_peer = attachment.host_interface.is_some() && attachment.host_interface == interface.host_interface;
            let by_mac = attachment.mac.is_some() && attachment.mac == interface.mac;
            by_peer || by_mac || attachment.addresses.iter().any(|address| interface.addresses.contains(address))
        };
        let found = self.open.iter().position(is_it);
        found.map(|at| self.open.swap_remove(at)).is_some() || (self.overlay && self.is_swarms_gateway(interface))
    }

    /// Whether it is one of as many as there are attachments, the stack's own, or there from the start where nothing more is reported.
    fn may_have_made(&mut self, interface: &InsideInterface, began_with: bool) -> bool {
        if interface.kind == "tun" && self.rootless > 0 {
            self.rootless -= 1;
            return true;
        }
        is_made_by_runtimes(interface) && (self.open.pop().is_some() || (self.silent && began_with))
    }

    /// Docker gives a workload on an overlay network one more interface, for the way out, and does not list it.
    fn is_swarms_gateway(&self, interface: &InsideInterface) -> bool {
        let Some(network) = self.timeline.network("", "docker_gwbridge") else { return false };
        let is_inside = |address: &IpAddr| network.subnets.iter().any(|subnet| subnet.contains(*address));
        interface.kind == "veth" && interface.addresses.iter().any(is_inside)
    }
}

/// containerd and CRI report a pod's addresses, and so one network at most, however many interfaces its plugins (Multus, SR-IOV) made.
fn reports_one_network(workload: &Workload) -> bool {
    !workload.runtime.kind().reports_all_networks()
}

/// A container in the host's network as a rootless Docker sees it: the namespace, bridges and all, is the daemon's.
fn is_in_daemons_network(workload: &Workload) -> bool {
    let rootlesskit = matches!(&workload.network_mode, NetworkMode::Rootless(stack) if stack == "rootlesskit");
    rootlesskit && workload.attachments.is_empty()
}

/// `lo`, and the devices that modules of tunnels make in every namespace (`Documentation/admin-guide/sysctl/net.rst`, `fb_tunnels_only_for_init_net`).
fn is_kernels_own(interface: &InsideInterface) -> bool {
    const FALLBACK: [&str; 9] =
        ["tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"];
    let name = interface.name.as_str();
    (name == "lo" && interface.kind.is_empty())
        || (FALLBACK.contains(&name) && !interface.up && interface.addresses.is_empty())
}

/// Kinds that runtimes and their plugins give to containers; a physical one has no kind.
fn is_made_by_runtimes(interface: &InsideInterface) -> bool {
    matches!(interface.kind.as_str(), "" | "veth" | "macvlan" | "ipvlan" | "macvtap" | "ipvtap" | "netkit" | "vlan")
}

/// Kinds that carry other traffic inside their own.
fn is_tunnel(kind: &str) -> bool {
    let exact =
        ["tun", "tap", "wireguard", "vxlan", "geneve", "sit", "ipip", "ip6tnl", "l2tp", "gtp", "bareudp", "amt"];
    exact.contains(&kind)
        || ["gre", "ip6gre", "erspan", "ip6erspan", "vti", "xfrm", "fou", "ovpn"]
            .iter()
            .any(|start| kind.starts_with(start))
}

fn finding(context: Context<'_>, view: &NamespaceView, owner: &Arc<Workload>, interface: &InsideInterface) -> Finding {
    let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
    let addresses = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
    let kind = if interface.kind.is_empty() { "physical" } else { &interface.kind };
    let state = if interface.up { "up" } else { "down" };
    let other = interface.host_interface.as_ref().map(|name| format!("; its other end on the host is {name}"));
    let text = format!(
        "interface {} of kind {kind} in {}, {state}, {addresses}{}",
        interface.name,
        view.netns,
        other.unwrap_or_default()
    );
    let mut evidence = vec![Evidence::new("kernel", text), runtime_word(owner)];
    let others = view.workloads.iter().filter(|id| **id != owner.id);
    let others: Vec<_> =
        others.filter_map(|id| placement::running(context.timeline, id)).map(|w| w.name.as_str()).collect();
    if !others.is_empty() {
        evidence.push(Evidence::new("kernel", format!("in the same namespace: {}", others.join(", "))));
    }
    let severity = if is_tunnel(&interface.kind) { META.severity } else { Severity::Medium };
    Finding { severity, stands: true, ..Finding::of_workload(&META, context.now, owner, kind, evidence) }
}

fn runtime_word(owner: &Workload) -> crate::path::Evidence {
    let networks: Vec<_> = owner.attachments.iter().map(|attachment| attachment.network.as_str()).collect();
    let text = if networks.is_empty() {
        format!("{} reports no network of {}", owner.runtime, owner.name)
    } else {
        format!("{} attached {} to {}", owner.runtime, owner.name, networks.join(", "))
    };
    Evidence::new("runtime", text)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "foreign-interface",
    title: "Interface inside a container that no runtime made",
    severity: Severity::High,
    techniques: &[Technique { name: "Protocol Tunneling", v19: "T1572", v18: "T1572" }],
    ads: Ads {
        goal: "Detects an interface inside a container's network namespace that its runtime did not create: a tunnel \
             device, or a second way out, whose traffic contracts and monitors do not recognise.",
        categorization: "Command and Control: a tunnel (tun, WireGuard, GRE, VXLAN …) carries other traffic inside one harmless \
             looking flow.",
        strategy: "The kernel lists the interfaces of each workload's namespace with the kind that the \
             driver gives. A kind that no runtime gives to a container (tun, wireguard, gre, ipip, sit, vxlan, geneve, \
             bridge, dummy, bond …) fires at first sight. A veth, macvlan, ipvlan or physical one fires when it \
             still is not explained after `settle`: no attachment of the runtime names its host side, MAC or \
             address, and there are more of them than attachments. Where the runtime tells no networks, or only a \
             pod's first one (containerd, CRI), those that were there within `settle` of the first scan count as its \
             own. One alert per workload and kind.",
        technical_context: "With NET_ADMIN (and /dev/net/tun for tun devices) a process makes interfaces with ip(8); a VPN client \
             does so too. From outside, its traffic is one UDP flow to one peer. `lo` is in every namespace; so are \
             tunl0, gre0, sit0 and their kin once the kernel's module is loaded, but down and without an address. A \
             rootless stack (slirp4netns, pasta) makes one tun device itself.",
        blind_spots: &[
            "Tunnels that need no interface (SSH, a userspace WireGuard with its own stack, a SOCKS relay) are not seen \
             here.",
            "An interface that comes and goes between two looks is not seen.",
            "For containerd and CRI an interface that was there at the first look counts as the runtime's.",
            "Interfaces in the namespace of a rootless Docker daemon, which its containers with `--network host` share, \
             are the daemon's and are not judged.",
            "Interfaces in namespaces that a container makes for itself are not listed; the pair that leads there is.",
            "As many veths as there are attachments are normal: one that replaces the runtime's own while that one is \
             gone is not noticed.",
        ],
        assumptions: &[
            "The kernel's collector may enter the namespaces of workloads (SYS_ADMIN).",
            "Runtimes other than containerd and CRI report the networks of their workloads.",
        ],
        false_positives: &[
            "VPN containers, containers that run containers, routers in containers: name them under \
             rules.foreign-interface.allowed, or the kind under `allowed_kinds`.",
            "A network plugin that puts its own devices into containers.",
        ],
        true_positives: &["tun-inside"],
        benign_twins: &["tun-allowed"],
        priority: "High for a tunnel: what passes in it is hidden from every contract. Medium for other kinds.",
        response: &[
            "The evidence gives kind, name and addresses: `nsenter -t PID -n ip -d link show` shows its peer.",
            "Find who made it: processes with /dev/net/tun open (`ls -l /proc/PID/fd`), execs into the container.",
            "Where does it lead? Look at the routes inside and at the container's flows to one steady UDP peer.",
            "If there is no explanation, `docker network disconnect NET NAME`, and keep the container as evidence.",
            "Take NET_ADMIN and /dev/net/tun away where they are not needed.",
            "If it is allowed, add it to rules.foreign-interface.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1572/",
            "https://man7.org/linux/man-pages/man8/ip-link.8.html",
            "https://docs.kernel.org/networking/tuntap.html",
        ],
    },
};
