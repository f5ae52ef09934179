//! Who sent a flow: by address and socket, and by veth or the frame's MAC where these disagree.
//!
//! Contract: a workload is named only with the way it is known and how sure that is.
//! Design: on a veth a frame comes from the workload behind it, whatever it says; on a bridge the MAC tells which veth it came from unless it is
//! forged too, so it beats a borrowed address.

use std::sync::Arc;

use super::{Oriented, is_internet};
use crate::input::{Endpoint, FiveTuple, FlowRecord, ObservationPoint, Protocol, TcpFacts, Workload};
use crate::inventory::{AttributionMethod, AttributionQuery, Confidence, Doubt, Owner, SocketQuery, Timeline};
use crate::time::Timestamp;

/// Who owned this end of a flow, by its address alone.
pub fn owner_of(timeline: &Timeline, point: &ObservationPoint, end: Endpoint, at: Timestamp) -> Owner {
    timeline.attribute(&AttributionQuery { point, ip: end.ip, socket: None, mac: None, at })
}

/// Who answers the flow, read in this direction.
pub fn responder_of(timeline: &Timeline, oriented: &Oriented) -> Owner {
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, resp, orig);
    timeline.attribute(&AttributionQuery { point: &oriented.point, ip: resp.ip, socket, mac: None, at: oriented.at })
}

/// Who sent the flow, read in this direction.
pub fn source_of(timeline: &Timeline, record: &FlowRecord, oriented: &Oriented) -> Owner {
    let mac = if oriented.forward { record.orig.mac } else { record.resp.mac };
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, orig, resp);
    let query = AttributionQuery { point: &oriented.point, ip: orig.ip, socket, mac, at: oriented.at };
    let by_address = match timeline.attribute(&query) {
        // A workload that has ended starts nothing: this is the address's next owner, whom the runtime has not told yet.
        Owner::Workload { why: Some(Doubt::Late), .. } if oriented.forward && starts_here(record) => Owner::Unknown,
        owner => owner,
    };
    if let Some(sender) = timeline.sender_by_veth(&query, resp.ip) {
        return by_veth(timeline, sender, by_address, &query);
    }
    let in_network = timeline
        .network_at(&oriented.point, orig.ip)
        .is_some_and(|network| network.subnets.iter().any(|subnet| subnet.contains(orig.ip)));
    let by_mac = mac.filter(|_| in_network).and_then(|mac| timeline.owner_of_mac(mac, oriented.at));
    match (&by_address, by_mac) {
        (Owner::Workload { workload, .. }, Some(sender)) if !timeline.are_together(workload, sender, oriented.at) => {
            likely(sender, AttributionMethod::Mac, Doubt::BorrowedAddress)
        }
        (Owner::Unknown, Some(sender)) => likely(sender, AttributionMethod::Mac, Doubt::UnownedAddress),
        _ => by_address,
    }
}

/// The frame came in on the veth of `sender`: whoever the address belongs to, this one sent it.
fn by_veth(timeline: &Timeline, sender: &Arc<Workload>, by_address: Owner, query: &AttributionQuery<'_>) -> Owner {
    let is_senders = |other: &Workload| timeline.are_together(sender, other, query.at);
    match &by_address {
        Owner::Workload { workload, why, .. } if is_senders(workload) => {
            if *why == Some(Doubt::MacDiffers) {
                likely(workload, AttributionMethod::Veth, Doubt::VethDiffers)
            } else {
                by_address
            }
        }
        Owner::Ambiguous { candidates, .. }
            if !candidates.is_empty() && candidates.iter().all(|one| is_senders(one)) =>
        {
            by_address
        }
        Owner::Unknown => likely(sender, AttributionMethod::Veth, Doubt::UnownedOnVeth),
        _ => likely(sender, AttributionMethod::Veth, Doubt::VethDiffers),
    }
}

fn likely(sender: &Arc<Workload>, how: AttributionMethod, why: Doubt) -> Owner {
    Owner::Workload { workload: Arc::clone(sender), how, confidence: Confidence::Likely, why: Some(why) }
}

/// What is needed to find the socket of an end; only TCP and UDP have some that the kernel shows.
fn socket(protocol: Protocol, own: Endpoint, remote: Endpoint) -> Option<SocketQuery> {
    let shown = matches!(protocol, Protocol::TCP | Protocol::UDP);
    shown.then_some(SocketQuery { protocol, port: own.port, remote })
}

fn kernel_may_know(timeline: &Timeline, oriented: &Oriented) -> bool {
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, orig, resp);
    timeline.kernel_may_know(&AttributionQuery {
        point: &oriented.point,
        ip: orig.ip,
        socket,
        mac: None,
        at: oriented.at,
    })
}

/// Whether the first packet opened the flow; late packets of a TCP connection carry no SYN.
pub fn starts_here(record: &FlowRecord) -> bool {
    record.tcp.is_none_or(TcpFacts::direction_known)
}

/// Whether runtime or kernel may still tell more of either end.
pub fn is_unsettled(timeline: &Timeline, source: &Owner, oriented: &Oriented) -> bool {
    let FiveTuple { protocol, orig, .. } = oriented.tuple;
    let has_sockets = matches!(protocol, Protocol::TCP | Protocol::UDP);
    let hidden = || !timeline.is_complete() && !is_internet(orig.ip) && !orig.ip.is_multicast();
    let open = match source {
        // Only a socket can tell more.
        Owner::Ambiguous { host: true, .. } | Owner::Workload { why: Some(Doubt::SharedNamespace), .. } => has_sockets,
        Owner::Unknown | Owner::Ambiguous { host: false, .. } => true,
        // Its socket is known already.
        Owner::Workload { why: Some(Doubt::SharedSocket), .. } => false,
        Owner::Workload { how, confidence, .. } => {
            *confidence != Confidence::Exact && *how != AttributionMethod::Snapshot
        }
        Owner::External => hidden(),
        // A process may have got into the host's namespace unseen; where the kernel is looked at, its socket tells soon.
        Owner::Host => has_sockets && kernel_may_know(timeline, oriented),
    };
    open || match responder_of(timeline, oriented) {
        Owner::Unknown => true,
        Owner::Ambiguous { host: true, .. } => has_sockets,
        _ => false,
    }
}
