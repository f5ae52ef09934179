//! Finds who sent the frames behind a finding.
//!
//! Contract: nothing is guessed: what no link, runtime or kernel showed stays out. Limits: the process is known where
//! its socket was seen: in the host's namespace, in shared ones, and of packet and raw sockets. Design: asked once an alert, when it is raised.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Finding, FrameSender, ProcessEvidence, SenderProcess};
use crate::input::{
    Attachment, Endpoint, FlowRecord, InsideInterface, Mac, ObservationPoint, Protocol, SnifferKind, SnifferView,
    Workload,
};
use crate::inventory::{Doubt, Owner, SocketQuery, Timeline};
use crate::path::{ObservedFlow, owner_of};
use crate::time::Timestamp;

/// Says of a finding about a flow who sent its frames, where its rule has not.
pub fn add_sender(timeline: &Timeline, finding: &mut Finding) {
    if finding.sender.is_none()
        && let Some(flow) = &finding.flow
    {
        finding.sender = of_flow(timeline, finding, flow).map(Box::new);
    }
}

/// One end of a flow that sent frames, and what is known of it before the link is asked.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) workload: Option<&'a Arc<Workload>>,
    /// The address that the frames claim.
    pub(crate) ip: IpAddr,
    /// The MAC that they carry.
    pub(crate) mac: Option<Mac>,
    pub(crate) points: &'a [ObservationPoint],
    pub(crate) forged: bool,
    /// Of IP; absent for ARP and neighbour discovery, which only a packet socket sends.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) at: Timestamp,
}

impl Sent<'_> {
    /// Its interface and MAC, whose the address is, and of forged frames the process.
    pub(crate) fn sender(&self, timeline: &Timeline) -> FrameSender {
        FrameSender {
            interface: self.interface(timeline),
            mac: self.mac(timeline),
            forged: self.forged,
            address_of: self.forged.then(|| self.address_of(timeline)).flatten(),
            process: self
                .workload
                .filter(|_| self.forged)
                .and_then(|workload| self.by_packet_socket(timeline, workload)),
        }
    }

    /// What the frames carry, where that is the sender's own or forged; else what the runtime gave it: a router and the host send on with theirs.
    fn mac(&self, timeline: &Timeline) -> Option<Mac> {
        let Some(workload) = self.workload else { return self.mac };
        let is_its = |mac: &Mac| {
            timeline.owner_of_mac(*mac, self.at).is_some_and(|owner| timeline.are_together(owner, workload, self.at))
        };
        let seen = self.mac.filter(|mac| self.forged || is_its(mac));
        seen.or_else(|| self.attached(workload)?.mac)
    }

    /// Where frames are forged the veth that they came over, else the one that the runtime or the kernel names.
    fn interface(&self, timeline: &Timeline) -> Option<String> {
        let workload = self.workload?;
        let given =
            || self.attached(workload)?.host_interface.clone().or_else(|| self.in_namespace(timeline, workload));
        if self.forged {
            self.passed(timeline, workload).or_else(given)
        } else {
            given().or_else(|| self.passed(timeline, workload))
        }
    }

    /// The first point that is the workload's own interface.
    fn passed(&self, timeline: &Timeline, workload: &Workload) -> Option<String> {
        let is_its = |point: &&ObservationPoint| {
            timeline.owner_of_veth(point, self.at).is_some_and(|owner| timeline.are_together(owner, workload, self.at))
        };
        self.points.iter().find(is_its).map(ToString::to_string)
    }

    /// How the runtime attached it to the network of the address, or to its only one.
    fn attached<'b>(&self, workload: &'b Workload) -> Option<&'b Attachment> {
        let has = |attachment: &&Attachment| attachment.addresses.contains(&self.ip.to_canonical());
        let only = || workload.attachments.first().filter(|_| workload.attachments.len() == 1);
        workload.attachments.iter().find(has).or_else(only)
    }

    /// What the kernel shows of the interface with that MAC or address.
    fn in_namespace(&self, timeline: &Timeline, workload: &Workload) -> Option<String> {
        let kernel = timeline.kernel();
        let inside = &kernel.namespace(kernel.netns_of(&workload.id)?)?.interfaces;
        let is_it =
            |one: &&InsideInterface| one.addresses.contains(&self.ip) || self.mac.is_some() && one.mac == self.mac;
        inside.iter().find(is_it)?.host_interface.clone()
    }

    /// The process with the only socket of the workload that can send such frames: a packet socket, or a raw one for headers of one's own or for this
    /// very protocol.
    fn by_packet_socket(&self, timeline: &Timeline, workload: &Workload) -> Option<SenderProcess> {
        /// `IPPROTO_RAW`.
        const ANY: u16 = 255;
        let can_send = |sniffer: &&Arc<SnifferView>| match (sniffer.kind, self.protocol) {
            (SnifferKind::Packet, _) => true,
            (SnifferKind::Raw, Some(protocol)) => [ANY, protocol.0.into()].contains(&sniffer.protocol),
            (SnifferKind::Raw, None) => false,
        };
        let mut held = timeline.kernel().sniffers().filter(|one| one.owners.contains(&workload.id)).filter(can_send);
        let (only, further) = (held.next()?, held.next());
        let command = only.command.clone().filter(|_| further.is_none())?;
        Some(SenderProcess { pid: only.pid, command, how: ProcessEvidence::PacketSocket })
    }

    fn address_of(&self, timeline: &Timeline) -> Option<String> {
        let end = Endpoint { ip: self.ip, port: 0 };
        match owner_of(timeline, self.points.first()?, end, self.at) {
            Owner::Workload { workload, .. } => Some(workload.name.clone()),
            Owner::Host => Some("the host".to_owned()),
            Owner::Ambiguous { .. } | Owner::Unknown | Owner::External => None,
        }
    }
}

fn of_flow(timeline: &Timeline, finding: &Finding, flow: &ObservedFlow) -> Option<FrameSender> {
    let record = &flow.record;
    let (side, end, other) = if finding.destination == Some(record.tuple.orig) {
        (&record.resp, record.tuple.resp, record.tuple.orig)
    } else {
        (&record.orig, record.tuple.orig, record.tuple.resp)
    };
    let workload = match (&finding.workload, &finding.attribution) {
        (Some(_), Some(Owner::Workload { workload, .. })) => Some(workload),
        (None, Some(Owner::Workload { .. } | Owner::Unknown)) => None,
        (Some(workload), None) if owns(timeline, workload, record, end) => Some(workload),
        // It is about the end that was reached, or nobody says who sent.
        _ => return None,
    };
    let sent = Sent {
        workload,
        ip: end.ip,
        mac: side.mac,
        points: &flow.points,
        forged: workload.map_or_else(
            || is_anothers(&owner_of(timeline, &record.point, end, record.start)),
            |_| finding.attribution.as_ref().is_some_and(is_forged),
        ),
        protocol: Some(record.tuple.protocol),
        at: record.start,
    };
    let sender = sent.sender(timeline);
    let by_socket =
        workload.filter(|_| !sent.forged).and_then(|workload| by_socket(timeline, workload, record, end, other));
    Some(FrameSender { process: by_socket.or(sender.process), ..sender })
}

/// Whether an end of a flow is the workload's by its address.
fn owns(timeline: &Timeline, workload: &Workload, record: &FlowRecord, end: Endpoint) -> bool {
    let owner = owner_of(timeline, &record.point, end, record.start);
    owner.workload().is_some_and(|owner| timeline.are_together(owner, workload, record.start))
}

/// Whether an address is certainly not that of a sender who is not known: of a workload that has just ended the next one may have it in its right.
const fn is_anothers(owner: &Owner) -> bool {
    match owner {
        Owner::Workload { why: Some(Doubt::Late), .. } | Owner::Unknown | Owner::Ambiguous { .. } => false,
        Owner::Workload { .. } | Owner::Host | Owner::External => true,
    }
}

/// Whether the address belongs to somebody else than who sent.
const fn is_forged(owner: &Owner) -> bool {
    let Owner::Workload { why: Some(why), .. } = owner else { return false };
    matches!(why, Doubt::BorrowedAddress | Doubt::ForeignAddress | Doubt::VethDiffers)
}

/// The process that holds the socket of a flow's end.
fn by_socket(
    timeline: &Timeline,
    workload: &Workload,
    record: &FlowRecord,
    end: Endpoint,
    other: Endpoint,
) -> Option<SenderProcess> {
    let protocol = record.tuple.protocol;
    let query = SocketQuery { protocol, port: end.port, remote: other };
    let shown = matches!(protocol, Protocol::TCP | Protocol::UDP);
    let socket = shown.then(|| timeline.socket_of(workload, end.ip, &query, record.start)).flatten()?;
    // Who waits for connections at a port has not asked from it.
    let asks = protocol == Protocol::TCP && end == record.tuple.orig;
    if asks && socket.remote.is_none() {
        return None;
    }
    Some(SenderProcess { pid: socket.pid, command: socket.command.clone()?, how: ProcessEvidence::Socket })
}
