//! `unknown-source`.

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::input::{Mac, Workload};
use crate::inventory::{Owner, Sighting};
use crate::path::{Evidence, JudgedFlow};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Whether the rule speaks.
    pub enabled: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The rule; it keeps no state.
#[derive(Debug)]
pub struct UnknownSource;

/// The rule with its parameters.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    UnknownSource
}

/// What is wrong with a source.
struct Anomaly {
    sender: Option<Arc<Workload>>,
    cause: String,
    text: String,
}

impl Rule for UnknownSource {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let Some(anomaly) = anomaly(context, flow) else { return };
        findings.push(Finding {
            rule: &META,
            at: flow.view.record.start,
            severity: META.severity,
            workload: anomaly.sender,
            attribution: Some(flow.source.clone()),
            flow: Some(flow.view.clone()),
            destination: Some(flow.view.record.tuple.resp),
            contract: None,
            verdict: None,
            missing_hop: None,
            evidence: vec![Evidence { kind: "mac".to_owned(), text: anomaly.text }],
            cause: anomaly.cause,
        });
    }
}

/// Compares the first packet's source address and MAC with what the runtime gave out.
fn anomaly(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let record = &flow.view.record;
    // The end whose packet came first, whichever end asked: only its MAC is known for certain.
    let (first, side) =
        if flow.oriented.forward { (record.tuple.orig, &record.orig) } else { (record.tuple.resp, &record.resp) };
    let (ip, at) = (first.ip, record.start);
    let mac = side.mac.filter(|mac| !mac.is_multicast())?;
    let network = context.timeline.network_at(&record.point, ip)?;
    let inside = network.subnets.iter().any(|subnet| subnet.contains(ip)) && !network.gateways.contains(&ip);
    let host = context.timeline.host_mac(&record.point);
    let sender = context.timeline.owner_of_mac(mac, at).cloned();
    // What the host routes in carries the bridge's MAC; while that is not known, only a workload's MAC can be blamed.
    let from_host = host == Some(mac) || (host.is_none() && sender.is_none());
    if !inside || !context.timeline.is_complete() || from_host {
        return None;
    }
    match context.timeline.attribute(&Sighting { point: &record.point, ip, socket: None, mac: None, at }) {
        Owner::Unknown => Some(unknown(ip, mac, sender, &network.name)),
        Owner::Workload { workload, .. } => spoofed(&workload, ip, mac, sender),
        Owner::Ambiguous { .. } | Owner::Host | Owner::External => None,
    }
}

fn unknown(ip: IpAddr, mac: Mac, sender: Option<Arc<Workload>>, network: &str) -> Anomaly {
    let whose = sender.as_ref().map_or("of no workload".to_owned(), |sender| format!("of {}", sender.name));
    Anomaly {
        sender,
        cause: format!("unknown {ip} {mac}"),
        text: format!("{ip} lies in network {network}, no runtime gave it to anybody; the frames came from {mac}, {whose}"),
    }
}

fn spoofed(owner: &Workload, ip: IpAddr, mac: Mac, sender: Option<Arc<Workload>>) -> Option<Anomaly> {
    let given = owner.attachments.iter().find(|attachment| attachment.addresses.contains(&ip))?.mac?;
    if given == mac {
        return None;
    }
    let whose = sender.as_ref().map_or("of no workload".to_owned(), |sender| format!("of {}", sender.name));
    Some(Anomaly {
        sender,
        cause: format!("spoofed {ip} {mac}"),
        text: format!("{ip} belongs to {} with MAC {given}; the frames came from {mac}, {whose}", owner.name),
    })
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unknown-source",
    title: "Frames from a source address that is not the sender's",
    severity: Severity::High,
    techniques: &[Technique { name: "Masquerading", v19: "T1036", v18: "T1036" }, Technique { name: "Adversary-in-the-Middle: ARP Cache Poisoning", v19: "T1557.002", v18: "T1557.002" }],
    ads: Ads {
        goal: "Tell when frames on a container network come from an address that the runtime gave to nobody, or to \
             another container than the one whose MAC they carry.",
        categorization: "Defense Evasion and Credential Access: a borrowed or invented address hides the sender from every tool \
             that attributes by address.",
        strategy: "For each new flow whose source lies in the observed network's own range, the owner of the address and \
             the owner of the frame's source MAC at that time are compared. Nobody owns the address after the \
             attribution grace: unknown. They differ: spoofed. The alert names the sender by MAC where a workload \
             owns it.",
        technical_context: "With NET_ADMIN a process adds addresses to its interface, with NET_RAW it forges them; a bridge forwards \
             both. The host's own frames, and everything it routes in, carry the bridge's MAC and are normal, as are \
             multicast, link-local addresses, duplicate address detection, DHCP and ARP.",
        blind_spots: &[
            "A container that forges address and MAC together looks like the other container until the host-side veth \
             decides; planned.",
            "ARP and neighbour discovery are not compared yet; only IP flows are.",
            "Addresses from outside the network's range are left alone: a gateway container forwards such frames.",
            "A flow that already exists when the forgery starts is not looked at again.",
            "While the runtime's word is not complete, nothing is accused: the flow is unobservable \
             (unattributed_address).",
        ],
        assumptions: &[
            "An Ethernet observation point: a bridge or veth.",
            "The runtime tells addresses and MACs of its containers.",
        ],
        false_positives: &[
            "Addresses that a container manages itself (keepalived, a VPN server): write an exception.",
            "A second runtime on the same bridge that hopwatch does not read.",
        ],
        true_positives: &[
            "unknown-source",
            "spoofed-source",
        ],
        benign_twins: &[
            "source-normal",
        ],
        priority: "High: no ordinary container sends from an address that is not its own.",
        response: &[
            "The evidence gives the MAC: whose is it? The alert names the workload where one is known.",
            "Look at that container's interfaces: `nsenter -t PID -n ip addr`, and at its capabilities (NET_ADMIN, \
             NET_RAW).",
            "Look at the neighbours' ARP caches for the address in question.",
            "If nobody can explain it, disconnect the sender from the network and keep it as evidence.",
            "If it is allowed (a virtual address), write an exception with owner, reason and expiry.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1036/",
            "https://attack.mitre.org/techniques/T1557/002/",
            "https://www.rfc-editor.org/rfc/rfc5227",
        ],
    },
};
