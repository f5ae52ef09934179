//! Frames of others among those of a flow.
//!
//! Contract: a pair of MACs that appears in a running flow is compared as the first one is: whose address, whose MAC. Hops of contracts send on
//! what is not theirs. Limits: the pairs that the meter keeps; a MAC that belongs to no workload is not blamed, since a router's may change.

use std::sync::Arc;

use super::{Anomaly, spoofed};
use crate::detect::Context;
use crate::input::{FlowRecord, LinkShare};
use crate::inventory::{AttributionMethod, AttributionQuery, Confidence, Doubt, Owner};
use crate::path::Hop;

/// What is wrong with one pair of MACs of a record.
pub(super) fn among(context: Context<'_>, hops: &[Arc<Hop>], record: &FlowRecord, link: &LinkShare) -> Option<Anomaly> {
    let (timeline, at) = (context.timeline, record.start);
    let ip = if link.from_orig { record.tuple.orig.ip } else { record.tuple.resp.ip };
    let mac = link.mac?;
    let sender = timeline.owner_of_mac(mac, at)?;
    let network = timeline.network_at(&record.point, ip)?;
    let inside = network.subnets.iter().any(|subnet| subnet.contains(ip)) && !network.gateways.contains(&ip);
    if !inside || !timeline.is_complete() || hops.iter().any(|hop| hop.passes_frames_on() && hop.is_workload(sender)) {
        return None;
    }
    let query = AttributionQuery { point: &record.point, ip, socket: None, mac: None, at };
    let Owner::Workload { workload: owner, .. } = timeline.attribute(&query) else { return None };
    if timeline.are_together(sender, &owner, at) {
        return None;
    }
    let (how, confidence) = (AttributionMethod::Mac, Confidence::Likely);
    let attribution =
        Owner::Workload { workload: Arc::clone(sender), how, confidence, why: Some(Doubt::BorrowedAddress) };
    let anomaly = spoofed(&owner, ip, mac, Some(Arc::clone(sender)))?;
    Some(Anomaly { attribution: Some(attribution), ..anomaly })
}
