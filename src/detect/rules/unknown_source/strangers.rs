//! Frames of others among those of a flow.
//!
//! Contract: a pair of MACs that appears in a running flow is compared as the first one is: whose address, whose MAC. Hops of contracts send on
//! what is not theirs. Limits: the pairs that the meter keeps; a MAC that belongs to no workload is not blamed, since a router's may change.

use std::sync::Arc;

use super::{Anomaly, spoofed};
use crate::detect::Context;
use crate::input::{FlowRecord, LinkShare, Mac, Workload};
use crate::inventory::{AttributionMethod, AttributionQuery, Confidence, Doubt, Owner};
use crate::path::{Hop, JudgedFlow};

/// The first pair of MACs of one end.
pub(super) fn first_of(record: &FlowRecord, from_orig: bool) -> LinkShare {
    let side = if from_orig { &record.orig } else { &record.resp };
    LinkShare { from_orig, mac: side.mac, next_hop: side.next_hop, packets: side.counters.packets, frame_bytes: 0 }
}

/// What is wrong with one pair of MACs of a record.
pub(super) fn among(context: Context<'_>, hops: &[Arc<Hop>], record: &FlowRecord, link: &LinkShare) -> Option<Anomaly> {
    let (timeline, at) = (context.timeline, record.start);
    let ip = if link.from_orig { record.tuple.orig.ip } else { record.tuple.resp.ip };
    let mac = link.mac?;
    let sender = timeline.owner_of_mac(mac, at)?;
    let query = AttributionQuery { point: &record.point, ip, socket: None, mac: None, at };
    let Owner::Workload { workload: owner, .. } = timeline.attribute(&query) else { return None };
    // Nearly every frame comes from the owner of its address: that is asked first.
    if timeline.are_together(sender, &owner, at) {
        return None;
    }
    let network = timeline.network_at(&record.point, ip)?;
    let inside = network.subnets.iter().any(|subnet| subnet.contains(ip)) && !network.gateways.contains(&ip);
    if !inside || !timeline.is_complete() || passes_on(hops, sender) {
        return None;
    }
    let anomaly = spoofed(&owner, ip, mac, Some(Arc::clone(sender)))?;
    Some(Anomaly { attribution: Some(by_mac(sender, Doubt::BorrowedAddress)), ..anomaly })
}

/// The first packet of a flow that was read from its other end: a workload sent it from an address of no network of its, and the other end gave it
/// nothing to pass on.
pub(super) fn at_the_start(context: Context<'_>, hops: &[Arc<Hop>], flow: &JudgedFlow) -> Option<Anomaly> {
    let (record, timeline) = (&flow.view.record, context.timeline);
    let (ip, at) = (record.tuple.resp.ip, record.start);
    if flow.oriented.forward || !timeline.is_complete() {
        return None;
    }
    let mac = record.resp.mac.filter(|mac| !is_given(record, *mac))?;
    let query = AttributionQuery { point: &record.point, ip, socket: None, mac: None, at };
    let what = match timeline.attribute(&query) {
        Owner::External if !super::is_link_local(ip) => "an address of no local network",
        Owner::Host => "the host's own address",
        _ => return None,
    };
    let (sender, network) = (timeline.owner_of_mac(mac, at), timeline.network_of_point(&record.point));
    let whose = match sender {
        Some(sender) if passes_on(hops, sender) => return None,
        Some(sender) => sender.name.clone(),
        None => {
            let host = network.and_then(|_| timeline.host_mac(&record.point))?;
            (host != mac).then(|| "no known workload, and not the host".to_owned())?
        }
    };
    Some(Anomaly {
        sender: sender.cloned(),
        attribution: sender.map(|sender| by_mac(sender, Doubt::ForeignAddress)).or(Some(Owner::Unknown)),
        // As it is called where the flow is read from the end that was forged.
        cause: network
            .filter(|_| sender.is_none())
            .map_or_else(|| "foreign".to_owned(), |network| foreign_on(&network.name)),
        kind: "mac",
        text: format!(
            "frames came from {ip}, {what}, sent by {mac} ({whose}); nothing shows that a router forwarded them"
        ),
        of_answers: true,
        ..Anomaly::default()
    })
}

/// A frame from outside, or from the host's address, whose MAC is neither a workload's nor the host's: somebody on this network sent it.
pub(super) fn from_nobody(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let (record, timeline) = (&flow.view.record, context.timeline);
    let (ip, at) = (record.tuple.orig.ip, record.start);
    let sender = match &flow.source {
        Owner::Unknown => None,
        Owner::Workload { workload, why: Some(Doubt::VethDiffers), .. } => Some(workload),
        _ => return None,
    };
    let mac = record.orig.mac.filter(|mac| timeline.is_nobodys_mac(&record.point, *mac, at))?;
    if !flow.oriented.forward {
        return None;
    }
    let what = match timeline.attribute(&AttributionQuery { point: &record.point, ip, socket: None, mac: None, at }) {
        Owner::External => "an address of no local network",
        Owner::Host => "the host's own address",
        _ => return None,
    };
    let network = timeline.network_of_point(&record.point)?;
    let whose = sender.map_or_else(
        || "their sender is on that network".to_owned(),
        |sender| format!("they came over the veth of {}", sender.name),
    );
    Some(Anomaly {
        sender: sender.cloned(),
        attribution: Some(flow.source.clone()),
        cause: foreign_on(&network.name),
        kind: "mac",
        text: format!(
            "frames on network {} came from {ip}, {what}, sent by {mac} (no known workload, and not the host): {whose}",
            network.name
        ),
        ..Anomaly::default()
    })
}

/// The cause where nobody has the MAC: its sender chooses the address and the MAC.
fn foreign_on(network: &str) -> String {
    format!("foreign {network}")
}

pub(super) fn by_mac(sender: &Arc<Workload>, why: Doubt) -> Owner {
    let (how, confidence) = (AttributionMethod::Mac, Confidence::Likely);
    Owner::Workload { workload: Arc::clone(sender), how, confidence, why: Some(why) }
}

fn passes_on(hops: &[Arc<Hop>], workload: &Workload) -> bool {
    hops.iter().any(|hop| hop.passes_frames_on() && hop.is_workload(workload))
}

/// Whether frames of the end that asked went to this MAC.
fn is_given(record: &FlowRecord, mac: Mac) -> bool {
    let others = record.rare.iter().flat_map(|rare| &rare.other_links);
    let given = others.filter(|link| link.from_orig).map(|link| link.next_hop);
    given.chain([record.orig.next_hop]).any(|next_hop| next_hop == Some(mac))
}
