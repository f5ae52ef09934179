//! `transit`: the flow, or its translated twin, was seen at the hop's own observation point.
//!
//! Contract: absence counts only when the point was observed since before the flow began, lost nothing, and the grace time is over. Limits: on a
//! hop's veth only frames to or from the hop count, since a bridge may flood others to it.

use super::Proof;
use crate::input::{Mac, ObservationPoint};
use crate::path::judge::Case;
use crate::path::trail::{Frames, MAX_SIGHTINGS, Sighting};
use crate::path::{EvidenceKind, Hop, Unobservable, is_internet};

const KIND: EvidenceKind = EvidenceKind::Transit;

impl Case<'_> {
    pub(super) fn transit(&self, hop: &Hop) -> Proof {
        let frames = self.trail.sent();
        if let Some((seen, _)) = frames.into_iter().find(|(sighting, sent)| self.is_at(hop, sighting, *sent)) {
            return Proof::holds(KIND, hop, format!("it was seen at {}, where the hop {} is", seen.point, hop.name));
        }
        let (start, now) = (self.trail.flow.at, self.trail.now);
        let unknown = |reason, text| Proof::Unknown { kind: KIND, reason, text };
        let points = self.own_points(hop);
        let losses = &self.context.path.losses;
        let observed = points.iter().any(|point| losses.observed_since(point).is_some_and(|since| since <= start));
        if !observed {
            return self.blind(hop, &points);
        }
        if let Some(point) = points.iter().find(|point| losses.overlap(point, start, now)) {
            return unknown(
                Unobservable::CaptureLoss,
                format!("packets were lost at {point}, where the hop {} is", hop.name),
            );
        }
        if self.trail.sightings.len() >= MAX_SIGHTINGS {
            let text = format!("it was seen at more points than are remembered, perhaps at the hop {}", hop.name);
            return unknown(Unobservable::CaptureLoss, text);
        }
        if now.since(start) < self.context.grace.transit {
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
            text: format!("it was not seen at {}, where the hop {} is", names.join(", "), hop.name),
        }
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
            return hop.is_interface(&sighting.point);
        }
        let is_hops = |mac: Option<Mac>| {
            let owner = mac.and_then(|mac| self.context.timeline.owner_of_mac(mac, sighting.at));
            owner.is_some_and(|owner| hop.is_workload(owner))
        };
        let inside = self.context.timeline.link(&sighting.point).and_then(|link| link.inside.as_ref());
        let at_home =
            inside.and_then(|id| self.context.timeline.workload(id)).is_some_and(|found| hop.is_workload(found));
        at_home || ((is_hops(sent.from) || is_hops(sent.to)) && self.is_veth_of(hop, &sighting.point))
    }

    fn is_veth_of(&self, hop: &Hop, point: &ObservationPoint) -> bool {
        let mut attachments = self.running(hop).flat_map(|workload| &workload.attachments);
        attachments.any(|attachment| attachment.host_interface.as_deref() == Some(point.as_str()))
    }

    /// The hop's own points that are observed.
    fn own_points(&self, hop: &Hop) -> Vec<ObservationPoint> {
        let losses = &self.context.path.losses;
        if !hop.interfaces.is_empty() {
            return losses.observed().filter(|point| hop.is_interface(point)).cloned().collect();
        }
        let attachments = self.running(hop).flat_map(|workload| &workload.attachments);
        let veths = attachments.filter_map(|attachment| attachment.host_interface.as_deref());
        veths.map(ObservationPoint::new).filter(|point| losses.observed_since(point).is_some()).collect()
    }

    /// Whether it may pass these points under another tuple that nobody tells of.
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
