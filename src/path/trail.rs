//! A trail: every point at which a flow, or its translated twin, was seen.
//!
//! Contract: one trail a conversation; the point nearest the originator meters it, the others witness. Limits: [`MAX_SIGHTINGS`] points a trail.
//! Design: plain data; the tracker joins, the judge reads.

use super::Oriented;
use crate::input::{Endpoint, FiveTuple, FlowRecord, Mac, NatBinding, ObservationPoint};
use crate::time::Timestamp;

/// Points remembered of one trail: veth, bridge, the hop's two, uplink, and those to which a bridge floods its first frame.
pub(super) const MAX_SIGHTINGS: usize = 64;

/// The MACs of the first frame of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Who sent it on this link.
    pub from: Option<Mac>,
    /// Who was to take it on.
    pub to: Option<Mac>,
}

/// A flow as one point saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Where.
    pub point: ObservationPoint,
    /// First packet there.
    pub at: Timestamp,
    /// Frames of the trail's originator.
    pub orig: Frames,
    /// Frames of the trail's responder.
    pub resp: Frames,
}

impl Sighting {
    /// What a record shows; `reversed` when it is read against the trail's direction.
    pub fn of(record: &FlowRecord, reversed: bool) -> Self {
        let frames = |side: &crate::input::Side| Frames { from: side.mac, to: side.next_hop };
        let (orig, resp) = (frames(&record.orig), frames(&record.resp));
        let (orig, resp) = if reversed { (resp, orig) } else { (orig, resp) };
        Self { point: record.point.clone(), at: record.start, orig, resp }
    }
}

/// Adds a sighting; one a point.
pub(super) fn add(sightings: &mut Vec<Sighting>, new: Sighting) {
    if sightings.len() < MAX_SIGHTINGS && sightings.iter().all(|known| known.point != new.point) {
        sightings.push(new);
    }
}

/// What the judge may look at.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'a> {
    /// The flow, read in one direction.
    pub flow: &'a Oriented,
    /// The record at the point that meters it.
    pub record: &'a FlowRecord,
    /// Every point that saw it.
    pub sightings: &'a [Sighting],
    /// Its translation, where that is known.
    pub binding: Option<&'a NatBinding>,
    /// Whether an answer was seen.
    pub answered: bool,
    /// Event time.
    pub now: Timestamp,
    /// Whether more may still be waited for.
    pub may_wait: bool,
}

impl Trail<'_> {
    /// The ends before and after translation: who really asked, and who really answers.
    pub fn ends(&self) -> FiveTuple {
        let tuple = self.flow.tuple;
        match self.binding {
            Some(binding) if binding.before == tuple => FiveTuple { resp: binding.after.resp, ..tuple },
            Some(binding) if binding.after == tuple => FiveTuple { orig: binding.before.orig, ..tuple },
            _ => tuple,
        }
    }

    /// Where the originator meant to go.
    pub fn meant(&self) -> Endpoint {
        self.binding.filter(|binding| binding.after == self.flow.tuple).map_or(self.flow.tuple.resp, |b| b.before.resp)
    }

    /// The frames that the originator sent, by point.
    pub fn sent(&self) -> impl Iterator<Item = (&Sighting, Frames)> {
        let forward = self.flow.forward;
        self.sightings.iter().map(move |sighting| (sighting, if forward { sighting.orig } else { sighting.resp }))
    }
}

/// The other tuple of a binding, in the direction of `tuple`.
pub(super) fn twin(binding: &NatBinding, tuple: &FiveTuple) -> FiveTuple {
    let NatBinding { before, after, .. } = *binding;
    match *tuple {
        same if same == before => after,
        same if same == after => before,
        other if other == before.reversed() => after.reversed(),
        _ => before.reversed(),
    }
}
