//! `next_hop`: to whom the originator gave its frames.
//!
//! Contract: only frames that the originator itself sent on its own link count, and every pair of MACs that the meter counted: frames that go
//! elsewhere are a way around, whatever went to the hop before (ADR 12). Limits: a gateway that is no container is known by a MAC of the
//! host's, or not at all. Source: IEEE 802.3 destination address; a routed packet goes to the router's MAC (RFC 1812 §3.3).

use std::sync::Arc;

use super::Proof;
use crate::input::{Mac, NetworkMode, ObservationPoint};
use crate::path::judge::Case;
use crate::path::trail::{Frames, Sighting};
use crate::path::{EvidenceKind, Hop, Unobservable};

const KIND: EvidenceKind = EvidenceKind::NextHop;

impl Case<'_> {
    pub(super) fn next_hop(&self, hop: &Arc<Hop>) -> Proof {
        let unknown = |reason, text| Proof::Unknown { kind: KIND, reason, text };
        let orig = self.trail.ends().orig.ip;
        if self.source.workload().is_some_and(|workload| matches!(workload.network_mode, NetworkMode::Rootless(_))) {
            return unknown(Unobservable::RootlessStack, format!("{orig} has a rootless network stack"));
        }
        let given = self.own_frames().into_iter().filter_map(|(sighting, frames)| Some((sighting, frames.to?)));
        let proofs: Vec<(bool, Proof)> = given
            .map(|(sighting, mac)| {
                let proof = self.given_to(hop, &sighting.point, mac);
                let excused = matches!(proof, Proof::Fails { .. }) && self.is_alternative(hop, &sighting.point, mac);
                (excused, proof)
            })
            .collect();
        let passed = proofs.iter().any(|(_, proof)| matches!(proof, Proof::Holds { .. }));
        // One frame elsewhere is a way around; one for another hop of the stage is none.
        let worst = proofs.into_iter().min_by_key(|(excused, proof)| (*excused, std::cmp::Reverse(proof.rank())));
        match worst {
            Some((_, Proof::Fails { kind, text, .. })) => {
                Proof::Fails { kind, partly: passed.then(|| Arc::clone(hop)), text }
            }
            Some((_, proof)) => proof,
            None => {
                let text = format!("no frame of {orig} was seen on its own network, so its next hop is not known");
                unknown(Unobservable::NoObservationPoint, text)
            }
        }
    }

    /// Whether the frame was given to another hop that would do as well.
    fn is_alternative(&self, hop: &Hop, point: &ObservationPoint, mac: Mac) -> bool {
        let stage = self.contract.via.iter().find(|stage| stage.any_of.iter().any(|known| known.name == hop.name));
        let mut others = stage.into_iter().flat_map(|stage| &stage.any_of).filter(|other| other.name != hop.name);
        others.any(|other| other.accepts(KIND) && matches!(self.given_to(other, point, mac), Proof::Holds { .. }))
    }

    fn given_to(&self, hop: &Arc<Hop>, point: &ObservationPoint, mac: Mac) -> Proof {
        let fails = |who: String| {
            let text =
                format!("frames went to {mac} ({who}), not to the hop {}; that is {}", hop.name, self.known(hop));
            Proof::Fails { kind: KIND, partly: None, text }
        };
        if let Some(text) = to_every_station(mac) {
            return Proof::Unknown { kind: KIND, reason: Unobservable::UnattributedAddress, text };
        }
        let timeline = self.context.timeline;
        // A hop that starts again during the flow may have another MAC.
        let owner = timeline.owner_of_mac(mac, self.trail.flow.at);
        if let Some(owner) = owner.or_else(|| timeline.owner_of_mac(mac, self.trail.now)) {
            if self.is_hop(hop, owner) || owner.addresses().any(|ip| hop.is_address(ip)) {
                let text = format!("frames went to {mac}, which is {}, the hop {}", owner.name, hop.name);
                return Proof::holds(KIND, hop, text);
            }
            return fails(owner.name.clone());
        }
        let network = timeline.network_at(point, self.trail.flow.tuple.orig.ip);
        if self.is_hosts(point, mac) {
            let gateways = network.map(|network| network.gateways.as_slice()).unwrap_or_default();
            return match gateways.iter().find(|ip| hop.is_address(**ip)) {
                Some(ip) => {
                    Proof::holds(KIND, hop, format!("frames went to {mac}, the host at {ip}: the hop {}", hop.name))
                }
                None => fails("the host".to_owned()),
            };
        }
        if self.knows_macs_of(hop) {
            return fails("no container".to_owned());
        }
        let text = format!("frames went to {mac}, whose owner is unknown: it may be the hop {}", hop.name);
        Proof::Unknown { kind: KIND, reason: Unobservable::UnattributedAddress, text }
    }

    /// Whether a MAC at a point is the host's on this network.
    fn is_hosts(&self, point: &ObservationPoint, mac: Mac) -> bool {
        let timeline = self.context.timeline;
        let network = timeline.network_at(point, self.trail.flow.tuple.orig.ip);
        let bridge = network.and_then(|network| network.bridge.as_deref()).map(ObservationPoint::new);
        [Some(point), bridge.as_ref()].into_iter().flatten().any(|p| timeline.host_mac(p) == Some(mac))
    }

    /// Whether the hop is containers only, and every MAC of theirs is known.
    fn knows_macs_of(&self, hop: &Hop) -> bool {
        let all_known = hop.addresses.is_empty() && self.running(hop).all(|workload| has_macs(workload));
        all_known && self.context.timeline.is_complete()
    }

    /// Why a frame of the originator's for the hop's address may have reached somebody else: it went to every station, or, on the hop's own network,
    /// to a MAC that is nobody's. One that listens there can answer in the hop's name.
    pub(super) fn given_to_nobody(&self, hop: &Hop) -> Option<Proof> {
        let timeline = self.context.timeline;
        let resp = self.trail.flow.tuple.resp.ip;
        let is_next_to_hop = |point: &ObservationPoint| {
            let network = timeline.network_at(point, self.trail.flow.tuple.orig.ip);
            network.is_some_and(|network| network.subnets.iter().any(|subnet| subnet.contains(resp)))
        };
        let is_owned = |mac: Mac| {
            let at = [self.trail.flow.at, self.trail.now];
            at.into_iter().any(|at| timeline.owner_of_mac(mac, at).is_some())
        };
        let all_known = || self.trail.binding.is_none() && self.knows_macs_of(hop);
        // Nearly every MAC is somebody's: that is asked first.
        let is_nobodys = |point: &ObservationPoint, mac: Mac| {
            !is_owned(mac) && all_known() && is_next_to_hop(point) && !self.is_hosts(point, mac)
        };
        let text = |(sighting, frames): (&'_ Sighting, Frames)| {
            let (point, mac) = (&sighting.point, frames.to?);
            let nobodys = || {
                format!(
                    "{resp} is hop {}, but frames at {point} were sent to {mac}, which belongs to no known machine",
                    hop.name
                )
            };
            to_every_station(mac).or_else(|| is_nobodys(point, mac).then(nobodys))
        };
        // Nearly every frame is given to a known machine; whose frame it is matters only otherwise.
        self.trail.frames(true).find_map(text)?;
        let text = self.own_frames().into_iter().find_map(text)?;
        Some(Proof::Unknown { kind: EvidenceKind::Peer, reason: Unobservable::UnattributedAddress, text })
    }
}

/// What is known of a frame to a group address (IEEE 802.3 §3.2.3): each station of the link may have taken it.
fn to_every_station(mac: Mac) -> Option<String> {
    mac.is_multicast()
        .then(|| format!("frames were sent to {mac}, a multicast or broadcast MAC, so the receiver is unknown"))
}

fn has_macs(workload: &crate::input::Workload) -> bool {
    workload.attachments.iter().all(|attachment| attachment.mac.is_some())
}
