//! A trail: every point at which a flow, or its translated twin, was seen.
//!
//! Contract: one trail a conversation; the point nearest the originator meters it, the others witness. Limits: [`MAX_SIGHTINGS`] points a trail.
//! Design: plain data; the tracker joins, the judge reads.

use super::Oriented;
use crate::input::{Endpoint, FiveTuple, FlowRecord, LinkShare, Mac, NatBinding, ObservationPoint, Side};
use crate::time::Timestamp;

/// Points remembered of one trail: veth, bridge, the hop's two, uplink, and those to which a bridge floods its first frame.
pub(super) const MAX_SIGHTINGS: usize = 64;
/// Pairs of MACs that are remembered of one point, over all records of a flow.
const MAX_LINKS: usize = 16;

/// The MACs of frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Who sent it on this link.
    pub from: Option<Mac>,
    /// Who was to take it on.
    pub to: Option<Mac>,
}

impl Frames {
    /// Those of a pair of MACs.
    pub const fn of(link: &LinkShare) -> Self {
        Self { from: link.mac, to: link.next_hop }
    }
}

/// What a point had counted of one direction by a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets.
    pub packets: u64,
    /// Bytes above the transport header.
    pub payload_bytes: u64,
}

/// The two directions of a flow at a point, and the time of the last packet that they include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volumes {
    /// Event time of the report.
    pub as_of: Timestamp,
    /// What the trail's originator sent, over all records of the flow.
    pub orig: Volume,
    /// What the trail's responder sent, over all records of the flow.
    pub resp: Volume,
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
    /// Other pairs of MACs than the first ones, read in the trail's direction.
    pub links: Vec<LinkShare>,
    /// What the point counted.
    pub now: Volumes,
    /// What it had counted two reports before that: what other points report by now includes it.
    pub settled: Option<Volumes>,
    /// The report between the two.
    before: Option<Volumes>,
    /// How the record that counts now is read.
    tuple: FiveTuple,
    /// Whether that is against the trail's direction.
    reversed: bool,
    /// Start of the record that counts now, and what earlier records of the flow had counted.
    record: (Timestamp, [Volume; 2]),
}

impl std::ops::Add for Volume {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { packets: self.packets + more.packets, payload_bytes: self.payload_bytes + more.payload_bytes }
    }
}

impl Sighting {
    /// What a record shows; `reversed` when it is read against the trail's direction.
    pub fn of(record: &FlowRecord, reversed: bool) -> Self {
        let (orig, resp) = if reversed { (&record.resp, &record.orig) } else { (&record.orig, &record.resp) };
        let frames = |side: &Side| Frames { from: side.mac, to: side.next_hop };
        let volume =
            |side: &Side| Volume { packets: side.counters.packets, payload_bytes: side.counters.payload_bytes };
        Self {
            point: record.point.clone(),
            at: record.start,
            orig: frames(orig),
            resp: frames(resp),
            links: other_links(record, reversed),
            now: Volumes { as_of: record.end, orig: volume(orig), resp: volume(resp) },
            settled: None,
            before: None,
            tuple: record.tuple,
            reversed,
            record: (record.start, [Volume::default(); 2]),
        }
    }

    /// What the point counted of one end.
    pub const fn sent(&self, from_orig: bool) -> Volume {
        if from_orig { self.now.orig } else { self.now.resp }
    }

    /// The first pair of MACs of one end's frames.
    pub const fn first(&self, from_orig: bool) -> Frames {
        if from_orig { self.orig } else { self.resp }
    }

    /// Every pair of MACs of one end's frames.
    pub fn frames(&self, from_orig: bool) -> impl Iterator<Item = Frames> + '_ {
        let others = self.links.iter().filter(move |link| link.from_orig == from_orig);
        std::iter::once(self.first(from_orig)).chain(others.map(Frames::of))
    }

    /// Whether it is this record that counts now.
    pub fn shows(&self, record: &FlowRecord) -> bool {
        (&self.point, self.record.0) == (&record.point, record.start)
    }

    /// A later report of the same point.
    fn update(&mut self, record: &FlowRecord) {
        if record.tuple == self.tuple.reversed() {
            // A frame of the far end came first, or was forged; the next record begins with the end that asked.
            (self.tuple, self.reversed) = (record.tuple, !self.reversed);
        }
        let new = Self::of(record, self.reversed);
        if record.start > self.record.0 {
            self.record = (record.start, [self.now.orig, self.now.resp]);
        }
        let [orig, resp] = self.record.1;
        (self.orig, self.resp) = (new.orig, new.resp);
        for link in new.links {
            let known = |known: &&mut LinkShare| {
                (known.from_orig, known.mac, known.next_hop) == (link.from_orig, link.mac, link.next_hop)
            };
            let has_room = self.links.len() < MAX_LINKS;
            match self.links.iter_mut().find(known) {
                Some(known) => *known = link,
                None if has_room => self.links.push(link),
                None => {}
            }
        }
        let now = Volumes { as_of: new.now.as_of, orig: orig + new.now.orig, resp: resp + new.now.resp };
        if now != self.now {
            self.settled = self.before.replace(std::mem::replace(&mut self.now, now));
        }
    }
}

fn other_links(record: &FlowRecord, reversed: bool) -> Vec<LinkShare> {
    let links = record.rare.iter().flat_map(|rare| &rare.other_links).copied();
    links.map(|link| LinkShare { from_orig: link.from_orig != reversed, ..link }).collect()
}

/// What a record shows of the trail: a new point, or more of a known one. `reversed`: read against the trail's direction, where the point is new.
/// True when the point is new.
pub(super) fn observe(sightings: &mut Vec<Sighting>, record: &FlowRecord, reversed: bool) -> bool {
    if let Some(known) = sightings.iter_mut().find(|known| known.point == record.point) {
        known.update(record);
        return false;
    }
    add(sightings, Sighting::of(record, reversed));
    true
}

/// Adds a sighting; one a point.
pub(super) fn add(sightings: &mut Vec<Sighting>, new: Sighting) {
    if sightings.len() < MAX_SIGHTINGS && sightings.iter().all(|known| known.point != new.point) {
        sightings.push(new);
    }
}

/// What the judge may look at.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each with its own cause")]
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
    /// Whether only the rest of a connection shows: FIN or RST without a start and without data.
    pub remnant: bool,
    /// Whether the flow has ended, so that its points will not report more of it.
    pub over: bool,
}

impl Trail<'_> {
    /// The ends before and after translation: who really asked, and who really answers.
    pub fn ends(&self) -> FiveTuple {
        let tuple = self.flow.tuple;
        match self.binding {
            Some(binding) if binding.reads_forward(&tuple) => {
                let orig = if tuple.orig == binding.after.orig { binding.before.orig } else { tuple.orig };
                let resp = if tuple.resp == binding.before.resp { binding.after.resp } else { tuple.resp };
                FiveTuple { orig, resp, ..tuple }
            }
            _ => tuple,
        }
    }

    /// Where the originator meant to go.
    pub fn meant(&self) -> Endpoint {
        let tuple = self.flow.tuple;
        let is_translated = |binding: &&NatBinding| binding.reads_forward(&tuple) && binding.after.resp == tuple.resp;
        self.binding.filter(is_translated).map_or(tuple.resp, |binding| binding.before.resp)
    }

    /// What the originator sent, by a point's count.
    pub const fn sent_of(&self, volumes: &Volumes) -> Volume {
        if self.flow.forward { volumes.orig } else { volumes.resp }
    }

    /// Every pair of MACs of the frames of one end, by point; `by_originator`: of the end that asked.
    pub fn frames(&self, by_originator: bool) -> impl Iterator<Item = (&Sighting, Frames)> {
        let from_orig = self.flow.forward == by_originator;
        self.sightings.iter().flat_map(move |sighting| sighting.frames(from_orig).map(move |frames| (sighting, frames)))
    }

    /// The frames that the originator sent, by point.
    pub fn sent(&self) -> impl Iterator<Item = (&Sighting, Frames)> {
        let forward = self.flow.forward;
        self.sightings.iter().map(move |sighting| (sighting, if forward { sighting.orig } else { sighting.resp }))
    }
}

/// The other tuple of a binding, in the direction of `tuple`; between two translations, the one behind both.
pub(super) fn twin(binding: &NatBinding, tuple: &FiveTuple) -> FiveTuple {
    let NatBinding { before, after, .. } = *binding;
    let reversed = !binding.reads_forward(tuple);
    let forward = if reversed { tuple.reversed() } else { *tuple };
    let other = if forward == after { before } else { after };
    if reversed { other.reversed() } else { other }
}
