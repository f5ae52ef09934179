//! `transit`: the flow, or its translated twin, was seen at the hop's own observation point.
//!
//! Contract: what the originator sent must have been seen there, all of it (ADR 12): one packet at the hop proves that packet. Absence counts only
//! when the point was observed since before the flow began, lost nothing, and the grace time is over. Limits: on an inline hop's veth only frames
//! to or from the hop count, since a bridge may flood others to it. Volumes are compared with a report that is two reports old, and at the end.

use std::sync::Arc;

use super::Proof;
use crate::input::{FiveTuple, Mac, ObservationPoint, Protocol, Workload};
use crate::path::judge::Case;
use crate::path::trail::{Frames, MAX_SIGHTINGS, Sighting, Volume, Volumes};
use crate::path::{EvidenceKind, Hop, HopKind, Service, Unobservable, is_internet};
use crate::time::Timestamp;
use crate::wording::many;

const KIND: EvidenceKind = EvidenceKind::Transit;
impl Case<'_> {
    pub(super) fn transit(&self, hop: &Arc<Hop>) -> Proof {
        let at_hop = self.trail.sent().filter(|(sighting, sent)| self.is_at(hop, sighting, *sent));
        let at_hop = at_hop.map(|(sighting, _)| (sighting, self.trail.sent_of(&sighting.now)));
        if let Some((seen, volume)) = at_hop.filter(|(_, volume)| volume.packets > 0).max_by_key(|(_, v)| v.packets) {
            return self.compare(hop, seen, volume);
        }
        let (start, now) = (self.trail.flow.at, self.trail.now);
        let unknown = |reason, text| Proof::Unknown { kind: KIND, reason, text };
        let points = self.own_points(hop);
        let losses = &self.context.path.losses;
        let observed = points.iter().any(|point| losses.observed_since(point).is_some_and(|since| since <= start));
        if !observed {
            return self.blind(hop, &points);
        }
        if let Some(point) = points.iter().find(|point| self.was_lost(point, start, now)) {
            return unknown(
                Unobservable::CaptureLoss,
                format!("packets were lost at {point}, where the hop {} is", hop.name),
            );
        }
        if self.trail.sightings.len() >= MAX_SIGHTINGS {
            let text = format!("it was seen at more points than are remembered, perhaps at the hop {}", hop.name);
            return unknown(Unobservable::CaptureLoss, text);
        }
        // A frame that was forged before the flow began does not start the wait for the hop.
        let forward = self.trail.flow.forward;
        let own = self.own_frames();
        let since = own.iter().map(|(sighting, _)| sighting.changed(forward)).min().unwrap_or(start);
        if now.since(since.max(start)) < self.context.grace.absence() {
            return Proof::Wait;
        }
        if self.may_be_translated(&points) {
            let text = format!(
                "it may have reached the hop {} translated, and connection tracking does not report it",
                hop.name
            );
            return unknown(Unobservable::NatUnknown, text);
        }
        let names: Vec<_> = points.iter().map(ObservationPoint::as_str).collect();
        Proof::Fails {
            kind: KIND,
            partly: None,
            text: format!("it was not seen at {}, where the hop {} is", names.join(", "), hop.name),
        }
    }

    /// Whether what was seen at the hop is what the originator sent.
    fn compare(&self, hop: &Arc<Hop>, seen: &Sighting, at_hop: Volume) -> Proof {
        let holds = || Proof::holds(KIND, hop, format!("it was seen at {}, where the hop {} is", seen.point, hop.name));
        // The point that saw most of what the originator sent itself, whichever reported first.
        let shown = self.own_frames();
        let is_shown = |sighting: &Sighting| shown.iter().any(|(own, _)| own.point == sighting.point);
        let elsewhere = self.trail.sent().filter(|(sighting, sent)| !self.is_at(hop, sighting, *sent));
        let elsewhere = elsewhere.map(|(sighting, _)| sighting).filter(|own| shown.is_empty() || is_shown(own));
        let own_of = |own: &Sighting, volumes: &Volumes| {
            let all = self.trail.sent_of(volumes);
            if shown.is_empty() { all } else { self.without_strangers(own, all) }
        };
        let Some(own) = elsewhere.max_by_key(|own| own_of(own, &own.now).packets) else { return holds() };
        let grace = self.context.grace;
        let caught_up = seen.ended || seen.now.as_of.plus(grace.transit) >= own.now.as_of;
        let waits = if caught_up { grace.transit } else { grace.reports() };
        let ended = self.trail.over.is_some_and(|over| grace.all_reported || self.trail.now.since(over) >= waits);
        let Some(volumes) = (if ended { Some(&own.now) } else { own.settled.as_ref() }) else { return holds() };
        let sent = own_of(own, volumes);
        if !falls_short(at_hop, sent) {
            return holds();
        }
        let Volume { packets, payload_bytes, .. } = at_hop;
        let text = format!(
            "only {packets} of {} ({payload_bytes} of {}) reached {}, where the hop {} is",
            many(sent.packets, "packet"),
            many(sent.payload_bytes, "payload byte"),
            seen.point,
            hop.name
        );
        if self.was_lost(&seen.point, self.trail.flow.at, self.trail.now) {
            return Proof::Unknown { kind: KIND, reason: Unobservable::CaptureLoss, text };
        }
        Proof::Fails { kind: KIND, partly: Some(Arc::clone(hop)), text }
    }

    /// Whether packets of the flow may have been lost at a point. What only one source lost there was not the flow's where that source is a workload
    /// that neither began the flow nor sends on what others begin.
    fn was_lost(&self, point: &ObservationPoint, from: Timestamp, until: Timestamp) -> bool {
        let (timeline, at) = (self.context.timeline, self.trail.flow.at);
        let may_carry = |mac: Mac| {
            timeline.owner_of_mac(mac, at).is_none_or(|owner| {
                let is_own = self.source.workload().is_none_or(|own| timeline.are_together(own, owner, at));
                is_own || self.contract.hops().any(|hop| hop.is_workload(owner))
            })
        };
        self.context.path.losses.overlap_of(point, may_carry, from, until)
    }

    /// The least that the originator sent itself of what a point had counted by a time: without all that other senders sent up to now.
    fn without_strangers(&self, sighting: &Sighting, all: Volume) -> Volume {
        let strangers = self.sent_by_strangers(sighting);
        Volume {
            packets: all.packets.saturating_sub(strangers.packets),
            payload_bytes: all.payload_bytes.saturating_sub(strangers.payload_bytes),
            ..all
        }
    }

    /// The most that others than the originator sent in its name.
    fn sent_by_strangers(&self, sighting: &Sighting) -> Volume {
        let Some(own) = self.own() else { return Volume::default() };
        let forward = self.trail.flow.forward;
        let strangers = sighting.shares(forward).filter(|share| !own.is_own(sighting, forward, Frames::of(share)));
        let (packets, frame_bytes) =
            strangers.fold((0, 0), |(packets, bytes), share| (packets + share.packets, bytes + share.frame_bytes));
        let payload_bytes = frame_bytes.saturating_sub(packets * least_headers(&self.trail.flow.tuple));
        Volume { packets, frame_bytes, payload_bytes }
    }

    fn blind(&self, hop: &Hop, points: &[ObservationPoint]) -> Proof {
        if points.is_empty() && !hop.workloads.is_empty() && !self.is_ready(hop) {
            let text = format!("the hop {} did not run yet", hop.name);
            return Proof::Unknown { kind: KIND, reason: Unobservable::HopNotReady, text };
        }
        let text = format!("no observation point of the hop {} was captured then", hop.name);
        Proof::Unknown { kind: KIND, reason: Unobservable::NoObservationPoint, text }
    }

    /// Whether a sighting was at the hop.
    fn is_at(&self, hop: &Hop, sighting: &Sighting, sent: Frames) -> bool {
        if !hop.interfaces.is_empty() {
            return self.is_interface(hop, &sighting.point);
        }
        if hop.kind == HopKind::Mirror && self.is_veth_of(hop, &sighting.point) {
            // A copy keeps the MACs of the frame that was copied.
            return true;
        }
        let is_hops = |mac: Option<Mac>| {
            let owner = mac.and_then(|mac| self.context.timeline.owner_of_mac(mac, sighting.at));
            owner.is_some_and(|owner| self.is_hop(hop, owner))
        };
        let inside = self.context.timeline.link(&sighting.point).and_then(|link| link.inside.as_ref());
        let at_home =
            inside.and_then(|id| self.context.timeline.workload(id)).is_some_and(|found| self.is_hop(hop, found));
        at_home || ((is_hops(sent.from) || is_hops(sent.to)) && self.is_veth_of(hop, &sighting.point))
    }

    /// Whether a point is the hop's own by its configured interfaces. A pattern does not mean the workload's own link or bridge, where everything
    /// that it sends passes; a name does.
    fn is_interface(&self, hop: &Hop, point: &ObservationPoint) -> bool {
        let is_named = || hop.interfaces.iter().any(|glob| glob.glob().glob() == point.as_str());
        hop.is_interface(point) && (is_named() || !self.is_home(point))
    }

    /// Whether a point is the veth of the contract's workload, or the bridge of a network of its.
    fn is_home(&self, point: &ObservationPoint) -> bool {
        let (timeline, at) = (self.context.timeline, self.trail.flow.at);
        let owner = if self.contract.service == Service::Ingress { self.responder() } else { self.source };
        let Some(workload) = owner.workload() else { return false };
        let is_own = |veth: &Workload| timeline.are_together(veth, workload, at);
        let network =
            timeline.network_of_point(point).filter(|network| network.bridge.as_deref() == Some(point.as_str()));
        timeline.owner_of_veth(point, at).is_some_and(|owner| is_own(owner))
            || network.is_some_and(|network| workload.attachments.iter().any(|attachment| network.holds(attachment)))
    }

    fn is_veth_of(&self, hop: &Hop, point: &ObservationPoint) -> bool {
        let mut attachments = self.running(hop).flat_map(|workload| &workload.attachments);
        attachments.any(|attachment| attachment.host_interface.as_deref() == Some(point.as_str()))
    }

    /// The hop's own points that are observed.
    fn own_points(&self, hop: &Hop) -> Vec<ObservationPoint> {
        let losses = &self.context.path.losses;
        if !hop.interfaces.is_empty() {
            return losses.observed().filter(|point| self.is_interface(hop, point)).cloned().collect();
        }
        let attachments = self.running(hop).flat_map(|workload| &workload.attachments);
        let veths = attachments.filter_map(|attachment| attachment.host_interface.as_deref());
        veths.map(ObservationPoint::new).filter(|point| losses.observed_since(point).is_some()).collect()
    }

    /// Whether it may pass these points under another tuple that no source reports.
    fn may_be_translated(&self, points: &[ObservationPoint]) -> bool {
        let (flow, bindings) = (self.trail.flow, &self.context.path.bindings);
        let reported = bindings.is_watched(flow.at) && !bindings.missed(flow.at, self.trail.now);
        let beyond = |point: &ObservationPoint| self.context.timeline.network_of_point(point).is_none();
        self.trail.binding.is_none()
            && !reported
            && is_internet(self.trail.meant().ip)
            && !is_internet(flow.tuple.orig.ip)
            && points.iter().any(beyond)
    }
}

/// The fewest bytes of headers of a frame: Ethernet, IP and transport header without options.
const fn least_headers(tuple: &FiveTuple) -> u64 {
    let ip = if tuple.orig.ip.is_ipv4() { 20 } else { 40 };
    let transport = if tuple.protocol.0 == Protocol::TCP.0 { 20 } else { 8 };
    14 + ip + transport
}

/// Whether a point saw less than was sent, beyond what retransmission and queues explain: one part in 16, and at least four packets. Payload is
/// compared where there is some, since offloads merge and split packets.
const fn falls_short(seen: Volume, sent: Volume) -> bool {
    let (missing, whole, packet) = if sent.payload_bytes > 0 {
        let packet = sent.payload_bytes.div_ceil(if sent.packets == 0 { 1 } else { sent.packets });
        (sent.payload_bytes.saturating_sub(seen.payload_bytes), sent.payload_bytes, packet)
    } else {
        (sent.packets.saturating_sub(seen.packets), sent.packets, 1)
    };
    missing > whole / 16 && missing > 4 * packet
}
