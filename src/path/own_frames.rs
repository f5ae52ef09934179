//! Which frames of a trail a workload sent itself: by its link, else by its MAC (ADR 10).
//!
//! Contract: a frame of another sender, or one that was given to the workload, is never its own. Where its link is watched, only what was seen
//! there counts, since a neighbour can forge address and MAC together. Limits: a frame carries no direction, so a frame that a bridge floods to
//! the link of the workload whose address and MAC it forges counts as its own.

use std::sync::Arc;

use super::JudgeContext;
use super::trail::{Frames, Sighting};
use crate::input::{Attachment, Mac, ObservationPoint, Workload};
use crate::inventory::{AttributionMethod, Confidence, Doubt, Owner};
use crate::time::Timestamp;

/// Where a point lies, seen from a workload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In its namespace.
    Inside,
    /// At its veth.
    Link,
    /// At the bridge of a network of its; whether its veth there is watched, too.
    Network { link_is_watched: bool },
    /// On a link of another network, where its MAC means nothing.
    Foreign,
    /// Anywhere else; whether every link of its is watched.
    Elsewhere { links_are_watched: bool },
}

impl Place {
    /// Whether its MAC shows nothing here: what the workload sent shows at its own link, and what is seen here may be a neighbour's forgery.
    const fn shows_nothing(self) -> bool {
        matches!(
            self,
            Self::Network { link_is_watched: true } | Self::Elsewhere { links_are_watched: true } | Self::Foreign
        )
    }
}

/// Tells a workload's frames from those of others.
#[derive(Clone, Copy)]
pub(super) struct OwnFrames<'a> {
    pub(super) context: JudgeContext<'a>,
    pub(super) workload: &'a Arc<Workload>,
    /// When the flow began.
    pub(super) at: Timestamp,
    /// Event time.
    pub(super) now: Timestamp,
}

impl<'a> OwnFrames<'a> {
    /// The frames of one end that the workload sent, by point.
    pub(super) fn of<'s>(
        self,
        sightings: &'s [Sighting],
        from_orig: bool,
    ) -> impl Iterator<Item = (&'s Sighting, Frames)> + use<'s, 'a> {
        let seen = sightings.iter().filter(move |sighting| sighting.sent(from_orig).packets > 0);
        let counts = seen.filter_map(move |sighting| {
            let place = self.place(&sighting.point);
            (!place.shows_nothing()).then_some((sighting, place))
        });
        counts.flat_map(move |(sighting, place)| {
            let own = sighting.frames(from_orig);
            let own = own.filter(move |frames| place == Place::Inside || self.is_own(sighting, from_orig, *frames));
            own.map(move |frames| (sighting, frames))
        })
    }

    /// Whether the workload's MAC is on frames that were not given to itself. Pairs of MACs that the meter did not keep are its own where all that
    /// it kept are.
    pub(super) fn is_own(self, sighting: &Sighting, from_orig: bool, frames: Frames) -> bool {
        if frames == Frames::default() && sighting.first(from_orig) != frames {
            let mut kept = sighting.frames(from_orig).filter(|kept| *kept != frames);
            return kept.all(|kept| self.carries_its_mac(sighting, kept));
        }
        self.carries_its_mac(sighting, frames)
    }

    fn carries_its_mac(self, sighting: &Sighting, frames: Frames) -> bool {
        let timeline = self.context.timeline;
        let is_its = |mac: Mac| {
            timeline
                .owner_of_mac(mac, sighting.at)
                .map(|owner| timeline.are_together(self.workload, owner, sighting.at))
        };
        if frames.to.and_then(is_its) == Some(true) {
            return false;
        }
        let Some(from) = frames.from else { return true };
        is_its(from).unwrap_or_else(|| !self.has_known_macs() && timeline.host_mac(&sighting.point) != Some(from))
    }

    /// Whether frames went between pairs of MACs that the meter did not keep, where the workload's own are looked for: some may be its own.
    pub(super) fn may_hide(self, sightings: &[Sighting], from_orig: bool) -> bool {
        sightings.iter().any(|sighting| {
            let unkept = Frames::default();
            let has_unkept = || sighting.frames(from_orig).skip(1).any(|frames| frames == unkept);
            sighting.first(from_orig) != unkept && has_unkept() && !self.place(&sighting.point).shows_nothing()
        })
    }

    fn has_known_macs(self) -> bool {
        let attachments = &self.workload.attachments;
        !attachments.is_empty() && attachments.iter().all(|attachment| attachment.mac.is_some())
    }

    /// Whether the trail was seen where the workload's frames pass, and none was its own; or not seen there, where that is watched.
    pub(super) fn are_missing(self, sightings: &[Sighting], from_orig: bool, ip: std::net::IpAddr) -> bool {
        if self.of(sightings, from_orig).next().is_some() {
            return false;
        }
        let is_home = |sighting: &Sighting| {
            sighting.sent(from_orig).packets > 0
                && !matches!(self.place(&sighting.point), Place::Elsewhere { .. } | Place::Foreign)
        };
        let bridge = || {
            let attachments = self.workload.attachments.iter();
            let here = attachments.filter(|attachment| attachment.addresses.contains(&ip.to_canonical()));
            here.filter_map(|attachment| self.context.timeline.network_of(attachment)?.bridge.as_deref())
                .any(|bridge| self.is_watched(&ObservationPoint::new(bridge)))
        };
        sightings.iter().any(is_home) || bridge()
    }

    fn place(self, point: &ObservationPoint) -> Place {
        let timeline = self.context.timeline;
        let is_its = |other: &Arc<Workload>| timeline.are_together(self.workload, other, self.at);
        let inside = timeline.link(point).and_then(|link| link.inside.as_ref());
        if inside.and_then(|id| timeline.workload(id)).is_some_and(is_its) {
            return Place::Inside;
        }
        if timeline.owner_of_veth(point, self.at).is_some_and(is_its) {
            return Place::Link;
        }
        let network = timeline.network_of_point(point);
        let attachments = &self.workload.attachments;
        let here = network.and_then(|network| attachments.iter().find(|attachment| network.holds(attachment)));
        match (network, here) {
            (Some(network), Some(here)) if network.bridge.as_deref() == Some(point.as_str()) => {
                Place::Network { link_is_watched: self.link_is_watched(here) }
            }
            (Some(_), None) if !attachments.is_empty() => Place::Foreign,
            _ => {
                let all = !attachments.is_empty() && attachments.iter().all(|one| self.link_is_watched(one));
                Place::Elsewhere { links_are_watched: all }
            }
        }
    }

    fn link_is_watched(self, attachment: &Attachment) -> bool {
        attachment.host_interface.as_deref().is_some_and(|veth| self.is_watched(&ObservationPoint::new(veth)))
    }

    /// Whether a point was observed since before the flow, and lost nothing.
    fn is_watched(self, point: &ObservationPoint) -> bool {
        let losses = &self.context.path.losses;
        losses.observed_since(point).is_some_and(|since| since <= self.at) && !losses.overlap(point, self.at, self.now)
    }
}

/// The owner of an address, less sure where frames were seen and none is certainly its own.
pub(super) fn less_sure(
    context: JudgeContext<'_>,
    sightings: &[Sighting],
    (from_orig, ip): (bool, std::net::IpAddr),
    (at, now): (Timestamp, Timestamp),
    owner: Owner,
) -> Owner {
    use AttributionMethod::{Address, Namespace, Socket};
    let Owner::Workload { workload, how: Address | Namespace | Socket, confidence: Confidence::Exact, .. } = &owner
    else {
        return owner;
    };
    let own = OwnFrames { context, workload, at, now };
    if !own.are_missing(sightings, from_orig, ip) {
        return owner;
    }
    owner.less_sure(Doubt::NotItsFrames)
}
