//! Who sent a flow: by address, and by the frame's MAC where the two disagree.
//!
//! Contract: a workload is named only with the way it is known and how sure that is.
//! Design: on a bridge the MAC tells which veth a frame came from unless it is forged too; so it beats a borrowed address.

use std::sync::Arc;

use super::{Oriented, is_internet};
use crate::input::{Endpoint, FlowRecord, ObservationPoint, TcpFacts, Workload};
use crate::inventory::{AttributionMethod, Confidence, Doubt, Owner, Sighting, Timeline};
use crate::time::Timestamp;

/// Who owned this end of a flow, by its address alone.
pub fn owner_of(timeline: &Timeline, point: &ObservationPoint, end: Endpoint, at: Timestamp) -> Owner {
    timeline.attribute(&Sighting { point, ip: end.ip, socket: None, mac: None, at })
}

/// Who sent the flow, read in this direction.
pub fn source_of(timeline: &Timeline, record: &FlowRecord, oriented: &Oriented) -> Owner {
    let mac = if oriented.forward { record.orig.mac } else { record.resp.mac };
    let end = oriented.tuple.orig;
    let by_address = match timeline.attribute(&Sighting {
        point: &oriented.point,
        ip: end.ip,
        socket: None,
        mac,
        at: oriented.at,
    }) {
        // A workload that has ended starts nothing: this is the address's next owner, whom the runtime has not told yet.
        Owner::Workload { why: Some(Doubt::Late), .. } if oriented.forward && starts_here(record) => Owner::Unknown,
        owner => owner,
    };
    let in_network = timeline
        .network_at(&oriented.point, end.ip)
        .is_some_and(|network| network.subnets.iter().any(|subnet| subnet.contains(end.ip)));
    let by_mac = mac.filter(|_| in_network).and_then(|mac| timeline.owner_of_mac(mac, oriented.at));
    match (&by_address, by_mac) {
        (Owner::Workload { workload, .. }, Some(sender)) if workload.id != sender.id => {
            by_mac_of(sender, Doubt::BorrowedAddress)
        }
        (Owner::Unknown, Some(sender)) => by_mac_of(sender, Doubt::UnownedAddress),
        _ => by_address,
    }
}

fn by_mac_of(sender: &Arc<Workload>, why: Doubt) -> Owner {
    Owner::Workload {
        workload: Arc::clone(sender),
        how: AttributionMethod::Mac,
        confidence: Confidence::Likely,
        why: Some(why),
    }
}

/// Whether the first packet opened the flow; late packets of a TCP connection carry no SYN.
pub fn starts_here(record: &FlowRecord) -> bool {
    record.tcp.is_none_or(TcpFacts::direction_known)
}

/// Whether the runtime may still tell more of either end.
pub fn is_unsettled(timeline: &Timeline, source: &Owner, oriented: &Oriented) -> bool {
    let orig = oriented.tuple.orig;
    let hidden = || !timeline.is_complete() && !is_internet(orig.ip) && !orig.ip.is_multicast();
    let open = match source {
        Owner::Unknown | Owner::Ambiguous { .. } => true,
        Owner::Workload { how, confidence, .. } => {
            *confidence != Confidence::Exact && *how != AttributionMethod::Snapshot
        }
        Owner::External => hidden(),
        Owner::Host => false,
    };
    open || matches!(owner_of(timeline, &oriented.point, oriented.tuple.resp, oriented.at), Owner::Unknown)
}
