//! `unknown-source`.
//!
//! Contract: frames (as flows) and claims of ARP and neighbour discovery ([`neighbour_checks`]) are compared with what the runtime gave out.
//! Design: flows come judged, so they have waited already; claims wait here, and so do frames of an unknown sender ([`held`]).

mod held;
mod neighbour_checks;
mod strangers;

use std::net::IpAddr;
use std::sync::Arc;

use self::held::{Accused, Held, Suspect};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, FrameSender, HoldTime, Rule, RuleMeta, Severity, Technique};
use crate::input::{FlowRecord, LinkShare, Mac, NeighbourClaim, RuntimeNetwork, Workload};
use crate::inventory::{AttributionMethod, AttributionQuery, Doubt, Owner};
use crate::path::{Contract, Evidence, Hop, JudgedFlow};
use crate::time::Timestamp;

rule_params! {
    /// How long to wait for a busy runtime before frames of an unknown sender are reported.
    settle: HoldTime = HoldTime::secs(5),
}

/// The rule; of its own it keeps only what waits.
#[derive(Debug, Default)]
pub struct UnknownSource {
    waiting: neighbour_checks::Waiting,
    held: Held,
    /// Hops of contracts: they send on what is not their own.
    hops: Vec<Arc<Hop>>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    UnknownSource { held: Held::new(params.settle.get()), ..UnknownSource::default() }
}

/// What is wrong with a source.
#[derive(Debug, Default)]
struct Anomaly {
    sender: Option<Arc<Workload>>,
    /// How the sender is known, where no flow says it.
    attribution: Option<Owner>,
    /// Who sent the frame, where no flow says it.
    frame: Option<Box<FrameSender>>,
    cause: String,
    kind: &'static str,
    text: String,
    /// The frames are those of the end that answers.
    of_answers: bool,
    /// A container of which the runtime has not reported anything yet may be the sender, and in its right.
    may_be_late: bool,
}

impl Anomaly {
    fn into_finding(self, at: Timestamp) -> Finding {
        let evidence = vec![Evidence::new(self.kind, self.text)];
        let (workload, attribution, sender) = (self.sender, self.attribution, self.frame);
        Finding { workload, attribution, sender, ..Finding::of_nobody(&META, at, &self.cause, evidence) }
    }
}

impl UnknownSource {
    /// Reports frames among a flow's that another workload sent.
    fn report_strangers<'a>(
        &self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        links: impl Iterator<Item = &'a LinkShare>,
        findings: &mut Findings,
    ) {
        for link in links {
            if let Some(anomaly) = strangers::among(context, &self.hops, record, link) {
                let (flow, destination) = (Some(flow.view.clone()), Some(record.tuple.resp));
                findings.push(Finding { flow, destination, ..anomaly.into_finding(record.end) });
            }
        }
    }

    /// What is wrong with the first packet of a flow.
    fn find(&self, context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
        over_anothers_veth(context, flow)
            .or_else(|| foreign(context, flow))
            .or_else(|| as_host(context, flow))
            .or_else(|| anomaly(context, flow))
            .or_else(|| strangers::from_nobody(context, flow))
            .or_else(|| strangers::at_the_start(context, &self.hops, flow))
    }

    fn report_wrong(&mut self, context: Context<'_>, findings: &mut Findings) {
        while let Some((at, claim, anomaly)) = self.waiting.next_wrong(context) {
            if anomaly.may_be_late && self.held.holds() {
                self.hold(context, (Suspect::Claim(at, claim), anomaly), findings);
            } else {
                findings.push(anomaly.into_finding(at));
            }
        }
    }

    /// Holds a suspect; the oldest leaves where there is no room.
    fn hold(&mut self, context: Context<'_>, accused: Accused, findings: &mut Findings) {
        if self.held.is_full()
            && let Some(oldest) = self.held.next()
        {
            self.report_held(context, oldest, findings);
        }
        if let Some(due) = self.held.hold(context.now, accused) {
            findings.schedule(due);
        }
    }

    /// Reports what was held, if it is still wrong, or if nothing can be said of it now.
    fn report_held(&self, context: Context<'_>, (suspect, first): Accused, findings: &mut Findings) {
        let (point, ip) = suspect.place();
        let can_be_said = context.timeline.is_complete() && context.timeline.network_at(point, ip).is_some();
        let first = (!can_be_said).then_some(first);
        match &suspect {
            Suspect::Flow(flow) => {
                let found = self.find(context, flow).or(first);
                findings.extend(found.map(|found| accuse(flow, found)));
            }
            Suspect::Claim(at, claim) => {
                let found = neighbour_checks::judge(context, claim, *at).or(first);
                findings.extend(found.map(|found| found.into_finding(*at)));
            }
        }
    }
}

/// About the first packet of a flow.
fn accuse(flow: &JudgedFlow, anomaly: Anomaly) -> Finding {
    let record = &flow.view.record;
    Finding {
        attribution: anomaly.attribution.clone().or_else(|| Some(by_mac(flow, anomaly.sender.as_ref()))),
        flow: Some(flow.view.clone()),
        destination: Some(if anomaly.of_answers { record.tuple.orig } else { record.tuple.resp }),
        ..anomaly.into_finding(record.start)
    }
}

impl Rule for UnknownSource {
    fn contracts(&mut self, contracts: &[Contract]) {
        self.hops = contracts.iter().flat_map(Contract::hops).cloned().collect();
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if let Some(found) = self.find(context, flow) {
            if found.may_be_late && self.held.holds() {
                self.hold(context, (Suspect::Flow(Box::new(flow.clone())), found), findings);
            } else {
                self.held.forget(flow);
                findings.push(accuse(flow, found));
            }
        }
        let record = &flow.view.record;
        if !flow.again {
            let others = record.rare.iter().flat_map(|rare| &rare.other_links);
            // `anomaly` looks at the first packet.
            let replies = strangers::first_of(record, !flow.oriented.forward);
            self.report_strangers(context, flow, record, others.chain([&replies]), findings);
        }
    }

    fn on_new_link(&mut self, context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord, findings: &mut Findings) {
        let newest = record.rare.iter().filter_map(|rare| rare.other_links.last());
        self.report_strangers(context, flow, record, newest, findings);
    }

    fn on_claim(&mut self, context: Context<'_>, claim: &NeighbourClaim, findings: &mut Findings) {
        if let Some(due) = self.waiting.receive(context, claim) {
            findings.schedule(due);
            self.report_wrong(context, findings);
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        self.report_wrong(context, findings);
        while let Some(accused) = self.held.next_due(context.now) {
            self.report_held(context, accused, findings);
        }
    }

    fn on_end(&mut self, context: Context<'_>, findings: &mut Findings) {
        while let Some(accused) = self.held.next() {
            self.report_held(context, accused, findings);
        }
    }
}

/// How the sender of a flow's first packet is known: the source, or the owner of the MAC where that is another one.
fn by_mac(flow: &JudgedFlow, sender: Option<&Arc<Workload>>) -> Owner {
    let is_source = |sender: &Workload| flow.source.workload().is_some_and(|source| source.id == sender.id);
    match sender {
        Some(sender) if !flow.oriented.forward || !is_source(sender) => {
            strangers::by_mac(sender, Doubt::BorrowedAddress)
        }
        _ => flow.source.clone(),
    }
}

/// The veth belongs to another workload than the address, or than the MAC. An address from outside the network's range is let pass: a
/// gateway container forwards such frames.
fn over_anothers_veth(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let Owner::Workload { workload: sender, why: Some(Doubt::VethDiffers), .. } = &flow.source else { return None };
    let (record, timeline) = (&flow.view.record, context.timeline);
    let (ip, point, at) = (record.tuple.orig.ip, &record.point, record.start);
    let network = timeline.network_at(point, ip)?;
    if !timeline.is_complete() || !network.subnets.iter().any(|subnet| subnet.contains(ip)) {
        return None;
    }
    let mac = record.orig.mac.map_or_else(|| "an unknown MAC".to_owned(), |mac| mac.to_string());
    let truth = match timeline.attribute(&AttributionQuery { point, ip, socket: None, mac: None, at }) {
        Owner::Workload { workload, .. } if workload.id == sender.id => format!("{mac} is not its own"),
        Owner::Workload { workload, .. } => format!("{ip} belongs to {}", workload.name),
        Owner::Host | Owner::Ambiguous { host: true, .. } => format!("{ip} is the host's"),
        Owner::Ambiguous { .. } | Owner::Unknown | Owner::External => return None,
    };
    let text = format!("frames from {ip} and {mac} came over {point}, the veth of {}; {truth}", sender.name);
    let (sender, cause) = (Some(Arc::clone(sender)), format!("veth {}", flow.view.record.point));
    Some(Anomaly { sender, cause, kind: "veth", text, ..Anomaly::default() })
}

/// The MAC is a workload's and the address is of no network of its: an address of the internet, or the host's.
fn foreign(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let Owner::Workload { workload: sender, how: AttributionMethod::Mac, why, .. } = &flow.source else { return None };
    let (record, timeline) = (&flow.view.record, context.timeline);
    let ip = record.tuple.orig.ip;
    let truth = match why {
        Some(Doubt::ForeignAddress) => "lies in none of its networks",
        Some(Doubt::BorrowedAddress) if timeline.is_host_address(ip) => "is the host's own",
        _ => return None,
    };
    if !timeline.is_complete() || is_link_local(ip) {
        return None;
    }
    let mac = record.orig.mac.map_or_else(String::new, |mac| format!(" ({mac})"));
    let text = format!("{ip} {truth}; the frames came from the MAC of {}{mac}", sender.name);
    // The sender chooses the address, so it is no part of the cause.
    let (sender, cause) = (Some(Arc::clone(sender)), "foreign".to_owned());
    Some(Anomaly { sender, cause, kind: "mac", text, ..Anomaly::default() })
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

/// The address is a workload's and the MAC the host's, of a frame that leads out of the network: the host does not send such frames.
fn as_host(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let (record, timeline) = (&flow.view.record, context.timeline);
    let (ip, point, at) = (record.tuple.orig.ip, &record.point, record.start);
    if flow.source != Owner::Unknown || !timeline.is_complete() {
        return None;
    }
    let mac = record.orig.mac.filter(|mac| timeline.host_mac(point) == Some(*mac))?;
    let query = AttributionQuery { point, ip, socket: None, mac: None, at };
    let Owner::Workload { workload: owner, .. } = timeline.attribute(&query) else { return None };
    let text = format!(
        "{ip} belongs to {}; the frames carry {mac}, the host's MAC at {point}, and lead out of the network: the host does not send such frames",
        owner.name
    );
    Some(Anomaly { cause: format!("as-host {ip}"), kind: "mac", text, ..Anomaly::default() })
}

/// Compares the first packet's source address and MAC with what the runtime gave out.
fn anomaly(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let record = &flow.view.record;
    // The end whose packet came first, whichever end asked: only its MAC is known for certain.
    let (first, side) =
        if flow.oriented.forward { (record.tuple.orig, &record.orig) } else { (record.tuple.resp, &record.resp) };
    let (ip, at) = (first.ip, record.start);
    let mac = side.mac.filter(|mac| !mac.is_multicast())?;
    let query = AttributionQuery { point: &record.point, ip, socket: None, mac: None, at };
    let owner = context.timeline.attribute(&query);
    // Nearly every frame is: that is asked first.
    if is_as_given(&owner, ip, mac) {
        return None;
    }
    let network = context.timeline.network_at(&record.point, ip)?;
    let inside = network.subnets.iter().any(|subnet| subnet.contains(ip)) && !network.gateways.contains(&ip);
    let host = context.timeline.host_mac(&record.point);
    let sender = context.timeline.owner_of_mac(mac, at).cloned();
    // What the host routes in carries the bridge's MAC; while that is not known, only a workload's MAC can be blamed.
    let from_host = host == Some(mac) || (host.is_none() && sender.is_none());
    if !inside || !context.timeline.is_complete() || from_host {
        return None;
    }
    let found = match owner {
        Owner::Unknown => Some(unknown(ip, mac, sender.or_else(|| behind_veth(&flow.source)), &network.name)),
        // Only the kernel shows it there: the workload gave it to itself.
        Owner::Workload { workload, how: AttributionMethod::Namespace, .. } if has_another(&workload, network, ip) => {
            Some(unknown(ip, mac, Some(workload), &network.name))
        }
        Owner::Workload { workload, .. } => spoofed(&workload, ip, mac, sender),
        Owner::Ambiguous { .. } | Owner::Host | Owner::External => None,
    };
    found.map(|found| Anomaly { of_answers: !flow.oriented.forward, ..found })
}

/// Whether a frame carries what the runtime gave out, or nobody can say what it gave to whom.
fn is_as_given(owner: &Owner, ip: IpAddr, mac: Mac) -> bool {
    match owner {
        Owner::Unknown | Owner::Workload { how: AttributionMethod::Namespace, .. } => false,
        Owner::Workload { workload, .. } => given_mac(workload, ip).is_none_or(|given| given == mac),
        Owner::Ambiguous { .. } | Owner::Host | Owner::External => true,
    }
}

/// The MAC that a workload was given with an address, where the runtime tells.
fn given_mac(workload: &Workload, ip: IpAddr) -> Option<Mac> {
    workload.attachments.iter().find(|attachment| attachment.addresses.contains(&ip))?.mac
}

/// Whether the runtime gave the workload an address in this network, and not this one.
fn has_another(workload: &Workload, network: &RuntimeNetwork, ip: IpAddr) -> bool {
    let here = workload.attachments.iter().filter(|attachment| network.holds(attachment));
    let given = here.flat_map(|attachment| &attachment.addresses);
    let (mut any, mut this) = (false, false);
    for address in given {
        any |= address.is_ipv4() == ip.is_ipv4();
        this |= address.to_canonical() == ip.to_canonical();
    }
    any && !this
}

/// The workload that only the veth names.
fn behind_veth(source: &Owner) -> Option<Arc<Workload>> {
    match source {
        Owner::Workload { workload, how: AttributionMethod::Veth, .. } => Some(Arc::clone(workload)),
        _ => None,
    }
}

fn unknown(ip: IpAddr, mac: Mac, sender: Option<Arc<Workload>>, network: &str) -> Anomaly {
    let whose = sender.as_ref().map_or("no known workload".to_owned(), |sender| sender.name.clone());
    Anomaly {
        may_be_late: sender.is_none(),
        sender,
        kind: "mac",
        // A sender that is known chooses the address, and one that is not chooses both: neither is part of the cause.
        cause: format!("unknown {network}"),
        text: format!("{ip} is in network {network}, but no runtime assigned it; frames came from {mac} ({whose})"),
        ..Anomaly::default()
    }
}

fn spoofed(owner: &Workload, ip: IpAddr, mac: Mac, sender: Option<Arc<Workload>>) -> Option<Anomaly> {
    let given = given_mac(owner, ip).filter(|given| *given != mac)?;
    let whose = sender.as_ref().map_or("of no workload".to_owned(), |sender| format!("of {}", sender.name));
    Some(Anomaly {
        may_be_late: sender.is_none(),
        sender,
        kind: "mac",
        cause: format!("spoofed {ip}"),
        text: format!("{ip} belongs to {} with MAC {given}; the frames came from {mac}, {whose}", owner.name),
        ..Anomaly::default()
    })
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unknown-source",
    title: "Frames from a source address that is not the sender's",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Masquerading", v19: "T1036", v18: "T1036" },
        Technique { name: "Adversary-in-the-Middle: ARP Cache Poisoning", v19: "T1557.002", v18: "T1557.002" },
    ],
    ads: Ads {
        goal: "Detects frames on a container network from an address that the runtime assigned to no container, or \
             to another container than the one whose MAC or veth they carry, and ARP or neighbour discovery claims \
             of an address for another owner's MAC.",
        categorization: "Defense Evasion and Credential Access: a borrowed or invented address hides the sender from every tool \
             that attributes by address; a claim for the gateway's or a neighbour's address puts the sender in the \
             middle of their traffic.",
        strategy: "For each new flow whose source lies in the observed network's own range, the owner of the address \
             and the owner of the frame's source MAC at that time are compared. An address without an owner after the \
             attribution grace is unknown; if the owners differ, it is spoofed. On a workload's own veth, address and MAC may \
             both belong to others: the veth names the sender. A frame from outside of the network, or from the host's address, \
             whose MAC is neither a workload's nor the host's came from somebody on the network. Each new claim of ARP or neighbour discovery (this \
             address is at this MAC) is compared in the same way, after 600 ms in which the runtime may report a \
             container that is being started: it is wrong where the address is the host's and the MAC is not, where \
             the address is a workload's and the MAC is not, and where nobody has the address. The alert names the \
             owner of the frame's MAC, or else of the MAC claimed, or else of the veth. Where the sender is not \
             known and the address is not the host's, a busy runtime may still report the container that sent it: the \
             alert waits for `settle` (5 s) and is raised if nothing explains the frame by then.",
        technical_context: "With NET_ADMIN a process adds addresses to its interface, with NET_RAW it forges them and answers ARP \
             for others; a bridge forwards both. The host's own frames, and everything it routes in, carry the \
             bridge's MAC and are normal, as are proxy ARP by the host, gratuitous ARP of the right owner, ARP probes, \
             duplicate address detection, multicast, link-local addresses, DHCP, and a container that comes back \
             with its address and another MAC.",
        blind_spots: &[
            "A container that forges address and MAC together looks like the other container on a bridge; it is \
             reported only where its own veth is an observation point too, and of claims only those sent to the \
             host.",
            "A forged frame that carries a third container's MAC is blamed on that one, unless the veth is observed.",
            "Router advertisements, redirects, DHCP answers and claims inside of tunnels are not compared; of \
             link-local addresses only the host's own.",
            "Addresses from outside the network's range are left alone where the MAC is that of a declared gateway, which forwards such \
             frames; so are TCP connections into the network from a MAC of nobody's, since their handshake shows who asked.",
            "In a flow that already exists, forged frames are known by their MACs: four pairs of a direction, and those \
             of the host or of nobody are left alone. A claim that does not change is looked at once a minute, two \
             MACs that take turns once a second.",
            "More than 4096 addresses claimed at one point: the oldest is forgotten and new when it comes again, \
             counted by the meter.",
            "An alert that waited for `settle` has the counters of its flow's first judgement; a reload that changes `settle` \
             forgets what waits.",
            "While the runtimes' word is not complete (one that answered is silent, or still lists), nothing is accused: \
             the flow is unobservable (unattributed_address), the claim is looked at again a minute later.",
        ],
        assumptions: &[
            "An Ethernet observation point: a bridge or veth.",
            "The runtime reports addresses and MACs of its containers.",
            "Of a network's gateway, the host reports the bridge's MAC.",
        ],
        false_positives: &[
            "Addresses that a container manages itself (keepalived, a VPN server): write an exception.",
            "A second runtime on the same bridge that hopwatch does not read; a bridge with a physical interface among its ports, \
             and a router behind it.",
            "A container that answers ARP for others on purpose (a proxy or a load balancer in layer 2).",
        ],
        true_positives: &["unknown-source", "spoofed-source", "arp-spoof"],
        benign_twins: &["source-normal", "arp-normal"],
        priority: "High: no ordinary container sends from an address that is not its own.",
        response: &[
            "The evidence gives the MAC: whose is it? The alert names the workload where one is known.",
            "Look at that container's interfaces: `nsenter -t PID -n ip addr`, and at its capabilities (NET_ADMIN, \
             NET_RAW).",
            "Look at the neighbours' ARP caches for the address in question.",
            "If there is no explanation, disconnect the sender from the network and keep it as evidence.",
            "If it is allowed (a virtual address), write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1036/",
            "https://attack.mitre.org/techniques/T1557/002/",
            "https://www.rfc-editor.org/rfc/rfc826",
            "https://www.rfc-editor.org/rfc/rfc4861",
            "https://www.rfc-editor.org/rfc/rfc5227",
        ],
    },
};
