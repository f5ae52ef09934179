//! What each kind of evidence says of a hop.
//!
//! Contract: a proof holds or fails only with something that was seen; what cannot be known says why. Absence counts after the grace time and only
//! where nothing was lost, since the loss itself is reported late. Design: the best answer of a hop's accepted kinds is the hop's, the best of a stage's hops is the stage's.

mod link;
mod proven;
mod relay;
mod transit;

use std::sync::Arc;

pub(super) use proven::Proof;
use proven::{Shown, best};

use super::{Case, scope};
use crate::input::{FiveTuple, Mac, Protocol, Workload};
use crate::inventory::{AttributionMethod, Doubt, Owner};
use crate::path::own_frames::OwnFrames;
use crate::path::trail::{Frames, Sighting};
use crate::path::{EvidenceKind, Hop, Service, Stage, Unobservable, is_internet};
use crate::time::Timestamp;

impl Case<'_> {
    /// The best of a stage's alternatives.
    pub(super) fn stage(&self, stage: &Stage) -> Proof {
        best(stage.any_of.iter().filter_map(|hop| self.hop(hop))).unwrap_or(Proof::Wait)
    }

    /// The best of a hop's kinds of evidence.
    fn hop(&self, hop: &Arc<Hop>) -> Option<Proof> {
        let mut found = None;
        for kind in &hop.evidence {
            let proof = match kind {
                EvidenceKind::Peer if self.contract.service == Service::Ingress => Some(self.came_from(hop)),
                EvidenceKind::Peer => Some(self.peer(hop)),
                EvidenceKind::NextHop => Some(self.next_hop(hop)),
                EvidenceKind::Transit => Some(self.transit(hop)),
                EvidenceKind::Redirect if self.contract.service == Service::Ingress => None,
                EvidenceKind::Redirect => self.redirect(hop),
                EvidenceKind::Owner => Some(self.owner(hop)),
                EvidenceKind::Relay => Some(self.relay(hop)),
            };
            let Some(proof) = proof.map(|proof| self.unless_hidden(proof)) else { continue };
            if found.as_ref().is_none_or(|found: &Proof| proof.rank() < found.rank()) {
                found = Some(proof);
            }
            if matches!(found, Some(Proof::Holds { .. })) {
                break;
            }
        }
        found
    }

    /// What more senders sent than the meter keeps apart may be the originator's own: nothing shows where all of that went.
    fn unless_hidden(&self, proof: Proof) -> Proof {
        use EvidenceKind::{NextHop, Peer, Transit};
        let Proof::Holds { kind: kind @ (Peer | NextHop | Transit), .. } = proof else { return proof };
        let is_hidden = |own: OwnFrames<'_>| own.may_hide(self.trail.sightings, self.trail.flow.forward);
        if self.contract.service == Service::Ingress || !self.own().is_some_and(is_hidden) {
            return proof;
        }
        let text = format!("too many senders used {} to tell them apart", self.trail.flow.tuple.orig);
        Proof::Unknown { kind, reason: Unobservable::UnattributedAddress, text }
    }

    /// Who really answers.
    pub(super) fn responder(&self) -> &Owner {
        self.responder.get_or_init(|| scope::responder(self.context.timeline, self.trail))
    }

    /// Whether the hop is who really answers, at a port where it serves.
    pub(super) fn answers(&self, hop: &Hop) -> bool {
        let FiveTuple { protocol, resp, .. } = self.trail.ends();
        hop.serves(protocol, resp.port)
            && (hop.is_address(resp.ip)
                || (!hop.workloads.is_empty()
                    && self.responder().workload().is_some_and(|found| self.is_hop(hop, found))))
    }

    /// Whether the hop is one of several who may answer.
    pub(super) fn may_answer(&self, hop: &Hop) -> bool {
        let FiveTuple { protocol, resp, .. } = self.trail.ends();
        let among = |owner: &Owner| match owner {
            Owner::Ambiguous { candidates, .. } => {
                candidates.is_empty() || candidates.iter().any(|workload| self.is_hop(hop, workload))
            }
            _ => false,
        };
        !hop.workloads.is_empty() && hop.serves(protocol, resp.port) && among(self.responder())
    }

    fn peer(&self, hop: &Arc<Hop>) -> Proof {
        const KIND: EvidenceKind = EvidenceKind::Peer;
        let ends = self.trail.ends();
        if self.answers(hop) {
            let doubt = self.contradicted(hop).or_else(|| self.leads_on(hop)).or_else(|| self.unanswered(KIND, hop));
            let doubt = doubt.or_else(|| self.given_to_nobody(hop));
            let text = Shown::ByResponder(ends.resp);
            return doubt.unwrap_or_else(|| Proof::Holds { kind: KIND, hop: Arc::clone(hop), text });
        }
        if self.is_published(hop) {
            let text = format!("the runtime publishes {} for the hop {}", ends.resp, hop.name);
            return self.unanswered(KIND, hop).unwrap_or_else(|| Proof::holds(KIND, hop, text));
        }
        if self.may_answer(hop) || self.hides_hop(hop) {
            let text = format!("the owner of {} is not certain: it may be the hop {}", ends.resp, hop.name);
            return Proof::Unknown { kind: KIND, reason: Unobservable::UnattributedAddress, text };
        }
        let known = self.known(hop);
        let text =
            format!("the responder {} ({}) is not the hop {}; that is {known}", ends.resp, ends.protocol, hop.name);
        Proof::Fails { kind: KIND, partly: None, text }
    }

    /// An attempt that the hop did not answer is no passage, where the protocol has answers.
    pub(super) fn unanswered(&self, kind: EvidenceKind, hop: &Hop) -> Option<Proof> {
        let protocol = self.trail.flow.tuple.protocol;
        let has_answers = matches!(protocol, Protocol::TCP | Protocol::SCTP) || self.contract.service == Service::Dns;
        if self.trail.answered || !has_answers {
            return None;
        }
        if self.trail.over.is_none() && self.trail.now.since(self.trail.flow.at) < self.context.grace.answer {
            return Some(Proof::Wait);
        }
        let text = format!("hop {} did not answer, so this does not show that the flow passed it", hop.name);
        Some(Proof::Unknown { kind, reason: Unobservable::Unanswered, text })
    }

    /// The frames that the originator sent itself, by point.
    pub(super) fn own_frames(&self) -> Vec<(&Sighting, Frames)> {
        let own = self.own().into_iter();
        own.flat_map(|own| own.of(self.trail.sightings, self.trail.flow.forward)).collect()
    }

    /// What distinguishes the originator's frames from those of others.
    pub(super) fn own(&self) -> Option<OwnFrames<'_>> {
        let workload = self.source.workload()?;
        Some(OwnFrames { context: self.context, workload, at: self.trail.flow.at, now: self.trail.now })
    }

    /// A frame of the originator's to another workload's MAC was not given to the hop, whatever its address.
    fn contradicted(&self, hop: &Hop) -> Option<Proof> {
        const KIND: EvidenceKind = EvidenceKind::Peer;
        let timeline = self.context.timeline;
        let ends = self.trail.ends();
        let is_others = |mac: Mac, at: Timestamp| {
            let owner = timeline.owner_of_mac(mac, at).filter(|owner| !self.is_between(owner, hop))?;
            let own = self.source.workload().is_some_and(|source| timeline.are_together(source, owner, at));
            (!own).then(|| (mac, owner.name.clone()))
        };
        let others = |(sighting, frames): (&'_ Sighting, Frames)| is_others(frames.to?, sighting.at);
        // Nearly no frame is given to another one; whose it is is asked only then.
        self.trail.frames(true).find_map(others)?;
        // What comes from a stranger is not the originator's doing: only what it sends itself counts.
        let sent = self.own_frames();
        let (point, (mac, owner)) =
            sent.iter().find_map(|(sighting, frames)| Some((&sighting.point, others((sighting, *frames))?)))?;
        let text = format!(
            "{} is the hop {}, but its frames at {point} go to {mac}, which belongs to {owner}",
            ends.resp, hop.name
        );
        Some(Proof::Fails { kind: KIND, partly: None, text })
    }

    /// A source route names another address than the hop: the router that forwards the packets decides where they end.
    fn leads_on(&self, hop: &Hop) -> Option<Proof> {
        let via = scope::routed_via(self.context.timeline, self.trail, self.source);
        let beyond = via.iter().copied().find(|ip| *ip != self.trail.ends().resp.ip && !hop.is_address(*ip))?;
        let text = format!("the packet's source route also names {beyond}, not only hop {}", hop.name);
        Some(Proof::Unknown { kind: EvidenceKind::Peer, reason: Unobservable::UndecodedTunnel, text })
    }

    /// Whether a workload is the hop, or a hop that passes frames on to it.
    fn is_between(&self, workload: &Workload, hop: &Hop) -> bool {
        self.is_hop(hop, workload)
            || workload.addresses().any(|ip| hop.is_address(ip))
            || self.contract.hops().any(|other| self.is_hop(other, workload))
            || self
                .context
                .timeline
                .companions(workload, self.trail.flow.at)
                .iter()
                .any(|other| self.is_hop(hop, other))
    }

    /// Whether the responder's address may belong to a hop that the runtime has not reported.
    fn hides_hop(&self, hop: &Hop) -> bool {
        if hop.workloads.is_empty() || hop.is_address(self.trail.ends().resp.ip) {
            return false;
        }
        match self.responder() {
            Owner::Unknown => true,
            Owner::External => {
                let named_only = hop.addresses.is_empty();
                let timeline = self.context.timeline;
                let hidden = named_only && !timeline.is_complete() && self.running(hop).next().is_none();
                // Where the host's addresses are not known, a private one may be the host's.
                let hosts_known = timeline.links().next().is_some();
                hidden || (!hosts_known && !is_internet(self.trail.ends().resp.ip) && self.may_answer_on_host(hop))
            }
            // Without the host's sockets and translations, nobody knows whether a hop in the host's network, or behind a published port, answered.
            Owner::Host => self.may_answer_on_host(hop),
            Owner::Workload { .. } | Owner::Ambiguous { .. } => false,
        }
    }

    /// Whether a running hop may answer at the host's address: it shares the host's network, or the port may be published for it.
    fn may_answer_on_host(&self, hop: &Hop) -> bool {
        let FiveTuple { protocol, resp, .. } = self.trail.ends();
        let of_another = || {
            let mut publishing = self.judge.members.publishing(resp.port);
            publishing.any(|other| !self.is_hop(hop, other) && self.publishes_it(other))
        };
        hop.serves(protocol, resp.port)
            && self.trail.binding.is_none()
            && self.running(hop).next().is_some()
            && !of_another()
    }

    /// Whether the runtime says that the host publishes this port for the hop.
    fn is_published(&self, hop: &Hop) -> bool {
        let is_hosts = || self.context.timeline.is_host_address(self.trail.ends().resp.ip);
        self.running(hop).any(|workload| self.publishes_it(workload)) && is_hosts()
    }

    /// Whether the host publishes the port that was asked for this workload.
    fn publishes_it(&self, workload: &Workload) -> bool {
        let FiveTuple { protocol, resp, .. } = self.trail.ends();
        workload.published.iter().any(|port| {
            let here = port.host_ip.is_unspecified() || port.host_ip.to_canonical() == resp.ip.to_canonical();
            port.protocol == protocol && port.host_port == resp.port && here
        })
    }

    /// For what comes in, the peer is the one who asked.
    fn came_from(&self, hop: &Arc<Hop>) -> Proof {
        const KIND: EvidenceKind = EvidenceKind::Peer;
        let orig = self.trail.ends().orig;
        let unknown = |reason, text| Proof::Unknown { kind: KIND, reason, text };
        let by_workload = self.source.workload().is_some_and(|workload| self.is_hop(hop, workload));
        if by_workload || (self.source.owns_address() && hop.is_address(orig.ip)) {
            return Proof::holds(KIND, hop, format!("the connection came from the hop {} ({})", hop.name, orig.ip));
        }
        match self.source {
            Owner::Unknown => {
                unknown(Unobservable::UnattributedAddress, format!("the owner of {} is unknown", orig.ip))
            }
            Owner::Ambiguous { candidates, .. }
                if candidates.is_empty() || candidates.iter().any(|workload| self.is_hop(hop, workload)) =>
            {
                unknown(Unobservable::UnattributedAddress, format!("{} may be the hop {}", orig.ip, hop.name))
            }
            // What the host masquerades on its way back in carries the host's address.
            Owner::Host
                if self.trail.binding.is_none() && !self.context.path.bindings.is_watched(self.trail.flow.at) =>
            {
                let text = format!(
                    "{} is the host's address; without connection tracking the real sender is unknown",
                    orig.ip
                );
                unknown(Unobservable::NatUnknown, text)
            }
            _ => Proof::Fails {
                kind: KIND,
                partly: None,
                text: format!("the connection came from {}, not from the hop {}", orig, hop.name),
            },
        }
    }

    /// `None` where connection tracking is not watched and another kind decides.
    fn redirect(&self, hop: &Arc<Hop>) -> Option<Proof> {
        const KIND: EvidenceKind = EvidenceKind::Redirect;
        let (meant, ends, flow) = (self.trail.meant(), self.trail.ends(), self.trail.flow);
        let unknown = |text: String| Some(Proof::Unknown { kind: KIND, reason: Unobservable::NatUnknown, text });
        if let Some(binding) = self.trail.binding {
            let text = format!("connection tracking: {meant} is answered by {}", binding.after.resp);
            let proof = if self.answers(hop) {
                Proof::holds(KIND, hop, format!("{text}, the hop {}", hop.name))
            } else {
                Proof::Fails { kind: KIND, partly: None, text: format!("{text}, not by the hop {}", hop.name) }
            };
            return Some(proof);
        }
        let by_socket = self.context.timeline.interceptor(flow.tuple.protocol, ends.resp, ends.orig, flow.at);
        if let Some(holder) = by_socket.filter(|holder| self.is_hop(hop, holder)) {
            let text = format!("a socket of {} on the host answers for {meant}: the hop {}", holder.name, hop.name);
            return Some(Proof::holds(KIND, hop, text));
        }
        let bindings = &self.context.path.bindings;
        if !bindings.is_watched(flow.at) {
            let alone = hop.evidence.iter().all(|kind| *kind == KIND);
            return if alone { unknown("connection tracking was not watched then".to_owned()) } else { None };
        }
        if bindings.missed(flow.at, self.trail.now) {
            return unknown("events of connection tracking were lost then".to_owned());
        }
        let grace = self.context.grace;
        let decided = grace.all_reported || bindings.is_decided(flow.at);
        if !decided && self.trail.now.since(flow.at) < grace.absence() {
            return Some(Proof::Wait);
        }
        if self.trail.answered && self.is_on_host(hop) && !self.left_host() {
            return unknown(format!("the hop {} is on the host and may have taken it unseen", hop.name));
        }
        Some(Proof::Fails {
            kind: KIND,
            partly: None,
            text: format!("{meant} is not translated to the hop {}", hop.name),
        })
    }

    /// Whether the hop lives in the host's own network, where traffic can be taken without being translated (TPROXY).
    fn is_on_host(&self, hop: &Hop) -> bool {
        let by_workload = self.running(hop).any(|workload| workload.network_mode == crate::input::NetworkMode::Host);
        by_workload || hop.addresses.iter().any(|range| self.context.timeline.is_host_address(range.ip()))
    }

    /// Whether it was seen outside of its own network, as it went on.
    fn left_host(&self) -> bool {
        let (timeline, orig) = (self.context.timeline, self.trail.flow.tuple.orig.ip);
        self.trail.sightings.iter().any(|sighting| {
            let inside = timeline.link(&sighting.point).is_some_and(|link| link.inside.is_some());
            let network = timeline.network_of_point(&sighting.point);
            let home = network.is_some_and(|network| network.subnets.iter().any(|subnet| subnet.contains(orig)));
            !inside && !home
        })
    }

    fn owner(&self, hop: &Arc<Hop>) -> Proof {
        const KIND: EvidenceKind = EvidenceKind::Owner;
        let ends = self.trail.ends();
        let unknown = |text: String| Proof::Unknown { kind: KIND, reason: Unobservable::UnattributedAddress, text };
        match self.source {
            Owner::Workload { why: Some(Doubt::SharedNamespace | Doubt::SharedSocket), .. }
            | Owner::Ambiguous { .. } => {
                unknown(format!("several share the namespace, and the owner of the socket {} is unknown", ends.orig))
            }
            Owner::Workload { workload, how, .. } if self.is_hop(hop, workload) => {
                let how = if *how == AttributionMethod::Socket { "the socket" } else { "the address" };
                Proof::holds(
                    KIND,
                    hop,
                    format!("{how} {} belongs to {}, the hop {}", ends.orig, workload.name, hop.name),
                )
            }
            Owner::Workload { workload, .. } => {
                let text =
                    format!("the socket {} belongs to {}, not to the hop {}", ends.orig, workload.name, hop.name);
                Proof::Fails { kind: KIND, partly: None, text }
            }
            Owner::Host | Owner::Unknown | Owner::External => {
                unknown(format!("the owner of the socket {} is unknown", ends.orig))
            }
        }
    }
}
